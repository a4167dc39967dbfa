"""Figures 4 and 7: what is measured once, what a correlation and its p are, and when a claim holds."""

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from equiscope_studies import architectures, claims
from equiscope_studies.accuracy import numbers, spearman, swap
from equiscope_studies.claims import CANNOT_TELL, FAILS, FIGURE7, HOLDS, Relation
from equiscope_studies.figures import Survey, figure4, figure7

FILES = ["data.parquet", "figure.pdf", "figure.png", "page.md"]
PARTS = ("early", "middle", "late", "pool", "final")
NETWORKS = """
from torch import nn

def built(channels):
    widths = ((3, channels), (channels, 4), (4, 4))
    layers = [nn.Sequential(nn.Conv2d(*both, 3, padding=1), nn.ReLU()) for both in widths]
    layers[0][0] = nn.Conv2d(3, channels, 3, stride=16, padding=1)
    return nn.Sequential(nn.Sequential(*layers), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))

def narrow():
    return built(4)

def wide():
    return built(8)
"""

# --- Spearman's rho and its p


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([3.0, 1.0, 2.0], [70.0, 60.0, 80.0]),
        ([0.1, 0.4, 0.3, 0.9, 0.6, 0.7], [70.0, 71.0, 72.0, 73.0, 74.0, 75.0]),
        ([0.1, 0.1, 0.3, 0.9, 0.6], [70.0, 71.0, 72.0, 72.0, 74.0]),
    ],
    ids=["three", "six", "ties"],
)
def test_rho_and_its_exact_p_are_scipys(x, y):
    found = spearman(np.array(x), np.array(y))
    by_scipy = stats.permutation_test(
        (x,), lambda x: stats.spearmanr(x, y).statistic, permutation_type="pairings", n_resamples=np.inf
    )
    assert found.rho == pytest.approx(by_scipy.statistic)
    assert found.p == pytest.approx(np.mean(np.abs(by_scipy.null_distribution) >= abs(by_scipy.statistic) - 1e-9))


def test_of_many_networks_p_is_drawn_and_nothing_is_told_of_equal_scores():
    x = np.arange(12.0)
    assert spearman(x, x).p < 1e-3
    assert spearman(x, x[::-1]).rho == -1
    assert np.isnan(spearman(np.ones(5), np.arange(5.0)).rho)


def test_a_swap_moves_rho_as_far_as_it_says():
    y = np.arange(6.0)
    moved = []
    for place, _ in pairwise(range(6)):
        swapped = y.copy()
        swapped[[place, place + 1]] = swapped[[place + 1, place]]
        for x in (y, np.array([0.0, 5, 1, 2, 3, 4])):
            moved.append(abs(spearman(x, y).rho - spearman(x, swapped).rho))
    assert (min(moved), max(moved)) == pytest.approx(swap(6))


# --- claims


def table_of(scores, transformation="shifts", half=0.01):
    """Scores by network and measure, five parts each, as a table of one reading."""
    rows = [
        {"network": network, "kind": architectures.kind(network), "measure": measure, "part": part, "value": value}
        | {"from": value - half, "to": value + half}
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
    ("vit", "expected"), [(0.5, HOLDS), (0.89, CANNOT_TELL), (0.95, FAILS)], ids=["below", "overlapping", "above"]
)
def test_convolutions_are_above_the_others_where_all_intervals_say_so(vit, expected):
    table = equivariances(resnet=[0.9] * 5, vit_base=[vit] * 5)
    assert verdict("CNNs are above ViT and Mixer in early", table) == expected


def test_nothing_is_told_of_networks_that_are_not_there():
    table = equivariances(resnet=[0.9] * 5, efficientnet=[0.8] * 5)
    for says in ("CNNs are above ViT and Mixer in early", "ViT and Mixer are below", "ViT is the highest"):
        assert verdict(says, table) == CANNOT_TELL


