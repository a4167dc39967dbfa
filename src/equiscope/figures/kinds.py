"""The figures of a saved result, or of several, by name."""

from collections.abc import Callable, Mapping

from equiscope.figures.alone import plot_alone
from equiscope.figures.channels import plot_channels
from equiscope.figures.comparison import plot_comparison
from equiscope.figures.explained import plot_explained
from equiscope.figures.layers import plot_layers
from equiscope.figures.parts import plot_parts
from equiscope.figures.style import Plot
from equiscope.figures.transformations import plot_transformations
from equiscope.results.scores import Scores
from equiscope.results.shares import shares_of

KINDS: Mapping[str, Callable[..., Plot]] = {
    "explained": plot_explained,
    "alone": plot_alone,
    "layers": plot_layers,
    "parts": plot_parts,
    "transformations": plot_transformations,
    "channels": plot_channels,
    "comparison": plot_comparison,
}


def headline(scores: Scores) -> Plot:
    """The figure that stands first: what stays, swaps, mixes and is lost; the scores by layer where that is unknown."""
    if all(len(shares_of(scores, family)) for family in scores.families):
        return plot_explained(scores)
    return plot_layers(scores, "dataset" if "dataset" in set(scores.scores["scope"]) else "image")
