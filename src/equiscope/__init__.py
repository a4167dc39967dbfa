"""How equivariant have the features of an image network learned to be?

>>> import torch, equiscope as es
>>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU())
>>> scores = es.measure(model, torch.randn(8, 3, 16, 16), transformations=es.rotations())
>>> list(scores.table()["layer"])
['0', '1']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
from equiscope.measurement import measure
from equiscope.models.layers import find_layers
from equiscope.scores import Scores

if TYPE_CHECKING:
    from equiscope.folder import load
    from equiscope.plots import plot_layers, plot_parts

__all__ = [
    "Family",
    "Scores",
    "Transformation",
    "d4",
    "find_layers",
    "flips",
    "identity",
    "load",
    "measure",
    "plot_layers",
    "plot_parts",
    "rotations",
    "shift",
    "shifts",
]

_WITH_MATPLOTLIB = {"load": "folder", "plot_layers": "plots", "plot_parts": "plots"}


def __getattr__(name: str) -> Any:
    if name in _WITH_MATPLOTLIB:  # imported when asked for: to measure needs none
        return getattr(import_module(f"equiscope.{_WITH_MATPLOTLIB[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
