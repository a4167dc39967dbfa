"""Figures: every line is a column of a table, gaps are gaps, names are as they are, and nothing global changes."""

import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.text import Text
from torch import nn

import equiscope as es
from equiscope.plots import Plot, plot_layers, plot_parts
from equiscope.scores import MEASURES, Scores


@pytest.fixture(scope="module")
def scores() -> Scores:
    """Four layers of maps, pooled features and a final vector, under two families."""
    torch.manual_seed(0)
    model = nn.Sequential()
    for name, module in {
        "$x_1$": nn.Conv2d(3, 6, 3, padding=1),
        "relu": nn.ReLU(),
        "<b>conv_2</b>": nn.Conv2d(6, 6, 3, stride=2, padding=1),
        "a_very_long_name_of_a_block_with_$_in_it": nn.Tanh(),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flat": nn.Flatten(),
        "head": nn.Linear(6, 4),
    }.items():
        model.add_module(name, module)
    return es.measure(model, torch.randn(24, 3, 16, 16), transformations=[es.rotations(), es.shifts([1, 2])])


def undefined_at(scores: Scores, *layers: str) -> Scores:
    table = scores.scores.copy()
    table.loc[table["layer"].isin(layers), ["score", "low", "high", "chance", "corrected"]] = np.nan
    return replace(scores, scores=table)


def with_layers(scores: Scores, count: int) -> Scores:
    """The same scores, of a network that has many more layers, all of them undefined."""
    more = pd.DataFrame({"layer": [f"stages.{number}.conv" for number in range(count)], "part": "early"})
    return replace(scores, layers=pd.concat([more, scores.layers], ignore_index=True))


def column(table: pd.DataFrame, name: str, **row: str) -> np.ndarray:
    wanted = pd.Series({"alignment": "array"} | row)
    return table.loc[(table[list(wanted.index)] == wanted).all(axis=1), name].to_numpy(dtype=float)


def heights(axes: Axes, label: str) -> np.ndarray:
    line = next(line for line in axes.get_lines() if line.get_label() == label)
    return np.asarray(line.get_ydata(), dtype=float)


def segments(axes: Axes) -> list[list[float]]:
    """The two heights of every interval and dash of a panel."""
    return [path.vertices[:, 1].tolist() for lines in axes.collections for path in lines.get_paths()]


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("scope", ["dataset", "image"])
@pytest.mark.parametrize("by", ["layer", "part"])
def test_every_number_drawn_is_the_table_s(scores: Scores, by: str, scope: str, corrected: bool) -> None:
    draw, table = (plot_layers, scores.scores) if by == "layer" else (plot_parts, scores.parts)
    figure = draw(scores, scope, corrected=corrected)
    score, low, high = ("corrected", "corrected_low", "corrected_high") if corrected else ("score", "low", "high")
    assert len(figure.axes) == 2
    for axes, family in zip(figure.axes, ["rotations", "shifts"], strict=True):
        for measure in MEASURES:
            row = {"scope": scope, "transformation": family, "measure": measure}
            np.testing.assert_array_equal(heights(axes, measure), column(table, score, **row))
            ends = np.stack([column(table, low, **row), column(table, high, **row)], axis=1)
            drawn = segments(axes)
            assert all(end.tolist() in drawn for end in ends[~np.isnan(ends).any(axis=1)])
            chance = column(table, "chance", **row)
            if not corrected and by == "layer":
                np.testing.assert_array_equal(heights(axes, f"chance of {measure}"), chance)
            elif not corrected:
                assert all([height, height] in drawn for height in chance[~np.isnan(chance)])
        if scope == "image":
            assert np.isnan(heights(axes, "invariance")[-2:]).all(), "vectors have no score within one image"


