"""Runs in any executor: what is finished is skipped, what was killed goes on, and one that fails stops no other."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pandas as pd
import pytest
import torch

from equiscope_studies.training import runs
from equiscope_studies.training.executors import executor
from equiscope_studies.training.measuring import Measuring
from equiscope_studies.training.recipe import Recipe
from equiscope_studies.training.runs import Place, Work, all_done, finished

MEASURING = Measuring(on=("own", "mnist6"), images=20, transformations=("rotations",), scopes=("dataset",))


def recipe(seed, **changes):
    its = {
        "network": "convmixer-16x1",
        "data": "mnist6-rot-eq",
        "optimiser": "adam",
        "batch": 64,
        "limit": 64,
        "seed": seed,
    }
    return Recipe(**its | changes)


FAILS = recipe(1, network="cifar-resnet8")  # which takes no grey images


@pytest.fixture(scope="module")
def place(tmp_path_factory, digits_folder):
    return Place(tmp_path_factory.mktemp("runs"), digits_folder, threads=1)


def test_a_run_that_fails_is_named_and_stops_no_other_and_what_is_finished_is_skipped(place):
    said = []
    work = Work(tell=said.append)
    failures = all_done([FAILS, recipe(0)], MEASURING, place, work)
    assert [failure.recipe for failure in failures] == [FAILS]
    assert "cifar-resnet8, mnist6-rot-eq, none, seed 1" in str(failures[0])
    assert "these have 1" in failures[0].reason
    assert (place.runs / FAILS.hash / "failure.txt").read_text().count("\n") == 1
    assert finished(recipe(0), MEASURING, place.runs)
    home = place.runs / recipe(0).hash
    tables = sorted(table.name.rpartition("-")[0] for table in (home / "scores").iterdir())
    assert tables == ["mnist6", "mnist6-rot-eq"]
    assert {"checkpoint.pt", "log.parquet", "accuracy.json", "recipe.json"} <= {path.name for path in home.iterdir()}
    assert pd.read_parquet(home / "log.parquet")["images"].tolist() == [64]
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    all_done([recipe(0)], MEASURING, place, work)
    assert said[-1] == "1 runs, of which 1 are finished."
    assert before == {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    (home / "checkpoint.pt").unlink()  # what is kept of a finished run has none
    assert finished(recipe(0), MEASURING, place.runs)
    assert sum(path.stat().st_size for path in home.rglob("*")) < 100_000


def test_a_run_of_an_older_equiscope_is_refused(place, tmp_path):
    home = tmp_path / recipe(0).hash
    home.mkdir()
    (home / "accuracy.json").write_text(json.dumps({"accuracy": 0.5}))
    with pytest.raises(ValueError, match=r"made by an older equiscope.*; give another folder of results"):
        all_done([recipe(0)], MEASURING, replace(place, runs=tmp_path))


def test_any_executor_of_concurrent_futures_does(place):
    with ThreadPoolExecutor(2) as threads:
        failures = all_done([recipe(0), FAILS], MEASURING, place, Work(threads))
    assert [failure.recipe for failure in failures] == [FAILS]


def test_submitit_does_the_runs_and_names_the_one_that_failed(place, tmp_path):
    pytest.importorskip("submitit")
    with executor(1, "local", tmp_path / "cluster", {"timeout_min": 5}) as cluster:
        failures = all_done([FAILS], MEASURING, place, Work(cluster))
    assert [failure.recipe for failure in failures] == [FAILS]
    assert "these have 1" in failures[0].reason
    assert list((tmp_path / "cluster").iterdir())


def test_tensorboard_hears_the_curves(place):
    pytest.importorskip("tensorboard")
    runs.run(recipe(5), replace(MEASURING, on=("own",)), replace(place, tensorboard=True))
    (file,) = (place.runs / recipe(5).hash / "tensorboard").iterdir()
    assert b"validation_accuracy" in file.read_bytes()


class Killed(BaseException):
    """What ends a process, and no run hears of."""


class Killer:
    """A progress that kills after so many batches."""

    def __init__(self, batches):
        self.left = batches

    def advance(self, images):
        self.left -= 1
        if not self.left:
            raise Killed


def test_a_run_that_is_killed_in_training_and_in_measuring_ends_as_if_it_had_not_been(place, tmp_path):
    whole, killed = (replace(place, runs=tmp_path / name) for name in ("whole", "killed"))
    its = recipe(1, data="mnist6", augmentation="crops+cutmix", epochs=3, milestones=(2,), limit=128)
    measuring = replace(MEASURING, on=("own",))
    runs.run(its, measuring, whole)
    home, batches = killed.runs / its.hash, its.limit // its.batch
    # In the third epoch; and then, with that epoch's batches to do again, in the first batch that is measured.
    for advances, epochs, over in ((2 * batches + 1, 2, False), (batches + 1, 3, True)):
        with pytest.raises(Killed):
            runs.run(its, measuring, killed, Killer(advances))
        assert torch.load(home / "checkpoint.pt", weights_only=True)["finished"] == epochs
        assert (home / "accuracy.json").is_file() == over
        assert not finished(its, measuring, killed.runs) and not (home / "failure.txt").exists()
    runs.run(its, measuring, killed)
    assert finished(its, measuring, killed.runs)
    first, second = (runs.result(one.runs / its.hash) for one in (whole, killed))
    assert first["accuracy"] == pytest.approx(second["accuracy"], abs=1e-4)
    logs = [pd.read_parquet(one.runs / its.hash / "log.parquet").drop(columns="seconds") for one in (whole, killed)]
    pd.testing.assert_frame_equal(*logs)
    scores = [pd.read_parquet(next((one.runs / its.hash / "scores").iterdir())) for one in (whole, killed)]
    pd.testing.assert_frame_equal(*scores)
