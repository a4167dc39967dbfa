"""What a layer's moments come to: the rows and columns of one layer, small, and all that is left of the moments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equiscope.functional.affine import product
from equiscope.functional.channel_maps import LEAST_SAMPLES, centred_squares
from equiscope.functional.estimates import Estimate, Estimates, Options, best_channels, ceiling, estimates
from equiscope.functional.linear_maps import LinearMaps, laws, linear_maps
from equiscope.functional.moments import GROUPS, Moments, Side, products_in
from equiscope.functional.ridge import Grams, Regression, some_of
from equiscope.functional.statistics import LEAST_IMAGES, Array
from equiscope.functional.transformations import Transformation, about
from equiscope.functional.within_image import WithinImage, WithinScores, within_scores
from equiscope.measurement.layer_moments import Ceiling, LayerMoments, Pair, Scratch
from equiscope.measurement.options import Scoring
from equiscope.measurement.plan import Action
from equiscope.networks.layers import Layer
from equiscope.results.columns import ALONE, LADDER

COLUMN_KINDS = ("explained", "chance")  # of a channel, beside its score
Offset = tuple[float, float]  # positions down and right


@dataclass(frozen=True)
class Row:
    """One score before it is a row of a table, and what its interval is made of."""

    score: float
    in_sample: float
    chance: float
    explained: float
    held_out: float
    images: int
    undefined: int
    transformations: int
    subpixel: bool
    by_image: bool  # whether replicates are scores of images, not of all images but a group
    replicates: Array  # [replicate, 3]: its number, score, explained share
    ceiling: float = np.nan
    explained_ceiling: float = np.nan
    reach: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)  # below and above the score, then the share, by extrapolation


@dataclass
class Findings:
    """What a layer has come to under some transformations."""

    layer: Layer
    dead: int = 0  # channels that are constant over all images
    dimension: float = np.nan
    offsets: dict[str, Offset] = field(default_factory=dict)  # registered, by transformation
    offsets_alone: dict[str, Offset] = field(default_factory=dict)  # likewise of the layer alone, from its input on
    rows: dict[tuple[str, str, str, str], Row] = field(default_factory=dict)  # by transformation, measure, scope, ...
    channels: dict[tuple[str, str, str], dict[str, NDArray[Any]]] = field(default_factory=dict)  # of all measures
    laws: list[tuple[str, str, str, float, float]] = field(default_factory=list)

    def joined(self, other: "Findings") -> "Findings":
        """The same layer's findings under further transformations, or of it alone, added."""
        return Findings(
            self.layer,
            max(self.dead, other.dead),
            self.dimension if self.dimension == self.dimension else other.dimension,
            self.offsets | other.offsets,
            self.offsets_alone | other.offsets_alone,
            self.rows | other.rows,
            {key: self.channels.get(key, {}) | other.channels.get(key, {}) for key in self.channels | other.channels},
            self.laws + other.laws,
        )

    def of_layer_alone(self) -> "Findings":
        """The same as findings of the layer alone: under the names of these measures, and of its features nothing."""
        names = {measure: name for name, measure in ALONE.items()} | {"partner": "alone_partner"}
        names |= {f"{kind}_{measure}": f"{kind}_{name}" for name, measure in ALONE.items() for kind in COLUMN_KINDS}
        return Findings(
            self.layer,
            offsets_alone=self.offsets,
            rows={
                (name, names[measure], scope, alignment): row
                for (name, measure, scope, alignment), row in self.rows.items()
            },
            channels={
                key: {names[column]: values for column, values in columns.items() if column in names}
                for key, columns in self.channels.items()
            },
        )

    def within(self, scopes: Sequence[str]) -> "Findings":
        """The findings in some scopes."""
        rows = {key: row for key, row in self.rows.items() if key[2] in scopes}
        channels = {key: columns for key, columns in self.channels.items() if key[1] in scopes}
        return replace(self, rows=rows, channels=channels)

    def state(self) -> dict[str, Any]:
        """All of it but the layer, as tensors and numbers."""
        return {
            "dead": self.dead,
            "dimension": self.dimension,
            "offsets": self.offsets,
            "offsets_alone": self.offsets_alone,
            "rows": {key: _as_tensors(vars(row)) for key, row in self.rows.items()},
            "channels": {key: _as_tensors(columns) for key, columns in self.channels.items()},
            "laws": self.laws,
        }

    @classmethod
    def from_state(cls, layer: Layer, state: Mapping[str, Any]) -> "Findings":
        """The findings that a `state` holds."""
        return cls(
            layer,
            state["dead"],
            state["dimension"],
            state["offsets"],
            state["offsets_alone"],
            {key: Row(**_as_arrays(row)) for key, row in state["rows"].items()},
            {key: _as_arrays(columns) for key, columns in state["channels"].items()},
            state["laws"],
        )


