"""The linear rung: a ridge regression of every channel on all channels, that shrinks towards the best channel.

`W = B + (R + a I)^-1 (Y - R B)`, with `R` the correlation matrix of the expected side, `Y` its correlations with the
found side, and `B` the map of best channels. It is fitted on some groups of images and scored on others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

import torch
from jaxtyping import Float, Int
from torch import Tensor

from equiscope.functional.channel_maps import BestChannels, Channels, Fit, Pool, less_means

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, inf)
SMALL = 64  # channels that are regressed on themselves, whatever their rank
SINGLE = 320  # channels up to which all is in float64
LEAST = {torch.float64: 1e-6, torch.float32: 3e-3}  # of a channel's norm over all images: less is rounding
RANK = 1e-6  # of the largest eigenvalue: less is rounding
WORTH = 0.75  # of the channels: directions are used where they are fewer
SOME = 128  # channels, evenly spaced, of more than `SINGLE`: what a penalty is chosen on
FEW = 0.5  # of the channels: so many are regressed without the inverse


@dataclass
class Correlations:
    """The correlation matrix of what channels are regressed on, on some groups.

    `root` takes directions to units in which every channel has norm 1 on these groups: one number for every channel, or
    a symmetric matrix for directions.
    """

    root: Float[Tensor, "*direction direction"]
    matrix: Float[Tensor, "direction direction"]
    _factor: tuple[float, Tensor] | None = None  # the last penalty, and what it gave
    _inverse: tuple[float, Tensor] | None = None

    @classmethod
    def of(cls, products: Float[Tensor, "direction direction"], root: Tensor) -> "Correlations":
        """Of directions with these products."""
        return cls(root, _scaled(root, _scaled(root, products).T))

    def regressed(self, penalty: float, wanted: Float[Tensor, "direction other"]) -> Float[Tensor, "direction other"]:
        """The weights of directions that predict what has these products with them: `root (R + a I)^-1 wanted`."""
        factor = self._factored(penalty)
        if wanted.shape[1] < FEW * len(factor):
            return _scaled(self.root, torch.cholesky_solve(wanted, factor))
        if self._inverse is None or self._inverse[0] != penalty:
            self._inverse = penalty, torch.cholesky_inverse(factor)
        return _scaled(self.root, self._inverse[1] @ wanted)

    def forget(self) -> None:
        """Let go of what is found again: it is as large as the matrix."""
        self._factor = self._inverse = None

    def into(self, values: Float[Tensor, "direction other"]) -> Float[Tensor, "direction other"]:
        """What was summed for directions, in units in which channels have norm 1 on these groups."""
        return _scaled(self.root, values)

    def _factored(self, penalty: float) -> Float[Tensor, "direction direction"]:
        """The Cholesky factor of `R + a I`; of float64, where rounding has left it no positive definite matrix."""
        if self._factor is None or self._factor[0] != penalty:
            penalised = self.matrix.clone()
            penalised.diagonal().add_(penalty)
            factor, failed = torch.linalg.cholesky_ex(penalised)
            if int(failed):
                values, vectors = eigenvectors(self.matrix.double())
                root = vectors * (values.clamp(min=0) + penalty).sqrt()
                factor = torch.linalg.qr(root.T).R.T.to(self.matrix)
            self._factor = penalty, factor
        return self._factor[1]


def of_groups(values: Float[Tensor, "group row column"], groups: Sequence[int]) -> Float[Tensor, "row column"]:
    """The sum of some groups, by one read of each; it may be written to."""
    first, *others = groups
    total = values[first].clone()
    for group in others:
        total += values[group]
    return total


def _scaled(root: Tensor, values: Tensor) -> Tensor:
    return root @ values if root.ndim == 2 else root[:, None] * values


@dataclass
class Grams:
    """The Gram matrices of the expected side, group by group: correlations, for every channel is taken with norm 1.

    Values are about the means of all images. Channels are regressed on themselves, or, where they span fewer
    dimensions, as vectors of few images do, on the `directions` that they span, a column for each. Transformations that
    only permute positions share all of this.
    """

    directions: Float[Tensor, "channel direction"] | None
    direct: Float[Tensor, "group direction direction"]  # of directions
    mixed: Float[Tensor, "group direction channel"]  # of directions with channels
    total: Float[Tensor, "group direction"]
    inverse: Channels  # of the norms; 0 where a channel is constant
    _correlations: dict[object, Correlations] = field(default_factory=dict)

    @classmethod
    def of(cls, best: BestChannels) -> "Grams":
        """From moments with Gram matrices."""
        inverse = inverse_of(best.whole.norms[0])
        groups, channels = range(len(best.moments.own)), len(inverse)
        number = torch.float64 if channels <= SINGLE else torch.float32
        total = (best.totals[0] * inverse).to(number)
        products = torch.stack([unit_gram(best, k, number) for k in groups])
        samples = int(best.whole.count)  # they span no more dimensions
        few = samples < WORTH * channels and channels > SMALL
        directions = _spanned(products.sum(0), samples) if few else None
        if directions is None:
            return cls(None, products, products, total, inverse)
        mixed = directions.T @ products
        return cls(directions, mixed @ directions, mixed, total @ directions, inverse)

    def rows(self, values: Float[Tensor, "channel *rest"]) -> Tensor:
        """What was summed for every channel, for every direction."""
        values = values.to(self.direct)
        return values if self.directions is None else self.directions.T @ values

    def channels(self, weights: Float[Tensor, "direction chosen"]) -> Float[Tensor, "channel chosen"]:
        """Weights of directions as weights of channels."""
        return weights if self.directions is None else self.directions @ weights

    def correlations(self, groups: Sequence[int], pool: Pool, best: BestChannels) -> Correlations:
        """The correlation matrix on some groups, of the channels that vary there and overall.

        A channel that hardly varies there beside the other groups has products there that are rounding.
        """
        norm = pool.norms[0]
        usable = best.defined & (norm * self.inverse > LEAST[self.direct.dtype])
        key = (tuple(groups), tuple(usable.tolist()))
        if key not in self._correlations:
            chosen = list(groups)
            total = self.total[chosen].sum(0)
            products = of_groups(self.direct, chosen).addr_(total, total, alpha=-1 / float(pool.count))
            root = torch.where(usable, inverse_of(norm * self.inverse), 0).to(products)
            if self.directions is not None:
                squares, vectors = eigenvectors(self.directions.T @ (root[:, None] ** 2 * self.directions))
                root = (vectors * squares.clamp(min=0).sqrt()) @ vectors.T
            self._correlations[key] = Correlations.of(products, root)
        return self._correlations[key]


def unit_gram(best: BestChannels, group: int, number: torch.dtype) -> Float[Tensor, "channel channel"]:
    """One group's Gram matrix of the expected side, of channels with norm 1 over all images, about their means."""
    side, mean, inverse = best.moments.expected, best.whole.means[0], inverse_of(best.whole.norms[0])
    assert side.gram is not None
    products = less_means(side.gram[group], (mean, best.totals[0][group]), (side.total[group], mean), number)
    square = side.square[group] - mean * side.total[group] - best.totals[0][group] * mean
    products.diagonal().copy_(square)  # which is summed more exactly
    inverse = inverse.to(products)
    return products.mul_(inverse[:, None]).mul_(inverse).to(number)


