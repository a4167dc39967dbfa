"""What several seeds say together: differences by a model of all conditions, and the claims that these decide.

A claim is about one difference of two scores. Its standard error is that of a linear model of all conditions of a
study: the seeds are paired, and the residual variance is pooled. Claims of a reading are corrected by Holm's method.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf, isnan, sqrt
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from equiscope.results.columns import SCOPES
from equiscope_studies.verdicts import FAILS, HOLDS, INCONCLUSIVE, holm, joined, statsmodels

HIGHER_BY = 0.01  # a difference that a figure shows
ALIKE = 0.05  # scores of different networks that one would not call different
EQUAL_WITHIN = 0.03  # two scores of the same networks, which vary less
WELL = 0.1  # what is well above
LEVEL = 0.95
LEAST_FOR_BARS = 3  # seeds; of two, a t-interval is six times as wide as they lie apart, and would hide all else


@dataclass(frozen=True)
class Mean:
    """The mean over seeds, and the ends of its 95 % t-interval; NaN of a single seed."""

    value: float
    low: float
    high: float
    seeds: int


def mean(values: Iterable[float]) -> Mean:
    """The mean of one value a seed, with its t-interval; NaN where a value is.

    >>> found = mean([0.1, 0.2, 0.3])
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.2, -0.048, 0.448)
    """
    found = np.array(list(values), dtype=np.float64)
    count = len(found)
    value = float(found.mean()) if count else np.nan
    if count < 2:
        return Mean(value, np.nan, np.nan, count)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1) * found.std(ddof=1) / np.sqrt(count))
    return Mean(value, value - half, value + half, count)


# --- scores and their differences


@dataclass(frozen=True)
class Score:
    """Which score of which condition."""

    condition: str
    part: str
    measure: str = "equivariance"


@dataclass(frozen=True)
class Difference:
    """One score less another, and what a page calls it.

    Either of two conditions, in the same part and measure; or of two parts or measures of the same condition.
    """

    says: str
    first: Score
    second: Score

    def __post_init__(self) -> None:
        if self.is_within == ((self.first.part, self.first.measure) == (self.second.part, self.second.measure)):
            raise ValueError(f"{self.says!r} is of two conditions in one score, or of two scores of one condition.")

    @property
    def is_within(self) -> bool:
        """Whether both scores are of the same networks."""
        return self.first.condition == self.second.condition

    def responses(self, rows: pd.DataFrame) -> pd.DataFrame:
        """What the model is of: a row a network, with `condition`, `seed` and `value`; of one reading's rows."""
        first = _by_network(rows, self.first)
        value = first - _by_network(rows, self.second) if self.is_within else first
        return value.dropna().rename("value").reset_index()

    def of(self, rows: pd.DataFrame) -> "Estimate | None":
        """Its estimate from one reading's rows; None where it is not defined there."""
        responses = self.responses(rows)
        ours = [self.first.condition, self.second.condition]
        counts = responses["condition"].value_counts()
        if not set(ours) <= set(counts.index):
            return None
        return estimated(responses, {ours[0]: 1.0} if self.is_within else {ours[0]: 1.0, ours[1]: -1.0})


def _by_network(rows: pd.DataFrame, score: Score) -> pd.Series:
    chosen = (rows["part"] == score.part) & (rows["measure"] == score.measure)
    return rows[chosen].set_index(["condition", "seed"])["score"]


@dataclass(frozen=True)
class Estimate:
    """A difference, its standard error, and the residual deviation and degrees of freedom that the error rests on."""

    value: float
    error: float
    deviation: float
    freedom: int
    seeds: int  # of the condition that has the fewest

    @property
    def ends(self) -> tuple[float, float]:
        """Of the 95 % interval, not corrected for the number of claims."""
        half = float(stats.t.ppf((1 + LEVEL) / 2, self.freedom)) * self.error if self.freedom else np.nan
        return self.value - half, self.value + half


def estimated(responses: pd.DataFrame, weights: dict[str, float]) -> Estimate:
    """A weighted sum of conditions' means by least squares, with one residual variance of all conditions.

    Several conditions are compared within seeds: the model then has a term for each seed. The mean of a single
    condition is over seeds that stand for others, so that it has none.
    """
    ols = statsmodels().OLS
    conditions = sorted(set(responses["condition"]))
    columns = [responses["condition"] == one for one in conditions]
    if len(weights) > 1:
        columns += [responses["seed"] == one for one in sorted(set(responses["seed"]))[1:]]
    design = np.array(columns, dtype=np.float64).T
    contrast = np.zeros(design.shape[1])
    contrast[[conditions.index(one) for one in weights]] = list(weights.values())
    fewest = int(responses["condition"].value_counts()[list(weights)].min())
    values = responses["value"].to_numpy(dtype=np.float64)
    freedom = len(values) - int(np.linalg.matrix_rank(design))
    if not freedom:
        coefficients = np.linalg.lstsq(design, values, rcond=None)[0]
        return Estimate(float(contrast @ coefficients), np.nan, np.nan, 0, fewest)
    fit = ols(values, design).fit()
    found = fit.t_test(contrast)
    return Estimate(found.effect.item(), found.sd.item(), sqrt(fit.mse_resid), freedom, fewest)


