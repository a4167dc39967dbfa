"""`Scores`: what a measurement found, as tables, and how it was found, as a manifest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from equiscope.functional.statistics import (
    LEAST_IMAGES,
    Array,
    corrected,
    jackknife_half_width,
    mean_of_defined,
    percentile_interval,
    resample_counts,
    resampled_means,
)
from equiscope.functional.transformations import Family
from equiscope.measurement.layer_record import ALIGNMENTS, LayerRecord
from equiscope.measurement.maps import Maps
from equiscope.measurement.streaming import PairMemory, State
from equiscope.networks.layers import PARTS, Layer
from equiscope.results.orbits import orbits_of

if TYPE_CHECKING:
    import xarray

MEASURES = ("invariance", "equivariance")
SCOPES = ("dataset", "image")
Key = tuple[str, str, str, str, str]  # layer, transformation, measure, scope, alignment
KEYS = ("transformation", "measure", "scope", "alignment")
TABLES = ("scores", "parts", "channels", "layers", "replicates")
VALUES = ("score", "low", "high", "chance", "corrected", "corrected_low", "corrected_high")  # columns of a score


@dataclass(frozen=True)
class Scores:
    """Every score of a measurement, each with its chance level and its interval.

    The tables are those of the output folder: `scores` (a row per layer, transformation, measure and scope),
    `parts` (the same per part), `channels` (per channel), `layers`, and `replicates` (what the intervals are made
    of). Undefined scores are NaN. `manifest` says how they were made. `maps` are those of a few images, where they
    were kept (`measure(..., maps=2)`).
    """

    scores: pd.DataFrame
    parts: pd.DataFrame
    channels: pd.DataFrame
    layers: pd.DataFrame
    replicates: pd.DataFrame
    manifest: dict[str, Any]
    maps: Maps | None = None

    @property
    def orbits(self) -> pd.DataFrame:
        """Channels that map onto each other under 90, 180 and 270 degrees in turn, a row a channel.

        Columns: `layer`, `alignment`, `orbit`, `turn`, `channel`, `equivariance` (under 90 degrees). No row where not
        all three rotations were measured.
        """
        return orbits_of(self.channels)

    @property
    def families(self) -> list[str]:
        """The rows that sum the measurement up: its families, or single transformations outside any."""
        return list(self.manifest["options"]["transformations"])

    def table(
        self,
        by: str = "layer",
        scope: str = "dataset",
        transformation: str | None = None,
        alignment: str = "array",
    ) -> pd.DataFrame:
        """A row a layer (or `by="part"`) and family, with both measures side by side.

        Columns: `layer`, `part`, `transformation`, then for each measure its score under the measure's own name,
        and `_low`, `_high`, `_chance`, `_corrected` behind it. `transformation` picks one, or one family.
        """
        if by not in ("layer", "part"):
            raise ValueError(f"by={by!r} is not known; it is one of layer, part.")
        if scope not in SCOPES:
            raise ValueError(f"scope={scope!r} is not known; it is one of {', '.join(SCOPES)}.")
        if alignment not in set(self.scores["alignment"]):
            measured = ", ".join(dict.fromkeys(self.scores["alignment"]))
            raise ValueError(f"alignment={alignment!r} was not measured; there is {measured}.")
        known = list(dict.fromkeys(self.scores["transformation"]))
        if transformation is not None and transformation not in known:
            raise ValueError(f"transformation={transformation!r} was not measured; there are {', '.join(known)}.")
        source = self.scores if by == "layer" else self.parts
        wanted = [transformation] if transformation else self.families
        rows = source[
            (source["scope"] == scope) & (source["alignment"] == alignment) & source["transformation"].isin(wanted)
        ]
        names = ["layer", "part", "transformation"] if by == "layer" else ["part", "layers", "transformation"]
        index = names if by == "layer" else ["part", "transformation"]
        wide = rows[index].drop_duplicates().reset_index(drop=True)
        if by == "part":
            wide["layers"] = rows.groupby(index, sort=False, observed=True)["layers"].max().to_numpy()
            wide = wide[names]
        for measure in MEASURES:
            of_measure = rows[rows["measure"] == measure].reset_index(drop=True)
            for column in VALUES[:5]:
                wide[measure if column == "score" else f"{measure}_{column}"] = of_measure[column]
        return wide

    def to_pandas(self) -> dict[str, pd.DataFrame]:
        """The tables by name, as they are and as the output folder holds them."""
        return {table: getattr(self, table) for table in TABLES}

    def to_xarray(self) -> "xarray.Dataset":
        """The table of scores as an `xarray.Dataset` over layer, transformation, measure, scope and alignment.

        Its variables are the table's columns: `score`, `low`, `high`, `chance`, `corrected` and its bounds, counts and
        offsets; NaN where the table has no such row. What is told of layers, such as `part`, is a coordinate of
        theirs, and the manifest an attribute, as JSON. Needs `pip install "equiscope[xarray]"`.
        """
        from equiscope.results.labelled_array import labelled_array  # which measuring does not need

        return labelled_array(self)

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write the output folder: tables, manifest, figure and page.

        FileExistsError where it exists and is not empty, unless `force`. What is there is complete or absent,
        whenever the writing is interrupted.
        """
        from equiscope.results.folder import write  # it draws, and drawing is not needed to measure

        write(self, Path(folder).expanduser(), force=force)