def _spanned(correlation: Float[Tensor, "channel channel"], most: int) -> Float[Tensor, "channel direction"] | None:
    """The directions, `most` at most, that channels span; None where they span none.

    What the matrix makes of so many random vectors spans them, too, and costs far less than all its eigenvectors.
    """
    exact = correlation.double()
    drawn = torch.randn(len(exact), most, dtype=exact.dtype, generator=torch.Generator().manual_seed(0))
    basis = torch.linalg.qr(exact @ drawn.to(exact.device)).Q
    values, vectors = eigenvectors(basis.T @ exact @ basis)
    rank = int((values > RANK * values[-1]).sum())
    return (basis @ vectors[:, -rank:]).to(correlation) if rank else None


def eigenvectors(matrix: Float[Tensor, "row row"]) -> tuple[Float[Tensor, "row"], Float[Tensor, "row row"]]:
    """The eigenvalues and eigenvectors of a symmetric matrix, in its own type; in float64 where that does not do."""
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except RuntimeError:  # it did not converge
        values, vectors = torch.linalg.eigh(matrix.double())
    return values.to(matrix), vectors.to(matrix)


def inverse_of(norm: Channels) -> Channels:
    """One over each norm; 0 where that is 0."""
    return torch.where(norm > 0, 1 / torch.where(norm > 0, norm, 1), 0)


