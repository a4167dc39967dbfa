"""Several results side by side: by part, with intervals, and with intervals of their differences.

Two results that were made on the same images can be told apart better than their own intervals say, as an image that is
hard for one is hard for the other: their difference has an interval of its own. Within images, the same resamples of
images are drawn for both; over all images together, the same groups are left out of both (`replicates.parquet`).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

import equiscope as es
from equiscope.functional.statistics import (
    corrected,
    jackknife_half_width,
    mean_of_defined,
    percentile_interval,
    resample_counts,
    resampled_means,
)
from equiscope.models.layers import PARTS
from equiscope.plots import GREY, Plot, shortened
from equiscope.studies.results import BLUE, GREEN, ORANGE, SKY, VERMILION, drawing, markdown, save

Array = NDArray[np.float64]
KEYS = ["transformation", "alignment", "scope", "measure"]
VALUES = ["score", "low", "high", "chance", "corrected", "corrected_low", "corrected_high"]
RESULT_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, SKY, "#CC79A7", "#000000", "#F0E442")  # Okabe and Ito's
MEASURES = ("invariance", "equivariance")
SCOPES = ("dataset", "image")
SAME_IMAGES = ("fingerprint", "split", "column", "seed")  # of a manifest's data: the limit is in the number measured


def compare(results: Sequence[str | Path] | Mapping[str, es.Scores]) -> pd.DataFrame:
    """The parts' scores of several results, and the differences of those on the same images, a row each.

    `results` are folders, or scores by name. The column `what` is "score" or "difference"; a difference is `result`
    less `less`, and its `low` and `high` are those of the paired differences over images. It has them where both
    manifests tell the same images. Chance counts as fixed. ValueError where there are fewer than two results, or they
    have no transformation in common.
    """
    named = dict(results) if isinstance(results, Mapping) else _loaded(results)
    if len(named) < 2:
        raise ValueError(f"{len(named)} result cannot be compared; give two folders at least.")
    shared = set.intersection(*(set(scores.families) for scores in named.values()))
    if not shared:
        raise ValueError(
            "The results have no transformation or family in common: "
            + "; ".join(f"{name} has {', '.join(scores.families)}" for name, scores in named.items())
            + "."
        )
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


def _loaded(folders: Sequence[str | Path]) -> dict[str, es.Scores]:
    """The results by the names of their networks; by their folders where two would be named alike."""
    scores = [es.load(folder) for folder in folders]
    names = [str(one.manifest["model"]) for one in scores]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise ValueError("A folder is given twice; give each once.")
    return dict(zip(names, scores, strict=True))


def on_same_images(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two manifests tell that the same images were measured, in the same order."""
    data, others = first.get("data"), second.get("data")
    if not data or not others:
        return False  # tensors of the caller's own, of which nothing is known
    counted = ("images", "images_registered_on")
    return (
        all(data.get(key) == others.get(key) for key in SAME_IMAGES)
        and all(first.get(key) == second.get(key) for key in counted)
        and data.get("left_out") == others.get("left_out")
        and first.get("images_left_out") == second.get("images_left_out")
    )


def _differences(one: es.Scores, other: es.Scores, shared: set[str]) -> Iterator[dict[str, Any]]:
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


def _by_part(scores: es.Scores) -> dict[tuple[str, ...], Array]:
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
    half_width = float(jackknife_half_width(first - second))
    return difference - half_width, difference + half_width


# --- the folder


def compared(folders: Sequence[str | Path], output: Path, *, command: str = "", force: bool = False) -> pd.DataFrame:
    """Write the comparison of results to a folder, as the figures of the paper are, and return its table."""
    table = compare(folders)
    save(output, table, picture(table), page(table, command), force=force)
    return table


