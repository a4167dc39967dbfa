"""A training study in words, every one of which follows from the numbers."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from equiscope.results.columns import PARTS
from equiscope.results.rows import measures_in
from equiscope_studies.results import folded, markdown, recipe_in_words
from equiscope_studies.training.effects import effects, families_in, in_sentences
from equiscope_studies.training.picture import maps_by_epoch
from equiscope_studies.training.plan import Plan, seeds_that_would_do
from equiscope_studies.training.presets import Preset, Study, table_of_differences
from equiscope_studies.training.recipe import Recipe
from equiscope_studies.training.seeds import LEAST_FOR_BARS, Mean, Reading, mean, readings, verdicts_of_seeds
from equiscope_studies.verdicts import FAILS, HOLDS, INCONCLUSIVE, joined

NOTHING = "–"


def page(
    study: Study,
    table: pd.DataFrame,
    recipe: Mapping[str, Any],
    wanted: int,
    *,
    plan: Plan | None = None,
    epochs: pd.DataFrame | None = None,
) -> str:
    """The page of a study.

    Args:
        study: What was asked.
        table: The scores at hand.
        recipe: How they were made.
        wanted: How many runs the study is to have.
        plan: What was known before the runs.
        epochs: The scores by epoch, where they were measured.
    """
    verdicts = verdicts_of_seeds(study.claims, table)
    there = table["run"].nunique()
    missing = [] if there == wanted else [f"**{there} of {wanted} runs are finished; what follows is of these.**"]
    while_training = [] if epochs is None else ["## While they trained", *by_epochs(study, epochs)]
    return "\n\n".join(
        [
            f"# {study.question}",
            *missing,
            answer(study, table, verdicts),
            "![The effect of each condition](effects.png)",
            _what_effects_are(study, table),
            *_claims(table, verdicts),
            "## The figure in the paper's form",
            "![The figure](figure.png)",
            _what_is_drawn(table),
            *while_training,
            "## The numbers",
            folded("The networks, trained", accuracy_table(study, table)),
            folded("Every claim in every reading", _every_claim(verdicts)),
            folded("Every score", _score_table(study, table, "score")),
            folded("Shares of variance explained", _score_table(study, table, "explained")),
            *_planned(study, plan),
            folded("What the preset small changes", table_of_differences(study)),
            "## How this was run",
            recipe_in_words(recipe)
            + "\n\nAll numbers, with more digits, are in `scores.parquet`, the claims with all of "
            "their differences in `claims.parquet`, and what was trained in `recipe.json`.\n",
        ]
    )


def page_before(study: Study, recipe: Mapping[str, Any], wanted: int, plan: Plan) -> str:
    """The page of a study of which no run is finished: what is to be decided, and how."""
    return "\n\n".join(
        [
            f"# {study.question}",
            f"**None of {wanted} runs is finished.** The claims, their margins and the number of seeds stand here "
            "before any result does.",
            _rules(study, plan),
            *_planned(study, plan),
            folded("What the preset small changes", table_of_differences(study)),
            "## How this was run",
            recipe_in_words(recipe) + "\n",
        ]
    )


def by_epochs(study: Study, table: pd.DataFrame) -> list[str]:
    """What training did to what is lost, by condition, in words, a picture and a table."""
    rows = maps_by_epoch(table)
    family = rows["transformation"].iloc[0]
    widest = measures_in(rows)[-1]
    kept = rows[rows["measure"] == widest].pivot_table(index="condition", columns=["part", "epoch"], values="explained")
    parts, last = [part for part in PARTS if part in set(rows["part"])], int(rows["epoch"].max())
    first = int(rows["epoch"].min())
    what = "is lost" if widest == "linear" else "neither stays nor swaps"
    lines = [
        [name, *(f"{1 - kept[part, first][one]:.2f} to {1 - kept[part, last][one]:.2f}" for part in parts)]
        for one, name in study.conditions(table["condition"]).items()
    ]
    seeds = table["seed"].nunique()
    start = "with random weights and estimated statistics of normalisation" if first == 0 else f"after epoch {first}"
    return [
        "![What stays, swaps, mixes and is lost, by epoch](during.png)",
        f"The variance of features under {family}, by part (rows), condition (columns) and epoch: what stays in its "
        "channel, swaps to another, mixes over channels, and is lost. Means over "
        f"{seeds} seed{'s' * (seeds > 1)}. What {what}, {start} and after epoch {last}:",
        markdown(["condition", *parts], lines),
    ]


def answer(study: Study, table: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """What differs, and what became of the paper's claims."""
    found = effects(study, table)
    baseline = next(iter(study.conditions(table["condition"]).values()))
    told = in_sentences(study, found[found["family"].isin(study.families)], baseline)
    return " ".join(filter(None, [told, _counted(verdicts)]))