def some_of(channels: Int[Tensor, "channel"]) -> Int[Tensor, "chosen"]:
    """All of these channels, or, of more than `SINGLE`, `SOME` that are evenly spaced."""
    if len(channels) <= SINGLE:
        return channels
    return channels[torch.linspace(0, len(channels) - 1, SOME).round().long().to(channels.device)]


@dataclass(frozen=True)
class Ridge:
    """A map fitted on some groups, for every penalty: best channels, and what is added to them.

    `prediction = slope * partner + sum of weights * directions`, of channels that have norm 1 over all images.
    """

    fit: Fit
    slope: Channels  # of the fit, between channels with norm 1
    correlations: Correlations
    rest: Float[Tensor, "direction channel"]  # what best channels leave, in units of the correlations
    scale: Channels  # of each channel

    @property
    def partner(self) -> Int[Tensor, "channel"]:
        """The best channel for every channel."""
        return self.fit.partner

    def weights(self, penalty: float, channels: Tensor | None = None) -> Float[Tensor, "direction channel"]:
        """The weights of the directions, for some channels or for all."""
        rest, scale = (self.rest, self.scale) if channels is None else (self.rest[:, channels], self.scale[channels])
        return self.correlations.regressed(penalty, rest) * scale

    def weighted(self, penalty: float, values: Float[Tensor, "channel chosen"]) -> Float[Tensor, "direction chosen"]:
        """The weights times values of the channels: far less than all weights, where few are chosen."""
        return self.correlations.regressed(penalty, self.rest @ (self.scale[:, None] * values))


@dataclass(frozen=True)
class Choosing:
    """What a penalty is chosen by: how well some channels of some groups are predicted by a map fitted on others."""

    ridge: Ridge
    channels: Int[Tensor, "chosen"]
    alone: Float[Tensor, ""]  # what best channels explain
    left: Float[Tensor, "direction chosen"]  # what they leave

    def gain(self, penalty: float, direct: Float[Tensor, "direction direction"]) -> Float[Tensor, ""]:
        """What the map explains, summed over the channels: `2 num - var`; `direct` is the Gram matrix of the groups."""
        if penalty == inf:
            return self.alone
        weights = self.ridge.weights(penalty, self.channels)
        return self.alone + (weights * (2 * self.left - direct @ weights)).sum(dtype=torch.float64)