def _as_tensors(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value
        for name, value in values.items()
    }


def _as_arrays(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.numpy() if isinstance(value, Tensor) else value for name, value in values.items()}


def moments_of(
    layer: Layer,
    actions: Sequence[Action],
    scoring: Scoring,
    scratch: Scratch,
    *,
    products: torch.dtype | None = None,
    device: torch.device | None = None,
    offsets: Mapping[str, Offset | None] | None = None,
) -> LayerMoments:
    """The moments of a layer, of no images yet; `offsets` are those of its own centre, where it is registered."""
    products = products or products_in(None)
    positions, channels = layer.height * layer.width, layer.channels
    linear = any(one.permutes and "linear" in one.measures for one in actions)
    original = Side(channels, positions, gram=products if linear else None, device=device)
    pairs: dict[tuple[str, str], Pair] = {}
    strict: dict[str, Moments] = {}
    for one in actions:
        if one.sampling is None:
            continue
        name, transformation = one.transformation.name, one.transformation
        samplings = {"array": one.sampling}
        if offsets is not None and transformation.turns and (offset := offsets.get(name)) is not None:
            moved = about(transformation, offset).sampling(layer.height, layer.width, layer.stride)
            if moved is not None:
                samplings["registered"] = moved
        named = scoring.measures is not None  # and so linear is of every transformation and alignment
        for alignment, sampling in samplings.items():
            shared = sampling.permutes
            gram = products if "linear" in one.measures and not shared and named else None
            moments = Moments.empty(
                channels,
                sampling.positions,
                cross=products if one.crossed else None,
                expected=original if shared else None,
                gram=gram,
                device=device,
            )
            within = None
            if "image" in scoring.scopes:
                within = WithinImage(
                    channels, sampling.positions, similarity=scoring.similarity, negative=scoring.negative,
                    device=device,
                )  # fmt: skip
            limit = Ceiling.of(sampling, channels, device)
            pairs[name, alignment] = Pair(name, sampling, moments, shared, within, limit)
        if "strict_invariance" in one.measures:
            strict[name] = Moments.empty(channels, positions, cross=None, expected=original, device=device)
    return LayerMoments(layer, scratch, original, pairs, strict)


def findings_of(moments: LayerMoments, actions: Sequence[Action], scoring: Scoring, images: int) -> Findings:
    """What the moments of so many images come to."""
    moments.join()
    intervals = scoring.intervals and images >= LEAST_IMAGES
    options = Options(scoring.similarity, scoring.negative, intervals)
    found = Findings(moments.layer, _dead(moments.original), _dimension(moments.original))
    together = _regressed_together(moments, actions, options)
    regressed: dict[str, LinearMaps] = {}
    for one in actions:
        name = one.transformation.name
        for alignment in ("array", "registered"):
            pair = moments.pairs.get((name, alignment))
            if pair is None:
                if alignment == "array":
                    _add_left_out(found, one, scoring, images)
                continue
            linear = _is_linear(pair, one)
            maps = together.get((name, alignment))
            best = maps.regression.best if maps else best_channels(pair.moments, options, linear=linear)
            if maps is None and best is not None and linear:
                maps = linear_maps([Regression(best, Grams.of(best))])[0]
            estimated = estimates(pair.moments, options, best, maps)
            _add(found, one, alignment, estimated, images, _ceiling(pair, estimated, options))
            if maps is not None and maps.ridges and alignment == "array":
                regressed[name] = maps
            if pair.within is not None:
                _add_within(found, one, alignment, pair.within, scoring)
        if name in moments.strict:
            _add_strict(found, name, moments.strict[name], options, images)
    if moments.layer.vector and scoring.alignment == "registered":
        _repeat_for_vector(found, actions, scoring)
    found.laws = _laws(regressed, found, [one.transformation for one in actions])
    return found


def _is_linear(pair: Pair, one: Action) -> bool:
    return pair.moments.expected.gram is not None and "linear" in one.measures


def _regressed_together(
    moments: LayerMoments, actions: Sequence[Action], options: Options
) -> dict[tuple[str, str], LinearMaps]:
    """The linear maps of transformations that permute, by name and alignment; all share what is regressed on."""
    best = {}
    for one in actions:
        for alignment in ("array", "registered"):
            pair = moments.pairs.get((one.transformation.name, alignment))
            if pair is not None and pair.permutes and _is_linear(pair, one):
                its = best_channels(pair.moments, options, linear=True)
                if its is not None:
                    best[one.transformation.name, alignment] = its
    if not best:
        return {}
    grams = Grams.of(next(iter(best.values())))
    return dict(zip(best, linear_maps([Regression(its, grams) for its in best.values()]), strict=True))


