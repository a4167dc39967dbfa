"""A path means the same for every option and every function: `~` and variables are expanded at one place."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import equiscope as es
from equiscope.networks.loading import load_network
from terminal import equiscope, network_file, pictures


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    network_file(folder / "code")
    pictures(folder / "pictures", good=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "code")
        weights = load_network("net.py:small").model.state_dict()
        save_file({name: 2 * value for name, value in weights.items()}, folder / "twice.safetensors")
    return folder


@pytest.fixture
def elsewhere(home, tmp_path, monkeypatch):
    """A working folder in which nothing may appear."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PLACE", str(home))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("home_is", ["~", "$PLACE", "${PLACE}"])
def test_networks_weights_and_images_are_found(elsewhere, home, home_is):
    network = es.load_network(f"{home_is}/code/net.py:small", weights=f"{home_is}/twice.safetensors")
    plain = es.load_network(str(home / "code" / "net.py:small"))
    assert torch.equal(network.model[0].weight, 2 * plain.model[0].weight)
    preprocessing = es.Preprocessing(size=(8, 8), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert len(es.open_images(f"{home_is}/pictures", preprocessing)) == 3


def test_results_figures_and_reports_are_where_they_are_said_to_be(elsewhere, home):
    command = [
        "measure",
        "~/code/net.py:small",
        "--weights=$PLACE/twice.safetensors",
        "--images=~/pictures",
        "--size=32",
    ]
    assert equiscope(*command, "--output=~/out", "--layers=0", "--quiet").status == 0
    scores = es.load("$PLACE/out")
    scores.save("~/again")
    es.report(scores, "~/page.html")
    es.plot_layers(es.load(Path("~", "again"))).save("${PLACE}/drawn")
    assert len(es.compare(["~/out", "$PLACE/again"]))
    for more in (
        ["report", "~/out", "--output=$PLACE/other.html"],
        ["plot", "$PLACE/out", "--output=~/plotted.png"],
        ["compare", "~/out", "$PLACE/again", "--output=~/compared"],
    ):
        answer = equiscope(*more)
        assert answer.status == 0, answer.err
    for name in ("out", "again", "page.html", "drawn.pdf", "drawn.png", "other.html", "plotted.png", "compared"):
        assert (home / name).exists(), name


def test_what_stands_for_nothing_is_told_as_it_is_written(elsewhere, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(ValueError, match=r"\$NOWHERE/out is no result of equiscope: there is no such folder"):
        es.load("$NOWHERE/out")