def _counted(verdicts: pd.DataFrame) -> str:
    if verdicts.empty or verdicts["low"].isna().all():
        return ""
    first = _first_reading(verdicts)
    counts = first[~first["beyond"]]["verdict"].value_counts()
    held, failed, open_ = (int(counts.get(one, 0)) for one in (HOLDS, FAILS, INCONCLUSIVE))
    return (
        f"Of the {counts.sum()} claims of the paper, each of one difference in one part, with {first['seeds'].min()} "
        f"seeds {held} hold{'s' * (held == 1)}, {failed} fail{'s' * (failed == 1)}, and {open_} "
        f"{'is' if open_ == 1 else 'are'} inconclusive."
    )


def _first_reading(verdicts: pd.DataFrame) -> pd.DataFrame:
    """The rows of the reading that the page leads with."""
    of_first = (verdicts[["on", "scope"]] == verdicts[["on", "scope"]].iloc[0]).all(axis=1)
    return verdicts[of_first]


def _what_effects_are(study: Study, table: pd.DataFrame) -> str:
    baseline = next(iter(study.conditions(table["condition"]).values()))
    return (
        f"Equivariance less that of {baseline}, by part: means over seeds, paired, with 95 % intervals whose residual "
        "variance is pooled over all conditions. Filled: different from 0 at the level .05, corrected by Holm's method "
        f"over all that is drawn. Reading: {readings(table)[0]}."
    )


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
        f"Means over seeds, {most} of each condition, a dot for each; {bars}. Scores are the mean over all members of "
        "a family of transformations; short dashes are the chance level of equivariance, that of mismatched image "
        "pairs. Explained is the share of the channels' variance that the same channel, another one, or (but for "
        f"shifts) a linear map of all of them explains.{within}"
    )


def accuracy_table(study: Study, table: pd.DataFrame) -> str:
    """A row a condition: its accuracy, its size and what it took."""
    rows = []
    for condition, name in study.conditions(table["condition"]).items():
        found = table[table["condition"] == condition].drop_duplicates("run")
        accuracies, rotated = 100 * found["accuracy"], 100 * found["accuracy_rotated"]
        ends = f"{accuracies.min():.2f} to {accuracies.max():.2f}" if len(found) > 1 else NOTHING
        rows.append(
            [
                name, str(len(found)), f"{accuracies.mean():.2f}", ends, f"{rotated.mean():.2f}",
                f"{found['parameters'].iloc[0]:,}", _range(found["epochs"]), f"{found['seconds'].mean():.0f}",
            ]
        )  # fmt: skip
    head = ["condition", "seeds", "accuracy, %", "lowest to highest", "images rotated", "weights", "epochs", "seconds"]
    return markdown(head, rows)


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low}" if low == high else f"{low} to {high}"


# --- the claims


def _rules(study: Study, plan: Plan) -> str:
    signs = ", ".join(dict.fromkeys(claim.rule.sign for claim, _ in plan.claims(study)))
    return (
        "A claim is about one difference of two scores in one part, and a margin that was set before any run. It holds "
        'where the difference lies beyond the margin ("> 0.01"), below it ("< 0.05") or within it ("± 0.05"), and '
        "fails where it lies on the other side, by a two-sided test at the level .05 that Holm's method corrects over "
        f"all claims of a reading; else it is inconclusive. The margins of this study: {signs}."
    )


def _claims(table: pd.DataFrame, verdicts: pd.DataFrame) -> list[str]:
    if verdicts.empty:
        return ["## The claims", "No claim is about the networks at hand."]
    first = _first_reading(verdicts)
    return [
        "## The claims",
        claim_table(first),
        "Each cell is one claim, with the difference that was found; several differences in one part share a cell. "
        "The last column is the sentence as a whole: it holds where all of it does, and fails where a part does.",
        *_what_it_would_take(first),
    ]