def _ceiling(pair: Pair, its: Estimates, options: Options) -> Tensor:
    """Each channel's ceiling: 1 where nothing is interpolated, NaN where the channel is undefined."""
    defined = its.partner >= 0
    limit = torch.ones_like(its.partner, dtype=torch.float64)
    if pair.sampling.interpolated:
        limit *= torch.nan if pair.ceiling is None else ceiling(pair.ceiling.moments, options)
    return torch.where(defined, limit, torch.nan)


def _add(found: Findings, one: Action, alignment: str, its: Estimates, images: int, limit: Tensor) -> None:
    """The rows and the channels of one transformation in the `dataset` scope."""
    name = one.transformation.name
    defined = its.partner >= 0
    partner = its.partner if "equivariance" in its.measures else torch.full_like(its.partner, -1)
    columns: dict[str, Array] = {"partner": partner.cpu().numpy()}
    for measure, estimate in its.measures.items():
        columns[measure] = estimate.channels.cpu().numpy()
        columns[f"explained_{measure}"] = estimate.explained_channels.cpu().numpy()
        if measure != "linear":
            columns[f"chance_{measure}"] = estimate.chance_channels.cpu().numpy()
        if measure in one.measures:
            row = _row(estimate, images, one.interpolated)
            if row.transformations:
                shares = float(limit.nanmean()), float(limit.square().nanmean())
                row = replace(row, ceiling=shares[0], explained_ceiling=shares[1])
            found.rows[name, measure, "dataset", alignment] = row
    columns["ceiling"] = limit.cpu().numpy()
    columns["defined"] = defined.long().cpu().numpy()
    found.channels[name, "dataset", alignment] = columns


def _row(estimate: Estimate, images: int, subpixel: bool) -> Row:
    there = estimate.score == estimate.score or estimate.in_sample == estimate.in_sample
    return Row(
        estimate.score,
        estimate.in_sample,
        estimate.chance,
        estimate.explained,
        estimate.held_out,
        images if there else 0,
        estimate.undefined,
        int(there),
        subpixel,
        False,
        np.array(estimate.replicates, dtype=np.float64).reshape(-1, 3),
        reach=estimate.reach,
    )


def _add_strict(found: Findings, name: str, moments: Moments, options: Options, images: int) -> None:
    estimate = estimates(moments, options).measures["invariance"]
    found.rows[name, "strict_invariance", "dataset", "array"] = _row(estimate, images, False)
    found.channels[name, "dataset", "array"]["strict_invariance"] = estimate.channels.cpu().numpy()


def _add_within(found: Findings, one: Action, alignment: str, sums: WithinImage, scoring: Scoring) -> None:
    """The rows and the channels of one transformation in the `image` scope."""
    name = one.transformation.name
    channels = found.layer.channels
    state = sums.of_images.state()
    order = state["places"].argsort() if sums.measurable else torch.empty(0, dtype=torch.int64)
    places = state["places"][order].double()
    by_image = {measure: state[measure][order] for measure in ("invariance", "in_sample")}
    groups = [k for k in range(GROUPS) if sums.measurable and bool(sums.defined[k].any())]
    nothing = np.full(channels, np.nan)
    columns: dict[str, Array] = {
        column: nothing
        for column in (
            "invariance", "equivariance", "linear", "chance_invariance", "chance_equivariance", "explained_invariance",
            "explained_equivariance", "explained_linear",
        )
    }  # fmt: skip
    columns |= {"partner": np.full(channels, -1), "defined": np.zeros(channels, dtype=np.int64)}
    replicates: list[tuple[int, float, float]] = []
    score = chance = (np.nan, np.nan)
    if groups:
        whole = within_scores(sums, groups)
        columns |= {
            "invariance": whole.invariance.cpu().numpy(),
            "equivariance": whole.equivariance.cpu().numpy(),
            "partner": whole.partner.cpu().numpy(),
            "chance_invariance": whole.chance_invariance.cpu().numpy(),
            "chance_equivariance": whole.chance_equivariance.cpu().numpy(),
            "defined": whole.defined.long().cpu().numpy(),
        }
        score = _image_scores(float(by_image["invariance"].nanmean()), whole)
        chance = float(whole.chance_invariance.nanmean()), float(whole.chance_equivariance.nanmean())
        if scoring.intervals and len(places) >= LEAST_IMAGES and len(groups) > 2:
            for k in groups:
                without = within_scores(sums, [j for j in groups if j != k])
                replicates.append((k, float(without.equivariance.nanmean()), np.nan))
    found.channels[name, "image", alignment] = columns
    images = int((~by_image["invariance"].isnan()).sum()) if groups else 0
    of_images = torch.stack([places, by_image["invariance"], torch.full_like(places, torch.nan)], 1).numpy()
    of_groups = np.array(replicates, dtype=np.float64).reshape(-1, 3)
    in_sample = [float(by_image[name].nanmean()) if groups else np.nan for name in ("invariance", "in_sample")]
    for place, (measure, of) in enumerate((("invariance", of_images), ("equivariance", of_groups))):
        if measure in one.measures:
            found.rows[name, measure, "image", alignment] = Row(
                score[place], in_sample[place], chance[place], np.nan, np.nan, images, sums.undefined,
                int(images > 0), one.interpolated, measure == "invariance", of,
            )  # fmt: skip


