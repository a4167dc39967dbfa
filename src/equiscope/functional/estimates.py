"""From moments to scores: invariance, equivariance and linear, with chance levels and jackknife replicates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from equiscope.functional.channel_maps import LEAST_SAMPLES, BestChannels, Channels, Pool, cross_fitted, pools
from equiscope.functional.linear_maps import LinearMaps
from equiscope.functional.moments import GROUPS, Moments
from equiscope.functional.within_image import clipped

NAN = float("nan")
# A map fitted on a share s of the groups predicts as well as one fitted on all of them by a lack that goes as 1 / s:
# from shares of .9 and .5 to the whole.
NINE, FIVE = 0.9 / 0.4, 0.5 / 0.4
SLOW, FAST = 0.5, 1.5  # powers of 1 / s between which the lack may go as well


@dataclass(frozen=True)
class Estimate:
    """One measure of one layer under one transformation: of the layer, of its channels, and without each group."""

    score: float
    in_sample: float
    chance: float
    explained: float
    held_out: float
    undefined: int
    channels: Channels  # scores
    explained_channels: Channels
    chance_channels: Channels
    replicates: list[tuple[int, float, float]] = field(default_factory=list)  # group left out, score, explained
    # How far below and above the score, then the explained share, it might be extrapolated to.
    reach: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Estimates:
    """All measures of one layer under one transformation."""

    measures: dict[str, Estimate]
    partner: Int[Tensor, "channel"]  # over all images; -1 where undefined


@dataclass(frozen=True)
class Options:
    """What decides how scores are made of moments."""

    similarity: str = "pearson"
    negative: str = "clip"
    intervals: bool = True


def groups_with_images(moments: Moments) -> list[int]:
    """The groups that hold images."""
    return [group for group in range(GROUPS) if moments.found.count[group] > 0]


def estimates(
    moments: Moments,
    options: Options,
    best: BestChannels | None = None,
    maps: LinearMaps | None = None,
) -> Estimates:
    """Invariance and, of moments with cross products, equivariance; linear, where its maps are given.

    NaN where fewer than two groups hold images, for all but invariance and in-sample estimates.
    """
    groups = groups_with_images(moments)
    if not groups:
        return _undefined(moments, maps is not None)
    left_out = groups if options.intervals and len(groups) > 1 else []
    if best is None:
        chosen = [groups, *([j for j in groups if j != k] for k in left_out)]
        whole, *rest = pools(moments, chosen, centred=options.similarity == "pearson")
    else:
        whole, rest = best.whole, [best.pools[k,] for k in left_out]
    one, two = whole.norms
    defined = (one > 0) & (two > 0) & (whole.count >= LEAST_SAMPLES)
    own = torch.where(defined, whole.own, torch.nan)
    without = {k: torch.where(defined, pool.own, torch.nan) for k, pool in zip(left_out, rest, strict=True)}
    channels = torch.arange(len(own), device=own.device)
    chance = _chance(moments, whole, channels)
    invariance = _estimate(
        own, own, chance, _explained_own(own, options),
        {k: (r, _explained_own(r, options)) for k, r in without.items()}, options,
    )  # fmt: skip
    if best is None:
        return Estimates({"invariance": invariance}, torch.where(defined, channels, -1))
    equivariance, partner = _equivariance(best, own, without, left_out, options)
    measures = {"invariance": invariance, "equivariance": equivariance}
    if maps is not None:
        measures["linear"] = _linear(maps, best, equivariance, left_out)
    return Estimates(measures, partner)


def ceiling(moments: Moments, options: Options) -> Channels:
    """The score that each channel would have if it lost nothing but what interpolation loses; NaN where undefined.

    It is the correlation of `T'_g^-1 T'_g f(X)` with `f(X)`, of whose moments it is.
    """
    whole = pools(moments, [range(GROUPS)], centred=options.similarity == "pearson")[0]
    return torch.where(whole.count >= LEAST_SAMPLES, whole.own.clamp(0, 1), torch.nan)


def best_channels(moments: Moments, options: Options, *, linear: bool) -> BestChannels | None:
    """The best channels of moments that hold images and cross products; None of others."""
    groups = groups_with_images(moments)
    if moments.cross is None or not groups:
        return None
    return BestChannels(
        moments, groups, centred=options.similarity == "pearson", negative=options.negative,
        intervals=options.intervals, halves=linear,
    )  # fmt: skip


def _explained_own(own: Channels, options: Options) -> Channels:
    return own.square() if options.negative == "abs" else own.clamp(min=0).square()


def _estimate(
    raw: Channels, in_sample: Channels, chance: Channels, explained: Channels,
    without: Mapping[int, tuple[Channels, Channels]], options: Options,
) -> Estimate:  # fmt: skip
    """A measure that is the mean over channels of a correlation."""
    score = clipped(raw, options.negative)
    return Estimate(
        score=_mean(score),
        in_sample=_mean(clipped(in_sample, options.negative)),
        chance=_mean(torch.where(raw.isnan() & in_sample.isnan(), torch.nan, chance)),
        explained=_mean(explained),
        held_out=_mean(explained),
        undefined=int(in_sample.isnan().sum()),
        channels=score,
        explained_channels=explained,
        chance_channels=torch.where(in_sample.isnan(), torch.nan, chance),
        replicates=[(k, _mean(clipped(r, options.negative)), _mean(share)) for k, (r, share) in without.items()],
    )


def _equivariance(
    best: BestChannels, own: Channels, without: Mapping[int, Channels], left_out: Sequence[int], options: Options
) -> tuple[Estimate, Tensor]:
    """The best channel's score: cross-fitted, and never below invariance."""
    pool = best.whole
    channels = torch.arange(len(own), device=own.device)
    partner = torch.where(own.isnan(), -1, best.fit(()).partner)
    in_sample = torch.where(own.isnan(), torch.nan, best.in_sample())
    if len(best.groups) < 2:
        nothing = torch.full_like(own, torch.nan)
        chance = _chance(best.moments, pool, torch.where(partner < 0, channels, partner))
        return _estimate(nothing, in_sample, chance, nothing, {}, options), partner
    crossed, share = cross_fitted(best)
    signed = own.abs() if options.negative == "abs" else own
    chosen = torch.where((signed >= crossed - 1e-12) | (partner < 0), channels, partner)
    replicates = {}
    for k in left_out:
        score_k, share_k = cross_fitted(best, (k,)) if len(best.groups) > 2 else (own * torch.nan, own * torch.nan)
        replicates[k] = _not_below(without[k], score_k, share_k, options)
    raw, explained = _not_below(own, crossed, share, options)
    chance = _chance(best.moments, pool, chosen)
    return _estimate(raw, in_sample, chance, explained, replicates, options), partner


