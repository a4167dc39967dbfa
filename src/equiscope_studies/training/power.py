"""How many seeds decide a claim, before any is trained, and what those at hand would have needed.

All follows from the residual deviation of a pilot, or of the runs themselves, and from the level that Holm's method
asks of the first of all claims: .05 over their number.
"""

from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
from scipy import stats

from equiscope_studies.training.seeds import LEVEL, Rule

POWER = 0.8
MOST = 100  # seeds; what asks for more is not to be decided by seeds


@dataclass(frozen=True)
class Design:
    """A study's conditions and the deviation of its scores between seeds.

    Attributes:
        deviation: Of one score, when the effects of condition and seed are taken out.
        conditions: Whose residuals are pooled.
        claims: That share the level.
        within: Whether both scores of a difference are of the same networks.
    """

    deviation: float
    conditions: int
    claims: int
    within: bool = False

    def error(self, seeds: int) -> float:
        """The standard error of a difference."""
        return self.deviation * sqrt((1 if self.within else 2) / seeds)

    def freedom(self, seeds: int) -> int:
        """The degrees of freedom of the deviation."""
        return (self.conditions if self.within else self.conditions - 1) * (seeds - 1)

    def chance_to_decide(self, rule: Rule, difference: float, seeds: int) -> float:
        """The probability that so many seeds decide a claim, one way or the other, where the difference is this."""
        if self.freedom(seeds) < 1:
            return 0.0
        above, below, beyond, under = (
            self._chance(gap, seeds)
            for gap in (difference - rule.low, rule.high - difference, difference - rule.high, rule.low - difference)
        )
        return max(above + below - 1, beyond, under)

    def _chance(self, gap: float, seeds: int) -> float:
        """That a gap is found to lie above 0."""
        if not isfinite(gap) or self.deviation == 0:
            return float(gap > 0)
        freedom, away = self.freedom(seeds), gap / self.error(seeds)
        least = stats.t.isf((1 - LEVEL) / 2 / self.claims, freedom)
        if abs(away) > 30:  # where the tail is 0 or 1, and its computation is not to be trusted
            return float(away > 0)
        return float(stats.nct.sf(least, freedom, away))

    def seeds_needed(self, rule: Rule, difference: float) -> int | None:
        """The fewest seeds that decide a claim with a probability of .8; None: more than 100."""
        return next(
            (seeds for seeds in range(2, MOST + 1) if self.chance_to_decide(rule, difference, seeds) >= POWER), None
        )

    def least_distance(self, seeds: int) -> float:
        """How far a difference must lie from a margin for so many seeds to see it with a probability of .8."""
        rule = Rule("> 0", 0.0, np.inf)
        low, high = 0.0, 1.0
        while high - low > 1e-5:
            middle = (low + high) / 2
            enough = self.chance_to_decide(rule, middle, seeds) >= POWER
            low, high = (low, middle) if enough else (middle, high)
        return high
