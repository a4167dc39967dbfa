"""One side of a similarity, ready for the product of every channel with every channel."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from equiscope.functional import loops
from equiscope.functional.transformations import Window, whole

SIMILARITIES = ("pearson", "cosine")

# A map is constant where its centred norm is at most this part of its uncentred norm: float noise is no signal.
CONSTANT = 1e-6


@dataclass(frozen=True)
class Centring:
    """What centring took from some images' channels, and how much it left.

    `found` holds, for every channel, a value near the mean, taken away first, so that all digits are left; the mean of
    what was left; the norm of what is left then; and one over it, 0 where there is no similarity, the map being
    constant or zero.
    """

    found: Float[Tensor, "image 4 channel"]
    cells: int

    def __getitem__(self, images: slice) -> "Centring":
        return Centring(self.found[images], self.cells)

    @property
    def inverse(self) -> Float[Tensor, "image channel"]:
        """One over the norm; 0 where there is no similarity."""
        return self.found[:, 3]


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

    def rearranged(self, source: Int[Tensor, "cell"], out: Float[Tensor, "image channel cell"] | None = None) -> "Side":
        """The same with the value of every cell from its source, each of them once; written into `out`, if given."""
        if not loops.used_for(self.values):
            return replace(self, values=self.values.index_select(-1, source))
        values = torch.empty_like(self.values) if out is None else out
        loops.rearranged(self.values, source, values)
        return replace(self, values=values)


def side(
    maps: Float[Tensor, "image channel *grid"] | Window,
    similarity: str = "pearson",
    out: Float[Tensor, "image channel cell"] | None = None,
) -> Side:
    """The maps centred per image and channel ("pearson") or as they are ("cosine"); in float32, into `out` if given.

    >>> side(torch.tensor([[[1.0, 2.0, 3.0]]])).values.tolist()
    [[[-1.0, 0.0, 1.0]]]
    """
    centred = similarity != "cosine"
    window = maps if isinstance(maps, Window) else whole(maps)
    images, channels = window.maps.shape[:2]
    cells = window.cells
    if not cells:
        nothing = window.maps.new_zeros(images, 4, channels)
        return Side(window.maps.new_empty(images, channels, 0), Centring(nothing, 0), centred)
    if loops.used_for(window.maps):
        values = window.maps.new_empty(images, channels, cells) if out is None else out
        return Side(values, Centring(loops.centred(window, values, CONSTANT, mean=centred), cells), centred)
    reference = rest = window.maps.new_zeros(images, channels)
    if centred:
        row, column = (of.start + (of.stop - of.start) // 2 for of in window.sources)
        reference = window.maps[..., row, column].clone()
        window = replace(window, maps=window.maps - reference[..., None, None])
    values = window.values().flatten(-2)
    if centred:
        rest = values.mean(-1)
        values = values - rest[..., None]
    norm = values.square().sum(-1).sqrt_()  # summed pairwise, as `torch.linalg.vector_norm` does not
    constant = norm <= CONSTANT * torch.hypot(norm, (reference + rest) * cells**0.5)
    inverse = norm.reciprocal().masked_fill_(constant, 0)
    return Side(values, Centring(torch.stack([reference, rest, norm, inverse], 1), cells), centred)


def own_products(one: Side, other: Side) -> Float[Tensor, "image channel"]:
    """The product of every channel with itself on the other side.

    Summed pairwise or in parts: a matrix product in float32 is off by 3e-6 on long sums, and a channel compared with
    itself must score 1 within 1e-6.
    """
    if loops.used_for(one.values):
        return loops.own_products(one.values, other.values)
    return (one.values * other.values).sum(-1)


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
