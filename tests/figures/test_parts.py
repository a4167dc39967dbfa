"""Scores by part: every mark, interval and dash is a number of the table of parts."""

import numpy as np
import pytest

from drawn import OF_FAMILY, PARTS, column, drawable, heights, segments
from equiscope.figures.parts import plot_parts
from equiscope.results.scores import Scores
from example import shuffled


@pytest.fixture(scope="module")
def scores() -> Scores:
    return drawable()


@pytest.mark.parametrize(("scope", "value"), [("dataset", "score"), ("dataset", "explained"), ("image", "score")])
def test_every_number_drawn_is_the_table_s(scores: Scores, scope: str, value: str) -> None:
    figure = plot_parts(scores, scope, value=value)
    low, high = ("low", "high") if value == "score" else ("explained_low", "explained_high")
    assert len(figure.axes) == 2
    for axes, (family, measures) in zip(figure.axes, OF_FAMILY.items(), strict=True):
        for measure in measures[:2] if scope == "image" else measures:
            row = {"scope": scope, "transformation": family, "measure": measure}
            np.testing.assert_array_equal(heights(axes, measure), column(scores.parts, value, **row))
            drawn = segments(axes)
            ends = np.stack([column(scores.parts, end, **row) for end in (low, high)], axis=1)
            assert all(end.tolist() in drawn for end in ends[~np.isnan(ends).any(axis=1)])
            chance = column(scores.parts, "chance", **row)
            assert value == "explained" or all([height, height] in drawn for height in chance[~np.isnan(chance)])
        assert [label.get_text() for label in axes.get_xticklabels()] == [
            f"{part}\n({count})" for part, count in zip(PARTS, (2, 1, 1, 1, 1), strict=True)
        ]


def test_marks_of_a_part_stand_side_by_side(scores: Scores) -> None:
    axes = plot_parts(scores).axes[0]
    places = [line.get_xdata()[0] for line in axes.get_lines() if line.get_label() in OF_FAMILY["rotations"]]
    assert sorted(places) == places and len(set(places)) == 3 and max(map(abs, places)) < 0.5


def test_the_order_of_rows_changes_nothing(scores: Scores) -> None:
    assert plot_parts(shuffled(scores)).png(dpi=40) == plot_parts(scores).png(dpi=40)