def value_columns(corrected: bool) -> tuple[str, str, str]:
    """The columns of a score and of the ends of its interval, as they are or corrected for chance."""
    return ("corrected", "corrected_low", "corrected_high") if corrected else ("score", "low", "high")


def families_in_common(results: Mapping[str, Scores]) -> list[str]:
    """The families, or transformations outside any, that all results have, each of the same transformations.

    ValueError where there are fewer than two results, or none is common to all.
    """
    if len(results) < 2:
        raise ValueError(f"{len(results)} result cannot be compared; give two at least.")
    members = {name: scores.manifest["options"]["transformations"] for name, scores in results.items()}
    first, *others = members.values()
    found = [family for family in first if all(list(other.get(family, ())) == list(first[family]) for other in others)]
    if not found:
        told = "; ".join(
            f"{name} has " + ", ".join(f"{family} ({', '.join(of)})" for family, of in its.items())
            for name, its in members.items()
        )
        raise ValueError(
            "The results have no transformation or family in common (a family is the same where its transformations "
            f"are): {told}."
        )
    return found


@dataclass(frozen=True)
class _Row:
    """One score before it becomes a row: its value, its chance, and what its interval is made of."""

    score: float
    chance: float
    images: int
    undefined: int
    transformations: int
    replicates: Array  # one score an image, or one a group left out; empty where there is no interval
    chance_replicates: Array = field(default_factory=lambda: np.empty(0))  # one score a pair of images


def _mean_row(rows: Sequence[_Row], scope: str) -> _Row:
    """A family's row: the mean over its transformations, within each image first."""
    replicates = mean_of_defined(np.stack([row.replicates for row in rows]))
    chances = mean_of_defined(np.stack([row.chance_replicates for row in rows]))
    if scope == "image":
        score, chance = mean_of_defined(replicates), mean_of_defined(chances)
    else:
        score = mean_of_defined(np.array([row.score for row in rows]))
        chance = mean_of_defined(np.array([row.chance for row in rows]))
    images = int((~np.isnan(replicates)).sum()) if scope == "image" else max(row.images for row in rows)
    return _Row(
        score=float(score),
        chance=float(chance),
        images=images,
        undefined=sum(row.undefined for row in rows),
        transformations=sum(row.transformations for row in rows),
        replicates=replicates,
        chance_replicates=chances,
    )


