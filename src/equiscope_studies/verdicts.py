"""The verdicts on claims, and how several make one."""

from collections.abc import Iterable
from typing import NamedTuple

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
