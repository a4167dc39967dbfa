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

from equiscope.functional.channel_maps import HALVES, BestChannels, Channels, Fit, Pool

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, inf)
SMALL = 64  # channels that are regressed on themselves, whatever their rank
SINGLE = 320  # channels up to which all is in float64
RANK = 1e-6  # of the largest eigenvalue: less is rounding
WORTH = 0.75  # of the channels: directions are used where they are fewer


@dataclass(frozen=True)
class Eigen:
    """The correlation matrix of what channels are regressed on, on some groups, by its eigenvectors.

    `root` takes directions to units in which every channel has norm 1 on these groups: one number for every channel, or
    a symmetric matrix for directions.
    """

    root: Float[Tensor, "*direction direction"]
    spectrum: Float[Tensor, "direction"]
    vectors: Float[Tensor, "direction direction"]

    @classmethod
    def of(cls, products: Float[Tensor, "direction direction"], root: Tensor) -> "Eigen":
        """Of directions with these products."""
        spectrum, vectors = eigenvectors(_scaled(root, _scaled(root, products).T))
        return cls(root, spectrum.clamp(min=0), vectors)

    def into(self, values: Float[Tensor, "direction other"]) -> Float[Tensor, "direction other"]:
        """What was summed for directions, for the eigenvectors."""
        return self.vectors.T @ _scaled(self.root, values)

    def weights(self, inner: Float[Tensor, "direction other"]) -> Float[Tensor, "direction other"]:
        """Weights of eigenvectors as weights of directions."""
        return _scaled(self.root, self.vectors @ inner)


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
    _eigen: dict[object, Eigen] = field(default_factory=dict)
    _turned: dict[object, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, best: BestChannels) -> "Grams":
        """From moments with Gram matrices."""
        inverse = _inverse(best.whole.norms[0])
        groups, channels = range(len(best.moments.own)), len(inverse)
        number = torch.float64 if channels <= SINGLE else torch.float32
        total = (best.totals[0] * inverse).to(number)
        products = torch.stack([unit_gram(best, k).to(number) for k in groups])
        directions = _spanned(products.sum(0)) if channels > SMALL else None
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

    def eigen(self, groups: Sequence[int], pool: Pool, best: BestChannels) -> Eigen:
        """The correlation matrix on some groups, of the channels that vary there and overall."""
        norm = pool.norms[0]
        usable = best.defined & (norm > 0)
        key = (tuple(groups), tuple(usable.tolist()))
        if key not in self._eigen:
            chosen = list(groups)
            total = self.total[chosen].sum(0)
            products = self.direct[chosen].sum(0).addr_(total, total, alpha=-1 / float(pool.count))
            root = torch.where(usable, _inverse(norm * self.inverse), 0).to(products)
            if self.directions is not None:
                squares, vectors = eigenvectors(self.directions.T @ (root[:, None] ** 2 * self.directions))
                root = (vectors * squares.clamp(min=0).sqrt()) @ vectors.T
            self._eigen[key] = Eigen.of(products, root)
        return self._eigen[key]

    def turned(self, eigen: Eigen, groups: Sequence[int]) -> Float[Tensor, "direction direction"]:
        """The Gram matrix of some groups in the eigenvectors of others."""
        key = (id(eigen), tuple(groups))
        if key not in self._turned:
            self._turned[key] = eigen.into(eigen.into(self.direct[list(groups)].sum(0)).T)
        return self._turned[key]


def unit_gram(best: BestChannels, group: int) -> Float[Tensor, "channel channel"]:
    """One group's Gram matrix of the expected side, of channels with norm 1 over all images, about their means."""
    side, mean, inverse = best.moments.expected, best.whole.means[0], _inverse(best.whole.norms[0])
    assert side.gram is not None
    products = side.gram[group].double() - torch.outer(mean, side.total[group])
    products.addr_(best.totals[0][group], mean, alpha=-1)
    square = side.square[group] - mean * side.total[group] - best.totals[0][group] * mean
    products.diagonal().copy_(square)  # which is summed more exactly
    return products.mul_(inverse[:, None]).mul_(inverse)


def _spanned(correlation: Float[Tensor, "channel channel"]) -> Float[Tensor, "channel direction"] | None:
    """The directions that channels span, where these are markedly fewer than channels."""
    values, vectors = eigenvectors(correlation)
    rank = int((values > RANK * values[-1]).sum())
    return vectors[:, -rank:].contiguous() if 0 < rank < WORTH * len(values) else None


