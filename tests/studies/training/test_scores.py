"""The table of a study's runs."""

import pandas as pd
import pytest

import equiscope as es
from equiscope_studies.training.labelled import labelled
from equiscope_studies.training.loop import trained
from equiscope_studies.training.measuring import Measuring, prepared
from equiscope_studies.training.scores import numbers
from equiscope_studies.training.study import STUDIES

LABELS = ["run", "on", "layer", "part", "transformation", "measure", "scope"]


def test_every_run_has_one_row_a_layer_or_part_and_reading(done):
    table = pd.read_parquet(done / "scores.parquet")
    assert not table.duplicated(LABELS).any()
    assert table["run"].nunique() == 3
    assert set(table["on"]) == {"own images", "upright"}
    assert set(table["scope"]) == {"dataset", "image"}
    assert set(table["measure"]) == {"invariance", "equivariance", "linear"}
    upright = table[(table["condition"] == "mnist6") & table["layer"].isna()]
    by_images = [rows["score"].tolist() for _, rows in upright.groupby("on")]
    assert pd.Series(by_images[0]).equals(pd.Series(by_images[1]))  # whose own images are the upright ones


def test_rows_are_what_measuring_the_network_again_gives(done, toy, digits_folder):
    table = pd.read_parquet(done / "scores.parquet")
    recipe = next(STUDIES["data"].presets["small"].changed(toy).recipes())
    train, test = (labelled(recipe.data, split, digits_folder) for split in ("train", "test"))
    model = trained(recipe, train, test, done / "runs" / recipe.hash).model
    images, families = prepared(test.first(20), ["rotations"])
    parts = es.measure(model, images, families, scoring=es.Scoring(scopes=("dataset", "image"))).parts
    ours = table[(table["run"] == recipe.hash) & table["layer"].isna() & (table["on"] == "own images")]
    assert ours["score"].tolist() == pytest.approx(parts["score"].tolist(), nan_ok=True, abs=1e-4)
    assert ours["explained"].tolist() == pytest.approx(parts["explained"].tolist(), nan_ok=True, abs=1e-4)


def test_no_finished_run_is_nothing_to_draw(tmp_path):
    measuring = Measuring(on=("own",), images=20, transformations=("rotations",))
    with pytest.raises(ValueError, match="No run of the study is finished"):
        numbers(STUDIES["data"], [], measuring, tmp_path)
