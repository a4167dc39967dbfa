"""Runs in any executor: what is finished is skipped, and one that fails is named and stops no other."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
import torch

from digits import digits
from equiscope.functional.transformations import rotations, shifts
from equiscope_studies import runs
from equiscope_studies.labelled import Labelled, labelled
from equiscope_studies.runs import Measuring, Place, Processes, all_done, executor, finished, prepared
from equiscope_studies.training import Recipe

MEASURING = Measuring(on=("own", "mnist6"), images=30, transformations=("rotations",))


def recipe(seed, **changes):
    return Recipe(
        **{"network": "z2cnn", "data": "mnist6-rot-eq", "optimiser": "adam", "batch": 64, "limit": 64, "seed": seed}
        | changes
    )


FAILS = recipe(1, network="cifar-resnet8")  # which takes no grey images


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("runs"), digits(tmp_path_factory.mktemp("data")), threads=1)


def test_a_run_that_fails_is_named_and_stops_no_other_and_what_is_finished_is_skipped(place):
    said = []
    failures = all_done([recipe(0), FAILS, recipe(2)], MEASURING, place, tell=said.append)
    assert [failure.recipe for failure in failures] == [FAILS]
    assert "cifar-resnet8, mnist6-rot-eq, none, seed 1" in str(failures[0])
    assert "these have 1" in failures[0].reason
    assert (place.runs / FAILS.hash / "failure.txt").read_text().count("\n") == 1
    assert all(finished(one, MEASURING, place.runs) for one in (recipe(0), recipe(2)))
    home = place.runs / recipe(0).hash
    assert sorted(folder.name.rpartition("-")[0] for folder in (home / "scores").iterdir()) == [
        "mnist6",
        "mnist6-rot-eq",
    ]
    assert {"checkpoint.pt", "log.parquet", "accuracy.json", "recipe.json"} <= {path.name for path in home.iterdir()}
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    all_done([recipe(0), recipe(2)], MEASURING, place, tell=said.append)
    assert said[-1] == "2 runs, of which 2 are finished."
    assert before == {path: path.stat().st_mtime_ns for path in home.rglob("*")}


def test_any_executor_of_concurrent_futures_does(place):
    with ThreadPoolExecutor(2) as threads:
        failures = all_done([recipe(3), FAILS], MEASURING, place, executor=threads)
    assert [failure.recipe for failure in failures] == [FAILS]
    assert finished(recipe(3), MEASURING, place.runs)


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_takes_no_other_with_it():
    with Processes(2) as processes:
        first, second = processes.submit(killed), processes.submit(os.getpid)
        assert second.result() != os.getpid()
        with pytest.raises(RuntimeError):
            first.result()


def test_submitit_does_the_runs_and_names_the_one_that_failed(place, tmp_path):
    pytest.importorskip("submitit")
    with executor(1, "local", tmp_path / "cluster", {"timeout_min": 5}) as cluster:
        failures = all_done([recipe(4), FAILS], MEASURING, place, executor=cluster)
    assert [failure.recipe for failure in failures] == [FAILS]
    assert "these have 1" in failures[0].reason
    assert finished(recipe(4), MEASURING, place.runs)
    assert list((tmp_path / "cluster").iterdir())


def test_tensorboard_hears_the_curves(place):
    pytest.importorskip("tensorboard")
    runs.run(recipe(5), MEASURING, Place(place.runs, place.data, threads=1, tensorboard=True))
    (file,) = (place.runs / recipe(5).hash / "tensorboard").iterdir()
    assert b"validation_accuracy" in file.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, None, {}), "workers is 0"),
        ((2, "slurm", {}), "--workers or --cluster"),
        ((1, None, {"timeout_min": 5}), "give --cluster slurm"),
        ((1, "lsf", {}), "one of slurm, local"),
    ],
)
def test_executors_that_cannot_be_are_refused(arguments, sentence, tmp_path):
    workers, cluster, options = arguments
    with pytest.raises(ValueError, match=sentence), executor(workers, cluster, tmp_path, options):
        pass


def test_a_shift_of_digits_brings_in_black_and_of_photographs_what_the_paper_has():
    families = [rotations(), shifts([1, 3])]
    grey = Labelled("mnist6", torch.full((2, 1, 28, 28), 255, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), 6)
    images, options = prepared(grey, families)
    assert options == {"fill": "crop", "size": (28, 28)}
    assert images.shape == (2, 1, 34, 34)
    assert images[0, 0, 0, 0] == pytest.approx(-0.1307 / 0.3081, abs=1e-4)
    assert prepared(grey, [rotations()])[1] == {}
    colour = Labelled("cifar10", torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), 10)
    assert prepared(colour, families)[0].shape == (2, 3, 32, 32)


def test_the_log_and_the_images_of_a_run_are_what_the_recipe_says(place):
    home = place.runs / recipe(0).hash
    assert pd.read_parquet(home / "log.parquet")["images"].tolist() == [64]
    assert len(labelled("mnist6", "train", place.data).first(64)) == 64
