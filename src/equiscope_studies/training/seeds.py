"""What several seeds say together: means with t-intervals, and claims that these decide.

A claim is one or more differences of two scores, taken seed by seed, and a rule with a margin that was set before any
result was seen. It holds where its rule does for all of its differences, and fails where it fails for one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from equiscope.results.columns import SCOPES
from equiscope_studies.verdicts import FAILS, HOLDS, INCONCLUSIVE, SAME, joined

ALIKE = 0.05  # scores that one would not call different
WELL = 0.1  # what is well above
LEVEL = 0.95
LEAST_FOR_BARS = 3  # seeds; of two, a t-interval is six times as wide as they lie apart, and would hide all else
MOST_LISTED = 4  # differences in a row of the page; of more, the one that decides


@dataclass(frozen=True)
class Mean:
    """The mean over seeds, and the ends of its 95 % t-interval; NaN of a single seed."""

    value: float
    low: float
    high: float
    seeds: int

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.value:+.3f}"
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def mean(values: Iterable[float]) -> Mean:
    """The mean of one value a seed, with its t-interval; NaN where a value is.

    >>> str(mean([0.1, 0.2, 0.3]))
    '+0.200 (-0.048 to +0.448)'
    """
    found = np.array(list(values), dtype=np.float64)
    count = len(found)
    value = float(found.mean()) if count else np.nan
    if count < 2:
        return Mean(value, np.nan, np.nan, count)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1) * found.std(ddof=1) / np.sqrt(count))
    return Mean(value, value - half, value + half, count)


@dataclass(frozen=True)
class Rule:
    """When a difference bears a claim out: as a sign for tables, and as a function of its interval's ends."""

    sign: str
    decide: Callable[[float, float], str]

    def __call__(self, difference: Mean) -> str:
        """Whether it holds, fails, or is inconclusive, as it is without an interval."""
        if np.isnan(difference.low) or np.isnan(difference.high):
            return INCONCLUSIVE
        return self.decide(difference.low, difference.high)


SIGNS = (
    '"> m": holds where the interval lies above m, fails where it ends at or below m.',
    '"<= m": holds where the interval ends at or below m, fails where it lies above.',
    '"+- m": holds where the interval lies within m of 0, fails where it lies wholly outside.',
)


def more_than(margin: float) -> Rule:
    """The first score lies above the second by more than a margin.

    >>> [more_than(0.1)(Mean(0.2, low, high, 3)) for low, high in ((0.15, 0.25), (0.05, 0.35), (0.01, 0.09))]
    ['holds', 'inconclusive', 'fails']
    """
    return Rule(f"> {margin:g}", lambda low, high: HOLDS if low > margin else FAILS if high <= margin else INCONCLUSIVE)


def not_more_than(margin: float) -> Rule:
    """The first score does not lie above the second by more than a margin."""
    return Rule(
        f"<= {margin:g}", lambda low, high: FAILS if low > margin else HOLDS if high <= margin else INCONCLUSIVE
    )


def within(margin: float) -> Rule:
    """The two scores differ by no more than a margin.

    >>> [within(0.05)(Mean(0.0, low, high, 3)) for low, high in ((-0.01, 0.04), (-0.1, 0.1), (0.06, 0.1))]
    ['holds', 'inconclusive', 'fails']
    """

    def decide(low: float, high: float) -> str:
        if -margin <= low and high <= margin:
            return HOLDS
        return FAILS if low > margin or high < -margin else INCONCLUSIVE

    return Rule(f"+- {margin:g}", decide)


@dataclass(frozen=True)
class Score:
    """Which score of which condition."""

    condition: str
    part: str
    measure: str = "equivariance"


@dataclass(frozen=True)
class Difference:
    """One score less another, and what a page calls it."""

    says: str
    first: Score
    second: Score

    def of(self, rows: pd.DataFrame) -> Mean:
        """Its mean over the seeds that both conditions have, of one reading's rows."""
        first, second = (_by_seed(rows, score) for score in (self.first, self.second))
        seeds = first.index.intersection(second.index)
        return mean((first[seeds] - second[seeds]).tolist())


def _by_seed(rows: pd.DataFrame, score: Score) -> pd.Series:
    chosen = (rows["condition"] == score.condition) & (rows["part"] == score.part) & (rows["measure"] == score.measure)
    return rows[chosen].set_index("seed")["score"].sort_index()


@dataclass(frozen=True)
class SeedClaim:
    """A sentence, the family of transformations it is about, its differences and the rule for each of them."""

    says: str
    family: str
    rule: Rule
    differences: tuple[Difference, ...]
    beyond: bool = False  # the paper does not say it


