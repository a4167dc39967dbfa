"""Several results as one table: scores by part, with intervals, and differences with intervals of their own.

Two results that were made on the same images can be told apart better than their own intervals say, as an image that is
hard for one is hard for the other: their difference has an interval of its own. Within images, the same resamples of
images are drawn for both; over all images together, the same groups are left out of both (`replicates.parquet`).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from equiscope.functional.statistics import (
    Array,
    corrected,
    jackknife_half_width,
    mean_of_defined,
    percentile_interval,
    resample_counts,
    resampled_means,
)
from equiscope.results.folder import load
from equiscope.results.scores import VALUES, Scores, families_in_common

KEYS = ["transformation", "alignment", "scope", "measure"]
SAME_IMAGES = ("fingerprint", "split", "column", "seed")  # of a manifest's data: the limit is in the number measured


def compare(results: Sequence[str | Path] | Mapping[str, Scores]) -> pd.DataFrame:
    """The parts' scores of several results, and the differences of those on the same images, a row each.

    `results` are folders, or scores by name. The column `what` is "score" or "difference"; a difference is `result`
    less `less`, and its `low` and `high` are those of the paired differences over images. It has them where both
    manifests tell the same images. Chance counts as fixed. ValueError where there are fewer than two results, or they
    have no family of the same transformations in common.
    """
    named = dict(results) if isinstance(results, Mapping) else loaded(results)
    shared = set(families_in_common(named))
    tables = [
        scores.parts.loc[scores.parts["transformation"].isin(shared), ["part", "layers", *KEYS, *VALUES]].assign(
            what="score", result=name, less=None, images=scores.manifest["images"]
        )
        for name, scores in named.items()
    ]
    for (one, first), (other, second) in combinations(named.items(), 2):
        if on_same_images(first.manifest, second.manifest):
            differences = pd.DataFrame(_differences(second, first, shared))
            tables.append(
                differences.assign(what="difference", result=other, less=one, images=first.manifest["images"])
            )
    return pd.concat(tables, ignore_index=True)


def loaded(folders: Sequence[str | Path]) -> dict[str, Scores]:
    """The results by the names of their networks; by their folders where two would be named alike."""
    scores = [load(folder) for folder in folders]
    names = [str(one.manifest["model"]) for one in scores]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise ValueError("A folder is given twice; give each once.")
    return dict(zip(names, scores, strict=True))


def on_same_images(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two manifests tell that the same images were measured, in the same order."""
    data, others = first.get("data"), second.get("data")
    if not data or not others or data.get("fingerprint") is None:
        return False  # images of the caller's own, of which nothing is known
    counted = ("images", "images_registered_on")
    return (
        all(data.get(key) == others.get(key) for key in SAME_IMAGES)
        and all(first.get(key) == second.get(key) for key in counted)
        and data.get("left_out") == others.get("left_out")
        and first.get("images_left_out") == second.get("images_left_out")
    )


def _differences(one: Scores, other: Scores, shared: set[str]) -> Iterator[dict[str, Any]]:
    """The parts' scores of one result less those of the other, where both have them."""
    index = ["part", *KEYS]
    both = one.parts.merge(other.parts, on=index, suffixes=("", "_other"))
    counts = resample_counts(one.manifest["images"], one.manifest["options"]["seed"])
    replicates = [_by_part(scores) for scores in (one, other)]
    for row in both[both["transformation"].isin(shared)].to_dict("records"):
        key = tuple(row[name] for name in index)
        chances = row["chance"], row["chance_other"]
        difference = {name: row[name] - row[f"{name}_other"] for name in ("score", "chance", "corrected")}
        of_both = [by_part[key] for by_part in replicates if key in by_part]
        ends = fixed = (np.nan, np.nan)
        if len(of_both) == 2:
            ends = _ends(of_both, row["scope"], difference["score"], counts)
            above_chance = [corrected(units, chance) for units, chance in zip(of_both, chances, strict=True)]
            fixed = _ends(above_chance, row["scope"], difference["corrected"], counts)
        yield dict(zip(index, key, strict=True)) | {"layers": min(row["layers"], row["layers_other"])} | difference | {
            "low": ends[0], "high": ends[1], "corrected_low": fixed[0], "corrected_high": fixed[1],
        }  # fmt: skip


def _by_part(scores: Scores) -> dict[tuple[str, ...], Array]:
    """What a part's intervals are made of: `[layer, image]` within images, `[layer, group left out]` over all."""
    parts = scores.layers.set_index("layer")["part"].to_dict()
    table = scores.replicates.assign(part=scores.replicates["layer"].map(parts))
    found = {}
    for key, rows in table.groupby(["part", *KEYS], sort=False):
        units = rows["unit"].max() + 1
        found[tuple(map(str, key))] = rows["score"].to_numpy(dtype=np.float64).reshape(-1, units)
    return found


def _ends(of_both: Sequence[Array], scope: str, difference: float, counts: Array) -> tuple[float, float]:
    """The 95 % interval of a difference of two parts' scores, from the units that both share."""
    if scope == "image":
        first, second = (mean_of_defined(resampled_means(rows, counts)) for rows in of_both)
        low, high = percentile_interval((first - second)[None])
        return float(low[0]), float(high[0])
    first, second = map(mean_of_defined, of_both)
    if len(first) != len(second):  # of so many groups and of other ones
        return np.nan, np.nan
    half_width = float(jackknife_half_width(first - second))
    return difference - half_width, difference + half_width
