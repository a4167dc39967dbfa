"""The studies: their presets, and the folder that one leaves behind."""

import json
from pathlib import Path

import pandas as pd
import pytest

from digits import digits
from equiscope_studies import training_results
from equiscope_studies.labelled import DATA_SETS
from equiscope_studies.presets import Preset, differences, table_of_differences
from equiscope_studies.training_study import STUDIES, study
from terminal import equiscope

TOY = {"seeds": 1, "epochs": 1, "limit": 64, "batch": 64, "measured_images": 30, "measure_every": 1, "meanwhile": 20}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return digits(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "data"
    assert study("data", folder, data=data, changes=TOY, command="equiscope study data") == []
    return folder


def test_presets_are_the_papers():
    paper = {name: chosen.presets["paper"] for name, chosen in STUDIES.items()}
    assert list(paper) == ["data", "augmentation", "capacity", "architecture"]
    assert all(preset.seeds == 3 for preset in paper.values())
    recipes = {name: list(preset.recipes()) for name, preset in paper.items()}
    assert {name: len(found) for name, found in recipes.items()} == {
        "data": 9, "augmentation": 18, "capacity": 12, "architecture": 9
    }  # fmt: skip
    one = recipes["data"][0]
    assert (one.network, one.optimiser, one.batch, one.learning_rate, one.weight_decay) == (
        "z2cnn",
        "adam",
        128,
        0.01,
        5e-4,
    )
    assert (one.epochs, one.milestones, one.limit) == (100, (25, 50), None)
    one = recipes["capacity"][3]
    assert (one.network, one.augmentation, one.optimiser) == ("wide-resnet40-8", "none", "sgd")
    assert (one.learning_rate, one.momentum, one.weight_decay) == (0.1, 0.9, 1e-4)
    assert (one.epochs, one.milestones) == (200, (100, 150))
    assert paper["augmentation"].measuring.transformations == ("shifts:" + ",".join(map(str, range(1, 17))),)
    assert paper["data"].measuring.on == ("own", "mnist6")


def test_the_documentation_tells_what_small_changes():
    page = Path(__file__).parents[2] / "docs" / "training-studies.md"
    assert table_of_differences(*STUDIES.values()) in page.read_text(encoding="utf-8")


def test_every_claim_is_about_conditions_that_a_preset_has():
    for chosen in STUDIES.values():
        for preset in chosen.presets.values():
            conditions = {getattr(recipe, chosen.varies) for recipe in preset.recipes()}
            assert conditions <= set(chosen.names)
            assert {recipe.data for recipe in preset.recipes()} <= set(DATA_SETS)
            about = [
                {score.condition for each in claim.differences for score in (each.first, each.second)}
                for claim in chosen.claims
            ]
            assert sum(its <= conditions for its in about) >= 5, chosen.name


def test_a_preset_changes_by_name_and_milestones_move_with_epochs():
    paper = STUDIES["data"].presets["paper"]
    assert paper.changed({"epochs": 8}).milestones == (2, 4)
    assert paper.changed({"epochs": 8, "milestones": (1,)}).milestones == (1,)
    assert Preset.read("networks", "vit-48x6,z2cnn") == ("vit-48x6", "z2cnn")
    assert Preset.read("rotations", "true") is True
    with pytest.raises(ValueError, match="There is no value 'epoch'"):
        paper.changed({"epoch": 8})
    assert ("limit", "all", "15000") in differences(*STUDIES["augmentation"].presets.values())


def test_a_study_leaves_a_figure_its_scores_its_recipe_and_a_page_of_claims(done):
    assert {path.name for path in done.iterdir()} == {
        "figure.png", "figure.pdf", "scores.parquet", "claims.parquet", "recipe.json", "page.md", "during.png",
        "during.pdf", "runs",
    }  # fmt: skip
    table = pd.read_parquet(done / "scores.parquet")
    assert table["run"].nunique() == 3
    assert set(table["on"]) == {"own images", "upright"}
    recipe = json.loads((done / "recipe.json").read_text())
    assert set(recipe["runs"]) == set(table["run"])
    claims = pd.read_parquet(done / "claims.parquet")
    page = (done / "page.md").read_text()
    assert all(claim in page for claim in claims["claim"])
    assert set(claims["verdict"]) <= {"holds", "fails", "cannot tell here"}
    assert len(claims.groupby(["on", "scope", "corrected"])) == 8
    upright = table[(table["condition"] == "mnist6") & table["layer"].isna()]
    by_images = [rows["score"].tolist() for _, rows in upright.groupby("on")]
    assert pd.Series(by_images[0]).equals(pd.Series(by_images[1]))  # whose own images are the upright ones


def test_what_is_there_is_drawn_again_without_training(done, tmp_path):
    study("data", tmp_path, changes=TOY | {"seeds": 3}, runs=done / "runs", draw_only=True)
    assert pd.read_parquet(tmp_path / "scores.parquet").equals(pd.read_parquet(done / "scores.parquet"))
    assert "3 of 9 runs are finished" in (tmp_path / "page.md").read_text()


def test_three_seeds_have_intervals_in_the_figure_and_on_the_page(done):
    one = pd.read_parquet(done / "scores.parquet")
    moved = {"score": 0.01, "corrected": 0.01}
    table = pd.concat(
        [one.assign(seed=seed, run=one["run"] + str(seed), **{of: one[of] + seed * by for of, by in moved.items()})
         for seed in range(3)], ignore_index=True,
    )  # fmt: skip
    bars = [axes.collections for axes in training_results.picture(STUDIES["data"], table).axes]
    assert all(bars)
    recipe = json.loads((done / "recipe.json").read_text())["made"]
    page = training_results.page(STUDIES["data"], STUDIES["data"].presets["small"], table, recipe, 9, epochs=False)
    assert " ± 0.025" in page  # t(.975, 2) .01 / sqrt(3)
    assert "| Rot-Inv | 3 |" in page


def test_the_command_does_a_study_and_exits_with_1_where_a_run_failed(data, tmp_path):
    options = [part for key, value in TOY.items() for part in ("--set", f"{key}={value}")]
    answer = equiscope(
        "study", "architecture", "--data", data, *options, "--seeds", 1, "--set", "networks=z2cnn,cifar-resnet8",
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
