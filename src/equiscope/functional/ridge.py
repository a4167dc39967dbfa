"""The linear rung: a ridge regression of every channel on all channels, that shrinks towards the best channel.

`W = B + (R + a I)^-1 (Y - R B)`, with `R` the correlation matrix of the expected side, `Y` its correlations with the
found side, and `B` the map of best channels. It is fitted on some groups of images and scored on others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

import torch
from jaxtyping import Float
from torch import Tensor

from equiscope.functional.channel_maps import HALVES, BestChannels, Channels, Fit, Pool

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, inf)
REDUCED = 320  # channels: more are regressed on the leading directions of their correlation matrix, in float32
DIRECTIONS = 256


@dataclass(frozen=True)
class Eigen:
    """The correlation matrix of what channels are regressed on, on some groups, by its eigenvectors."""

    scale: Float[Tensor, "direction"]  # one over the norm of each direction
    spectrum: Float[Tensor, "direction"]
    vectors: Float[Tensor, "direction direction"]


@dataclass
class Grams:
    """The Gram matrices of the expected side, group by group, about the means of all images.

    Channels are regressed on themselves, or, where there are many, on the leading `directions` of their correlation
    matrix (a column for each, in units of the channels' values). Transformations that only permute positions share all
    of this.
    """

    directions: Float[Tensor, "channel direction"] | None
    direct: Float[Tensor, "group direction direction"]  # of directions
    mixed: Float[Tensor, "group direction channel"]  # of directions with channels
    total: Float[Tensor, "group direction"]
    _eigen: dict[object, Eigen] = field(default_factory=dict)
    _turned: dict[object, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, best: BestChannels) -> "Grams":
        """From moments with Gram matrices."""
        side, mean = best.moments.expected, best.whole.means[0]
        assert side.gram is not None
        centred = side.total - side.count[:, None] * mean
        if len(mean) <= REDUCED:
            products = torch.stack([_about_mean(side.gram[k], side.total[k], mean, side.count[k]) for k in range(10)])
            return cls(None, products, products, centred)
        norm = torch.where(best.defined, best.whole.norms[0], 0)
        inverse = torch.where(norm > 0, 1 / norm, 0)
        gram = _about_mean(side.gram.sum(0, dtype=torch.float64), side.total.sum(0), mean, side.count.sum())
        _, vectors = torch.linalg.eigh((gram * inverse[:, None] * inverse).float())
        directions = vectors[:, -DIRECTIONS:] * inverse[:, None].float()
        mixed = torch.stack(
            [
                directions.T @ _about_mean(side.gram[k], side.total[k], mean, side.count[k]).float()
                for k in range(len(side.gram))
            ]
        )
        return cls(directions, mixed @ directions, mixed, centred.float() @ directions)

    def rows(self, values: Float[Tensor, "channel *rest"]) -> Tensor:
        """What was summed for every channel, for every direction."""
        return values if self.directions is None else self.directions.T @ values.float()

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
            if self.directions is None:
                scale = torch.where(usable, 1 / torch.where(usable, norm, 1), 0)
            else:
                share = (pool.squares[0][usable] / best.whole.squares[0][usable]).mean()
                scale = share.rsqrt().to(products).expand(len(products))
            spectrum, vectors = torch.linalg.eigh(products * scale[:, None] * scale)
            self._eigen[key] = Eigen(scale, spectrum.clamp(min=0), vectors)
        return self._eigen[key]

    def turned(self, eigen: Eigen, groups: Sequence[int]) -> Float[Tensor, "direction direction"]:
        """The Gram matrix of some groups in the eigenvectors of others."""
        key = (id(eigen), tuple(groups))
        if key not in self._turned:
            products = self.direct[list(groups)].sum(0) * eigen.scale[:, None] * eigen.scale
            self._turned[key] = eigen.vectors.T @ products @ eigen.vectors
        return self._turned[key]


def _about_mean(products: Tensor, total: Tensor, mean: Tensor, count: Tensor) -> Tensor:
    """The products of a side with itself, less its mean."""
    centred = products.double() - torch.outer(mean, total)
    return centred.addr_(total - count * mean, mean, alpha=-1)


@dataclass(frozen=True)
class Ridge:
    """A map fitted on some groups, for every penalty: best channels, and what is added to them.

    In units of the values: `prediction = slope * partner + sum of weights * directions`.
    """

    fit: Fit
    eigen: Eigen
    rest: Float[Tensor, "direction channel"]  # what best channels leave, in eigenvectors
    scale: Channels  # of each channel

    def inner(self, penalty: float) -> Float[Tensor, "direction channel"]:
        """The weights of the eigenvectors, in units of the scales."""
        return self.rest / (self.eigen.spectrum + penalty)[:, None]

    def weights(self, penalty: float) -> Float[Tensor, "direction channel"]:
        """The weights of the directions."""
        if penalty == inf:
            return torch.zeros_like(self.rest)
        return self.eigen.scale[:, None] * (self.eigen.vectors @ self.inner(penalty)) * self.scale


class Regression:
    """Ridge maps of one transformation on one layer, and how well they predict groups of images."""

    def __init__(self, best: BestChannels, grams: Grams) -> None:
        self.best, self.grams = best, grams
        self.whole = best.whole
        self.cross = torch.stack([grams.rows(self.channel_cross(k)) for k in range(len(best.moments.own))])
        self._type = self.cross.dtype

    def channel_cross(self, group: int) -> Float[Tensor, "channel channel"]:
        """One group's products of every expected channel with every found one, about the means of all images."""
        products = self.best.cross(group)
        products.diagonal().copy_(self.best.own()[group])
        return products

    def fitted(self, groups: Sequence[int]) -> Ridge:
        """The map fitted on some groups."""
        left_out = tuple(k for k in self.best.groups if k not in groups)
        pool, fit = self.best.pools[left_out], self.best.fits[left_out]
        eigen = self.grams.eigen(groups, pool, self.best)
        norm = pool.norms[1]
        scale = torch.where(self.best.defined & (norm > 0), norm, 0)
        inverse = torch.where(scale > 0, 1 / torch.where(scale > 0, scale, 1), 0).to(self._type)
        chosen = list(groups)
        total = self.grams.total[chosen].sum(0)
        one, found = (totals[chosen].sum(0).to(self._type) for totals in self.best.totals)
        share = -1 / float(pool.count)
        wanted = self.cross[chosen].sum(0).addr_(total, found, alpha=share) * inverse
        mixed = self.grams.mixed[chosen].sum(0).addr_(total, one, alpha=share)
        wanted -= mixed[:, fit.partner] * (fit.slope.to(self._type) * inverse)
        rest = eigen.vectors.T @ (wanted * eigen.scale[:, None])
        return Ridge(fit, eigen, rest, scale.to(self._type))

    def predicted(self, ridge: Ridge, groups: Sequence[int]) -> tuple[Tensor, Tensor]:
        """`num = w' (cross moments)` and `var = w' (Gram) w` of some groups, `[penalty, channel]` each.

        Centred by the means over all images.
        """
        towards, beside, num, var = self._predicted_by_best(ridge, groups)
        gram = self.grams.turned(ridge.eigen, groups)
        nums, variances = [], []
        for penalty in PENALTIES:
            if penalty == inf:
                nums.append(num)
                variances.append(var)
                continue
            weights = ridge.inner(penalty)
            nums.append(num + (weights * towards).sum(0))
            inner = (gram @ weights) * ridge.scale**2
            variances.append(var + (weights * (beside + inner)).sum(0))
        return torch.stack(nums), torch.stack(variances)

    def _predicted_by_best(self, ridge: Ridge, groups: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the added weights are multiplied by, in eigenvectors, and `num` and `var` of best channels alone."""
        chosen, fit = list(groups), ridge.fit
        product, square = fit.product[chosen].sum(0), fit.square[chosen].sum(0)
        scaled = ridge.eigen.scale[:, None] * ridge.scale
        towards = ridge.eigen.vectors.T @ (self.cross[chosen].sum(0) * scaled)
        mixed = self.grams.mixed[chosen].sum(0)[:, fit.partner] * scaled
        beside = (ridge.eigen.vectors.T @ mixed) * (2 * fit.slope).to(self._type)
        return towards, beside, fit.slope * product, fit.slope**2 * square

    def predicted_by_one(self, ridge: Ridge, penalty: float, groups: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The same of one penalty, `[group, channel]` each."""
        weights = ridge.weights(penalty)
        partner, slope = ridge.fit.partner, ridge.fit.slope
        num, var = [], []
        for group in groups:
            product, square = ridge.fit.product[group], ridge.fit.square[group]
            beside = 2 * slope.to(self._type) * self.grams.mixed[group][:, partner]
            inner = self.grams.direct[group] @ weights
            num.append(slope * product + (weights * self.cross[group]).sum(0))
            var.append(slope**2 * square + (weights * (beside + inner)).sum(0))
        return torch.stack(num), torch.stack(var)


@dataclass(frozen=True)
class Predictions:
    """How well maps predict the groups that they were not fitted on: `num` and `var`, `[group, channel]`."""

    num: Float[Tensor, "group channel"]
    var: Float[Tensor, "group channel"]

    def scores(self, square: Channels, left_out: int | None = None) -> tuple[Channels, Channels]:
        """The correlation with what is found, and the share of its variance that is explained; `square` is |T|^2."""
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
    halves: Predictions | None  # by maps fitted on a half of the groups, averaged over three ways to halve


def linear_maps(regression: Regression) -> LinearMaps:
    """Ridge maps cross-fitted over the groups; each penalty is chosen on the groups that are not predicted with it."""
    best = regression.best
    groups = list(best.groups)
    square = torch.where(best.defined, best.whole.squares[1], torch.nan)
    ridges = {k: regression.fitted([j for j in groups if j != k]) for k in groups}
    parts = {k: regression.predicted(ridges[k], [k]) for k in groups}
    gained = {k: _gain(num, var, square) for k, (num, var) in parts.items()}
    total = torch.stack(list(gained.values())).sum(0)
    chosen = {k: int((total - gained[k]).argmax()) for k in groups}
    num, var = (square.new_zeros(len(best.moments.own), len(square)) for _ in range(2))
    for k in groups:
        num[k], var[k] = (part[chosen[k]] for part in parts[k])
    halves = _halves(regression, square) if len(groups) == len(best.moments.own) else None
    return LinearMaps({k: (ridges[k], PENALTIES[chosen[k]]) for k in groups}, Predictions(num, var), halves)


def _gain(num: Tensor, var: Tensor, square: Channels) -> Tensor:
    """What each penalty explains, summed over channels."""
    return ((2 * num - var) / square).nansum(-1)


def _halves(regression: Regression, square: Channels) -> Predictions:
    groups = range(len(regression.cross))
    fits = []
    gain = square.new_zeros(len(PENALTIES))
    for one in HALVES:
        other = tuple(k for k in groups if k not in one)
        for fitted, scored in ((one, other), (other, one)):
            ridge = regression.fitted(fitted)
            gain += _gain(*regression.predicted(ridge, scored), square)
            fits.append((ridge, scored))
    penalty = PENALTIES[int(gain.argmax())]
    num, var = (square.new_zeros(len(groups), len(square)) for _ in range(2))
    for ridge, scored in fits:
        of_groups = regression.predicted_by_one(ridge, penalty, scored)
        num[list(scored)] += of_groups[0] / len(HALVES)
        var[list(scored)] += of_groups[1] / len(HALVES)
    return Predictions(num, var)


def laws(
    maps: dict[str, tuple[Regression, LinearMaps]], products: Sequence[tuple[str, str, str]], channels: Tensor
) -> dict[tuple[str, str, str], float]:
    """The share of variance of some channels that maps in succession explain, for triples first, second, product.

    A product that is not among the maps is the identity, whose cross moments are the Gram matrix. Maps are those fitted
    without the group that is predicted.
    """
    regression = next(iter(maps.values()))[0]
    gained = {names: torch.zeros(len(channels), dtype=torch.float64, device=channels.device) for names in products}
    for k in regression.best.groups:
        gram = _channel_gram(regression, k)
        weights = {name: its.ridges[k][0].weights(its.ridges[k][1]) for name, (_, its) in maps.items()}
        cross = {name: of_name.channel_cross(k)[:, channels].to(gram) for name, (of_name, _) in maps.items()}
        second = {name: _columns(maps[name], k, weights[name], channels) for name in maps}
        for names in products:
            first = maps[names[0]]
            together = _applied(first, k, weights[names[0]], second[names[1]])
            target = cross[names[2]] if names[2] in cross else gram[:, channels]
            gained[names] += (2 * together * target).sum(0) - (together * (gram @ together)).sum(0)
    found = {}
    for names, gain in gained.items():
        whole = maps[names[2]][0].whole.squares[1] if names[2] in maps else regression.whole.squares[0]
        square = whole[channels]
        found[names] = float((gain / torch.where(square > 0, square, torch.nan)).nanmean())
    return found


def _columns(of: tuple[Regression, LinearMaps], group: int, weights: Tensor, channels: Tensor) -> Tensor:
    """Some columns of a map: the weights of every expected channel in these found ones."""
    regression, fit = of[0], of[1].ridges[group][0].fit
    columns = regression.grams.channels(weights[:, channels]).clone()
    chosen = torch.arange(len(channels), device=channels.device)
    columns[fit.partner[channels], chosen] += fit.slope[channels].to(columns)
    return columns


def _applied(of: tuple[Regression, LinearMaps], group: int, weights: Tensor, columns: Tensor) -> Tensor:
    """A map times some columns of another."""
    regression, fit = of[0], of[1].ridges[group][0].fit
    applied = regression.grams.channels(weights @ columns).clone()
    return applied.index_add_(0, fit.partner, fit.slope[:, None].to(columns) * columns)


def _channel_gram(regression: Regression, group: int) -> Tensor:
    """One group's Gram matrix of channels, in the type that its maps are in."""
    side, mean = regression.best.moments.expected, regression.whole.means[0]
    assert side.gram is not None
    return _about_mean(side.gram[group], side.total[group], mean, side.count[group]).to(regression.cross.dtype)
