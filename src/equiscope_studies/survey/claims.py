"""What the paper says of its Figures 4 and 7, claim by claim, and whether numbers at hand bear it out.

Every verdict follows from a rule that is written beside it. Where the networks at hand are not what a claim is about,
or intervals overlap, it is inconclusive.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import NamedTuple

import pandas as pd

from equiscope_studies.survey.scores import Reading, readings
from equiscope_studies.verdicts import FAILS, HOLDS, INCONCLUSIVE, SAME, Verdict

NEARLY_PERFECT = 0.9
SIGNIFICANT = 0.05
BEFORE = ("early", "middle", "late")


class Interval(NamedTuple):
    """A value's interval, named for what it is of."""

    of: str
    low: float
    high: float

    def above(self, other: "Interval") -> bool:
        """Whether this interval lies wholly above the other."""
        return self.low > other.high


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, the rule that decides it, and the rule as a function of one reading's rows."""

    says: str
    group: str
    rule: str
    decide: Callable[[pd.DataFrame], Verdict]


def verdicts(claims: tuple[Claim, ...], table: pd.DataFrame) -> pd.DataFrame:
    """A row a claim and reading: its verdict and its reason."""
    rows = [
        {"claim": claim.says, "reading": str(reading), "group": claim.group} | claim.decide(reading.of(table))._asdict()
        for claim in claims
        for reading in readings(table)
        if reading.group == claim.group
    ]
    return pd.DataFrame(rows)


# --- figure 7


def all_above(higher: list[Interval], lower: list[Interval]) -> Verdict:
    """Holds where every interval of the one lies above every one of the other; fails where one lies below.

    >>> all_above([Interval("a", 0.8, 0.9)], [Interval("b", 0.5, 0.6)]).verdict
    'holds'
    >>> all_above([Interval("a", 0.8, 0.9)], [Interval("b", 0.5, 0.85)]).verdict
    'inconclusive'
    """
    pairs = list(product(higher, lower))
    if any(_undefined(one) for pair in pairs for one in pair):
        return Verdict(INCONCLUSIVE, "a score has no interval")
    against = [(one, other) for one, other in pairs if other.above(one)]
    if against:
        one, other = against[0]
        return Verdict(FAILS, f"{one.of} {_ends(one)} lies below {other.of} {_ends(other)}")
    close = [(one, other) for one, other in pairs if not one.above(other)]
    if close:
        one, other = close[0]
        return Verdict(INCONCLUSIVE, f"{one.of} {_ends(one)} and {other.of} {_ends(other)} overlap")
    least, most = min(higher, key=lambda one: one.low), max(lower, key=lambda one: one.high)
    return Verdict(HOLDS, f"the lowest, {least.of} {_ends(least)}, lies above {most.of} {_ends(most)}")


def _convolutions_above(part: str) -> Callable[[pd.DataFrame], Verdict]:
    def decide(rows: pd.DataFrame) -> Verdict:
        return _between_kinds(rows, ("CNN",), ("ViT", "Mixer"), (part,))

    return decide


def _vit_highest(rows: pd.DataFrame) -> Verdict:
    return _between_kinds(rows, ("ViT",), ("CNN", "Mixer", "other"), ("pool", "final"))


def _between_kinds(
    rows: pd.DataFrame, higher: tuple[str, ...], lower: tuple[str, ...], parts: tuple[str, ...]
) -> Verdict:
    kinds = set(rows["kind"])
    for wanted in (higher, lower):
        if not kinds & set(wanted):
            return Verdict(INCONCLUSIVE, f"no {' or '.join(wanted)} among the networks")
    rows = rows[rows["measure"] == "equivariance"]
    verdicts = []
    for part in parts:
        of_part = rows[rows["part"] == part]
        ends = [_intervals(of_part[of_part["kind"].isin(wanted)]) for wanted in (higher, lower)]
        verdicts.append(all_above(*ends) if all(ends) else Verdict(INCONCLUSIVE, f"no score in {part}"))
    return _joined(verdicts, parts)


def _joined(verdicts: list[Verdict], parts: tuple[str, ...]) -> Verdict:
    """One verdict of several parts: it holds where it does in all, and fails where it does in one."""
    for wanted in (FAILS, INCONCLUSIVE, HOLDS):
        for verdict, part in zip(verdicts, parts, strict=True):
            if verdict.verdict == wanted:
                return Verdict(wanted, f"{part}: {verdict.reason}" if len(parts) > 1 else verdict.reason)
    raise AssertionError  # pragma: no cover