@dataclass(frozen=True)
class Reading:
    """One way to read the scores: on which images, in which scope."""

    on: str
    scope: str

    def __str__(self) -> str:
        return f"{self.on}, {self.scope}"

    def of(self, table: pd.DataFrame, family: str) -> pd.DataFrame:
        """The parts' rows of this reading."""
        chosen = (
            table["layer"].isna()
            & (table["on"] == self.on)
            & (table["scope"] == self.scope)
            & (table["transformation"] == family)
        )
        return table[chosen]


def readings(table: pd.DataFrame) -> list[Reading]:
    """Every reading of the scores at hand."""
    there = set(table["scope"])
    return [Reading(str(on), scope) for scope in SCOPES if scope in there for on in dict.fromkeys(table["on"])]


def verdicts_of_seeds(claims: Iterable[SeedClaim], table: pd.DataFrame) -> pd.DataFrame:
    """A row a claim, reading and difference: what was measured, its verdict, and the claim's verdict of them all."""
    rows = []
    for claim in claims:
        conditions = {score.condition for each in claim.differences for score in (each.first, each.second)}
        if not conditions <= set(table["condition"]):
            continue
        for reading in readings(table):
            of_reading = reading.of(table, claim.family)
            measured = [(each, each.of(of_reading)) for each in claim.differences]
            verdicts = [claim.rule(found) for _, found in measured]
            rows += [
                {
                    "claim": claim.says, "beyond": claim.beyond, "rule": claim.rule.sign,
                    "on": reading.on, "scope": reading.scope, "difference": each.says, "value": found.value,
                    "low": found.low, "high": found.high, "seeds": found.seeds, "of_difference": verdict,
                    "verdict": joined(verdicts),
                }
                for (each, found), verdict in zip(measured, verdicts, strict=True)
            ]  # fmt: skip
    return pd.DataFrame(rows)


def measured_in_words(rows: pd.DataFrame) -> str:
    """The differences of one claim in one reading; of many, the first that decides, and how many say the same."""
    found: list[dict[str, Any]] = [dict(row) for _, row in rows.iterrows()]
    if len(found) > MOST_LISTED:
        decisive = [row for row in found if row["of_difference"] == row["verdict"]]
        if found[0]["verdict"] == HOLDS:
            decisive.sort(key=lambda row: max(abs(row["low"]), abs(row["high"])), reverse=True)
        return f"{_in_words(decisive[0])}; {len(decisive)} of {len(found)} differences say so"
    return "; ".join(_in_words(row) for row in found)


def _in_words(row: dict[str, Any]) -> str:
    found = Mean(row["value"], row["low"], row["high"], row["seeds"])
    return f"{row['difference']}: {'not defined' if np.isnan(found.value) else found}"


# --- differences that several studies take


def raised(condition: str, over: str, parts: Iterable[str], measure: str = "equivariance") -> tuple[Difference, ...]:
    """A condition's score less another's, in each of the parts."""
    return tuple(Difference(part, Score(condition, part, measure), Score(over, part, measure)) for part in parts)


def pairwise(
    conditions: Iterable[str], parts: Iterable[str], names: dict[str, str], measure: str = "equivariance"
) -> tuple[Difference, ...]:
    """Every condition's score less every later one's, in each of the parts."""
    pairs = list(combinations(conditions, 2))
    return tuple(
        Difference(f"{names[one]} less {names[other]}, {part}", Score(one, part, measure), Score(other, part, measure))
        for part in parts
        for one, other in pairs
    )


def apart(conditions: Iterable[str], parts: Iterable[str], names: dict[str, str]) -> tuple[Difference, ...]:
    """Every condition's equivariance less its invariance, in each of the parts."""
    return tuple(
        Difference(f"{names[one]}, {part}", Score(one, part, "equivariance"), Score(one, part, "invariance"))
        for part in parts
        for one in conditions
    )


def through(condition: str, parts: Iterable[str], names: dict[str, str]) -> tuple[Difference, ...]:
    """The score of each part less that of the next."""
    order = list(parts)
    return tuple(
        Difference(f"{names[condition]}, {one} less {other}", Score(condition, one), Score(condition, other))
        for one, other in zip(order, order[1:], strict=False)
    )


EQUAL, NO_DIFFERENCE, HIGHER, WELL_ABOVE = within(SAME), within(ALIKE), more_than(SAME), more_than(WELL)
NOT_HIGHER = not_more_than(SAME)