def _repeat_for_vector(found: Findings, actions: Sequence[Action], scoring: Scoring) -> None:
    """A vector has no centre: registered, it has the scores that it has about the array's."""
    measures = LADDER[:2] if scoring.measures is None else LADDER
    for name in (one.transformation.name for one in actions if one.transformation.turns):
        for scope in scoring.scopes:
            for measure in measures:
                if (row := found.rows.get((name, measure, scope, "array"))) is not None:
                    found.rows[name, measure, scope, "registered"] = row
            if (columns := found.channels.get((name, scope, "array"))) is not None:
                found.channels[name, scope, "registered"] = columns


def _image_scores(invariance: float, whole: WithinScores) -> tuple[float, float]:
    """Of the layer: equivariance is not below invariance, whose mean weights images, not channels, alike."""
    return invariance, max(invariance, float(whole.equivariance.nanmean()))


def _add_left_out(found: Findings, one: Action, scoring: Scoring, images: int) -> None:
    """NaN under a transformation that is left out on this layer."""
    channels = found.layer.channels
    nothing = np.full(channels, np.nan)
    for scope in scoring.scopes:
        for measure in one.measures:
            if scope == "dataset" or measure in ("invariance", "equivariance"):
                undefined = channels * (images if scope == "image" else 1)
                found.rows[one.transformation.name, measure, scope, "array"] = Row(
                    np.nan, np.nan, np.nan, np.nan, np.nan, 0, undefined, 0, False, False, np.empty((0, 3))
                )
        found.channels[one.transformation.name, scope, "array"] = {
            column: nothing
            for column in (
                "invariance", "equivariance", "chance_invariance", "chance_equivariance", "explained_invariance",
                "explained_equivariance",
            )
        } | {"partner": np.full(channels, -1), "defined": np.zeros(channels, dtype=np.int64)}  # fmt: skip


def _laws(
    maps: dict[str, LinearMaps], found: Findings, transformations: Sequence[Transformation]
) -> list[tuple[str, str, str, float, float]]:
    """The group law, of every pair whose product is measured or the identity: how well maps in succession predict."""
    by_name = {one.name: one for one in transformations if one.name in maps}
    products = []
    for first in maps:
        for second in maps:
            both = product(by_name[first], by_name[second])
            if both is not None and (both in maps or both == "identity"):
                products.append((first, second, both))
    if not products:
        return []
    defined = torch.stack([its.regression.best.defined for its in maps.values()]).all(0)
    explained = laws(maps, products, some_of(defined.nonzero().flatten()))
    direct = {name: found.rows[name, "linear", "dataset", "array"].held_out for name in maps} | {"identity": 1.0}
    return [(*names, share, direct[names[2]]) for names, share in explained.items()]


def _dead(side: Side) -> int:
    """How many channels are constant over all images."""
    return int((centred_squares(side) == 0).sum())


def _dimension(side: Side) -> float:
    """`(sum l)^2 / sum l^2` of the eigenvalues of the channels' correlation matrix; NaN where it was not collected."""
    if side.gram is None or float(side.count.sum()) < LEAST_SAMPLES:
        return np.nan
    count = side.count.sum()
    mean, square = side.total.sum(0) / count, centred_squares(side)
    covariance = side.gram.sum(0, dtype=torch.float64).addr_(mean, mean, alpha=-float(count))
    alive = square > 0
    inverse = torch.where(alive, 1 / torch.where(alive, square, 1).sqrt(), 0)
    correlation = covariance * inverse[:, None] * inverse
    return float(alive.sum() ** 2 / correlation.square().sum()) if bool(alive.any()) else np.nan
