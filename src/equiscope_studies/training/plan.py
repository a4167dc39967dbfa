"""Which claims so many seeds will decide, from the scores of a pilot: written down before any run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from equiscope_studies.results import markdown
from equiscope_studies.training.power import MOST, POWER, Design
from equiscope_studies.training.presets import Study
from equiscope_studies.training.seeds import Difference, Rule, SeedClaim, readings


@dataclass(frozen=True)
class Plan:
    """What is to be trained, and what is known before.

    Attributes:
        pilot: Scores of earlier networks.
        conditions: That are to be trained.
        seeds: Of each.
    """

    pilot: pd.DataFrame
    conditions: frozenset[str]
    seeds: int

    def claims(self, study: Study) -> list[tuple[SeedClaim, Difference]]:
        """The claims about conditions that are to be trained."""
        return [
            (claim, difference)
            for claim in study.claims
            for difference in claim.differences
            if {difference.first.condition, difference.second.condition} <= self.conditions
        ]

    def in_words(self, study: Study) -> str:
        """The power of each claim, as a table, after a note of what it is."""
        claims = self.claims(study)
        rows = [row for claim, difference in claims if (row := self._row(claim, difference, len(claims)))]
        trained = self.pilot.groupby("condition")["seed"].nunique()
        many = f"{trained.min()}" if trained.min() == trained.max() else f"{trained.min()} to {trained.max()}"
        note = (
            f"From a pilot of {many} networks of each condition, of version 0.1 (its raw scores, "
            f"{readings(self.pilot)[0]}). With {self.seeds} seeds, a claim is decided with a probability of {POWER:g} "
            "where its difference lies as far from the margin as the fifth column says, at the level that Holm's "
            "method asks of the first claim. The last column: the seeds that would do if the difference is the pilot's."
        )
        head = ["claim", "rule", "pilot's difference", "deviation", "least distance from the margin", "seeds"]
        return f"{note}\n\n{markdown(head, rows)}"

    def _row(self, claim: SeedClaim, difference: Difference, claims: int) -> list[str] | None:
        """The row of a claim; None where the pilot has no deviation for it.

        A condition that the pilot did not have is thought to vary as those that it had.
        """
        rows = readings(self.pilot)[0].of(self.pilot, claim.family)
        found = difference.of(rows)
        stand_in = _between(difference, rows) if found is None else None
        known = found or (stand_in.of(rows) if stand_in else None)
        if known is None or not known.freedom:
            return None
        design = Design(known.deviation, len(self.conditions), claims, difference.is_within)
        needed = "–" if found is None else _seeds(design, claim.rule, found.value)
        return [
            f"{claim.says}: {difference.says}", claim.rule.sign, "–" if found is None else f"{found.value:+.3f}",
            f"{known.deviation:.3f}", f"{design.least_distance(self.seeds):.3f}", needed,
        ]  # fmt: skip


def _between(difference: Difference, rows: pd.DataFrame) -> Difference | None:
    """The same difference of two conditions that are there."""
    there = list(dict.fromkeys(rows["condition"]))
    if difference.is_within or len(there) < 2:
        return None
    first, second = (
        replace(score, condition=one) for score, one in zip((difference.first, difference.second), there, strict=False)
    )
    return Difference(difference.says, first, second)


def seeds_that_would_do(row: Mapping[str, Any], claims: int) -> str:
    """The seeds that decide a claim with a probability of .8, if the difference is what a row of verdicts found."""
    if not row["freedom"]:
        return "not known"
    design = Design(row["deviation"], row["conditions"], claims, row["within"])
    return _seeds(design, Rule(row["rule"], row["rule_low"], row["rule_high"]), row["value"])


def _seeds(design: Design, rule: Rule, difference: float) -> str:
    needed = design.seeds_needed(rule, difference)
    return f"more than {MOST}" if needed is None else str(needed)
