"""From the products of every channel with every channel: invariance, equivariance and partners."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from equiscope.functional import loops

NEGATIVES = ("clip", "keep", "abs")
BLOCK = 64  # columns whose maximum is found at once; see `strongest`


@dataclass(frozen=True)
class Matches:
    """What each channel scores against its own and against its best match."""

    invariance: Float[Tensor, "sample channel"]
    equivariance: Float[Tensor, "sample channel"]
    partner: Int[Tensor, "sample channel"]  # -1 where equivariance is NaN


def matches(
    product: Float[Tensor, "sample row channel"],
    turned_norm: Float[Tensor, "sample row"],
    expected_norm: Float[Tensor, "sample channel"],
    negative: str = "clip",
    first: int = 0,
) -> Matches:
    """Invariance (Eq. 4) and equivariance (Eq. 7) of each channel, from inner products of centred maps.

    `product[s, c, c']` is the inner product of `f(T_g X)_c` with `T'_g f(X)_c'`; it is overwritten. Its rows are all
    channels, or a band of them from channel `first` on. A norm that is
    NaN marks a channel without a similarity: its own scores are NaN, and it is nobody's partner. Ties go to the
    lowest channel; the partner is chosen before negative values are clipped, and after `abs`.

    >>> swap = torch.tensor([[[0.0, 6.0], [2.0, 1.0]]])
    >>> found = matches(swap, torch.tensor([[3.0, 1.0]]), torch.tensor([[2.0, 2.0]]))
    >>> found.invariance.tolist(), found.equivariance.tolist(), found.partner.tolist()
    ([[0.0, 0.5]], [[1.0, 1.0]], [[1, 0]])
    """
    scaled = product.div_(expected_norm.unsqueeze(-2))
    if negative == "abs":
        scaled = scaled.abs_()
    own = scaled.diagonal(first, -2, -1).clone()
    undefined = expected_norm.isnan()
    if undefined.any():
        scaled.masked_fill_(undefined.unsqueeze(-2), -torch.inf)
    return matched(own, *strongest(scaled), turned_norm, negative)


def matched(
    own: Float[Tensor, "sample channel"],
    best: Float[Tensor, "sample channel"],
    partner: Int[Tensor, "sample channel"],
    turned_norm: Float[Tensor, "sample channel"],
    negative: str = "clip",
) -> Matches:
    """The same from each channel's product with itself and its largest one, `-inf` where there is none.

    Both are products with channels whose norm is 1.
    """
    best = (best / turned_norm).masked_fill(best == -torch.inf, torch.nan)
    return Matches(
        invariance=bounded(own / turned_norm, negative),
        equivariance=bounded(best, negative),
        partner=partner.masked_fill(best.isnan(), -1),
    )


def reduced(
    product: Float[Tensor, "image row channel"],
    first: int,
    own: Float[Tensor, "image channel"],
    inverse: Float[Tensor, "image channel"],
    sums: Float[Tensor, "group channel channel"],
    place: int,
    best: Float[Tensor, "image channel"],
    partner: Int[Tensor, "image channel"],
    *,
    absolute: bool,
) -> None:
    """Add images' products to the sums of their groups, and look for the best match of every turned channel.

    Rows are expected channels, all of them or a band from `first` on; columns are turned ones. `own` takes the place of
    a channel's product with itself. A row is multiplied by its `inverse`, and left out where that is 0; `best` and
    `partner` are replaced where there is more than they tell. The first image's `place` is that in the data set, which
    tells its group. Products are overwritten.
    """
    if loops.used_for(product):
        threads = loops.threads_used()
        loops.reduce(product, first, own, inverse, sums, place, best, partner, absolute, threads)
        return
    images, rows, _ = product.shape
    band = slice(first, first + rows)
    product.diagonal(first, -2, -1).copy_(own[:, band])
    groups = torch.arange(place, place + images, device=product.device) % len(sums)  # made there: a copy would wait
    sums[:, band].index_add_(0, groups, product)
    scaled = product.mul_(inverse[:, band, None])
    if absolute:
        scaled.abs_()
    found = scaled.masked_fill_(inverse[:, band, None] == 0, -torch.inf).max(-2)
    better = found.values > best
    best.copy_(torch.where(better, found.values, best))
    partner.copy_(torch.where(better, found.indices + first, partner))


def strongest(
    similarity: Float[Tensor, "*sample channel"],
) -> tuple[Float[Tensor, "*sample"], Int[Tensor, "*sample"]]:
    """The largest value along the last axis, and its first place.

    A maximum with its place costs a CPU twenty times a maximum alone. So the maxima of blocks come first, then the
    place of the largest of them, then the place within its block.

    >>> strongest(torch.tensor([[0.0, 3.0, 3.0]]))
    (tensor([3.]), tensor([1]))
    """
    channels = similarity.shape[-1]
    block = next((size for size in range(BLOCK, BLOCK // 4, -1) if channels % size == 0), channels)
    if block == channels or similarity.device.type != "cpu":
        found = similarity.max(-1)
        return found.values, found.indices
    blocks = similarity.reshape(*similarity.shape[:-1], -1, block)
    best, place = blocks.amax(-1).max(-1)
    chosen = blocks.gather(-2, place[..., None, None].expand(*place.shape, 1, block)).squeeze(-2)
    return best, place * block + chosen.max(-1).indices


def bounded(similarity: Float[Tensor, "*sample"], negative: str) -> Float[Tensor, "*sample"]:
    """Similarities as scores: negative ones count as 0 ("clip"), keep their sign, or lose it ("abs")."""
    if negative == "abs":
        similarity = similarity.abs()
    return similarity.clamp(-1 if negative == "keep" else 0, 1)