def _not_below(own: Channels, crossed: Channels, share: Channels, options: Options) -> tuple[Channels, Channels]:
    """Cross-fitted correlations and shares, not below those of invariance."""
    signed = own.abs() if options.negative == "abs" else own
    return torch.maximum(signed, crossed), torch.maximum(_explained_own(own, options), share)


def _linear(maps: LinearMaps, best: BestChannels, equivariance: Estimate, left_out: Sequence[int]) -> Estimate:
    nothing = torch.full_like(equivariance.channels, torch.nan)
    if maps.ninths is None:
        return Estimate(NAN, NAN, NAN, NAN, NAN, equivariance.undefined, nothing, nothing, nothing)
    defined = best.defined
    whole_square = best.whole.squares[1]
    whole, held_out = _extrapolated(maps, torch.where(defined, 1.0, 0.0).to(whole_square))
    score, share, held = (torch.where(defined, one, torch.nan) for one in (*whole, held_out))
    mean_score = _between(equivariance.score, _mean(score))
    mean_share = _between(equivariance.explained, _mean(share))
    floors = {k: (low, low_share) for k, low, low_share in equivariance.replicates}
    replicates = []
    for k in left_out:
        expected_square, square = best.pools[k,].squares
        (score_k, share_k), _ = _extrapolated(maps, square / torch.where(defined, whole_square, 1), k)
        there = defined & (expected_square > 0) & (square > 0)
        low, low_share = floors[k]
        replicates.append(
            (
                k,
                _between(low, _mean(torch.where(there, score_k, torch.nan))),
                _between(low_share, _mean(torch.where(there, share_k, torch.nan))),
            )
        )
    return Estimate(
        score=mean_score,
        in_sample=NAN,
        chance=NAN,
        explained=mean_share,
        held_out=_mean(held),
        undefined=equivariance.undefined,
        channels=torch.maximum(score.clamp(max=1), equivariance.channels),
        explained_channels=torch.maximum(share.clamp(max=1), equivariance.explained_channels),
        chance_channels=nothing,
        replicates=replicates,
        reach=_reach(maps, (mean_score, mean_share), (equivariance.score, equivariance.explained)),
    )