def picture(table: pd.DataFrame) -> Plot:
    """The figure, of saved numbers alone: scores above, differences of results on the same images below."""
    rows = [
        (what, family, alignment)
        for what in ("score", "difference")
        for family, alignment in table.loc[table["what"] == what, ["transformation", "alignment"]]
        .drop_duplicates()
        .itertuples(index=False)
    ]
    columns = list(product(SCOPES, MEASURES))
    names = list(table.loc[table["what"] == "score", "result"].drop_duplicates())
    with drawing():
        figure = Plot(figsize=(7.2, 1.9 * len(rows) + 0.6), layout="constrained")
        panels = figure.subplots(len(rows), len(columns), sharex=True, sharey="row", squeeze=False)
        for line, (what, family, alignment) in enumerate(rows):
            of_row = (table["what"] == what) & (table["transformation"] == family) & (table["alignment"] == alignment)
            for axes, (scope, measure) in zip(panels[line], columns, strict=True):
                chosen = table[of_row & (table["scope"] == scope) & (table["measure"] == measure)]
                _draw(axes, chosen, what, names)
                if line == 0:
                    axes.set_title(f"{measure}, {scope}", color=GREY)
            centre = "" if alignment == "array" else f" ({alignment})"
            panels[line, 0].set_ylabel(f"{shortened(str(family))}{centre}\n{what}")
        handles = [handle for axes in panels[:, 0] for handle in axes.get_legend_handles_labels()[0]]
        labels = [label for axes in panels[:, 0] for label in axes.get_legend_handles_labels()[1]]
        once = dict(zip(labels, handles, strict=True))
        figure.legend(list(once.values()), list(once), loc="outside lower center", ncols=min(3, len(once)))
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, what: str, names: Sequence[str]) -> None:
    pairs = list(rows[["result", "less"]].drop_duplicates().itertuples(index=False))
    for place, (result, less) in enumerate(pairs):
        is_score = what == "score"
        found = rows[(rows["result"] == result) & (rows["less"].isna() if is_score else rows["less"] == less)]
        found = found.set_index("part").reindex(PARTS)
        places = np.arange(len(PARTS)) + 0.5 * ((place + 0.5) / len(pairs) - 0.5)
        number = names.index(result)
        colour = RESULT_COLOURS[number % len(RESULT_COLOURS)]
        axes.vlines(places, found["low"], found["high"], color=colour, alpha=0.45, linewidth=1.5)
        axes.plot(
            places, found["score"], marker="o" if is_score else "D", linestyle="-" if is_score else "none",
            linewidth=0.8, markersize=3.5, color=colour,
            markerfacecolor=colour if is_score else RESULT_COLOURS[names.index(less) % len(RESULT_COLOURS)],
            label=result if is_score else f"{result} less {less}",
        )  # fmt: skip
    if what == "difference":
        axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    else:
        axes.set_ylim(min(-0.03, axes.dataLim.y0), 1.03)
    axes.set_xticks(range(len(PARTS)), PARTS, fontsize=6)
    axes.set_xlim(-0.5, len(PARTS) - 0.5)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.4)


def page(table: pd.DataFrame, command: str = "") -> str:
    """The comparison in words, every one of which follows from the numbers."""
    differences = table[table["what"] == "difference"]
    unpaired = (
        "No two results tell that they were made on the same images, so that no difference has an interval of its own."
        if differences.empty
        else "Differences are of results on the same images, with intervals of the paired difference; bold where an "
        "interval leaves out 0."
    )
    sections = [
        "# Results compared",
        "![The figure](figure.png)",
        f"Scores by part, with 95 % intervals over images. {unpaired}",
        "## Scores",
        _table(table[table["what"] == "score"]),
    ]
    if not differences.empty:
        sections += ["## Differences", _table(differences)]
    if command:
        sections += ["## How this was made", f"- command: `{command}`"]
    return "\n\n".join(sections) + "\n\nAll numbers, with more digits, are in `data.parquet`.\n"


def _table(rows: pd.DataFrame) -> str:
    lines = []
    for key, found in rows.groupby([*KEYS, "result", "less"], sort=False, dropna=False):
        *reading, result, less = key
        ends = found.set_index("part")[["score", "low", "high"]].reindex(PARTS).to_numpy()
        who = str(result) if less is None or less != less else f"{result} less {less}"
        lines.append([", ".join(map(str, reading)), who, *(_cell(*one, signed=who != result) for one in ends)])
    return markdown(["score", "result", *PARTS], lines)


def _cell(value: float, low: float, high: float, *, signed: bool) -> str:
    if np.isnan(value):
        return "–"
    number = f"{value:+.3f}" if signed else f"{value:.2f}"
    if np.isnan(low):
        return number
    text = f"{number} ({low:+.3f} to {high:+.3f})" if signed else f"{number} ({low:.2f} to {high:.2f})"
    return f"**{text}**" if signed and (low > 0 or high < 0) else text