def _measures_equal(rows: pd.DataFrame) -> Verdict:
    both = _both_measures(rows)
    both = both.assign(where=both["network"] + ", " + both["part"], difference=both["score_e"] - both["score_i"])
    if both.empty:
        return Verdict(INCONCLUSIVE, "no score is defined")
    ordered = both.sort_values("difference", key=abs, ascending=False).to_dict("records")
    beyond = [row for row in ordered if abs(row["difference"]) > SAME]
    apart = [row for row in beyond if row["low_e"] > row["high_i"] or row["low_i"] > row["high_e"]]
    if not beyond:
        return Verdict(HOLDS, f"they differ by at most {abs(ordered[0]['difference']):.3f} ({ordered[0]['where']})")
    if not apart:
        return Verdict(
            INCONCLUSIVE,
            f"they differ by {beyond[0]['difference']:+.3f} in {beyond[0]['where']}, but the intervals overlap",
        )
    return Verdict(
        FAILS,
        f"equivariance lies {apart[0]['difference']:+.3f} from invariance in {apart[0]['where']}, with intervals "
        f"apart; in {len(apart)} of {len(ordered)} parts of networks in all",
    )


def _early_more_equivariant(rows: pd.DataFrame) -> Verdict:
    early = rows[rows["part"] == "early"]
    verdicts = []
    for _, of_network in early.groupby("network", sort=False):
        higher, lower = (
            _intervals(of_network[of_network["measure"] == measure], measure)
            for measure in ("equivariance", "invariance")
        )
        verdicts.append(all_above(higher, lower))
    return _joined(verdicts, tuple(early["network"].unique()))


def _gap_wider_early(rows: pd.DataFrame) -> Verdict:
    """By the widest interval that the gap of two scores may have: from low less high to high less low."""
    gaps = {
        (row["network"], row["part"]): Interval(
            f"the gap in {row['part']}", row["low_e"] - row["high_i"], row["high_e"] - row["low_i"]
        )
        for row in _both_measures(rows).to_dict("records")
    }
    networks = tuple(rows["network"].unique())
    unknown = Interval("", float("nan"), float("nan"))
    early, late = ([gaps.get((network, part), unknown) for network in networks] for part in ("early", "late"))
    return _joined([all_above([one], [other]) for one, other in zip(early, late, strict=True)], networks)


def _reversed_in_final(rows: pd.DataFrame) -> Verdict:
    """Over the pairs of networks that are apart both before pooling and in *final*."""
    rows = rows[rows["measure"] == "equivariance"]
    before = rows[rows["part"].isin(BEFORE)].groupby("network", sort=False)[["low", "high"]].mean()
    final = rows[rows["part"] == "final"].set_index("network")[["low", "high"]].reindex(before.index)
    swapped: list[str] = []
    kept: list[str] = []
    for one, other in combinations(before.index, 2):
        order = []
        for table in (before, final):
            first, second = (Interval(name, *map(float, table.loc[name])) for name in (one, other))
            order.append(int(first.above(second)) - int(second.above(first)))
        if 0 not in order:
            (kept if order[0] == order[1] else swapped).append(f"{one} and {other}")
    if kept:
        return Verdict(FAILS, f"{kept[0]} are in the same order before pooling and in final")
    if swapped:
        return Verdict(HOLDS, f"all {len(swapped)} pairs that are apart in both change their order")
    return Verdict(INCONCLUSIVE, "no two networks are apart both before pooling and in final")


