"""What a training study found, of its runs' folders alone: a table, a figure, and a page with the claims."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

import equiscope as es
from equiscope.figures.plots import draw_epochs
from equiscope.figures.style import (
    DASHED,
    DOTTED,
    GREY,
    LEGEND,
    Plot,
    draw_chance,
    draw_intervals,
    drawing,
    legend_columns,
    series_look,
)
from equiscope.networks.layers import PARTS
from equiscope.results.scores import SCOPES
from equiscope_studies.claims import HOLDS
from equiscope_studies.presets import Preset, Study, table_of_differences
from equiscope_studies.results import markdown, recipe_in_words
from equiscope_studies.runs import OWN, RESULT, Measuring, finished
from equiscope_studies.seeds import SIGNS, Mean, Reading, mean, measured_in_words, readings, verdicts_of_seeds
from equiscope_studies.training import MEANWHILE, Recipe

MARKERS = {"equivariance": "s", "invariance": "o"}
FAMILIES = ("rotations", "shifts")
KEPT = ("transformation", "measure", "scope", "score", "low", "high", "chance", "corrected", "images", "undefined")
NOTHING = "not defined"
LEAST_FOR_BARS = 3  # seeds; of two, a t-interval is six times as wide as they lie apart, and would hide all else
ON = {OWN: "own images", "mnist6": "upright"}


# --- the numbers


def numbers(study: Study, recipes: Iterable[Recipe], measuring: Measuring, runs: Path) -> pd.DataFrame:
    """A row a run, data set measured on, layer or part, transformation, measure and scope; of finished runs.

    `layer` is empty in the rows of parts; `on` is what the run was measured on: "own images" or "upright".
    ValueError where no run is finished.
    """
    tables = []
    for recipe in recipes:
        if not finished(recipe, measuring, runs):
            continue
        home = runs / recipe.hash
        result = json.loads((home / RESULT).read_text(encoding="utf-8"))
        folders = measuring.folders(recipe, home)
        for wanted in measuring.on:
            name = recipe.data if wanted == OWN else wanted
            scores = es.load(folders[name])
            for table in (scores.scores, scores.parts):
                rows = table[table["alignment"] == "array"]
                if "layer" in rows:  # of single transformations the parts suffice
                    rows = rows[rows["transformation"].isin(scores.families)]
                labels = {
                    "run": recipe.hash, "condition": getattr(recipe, study.varies), "seed": recipe.seed,
                    "on": ON.get(wanted, wanted), "accuracy": result["accuracy"],
                    "parameters": result["parameters"], "epochs": epochs_of(home), "seconds": result["seconds"],
                    "trained_on": f"{result['device']}, {result['threads']} threads, torch {result['torch']}",
                }  # fmt: skip
                layer = rows["layer"] if "layer" in rows else pd.Series(None, index=rows.index, dtype=object)
                tables.append(rows[["part", *KEPT]].assign(**labels, layer=layer))
    if not tables:
        raise ValueError(f"No run of the study is finished in {runs}, so that there is nothing to draw.")
    return pd.concat(tables, ignore_index=True)


def epochs_of(home: Path) -> int:
    """How many epochs a run took."""
    return len(pd.read_parquet(home / "log.parquet", columns=["epoch"]))


def meanwhile(study: Study, recipes: Iterable[Recipe], runs: Path) -> pd.DataFrame:
    """The scores of parts while networks trained, with condition and seed; empty where none were measured."""
    tables = [
        pd.read_parquet(file).assign(condition=getattr(recipe, study.varies), seed=recipe.seed)
        for recipe in recipes
        if (file := runs / recipe.hash / MEANWHILE).is_file()
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


# --- the pictures


def picture(study: Study, table: pd.DataFrame) -> Plot:
    """The figure, of saved numbers alone.

    A column a family and data set measured on, a row a scope, raw and corrected.
    """
    families = [family for family in FAMILIES if family in set(table["transformation"])]
    columns = list(product(families, dict.fromkeys(table["on"])))
    lines = list(product((False, True), SCOPES))
    conditions = study.conditions(table["condition"])
    places = _places(study, table)
    with drawing():
        across = max(len(columns), len(SCOPES))  # of a single family and data set, the scopes stand side by side
        cells = list(product(lines, columns))
        width, deep = 3.6 * across, len(cells) // across
        figure = Plot(figsize=(width, 2 * deep + 0.6 * (deep < len(lines))), layout="constrained")
        panels = figure.subplots(deep, across, sharex=True, sharey=True, squeeze=False)
        for place, (axes, ((corrected, scope), (family, on))) in enumerate(zip(panels.flat, cells, strict=True)):
            rows = table[(table["transformation"] == family) & (table["on"] == on) & (table["scope"] == scope)]
            value = "corrected" if corrected else "score"
            for number, (condition, measure) in enumerate(product(conditions, MARKERS)):
                of_both = rows[(rows["condition"] == condition) & (rows["measure"] == measure)]
                aside = 0.5 * ((number // 2 + 0.5) / len(conditions) - 0.5)
                _draw(axes, of_both, places, value, measure, series_look(number // 2).colour, aside)
            axes.set_xticks(range(len(places)), [shown for _, shown in places], fontsize=6)
            axes.set(xlim=(-0.5, len(places) - 0.5), ylim=(min(-0.03, axes.dataLim.y0 - 0.02), 1.03))
            axes.grid(axis="y")
            if place < across:
                axes.set_title(f"{family}, {on}", color=GREY)
            if place % len(columns) == 0:
                axes.set_ylabel(f"{value}, scope {scope}")
        handles = [
            Line2D([], [], color=series_look(number).colour, label=name)
            for number, name in enumerate(conditions.values())
        ]
        grey: dict[str, Any] = {"color": GREY, "markersize": 3}
        handles += [
            Line2D([], [], **grey, linestyle="-", marker="s", label="equivariance"),
            Line2D([], [], **grey, linestyle=DOTTED, marker="o", markerfacecolor="white", label="invariance"),
            Line2D([], [], color=GREY, linestyle=DASHED, linewidth=0.8, label="chance of equivariance"),
        ]  # fmt: skip
        labels = [str(handle.get_label()) for handle in handles]
        figure.legend(handles=handles, loc="outside lower center", ncols=legend_columns(labels, width - 0.4), **LEGEND)
    return figure


def _places(study: Study, table: pd.DataFrame) -> list[tuple[str, str]]:
    """What stands along the axis: the value of the column `layer` or `part`, and what it is called there."""
    if study.by == "part":
        return [(part, part) for part in PARTS if part in set(table["part"])]
    layers = list(dict.fromkeys(table["layer"].dropna()))
    return [(layer, layer.rpartition(".")[2].removeprefix("layer").replace("linear", "final")) for layer in layers]


def _draw(
    axes: Axes,
    rows: pd.DataFrame,
    places: Sequence[tuple[str, str]],
    value: str,
    measure: str,
    colour: str,
    aside: float,
) -> None:
    """The mean over seeds, each seed as a dot, t-intervals, and the chance level."""
    by_layer = places[0][0] not in PARTS
    column = "layer" if by_layer else "part"
    rows = rows[rows["layer"].notna() if by_layer else rows["layer"].isna()]
    wide = rows.pivot(index=column, columns="seed", values=value).reindex([place for place, _ in places])
    at = np.arange(len(places)) + aside
    means = [mean(line[~np.isnan(line)]) for line in wide.to_numpy()]
    solid = measure == "equivariance"
    axes.plot(
        at, [one.value for one in means], color=colour, linestyle="-" if solid else DOTTED, linewidth=0.9,
        marker=MARKERS[measure], markersize=3, markeredgewidth=0.7, markerfacecolor=colour if solid else "white",
        zorder=3,
    )  # fmt: skip
    for seed in wide:
        axes.plot(at, wide[seed], ".", color=colour, markersize=1.8, alpha=0.6, zorder=2)
    ends = [(one.low, one.high) if one.seeds >= LEAST_FOR_BARS else (np.nan, np.nan) for one in means]
    low, high = np.array(ends).T
    draw_intervals(axes, at, low, high, colour)
    if value == "score" and solid:
        chance = rows.groupby(column, sort=False)["chance"].mean().reindex([place for place, _ in places])
        draw_chance(axes, at, chance.to_numpy(dtype=float), colour, joined=False, half=0.06)


def picture_of_epochs(study: Study, table: pd.DataFrame, scope: str = "dataset") -> Plot:
    """Equivariance while the networks trained, the mean over seeds: a column a condition, a row a family."""
    families = [family for family in FAMILIES if family in set(table["transformation"])]
    conditions = study.conditions(table["condition"])
    with drawing():
        size = (max(3.0, 1.9 * len(conditions)) + 0.6, 2.2 * len(families) + 0.6)
        figure = Plot(figsize=size, layout="constrained")
        panels = figure.subplots(len(families), len(conditions), sharex=True, sharey=True, squeeze=False)
        for axes, (family, condition) in zip(panels.flat, product(families, conditions), strict=True):
            rows = table[
                (table["transformation"] == family) & (table["condition"] == condition) & (table["scope"] == scope)
            ]
            means = rows.groupby(["epoch", "part", "measure"], sort=False)["score"].mean()
            draw_epochs(axes, means.reset_index())
            axes.set_title(conditions[condition], color=GREY)
        for axes, family in zip(panels[:, 0], families, strict=True):
            axes.set_ylabel(f"score, {family}")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=legend_columns(labels, size[0] - 0.4), **LEGEND
        )
    return figure


# --- the page


def page(
    study: Study, preset: Preset, table: pd.DataFrame, recipe: Mapping[str, Any], wanted: int, *, epochs: bool
) -> str:
    """The study in words, every one of which follows from the numbers; `wanted` is how many runs it is to have."""
    verdicts = verdicts_of_seeds(study.claims, table)
    there = table["run"].nunique()
    missing = [] if there == wanted else [f"**{there} of {wanted} runs are finished; what follows is of these.**"]
    meanwhile_too = ["## While they trained", "![Scores of parts by epoch](during.png)"] if epochs else []
    return "\n\n".join(
        [
            f"# {study.question}",
            *missing,
            "![The figure](figure.png)",
            _what_is_drawn(table),
            "## The networks, trained",
            _accuracies(study, table),
            "## The claims",
            _rules(verdicts),
            *_claims(verdicts),
            *meanwhile_too,
            "## What the preset small changes",
            table_of_differences(study),
            "## Every score",
            _score_table(study, table),
            "## How this was made",
            recipe_in_words(recipe)
            + "\n\nAll numbers, with more digits, are in `scores.parquet`, the claims with all of "
            "their differences in `claims.parquet`, and what was trained in `recipe.json`.\n",
        ]
    )


def _claims(verdicts: pd.DataFrame) -> list[str]:
    if verdicts.empty:
        return []
    return [
        verdict_table(verdicts),
        "## What was measured of each claim",
        claim_table(verdicts),
        "## What holds in raw scores only",
        _only_raw(verdicts),
    ]


def _what_is_drawn(table: pd.DataFrame) -> str:
    seeds = table.groupby("condition")["seed"].nunique()
    bars = (
        "bars are 95 % t-intervals over them"
        if seeds.max() >= LEAST_FOR_BARS
        else "t-intervals of so few seeds are too wide to draw, and are in the tables"
    )
    most = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    return (
        f"Means over seeds, {most} of each condition, a dot for each; {bars}. Scores are the mean over all rotations "
        "or all shifts. Corrected: 0 is the level of images that do not belong together. Within single images (scope "
        "image), vectors and maps of fewer than 9 cells have no correlation, so that pool and final are empty there."
    )


def _accuracies(study: Study, table: pd.DataFrame) -> str:
    rows = []
    for condition, name in study.conditions(table["condition"]).items():
        found = table[table["condition"] == condition].drop_duplicates("run")
        accuracies = 100 * found["accuracy"]
        ends = f"{accuracies.min():.2f} to {accuracies.max():.2f}" if len(found) > 1 else "–"
        rows.append(
            [
                name, str(len(found)), f"{accuracies.mean():.2f}", ends, f"{found['parameters'].iloc[0]:,}",
                ", ".join(map(str, found["epochs"])), f"{found['seconds'].mean():.0f}",
            ]
        )  # fmt: skip
    return markdown(
        ["condition", "seeds", "accuracy, %", "lowest to highest", "weights", "epochs", "seconds by the clock"], rows
    )


def _rules(verdicts: pd.DataFrame) -> str:
    if verdicts.empty:
        return "No claim is about the networks at hand."
    return (
        "A claim is made of differences of two scores, taken seed by seed; in brackets their 95 % t-intervals over "
        "seeds. It holds where all of its differences bear it out, fails where one does not, and else cannot be told "
        "here. Nothing is corrected for the number of claims. The rules, for a margin m that was set before any result "
        "was seen:\n\n" + "\n".join(f"- {sign}" for sign in SIGNS)
    )


VALUES = {"raw": False, "corrected": True}


def verdict_table(verdicts: pd.DataFrame) -> str:
    """A row a claim and images measured on: its verdict in both scopes, raw and corrected."""
    rows = []
    for key, found in verdicts.groupby(["claim", "on"], sort=False):
        claim, on = (str(one) for one in key)
        verdict = {(row["scope"], row["corrected"]): row["verdict"] for row in found.to_dict("records")}
        cells = [verdict[scope, corrected] for scope, corrected in product(SCOPES, VALUES.values())]
        rows.append([_marked(claim, found), on, *cells])
    return markdown(["claim", "measured on", *(f"{scope}, {value}" for scope, value in product(SCOPES, VALUES))], rows)


def claim_table(verdicts: pd.DataFrame) -> str:
    """A row a claim and reading: what was measured, and whether it holds; readings that say the same share a row."""
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for key, found in verdicts.groupby(["claim", "on", "scope", "corrected"], sort=False):
        claim, on, scope, corrected = (str(one) for one in key)
        measured = NOTHING if found["value"].isna().all() else measured_in_words(found)
        row = (_marked(claim, found), found["rule"].iloc[0], found["verdict"].iloc[0], measured)
        rows.setdefault(row, []).append(str(Reading(on, scope, corrected == str(True))))
    lines = ([claim, "; ".join(of), measured, rule, verdict] for (claim, rule, verdict, measured), of in rows.items())
    return markdown(["claim", "reading", "measured", "rule", "verdict"], lines)


def _marked(claim: str, rows: pd.DataFrame) -> str:
    return f"{claim} (not the paper's)" if rows["beyond"].iloc[0] else claim


def _only_raw(verdicts: pd.DataFrame) -> str:
    found = verdicts.drop_duplicates(["claim", "on", "scope", "corrected"])
    keys = ["claim", "on", "scope"]
    both = found[~found["corrected"]].merge(found[found["corrected"]], on=keys, suffixes=("", "_corrected"))
    lines = [
        f"- {row['claim']} ({row['on']}, {row['scope']}): corrected for chance, {row['verdict_corrected']}."
        for row in both.to_dict("records")
        if row["verdict"] == HOLDS and row["verdict_corrected"] != HOLDS
    ]
    return "\n".join(lines) or "Nothing: every claim that holds in raw scores holds in corrected ones too."


def _score_table(study: Study, table: pd.DataFrame) -> str:
    rows = []
    conditions = study.conditions(table["condition"])
    for family, reading in product([one for one in FAMILIES if one in set(table["transformation"])], readings(table)):
        of_reading = reading.of(table, family)
        for condition, measure in product(conditions, MARKERS):
            found = of_reading[(of_reading["condition"] == condition) & (of_reading["measure"] == measure)]
            if not found.empty:
                cells = [_cell(mean(found.loc[found["part"] == part, "value"])) for part in PARTS]
                rows.append([f"{family}, {reading}, {measure}", conditions[condition], *cells])
    return markdown(["score", "condition", *PARTS], rows)


def _cell(found: Mean) -> str:
    if np.isnan(found.value):
        return "–"
    return f"{found.value:.3f}" if np.isnan(found.low) else f"{found.value:.3f} ± {(found.high - found.low) / 2:.3f}"


def recipes_as_json(study: Study, preset: Preset, recipes: Sequence[Recipe], recipe: Mapping[str, Any]) -> bytes:
    """The whole recipe of a study: what it was asked for, and each of its runs."""
    runs = {one.hash: asdict(one) for one in recipes}
    told = {"study": study.name, "preset": asdict(preset), "measured": asdict(preset.measuring), "runs": runs}
    return json.dumps({"made": dict(recipe)} | told, indent=2).encode()
