"""From what every layer has come to, to the tables of a result: families, parts, intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equiscope.functional.statistics import (
    LEAST_IMAGES,
    Array,
    jackknife_half_width,
    mean_of_defined,
    percentile_interval,
    resample_counts,
    resampled_means,
)
from equiscope.functional.transformations import Family
from equiscope.measurement.findings import Findings, Row
from equiscope.measurement.options import Scoring
from equiscope.results.columns import (
    ALIGNMENTS,
    ALONE,
    CHANNEL_COLUMNS,
    LAW_COLUMNS,
    LAYER_COLUMNS,
    MEASURES,
    MORE_CHANNEL_COLUMNS,
    PART_COLUMNS,
    PARTS,
    REPLICATE_COLUMNS,
    SCOPES,
    SCORE_COLUMNS,
)
from equiscope.results.scores import Scores

Key = tuple[str, str, str, str, bool]  # transformation, measure, scope, alignment, subpixel
NEGATIVE_ENDS = {"keep": -1.0}
UNSETTLED = 0.1  # between the explained share held out and extrapolated


@dataclass(frozen=True)
class _Table:
    """Rows by what they are of, and how intervals are made."""

    scoring: Scoring
    images: int

    def row(self, row: Row) -> dict[str, Any]:
        """A row's values, with its intervals."""
        low, high = self._interval(row, row.score, 1, NEGATIVE_ENDS.get(self.scoring.negative, 0.0))
        least, most = self._interval(row, row.explained, 2, 0.0)
        return {
            "score": row.score, "low": low, "high": high, "in_sample": row.in_sample, "chance": row.chance,
            "ceiling": row.ceiling, "explained_ceiling": row.explained_ceiling,
            "explained": row.explained, "explained_low": least, "explained_high": most, "held_out": row.held_out,
            "images": row.images, "undefined": row.undefined, "transformations": row.transformations,
        }  # fmt: skip

    def _interval(self, row: Row, value: float, column: int, least: float) -> tuple[float, float]:
        """The ends of a 95 % confidence interval; NaN of fewer than 20 images, and of what is undefined."""
        replicates = row.replicates[:, column]
        nothing = np.nan, np.nan
        if not self.scoring.intervals or self.images < LEAST_IMAGES or not len(replicates) or np.isnan(value):
            return nothing
        if row.by_image:
            if np.isnan(replicates).all():
                return nothing
            counts = resample_counts(len(replicates), self.scoring.seed)
            low, high = percentile_interval(resampled_means(replicates[None], counts))
            return float(low[0]), float(high[0])
        half = float(jackknife_half_width(replicates))
        below, above = row.reach[2 * column - 2 : 2 * column]
        return max(least, value - half - below), min(1.0, value + half + above)


def scored(
    findings: Sequence[Findings],
    families: Sequence[Family],
    images: int,
    scoring: Scoring,
    manifest: dict[str, Any],
) -> Scores:
    """The scores that the findings of all layers add up to."""
    table = _Table(scoring, images)
    findings = [found.within(scoring.scopes) for found in findings]
    by_layer = {found.layer.name: _rows_of(found, families) for found in findings}
    parts = {found.layer.name: found.layer.part for found in findings}
    offsets = {
        (found.layer.name, name, alone): offset
        for found in findings
        for alone, of_layer in ((False, found.offsets), (True, found.offsets_alone))
        for name, offset in of_layer.items()
    }
    return Scores(
        scores=_score_table(table, by_layer, parts, offsets),
        parts=_part_table(table, by_layer, parts),
        channels=_channel_table(findings),
        laws=pd.DataFrame(
            [(found.layer.name, *law) for found in findings for law in found.laws], columns=list(LAW_COLUMNS)
        ),
        layers=_layer_table(findings),
        replicates=_replicate_table(by_layer),
        manifest=manifest,
    )