# --- claims


@dataclass(frozen=True)
class Rule:
    """Which differences bear a claim out: those between two ends; and a sign of it, for tables."""

    sign: str
    low: float
    high: float

    def p_values(self, found: Estimate) -> tuple[float, float]:
        """One-sided p-values of "the difference does not lie between the ends" and of "it does"; 1 without an error."""
        if isnan(found.error):
            return 1.0, 1.0
        above, below = (_p_of_positive(gap, found) for gap in (found.value - self.low, self.high - found.value))
        beyond, under = (_p_of_positive(gap, found) for gap in (found.value - self.high, self.low - found.value))
        return max(above, below), min(beyond, under)


def _p_of_positive(gap: float, found: Estimate) -> float:
    """One-sided p-value of a gap that is estimated above 0."""
    if found.error == 0:
        return 0.0 if gap > 0 else 1.0
    return float(stats.t.sf(gap / found.error, found.freedom))


def more_than(margin: float) -> Rule:
    """The first score lies above the second by more than a margin."""
    return Rule(f"> {margin:g}", margin, inf)


def not_more_than(margin: float) -> Rule:
    """The first score does not lie above the second by more than a margin."""
    return Rule(f"< {margin:g}", -inf, margin)


def within(margin: float) -> Rule:
    """The two scores differ by less than a margin."""
    return Rule(f"± {margin:g}", -margin, margin)


HIGHER, WELL_ABOVE, NOT_HIGHER = more_than(HIGHER_BY), more_than(WELL), not_more_than(ALIKE)
NO_DIFFERENCE, EQUAL, NOT_WELL_APART = within(ALIKE), within(EQUAL_WITHIN), within(WELL)


@dataclass(frozen=True)
class SeedClaim:
    """A sentence of one or more claims: a difference each, under one family of transformations and one rule."""

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
    """Every reading of the scores at hand; the first is the one that a page leads with."""
    there = set(table["scope"])
    return [Reading(str(on), scope) for scope in SCOPES if scope in there for on in dict.fromkeys(table["on"])]


def verdicts_of_seeds(claims: Sequence[SeedClaim], table: pd.DataFrame) -> pd.DataFrame:
    """A row a claim and reading in which it is defined: what was measured, and its verdict.

    `p` is two-sided and corrected by Holm's method over the claims of the reading; a claim holds or fails where it is
    at most .05. `sentence_verdict` is that of the sentence which the claim is a part of.
    """
    found = [row for reading in readings(table) for row in _of_reading(claims, reading, table)]
    if not found:
        return pd.DataFrame()
    verdicts = pd.DataFrame(found)
    of_sentence = verdicts.groupby(["says", "on", "scope"], sort=False)["verdict"]
    return verdicts.assign(sentence_verdict=of_sentence.transform(joined))


def _of_reading(claims: Sequence[SeedClaim], reading: Reading, table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for claim in claims:
        of_reading = reading.of(table, claim.family)
        for difference in claim.differences:
            if (estimate := difference.of(of_reading)) is not None:
                rows.append(_row(claim, difference, reading, estimate, table["condition"].nunique()))
    corrected = holm([row["p_uncorrected"] for row in rows])
    for row, p in zip(rows, corrected, strict=True):
        decided = HOLDS if row["bears_out"] else FAILS
        row |= {"p": p, "verdict": decided if p <= 1 - LEVEL else INCONCLUSIVE}
    return rows


def _row(
    claim: SeedClaim, difference: Difference, reading: Reading, found: Estimate, conditions: int
) -> dict[str, Any]:
    holds, fails = claim.rule.p_values(found)
    low, high = found.ends
    return {
        "says": claim.says, "beyond": claim.beyond, "on": reading.on, "scope": reading.scope,
        "difference": difference.says, "family": claim.family, "part": difference.first.part,
        "within": difference.is_within, "rule": claim.rule.sign, "rule_low": claim.rule.low,
        "rule_high": claim.rule.high, "value": found.value, "low": low, "high": high, "error": found.error,
        "deviation": found.deviation, "freedom": found.freedom, "seeds": found.seeds, "conditions": conditions,
        "bears_out": holds < fails, "p_uncorrected": min(1.0, 2 * min(holds, fails)),
    }  # fmt: skip


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
