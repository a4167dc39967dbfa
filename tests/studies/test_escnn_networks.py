"""escnn's networks, whose answer is known: at the ceiling in every layer, and above a plain network of equal size."""

import pytest

import equiscope as es
from test_known_answers import faded, layer_rows

pytest.importorskip("escnn", reason="escnn is not installed", exc_type=ImportError)
pytestmark = pytest.mark.filterwarnings("ignore")  # of escnn's own


@pytest.mark.parametrize(
    ("group", "angle", "measure"), [("C8", 45, "equivariance"), ("SO(2)", 30, "linear")], ids=["C8", "SO(2)"]
)
def test_every_layer_is_at_its_ceiling_and_above_that_of_a_plain_network(group, angle, measure):
    from equiscope_studies.escnn_networks import EscnnNetwork

    layers = ["layer1", "layer2", "layer3", "invariant"]
    scoring = es.Scoring(measures=["invariance", "equivariance", "linear"])
    built, plain = (
        layer_rows(es.measure(network, faded(20), es.rotation(angle), layers=layers, scoring=scoring), name, measure)
        for network in (EscnnNetwork(group), EscnnNetwork("none"))
        for name in [f"rot{angle}"]
    )
    assert (built["score"] > built["ceiling"] - 0.02).all()
    assert (built["score"] > plain["score"] + 0.02).all()
