"""Equivariance during training, for a plain loop and any logger."""

from math import nan

import pandas as pd
import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.integrations.during_training import by_name, logged

FAMILIES = [es.shifts([1]), es.flips()]
LAYERS = ["0", "5"]
COLUMNS = (
    *("part", "transformation", "measure", "scope", "alignment", "subpixel", "score", "chance", "explained"), "epoch",
)  # fmt: skip


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    ).train()


@pytest.fixture
def images():
    return torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_a_plain_loop_hears_of_every_part_and_trains_as_without_it(network, images):
    heard = {}
    state, random = {name: value.clone() for name, value in network.state_dict().items()}, torch.get_rng_state()

    def log(name, value, epoch):
        heard[name, epoch] = value

    table = es.scores_at(network, images, 3, FAMILIES, log=log, layers=LAYERS)
    assert network.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    whole = es.measure(network, images, FAMILIES, layers=LAYERS)
    parts = whole.table(by="part", transformation="flips").set_index("part")
    assert heard["equivariance/flips/dataset/early", 3] == pytest.approx(parts.loc["early", "equivariance"])
    assert heard["explained/linear/flips/dataset/final", 3] == pytest.approx(parts.loc["final", "linear_explained"])
    assert all(value == value for value in heard.values())
    assert tuple(table) == COLUMNS
    assert set(table["transformation"]) == {"shifts", "flips"} and set(table["epoch"]) == {3}
    expected = whole.parts[whole.parts["transformation"].isin(["shifts", "flips"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(table[list(COLUMNS[:-1])], expected[list(COLUMNS[:-1])])
    assert len(es.plot_epochs(table, value="explained").axes) == 2


def test_all_is_measured_as_measure_does(network, images):
    scoring = es.Scoring(measures=("invariance",), scopes=("image",), similarity="cosine")
    run = es.Run(precision="bfloat16")
    table = es.scores_at(network, images, 1, layers="0", scoring=scoring, run=run, batch_size=7, device="cpu")
    whole = es.measure(network, images, layers="0", scoring=scoring, run=run, batch_size=7)
    (row,), parts = table.to_dict("records"), whole.parts.set_index("transformation")
    assert {name: row[name] for name in ("part", "transformation", "measure", "scope", "alignment", "epoch")} == {
        "part": "early", "transformation": "rotations", "measure": "invariance", "scope": "image", "alignment": "array",
        "epoch": 1,
    }  # fmt: skip
    assert row["score"] == pytest.approx(parts.loc["rotations", "score"])


def test_names_tell_the_alignment_and_a_family_is_named_once_over_all_of_its_members():
    row = {"part": "early", "transformation": "shifts", "measure": "linear", "scope": "dataset", "chance": nan}
    table = pd.DataFrame(
        [
            row | {"alignment": "array", "subpixel": True, "score": 0.5, "explained": 0.25},
            row | {"alignment": "array", "subpixel": False, "score": 0.75, "explained": 0.5},
            row | {"alignment": "registered", "subpixel": False, "score": 1.0, "explained": nan},
        ]
    )
    found = {
        "linear/shifts/dataset/early": 0.5, "explained/linear/shifts/dataset/early": 0.25,
        "linear/shifts/dataset/early/registered": 1.0,
    }  # fmt: skip
    assert logged(table) == found
    undefined = by_name(table).keys() - found.keys()
    assert undefined == {"explained/linear/shifts/dataset/early/registered"}
