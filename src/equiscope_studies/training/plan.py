"""Which claims so many seeds will decide, from the scores of a pilot: written down before any run."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from equiscope_studies.results import markdown
from equiscope_studies.training.power import MOST, POWER, Design
from equiscope_studies.training.presets import Study
from equiscope_studies.training.seeds import Rule, verdicts_of_seeds


def plan(study: Study, pilot: pd.DataFrame, seeds: int) -> str:
    """The power of each claim, as a table, with the sentence that says what it is."""
    verdicts = verdicts_of_seeds(study.claims, pilot)
    rows = [
        [
            f"{row['says']}: {row['difference']}", row["rule"], f"{row['value']:+.3f}", f"{row['deviation']:.3f}",
            f"{_design(row, len(verdicts)).least_distance(seeds):.3f}", seeds_that_would_do(row, len(verdicts)),
        ]
        for row in (dict(row) for _, row in verdicts.iterrows())
        if row["freedom"]
    ]  # fmt: skip
    trained = pilot.groupby("condition")["seed"].nunique()
    note = (
        f"From a pilot of {trained.min()} to {trained.max()} smaller networks of each condition, scored by version 0.1 "
        f"(scope dataset, raw). A claim is decided with a probability of {POWER:g} where the difference lies at least "
        f"so far from its margin, with {seeds} seeds and the level that Holm's method asks of the first claim. The "
        "last column: the seeds that would do if the difference is the pilot's."
    )
    head = ["claim", "rule", "pilot's difference", "deviation", "least distance from the margin", "seeds"]
    return f"{note}\n\n{markdown(head, rows)}"


def seeds_that_would_do(row: Mapping[str, Any], claims: int) -> str:
    """The seeds that decide a claim with a probability of .8, if the difference is what a row of verdicts found."""
    if not row["freedom"]:
        return "not known"
    rule = Rule(row["rule"], row["rule_low"], row["rule_high"])
    needed = _design(row, claims).seeds_needed(rule, row["value"])
    return f"more than {MOST}" if needed is None else str(needed)


def _design(row: Mapping[str, Any], claims: int) -> Design:
    return Design(row["deviation"], row["conditions"], claims, row["within"])
