"""How equivariant have the features of an image network learned to be?

>>> import torch, equiscope as es
>>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU())
>>> scores = es.measure(model, torch.randn(8, 3, 16, 16), transformations=es.rotations())
>>> list(scores.table()["layer"])
['0', '1']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equiscope.figures.alone import plot_alone
    from equiscope.figures.channels import plot_channels
    from equiscope.figures.comparison import plot_comparison
    from equiscope.figures.epochs import plot_epochs
    from equiscope.figures.explained import plot_explained
    from equiscope.figures.layers import plot_layers
    from equiscope.figures.parts import plot_parts
    from equiscope.figures.transformations import plot_transformations
    from equiscope.functional.affine import affine, rotation, rotations, scaling, scalings
    from equiscope.functional.sampling import Sampling
    from equiscope.functional.transformations import (
        Family,
        Transformation,
        d4,
        flips,
        identity,
        shift,
        shifts,
    )
    from equiscope.images.preprocessing import Preprocessing
    from equiscope.images.sources import open_images
    from equiscope.integrations.during_training import scores_at
    from equiscope.integrations.loggers import log_scores
    from equiscope.measurement.estimation import estimate
    from equiscope.measurement.loop import measure
    from equiscope.measurement.metrics import metrics
    from equiscope.measurement.options import Run, Scoring
    from equiscope.networks.layers import find_layers
    from equiscope.networks.loading import Network, load_network
    from equiscope.networks.options import Layers
    from equiscope.networks.statistics import estimate_statistics
    from equiscope.networks.symmetry import symmetric_sizes
    from equiscope.page.write import report
    from equiscope.results.comparison import compare
    from equiscope.results.folder import load
    from equiscope.results.scores import Scores

__all__ = [
    "Family",
    "Layers",
    "Network",
    "Preprocessing",
    "Run",
    "Sampling",
    "Scores",
    "Scoring",
    "Transformation",
    "affine",
    "compare",
    "d4",
    "estimate",
    "estimate_statistics",
    "find_layers",
    "flips",
    "identity",
    "load",
    "load_network",
    "log_scores",
    "measure",
    "metrics",
    "open_images",
    "plot_alone",
    "plot_channels",
    "plot_comparison",
    "plot_epochs",
    "plot_explained",
    "plot_layers",
    "plot_parts",
    "plot_transformations",
    "report",
    "rotation",
    "rotations",
    "scaling",
    "scalings",
    "scores_at",
    "shift",
    "shifts",
    "symmetric_sizes",
]

# Imported when asked for: the command line's help needs no torch, and measuring no matplotlib.
_WHERE = dict.fromkeys(__all__, "functional.transformations") | {
    "Layers": "networks.options",
    "Network": "networks.loading",
    "Preprocessing": "images.preprocessing",
    "Run": "measurement.options",
    "Sampling": "functional.sampling",
    "Scores": "results.scores",
    "Scoring": "measurement.options",
    "affine": "functional.affine",
    "compare": "results.comparison",
    "estimate": "measurement.estimation",
    "estimate_statistics": "networks.statistics",
    "find_layers": "networks.layers",
    "load": "results.folder",
    "load_network": "networks.loading",
    "log_scores": "integrations.loggers",
    "measure": "measurement.loop",
    "metrics": "measurement.metrics",
    "open_images": "images.sources",
    "plot_alone": "figures.alone",
    "plot_channels": "figures.channels",
    "plot_comparison": "figures.comparison",
    "plot_epochs": "figures.epochs",
    "plot_explained": "figures.explained",
    "plot_layers": "figures.layers",
    "plot_parts": "figures.parts",
    "plot_transformations": "figures.transformations",
    "report": "page.write",
    "rotation": "functional.affine",
    "rotations": "functional.affine",
    "scaling": "functional.affine",
    "scalings": "functional.affine",
    "scores_at": "integrations.during_training",
    "symmetric_sizes": "networks.symmetry",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"equiscope.{_WHERE[name]}"), name)
    if name == "functional":  # the one room with a public name of its own, `functional.equivariance_loss`
        return import_module("equiscope.functional")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
