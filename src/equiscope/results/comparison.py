"""Several results as one table: the scores of parts, and their differences, with 95 % confidence intervals.

Two results on the same images differ by less chance than their own intervals suggest, since an image that is hard for
one network is hard for the other. The interval of their difference is that of paired differences: the same groups of
images are left out of both (jackknife) or, for invariance within images, the same resamples of images drawn for both
(bootstrap), from `replicates.parquet`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from equiscope.functional.statistics import (
    Array,
    jackknife_half_width,
    mean_of_defined,
    percentile_interval,
    resample_counts,
    resampled_means,
)
from equiscope.results.columns import KEYS, OF_IMAGES, SCOPES, VALUES
from equiscope.results.folder import load
from equiscope.results.rows import overall
from equiscope.results.scores import Scores
from equiscope.system.errors import known
from equiscope.system.files import in_utf8

LABELS = [key for key in KEYS if key != "subpixel"]  # which depends on the network's strides
POINTS = (
    "score",
    "in_sample",
    "chance",
    "ceiling",
    "explained",
    "explained_ceiling",
    "held_out",
)  # whose differences are taken
INTERVALS = {"score": ("low", "high"), "explained": ("explained_low", "explained_high")}


def compare(results: Sequence[str | Path] | Mapping[str, Scores], *, scope: str | None = None) -> pd.DataFrame:
    """The parts' scores of several results, and the differences of those on the same images, a row each.

    `results` are folders, or scores by name; `scope` selects one. The column `what` is "score" or "difference"; a
    difference is `result` less `less`, and its `low`, `high`, `explained_low` and `explained_high` are those of paired
    differences. There is one where both manifests show that images of the same content were measured; where they came
    in another order, so that their groups are others, it has no interval. ValueError where there are fewer than two
    results, or they have no family of the same transformations in common.
    """
    scopes = SCOPES if scope is None else (known("scope", scope, SCOPES),)
    named = dict(results) if isinstance(results, Mapping) else loaded(results)
    shared = families_in_common(named)
    parts = {name: _parts(scores, shared, scopes) for name, scores in named.items()}
    tables = [
        table[["part", "layers", *LABELS, *VALUES]].assign(
            what="score", result=name, less=None, images=named[name].manifest["images"]
        )
        for name, table in parts.items()
    ]
    for one, other in combinations(named, 2):
        first, second = named[one], named[other]
        if on_same_images(first.manifest, second.manifest):
            both = parts[other].merge(parts[one], on=["part", *LABELS], suffixes=("", "_less"))
            differences = pd.DataFrame(_differences(both, second, first))
            tables.append(
                differences.assign(what="difference", result=other, less=one, images=first.manifest["images"])
            )
    return pd.concat(tables, ignore_index=True)


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
        measured = "; ".join(
            f"{name} has " + ", ".join(f"{family} ({', '.join(of)})" for family, of in its.items())
            for name, its in members.items()
        )
        raise ValueError(
            "The results have no transformation or family in common (a family is the same where its transformations "
            f"are): {measured}."
        )
    return found


def loaded(folders: Sequence[str | Path]) -> dict[str, Scores]:
    """The results by the names of their networks; by their folders where two would have the same name."""
    scores = [load(folder) for folder in folders]
    names = [str(one.manifest["model"]) for one in scores]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise ValueError("A folder is given twice; give each once.")
    return dict(zip((in_utf8(name).decode() for name in names), scores, strict=True))


def on_same_images(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two manifests show that the same images were measured: images of the same content."""
    data, others = first.get("data") or {}, second.get("data") or {}
    alike = [data.get(key) == others.get(key) for key in ("fingerprint", "fingerprint_of")]
    alike += [first.get(key) == second.get(key) for key in ("images", "images_registered_on")]
    alike.append(len(first.get("images_left_out", ())) == len(second.get("images_left_out", ())))
    if data.get("fingerprint") is None or not all(alike):
        return False
    return not first.get("images_registered_on") or in_same_order(first, second)  # else others were left out for it


def in_same_order(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two manifests show that these were gone through in the same order, on which groups of images depend."""
    places = [manifest["data"].get("fingerprint_in_order") for manifest in (first, second)]
    return places[0] is not None and places[0] == places[1]


def _parts(scores: Scores, families: Sequence[str], scopes: Sequence[str]) -> pd.DataFrame:
    chosen = scores.parts["transformation"].isin(families) & scores.parts["scope"].isin(scopes)
    return overall(scores.parts[chosen])


def _differences(both: pd.DataFrame, one: Scores, other: Scores) -> Iterator[dict[str, Any]]:
    """The parts' scores of one result less those of the other, a row per part that both have."""
    index = ["part", *LABELS]
    counts = resample_counts(one.manifest["images"], one.manifest["options"]["seed"])
    paired = in_same_order(one.manifest, other.manifest)
    replicates = [_by_part(scores) if paired else {} for scores in (one, other)]
    for row in both.to_dict("records"):
        key = tuple(row[name] for name in index)
        difference = {name: row[name] - row[f"{name}_less"] for name in POINTS}
        found = dict(zip(index, key, strict=True)) | {"layers": min(row["layers"], row["layers_less"])} | difference
        for value, (low, high) in INTERVALS.items():
            pair = [by_part[key][value] for by_part in replicates if key in by_part]
            resampled = row["scope"] == "image" and row["measure"] in OF_IMAGES
            ends = _interval(pair, difference[value], counts if resampled else None) if len(pair) == 2 else None
            found[low], found[high] = ends or (np.nan, np.nan)
        yield found


def _by_part(scores: Scores) -> dict[tuple[str, ...], pd.DataFrame]:
    """What the intervals of a part are made of, by part and labels: a row per replicate and layer."""
    parts = scores.layers.set_index("layer")["part"]
    table = overall(scores.replicates)
    table = table.assign(part=table["layer"].map(parts)).set_index(["replicate", "layer"])
    return {tuple(map(str, key)): rows for key, rows in table.groupby(["part", *LABELS], sort=False)}


def _interval(
    pair: Sequence["pd.Series[float]"], difference: float, counts: Array | None
) -> tuple[float, float] | None:
    """The 95 % interval of the difference of two parts' scores; None where the replicates are not of the same images.

    It is the bootstrap's where the `counts` of its resamples are given, else the jackknife's.
    """
    one, other = (values.unstack("layer").sort_index() for values in pair)  # [replicate, layer]
    if not one.index.equals(other.index):
        return None
    units = [table.to_numpy(dtype=np.float64) for table in (one, other)]
    if counts is None:
        first, second = (mean_of_defined(values, 1) for values in units)
        half_width = float(jackknife_half_width(first - second))
        return difference - half_width, difference + half_width
    if len(one) != counts.shape[1]:
        return None
    first, second = (mean_of_defined(resampled_means(values.T, counts)) for values in units)
    low, high = percentile_interval((first - second)[None])
    return float(low[0]), float(high[0])