def _both_measures(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a part of a network where both are defined: `score_e`, `score_i` and so on."""
    columns = ["network", "part", "score", "low", "high"]
    both = (rows.loc[rows["measure"] == measure, columns] for measure in ("equivariance", "invariance"))
    merged = next(both).merge(next(both), on=["network", "part"], suffixes=("_e", "_i"))
    return merged.dropna(subset=["score_e", "score_i"])


def _intervals(rows: pd.DataFrame, name: str | None = None) -> list[Interval]:
    return [
        Interval(name or str(network), float(low), float(high))
        for network, low, high in zip(rows["network"], rows["low"], rows["high"], strict=True)
    ]


def _undefined(interval: Interval) -> bool:
    return not interval.low <= interval.high


def _ends(interval: Interval) -> str:
    return f"({interval.low:.2f} to {interval.high:.2f})"


_APART = "holds if all 95 % confidence intervals of the one side lie above all of the other, fails if one lies below"

FIGURE7 = (
    Claim("CNNs are above ViT and Mixer in early", "translation", _APART, _convolutions_above("early")),
    Claim("CNNs are above ViT and Mixer in middle", "translation", _APART, _convolutions_above("middle")),
    Claim(
        "invariance equals equivariance",
        "translation",
        f"holds if they differ by at most {SAME} in every part of every network, fails if they differ by more "
        "somewhere and their intervals are apart",
        _measures_equal,
    ),
    Claim(
        "ViT and Mixer are below CNNs before pool",
        "rotation",
        f"{_APART}; in each of early, middle and late",
        lambda rows: _between_kinds(rows, ("CNN",), ("ViT", "Mixer"), BEFORE),
    ),
    Claim("ViT is the highest after pooling", "rotation", f"{_APART}; in pool and final", _vit_highest),
    Claim(
        "early is more equivariant than invariant",
        "rotation",
        "holds if the interval of equivariance lies above that of invariance in every network, fails if below in one",
        _early_more_equivariant,
    ),
    Claim(
        "the gap of equivariance over invariance is wider in early than in late",
        "rotation",
        "the same, of the gap in early over that in late, with the widest interval that its two scores' allow",
        _gap_wider_early,
    ),
    Claim(
        "networks low before pool are high in final, and the reverse",
        "rotation",
        "of all pairs of networks whose intervals are apart both in the mean of early, middle and late and in final: "
        "holds if all change their order, fails if one keeps it",
        _reversed_in_final,
    ),
)


# --- figure 4


@dataclass(frozen=True)
class Relation:
    """A rank correlation over networks, its exact p, the least p there is, and its range over the scores' intervals."""

    rho: float
    p: float
    least_p: float
    low: float
    high: float


def goes_with(found: Relation) -> Verdict:
    """Whether a correlation is above chance: p at most .05, and above 0 in all of its range."""
    if found.least_p > SIGNIFICANT:
        return Verdict(
            INCONCLUSIVE, f"rho is {found.rho:.2f}, but with so few networks no p is below {found.least_p:.2g}"
        )
    if found.p <= SIGNIFICANT and found.low > 0:
        return Verdict(HOLDS, _in_words(found))
    if found.high <= 0 or (found.p <= SIGNIFICANT and found.rho < 0):
        return Verdict(FAILS, _in_words(found))
    return Verdict(INCONCLUSIVE, _in_words(found))


def nearly_perfect(found: Relation) -> Verdict:
    """Whether a correlation is above chance and at least .9 in all of its range."""
    if found.least_p > SIGNIFICANT:
        return goes_with(found)
    if found.p <= SIGNIFICANT and found.low >= NEARLY_PERFECT:
        return Verdict(HOLDS, _in_words(found))
    return Verdict(FAILS if found.high < NEARLY_PERFECT else INCONCLUSIVE, _in_words(found))


def does_not_go_with(found: Relation) -> Verdict:
    """Fails where a correlation, of either sign, is above chance; that there is none, few networks cannot show."""
    if found.least_p > SIGNIFICANT:
        return goes_with(found)
    if found.p <= SIGNIFICANT and (found.low > 0 or found.high < 0):
        return Verdict(FAILS, _in_words(found))
    return Verdict(INCONCLUSIVE, f"{_in_words(found)}: no sign of one, which is no proof of none")


def _in_words(found: Relation) -> str:
    return f"rho {found.rho:.2f} ({found.low:.2f} to {found.high:.2f}), p {found.p:.3f}"


FIGURE4 = (
    ("translation equivariance in early goes with accuracy", "translation", "early", goes_with),
    ("translation equivariance in middle goes with accuracy", "translation", "middle", goes_with),
    ("translation equivariance in final goes with accuracy nearly perfectly", "translation", "final", nearly_perfect),
    *(
        (f"rotation equivariance in {part} does not go with accuracy", "rotation", part, does_not_go_with)
        for part in BEFORE
    ),
)
FIGURE4_RULES = (
    f'"goes with": holds if p is at most {SIGNIFICANT} and rho above 0 in all of its range; fails if rho is at most 0 '
    f"in all of it, or below 0 with p at most {SIGNIFICANT}.",
    f'"nearly perfectly": holds if p is at most {SIGNIFICANT} and rho at least {NEARLY_PERFECT} in all of its range; '
    f"fails if it is below {NEARLY_PERFECT} in all of it.",
    f'"does not": fails if p is at most {SIGNIFICANT} and the range leaves out 0; otherwise it is inconclusive, as so '
    "few networks cannot show that there is no relation.",
)


def verdicts_on_accuracy(relations: pd.DataFrame) -> pd.DataFrame:
    """A row a claim of Figure 4 and reading: its verdict and its reason, of equivariance."""
    return pd.DataFrame(list(_verdicts_on_accuracy(relations)))


def _verdicts_on_accuracy(relations: pd.DataFrame) -> Iterator[dict[str, str]]:
    for says, group, part, decide in FIGURE4:
        rows = relations[
            (relations["group"] == group) & (relations["part"] == part) & (relations["measure"] == "equivariance")
        ]
        for row in rows.to_dict("records"):
            reading = Reading(group, row["variant"], row["scope"])
            if row["rho"] != row["rho"]:
                verdict = Verdict(INCONCLUSIVE, "a score is not defined, or all are equal")
            else:
                verdict = decide(Relation(*(float(row[key]) for key in ("rho", "p", "least_p", "low", "high"))))
            yield {"claim": says, "reading": str(reading), "group": group} | verdict._asdict()
