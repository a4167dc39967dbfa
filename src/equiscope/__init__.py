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
    from equiscope.figures.plots import (
        plot_channels,
        plot_comparison,
        plot_epochs,
        plot_layers,
        plot_parts,
        plot_transformations,
    )
    from equiscope.functional.transformations import (
        Family,
        Transformation,
        d4,
        flips,
        identity,
        rotations,
        shift,
        shifts,
    )
    from equiscope.integrations.during_training import scores_at
    from equiscope.integrations.loggers import log_scores
    from equiscope.measurement.estimation import estimate
    from equiscope.measurement.loop import measure
    from equiscope.networks.layers import find_layers
    from equiscope.results.comparison import compare
    from equiscope.results.folder import load
    from equiscope.results.scores import Scores

__all__ = [
    "Family",
    "Scores",
    "Transformation",
    "compare",
    "d4",
    "estimate",
    "find_layers",
    "flips",
    "identity",
    "load",
    "log_scores",
    "measure",
    "plot_channels",
    "plot_comparison",
    "plot_epochs",
    "plot_layers",
    "plot_parts",
    "plot_transformations",
    "rotations",
    "scores_at",
    "shift",
    "shifts",
]

# Imported when asked for: the command line's help needs no torch, and measuring no matplotlib.
_WHERE = dict.fromkeys(__all__, "functional.transformations") | {
    "Scores": "results.scores",
    "compare": "results.comparison",
    "estimate": "measurement.estimation",
    "find_layers": "networks.layers",
    "load": "results.folder",
    "log_scores": "integrations.loggers",
    "measure": "measurement.loop",
    "plot_channels": "figures.plots",
    "plot_comparison": "figures.plots",
    "plot_epochs": "figures.plots",
    "plot_layers": "figures.plots",
    "plot_parts": "figures.plots",
    "plot_transformations": "figures.plots",
    "scores_at": "integrations.during_training",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"equiscope.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
