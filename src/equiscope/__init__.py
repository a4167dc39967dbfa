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
    from equiscope.comparison import compare
    from equiscope.during_training import scores_at
    from equiscope.estimation import estimate
    from equiscope.folder import load
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
    from equiscope.loggers import log_scores
    from equiscope.measurement import measure
    from equiscope.models.layers import find_layers
    from equiscope.plots import (
        plot_channels,
        plot_comparison,
        plot_epochs,
        plot_layers,
        plot_parts,
        plot_transformations,
    )
    from equiscope.scores import Scores

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
    "Scores": "scores",
    "compare": "comparison",
    "estimate": "estimation",
    "find_layers": "models.layers",
    "load": "folder",
    "log_scores": "loggers",
    "measure": "measurement",
    "plot_channels": "plots",
    "plot_comparison": "plots",
    "plot_epochs": "plots",
    "plot_layers": "plots",
    "plot_parts": "plots",
    "plot_transformations": "plots",
    "scores_at": "during_training",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"equiscope.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
