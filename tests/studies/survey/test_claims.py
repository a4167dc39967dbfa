"""When a claim of figures 4 and 7 holds, by planted scores."""

import pandas as pd
import pytest

from equiscope_studies.survey import claims
from equiscope_studies.survey.claims import FIGURE7, Relation
from equiscope_studies.survey.scores import kind
from equiscope_studies.verdicts import FAILS, HOLDS, INCONCLUSIVE

PARTS = ("early", "middle", "late", "pool", "final")


def table_of(scores, transformation="shifts", half=0.01):
    """Scores by network and measure, five parts each, as a table of one reading."""
    rows = [
        {"network": network, "kind": kind(network), "measure": measure, "part": part, "score": value}
        | {"low": value - half, "high": value + half}
        for (network, measure), values in scores.items()
        for part, value in zip(PARTS, values, strict=True)
    ]
    return pd.DataFrame(rows)


def verdict(says, table):
    (claim,) = (claim for claim in FIGURE7 if claim.says.startswith(says))
    return claim.decide(table).verdict


def equivariances(**networks):
    return table_of({(network, "equivariance"): values for network, values in networks.items()})


@pytest.mark.parametrize(
    ("vit", "expected"), [(0.5, HOLDS), (0.89, INCONCLUSIVE), (0.95, FAILS)], ids=["below", "overlapping", "above"]
)
def test_convolutions_are_above_the_others_where_all_intervals_say_so(vit, expected):
    table = equivariances(resnet=[0.9] * 5, vit_base=[vit] * 5)
    assert verdict("CNNs are above ViT and Mixer in early", table) == expected


def test_claims_about_networks_that_are_not_there_are_inconclusive():
    table = equivariances(resnet=[0.9] * 5, efficientnet=[0.8] * 5)
    for says in ("CNNs are above ViT and Mixer in early", "ViT and Mixer are below", "ViT is the highest"):
        assert verdict(says, table) == INCONCLUSIVE


@pytest.mark.parametrize(
    ("difference", "half", "expected"), [(0.005, 0.001, HOLDS), (0.1, 0.01, FAILS), (0.1, 0.2, INCONCLUSIVE)]
)
def test_both_measures_are_equal_to_within_a_hundredth(difference, half, expected):
    scores = {("resnet", "equivariance"): [0.5 + difference] * 5, ("resnet", "invariance"): [0.5] * 5}
    assert verdict("invariance equals", table_of(scores, half=half)) == expected


def test_early_is_more_equivariant_than_invariant_and_more_so_than_late():
    scores = {
        ("resnet", "equivariance"): [0.7, 0.6, 0.5, 0.5, 0.7],
        ("resnet", "invariance"): [0.4, 0.4, 0.5, 0.5, 0.4],
    }
    assert verdict("early is more", table_of(scores)) == HOLDS
    assert verdict("the gap", table_of(scores)) == HOLDS
    assert verdict("the gap", table_of({key: values[2:] + values[2:4] for key, values in scores.items()})) == FAILS


@pytest.mark.parametrize(("final", "expected"), [((0.3, 0.8), HOLDS), ((0.8, 0.3), FAILS), ((0.5, 0.5), INCONCLUSIVE)])
def test_the_order_of_networks_is_reversed(final, expected):
    table = equivariances(resnet=[0.6, 0.6, 0.6, 0.6, final[0]], efficientnet=[0.4, 0.4, 0.4, 0.4, final[1]])
    assert verdict("networks low before", table) == expected


@pytest.mark.parametrize(
    ("decide", "found", "expected"),
    [
        (claims.goes_with, Relation(0.94, 0.02, 0.003, 0.8, 1.0), HOLDS),
        (claims.goes_with, Relation(-0.94, 0.02, 0.003, -1.0, -0.8), FAILS),
        (claims.goes_with, Relation(0.5, 0.3, 0.003, 0.2, 0.7), INCONCLUSIVE),
        (claims.goes_with, Relation(1.0, 0.33, 0.33, 1.0, 1.0), INCONCLUSIVE),
        (claims.nearly_perfect, Relation(0.94, 0.02, 0.003, 0.94, 1.0), HOLDS),
        (claims.nearly_perfect, Relation(0.3, 0.6, 0.003, 0.1, 0.5), FAILS),
        (claims.does_not_go_with, Relation(0.94, 0.02, 0.003, 0.8, 1.0), FAILS),
        (claims.does_not_go_with, Relation(0.1, 0.9, 0.003, -0.2, 0.3), INCONCLUSIVE),
    ],
)
def test_a_correlation_holds_only_where_p_and_intervals_allow(decide, found, expected):
    assert decide(found).verdict == expected


def test_every_claim_has_a_verdict_in_every_reading_of_its_group(of_figure7):
    found = claims.verdicts(FIGURE7, of_figure7[0])
    assert set(found["claim"]) == {claim.says for claim in FIGURE7}
    assert set(found["verdict"]) <= {HOLDS, FAILS, INCONCLUSIVE}
    readings = found.groupby("group")["reading"].agg(lambda readings: list(dict.fromkeys(readings)))
    assert readings["translation"] == ["zero, dataset", "crop, dataset", "zero, image", "crop, image"]
    assert readings["rotation"] == ["array, dataset", "registered, dataset", "array, image", "registered, image"]
