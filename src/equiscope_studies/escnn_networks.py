"""Networks of escnn that are equivariant to rotations but for interpolation, and plain ones of equal size beside them.

All have three convolutions of 24 channels, escnn's basis of filters, and random weights. `C8`: fields of eight
orientations, equivariant to rotations by 45 degrees. `SO(2)`: fields that rotate as numbers, vectors and so on do,
equivariant to rotations by every angle. `none`: no weight is tied, and channels stand by themselves.
"""

import importlib
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

GROUPS = ("C8", "SO(2)", "none")
CHANNELS, STAY = 24, 8  # of a layer, and of the last, which only move as the image does
SIZE = 7  # pixels along a side of a filter
OF_FREQUENCY = (4, 5, 5)  # fields of SO(2) that rotate 0, 1 and 2 times with the image: of 1, 2 and 2 channels


class EscnnNetwork(nn.Module):
    """Convolutions with nonlinearities, one value a field, its mean over the image, and ten outputs."""

    def __init__(self, group: str, *, layers: int = 3, seed: int = 0) -> None:
        super().__init__()
        nets: Any = importlib.import_module("escnn.nn")
        space, inner = _fields(group)
        self.given = nets.FieldType(space, 3 * [space.trivial_repr])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for number in range(layers):
                before = inner if number else self.given
                convolution = nets.R2Conv(before, inner, SIZE, padding=SIZE // 2, bias=False)
                # A field of SO(2) is made shorter as a whole: by each channel alone it would not rotate with the image.
                nonlinearity = (
                    nets.NormNonLinearity(inner, "squash", bias=False) if group == "SO(2)" else nets.ReLU(inner)
                )
                setattr(self, f"layer{number + 1}", nets.SequentialModule(convolution, nonlinearity))
            stays = nets.FieldType(space, STAY * [space.trivial_repr])
            self.invariant = nets.R2Conv(inner, stays, SIZE, padding=SIZE // 2, bias=False)
            self.pool = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.head = nn.Linear(STAY, 10)
        self.layers = [f"layer{number + 1}" for number in range(layers)]
        self.eval()

    def forward(self, images: Float[Tensor, "image 3 row column"]) -> Tensor:
        """Ten outputs an image."""
        nets: Any = importlib.import_module("escnn.nn")
        maps = nets.GeometricTensor(images, self.given)
        for name in self.layers:
            maps = getattr(self, name)(maps)
        outputs: Tensor = self.head(self.pool(self.invariant(maps).tensor))
        return outputs


def _fields(group: str) -> tuple[Any, Any]:
    """The group's space, and the fields of its layers."""
    spaces: Any = importlib.import_module("escnn.gspaces")
    nets: Any = importlib.import_module("escnn.nn")
    if group == "C8":
        space = spaces.rot2dOnR2(8)
        return space, nets.FieldType(space, CHANNELS // 8 * [space.regular_repr])
    if group == "SO(2)":
        space = spaces.rot2dOnR2(-1, maximum_frequency=2 * len(OF_FREQUENCY))
        fields = [space.irrep(frequency) for frequency, count in enumerate(OF_FREQUENCY) for _ in range(count)]
        return space, nets.FieldType(space, fields)
    space = spaces.trivialOnR2()
    return space, nets.FieldType(space, CHANNELS * [space.trivial_repr])
