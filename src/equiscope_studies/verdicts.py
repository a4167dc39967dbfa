"""The verdicts on claims, and how several make one."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

HOLDS, FAILS, INCONCLUSIVE = "holds", "fails", "inconclusive"
SAME = 0.01  # scores that a figure shows as one


class Verdict(NamedTuple):
    """Whether a claim holds, and what decides it."""

    verdict: str
    reason: str


def joined(verdicts: Iterable[str]) -> str:
    """One verdict of several: it holds where all do, and fails where one does.

    >>> joined([HOLDS, INCONCLUSIVE]), joined([HOLDS, FAILS, INCONCLUSIVE])
    ('inconclusive', 'fails')
    """
    found = set(verdicts)
    return next(verdict for verdict in (FAILS, INCONCLUSIVE, HOLDS) if verdict in found)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected by Holm's method, in their order.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    if not p_values:
        return []
    statsmodels()
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]]


def statsmodels() -> Any:
    """statsmodels.api; ValueError where it is not installed."""
    try:
        import statsmodels.api
    except ImportError as error:
        raise ValueError("statsmodels is not installed: pip install 'equiscope[studies]'.") from error
    return statsmodels.api