def remarks_on(scores: Scores) -> list[str]:
    """Sentences on what to read with care: where maps fitted on so few images are far from what more would give."""
    table = scores.scores
    unsettled = table[(table["explained"] - table["held_out"]).abs() > UNSETTLED]
    if unsettled.empty:
        return []
    names = ", ".join(dict.fromkeys(unsettled["layer"]))
    return [
        f"The linear measure needs more images on {names}: what it explains on images that it was not fitted on and "
        f"what it is extrapolated to differ by more than {UNSETTLED}."
    ]


def _rows_of(found: Findings, families: Sequence[Family]) -> dict[Key, Row]:
    """A layer's rows: of each transformation, then of each family that is more than one transformation's name."""
    rows: dict[Key, Row] = {
        (name, measure, scope, alignment, row.subpixel): row
        for (name, measure, scope, alignment), row in found.rows.items()
    }
    for family in families:
        names = [one.name for one in family.transformations]
        if names == [family.name]:
            continue
        for measure, scope, alignment in product(MEASURES, SCOPES, ALIGNMENTS):
            members = [row for name in names if (row := found.rows.get((name, measure, scope, alignment))) is not None]
            if len(members) == len(names):  # else it would be a mean of others than that of the measures it contains
                rows |= {(family.name, measure, scope, alignment, row.subpixel): row for row in _families(members)}
    return rows


def _families(members: Sequence[Row]) -> Iterable[Row]:
    """The mean over all members, and, where some but not all are interpolated, over the whole ones."""
    interpolated = [row.subpixel for row in members]
    yield mean_row(members, subpixel=any(interpolated))
    if any(interpolated) and not all(interpolated):
        yield mean_row([row for row in members if not row.subpixel], subpixel=False)


def mean_row(rows: Sequence[Row], *, subpixel: bool) -> Row:
    """The row of several: the mean of what is defined, replicate by replicate."""

    def mean(name: str) -> float:
        return float(mean_of_defined(np.array([getattr(row, name) for row in rows])))

    by_image = rows[0].by_image
    replicates = _mean_replicates([row.replicates for row in rows])
    images = int((~np.isnan(replicates[:, 1])).sum()) if by_image else max(row.images for row in rows)
    score = mean("score")
    if by_image and len(replicates):
        score = float(mean_of_defined(replicates[:, 1]))
    return Row(
        score, mean("in_sample"), mean("chance"), mean("explained"), mean("held_out"), images,
        sum(row.undefined for row in rows), sum(row.transformations for row in rows), subpixel, by_image, replicates,
        mean("ceiling"), mean("explained_ceiling"),
        tuple(np.mean([row.reach for row in rows if row.score == row.score] or [(0.0,) * 4], axis=0).tolist()),
    )  # fmt: skip


def _mean_replicates(several: Sequence[Array]) -> Array:
    """Replicates of one number together, in order of their numbers."""
    numbers = sorted({float(number) for replicates in several for number in replicates[:, 0]})
    if not numbers:
        return np.empty((0, 3))
    place = {number: row for row, number in enumerate(numbers)}
    values = np.full((len(several), len(numbers), 2), np.nan)
    for which, replicates in enumerate(several):
        values[which, [place[float(number)] for number in replicates[:, 0]]] = replicates[:, 1:]
    return np.column_stack([numbers, mean_of_defined(values)])


def _score_table(
    table: _Table,
    by_layer: Mapping[str, Mapping[Key, Row]],
    parts: Mapping[str, str],
    offsets: Mapping[tuple[str, str, bool], tuple[float, float]],
) -> pd.DataFrame:
    records = []
    for layer, rows in by_layer.items():
        for key, row in rows.items():
            offset = offsets.get((layer, key[0], key[1] in ALONE)) if key[3] == "registered" else None
            down, right = offset or (np.nan, np.nan)
            records.append(
                {"layer": layer, "part": parts[layer], **_named(key), **table.row(row)}
                | {"offset_y": down, "offset_x": right}
            )
    return pd.DataFrame.from_records(records, columns=list(SCORE_COLUMNS))


def _named(key: Key) -> dict[str, Any]:
    return dict(zip(("transformation", "measure", "scope", "alignment", "subpixel"), key, strict=True))


