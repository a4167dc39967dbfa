"""From moments to maps of channels: for every channel the one that predicts it best.

A map is fitted on some groups of images and scored on others. `Pool` is what the moments of some groups come to,
centred by their own means; `Fit` is a map of best channels fitted on a pool.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from equiscope.functional.moments import GROUPS, Moments, Side

CONSTANT = 1e-6  # of the uncentred norm: a channel of a smaller centred norm is rounding
LEAST_SAMPLES = 4
TIED = 1e-6  # correlations that differ by less, by rounding, are tied
BLOCK = 64  # channels whose largest correlation is found at once,
AT_ONCE = 2**18  # on as many choices of groups as give so many products: a processor's cache holds them
HALVES = ((0, 1, 2, 3, 4), (0, 2, 4, 6, 8), (0, 1, 4, 5, 8))  # of the ten groups, and the others

Channels = Float[Tensor, "channel"]
LeftOut = tuple[int, ...]


@dataclass(frozen=True)
class Pool:
    """What the moments of some groups come to; centred by their own means ("pearson"), or about 0 ("cosine").

    Values are as the moments have them, less each side's origin.
    """

    count: Float[Tensor, ""]  # samples
    means: tuple[Channels, Channels]  # what is taken off both sides
    squares: tuple[Channels, Channels]  # the centred sums of squares; 0 where the channel is constant
    own: Channels  # the correlation of every channel with itself; NaN where it is constant on either side

    @cached_property
    def norms(self) -> tuple[Channels, Channels]:
        """The centred norms of both sides; 0 where the channel is constant."""
        return self.squares[0].sqrt(), self.squares[1].sqrt()


def pools(moments: Moments, chosen: Sequence[Sequence[int]], *, centred: bool = True) -> list[Pool]:
    """A pool for every choice of groups, all at once."""
    like = moments.own
    weights = like.new_zeros(len(chosen), len(like))
    for row, groups in enumerate(chosen):
        weights[row, list(groups)] = 1
    count = weights @ moments.found.count
    sides = moments.expected, moments.found
    totals = [weights @ side.total for side in sides]
    if centred:
        means = [total / count.clamp(min=1)[:, None] for total in totals]
    else:
        means = [-side.pilot.expand_as(total) for side, total in zip(sides, totals, strict=True)]
    squares = [
        _squares(side, weights @ side.square, total, mean, count, centred)
        for side, total, mean in zip(sides, totals, means, strict=True)
    ]
    product = weights @ moments.own - means[0] * totals[1] - totals[0] * means[1]
    product += count[:, None] * means[0] * means[1]
    norm = (squares[0] * squares[1]).sqrt()
    own = product / torch.where(norm > 0, norm, torch.nan)
    return [
        Pool(count[row], (means[0][row], means[1][row]), (squares[0][row], squares[1][row]), own[row])
        for row in range(len(chosen))
    ]


def _squares(side: Side, square: Tensor, total: Tensor, mean: Tensor, count: Tensor, centred: bool) -> Tensor:
    """The sums of squares about the means; 0 for rounding."""
    around = square - 2 * mean * total + count[:, None] * mean**2
    raw = square + 2 * side.pilot * total + count[:, None] * side.pilot**2
    least = CONSTANT**2 * raw if centred else torch.zeros_like(raw)
    return torch.where((around > least) & (raw > 0), around.clamp(min=0), 0)


def centred_squares(side: Side) -> Channels:
    """The sums of squares of a side over all images, about its means; 0 where a channel is constant."""
    count, total = side.count.sum()[None], side.total.sum(0)[None]
    return _squares(side, side.square.sum(0)[None], total, total / count.clamp(min=1), count, centred=True)[0]


@dataclass(frozen=True)
class Fit:
    """The best channel for every channel, on some groups of images, and what it is there to all groups.

    Of several choices of groups, all have an axis for these in front.
    """

    partner: Int[Tensor, "*choice channel"]
    slope: Float[Tensor, "*choice channel"]  # what the partner is multiplied by to predict the channel
    sign: Float[Tensor, "*choice channel"]  # of their correlation
    product: Float[Tensor, "*choice group channel"]  # with the partner, about the means of all images
    square: Float[Tensor, "*choice group channel"]  # of the partner, likewise

    def __getitem__(self, choice: int) -> "Fit":
        """Of one choice of groups."""
        return Fit(
            self.partner[choice], self.slope[choice], self.sign[choice], self.product[choice], self.square[choice]
        )


class BestChannels:
    """The best channels of a transformation on a layer, fitted on all groups, and on all but one or more of them."""

    def __init__(
        self, moments: Moments, groups: Sequence[int], *, centred: bool, negative: str, intervals: bool, halves: bool
    ) -> None:
        self.moments, self.groups, self.centred, self.negative = moments, tuple(groups), centred, negative
        subsets = list(_left_out(self.groups, intervals=intervals, halves=halves))
        chosen = [[k for k in self.groups if k not in left_out] for left_out in subsets]
        found = pools(moments, chosen, centred=centred)
        self.pools: dict[LeftOut, Pool] = dict(zip(subsets, found, strict=True))
        self.whole = self.pools[()]
        norm_one, norm_two = self.whole.norms
        self.defined = (norm_one > 0) & (norm_two > 0) & (self.whole.count >= LEAST_SAMPLES)
        mean_one, mean_two = self.whole.means
        count = moments.found.count[:, None]
        # Of each group, about the means of all images.
        self.totals = moments.expected.total - count * mean_one, moments.found.total - count * mean_two
        self._place = {left_out: place for place, left_out in enumerate(subsets)}
        self._weights = moments.own.new_zeros(len(subsets), len(moments.own))  # of groups, in each choice
        for place, its in enumerate(chosen):
            self._weights[place, its] = 1
        self._norms = tuple(torch.stack([pool.norms[side] for pool in found]) for side in range(2))
        self._counts = torch.stack([pool.count for pool in found])[:, None]
        self.all = self._fitted(self._partners())

    def fit(self, left_out: LeftOut) -> Fit:
        """The fit without some groups."""
        return self.all[self._place[left_out]]

    def places(self, without: Sequence[LeftOut]) -> list[int]:
        """Where the fits without some groups are among all."""
        return [self._place[left_out] for left_out in without]

    def cross(self, group: int, number: torch.dtype) -> Float[Tensor, "expected found"]:
        """One group's products of both sides' channels, about the means of all images, in numbers of that type."""
        moments = self.moments
        assert moments.cross is not None
        mean_one, mean_two = self.whole.means
        one, two = (mean_one, self.totals[0][group]), (moments.found.total[group], mean_two)
        return less_means(moments.cross[group], one, two, number).to(number)

    def own(self) -> Float[Tensor, "group channel"]:
        """The products of every channel with itself, about the means of all images: exact, where `cross` is not."""
        mean_one, mean_two = self.whole.means
        return self.moments.own - mean_one * self.moments.found.total - self.totals[0] * mean_two

    def _partners(self) -> Int[Tensor, "choice channel"]:
        """The best channel for every channel on each choice of groups."""
        channels = self.moments.own.shape[1]
        own = self.own()
        found = []
        for start in range(0, channels, BLOCK):
            block = slice(start, min(start + BLOCK, channels))
            rows = self._rows(block, own)
            step = max(1, AT_ONCE // rows[0].numel())
            some = [slice(first, first + step) for first in range(0, len(self.pools), step)]
            found.append(torch.cat([self._strongest(rows, choices, block) for choices in some]))
        return torch.cat(found, 1)

    def _rows(self, block: slice, own: Float[Tensor, "all channel"]) -> Float[Tensor, "group found expected"]:
        """The products of some found channels with all expected ones, in float32, about the means of all images."""
        moments, groups = self.moments, list(self.groups)
        assert moments.cross is not None
        raw = moments.cross[:, :, block].mT[groups]
        mean_one, mean_two = (mean.expand(len(groups), -1) for mean in self.whole.means)
        found = torch.stack([moments.found.total[groups, block], mean_two[:, block]], 2).to(raw)
        expected = torch.stack([mean_one, self.totals[0][groups]], 1).to(raw)
        products = raw.baddbmm_(found, expected, alpha=-1).float()
        places = torch.arange(block.start, block.stop, device=products.device)
        products[:, places - block.start, places] = own[groups, block].float()
        return products

    def _strongest(
        self, rows: Float[Tensor, "group found expected"], choices: slice, block: slice
    ) -> Int[Tensor, "choice found"]:
        """The expected channel of the highest correlation; the lowest of those that are tied."""
        weights = self._weights[choices]
        norm_one, norm_two = self._norms[0][choices], self._norms[1][choices]
        candidates = self.defined & (norm_one > 0)
        products = (weights[:, self.groups].float() @ rows.flatten(1)).view(-1, *rows.shape[1:])
        if self.centred:  # by their own means
            one, two = (weights @ total for total in self.totals)
            two = two[:, block] / self._counts[choices]
            products.baddbmm_(two[:, :, None].float(), one[:, None].float(), alpha=-1)
        products *= torch.where(candidates, 1 / torch.where(candidates, norm_one, 1), 0)[:, None].float()
        if self.negative == "abs":
            products = products.abs()
        products = products.masked_fill(~candidates[:, None], -torch.inf)
        tied = TIED * norm_two[:, block].float()
        partner = first_of_largest(products.flatten(0, 1), tied.flatten()).view_as(tied)
        useless = (norm_two[:, block] == 0) | ~candidates.any(1)[:, None]
        return torch.where(useless, torch.arange(block.start, block.stop, device=partner.device), partner)

    def _fitted(self, partner: Int[Tensor, "choice channel"]) -> Fit:
        """The slope of every channel on its best one, on each choice of groups."""
        moments, pools = self.moments, list(self.pools.values())
        assert moments.cross is not None
        channels = torch.arange(partner.shape[1], device=partner.device)
        mean_one, mean_two = self.whole.means[0][partner], self.whole.means[1]
        raw = moments.cross[:, partner, channels].double()
        raw = torch.where(partner == channels, moments.own[:, None], raw)  # [group, choice, channel]
        count, one, two = moments.found.count[:, None, None], moments.expected.total[:, partner], moments.found.total
        product = raw - mean_one * two[:, None] - mean_two * (one - count * mean_one)
        square = moments.expected.square[:, partner] - 2 * mean_one * one + count * mean_one**2
        own_one = torch.stack([pool.means[0] for pool in pools]).gather(1, partner)
        own_two = torch.stack([pool.means[1] for pool in pools])
        norm = self._norms[0].gather(1, partner)
        of_choice = self._weights.T[:, :, None]
        total_one, pooled = ((of_choice * values).sum(0) for values in (one, raw))
        pooled = pooled - own_one * (self._weights @ two) - own_two * (total_one - self._counts * own_one)
        usable = self.defined[partner] & (norm > 0) & (self._norms[1] > 0)
        slope = torch.where(usable, pooled / torch.where(usable, norm**2, 1), 0)
        negative = self.negative == "abs"
        sign = torch.where((pooled < 0) & usable, -1.0, 1.0).to(slope) if negative else torch.ones_like(slope)
        slope = slope if negative else slope.clamp(min=0)
        return Fit(partner, slope, sign, product.transpose(0, 1), square.transpose(0, 1))

    def in_sample(self) -> Channels:
        """The correlation of every channel with its best one, on the very images that it was chosen on (Eq. 7)."""
        fit = self.fit(())
        norm = self.whole.norms[0][fit.partner] * self.whole.norms[1]
        return fit.product.sum(0) / torch.where(norm > 0, norm, torch.nan)


def less_means(
    products: Float[Tensor, "row column"], one: tuple[Tensor, Tensor], two: tuple[Tensor, Tensor], number: torch.dtype
) -> Float[Tensor, "row column"]:
    """Products about means, in numbers that hold both these and `number`.

    `one`: the means of the rows, and their totals about them; `two`: the totals of the columns, and their means.
    """
    raw = products.to(torch.promote_types(number, products.dtype))
    return torch.addmm(raw, torch.stack(one, 1).to(raw), torch.stack(two).to(raw), alpha=-1)


def _left_out(groups: Sequence[int], *, intervals: bool, halves: bool) -> Iterable[LeftOut]:
    """Which groups maps are fitted without: none, one, two for intervals, and half of them."""
    yield ()
    if len(groups) > 1:
        yield from ((k,) for k in groups)
    if intervals and len(groups) > 2:
        yield from combinations(groups, 2)
    if halves and len(groups) == GROUPS:
        for one in HALVES:
            yield one
            yield tuple(k for k in groups if k not in one)


def first_of_largest(values: Float[Tensor, "row column"], tied: Float[Tensor, "row"]) -> Int[Tensor, "row"]:
    """The first column of each row whose value is the largest, or less by at most so much.

    A maximum with its place costs a CPU ten times a maximum alone. So the maxima of blocks come first, then the block,
    then the place within it.

    >>> first_of_largest(torch.tensor([[0.0, 3.0, 3.1]]), torch.tensor([0.2])).tolist()
    [1]
    """
    rows, columns = values.shape
    short = -columns % BLOCK
    if short:
        values = torch.nn.functional.pad(values, (0, short), value=-torch.inf)
    blocks = values.view(rows, -1, BLOCK)
    largest = blocks.amax(-1)
    least = largest.amax(-1) - tied
    block = (largest >= least[:, None]).to(torch.uint8).argmax(-1)
    chosen = blocks[torch.arange(rows, device=values.device), block]
    return block * BLOCK + (chosen >= least[:, None]).to(torch.uint8).argmax(-1)


def cross_fitted(best: BestChannels, left_out: LeftOut = ()) -> tuple[Channels, Channels]:
    """The cross-fitted correlation of every channel with its best one, and the share of variance it explains.

    `CF(c) = sum_k [cross moment of group k at (p_k(c), c)] / (|E_{p_k(c)}| |T_c|)`, the partner `p_k` and its slope
    fitted without group `k`; groups in `left_out` take no part. NaN where a channel is constant.
    """
    pool = best.pools[left_out]
    norm_one, norm_two = pool.norms
    groups = [group for group in best.groups if group not in left_out]
    places = best.places([tuple(sorted((group, *left_out))) for group in groups])
    fits = best.all
    partner, slope, sign = fits.partner[places], fits.slope[places], fits.sign[places]
    product, square = fits.product[places, groups], fits.square[places, groups]
    if left_out:  # from the means of all images to the pool's
        off_one, off = (mine - whole for mine, whole in zip(pool.means, best.whole.means, strict=True))
        off_one, count = off_one[partner], best.moments.found.count[groups][:, None]
        one, two = best.totals[0][groups].gather(1, partner), best.totals[1][groups]
        product = product - off_one * two - off * one + count * off_one * off
        square = square - 2 * off_one * one + count * off_one**2
    norm = norm_one[partner]
    score = torch.where(norm > 0, sign * product / torch.where(norm > 0, norm, 1), 0).sum(0)
    explained = (2 * slope * product - slope**2 * square).sum(0)
    defined = best.defined & (norm_one > 0) & (norm_two > 0)
    norm_two = torch.where(defined, norm_two, torch.nan)
    return score / norm_two, explained / norm_two**2
