"""One side of a similarity, ready for the product of every channel with every channel."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SIMILARITIES = ("pearson", "cosine")

# A map is constant where its centred norm is at most this part of its uncentred norm: float noise is no signal.
CONSTANT = 1e-6
SMALLEST_NORM = 1e-30  # to divide by


@dataclass(frozen=True)
class Centring:
    """What centring took from some images' channels, and how much it left."""

    rest: Float[Tensor, "image channel"]  # the mean of the values given
    reference: Float[Tensor, "image channel"]  # what `referred` had taken from them before
    norm: Float[Tensor, "image channel"]  # of what is left
    cells: int

    def __getitem__(self, images: slice) -> "Centring":
        return Centring(self.rest[images], self.reference[images], self.norm[images], self.cells)

    def constant(self) -> Bool[Tensor, "image channel"]:
        """Where a channel has no similarity, be it constant or zero."""
        level = (self.rest + self.reference) * self.cells**0.5
        return self.norm <= CONSTANT * torch.hypot(self.norm, level)


@dataclass(frozen=True)
class Side:
    """The values of some images' channels, centred per image, or not ("cosine")."""

    values: Float[Tensor, "image channel cell"]
    centring: Centring
    centred: bool = True  # "pearson"; False: "cosine"

    def __getitem__(self, images: slice) -> "Side":
        return Side(self.values[images], self.centring[images], self.centred)

    @property
    def cells(self) -> int:
        """Cells a map has."""
        return self.centring.cells

    def unit(self) -> "Side":
        """The same with the values of every channel scaled to a norm of 1; zeros stay zeros."""
        return replace(self, values=self.values / self.centring.norm.clamp(min=SMALLEST_NORM)[..., None])


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
        nothing = maps.new_zeros(maps.shape[:2])
        return Side(maps, Centring(nothing, nothing, _norm_of(maps), maps.shape[-1]), centred=False)
    rest = maps.mean(-1)
    values = maps - rest[..., None]
    reference = torch.zeros_like(rest) if reference is None else reference
    return Side(values, Centring(rest, reference, _norm_of(values), maps.shape[-1]))


def _norm_of(values: Tensor) -> Tensor:
    """The norm along the last axis; summed pairwise, as `torch.linalg.vector_norm` does not."""
    return values.square().sum(-1).sqrt_()


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