class Regression:
    """Ridge maps of one transformation on one layer, and how well they predict groups of images."""

    def __init__(self, best: BestChannels, grams: Grams) -> None:
        self.best, self.grams = best, grams
        self.inverse = inverse_of(best.whole.norms[1])
        self.cross = torch.stack([grams.rows(self.channel_cross(k)) for k in range(len(best.moments.own))])
        self._type = self.cross.dtype

    def channel_cross(self, group: int) -> Float[Tensor, "channel channel"]:
        """One group's products of every expected channel with every found one, both with norm 1 over all images."""
        products = self.best.cross(group, self.grams.direct.dtype)
        products.diagonal().copy_(self.best.own()[group])
        return products.mul_(self.grams.inverse[:, None].to(products)).mul_(self.inverse.to(products))

    def fitted(self, groups: Sequence[int]) -> Ridge:
        """The map fitted on some groups."""
        left_out = tuple(k for k in self.best.groups if k not in groups)
        pool, fit = self.best.pools[left_out], self.best.fit(left_out)
        correlations = self.grams.correlations(groups, pool, self.best)
        scale = torch.where(self.best.defined, pool.norms[1] * self.inverse, 0).to(self._type)
        inverse = inverse_of(scale)
        slope = (fit.slope * self.inverse / _inverse_or_one(self.grams.inverse[fit.partner])).to(self._type)
        chosen = list(groups)
        total = self.grams.total[chosen].sum(0)
        one = (self.best.totals[0][chosen].sum(0) * self.grams.inverse).to(self._type)
        found = (self.best.totals[1][chosen].sum(0) * self.inverse).to(self._type)
        share = -1 / float(pool.count)
        wanted = of_groups(self.cross, chosen).addr_(total, found, alpha=share).mul_(inverse)
        mixed = of_groups(self.grams.mixed, chosen).addr_(total, one, alpha=share)
        wanted -= mixed[:, fit.partner].mul_(slope * inverse)
        return Ridge(fit, slope, correlations, correlations.into(wanted), scale)

    def to_choose_by(self, ridge: Ridge, groups: Sequence[int]) -> "Choosing":
        """What a penalty is chosen by, on some groups: of a wide layer by `SOME` channels."""
        chosen, channels = list(groups), self._spaced
        partner, slope = ridge.partner[channels], ridge.slope[channels]
        product, square = (values[:, channels] for values in self._of_best(ridge, chosen))
        alone = (2 * slope * product - slope**2 * square).nansum().double()
        left = sum(self.cross[k][:, channels] - self.grams.mixed[k][:, partner] * slope for k in chosen)
        assert isinstance(left, Tensor)
        return Choosing(ridge, channels, alone, left)

    @property
    def wide(self) -> bool:
        """Whether more than `SINGLE` channels are regressed on themselves."""
        return self.grams.directions is None and len(self.inverse) > SINGLE

    @property
    def _spaced(self) -> Int[Tensor, "chosen"]:
        channels = torch.arange(len(self.inverse), device=self.inverse.device)
        return some_of(channels) if self.wide else channels

    def _of_best(self, ridge: Ridge, groups: list[int]) -> tuple[Tensor, Tensor]:
        """The products of every channel with its best one and the squares of that, `[group, channel]`."""
        fit, one = ridge.fit, self.grams.inverse[ridge.partner]
        return fit.product[groups] * one * self.inverse, fit.square[groups] * one**2

    def predicted(self, ridge: Ridge, penalty: float, groups: Sequence[int]) -> tuple[Tensor, Tensor]:
        """`num = w' (cross moments)` and `var = w' (Gram) w` of some groups, `[group, channel]` each.

        Centred by the means over all images, of channels with norm 1 over all images.
        """
        chosen = list(groups)
        product, square = self._of_best(ridge, chosen)
        if penalty == inf:  # best channels alone
            return ridge.slope * product, ridge.slope**2 * square
        weights = ridge.weights(penalty)
        num = torch.stack([(weights * self.cross[k]).sum(0) for k in chosen])
        var = self._variances(weights, ridge, chosen)
        return ridge.slope * product + num, ridge.slope**2 * square + var

    def _variances(self, weights: Tensor, ridge: Ridge, groups: list[int]) -> Float[Tensor, "group channel"]:
        """`w' (Gram) w` of each group, less that of the best channel alone.

        A product for each of several groups is what costs most of a wide layer: there it is made of their sum, and is
        shared among groups as it is for `SOME` channels, which moves intervals alone.
        """
        grams, channels = self.grams, self._spaced
        shared = len(groups) > 1 and self.wide
        some = channels if shared else slice(None)
        few, partner, slope = weights[:, some], ridge.partner[some], ridge.slope[some]
        each = torch.stack(
            [(few * (2 * slope * grams.mixed[k][:, partner] + grams.direct[k] @ few)).sum(0) for k in groups]
        )
        if not shared:
            return each
        beside = of_groups(grams.mixed, groups)[:, ridge.partner].mul_(2 * ridge.slope)
        together = (weights * beside.addmm_(of_groups(grams.direct, groups), weights)).sum(0)
        parts = each.nansum(1, dtype=torch.float64)
        return (parts / parts.sum())[:, None].to(together) * together


def _inverse_or_one(inverse: Channels) -> Channels:
    """Norms' inverses, as what may be divided by."""
    return torch.where(inverse > 0, inverse, 1)
