"""A training study in words, every one of which follows from the numbers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from equiscope.results.columns import PARTS, SCOPES
from equiscope.results.rows import measures_in
from equiscope_studies.results import markdown, recipe_in_words
from equiscope_studies.training.picture import families_in
from equiscope_studies.training.presets import Preset, Study, table_of_differences
from equiscope_studies.training.recipe import Recipe
from equiscope_studies.training.seeds import (
    LEAST_FOR_BARS,
    SIGNS,
    Mean,
    Reading,
    mean,
    measured_in_words,
    readings,
    verdicts_of_seeds,
)

NOTHING = "not defined"


def page(study: Study, table: pd.DataFrame, recipe: Mapping[str, Any], wanted: int, *, epochs: bool) -> str:
    """The page of a study; `wanted` is how many runs it is to have, `epochs` whether scores by epoch are drawn."""
    verdicts = verdicts_of_seeds(study.claims, table)
    there = table["run"].nunique()
    missing = [] if there == wanted else [f"**{there} of {wanted} runs are finished; what follows is of these.**"]
    while_training = ["## While they trained", "![Scores of parts by epoch](during.png)"] if epochs else []
    return "\n\n".join(
        [
            f"# {study.question}",
            *missing,
            "![The figure](figure.png)",
            _what_is_drawn(table),
            "## The networks, trained",
            accuracy_table(study, table),
            "## The claims",
            _rules(verdicts),
            *_claims(verdicts),
            *while_training,
            "## What the preset small changes",
            table_of_differences(study),
            "## Every score",
            _score_table(study, table, "score"),
            "## Shares of variance explained",
            _score_table(study, table, "explained"),
            "## How this was made",
            recipe_in_words(recipe)
            + "\n\nAll numbers, with more digits, are in `scores.parquet`, the claims with all of "
            "their differences in `claims.parquet`, and what was trained in `recipe.json`.\n",
        ]
    )


def _claims(verdicts: pd.DataFrame) -> list[str]:
    if verdicts.empty:
        return []
    return [verdict_table(verdicts), "## What was measured of each claim", claim_table(verdicts)]


def _what_is_drawn(table: pd.DataFrame) -> str:
    seeds = table.groupby("condition")["seed"].nunique()
    bars = (
        "bars are 95 % t-intervals over them"
        if seeds.max() >= LEAST_FOR_BARS
        else "t-intervals of so few seeds are too wide to draw, and are in the tables"
    )
    most = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    within = (
        " Within single images (scope image), vectors and maps of fewer than 9 positions have no correlation, so that "
        "pool and final are empty there."
        if "image" in set(table["scope"])
        else ""
    )
    return (
        f"Means over seeds, {most} of each condition, a dot for each; {bars}. Scores are the mean over all rotations "
        "or all shifts; short dashes are the chance level of equivariance, that of mismatched image pairs. Explained "
        "is the share of the channels' variance that the same channel, another one, or under rotations a linear map "
        f"of all of them explains.{within}"
    )


def accuracy_table(study: Study, table: pd.DataFrame) -> str:
    """A row a condition: its accuracy, its size and what it took."""
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
        "seeds. It holds where all of its differences bear it out, fails where one does not, and is inconclusive "
        "otherwise. Nothing is corrected for the number of claims. The rules, for a margin m that was set before any "
        "result was seen:\n\n" + "\n".join(f"- {sign}" for sign in SIGNS)
    )


def verdict_table(verdicts: pd.DataFrame) -> str:
    """A row a claim and images measured on: its verdict in each scope."""
    scopes = [scope for scope in SCOPES if scope in set(verdicts["scope"])]
    rows = []
    for key, found in verdicts.groupby(["claim", "on"], sort=False):
        claim, on = (str(one) for one in key)
        verdict = {row["scope"]: row["verdict"] for row in found.to_dict("records")}
        rows.append([_marked(claim, found), on, *(verdict[scope] for scope in scopes)])
    return markdown(["claim", "measured on", *scopes], rows)


def claim_table(verdicts: pd.DataFrame) -> str:
    """A row a claim and reading: what was measured, and whether it holds; readings that say the same share a row."""
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for key, found in verdicts.groupby(["claim", "on", "scope"], sort=False):
        claim, on, scope = (str(one) for one in key)
        measured = NOTHING if found["value"].isna().all() else measured_in_words(found)
        row = (_marked(claim, found), found["rule"].iloc[0], found["verdict"].iloc[0], measured)
        rows.setdefault(row, []).append(str(Reading(on, scope)))
    lines = ([claim, "; ".join(of), measured, rule, verdict] for (claim, rule, verdict, measured), of in rows.items())
    return markdown(["claim", "reading", "measured", "rule", "verdict"], lines)


def _marked(claim: str, rows: pd.DataFrame) -> str:
    return f"{claim} (not the paper's)" if rows["beyond"].iloc[0] else claim


def _score_table(study: Study, table: pd.DataFrame, value: str) -> str:
    """A row a family, reading, measure and condition: means over seeds by part; of scores, with the chance level."""
    conditions = study.conditions(table["condition"])
    rows = []
    for family, reading in product(families_in(table), readings(table)):
        of_reading = reading.of(table, family)
        if value == "explained" and reading.scope != "dataset":
            continue
        for condition, measure in product(conditions, measures_in(of_reading)):
            found = of_reading[(of_reading["condition"] == condition) & (of_reading["measure"] == measure)]
            if not found.empty:
                by_part = [found[found["part"] == part] for part in PARTS]
                cells = [
                    _in_words(mean(part[value]), part["chance"].mean() if value == "score" else np.nan)
                    for part in by_part
                ]
                rows.append([f"{family}, {reading}, {measure}", conditions[condition], *cells])
    note = "Behind each mean half of its interval; after the comma, the chance level." if value == "score" else ""
    return "\n\n".join(filter(None, [note, markdown([value, "condition", *PARTS], rows)]))


def _in_words(found: Mean, chance: float) -> str:
    if np.isnan(found.value):
        return "–"
    ends = "" if np.isnan(found.low) else f" ± {(found.high - found.low) / 2:.3f}"
    return f"{found.value:.3f}{ends}" + ("" if np.isnan(chance) else f", {chance:.2f}")


def recipes_as_json(study: Study, preset: Preset, recipes: Sequence[Recipe], recipe: Mapping[str, Any]) -> bytes:
    """The whole recipe of a study: what it was asked for, and each of its runs."""
    runs = {one.hash: asdict(one) for one in recipes}
    asked = {"study": study.name, "preset": asdict(preset), "measured": asdict(preset.measuring), "runs": runs}
    return json.dumps({"made": dict(recipe)} | asked, indent=2).encode()
