"""Scores by layer: every line is a column of a table, and gaps are gaps."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from drawn import OF_FAMILY, column, drawable, heights, labels, segments, undefined_at, words
from equiscope.figures.channels import plot_channels
from equiscope.figures.layers import plot_layers
from equiscope.figures.style import GREY
from equiscope.results.scores import Scores
from example import example_scores, shuffled

VALUES = {"score": ("low", "high"), "explained": ("explained_low", "explained_high"), "in_sample": None}


@pytest.fixture(scope="module")
def scores() -> Scores:
    return drawable()


@pytest.mark.parametrize(
    ("scope", "value"), [*product(["dataset"], VALUES), ("image", "score"), ("image", "in_sample")]
)
def test_every_number_drawn_is_the_table_s(scores: Scores, scope: str, value: str) -> None:
    figure = plot_layers(scores, scope, value=value)
    assert len(figure.axes) == 2
    for axes, (family, measures) in zip(figure.axes, OF_FAMILY.items(), strict=True):
        measures = measures[:2] if scope == "image" or value == "in_sample" else measures
        assert labels(axes) == list(measures)
        drawn = segments(axes)
        for measure in measures:
            row = {"scope": scope, "transformation": family, "measure": measure}
            np.testing.assert_array_equal(heights(axes, measure), column(scores.scores, value, **row))
            if ends := VALUES[value]:
                pairs = np.stack([column(scores.scores, end, **row) for end in ends], axis=1)
                pairs = pairs[~np.isnan(pairs).any(axis=1)]
                assert len(pairs) and all(pair.tolist() in drawn for pair in pairs)
            if value != "explained" and measure != "linear":
                chance = column(scores.scores, "chance", **row)
                np.testing.assert_array_equal(heights(axes, f"_chance level of {measure}"), chance)
        if scope == "image":
            assert np.isnan(heights(axes, "invariance")[-2:]).all(), "vectors have no score within one image"


@pytest.mark.parametrize("label", ["linear", "_chance level of invariance"])
def test_no_line_joins_feature_maps_and_vectors(scores: Scores, label: str) -> None:
    lines = [line for line in plot_layers(scores).axes[0].get_lines() if line.get_label() == label]
    parts = list(scores.layers.sort_values("index")["part"])
    assert [len(line.get_xdata()) for line in lines] == [len(parts) - 2, 1, 1] and parts[-2:] == ["pool", "final"]


def test_the_legend_names_what_any_panel_shows() -> None:
    scores = example_scores(families={"flips": ["hflip"]}, shifts=(1,), measures=None)
    options = scores.manifest["options"]["transformations"]
    assert list(options) == ["flips", "shifts"]
    options["shifts"], options["flips"] = options.pop("shifts"), options.pop("flips")  # the shifts first
    legend = plot_layers(scores).legends[0]
    names = {"invariance", "equivariance", "linear", "chance level", "ceiling"}
    assert {text.get_text() for text in legend.get_texts()} == names
    ceilings = [line for line in plot_layers(scores).axes[0].get_lines() if "ceiling" in str(line.get_label())]
    assert ceilings and {line.get_color() for line in ceilings} == {GREY}, "which is no measure's own"
    (without,) = plot_channels(scores).legends  # which draws none
    assert {text.get_text() for text in without.get_texts()} == names - {"ceiling"}


def test_an_axis_begins_where_scores_do_and_says_so(scores: Scores) -> None:
    table = scores.scores.copy()
    shifted = table["transformation"].isin(["shifts", "shift(1,1)", "shift(2,2)"])
    table.loc[shifted, ["score", "low", "high"]] = 0.86 + 0.1 * table.loc[shifted, ["score", "low", "high"]]
    rotations, shifts = plot_layers(replace(scores, scores=table)).axes
    assert rotations.get_ylim()[0] <= 0 and rotations.get_ylabel() == "score"
    assert shifts.get_ylim()[0] == pytest.approx(0.8) and shifts.get_ylabel() == "score (axis from 0.8)"
    lowest = min(height for pair in segments(shifts) for height in pair if height > 0.5)
    assert lowest >= 0.8, "no interval is cut off"


def test_the_order_of_rows_changes_nothing(scores: Scores) -> None:
    assert plot_layers(shuffled(scores)).png(dpi=40) == plot_layers(scores).png(dpi=40)


def test_an_undefined_layer_is_a_gap_and_one_between_two_keeps_its_dash(scores: Scores) -> None:
    undefined = undefined_at(scores, "relu", "a_very_long_name_of_a_block_with_$_in_it")
    axes = plot_layers(undefined, transformation="rot90").axes[0]
    for measure in OF_FAMILY["rotations"]:
        assert np.isnan(heights(axes, measure)).tolist() == [False, True, False, True, False, False]
        row = {"transformation": "rot90", "measure": measure, "layer": "<b>conv_2</b>"}
        chance = column(scores.scores, "chance", **row).item()
        assert measure == "linear" or [chance] * 2 in segments(axes)
    assert "gaps: undefined" in words(plot_layers(undefined))
    assert "gaps" not in words(plot_layers(scores))


def test_a_panel_without_any_score_says_so(scores: Scores) -> None:
    nothing = undefined_at(scores, *scores.layers["layer"])
    assert "undefined everywhere" in [text.get_text() for text in plot_layers(nothing).axes[0].texts]


def test_one_transformation_and_one_measure_are_selected(scores: Scores) -> None:
    (axes,) = plot_layers(scores, transformation="shift(1,1)", measure="invariance").axes
    assert labels(axes) == ["invariance"]
    row = {"transformation": "shift(1,1)", "measure": "invariance"}
    np.testing.assert_array_equal(heights(axes, "invariance"), column(scores.scores, "score", **row))


def test_the_registered_scores_are_drawn_where_they_are_asked_for() -> None:
    scores = example_scores(alignments=("array", "registered"))
    figure = plot_layers(scores, alignment="registered")
    assert len(figure.axes) == 1 and "about its own centre (registered)" in words(figure)  # shifts are not registered
    row = {"transformation": "rotations", "measure": "linear", "alignment": "registered"}
    np.testing.assert_array_equal(heights(figure.axes[0], "linear"), column(scores.scores, "score", **row))


def test_a_measure_on_request_is_drawn_too() -> None:
    scores = example_scores(measures=("invariance", "strict_invariance"), shifts=())
    (axes,) = plot_layers(scores).axes
    assert {"invariance", "strict_invariance"} <= set(labels(axes))
