"""Claims, decided by planted scores."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from equiscope.results.columns import PARTS
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


def test_of_two_conditions_the_interval_is_the_t_interval_of_the_differences_seed_by_seed():
    found = verdicts(HIGHER, [0.5, 0.7, 0.6], [0.4, 0.55, 0.48])
    differences = np.array([0.1, 0.15, 0.12])
    low, high = stats.t.interval(0.95, 2, differences.mean(), differences.std(ddof=1) / np.sqrt(3))
    assert (found["value"], found["low"], found["high"]) == pytest.approx((differences.mean(), low, high))
    t = (differences.mean() - 0.01) / (differences.std(ddof=1) / np.sqrt(3))
    assert found["p"] == pytest.approx(2 * stats.t.sf(t, 2))


def test_of_more_conditions_the_residual_variance_is_pooled():
    generator = np.random.default_rng(0)
    scores = {(name, "early", "equivariance"): generator.normal(size=4) for name in ("a", "b", "c")}
    scores["a", "early", "invariance"] = scores["a", "early", "equivariance"] - 0.3 + 0.1 * generator.normal(size=4)
    rows = table(scores)
    rows = rows[rows["scope"] == "dataset"]
    between = Difference("a less b", Score("a", "early"), Score("b", "early")).of(rows)
    values = np.array([scores[name, "early", "equivariance"] for name in ("a", "b", "c")])
    residuals = values - values.mean(0) - values.mean(1)[:, None] + values.mean()
    assert between.freedom == 6 and between.seeds == 4
    assert between.value == pytest.approx(values[0].mean() - values[1].mean())
    assert between.error == pytest.approx(np.sqrt((residuals**2).sum() / 6 * 2 / 4))
    apart = Difference("a", Score("a", "early"), Score("a", "early", "invariance")).of(rows)
    alone = scores["a", "early", "equivariance"] - scores["a", "early", "invariance"]
    assert (apart.value, apart.error) == pytest.approx((alone.mean(), alone.std(ddof=1) / 2))
    unfinished = rows[(rows["condition"] != "b") | (rows["seed"] < 2)]
    assert Difference("a less b", Score("a", "early"), Score("b", "early")).of(unfinished).freedom == 4


def test_a_difference_is_of_two_conditions_or_of_two_scores():
    with pytest.raises(ValueError, match="of two conditions in one score"):
        Difference("all at once", Score("a", "early"), Score("b", "late"))


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
        (NO_DIFFERENCE, 0.02, 0.004, "holds"),
        (NO_DIFFERENCE, 0.02, 0.05, "inconclusive"),
        (NO_DIFFERENCE, -0.2, 0.01, "fails"),
        (EQUAL, 0.002, 0.001, "holds"),
        (EQUAL, 0.04, 0.001, "fails"),
    ],
)
def test_a_rule_decides_by_the_interval_and_its_margin(rule, difference, noise, verdict):
    base = np.array([0.4, 0.5, 0.45])
    assert verdicts(rule, base + difference + noise * np.array([-1, 0, 1]), base)["verdict"] == verdict


def test_one_seed_is_inconclusive_and_where_a_score_is_undefined_there_is_no_reading():
    assert verdicts(HIGHER, [0.9], [0.1])["verdict"] == "inconclusive"
    assert np.isnan(mean([0.3]).low)
    scores = {
        (name, part, "equivariance"): [value if part == "late" else np.nan] * 3
        for name, value in (("a", 0.9), ("b", 0.1))
        for part in ("late", "pool")
    }
    claim = SeedClaim("a is higher", FAMILY, HIGHER, raised("a", "b", ("late", "pool")))
    found = verdicts_of_seeds([claim], table(scores))
    assert found[["part", "verdict", "sentence_verdict"]].values.tolist() == [["late", "holds", "holds"]] * 2


def test_each_difference_has_its_verdict_and_a_sentence_fails_with_one_and_holds_with_all():
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
    found = verdicts_of_seeds(claims, table(scores))
    found = found[found["scope"] == "dataset"]
    assert found[["says", "part", "verdict", "sentence_verdict"]].values.tolist() == [
        ["crops raise", "middle", "holds", "holds"], ["crops raise", "late", "holds", "holds"],
        ["flips raise", "middle", "fails", "fails"], ["flips raise", "late", "holds", "fails"],
    ]  # fmt: skip


def test_a_claim_that_would_hold_alone_is_inconclusive_among_many():
    noise = np.array([-0.02, 0.0, 0.02, 0.01, -0.01])
    scores = {("none", part, "equivariance"): 0.5 + noise for part in PARTS}
    scores |= {("crops", part, "equivariance"): 0.526 + noise[::-1] for part in PARTS}
    claims = [SeedClaim("crops raise", FAMILY, HIGHER, raised("crops", "none", PARTS))]
    among = verdicts_of_seeds(claims, table(scores))
    alone = verdicts_of_seeds([SeedClaim("so", FAMILY, HIGHER, claims[0].differences[:1])], table(scores))
    assert set(among["verdict"]) == {"inconclusive"} and set(alone["verdict"]) == {"holds"}
    assert among["p"].iloc[0] == pytest.approx(5 * alone["p"].iloc[0])


def test_only_scopes_that_were_measured_are_readings():
    rows = table({(name, "early", "equivariance"): [value] * 3 for name, value in (("wide", 0.6), ("narrow", 0.5))})
    claim = SeedClaim("wider is higher", FAMILY, HIGHER, raised("wide", "narrow", ("early",)))
    found = verdicts_of_seeds([claim], rows[rows["scope"] == "dataset"])
    assert found[["scope", "verdict"]].values.tolist() == [["dataset", "holds"]]
