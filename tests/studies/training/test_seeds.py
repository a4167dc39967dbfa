"""Claims, decided by planted scores."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from equiscope_studies.training.seeds import (
    EQUAL,
    HIGHER,
    NO_DIFFERENCE,
    NOT_HIGHER,
    WELL_ABOVE,
    Difference,
    Score,
    SeedClaim,
    mean,
    measured_in_words,
    raised,
    verdicts_of_seeds,
)

FAMILY = "shifts"


def table(scores):
    """Rows of parts: `scores[condition, part, measure]` is a list of one value a seed."""
    return pd.DataFrame(
        {
            "layer": None, "part": part, "condition": condition, "measure": measure, "seed": seed, "scope": scope,
            "on": "own images", "transformation": FAMILY, "score": value,
        }
        for (condition, part, measure), values in scores.items()
        for seed, value in enumerate(values)
        for scope in ("dataset", "image")
    )  # fmt: skip


def verdicts(rule, first, second):
    claim = SeedClaim("it is so", FAMILY, rule, (Difference("a less b", Score("a", "early"), Score("b", "early")),))
    found = verdicts_of_seeds(
        [claim], table({("a", "early", "equivariance"): first, ("b", "early", "equivariance"): second})
    )
    return found[found["scope"] == "dataset"].iloc[0]


def test_the_interval_is_the_t_interval_of_the_differences_seed_by_seed():
    found = verdicts(HIGHER, [0.5, 0.7, 0.6], [0.4, 0.55, 0.48])
    differences = np.array([0.1, 0.15, 0.12])
    low, high = stats.t.interval(0.95, 2, differences.mean(), differences.std(ddof=1) / np.sqrt(3))
    assert (found["value"], found["low"], found["high"]) == pytest.approx((differences.mean(), low, high))


@pytest.mark.parametrize(
    ("rule", "difference", "noise", "verdict"),
    [
        (HIGHER, 0.1, 0.01, "holds"),
        (HIGHER, 0.1, 0.1, "inconclusive"),
        (HIGHER, 0.0, 0.001, "fails"),
        (HIGHER, -0.1, 0.01, "fails"),
        (NOT_HIGHER, -0.1, 0.01, "holds"),
        (NOT_HIGHER, 0.1, 0.01, "fails"),
        (WELL_ABOVE, 0.2, 0.01, "holds"),
        (WELL_ABOVE, 0.05, 0.01, "fails"),
        (NO_DIFFERENCE, 0.02, 0.005, "holds"),
        (NO_DIFFERENCE, 0.02, 0.05, "inconclusive"),
        (NO_DIFFERENCE, -0.2, 0.01, "fails"),
        (EQUAL, 0.002, 0.001, "holds"),
        (EQUAL, 0.02, 0.001, "fails"),
    ],
)
def test_a_rule_decides_by_the_interval_and_its_margin(rule, difference, noise, verdict):
    base = np.array([0.4, 0.5, 0.45])
    assert verdicts(rule, base + difference + noise * np.array([-1, 0, 1]), base)["verdict"] == verdict


def test_one_seed_and_undefined_scores_are_inconclusive():
    assert verdicts(HIGHER, [0.9], [0.1])["verdict"] == "inconclusive"
    assert verdicts(HIGHER, [0.9, np.nan, 0.9], [0.1, 0.1, 0.1])["verdict"] == "inconclusive"
    assert np.isnan(mean([0.3]).low)


def test_a_claim_fails_with_one_difference_and_holds_with_all():
    scores = {
        (condition, part, "equivariance"): [base + up, base + up + 0.001, base + up - 0.001]
        for part, base in (("middle", 0.4), ("late", 0.3))
        for condition, up in (("none", 0.0), ("crops", 0.2), ("flips", 0.2 if part == "late" else 0.0))
    }
    claims = [
        SeedClaim("crops raise", FAMILY, HIGHER, raised("crops", "none", ("middle", "late"))),
        SeedClaim("flips raise", FAMILY, HIGHER, raised("flips", "none", ("middle", "late"))),
        SeedClaim("what was not trained", FAMILY, HIGHER, raised("cutmix", "none", ("middle",))),
    ]
    found = verdicts_of_seeds(claims, table(scores)).drop_duplicates(["claim", "scope"])
    assert found.groupby("claim")["verdict"].unique().map(list).to_dict() == {
        "crops raise": ["holds"], "flips raise": ["fails"]
    }  # fmt: skip
    assert len(found) == 4  # two claims, two scopes


def test_only_scopes_that_were_measured_are_readings():
    rows = table({(name, "early", "equivariance"): [value] * 3 for name, value in (("wide", 0.6), ("narrow", 0.5))})
    claim = SeedClaim("wider is higher", FAMILY, HIGHER, raised("wide", "narrow", ("early",)))
    found = verdicts_of_seeds([claim], rows[rows["scope"] == "dataset"])
    assert found[["scope", "verdict"]].values.tolist() == [["dataset", "holds"]]


def test_of_many_differences_the_one_that_decides_is_named():
    parts = ("early", "middle", "late", "pool", "final")
    scores = {("a", part, "equivariance"): [0.5, 0.51, 0.5] for part in parts}
    scores |= {("b", part, "equivariance"): [0.5, 0.51, 0.5 if part != "pool" else 0.1] for part in parts}
    scores["b", "late", "equivariance"] = [0.2, 0.21, 0.2]
    found = verdicts_of_seeds([SeedClaim("alike", FAMILY, NO_DIFFERENCE, raised("a", "b", parts))], table(scores))
    text = measured_in_words(found[found["scope"] == "dataset"])
    assert text.startswith("late: +0.300")
    assert text.endswith("1 of 5 differences say so")