def eigenvectors(matrix: Float[Tensor, "row row"]) -> tuple[Float[Tensor, "row"], Float[Tensor, "row row"]]:
    """The eigenvalues and eigenvectors of a symmetric matrix, in its own type; in float64 where that does not do."""
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except RuntimeError:  # it did not converge
        values, vectors = torch.linalg.eigh(matrix.double())
    return values.to(matrix), vectors.to(matrix)


def _inverse(norm: Channels) -> Channels:
    """One over each norm; 0 where that is 0."""
    return torch.where(norm > 0, 1 / torch.where(norm > 0, norm, 1), 0)


@dataclass(frozen=True)
class Ridge:
    """A map fitted on some groups, for every penalty: best channels, and what is added to them.

    `prediction = slope * partner + sum of weights * directions`, of channels that have norm 1 over all images.
    """

    fit: Fit
    slope: Channels  # of the fit, between channels with norm 1
    eigen: Eigen
    rest: Float[Tensor, "direction channel"]  # what best channels leave, in eigenvectors
    scale: Channels  # of each channel

    @property
    def partner(self) -> Int[Tensor, "channel"]:
        """The best channel for every channel."""
        return self.fit.partner

    def inner(self, penalty: float) -> Float[Tensor, "direction channel"]:
        """The weights of the eigenvectors, in units of the scales."""
        return self.rest / (self.eigen.spectrum + penalty)[:, None]

    def weights(self, penalty: float, channels: Tensor | None = None) -> Float[Tensor, "direction channel"]:
        """The weights of the directions, for some channels or for all."""
        inner, scale = self.inner(penalty), self.scale
        if channels is not None:
            inner, scale = inner[:, channels], scale[channels]
        return self.eigen.weights(inner) * scale

    def weighted(self, penalty: float, values: Float[Tensor, "channel chosen"]) -> Float[Tensor, "direction chosen"]:
        """The weights times values of the channels: far less than all weights, where few are chosen."""
        return self.eigen.weights(self.inner(penalty) @ (self.scale[:, None] * values))


class Regression:
    """Ridge maps of one transformation on one layer, and how well they predict groups of images."""

    def __init__(self, best: BestChannels, grams: Grams) -> None:
        self.best, self.grams = best, grams
        self.inverse = _inverse(best.whole.norms[1])
        self.cross = torch.stack([grams.rows(self.channel_cross(k)) for k in range(len(best.moments.own))])
        self._type = self.cross.dtype

    def channel_cross(self, group: int) -> Float[Tensor, "channel channel"]:
        """One group's products of every expected channel with every found one, both with norm 1 over all images."""
        products = self.best.cross(group)
        products.diagonal().copy_(self.best.own()[group])
        return products.mul_(self.grams.inverse[:, None]).mul_(self.inverse)

    def fitted(self, groups: Sequence[int]) -> Ridge:
        """The map fitted on some groups."""
        left_out = tuple(k for k in self.best.groups if k not in groups)
        pool, fit = self.best.pools[left_out], self.best.fits[left_out]
        eigen = self.grams.eigen(groups, pool, self.best)
        scale = torch.where(self.best.defined, pool.norms[1] * self.inverse, 0).to(self._type)
        inverse = _inverse(scale)
        slope = (fit.slope * self.inverse / _inverse_or_one(self.grams.inverse[fit.partner])).to(self._type)
        chosen = list(groups)
        total = self.grams.total[chosen].sum(0)
        one = (self.best.totals[0][chosen].sum(0) * self.grams.inverse).to(self._type)
        found = (self.best.totals[1][chosen].sum(0) * self.inverse).to(self._type)
        share = -1 / float(pool.count)
        wanted = self.cross[chosen].sum(0).addr_(total, found, alpha=share) * inverse
        mixed = self.grams.mixed[chosen].sum(0).addr_(total, one, alpha=share)
        wanted -= mixed[:, fit.partner] * (slope * inverse)
        return Ridge(fit, slope, eigen, eigen.into(wanted), scale)

    def gains(self, ridge: Ridge, groups: Sequence[int]) -> Float[Tensor, "penalty"]:
        """What the map explains of some groups with each penalty, summed over channels: `2 num - var`.

        Only sums over channels are needed to choose a penalty, and a sum of quadratic forms is one product:
        `sum_c u_c' M u_c = sum_ij M_ij (U U')_ij`.
        """
        chosen = list(groups)
        product, square = self._of_best(ridge, chosen)
        alone = (2 * ridge.slope * product - ridge.slope**2 * square).nansum()
        left = self.cross[chosen].sum(0) - self.grams.mixed[chosen].sum(0)[:, ridge.partner] * ridge.slope
        towards = ridge.eigen.into(left * ridge.scale)
        linear = (ridge.rest * towards).sum(1, dtype=torch.float64)
        scaled = ridge.rest * ridge.scale
        quadratic = (self.grams.turned(ridge.eigen, groups) * (scaled @ scaled.T)).double()
        found = []
        for penalty in PENALTIES:
            shrunk = 1 / (ridge.eigen.spectrum.double() + penalty)
            found.append(alone + 2 * (shrunk * linear).sum() - shrunk @ quadratic @ shrunk)
        return torch.stack(found)

    def _of_best(self, ridge: Ridge, groups: list[int]) -> tuple[Tensor, Tensor]:
        """The products of every channel with its best one and the squares of that, `[group, channel]`."""
        fit, one = ridge.fit, self.grams.inverse[ridge.partner]
        return fit.product[groups] * one * self.inverse, fit.square[groups] * one**2

    def predicted(self, ridge: Ridge, penalty: float, groups: Sequence[int]) -> tuple[Tensor, Tensor]:
        """`num = w' (cross moments)` and `var = w' (Gram) w` of some groups, `[group, channel]` each.

        Centred by the means over all images, of channels with norm 1 over all images.
        """
        product, square = self._of_best(ridge, list(groups))
        if penalty == inf:  # best channels alone
            return ridge.slope * product, ridge.slope**2 * square
        weights = ridge.weights(penalty)
        num, var = [], []
        for row, group in enumerate(groups):
            beside = 2 * ridge.slope * self.grams.mixed[group][:, ridge.partner]
            inner = self.grams.direct[group] @ weights
            num.append(ridge.slope * product[row] + (weights * self.cross[group]).sum(0))
            var.append(ridge.slope**2 * square[row] + (weights * (beside + inner)).sum(0))
        return torch.stack(num), torch.stack(var)


