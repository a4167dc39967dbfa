"""How equivariant have the features of an image network learned to be?

>>> import torch, equiscope as es
>>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU())
>>> scores = es.measure(model, torch.randn(8, 3, 16, 16), transformations=es.rotations())
>>> list(scores.table()["layer"])
['0', '1']
"""

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

__all__ = [
    "Family",
    "Scores",
    "Transformation",
    "d4",
    "find_layers",
    "flips",
    "identity",
    "measure",
    "rotations",
    "shift",
    "shifts",
]
