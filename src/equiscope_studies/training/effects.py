"""The effect of each condition of a study: its equivariance less that of the first condition, part by part."""

import pandas as pd

from equiscope.results.columns import PARTS
from equiscope_studies.results import listed
from equiscope_studies.training.presets import Study
from equiscope_studies.training.seeds import LEVEL, Difference, Rule, Score, readings
from equiscope_studies.verdicts import holm

SHOWN = 0.005  # what two decimals round to 0.01
NONE = Rule("0", 0.0, 0.0)  # no difference at all
FAMILIES = ("shifts", "rotations", "flips")


def families_in(table: pd.DataFrame) -> list[str]:
    """The families that a study measured."""
    there = set(table["transformation"])
    return [family for family in FAMILIES if family in there]


def effects(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """A row a family, condition but the first, and part, in the first reading: the difference and whether it is one.

    `p` is two-sided, of no difference, and corrected by Holm's method over all rows.
    """
    baseline, *others = study.conditions(table["condition"])
    reading = readings(table)[0]
    rows = [
        {
            "family": family, "condition": one, "part": part, "value": found.value, "low": found.ends[0],
            "high": found.ends[1], "p": 2 * NONE.p_values(found)[1], "seeds": found.seeds,
        }
        for family in families_in(table)
        for one in others
        for part in PARTS
        if (found := Difference(part, Score(one, part), Score(baseline, part)).of(reading.of(table, family)))
    ]  # fmt: skip
    if not rows:
        return pd.DataFrame(columns=["family", "condition", "part", "value", "low", "high", "p", "seeds", "differs"])
    frame = pd.DataFrame(rows)
    frame["p"] = holm([min(1.0, p) for p in frame["p"]])
    return frame.assign(differs=frame["p"] <= 1 - LEVEL)


def in_sentences(study: Study, found: pd.DataFrame, baseline: str) -> str:
    """What differs from the baseline, a sentence a family: which conditions, in which parts, and by how much."""
    if found["low"].isna().all():
        return "There is but one seed of each condition, so that nothing is decided yet."
    return " ".join(
        f"Under {family}, compared with {baseline}, {_of_family(study, rows)}."
        for family, rows in ((str(family), rows) for family, rows in found.groupby("family", sort=False))
    )


def _of_family(study: Study, rows: pd.DataFrame) -> str:
    names = study.conditions(rows["condition"])
    parts = [part for part in PARTS if part in set(rows["part"])]
    seen = rows[rows["differs"] & (rows["value"].abs() >= SHOWN)]
    largest = seen.assign(size=seen["value"].abs()).groupby("condition")["size"].max().sort_values(ascending=False)
    told = [
        f"equivariance is {way} with "
        + listed([_where(names[one], its, parts) for one in largest.index
                  if len(its := among[among["condition"] == one])])
        for way, among in (("higher", seen[seen["value"] > 0]), ("lower", seen[seen["value"] < 0]))
        if len(among)
    ]  # fmt: skip
    silent = [name for one, name in names.items() if one not in set(seen["condition"])]
    return "; ".join([*told, *([f"no part is found to differ with {listed(silent)}"] if silent else [])])


def _where(name: str, rows: pd.DataFrame, parts: list[str]) -> str:
    """A condition, how much of a difference it makes, and in which of the parts."""
    sizes, its = rows["value"].abs(), list(rows["part"])
    least, most = f"{sizes.min():.2f}", f"{sizes.max():.2f}"
    if its == parts:
        where = "everywhere"
    elif len(its) > 1 and its == parts[-len(its) :]:
        where = f"from {its[0]} on"
    else:
        where = f"in {listed(its)}"
    return f"{name} ({least if least == most else f'{least} to {most}'} {where})"