def _inverse_or_one(inverse: Channels) -> Channels:
    """Norms' inverses, as what may be divided by."""
    return torch.where(inverse > 0, inverse, 1)


@dataclass(frozen=True)
class Predictions:
    """How well maps predict the groups that they were not fitted on: `num` and `var`, `[group, channel]`.

    Channels have norm 1 over all images.
    """

    num: Float[Tensor, "group channel"]
    var: Float[Tensor, "group channel"]

    def scores(self, square: Channels, left_out: int | None = None) -> tuple[Channels, Channels]:
        """The correlation with what is found, and the share of its variance that is explained.

        `square` is that of the channels, 1 over all images.
        """
        num, var = self.num.sum(0), self.var.sum(0)
        if left_out is not None:
            num, var = num - self.num[left_out], var - self.var[left_out]
        there = torch.where(square > 0, square, torch.nan)
        var = var.clamp(min=0)
        correlation = torch.where(var > 0, num / torch.where(var > 0, var * there, 1).sqrt(), 0 * there)
        return correlation, (2 * num - var) / there


@dataclass(frozen=True)
class LinearMaps:
    """The maps fitted without each group, at the penalty chosen for it, and all predictions."""

    ridges: dict[int, tuple[Ridge, float]]  # by the group left out
    ninths: Predictions  # by maps fitted on all groups but the one predicted
    # By maps fitted on a half of the groups, averaged over three ways to halve. None under ten groups, and where such
    # maps predict worse than the mean does: nothing can be extrapolated from there.
    halves: Predictions | None


def linear_maps(regression: Regression) -> LinearMaps:
    """Ridge maps cross-fitted over the groups; each penalty is chosen on the groups that are not predicted with it."""
    best = regression.best
    groups = list(best.groups)
    ridges = {k: regression.fitted([j for j in groups if j != k]) for k in groups}
    gained = {k: regression.gains(ridges[k], [k]) for k in groups}
    total = torch.stack(list(gained.values())).sum(0)
    chosen = {k: (ridges[k], PENALTIES[int((total - gained[k]).argmax())]) for k in groups}
    num, var = (torch.zeros_like(best.moments.own) for _ in range(2))
    for k, (ridge, penalty) in chosen.items():
        of_group = regression.predicted(ridge, penalty, [k])
        num[k], var[k] = of_group[0][0], of_group[1][0]
    halves = _halves(regression) if len(groups) == len(best.moments.own) else None
    if halves is not None and not float(halves.scores(best.defined.to(num))[1].nanmean()) >= 0:
        halves = None
    return LinearMaps(chosen, Predictions(num, var), halves)