def _reach(
    maps: LinearMaps, found: tuple[float, float], floors: tuple[float, float]
) -> tuple[float, float, float, float]:
    """How far below and above the score, and the explained share, extrapolation by other powers leads."""
    if maps.ninths is None or maps.halves is None:
        return (0.0, 0.0, 0.0, 0.0)
    defined = maps.regression.best.defined
    one = torch.where(defined, 1.0, torch.nan).to(maps.ninths.num)
    ends = []
    for near, far, value, floor in zip(maps.ninths.scores(one), maps.halves.scores(one), found, floors, strict=True):
        held_out = _mean(near)
        gained = max(0.0, held_out - _mean(far))
        least, most = (_between(floor, held_out + gained * _still_lacking(power)) for power in (FAST, SLOW))
        ends += [max(0.0, value - least), max(0.0, most - value)]
    return (ends[0], ends[1], ends[2], ends[3])


def _still_lacking(power: float) -> float:
    """What maps fitted on .9 of the groups lack, in units of what they gain on those fitted on half.

    >>> round(_still_lacking(1.0), 6)
    1.25
    """
    return float(1 / ((0.9 / 0.5) ** power - 1))


def _extrapolated(
    maps: LinearMaps, square: Channels, left_out: int | None = None
) -> tuple[tuple[Channels, Channels], Channels]:
    """Correlation and explained share of maps fitted on all images, and the share before extrapolation."""
    assert maps.ninths is not None
    score, share = maps.ninths.scores(square, left_out)
    if maps.halves is None or not maps.extrapolate:
        return (score, share), share
    half_score, half_share = maps.halves.scores(square, left_out)
    return (NINE * score - FIVE * half_score, NINE * share - FIVE * half_share), share


def _between(low: float, value: float) -> float:
    """A value, not below another and not above 1; NaN where it is."""
    return min(1.0, max(low, value)) if value == value and low == low else value


def _chance(moments: Moments, pool: Pool, partner: Int[Tensor, "channel"]) -> Channels:
    """The correlation of each channel in one image with its partner in another, over all pairs of images.

    `((sum_i T_i) . (sum_j E_j) - sum_i T_i . E_i) / (N - 1) / (|T| |E|)`, NaN of a single image.
    """
    images = float(moments.images.sum())
    mean_one, mean_two = pool.means
    found = moments.found.maps - images * mean_two[:, None]
    expected = moments.expected.maps - images * mean_one[:, None]
    together = (found * expected[partner]).sum(-1)
    channels = torch.arange(len(partner), device=partner.device)
    same = moments.own.sum(0)
    if moments.cross is not None:
        picked = sum(of_group[partner, channels].double() for of_group in moments.cross)
        same = torch.where(partner == channels, same, picked)
    one, two = moments.expected.total.sum(0)[partner], moments.found.total.sum(0)
    mean_partner = mean_one[partner]
    same = same - mean_partner * two - one * mean_two + pool.count * mean_partner * mean_two
    norm = pool.norms[1] * pool.norms[0][partner]
    scaled = (together - same) / torch.where(norm > 0, norm, torch.nan)
    return scaled / (images - 1) if images > 1 else torch.full_like(scaled, torch.nan)


def _undefined(moments: Moments, linear: bool) -> Estimates:
    """Of no images at all."""
    nothing = torch.full_like(moments.own[0], torch.nan)
    empty = Estimate(NAN, NAN, NAN, NAN, NAN, len(nothing), nothing, nothing, nothing)
    names = ["invariance", *(["equivariance"] if moments.cross is not None else []), *(["linear"] if linear else [])]
    return Estimates(dict.fromkeys(names, empty), torch.full(nothing.shape, -1, device=nothing.device))


def _mean(values: Float[Tensor, "channel"]) -> float:
    """The mean of what is not NaN; NaN where nothing is left."""
    return float(values.nanmean()) if len(values) else NAN
