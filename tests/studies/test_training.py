"""Training: the recipe's hash, the loop, and that a run that is killed ends as if it had not been."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

import equiscope as es
from digits import digits
from equiscope_studies.labelled import labelled
from equiscope_studies.runs import Measuring, Place, finished, run
from equiscope_studies.trainable import network
from equiscope_studies.training import Recipe, trained

RECIPE = Recipe(
    network="z2cnn", data="mnist6", augmentation="crops+cutmix", optimiser="adam", learning_rate=0.01, batch=64,
    epochs=3, milestones=(2,), seed=1,
)  # fmt: skip
MEASURING = Measuring(on=("own",), images=40, transformations=("rotations",))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return digits(tmp_path_factory.mktemp("data"))


def test_a_recipes_hash_is_stable_and_tells_recipes_apart():
    assert Recipe(network="cifar-resnet44", data="cifar10", weight_decay=0.0001, epochs=200).hash == "5b1bfe2f88bf"
    assert Recipe(network="z2cnn", data="mnist6", epochs=1).hash == Recipe(network="z2cnn", data="mnist6").hash
    others = [replace(RECIPE, seed=2), replace(RECIPE, limit=128), replace(RECIPE, milestones=(1,))]
    assert len({RECIPE.hash, *(other.hash for other in others)}) == 4


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"optimiser": "lion"}, "one of sgd, adam"),
        ({"limit": 10}, "a batch alone has 64"),
        ({"network": "resnet9000"}, "such as cifar-resnet44"),
        ({"augmentation": "crops+turns"}, "'turns' is not known"),
        ({"data": "svhn"}, "'svhn' is not known"),
        ({"until": 80.0}, "an accuracy lies above 0"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(RECIPE, **change)


def test_training_learns_logs_and_leaves_the_callers_random_state(data, tmp_path):
    train, test = (labelled("mnist6", split, data) for split in ("train", "test"))
    before, heard = torch.get_rng_state(), []
    result = trained(
        replace(RECIPE, augmentation="none", epochs=4), train, test, tmp_path,
        log=lambda name, value, epoch: heard.append((name, epoch)),
    )  # fmt: skip
    assert torch.equal(torch.get_rng_state(), before)
    assert list(result.log["learning_rate"]) == pytest.approx([0.01, 0.01, 0.001, 0.001])
    assert result.log["validation_accuracy"].iloc[-1] > 0.9
    assert list(result.log["images"]) == [len(train) // 64 * 64] * 4
    assert pd.read_parquet(tmp_path / "log.parquet").equals(result.log)
    assert ("validation_accuracy", 4) in heard


def test_training_ends_where_the_wanted_accuracy_is_reached(data, tmp_path):
    train, test = (labelled("mnist6", split, data) for split in ("train", "test"))
    result = trained(replace(RECIPE, augmentation="none", epochs=20, until=0.6), train, test, tmp_path)
    reached = result.log["validation_accuracy"] >= 0.6
    assert list(reached) == [False] * (len(reached) - 1) + [True]
    assert len(reached) < 20


def test_measuring_meanwhile_changes_nothing_and_is_kept(data, tmp_path):
    train, test = (labelled("mnist6", split, data) for split in ("train", "test"))
    plain = trained(replace(RECIPE, epochs=2), train, test, tmp_path / "plain")
    watched = trained(replace(RECIPE, epochs=2, measure_every=1, meanwhile=30), train, test, tmp_path / "watched")
    assert list(plain.log["loss"]) == list(watched.log["loss"])
    assert set(watched.meanwhile["epoch"]) == {1, 2}
    assert plain.meanwhile.empty
    images = es.plot_epochs(watched.meanwhile)
    lines = [line for axes in images.axes for line in axes.get_lines()]
    assert all(list(line.get_xdata()) == [1, 2] for line in lines)


KILLED = """
import os, signal, sys
from pathlib import Path
from test_training import MEASURING, RECIPE
from equiscope_studies.runs import Place, run

class Killer:
    left = int(sys.argv[3])
    def advance(self, images):
        Killer.left -= 1
        if Killer.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

run(RECIPE, MEASURING, Place(Path(sys.argv[1]), Path(sys.argv[2]), threads=1), Killer())
"""


def test_a_run_that_is_killed_in_training_and_in_measuring_ends_as_if_it_had_not_been(data, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(RECIPE, MEASURING, Place(whole, data, threads=1))
    folder = Path(__file__).parent
    home = killed / RECIPE.hash
    batches = len(labelled("mnist6", "train", data)) // RECIPE.batch
    # In the third epoch; and then, with that epoch's batches to do again, in the first batch that is measured.
    for advances, epochs, over in ((2 * batches + 2, 2, False), (batches + 1, 3, True)):
        arguments = [sys.executable, "-c", KILLED, killed, data, str(advances)]
        ended = subprocess.run(arguments, env=_environment(folder), check=False, capture_output=True)
        assert ended.returncode == -9, ended.stderr.decode()
        assert torch.load(home / "checkpoint.pt", weights_only=True)["finished"] == epochs
        assert (home / "accuracy.json").is_file() == over
        assert not finished(RECIPE, MEASURING, killed)
    run(RECIPE, MEASURING, Place(killed, data, threads=1))
    assert finished(RECIPE, MEASURING, killed)
    first, second = (json.loads((place / RECIPE.hash / "accuracy.json").read_text()) for place in (whole, killed))
    assert first["accuracy"] == pytest.approx(second["accuracy"], abs=1e-4)
    logs = [pd.read_parquet(place / RECIPE.hash / "log.parquet").drop(columns="seconds") for place in (whole, killed)]
    pd.testing.assert_frame_equal(*logs)
    scores = [es.load(next((place / RECIPE.hash / "scores").iterdir())).parts for place in (whole, killed)]
    pd.testing.assert_frame_equal(*scores)


def _environment(folder):
    paths = [str(folder), str(folder.parent), *sys.path]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


@pytest.mark.parametrize(
    ("name", "size", "channels", "weights"),
    [
        ("z2cnn", 28, 1, 22326),  # 20 (9 + 1) + 6 x 20 (180 + 1) + 7 x 40 + 6 x 21
        ("cifar-resnet8", 32, 3, 75030),
        ("wide-resnet10-2", 32, 3, 303190),
        ("convmixer-152x6", 28, 1, 170702),
        ("vit-48x6", 28, 1, 173190),
        ("mixer-56x6", 28, 1, 171884),
    ],
)
def test_networks_are_of_their_size_and_drawn_by_the_seed(name, size, channels, weights):
    first, again, other = (network(name, channels, size, 6, seed) for seed in (0, 0, 1))
    assert sum(one.numel() for one in first.parameters()) == weights
    assert first(torch.zeros(2, channels, size, size)).shape == (2, 6)
    states = [torch.cat([one.flatten() for one in model.parameters()]) for model in (first, again, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_residual_networks_refuse_grey_images():
    with pytest.raises(ValueError, match="images of 3 channels, and these have 1"):
        network("wide-resnet10-1", 1, 28, 6)
