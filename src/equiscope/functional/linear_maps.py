"""Linear maps, cross-fitted: fitted on some groups of images and scored on others; and the group law that they obey."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from equiscope.functional.channel_maps import HALVES, Channels
from equiscope.functional.ridge import PENALTIES, Regression, Ridge, inverse_of, of_groups, unit_gram

Choice = TypeVar("Choice")


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

    regression: Regression
    ridges: dict[int, tuple[Ridge, float]]  # by the group left out
    ninths: Predictions | None  # by maps fitted on all groups but the one predicted; None of fewer than two groups
    halves: Predictions | None  # by maps fitted on half of the groups, over three ways to halve; None under ten groups

    @cached_property
    def extrapolate(self) -> bool:
        """Whether anything can be extrapolated: maps fitted on halves do not predict worse than the mean does."""
        if self.halves is None:
            return False
        defined = self.regression.best.defined
        return float(self.halves.scores(defined.to(self.halves.num))[1].nanmean()) >= 0


def linear_maps(regressions: Sequence[Regression]) -> list[LinearMaps]:
    """Ridge maps cross-fitted over the groups; each penalty is chosen on the groups that are not predicted with it.

    The regressions are of transformations that share what channels are regressed on.
    """
    best = regressions[0].best
    groups = list(best.groups)
    if len(groups) < 2:
        return [LinearMaps(one, {}, None, None) for one in regressions]
    fits = {k: [one.fitted([j for j in groups if j != k]) for one in regressions] for k in groups}
    gained = {k: _gains(regressions, fits[k], [k]) for k in _some(groups, regressions)}
    total = torch.stack(list(gained.values())).sum(0)
    chosen = {k: [PENALTIES[int(place)] for place in (total - gained.get(k, 0)).argmax(1)] for k in groups}
    ninths = [_nothing(one) for one in regressions]
    for k in groups:
        for one, ridge, penalty, its in zip(regressions, fits[k], chosen[k], ninths, strict=True):
            num, var = one.predicted(ridge, penalty, [k])
            its.num[k], its.var[k] = num[0], var[0]
        _forget(fits[k])
    halves: Sequence[Predictions | None] = [None] * len(regressions)
    if len(groups) == len(best.moments.own):
        halves = _halves(regressions)
    return [
        LinearMaps(one, {k: (fits[k][place], chosen[k][place]) for k in groups}, ninths[place], halves[place])
        for place, one in enumerate(regressions)
    ]


def _halves(regressions: Sequence[Regression]) -> list[Predictions]:
    groups = range(len(regressions[0].cross))
    fits = []
    gained = []
    to_choose_by = _some(HALVES, regressions)
    for one in HALVES:
        other = tuple(k for k in groups if k not in one)
        for fitted, left in ((one, other), (other, one)):
            ridges = [regression.fitted(fitted) for regression in regressions]
            if one in to_choose_by:
                gained.append(_gains(regressions, ridges, left))
            fits.append((ridges, list(left)))
    chosen = [PENALTIES[int(place)] for place in torch.stack(gained).sum(0).argmax(1)]
    found = [_nothing(one) for one in regressions]
    for ridges, scored in fits:
        for regression, ridge, penalty, its in zip(regressions, ridges, chosen, found, strict=True):
            num, var = regression.predicted(ridge, penalty, scored)
            its.num[scored] += num / len(HALVES)
            its.var[scored] += var / len(HALVES)
        _forget(ridges)
    return found


def _some(choices: Sequence[Choice], regressions: Sequence[Regression]) -> Sequence[Choice]:
    """What penalties are chosen by: every second choice of groups, where channels are many."""
    return choices[::2] if regressions[0].wide else choices


def _gains(
    regressions: Sequence[Regression], ridges: Sequence[Ridge], groups: Sequence[int]
) -> Float[Tensor, "transformation penalty"]:
    """What maps explain of some groups with each penalty: penalty by penalty, since its factor is shared."""
    choosing = [one.to_choose_by(ridge, groups) for one, ridge in zip(regressions, ridges, strict=True)]
    direct = of_groups(regressions[0].grams.direct, groups)
    gained = [[one.gain(penalty, direct) for one in choosing] for penalty in PENALTIES]
    _forget(ridges)
    return torch.stack([torch.stack(of_penalty) for of_penalty in gained]).T


def _forget(ridges: Sequence[Ridge]) -> None:
    for ridge in ridges:
        ridge.correlations.forget()


def _nothing(regression: Regression) -> Predictions:
    num, var = (torch.zeros_like(regression.best.moments.own) for _ in range(2))
    return Predictions(num, var)


def laws(
    maps: dict[str, LinearMaps], products: Sequence[tuple[str, str, str]], channels: Tensor
) -> dict[tuple[str, str, str], float]:
    """The share of variance of some channels that maps in succession explain, for triples first, second, product.

    A product that is not among the maps is the identity, whose cross moments are the Gram matrix, of the first of the
    three. Maps are those fitted without the group that is predicted.
    """
    gained = {names: torch.zeros(len(channels), dtype=torch.float64, device=channels.device) for names in products}
    for k in next(iter(maps.values())).regression.best.groups:
        fitted = {name: _Fitted.of(its, k, channels) for name, its in maps.items()}
        grams: dict[int, Tensor] = {}  # of those that are alike, and of one product, for they are large
        for names in sorted(products, key=lambda names: names[2]):
            onto = fitted.get(names[2], fitted[names[0]])
            if (key := id(onto.regression.grams)) not in grams:
                grams = {key: unit_gram(onto.regression.best, k, onto.regression.cross.dtype)}
            gram = grams[key]
            if names[2] in fitted:
                target, norm = onto.target, onto.regression.inverse
            else:
                target, norm = gram[:, channels], onto.regression.grams.inverse
            together = fitted[names[0]].before(fitted[names[1]], onto.regression.grams.inverse)
            together *= norm[channels].to(gram)
            gained[names] += (2 * together * target).sum(0) - (together * (gram @ together)).sum(0)
        _forget([its.ridge for its in fitted.values()])
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
    def of(cls, maps: LinearMaps, group: int, channels: Tensor) -> "_Fitted":
        regression = maps.regression
        ridge, penalty = maps.ridges[group]
        chosen = regression.grams.channels(ridge.weights(penalty, channels)).clone()
        chosen[ridge.partner[channels], torch.arange(len(channels), device=channels.device)] += ridge.slope[channels]
        chosen *= inverse_of(regression.inverse)[channels].to(chosen)
        return cls(regression, ridge, penalty, chosen, regression.grams.channels(regression.cross[group][:, channels]))

    def before(self, second: "_Fitted", inverse: Channels) -> Float[Tensor, "channel chosen"]:
        """The map that this one and then a second are, from channels of other norms; `inverse` is one over these."""
        grams, its = self.regression.grams, second.regression.grams
        between = (inverse_of(self.regression.inverse) * its.inverse)[:, None].to(second.chosen)
        columns = between * second.chosen
        together = grams.channels(self.ridge.weighted(self.penalty, columns)).clone()
        together.index_add_(0, self.ridge.partner, self.ridge.slope[:, None] * columns)
        return together * (grams.inverse * inverse_of(inverse))[:, None].to(together)
