"""The effect of each condition of a study: its equivariance less that of the first condition, part by part."""

import pandas as pd

from equiscope.results.columns import PARTS
from equiscope_studies.results import listed
from equiscope_studies.training.presets import Study
from equiscope_studies.training.seeds import LEVEL, Difference, Rule, Score, holm, readings

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
    return " ".join(
        f"Under {family}, compared with {baseline}: {_of_family(study, rows)}."
        for family, rows in ((str(family), rows) for family, rows in found.groupby("family", sort=False))
    )


def _of_family(study: Study, rows: pd.DataFrame) -> str:
    told, silent = [], []
    for condition, name in study.conditions(rows["condition"]).items():
        its = rows[(rows["condition"] == condition) & rows["differs"] & (rows["value"].abs() >= SHOWN)]
        ways = [
            _changed(verb, its[its["value"] * sign > 0])
            for verb, sign in (("raised", 1), ("lowered", -1))
            if (its["value"] * sign > 0).any()
        ]
        if ways:
            told.append(f"with {name}, equivariance is {' and '.join(ways)}")
        else:
            silent.append(name)
    if silent:
        told.append(f"with {listed(silent)}, no part is found to differ")
    return "; ".join(told)


def _changed(verb: str, rows: pd.DataFrame) -> str:
    sizes = rows["value"].abs()
    least, most = f"{sizes.min():.2f}", f"{sizes.max():.2f}"
    return f"{verb} in {listed(rows['part'])} by {least if least == most else f'{least} to {most}'}"
