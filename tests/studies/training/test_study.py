"""A study, and the folder that it leaves behind."""

import json

import pandas as pd
import pytest

from equiscope_studies.training.runs import Place
from equiscope_studies.training.study import study
from terminal import equiscope


def test_a_study_leaves_a_figure_its_scores_its_recipe_and_a_page_of_claims(done):
    assert {path.name for path in done.iterdir()} == {
        "effects.png", "effects.pdf", "figure.png", "figure.pdf", "scores.parquet", "claims.parquet", "recipe.json",
        "page.md", "during.png", "during.pdf", "runs",
    }  # fmt: skip
    table = pd.read_parquet(done / "scores.parquet")
    recipe = json.loads((done / "recipe.json").read_text())
    assert set(recipe["runs"]) == set(table["run"])
    claims = pd.read_parquet(done / "claims.parquet")
    page = (done / "page.md").read_text()
    assert all(claim in page for claim in claims["says"])
    assert set(claims["verdict"]) <= {"holds", "fails", "inconclusive"}
    assert len(claims.groupby(["on", "scope"])) == 4


def test_what_is_there_is_drawn_again_without_training(done, toy, tmp_path):
    study("data", tmp_path, changes=toy | {"seeds": 3}, place=Place(done / "runs"), draw_only=True)
    assert pd.read_parquet(tmp_path / "scores.parquet").equals(pd.read_parquet(done / "scores.parquet"))
    assert "3 of 9 runs are finished" in (tmp_path / "page.md").read_text()


def test_with_a_pilot_the_power_is_told_before_the_first_run(done, toy, tmp_path):
    pilot = pd.read_parquet(done / "scores.parquet")
    seeds = [pilot.assign(seed=seed, score=pilot["score"] + 0.01 * seed**2) for seed in range(3)]
    pd.concat(seeds).to_parquet(tmp_path / "pilot.parquet")
    study("data", tmp_path, changes=toy | {"seeds": 5}, place=Place(tmp_path / "runs"), draw_only=True)
    page = (tmp_path / "page.md").read_text()
    assert "**None of 15 runs is finished.**" in page and "With 5 seeds, a claim" in page
    assert "| no difference between the three data sets in early: MNIST6 less Rot-Inv, early | ± 0.1 |" in page
    assert {path.name for path in tmp_path.iterdir()} == {"pilot.parquet", "page.md"}


def test_the_command_does_a_study_and_exits_with_1_where_a_run_failed(digits_folder, toy, tmp_path):
    numbers = {key: value for key, value in toy.items() if key not in ("networks", "measure_every")}
    options = [part for key, value in numbers.items() for part in ("--set", f"{key}={value}")]
    answer = equiscope(
        "study", "architecture", "--data", digits_folder, *options, "--set", "networks=convmixer-16x1,cifar-resnet8",
        "--set", "rotations=true", "--set", "shifts=1", "--output", tmp_path / "out", "--quiet",
    )  # fmt: skip
    assert answer.status == 1
    assert answer.err.count("\n") == 1
    assert "Failed:" in answer.err
    assert "cifar-resnet8, mnist6, none, seed 0" in answer.err
    assert answer.out == f"{tmp_path / 'out'}\n"
    assert (tmp_path / "out" / "figure.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("weather",), "one of data, augmentation, capacity, architecture"),
        (("data", "--preset", "large"), "one of paper, small"),
        (("data", "--set", "epochs=many"), "epochs='many' is no value of the kind int"),
        (("data", "--set", "epochs"), "--set 'epochs' is not KEY=VALUE"),
        (("data", "--seeds", "0"), "seeds is 0"),
        (("data", "--set", "networks=z2cnn,vit-48x6"), "needs one value of networks"),
        (("augmentation", "--data", "nowhere"), "There is no folder nowhere/cifar10"),
        (("data", "--draw-only"), "No run of the study is finished"),
        (("data", "--workers", "2", "--cluster", "slurm"), "give --workers or --cluster"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_and_nothing_is_written(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EQUISCOPE_DATA", raising=False)
    answer = equiscope("study", *arguments)
    assert answer.status == 2, answer.err
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