def test_an_undefined_layer_is_a_gap_and_one_between_two_keeps_its_dash(scores: Scores) -> None:
    figure = plot_layers(
        undefined_at(scores, "relu", "a_very_long_name_of_a_block_with_$_in_it"), transformation="rot90"
    )
    axes = figure.axes[0]
    for measure in MEASURES:
        assert np.isnan(heights(axes, measure)).tolist() == [False, True, False, True, False, False]
        chance = column(
            scores.scores, "chance", scope="dataset", transformation="rot90", measure=measure, layer="<b>conv_2</b>"
        )
        assert [chance.item()] * 2 in segments(axes)
    assert "gaps: undefined" in "".join(text.get_text() for text in figure.texts)
    assert "gaps" not in "".join(text.get_text() for text in plot_layers(scores).texts)


def test_a_panel_without_any_score_says_so(scores: Scores) -> None:
    nothing = undefined_at(scores, *scores.layers["layer"])
    assert "undefined everywhere" in [text.get_text() for text in plot_layers(nothing).axes[0].texts]


@pytest.mark.parametrize("draw", [plot_layers, plot_parts])
def test_an_unknown_option_is_refused_with_the_known_ones(scores: Scores, draw: "type[plot_layers]") -> None:
    with pytest.raises(ValueError, match=r"scope='cells' is not known; it is one of dataset, image\."):
        draw(scores, "cells")
    with pytest.raises(ValueError, match=r"transformation='rot45' is not known; .*rot90.*rotations.*shifts"):
        draw(scores, transformation="rot45")


def test_names_are_drawn_letter_for_letter(scores: Scores) -> None:
    figure = plot_layers(replace(scores, manifest=scores.manifest | {"model": "$net_1$"}))
    names = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert names == ["$x_1$", "relu", "<b>conv_2</b>", "…ng_name_of_a_block_with_$_in_it", "pool", "head"]
    texts = figure.findobj(Text)
    assert not any(text.get_parse_math() for text in texts if "$" in text.get_text())
    assert "$net_1$, 24 images" in [text.get_text() for text in texts]


@pytest.mark.parametrize("layers", [0, 20, 60, 200])
def test_names_do_not_overlap_and_stay_on_the_page(scores: Scores, layers: int) -> None:
    figure = plot_layers(with_layers(scores, layers))
    figure.draw_without_rendering()
    page = figure.bbox
    names = [label.get_window_extent() for label in figure.axes[-1].get_xticklabels()]
    above = [text.get_window_extent() for text in figure.axes[0].texts]
    assert 6 <= len(names) <= 46
    legend = figure.legends[0].get_window_extent()
    lines = [text.get_window_extent() for text in figure.texts]
    for boxes in (names, [*above, legend, *lines]):
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)


def test_text_in_a_pdf_is_text_whatever_the_user_s_style(scores: Scores) -> None:
    stream = BytesIO()
    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "black", "pdf.fonttype": 3}):
        before = list(dict.items(matplotlib.rcParams))  # as they are: a look at the backend would choose one
        figure = plot_parts(scores)
        figure.savefig(stream, format="pdf")
        assert list(dict.items(matplotlib.rcParams)) == before
    assert figure.axes[0].get_facecolor() == (1, 1, 1, 1)
    assert b"/CIDFontType2" in stream.getvalue() and b"/Type3" not in stream.getvalue()
    assert isinstance(figure, Plot) and figure._repr_png_().startswith(b"\x89PNG")


def test_measuring_imports_no_matplotlib_and_drawing_no_pyplot() -> None:
    program = """
import sys, torch, equiscope
scores = equiscope.measure(torch.nn.Conv2d(3, 2, 3), torch.randn(4, 3, 8, 8), transformations=equiscope.flips())
assert "matplotlib" not in sys.modules
assert {"load", "plot_layers", "plot_parts"} <= set(dir(equiscope))
equiscope.plot_layers(scores).png()
equiscope.plot_parts(scores).png()
assert "matplotlib.pyplot" not in sys.modules
try:
    equiscope.plot_nothing
except AttributeError as error:
    assert "plot_nothing" in str(error)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