@pytest.mark.parametrize(
    ("difference", "half", "expected"), [(0.005, 0.001, HOLDS), (0.1, 0.01, FAILS), (0.1, 0.2, CANNOT_TELL)]
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


@pytest.mark.parametrize(("final", "expected"), [((0.3, 0.8), HOLDS), ((0.8, 0.3), FAILS), ((0.5, 0.5), CANNOT_TELL)])
def test_the_order_of_networks_turns_round(final, expected):
    table = equivariances(resnet=[0.6, 0.6, 0.6, 0.6, final[0]], efficientnet=[0.4, 0.4, 0.4, 0.4, final[1]])
    assert verdict("networks low before", table) == expected


@pytest.mark.parametrize(
    ("decide", "found", "expected"),
    [
        (claims.goes_with, Relation(0.94, 0.02, 0.003, 0.8, 1.0), HOLDS),
        (claims.goes_with, Relation(-0.94, 0.02, 0.003, -1.0, -0.8), FAILS),
        (claims.goes_with, Relation(0.5, 0.3, 0.003, 0.2, 0.7), CANNOT_TELL),
        (claims.goes_with, Relation(1.0, 0.33, 0.33, 1.0, 1.0), CANNOT_TELL),
        (claims.nearly_perfect, Relation(0.94, 0.02, 0.003, 0.94, 1.0), HOLDS),
        (claims.nearly_perfect, Relation(0.3, 0.6, 0.003, 0.1, 0.5), FAILS),
        (claims.does_not_go_with, Relation(0.94, 0.02, 0.003, 0.8, 1.0), FAILS),
        (claims.does_not_go_with, Relation(0.1, 0.9, 0.003, -0.2, 0.3), CANNOT_TELL),
    ],
)
def test_a_correlation_holds_only_where_p_and_intervals_allow(decide, found, expected):
    assert decide(found).verdict == expected


# --- whole runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty-four images of noise, and a file of two networks."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "nets.py").write_text(NETWORKS)
    (folder / "noise").mkdir()
    generator = np.random.default_rng(0)
    for number in range(24):
        pixels = generator.integers(256, size=(12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 48)).save(folder / "noise" / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def small(folder):
    """The options of a run of both networks; they take 224 pixels, as they declare nothing."""
    return {
        "models": [f"{folder / 'nets.py'}:{name}" for name in ("narrow", "wide")],
        "source": "noise", "images": 24, "shifts": [16], "results": folder / "results",
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:Layer")  # random filters on noise have no centre to be found
def test_networks_are_measured_once_and_half_of_one_is_finished(folder, small, monkeypatch):
    asked = architectures.asked(small["models"], folder, "noise", images=24, seed=0, shifts=[16])
    figure7(folder, folder / "figure7", Survey(**small))
    home = folder / "results" / "nets.py-narrow"
    assert sorted(path.name for path in home.iterdir()) == [
        "accuracy.json", "rotations", "shifts-crop", "shifts-zero"
    ]  # fmt: skip
    assert sorted(path.name for path in (folder / "figure7").iterdir()) == FILES
    times = {path.parent.name: path.stat().st_mtime_ns for path in home.glob("*/manifest.json")}

    (home / "shifts-crop" / "manifest.json").unlink()  # as a broken run leaves it
    architectures.measured(small["models"][0], asked, small["results"], data=folder)
    again = {path.parent.name: path.stat().st_mtime_ns for path in home.glob("*/manifest.json")}
    assert {name for name in times if times[name] != again[name]} == {"shifts-crop"}

    def never(*_, **__):
        raise AssertionError("a finished network is loaded again")

    monkeypatch.setattr(architectures, "load_network", never)
    accuracy = dict(zip(small["models"], (50.0, 60.0), strict=True))
    figure4(folder, folder / "figure4", Survey(accuracy=accuracy, **small))
    words = (folder / "figure4" / "page.md").read_text()
    assert "Rho of two networks is 1 or -1" in words
    assert str(folder) not in words.replace(small["models"][0], "").replace(small["models"][1], "")

    with pytest.raises(ValueError, match=r"other options \(shifts \[16\]; asked for now: shifts \[8\]\)"):
        figure7(folder, folder / "other", Survey(**small | {"shifts": [8]}))
    with pytest.raises(ValueError, match="accuracy of .* is not known"):
        figure4(folder, folder / "other", Survey(**small))


def test_accuracies_on_different_images_are_never_in_one_rho():
    table = pd.DataFrame(
        {"network": ["a", "b"], "accuracy": [70.0, 90.0], "accuracy_on": ["ImageNet, published", "CIFAR-10, measured"]}
    )
    with pytest.raises(ValueError, match="not on the same images"):
        numbers(table)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"models": ["cifar-resnet20", "cifar-resnet20"]}, "given 2 times"),
        ({"models": ["efficientnet-lite0"]}, "The images to measure on are not given"),
        ({"models": ["cifar-resnet20"], "shifts": [0, 1]}, "at least 1"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(options, sentence, tmp_path, monkeypatch):
    monkeypatch.delenv("EQUISCOPE_DATA", raising=False)
    with pytest.raises(ValueError, match=sentence):
        figure7(None, tmp_path / "out", Survey(results=tmp_path / "results", **options))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer")
def test_the_papers_six_run_with_random_weights(folder, tmp_path):
    six = architectures.SETTINGS.models
    survey = Survey(
        results=tmp_path / "results", source="noise", images=20, shifts=[8], weights=dict.fromkeys(six, "random")
    )
    figure7(folder, tmp_path / "figure7", survey)
    table = pd.read_parquet(tmp_path / "figure7" / "data.parquet")
    assert set(table["network"]) == set(six)
    assert set(table["kind"]) == {"CNN", "ViT", "Mixer"}
    figure4(folder, tmp_path / "figure4", survey)
    assert json.loads((tmp_path / "results" / six[0] / "rotations" / "manifest.json").read_text())["images"] == 10