def _halves(regression: Regression) -> Predictions:
    groups = range(len(regression.cross))
    fits = []
    gain = torch.zeros(len(PENALTIES), dtype=torch.float64, device=regression.cross.device)
    for one in HALVES:
        other = tuple(k for k in groups if k not in one)
        for fitted, scored in ((one, other), (other, one)):
            ridge = regression.fitted(fitted)
            gain += regression.gains(ridge, scored)
            fits.append((ridge, scored))
    penalty = PENALTIES[int(gain.argmax())]
    num, var = (torch.zeros_like(regression.best.moments.own) for _ in range(2))
    for ridge, scored in fits:
        of_groups = regression.predicted(ridge, penalty, scored)
        num[list(scored)] += of_groups[0] / len(HALVES)
        var[list(scored)] += of_groups[1] / len(HALVES)
    return Predictions(num, var)


def laws(
    maps: dict[str, tuple[Regression, LinearMaps]], products: Sequence[tuple[str, str, str]], channels: Tensor
) -> dict[tuple[str, str, str], float]:
    """The share of variance of some channels that maps in succession explain, for triples first, second, product.

    A product that is not among the maps is the identity, whose cross moments are the Gram matrix, of the first of the
    three. Maps are those fitted without the group that is predicted.
    """
    gained = {names: torch.zeros(len(channels), dtype=torch.float64, device=channels.device) for names in products}
    for k in next(iter(maps.values()))[0].best.groups:
        fitted = {name: _Fitted.of(of_name, its, k, channels) for name, (of_name, its) in maps.items()}
        grams: dict[int, Tensor] = {}  # of those that are alike, and of one product, for they are large
        for names in sorted(products, key=lambda names: names[2]):
            onto = fitted.get(names[2], fitted[names[0]])
            if (key := id(onto.regression.grams)) not in grams:
                grams = {key: unit_gram(onto.regression.best, k).to(onto.regression.cross.dtype)}
            gram = grams[key]
            if names[2] in fitted:
                target, norm = onto.target, onto.regression.inverse
            else:
                target, norm = gram[:, channels], onto.regression.grams.inverse
            together = fitted[names[0]].before(fitted[names[1]], onto.regression.grams.inverse)
            together *= norm[channels].to(gram)
            gained[names] += (2 * together * target).sum(0) - (together * (gram @ together)).sum(0)
    return {names: float(gain.nanmean()) for names, gain in gained.items()}


@dataclass(frozen=True)
class _Fitted:
    """A transformation's map without one group, from channels with norm 1; the chosen ones of what it gives apart."""

    regression: Regression
    ridge: Ridge
    penalty: float
    chosen: Float[Tensor, "channel chosen"]  # in the units of what it gives
    target: Float[Tensor, "channel chosen"]  # cross moments of the group

    @classmethod
    def of(cls, regression: Regression, maps: LinearMaps, group: int, channels: Tensor) -> "_Fitted":
        ridge, penalty = maps.ridges[group]
        chosen = regression.grams.channels(ridge.weights(penalty, channels)).clone()
        chosen[ridge.partner[channels], torch.arange(len(channels), device=channels.device)] += ridge.slope[channels]
        chosen *= _inverse(regression.inverse)[channels].to(chosen)
        return cls(regression, ridge, penalty, chosen, regression.channel_cross(group)[:, channels].to(chosen))

    def before(self, second: "_Fitted", inverse: Channels) -> Float[Tensor, "channel chosen"]:
        """The map that this one and then a second are, from channels of other norms; `inverse` is one over these."""
        grams, its = self.regression.grams, second.regression.grams
        between = (_inverse(self.regression.inverse) * its.inverse)[:, None].to(second.chosen)
        columns = between * second.chosen
        together = grams.channels(self.ridge.weighted(self.penalty, columns)).clone()
        together.index_add_(0, self.ridge.partner, self.ridge.slope[:, None] * columns)
        return together * (grams.inverse * _inverse(inverse))[:, None].to(together)
