"""One side of a similarity, ready for the product of every channel with every channel."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

SIMILARITIES = ("pearson", "cosine")

# A map is constant where its centred norm is at most this part of its uncentred norm: float noise is no signal.
CONSTANT = 1e-6


@dataclass(frozen=True)
class Side:
    """The values of some images' channels, centred per image, with what the centring took away."""

    values: Float[Tensor, "image channel cell"]
    mean: Float[Tensor, "image channel"]  # float64
    square: Float[Tensor, "image channel"]  # float64: the sum over cells of the squared values
    centred: bool = True

    def __getitem__(self, images: slice) -> "Side":
        return Side(self.values[images], self.mean[images], self.square[images], self.centred)

    @property
    def cells(self) -> int:
        """Cells a map has."""
        return int(self.values.shape[-1])


def side(maps: Float[Tensor, "image channel cell"], similarity: str = "pearson") -> Side:
    """The maps centred per image and channel ("pearson") or as they are ("cosine").

    Centring is two-pass in float32 about a cell of the map itself, so that a mean 1000 times the deviation, or a
    deviation a millionth of the mean, costs no digits.

    >>> side(torch.tensor([[[1.0, 2.0, 3.0]]])).values.tolist()
    [[[-1.0, 0.0, 1.0]]]
    """
    centred = similarity == "pearson"
    if not centred:
        mean = maps.new_zeros(maps.shape[:2], dtype=torch.float64)
        values = maps
    else:
        first = maps[..., :1]
        values = maps - first
        rest = values.mean(-1, keepdim=True)
        values = values.sub_(rest)
        mean = (first.double() + rest.double()).squeeze(-1)
    return Side(values, mean, values.square().sum(-1).double(), centred)


def norm(
    square: Float[Tensor, "*sample channel"],
    mean: Float[Tensor, "*sample channel"],
    count: Float[Tensor, "*sample"] | int,
    least: int,
) -> Float[Tensor, "*sample channel"]:
    """The norm of each channel's values; NaN where it has no similarity.

    That is: where the channel is constant (its centred norm at most 1e-6 of its uncentred one), where all its
    values are zero, and where there are fewer than `least` values.

    >>> norm(torch.tensor([4.0, 0.0]), torch.tensor([0.0, 5.0]), 4, least=4).tolist()
    [2.0, nan]
    """
    counts = torch.as_tensor(count, dtype=square.dtype, device=square.device).unsqueeze(-1)
    constant = square <= CONSTANT**2 * (square + counts * mean.square())
    return square.sqrt().masked_fill(constant | (counts < least), torch.nan)
