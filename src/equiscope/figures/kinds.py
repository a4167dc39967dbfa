"""The figures of a saved result, or of several, by name."""

from collections.abc import Callable, Mapping

from equiscope.figures.channels import plot_channels
from equiscope.figures.comparison import plot_comparison
from equiscope.figures.explained import plot_explained
from equiscope.figures.layers import plot_layers
from equiscope.figures.parts import plot_parts
from equiscope.figures.style import Plot
from equiscope.figures.transformations import plot_transformations

KINDS: Mapping[str, Callable[..., Plot]] = {
    "layers": plot_layers,
    "explained": plot_explained,
    "parts": plot_parts,
    "transformations": plot_transformations,
    "channels": plot_channels,
    "comparison": plot_comparison,
}
