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
    centred: bool = True  # "pearson"; False: "cosine"

    def __getitem__(self, images: slice) -> "Side":
        return Side(self.values[images], self.mean[images], self.square[images], self.centred)

    @property
    def cells(self) -> int:
        """Cells a map has."""
        return int(self.values.shape[-1])


def referred(
    maps: Float[Tensor, "image channel row column"],
) -> tuple[Float[Tensor, "image channel row column"], Float[Tensor, "image channel"]]:
    """The maps less the value of their middle cell, and those values.

    What is left has all its digits, even where a map's mean is a million times its deviation.
    """
    height, width = maps.shape[-2:]
    middle = maps[..., height // 2, width // 2].clone()
    return maps - middle[..., None, None], middle


def side(
    maps: Float[Tensor, "image channel cell"],
    similarity: str = "pearson",
    reference: Float[Tensor, "image channel"] | None = None,
) -> Side:
    """The maps centred per image and channel ("pearson") or as they are ("cosine"); both in float32.

    `reference` is what `referred` has taken away before, to be counted in the mean.

    >>> side(torch.tensor([[[1.0, 2.0, 3.0]]])).values.tolist()
    [[[-1.0, 0.0, 1.0]]]
    """
    if similarity == "cosine":
        return Side(maps, maps.new_zeros(maps.shape[:2], dtype=torch.float64), _squares(maps), centred=False)
    rest = maps.mean(-1)
    values = maps - rest[..., None]
    mean = rest.double() if reference is None else rest.double() + reference.double()
    return Side(values, mean, _squares(values))


def _squares(values: Tensor) -> Tensor:
    return values.square().sum(-1).double()


def channel_products(turned: Side, expected: Side) -> Float[Tensor, "image channel channel"]:
    """The inner product of every channel of one side with every channel of the other, image by image.

    A channel's product with itself is summed apart, pairwise: a matrix product in float32 is off by 2e-6 on long
    sums of one sign, and a channel compared with itself must score 1 within 1e-6.
    """
    product = turned.values @ expected.values.mT
    product.diagonal(dim1=-2, dim2=-1).copy_((turned.values * expected.values).sum(-1))
    return product


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
