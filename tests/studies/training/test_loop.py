"""Training: what it learns, leaves and restores."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

import equiscope as es
from equiscope_studies.training import loop
from equiscope_studies.training.augmentation import augmented
from equiscope_studies.training.labelled import labelled
from equiscope_studies.training.loop import trained
from equiscope_studies.training.recipe import Recipe

RECIPE = Recipe(
    network="z2cnn", data="mnist6", optimiser="adam", learning_rate=0.01, batch=64, epochs=3, milestones=(2,), seed=1
)


@pytest.fixture(scope="module")
def images(digits_folder):
    return tuple(labelled("mnist6", split, digits_folder) for split in ("train", "test"))


def test_training_learns_logs_and_leaves_the_callers_random_state(images, tmp_path):
    before, heard = torch.get_rng_state(), []
    result = trained(
        replace(RECIPE, epochs=4), *images, tmp_path, log=lambda name, value, epoch: heard.append((name, epoch))
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert list(result.log["learning_rate"]) == pytest.approx([0.01, 0.01, 0.001, 0.001])
    assert result.log["validation_accuracy"].iloc[-1] > 0.9
    assert list(result.log["images"]) == [len(images[0]) // 64 * 64] * 4
    assert pd.read_parquet(tmp_path / "log.parquet").equals(result.log)
    assert ("validation_accuracy", 4) in heard


def test_conditions_of_a_seed_see_the_images_in_one_order_and_seeds_in_another(images, tmp_path, monkeypatch):
    seen = []

    def watched(images, labels, *rest):
        seen.append(labels.tolist())
        return augmented(images, labels, *rest)

    monkeypatch.setattr(loop, "augmented", watched)
    recipe = replace(RECIPE, network="convmixer-16x1", epochs=2, limit=128, milestones=())
    for number, (augmentation, seed) in enumerate((("none", 1), ("crops+rotations", 1), ("none", 2))):
        its = replace(recipe, augmentation=augmentation, seed=seed, schedule="one-cycle", label_smoothing=0.1)
        log = trained(its, *images, tmp_path / str(number)).log
        assert list(log["learning_rate"]) == pytest.approx([0.01, 0.01 * 2 / 3.2])  # a step of 4 is the rise
    first, again, other = seen[:4], seen[4:8], seen[8:]
    assert first == again != other
    assert first[:2] != first[2:]


def test_training_ends_where_the_wanted_accuracy_is_reached(images, tmp_path):
    result = trained(replace(RECIPE, epochs=20, until=0.6), *images, tmp_path)
    reached = result.log["validation_accuracy"] >= 0.6
    assert list(reached) == [False] * (len(reached) - 1) + [True]
    assert len(reached) < 20


def test_measuring_meanwhile_changes_nothing_and_is_kept(images, tmp_path):
    recipe = replace(RECIPE, network="convmixer-16x1", epochs=2, limit=128)
    plain = trained(recipe, *images, tmp_path / "plain")
    watched = trained(replace(recipe, measure_every=1, meanwhile=30), *images, tmp_path / "watched")
    assert list(plain.log["loss"]) == list(watched.log["loss"])
    assert set(watched.meanwhile["epoch"]) == {0, 1, 2}
    assert plain.meanwhile.empty
    figure = es.plot_epochs(watched.meanwhile)
    drawn = [line for axes in figure.axes for line in axes.get_lines() if len(line.get_xdata())]
    assert drawn and all(list(line.get_xdata()) == [0, 1, 2] for line in drawn)


def test_what_an_older_equiscope_left_is_refused(images, tmp_path):
    recipe = replace(RECIPE, epochs=2, limit=64)
    trained(replace(recipe, epochs=1), *images, tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state.pop("format") == 3
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="made by an older equiscope, which trained or scored otherwise"):
        trained(recipe, *images, tmp_path)
