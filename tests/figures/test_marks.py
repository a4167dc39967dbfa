"""Marks: intervals and chance levels where they are defined, and nowhere else."""

import numpy as np
import pandas as pd

from drawn import segments
from equiscope.figures.marks import Placing, Value, asides, draw_chance, draw_intervals, draw_scores
from equiscope.figures.style import PURPLE, Look, Plot

NAN = float("nan")


def test_a_series_is_its_scores_intervals_and_chance_levels() -> None:
    axes = Plot().add_subplot()
    rows = pd.DataFrame({"score": [0.2, NAN, 0.4], "low": [0.1, NAN, NAN], "high": [0.3, NAN, 0.5], "chance": 0.05})
    draw_scores(axes, np.arange(3), rows, Look(PURPLE, "o"), Value(), Placing(joined=False), label="a")
    line = next(line for line in axes.get_lines() if line.get_label() == "a")
    np.testing.assert_array_equal(line.get_ydata(), rows["score"])
    assert line.get_linestyle() == "None"
    ends = [list(line.get_ydata()) for line in axes.get_lines() if line.get_label() == "_interval"]
    assert ends == [[0.1], [0.3]], "a bar at either end of the one interval that is defined"
    assert segments(axes) == [[0.1, 0.3], [0.05, 0.05], [0.05, 0.05], [0.05, 0.05]]


def test_without_ends_and_chance_there_is_the_line_alone() -> None:
    axes = Plot().add_subplot()
    rows = pd.DataFrame({"in_sample": [0.2, 0.3]})
    draw_scores(axes, np.arange(2), rows, Look(PURPLE, "o"), Value("in_sample", None, None), Placing())
    assert len(axes.get_lines()) == 1 and not axes.collections


def test_of_joined_chance_levels_an_isolated_one_is_a_dash() -> None:
    axes = Plot().add_subplot()
    draw_chance(axes, np.arange(4), np.array([0.1, 0.2, NAN, 0.3]), PURPLE, joined=True)
    assert len(axes.get_lines()) == 1 and segments(axes) == [[0.3, 0.3]]
    bare = Plot().add_subplot()
    draw_chance(bare, np.arange(2), np.array([NAN, NAN]), PURPLE, joined=True)
    draw_intervals(bare, np.arange(2), [NAN, 0.1], [0.2, NAN], PURPLE)
    assert not bare.get_lines() and not bare.collections


def test_series_are_moved_aside_evenly() -> None:
    assert list(asides(1, 3.0)) == [0.0] and sum(asides(4, 3.0)) == 0.0