@dataclass
class Findings:
    """What a layer's records have come to under some transformations; small, and all that is left of the records."""

    layer: Layer
    dead: int  # channels that are constant over all images
    offsets: dict[str, tuple[float, float]]  # registered, by transformation
    rows: dict[tuple[str, str, str, str], _Row]  # by transformation, measure, scope and alignment
    channels: dict[tuple[str, str, str], dict[str, Array]]  # by transformation, scope and alignment

    @classmethod
    def of(cls, record: LayerRecord, images: int, *, negative: str, intervals: bool) -> "Findings":
        """What a record of so many images comes to."""
        found = cls(record.layer, record.spread.dead(), {}, {}, {})
        found.offsets = {name: offset for name, offset in (record.offsets or {}).items() if offset}
        for (name, alignment), memory in record.matched.items():
            other = record.mismatched.get((name, alignment))
            rows, channels = _transformation_rows(memory, other, images, negative, intervals and images >= LEAST_IMAGES)
            found.rows |= {(name, *key, alignment): row for key, row in rows.items()}
            found.channels |= {(name, scope, alignment): columns for scope, columns in channels.items()}
        return found

    def joined(self, other: "Findings") -> "Findings":
        """The same layer's findings under further transformations added."""
        return Findings(
            self.layer, self.dead, self.offsets | other.offsets, self.rows | other.rows, self.channels | other.channels
        )

    def state(self) -> State:
        """All of it but the layer, as tensors and numbers."""
        return {
            "dead": self.dead,
            "offsets": self.offsets,
            "rows": {key: _as_tensors(vars(row)) for key, row in self.rows.items()},
            "channels": {key: _as_tensors(columns) for key, columns in self.channels.items()},
        }

    @classmethod
    def from_state(cls, layer: Layer, state: State) -> "Findings":
        """The findings that a `state` holds."""
        return cls(
            layer,
            state["dead"],
            state["offsets"],
            {key: _Row(**_as_arrays(row)) for key, row in state["rows"].items()},
            {key: _as_arrays(columns) for key, columns in state["channels"].items()},
        )


def _as_tensors(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value
        for name, value in values.items()
    }


def _as_arrays(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.numpy() if isinstance(value, Tensor) else value for name, value in values.items()}


def scored(
    findings: Sequence[Findings],
    families: Sequence[Family],
    images: int,
    *,
    negative: str,
    intervals: bool,
    seed: int,
    manifest: dict[str, Any],
) -> Scores:
    """The scores that the findings of all layers add up to."""
    rows: dict[Key, _Row] = {}
    offsets: dict[tuple[str, str], tuple[float, float]] = {}  # of a layer under a transformation, registered
    channels: list[tuple[dict[str, str], dict[str, Any]]] = []
    for found in findings:
        layer = found.layer.name
        offsets |= {(layer, name): offset for name, offset in found.offsets.items()}
        rows |= {(layer, *key): row for key, row in found.rows.items()}
        channels.extend(
            (
                {"layer": layer, "transformation": name, "scope": scope, "alignment": alignment},
                {"channel": np.arange(found.layer.channels), **columns},
            )
            for (name, scope, alignment), columns in found.channels.items()
        )
        rows |= _family_rows(layer, rows, _with_rows_of_their_own(families))
    parts = {found.layer.name: found.layer.part for found in findings}
    counts = resample_counts(images, seed) if intervals and images > 1 else None
    resampled = _resampled(rows, counts)
    return Scores(
        scores=_score_table(rows, parts, offsets, resampled, negative),
        parts=_part_table(rows, parts, resampled, negative),
        channels=_channel_table(channels),
        layers=_layer_table(findings),
        replicates=_replicate_table(rows),
        manifest=manifest,
    )


def _family_rows(layer: str, rows: Mapping[Key, _Row], families: Sequence[Family]) -> dict[Key, _Row]:
    """The families' rows of one layer; a registered one where all of its transformations have one."""
    found: dict[Key, _Row] = {}
    for family, measure, scope, alignment in product(families, MEASURES, SCOPES, ALIGNMENTS):
        keys = [(layer, member.name, measure, scope, alignment) for member in family.transformations]
        if all(key in rows for key in keys):
            found[layer, family.name, measure, scope, alignment] = _mean_row([rows[key] for key in keys], scope)
    return found


def _with_rows_of_their_own(families: Iterable[Family]) -> list[Family]:
    return [family for family in families if [t.name for t in family.transformations] != [family.name]]


