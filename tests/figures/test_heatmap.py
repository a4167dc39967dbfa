"""Layers against transformations: colours are the table's numbers, and what is undefined is hatched."""

import numpy as np
import pytest

from drawn import MEASURES, column, drawable, undefined_at, words
from equiscope.figures.transformations import plot_transformations
from equiscope.results.scores import Scores
from example import shuffled

TRANSFORMATIONS = ["rot90", "rot180", "rot270", "shift(1,1)", "shift(2,2)"]


@pytest.fixture(scope="module")
def scores() -> Scores:
    return drawable()


@pytest.mark.parametrize("value", ["score", "explained", "in_sample"])
def test_a_heat_map_is_the_table_s_and_hatched_where_undefined(scores: Scores, value: str) -> None:
    undefined = undefined_at(scores, "relu")
    figure = plot_transformations(undefined, heatmap=True, value=value)
    measures = MEASURES[:2] if value == "in_sample" else MEASURES
    assert len(figure.axes) == len(measures) + 1
    for axes, measure in zip(figure.axes, measures, strict=False):
        mesh = next(one for one in axes.collections if one.get_array() is not None)
        rows = [column(undefined.scores, value, transformation=one, measure=measure) for one in TRANSFORMATIONS]
        rows = [row if len(row) else np.full(6, np.nan) for row in rows]  # linear is not measured under shifts
        np.testing.assert_array_equal(np.ma.filled(mesh.get_array(), np.nan), rows)
        assert [label.get_text() for label in axes.get_yticklabels()] == TRANSFORMATIONS
    assert "hatched: undefined or not measured" in words(figure)


def test_layers_and_measures_are_selected(scores: Scores) -> None:
    figure = plot_transformations(scores, heatmap=True, layers="relu", measure="invariance")
    assert len(figure.axes) == 2 and "hatched" not in words(figure)  # the panel and its bar
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["relu"]


def test_the_order_of_rows_changes_nothing(scores: Scores) -> None:
    figure = plot_transformations(shuffled(scores), heatmap=True)
    assert figure.png(dpi=40) == plot_transformations(scores, heatmap=True).png(dpi=40)
