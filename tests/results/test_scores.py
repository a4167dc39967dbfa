"""`Scores`: tables joined on keys, mistakes told in a sentence, and no torch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equiscope.results import columns
from equiscope.results.scores import SIDE_BY_SIDE, Scores
from example import example_scores, shuffled


@pytest.fixture(scope="module")
def scores() -> Scores:
    return example_scores(shifts=(1, 2, 4), scopes=("dataset", "image"), alignments=("array", "registered"))


@pytest.mark.parametrize("by", ["layer", "part"])
@pytest.mark.parametrize("scope", columns.SCOPES)
def test_the_measures_stand_side_by_side_each_number_from_its_own_row(scores: Scores, by: str, scope: str) -> None:
    table = scores.table(by, scope=scope)
    source = scores.scores if by == "layer" else scores.parts
    measures = columns.LADDER if scope == "dataset" else columns.LADDER[:2]
    names = [f"{one}_{name}".removesuffix("_score") for one in measures for name in SIDE_BY_SIDE]
    labels = ["layer", "part", "transformation"] if by == "layer" else ["part", "layers", "transformation"]
    assert list(table.columns) == labels + names
    assert list(dict.fromkeys(table["transformation"])) == ["rotations", "shifts"]
    for row in table.to_dict("records"):
        for measure in measures:
            wanted = {by: row[by], "transformation": row["transformation"], "measure": measure, "scope": scope,
                      "alignment": "array"}  # fmt: skip
            found = source[(source[list(wanted)] == pd.Series(wanted)).all(axis=1)].sort_values("subpixel")
            for name in SIDE_BY_SIDE:
                value = found[name].iloc[-1] if len(found) else np.nan  # of two rows, that over all members
                assert np.array_equal(row[f"{measure}_{name}".removesuffix("_score")], value, equal_nan=True)


@pytest.mark.parametrize("options", [{}, {"scope": "image"}, {"alignment": "registered"}, {"transformation": "rot90"}])
@pytest.mark.parametrize("by", ["layer", "part"])
def test_the_order_of_rows_changes_nothing(scores: Scores, by: str, options: dict[str, str]) -> None:
    expected = scores.table(by, **options)
    for seed in range(3):
        pd.testing.assert_frame_equal(shuffled(scores, seed).table(by, **options), expected)


def test_layers_come_in_order_of_execution_and_parts_in_theirs(scores: Scores) -> None:
    mixed = shuffled(scores)
    assert list(dict.fromkeys(mixed.table()["layer"])) == list(scores.layers["layer"])
    assert list(dict.fromkeys(mixed.table("part")["part"])) == list(columns.PARTS)
    one = mixed.table(transformation="shift(2,2)")
    assert set(one["transformation"]) == {"shift(2,2)"} and "linear" not in one
    assert dict(zip(one["layer"], one["part"], strict=True)) == scores.layers.set_index("layer")["part"].to_dict()


def test_a_layer_may_have_the_name_of_a_family() -> None:
    scores = example_scores(["shifts", "rotations"])
    assert list(scores.table(transformation="shifts")["layer"]) == ["shifts", "rotations", "pool", "final"]


def test_measures_on_request_have_their_columns() -> None:
    table = example_scores(measures=("invariance", "strict_invariance")).table()
    assert {"invariance", "strict_invariance", "strict_invariance_chance"} <= set(table)
    assert "equivariance" not in table and "linear" not in table


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"by": "channel"}, "by='channel' is not known; it is one of layer, part."),
        ({"scope": "cells"}, "scope='cells' is not known; it is one of dataset, image."),
        ({"alignment": "registered"}, "alignment='registered' was not measured; there is array."),
        ({"transformation": "rot45"}, "transformation='rot45' was not measured; there is rot90, rot180, rot270, "),
    ],
)
def test_what_is_unknown_is_refused_in_a_sentence(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        example_scores().table(**options)
    assert str(refusal.value).startswith(sentence)


def test_a_scope_that_was_not_measured_has_no_rows() -> None:
    assert example_scores().table(scope="image").empty


def test_families_are_those_of_the_manifest(scores: Scores) -> None:
    assert scores.families == ["rotations", "shifts"]
    assert list(example_scores(families={"hflip": ["hflip"]}, shifts=()).table()["transformation"]) == ["hflip"] * 6


def test_results_and_their_figures_need_no_torch() -> None:
    program = """
import sys
from pathlib import Path
import equiscope.results
assert not {"torch", "pandas"} & set(sys.modules)
sys.path.insert(0, sys.argv[1])
from tempfile import TemporaryDirectory
import equiscope as es
from example import example_scores
from equiscope.results import comparison, folder, labelled_array
with TemporaryDirectory() as place:
    example_scores().save(Path(place) / "out")
    scores = es.load(Path(place) / "out")
print(scores)
scores.table(), scores.orbits
es.compare({"one": scores, "other": scores})
assert "matplotlib" not in sys.modules
es.plot_layers(scores).png()
es.plot_explained(scores).png()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program, str(Path(__file__).parents[1])], check=True)