def _transformation_rows(
    memory: PairMemory, mismatched: PairMemory | None, images: int, negative: str, jackknife: bool
) -> tuple[dict[tuple[str, str], _Row], dict[str, dict[str, Any]]]:
    """Both measures' rows in both scopes, and the columns of the channel table in both scopes."""
    memory.join()
    if mismatched:
        mismatched.join()
    whole, *left_out = _over_all_images(memory, negative, jackknife)
    other = _over_all_images(mismatched, negative, False)[0] if mismatched else None
    within, within_other = memory.within.scores(), mismatched.within.scores() if mismatched else None
    rows: dict[tuple[str, str], _Row] = {}
    nothing = np.full(len(whole["equivariance"]), np.nan)
    for measure in MEASURES:
        score = float(mean_of_defined(whole[measure]))
        rows[measure, "dataset"] = _Row(
            score=score,
            chance=float(mean_of_defined(other[measure])) if other else np.nan,
            images=0 if np.isnan(score) else images,
            undefined=int(np.isnan(whole[measure]).sum()),
            transformations=int(not np.isnan(score)),
            replicates=np.array([mean_of_defined(group[measure]) for group in left_out], dtype=np.float64),
        )
        scores = getattr(within, measure)
        chances = getattr(within_other, measure) if within_other else np.empty(0)
        rows[measure, "image"] = _Row(
            score=float(mean_of_defined(scores)),
            chance=float(mean_of_defined(chances)),
            images=int((~np.isnan(scores)).sum()),
            undefined=getattr(within, f"undefined_{measure}"),
            transformations=int(not np.isnan(scores).all()),
            replicates=scores,
            chance_replicates=chances,
        )
    channels = {
        "dataset": {
            "invariance": whole["invariance"],
            "equivariance": whole["equivariance"],
            "partner": whole["partner"],
            "chance_invariance": other["invariance"] if other else nothing,
            "chance_equivariance": other["equivariance"] if other else nothing,
            "defined": (~np.isnan(whole["equivariance"])).astype(np.int64),
        },
        "image": {
            "invariance": within.channel_invariance,
            "equivariance": within.channel_equivariance,
            "partner": within.channel_partner,
            "chance_invariance": within_other.channel_invariance if within_other else nothing,
            "chance_equivariance": within_other.channel_equivariance if within_other else nothing,
            "defined": within.channel_images,
        },
    }
    return rows, channels


def _over_all_images(memory: PairMemory, negative: str, jackknife: bool) -> list[dict[str, Array]]:
    """Each channel's scores and partner over all images and, for the jackknife, over all but each group's."""
    found = memory.sums.matches(negative, left_out=jackknife)
    invariance = [matched.invariance[0] for matched in found]
    if memory.own_sums is not None:
        invariance = memory.own_sums.own_similarities(negative, left_out=jackknife)
    return [
        {
            "invariance": own_score.cpu().numpy(),
            "equivariance": matched.equivariance[0].cpu().numpy(),
            "partner": matched.partner[0].cpu().numpy(),
        }
        for own_score, matched in zip(invariance, found, strict=True)
    ]


def _resampled(rows: Mapping[Key, _Row], counts: Array | None) -> dict[Key, Array]:
    """The bootstrap means of every row within images, the same resamples for all."""
    keys = [key for key in rows if key[3] == "image"]
    if counts is None or not keys:
        return {}
    return dict(zip(keys, resampled_means(np.stack([rows[key].replicates for key in keys]), counts), strict=True))


def _interval(
    scope: str, score: float, resampled: Array | None, replicates: Array, negative: str
) -> tuple[float, float]:
    """A score's 95 % interval: bootstrap within images, jackknife over all of them."""
    if scope == "image":
        if resampled is None:
            return np.nan, np.nan
        low, high = percentile_interval(resampled[None])
        return float(low[0]), float(high[0])
    if not len(replicates):
        return np.nan, np.nan
    half_width = float(jackknife_half_width(replicates))
    if negative == "keep":
        return score - half_width, score + half_width
    return max(score - half_width, 0.0), min(score + half_width, 1.0)


def _columns(score: float, chance: float, interval: tuple[float, float]) -> dict[str, float]:
    raw = (score, *interval)
    return dict(zip(VALUES, (*raw, chance, *(float(corrected(value, chance)) for value in raw)), strict=True))