def _part_table(table: _Table, by_layer: Mapping[str, Mapping[Key, Row]], parts: Mapping[str, str]) -> pd.DataFrame:
    """The mean over a part's layers, each with its row over all of a family's members; then over whole ones alone."""
    records = []
    for part in PARTS:
        of_part = [rows for layer, rows in by_layer.items() if parts[layer] == part]
        for key in dict.fromkeys(key[:4] for rows in of_part for key in rows):
            whole = [row for rows in of_part if (row := rows.get((*key, False))) is not None]
            every = [row for rows in of_part if (row := rows.get((*key, True)) or rows.get((*key, False))) is not None]
            interpolated = any(row.subpixel for row in every)
            rows_of_part = [(every, interpolated)]
            if interpolated and whole:
                rows_of_part.append((whole, False))
            for rows, subpixel in rows_of_part:
                row = mean_row(rows, subpixel=subpixel)
                values = table.row(row) | {"transformations": max(one.transformations for one in rows)}
                records.append(
                    {
                        "part": part,
                        "layers": sum(row.transformations > 0 for row in rows),
                        **_named((*key, subpixel)),
                        **values,
                    }
                )
    return pd.DataFrame.from_records(records, columns=list(PART_COLUMNS))


def _channel_table(findings: Sequence[Findings]) -> pd.DataFrame:
    there = {column for found in findings for columns in found.channels.values() for column in columns}
    names = [*CHANNEL_COLUMNS, *(column for column in MORE_CHANNEL_COLUMNS if column in there)]
    blocks = [
        (
            {"layer": found.layer.name, "transformation": name, "scope": scope, "alignment": alignment},
            {"channel": np.arange(found.layer.channels), **columns},
        )
        for found in findings
        for (name, scope, alignment), columns in found.channels.items()
    ]
    table = _table_of(blocks, names)
    partners = {name: table[name].astype("Int64") for name in ("partner", "alone_partner") if name in table}
    return table.assign(**{name: partner.mask(partner < 0) for name, partner in partners.items()})


def _table_of(
    blocks: Sequence[tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]], names: Sequence[str]
) -> pd.DataFrame:
    """The table of some columns, block after block: what is one value in a block, and what has one for each row.

    NaN where a block has no such column.
    """
    if not blocks:
        return pd.DataFrame(columns=list(names))
    lengths = [len(next(iter(columns.values()))) for _, columns in blocks]
    found = {}
    for name in names:
        if name in blocks[0][0]:
            found[name] = np.repeat(np.array([alike[name] for alike, _ in blocks]), lengths)
        else:
            parts = [
                columns.get(name, np.full(length, np.nan)) for (_, columns), length in zip(blocks, lengths, strict=True)
            ]
            found[name] = np.concatenate(parts)
    return pd.DataFrame(found)


def _layer_table(findings: Sequence[Findings]) -> pd.DataFrame:
    records = [
        {
            "layer": found.layer.name,
            "part": found.layer.part,
            "type": found.layer.type,
            "index": index,
            "channels": found.layer.channels,
            "height": found.layer.height,
            "width": found.layer.width,
            "stride_y": None if found.layer.stride is None else float(found.layer.stride[0]),
            "stride_x": None if found.layer.stride is None else float(found.layer.stride[1]),
            "dead": found.dead,
            "dimension": found.dimension,
        }
        for index, found in enumerate(findings)
    ]
    return pd.DataFrame.from_records(records, columns=list(LAYER_COLUMNS))


def _replicate_table(by_layer: Mapping[str, Mapping[Key, Row]]) -> pd.DataFrame:
    blocks = [
        (
            {"layer": layer, **_named(key)},
            dict(zip(("replicate", "score", "explained"), row.replicates.T, strict=True)),
        )
        for layer, rows in by_layer.items()
        for key, row in rows.items()
        if len(row.replicates)
    ]
    table = _table_of(blocks, list(REPLICATE_COLUMNS))
    return table.astype({"replicate": np.int64}) if blocks else table