def claim_table(verdicts: pd.DataFrame) -> str:
    """A row a sentence, a column a part: what became of the claims in it."""
    parts = [part for part in PARTS if part in set(verdicts["part"])]
    rows = []
    for says, found in verdicts.groupby("says", sort=False):
        cells = [_cell(found[found["part"] == part]) for part in parts]
        rows.append([_marked(str(says), found), found["rule"].iloc[0], *cells, found["sentence_verdict"].iloc[0]])
    return markdown(["claim", "rule", *parts, "as a whole"], rows)


def _cell(rows: pd.DataFrame) -> str:
    if rows.empty:
        return NOTHING
    verdict = joined(rows["verdict"])
    low, high = rows["value"].min(), rows["value"].max()
    return f"{verdict}, {low:+.3f}" + (f" to {high:+.3f}" if len(rows) > 1 else "")


def _marked(claim: str, rows: pd.DataFrame) -> str:
    return f"{claim} (not the paper's)" if rows["beyond"].iloc[0] else claim


def _what_it_would_take(verdicts: pd.DataFrame) -> list[str]:
    rows = verdicts[(verdicts["verdict"] == INCONCLUSIVE) & (verdicts["freedom"] > 0)]
    if rows.empty:
        return []
    lines = [
        [f"{row['says']}: {row['difference']}", row["rule"], _interval(row), seeds_that_would_do(row, len(verdicts))]
        for row in (dict(row) for _, row in rows.iterrows())
    ]
    return [
        "What it would take: the seeds that decide an inconclusive claim with a probability of .8, if the difference "
        "is what was found.",
        markdown(["inconclusive", "rule", "difference", "seeds"], lines),
    ]


def _every_claim(verdicts: pd.DataFrame) -> str:
    if verdicts.empty:
        return "None."
    rows = [
        [
            f"{_marked(str(row['says']), verdicts[verdicts['says'] == row['says']])}: {row['difference']}",
            str(Reading(row["on"], row["scope"])), _interval(row), row["rule"], f"{row['p']:.2g}", row["verdict"],
        ]
        for row in (dict(row) for _, row in verdicts.iterrows())
    ]  # fmt: skip
    note = "Intervals are of 95 %, not corrected; p is corrected by Holm's method over the claims of its reading."
    return f"{note}\n\n{markdown(['claim', 'reading', 'difference', 'rule', 'p', 'verdict'], rows)}"


def _interval(row: Mapping[str, Any]) -> str:
    ends = "" if np.isnan(row["low"]) else f" ({row['low']:+.3f} to {row['high']:+.3f})"
    return f"{row['value']:+.3f}{ends}"


def _planned(study: Study, plan: Plan | None) -> list[str]:
    return [] if plan is None else [folded("Power, reckoned before the runs", plan.in_words(study))]


# --- all scores


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
                cells = _cells(found, value)
                rows.append([f"{family}, {reading}, {measure}", conditions[condition], *cells])
    note = "Behind each mean half of its interval; after the comma, the chance level." if value == "score" else ""
    return "\n\n".join(filter(None, [note, markdown([value, "condition", *PARTS], rows)]))


def _cells(found: pd.DataFrame, value: str) -> Iterable[str]:
    for part in (found[found["part"] == part] for part in PARTS):
        chance = part["chance"].dropna()
        yield _in_words(mean(part[value]), chance.mean() if value == "score" and len(chance) else np.nan)


def _in_words(found: Mean, chance: float) -> str:
    if np.isnan(found.value):
        return NOTHING
    ends = "" if np.isnan(found.low) else f" ± {(found.high - found.low) / 2:.3f}"
    return f"{found.value:.3f}{ends}" + ("" if np.isnan(chance) else f", {chance:.2f}")


def recipes_as_json(study: Study, preset: Preset, recipes: Sequence[Recipe], recipe: Mapping[str, Any]) -> bytes:
    """The whole recipe of a study: what it was asked for, and each of its runs."""
    runs = {one.hash: asdict(one) for one in recipes}
    asked = {"study": study.name, "preset": asdict(preset), "measured": asdict(preset.measuring), "runs": runs}
    return json.dumps({"made": dict(recipe)} | asked, indent=2).encode()
