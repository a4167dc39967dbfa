"""The figures' folders: what their numbers are, that words follow from numbers, and that nothing is half written."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import nn

from equiscope_studies import known_answers, mean_activation
from equiscope_studies.figures import figure2, figure3
from equiscope_studies.results import save

DATA = Path(os.environ.get("EQUISCOPE_DATA", Path(__file__).parents[3] / "shared" / "data"))
FILES = ["data.parquet", "figure.pdf", "figure.png", "page.md"]

needs_data = pytest.mark.skipif(
    not (DATA / "weights" / "resnet44-cifar10.safetensors").exists(),
    reason="needs CIFAR-10 and the weights of ResNet-44: set EQUISCOPE_DATA",
)


def read(folder):
    """The numbers and the words of a folder, after checking that it holds what it should and no more."""
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert all(0 < path.stat().st_size < 300_000 for path in folder.iterdir())
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "figure.pdf").read_bytes().startswith(b"%PDF")
    return pd.read_parquet(folder / "data.parquet"), (folder / "page.md").read_text()


@pytest.fixture(scope="module")
def of_figure2(tmp_path_factory):
    return read(figure2(DATA, tmp_path_factory.mktemp("figures") / "new" / "figure2", images=40))


@pytest.fixture(scope="module")
def of_figure3(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_answers, "SETTINGS", known_answers.Settings(networks=2))
        return read(figure3(tmp_path_factory.mktemp("figures") / "figure3", images=4))


# --- figure 2


def test_cosine_moves_with_the_mean_of_two_maps_and_correlation_does_not():
    table = pd.concat(mean_activation._maps(5))
    cells = table[table["panel"] == "maps"]
    first, second = (cells.loc[cells["map"] == name, "value"].to_numpy() for name in ("first", "second"))
    means = table[table["panel"] == "means"].pivot(index="mean", columns="similarity", values="value")
    for mean, row in means.iterrows():
        a, b = first + mean, second + mean
        assert row["pearson"] == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-5)
        assert row["cosine"] == pytest.approx(a @ b / np.sqrt(a @ a * (b @ b)), abs=1e-5)
    assert np.ptp(means["pearson"]) < 1e-5
    assert means.loc[0.5, "cosine"] - means.loc[0.0, "cosine"] > 0.6
    assert means.loc[0.0, "cosine"] == pytest.approx(means.loc[0.0, "pearson"], abs=1e-5)


def test_activations_are_means_over_everything_a_layer_puts_out_and_hooks_are_gone():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    images = torch.randn(70, 3, 6, 6)
    found = mean_activation.activations(network, images, ["0", "1"])
    for layer, output in (("0", network[0](images)), ("1", network(images))):
        row = found.set_index("layer").loc[layer]
        assert row["activation"] == pytest.approx(output.mean().item(), abs=1e-6)
        assert row["magnitude"] == pytest.approx(output.square().mean().sqrt().item(), abs=1e-6)
    assert not any(module._forward_hooks for module in network.modules())


def test_correlation_and_its_interval_are_scipys():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 21))
    expected = stats.pearsonr(x, y)
    low, high = expected.confidence_interval(0.95)
    found = mean_activation.correlation(x, y)
    assert list(found.values()) == pytest.approx([expected.statistic, low, high], abs=1e-4)
    narrow, wide = (mean_activation.interval(0.5, 21, fitted=fitted) for fitted in (0, 2))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@needs_data
def test_figure_2_scores_every_block_and_relates_it_to_its_activation(of_figure2):
    table, _ = of_figure2
    means = mean_activation.of_blocks(table, "activation")
    assert len(means) == 21
    assert means["stage"].value_counts(sort=False).to_dict() == {"layer1": 7, "layer2": 7, "layer3": 7}
    for measure, scope in mean_activation.READINGS:
        followed = {}
        for similarity in ("cosine", "pearson"):
            scores = mean_activation.of_blocks(table, measure, scope, similarity)
            assert list(scores["layer"]) == list(means["layer"])
            assert scores["value"].between(0, 1).all()
            found = mean_activation.relation(table, "score", measure, scope, similarity)
            followed[similarity] = stats.pearsonr(means["value"], scores["value"]).statistic
            assert found["value"] == pytest.approx(followed[similarity])
            assert found["low"] < found["value"] < found["high"]
        difference = mean_activation.relation(table, "difference", measure, scope)
        assert difference["value"] == pytest.approx(followed["cosine"] - followed["pearson"])
        assert difference["value"] > 0  # what the paper claims
    chance = table[(table["of"] == "chance")].groupby("similarity")["value"]
    assert chance.min()["cosine"] > 0.9 > chance.max()["pearson"]


@needs_data
def test_figure_2_tells_what_its_numbers_say_and_no_path(of_figure2):
    table, page = of_figure2
    found = mean_activation.relation(table, "score", "invariance", "dataset", "pearson")
    assert f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})" in page
    assert "0.63" in page and "0.11" in page  # the paper's
    assert "sha256 c0e417f177f2f9e7" in page
    assert "40 of the 10,000 images of DATA/cifar10:test" in page
    assert "`equiscope figure 2 --data DATA --images 40 --seed 0 --output OUTPUT`" in page
    assert str(DATA) not in page and str(DATA) not in str(table.attrs)
    assert "in 6 of 6 readings" in page
    turned = table.copy()
    is_difference = turned["of"] == "difference"
    turned.loc[is_difference, ["value", "low", "high"]] *= -1
    words = mean_activation.page(turned)
    assert "in 0 of 6 readings" in words and "unlike in the paper" in words


@pytest.mark.parametrize("missing", ["cifar10", "weights/resnet44-cifar10.safetensors"])
def test_figure_2_names_what_is_missing_before_it_measures(tmp_path, missing):
    for name in {"cifar10", "weights/resnet44-cifar10.safetensors"} - {missing}:
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(ValueError, match=f"There is no {missing} in .* is the folder that holds"):
        figure2(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_figure_2_without_data_says_how_to_give_it(tmp_path, monkeypatch):
    monkeypatch.delenv("EQUISCOPE_DATA", raising=False)
    with pytest.raises(ValueError, match="give --data DIR or EQUISCOPE_DATA"):
        figure2(None, tmp_path / "out")
    monkeypatch.setenv("EQUISCOPE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="There is no cifar10 in .*nowhere"):
        figure2(None, tmp_path / "out")


# --- figure 3


def test_figure_3_finds_what_is_built_in(of_figure3):
    table, page = of_figure3
    rows = known_answers.of_network
    assert rows(table, "isotropic", "score", measure="invariance")["value"].min() > 1 - 1e-4
    assert rows(table, "cornered", "score", measure="equivariance")["value"].min() > 1 - 1e-4
    assert rows(table, "cornered", "score", measure="invariance")["value"].max() < 0.7
    assert rows(table, "strided", "score", measure="invariance", pixels=225)["value"].min() > 1 - 1e-4
    assert rows(table, "strided", "score", measure="invariance", pixels=224)["value"].max() < 1 - 1e-2
    assert page.count("as it must be") == 2
    assert "all 72 partners" in page
    assert "`equiscope figure 3 --images 4 --seed 0 --output OUTPUT`" in page


def test_figure_3_says_so_where_a_number_is_not_what_it_must_be(of_figure3):
    table = of_figure3[0].copy()
    cornered = (table["network"] == "cornered") & (table["kind"] == "score") & (table["measure"] == "equivariance")
    table.loc[cornered, "value"] = 0.98
    table.loc[(table["network"] == "cornered") & (table["kind"] == "partner") & (table["channel"] == 2), "value"] = 2.0
    page = known_answers.page(table)
    assert "The lowest equivariance is 0.980, and must be 1: the measure does not find it" in page
    assert "18 of 72 partners are not those of this 4-cycle" in page


# --- the folder


def test_a_folder_that_holds_something_is_refused_before_anything_is_measured(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for figure in (lambda: figure2(DATA, tmp_path), lambda: figure3(tmp_path)):
        with pytest.raises(FileExistsError, match="exists and is not empty"):
            figure()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_force_replaces_our_files_and_leaves_others(tmp_path, of_figure3):
    table, page = of_figure3
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "page.md").write_text("old")
    save(tmp_path, table, known_answers.picture(table), page, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*FILES, "notes.txt"])
    assert (tmp_path / "page.md").read_text() == page


def test_a_failure_half_way_leaves_nothing_behind(tmp_path, monkeypatch, of_figure3):
    table, page = of_figure3
    picture = known_answers.picture(table)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
    with pytest.raises(OSError, match="the disk is full"):
        save(tmp_path / "figure3", table, picture, page)
    assert list(tmp_path.iterdir()) == []


def test_the_same_numbers_make_the_same_files(tmp_path, of_figure3):
    table, page = of_figure3
    one, two = (save(tmp_path / name, table, known_answers.picture(table), page) for name in ("one", "two"))
    for file in FILES:
        assert (one / file).read_bytes() == (two / file).read_bytes(), file