def _score_table(
    rows: Mapping[Key, _Row],
    parts: Mapping[str, str],
    offsets: Mapping[tuple[str, str], tuple[float, float]],
    resampled: Mapping[Key, Array],
    negative: str,
) -> pd.DataFrame:
    def offset(key: Key) -> tuple[float, float]:
        return offsets.get(key[:2], (np.nan, np.nan)) if key[4] == "registered" else (np.nan, np.nan)

    return pd.DataFrame(
        {"layer": key[0], "part": parts[key[0]]}
        | dict(zip(KEYS, key[1:], strict=True))
        | _columns(
            row.score, row.chance, _interval(key[3], row.score, resampled.get(key), row.replicates, negative)
        )
        | {"images": row.images, "undefined": row.undefined, "transformations": row.transformations}
        | dict(zip(("offset_y", "offset_x"), offset(key), strict=True))
        for key, row in rows.items()
    )  # fmt: skip


def _part_table(
    rows: Mapping[Key, _Row],
    parts: Mapping[str, str],
    resampled: Mapping[Key, Array],
    negative: str,
) -> pd.DataFrame:
    """A part's scores: the means over its layers that have one, in every resample and group left out as well."""
    table = []
    for part in PARTS:
        layers = [layer for layer, its in parts.items() if its == part]
        for key in dict.fromkeys(key[1:] for key in rows if key[0] in layers):
            members = [rows[layer, *key] for layer in layers]
            replicates = np.stack([row.replicates for row in members])
            score = float(mean_of_defined(np.array([row.score for row in members])))
            means = [resampled[layer, *key] for layer in layers] if resampled and key[2] == "image" else []
            scored_images = int((~np.isnan(replicates)).any(0).sum())
            table.append(
                {"part": part, "layers": int(sum(not np.isnan(row.score) for row in members))}
                | dict(zip(KEYS, key, strict=True))
                | _columns(
                    score,
                    float(mean_of_defined(np.array([row.chance for row in members]))),
                    _interval(
                        key[2],
                        score,
                        mean_of_defined(np.stack(means)) if means else None,
                        mean_of_defined(replicates),
                        negative,
                    ),
                )
                | {
                    "images": scored_images if key[2] == "image" else max(row.images for row in members),
                    "undefined": sum(row.undefined for row in members),
                    "transformations": max(row.transformations for row in members),
                }
            )
    return pd.DataFrame(table)


def _replicate_table(rows: Mapping[Key, _Row]) -> pd.DataFrame:
    labels = ("layer", *KEYS)
    return _labelled(
        [
            (
                dict(zip(labels, key, strict=True)),
                {"unit": np.arange(len(row.replicates)), "score": row.replicates},
            )
            for key, row in rows.items()
        ]
    )


def _channel_table(blocks: Sequence[tuple[dict[str, str], dict[str, Any]]]) -> pd.DataFrame:
    table = _labelled(blocks)
    table["partner"] = table["partner"].astype("Int64").mask(table["partner"] < 0)
    first = ["layer", "transformation", "channel", "scope", "alignment"]
    return table[[*first, *(column for column in table if column not in first)]]


def _labelled(blocks: Sequence[tuple[dict[str, str], dict[str, Any]]]) -> pd.DataFrame:
    """Blocks of rows one below the other, each with labels that are the same in all of its rows."""
    lengths = [len(next(iter(columns.values()))) for _, columns in blocks]
    table: dict[str, Any] = {}
    for label in blocks[0][0]:
        table[label] = np.repeat(np.array([labels[label] for labels, _ in blocks], dtype=object), lengths)
    for column in blocks[0][1]:
        table[column] = np.concatenate([columns[column] for _, columns in blocks])
    return pd.DataFrame(table)


def _layer_table(findings: Sequence[Findings]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "layer": found.layer.name,
            "index": index,
            "part": found.layer.part,
            "type": found.layer.type,
            "channels": found.layer.channels,
            "height": found.layer.height,
            "width": found.layer.width,
            "stride_y": found.layer.stride[0] if found.layer.stride else None,
            "stride_x": found.layer.stride[1] if found.layer.stride else None,
            "dead": found.dead,
        }
        for index, found in enumerate(findings)
    ).astype({"stride_y": "Int64", "stride_x": "Int64"})
