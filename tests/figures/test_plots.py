"""Figures: every line is a column of a table, gaps are gaps, names are as they are, and nothing global changes."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from itertools import combinations, product
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.text import Text
from torch import nn

import equiscope as es
from equiscope.figures.plots import (
    KINDS,
    plot_channels,
    plot_comparison,
    plot_epochs,
    plot_layers,
    plot_parts,
    plot_transformations,
)
from equiscope.figures.style import (
    MEASURE_COLOURS,
    MEASURE_LOOKS,
    ONE_COLUMN,
    PART_COLOURS,
    PART_LOOKS,
    SERIES_COLOURS,
    TWO_COLUMNS,
    Plot,
    drawing,
    series_look,
)
from equiscope.results.scores import MEASURES, Scores
from terminal import equiscope

KIND = ("pdf", "png")
OF_ONE: dict[str, Callable[..., Plot]] = {
    "layers": plot_layers,
    "parts": plot_parts,
    "transformations": plot_transformations,
    "heat map": lambda scores, *given, **named: plot_transformations(scores, *given, **named, heatmap=True),
    "channels": plot_channels,
}
ALL = OF_ONE | {
    f"comparison by {by}": lambda scores, *given, by=by, **named: plot_comparison(
        {"$a_1$": scores, "b": scores}, *given, **named, by=by
    )
    for by in ("part", "depth")
}


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


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("layers", [None, ["head", "relu"]])
def test_a_line_over_transformations_is_the_table_s(scores: Scores, layers: list[str] | None, corrected: bool) -> None:
    figure = plot_transformations(scores, layers=layers, corrected=corrected)
    by, table = ("part", scores.parts) if layers is None else ("layer", scores.scores)
    score, low, high = ("corrected", "corrected_low", "corrected_high") if corrected else ("score", "low", "high")
    members = {"rotations": ["rot90", "rot180", "rot270"], "shifts": ["shift(1,1)", "shift(2,2)"]}
    steps = {"rotations": [90, 180, 270], "shifts": [1, 2]}
    for axes, (family, measure) in zip(figure.axes, product(members, MEASURES), strict=True):
        lines = {line.get_label(): line for line in axes.get_lines()}
        drawn = segments(axes)
        for name in layers or PART_COLOURS:
            rows = [
                {"scope": "dataset", "transformation": one, "measure": measure, by: name} for one in members[family]
            ]
            np.testing.assert_array_equal(lines[name].get_xdata(), steps[family])
            heights_of = np.concatenate([column(table, score, **row) for row in rows])
            np.testing.assert_array_equal(lines[name].get_ydata(), heights_of)
            for row in rows:
                assert [*column(table, low, **row), *column(table, high, **row)] in drawn
        chances = [line for line in axes.get_lines() if line.get_label() == "_chance"]
        assert len(chances) == (0 if corrected else len(layers or PART_COLOURS))


def test_shifts_stand_where_their_pixels_are_and_others_under_their_names(scores: Scores) -> None:
    def renamed(*shifts: str) -> Scores:
        names = dict(zip(["rot90", "rot180", "rot270", "rotations"], [*shifts, "moved"], strict=True))
        tables = {}
        for name in ("scores", "parts"):
            table = getattr(scores, name)
            table = table[table["transformation"].isin(names)]
            tables[name] = table.assign(transformation=table["transformation"].map(names))
        options = scores.manifest["options"] | {"transformations": {"moved": list(shifts)}}
        return replace(scores, **tables, manifest=scores.manifest | {"options": options})

    for shifts, steps, label in (
        (("shift(1,1)", "shift(3,3)", "shift(16,16)"), [1, 3, 16], "shift down and right (pixels)"),
        (("shift(-2,0)", "shift(0,0)", "shift(2,0)"), [-2, 0, 2], "shift down (pixels)"),
        (("shift(0,1)", "shift(0,2)", "shift(0,3)"), [1, 2, 3], "shift right (pixels)"),
        (("shift(0,1)", "shift(1,0)", "shift(1,1)"), [0, 1, 2], "transformation"),
    ):
        axes = plot_transformations(renamed(*shifts)).axes[0]
        np.testing.assert_array_equal(axes.get_lines()[0].get_xdata(), steps)
        assert axes.get_xlabel() == label
        assert (axes.get_xscale() == "log") == ("shift(16,16)" in shifts)
        joined = axes.get_lines()[0].get_linestyle() != "None"
        assert joined == (label != "transformation"), "a line has a meaning only where steps are in order"


def test_a_heat_map_is_the_table_s_and_hatched_where_undefined(scores: Scores) -> None:
    undefined = undefined_at(scores, "relu")
    figure = plot_transformations(undefined, heatmap=True)
    names = ["rot90", "rot180", "rot270", "shift(1,1)", "shift(2,2)"]
    for axes, measure in zip(figure.axes[:2], MEASURES, strict=True):
        mesh = next(one for one in axes.collections if one.get_array() is not None)
        rows = [
            column(undefined.scores, "score", scope="dataset", transformation=one, measure=measure) for one in names
        ]
        np.testing.assert_array_equal(np.ma.filled(mesh.get_array(), np.nan), rows)
        assert [label.get_text() for label in axes.get_yticklabels()] == names
    assert "hatched: undefined" in "".join(text.get_text() for text in figure.texts)
    assert len(plot_transformations(scores, heatmap=True, layers="relu", measure="invariance").axes) == 2  # and its bar


@pytest.mark.parametrize("corrected", [False, True])
def test_channels_are_drawn_as_their_median_with_the_layer_s_chance(scores: Scores, corrected: bool) -> None:
    figure = plot_channels(scores, corrected=corrected)
    rows = scores.channels[scores.channels["scope"] == "dataset"]
    for axes, start in zip(figure.axes, ("rot", "shift"), strict=True):
        of_family = rows[rows["transformation"].str.startswith(start)]
        for measure in MEASURES:
            values, chance = of_family[measure], of_family[f"chance_{measure}"]
            if corrected:
                values = ((values - chance) / (1 - chance)).where(chance <= 0.99)
            medians = values.groupby(of_family["layer"]).median().reindex(scores.layers["layer"])
            np.testing.assert_allclose(heights(axes, measure), medians)
            row = {"scope": "dataset", "transformation": "rotations" if start == "rot" else "shifts"}
            for height in column(scores.scores, "chance", **row, measure=measure):
                assert corrected or [height, height] in segments(axes)
    many = with_layers(scores, 200)
    assert not any(axes.get_lines()[0].get_linestyle() == "None" for axes in plot_channels(many).axes)


def test_results_side_by_side_are_their_tables(scores: Scores) -> None:
    other = undefined_at(scores, "relu")
    results = {"one": scores, "other": other}
    for by in ("part", "depth"):
        figure = plot_comparison(results, by=by)
        assert [axes.get_title() for axes in figure.axes] == [
            f"{family}: {measure}" for family, measure in product(["rotations", "shifts"], MEASURES)
        ]
        for axes, (family, measure) in zip(figure.axes, product(["rotations", "shifts"], MEASURES), strict=True):
            row = {"scope": "dataset", "transformation": family, "measure": measure}
            for name, of_name in results.items():
                table = of_name.parts if by == "part" else of_name.scores
                expected = column(table, "score", **row)
                drawn = heights(axes, name)
                np.testing.assert_array_equal(drawn, expected[: len(drawn)])
                assert len(drawn) == (5 if by == "part" else 4)  # pool and final stand apart
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "other", "chance"]
    assert "2 results, 24 images each" in [text.get_text() for text in figure.texts]


def test_only_families_of_the_same_transformations_are_compared(scores: Scores) -> None:
    options = scores.manifest["options"]
    moved = options["transformations"] | {"shifts": ["shift(1,1)", "shift(4,4)"]}
    other = replace(scores, manifest=scores.manifest | {"options": options | {"transformations": moved}})
    assert len(plot_comparison({"a": scores, "b": other}).axes) == 2
    with pytest.raises(ValueError, match=r"transformation='shifts' is not known; it is one of rotations\."):
        plot_comparison({"a": scores, "b": other}, transformation="shifts")
    with pytest.raises(ValueError, match=r"^1 result cannot be compared; give two at least\.$"):
        plot_comparison({"a": scores})
    other = replace(scores, manifest=scores.manifest | {"options": options | {"transformations": {"flips": ["hflip"]}}})
    with pytest.raises(ValueError, match=r"or family in common .*: a has rotations \(rot90, .*; b has"):
        plot_comparison({"a": scores, "b": other})


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_an_unknown_option_is_refused_with_the_known_ones(scores: Scores, draw: Callable[..., Plot]) -> None:
    with pytest.raises(ValueError, match=r"scope='cells' is not known; it is one of dataset, image\."):
        draw(scores, "cells")
    with pytest.raises(ValueError, match=r"transformation='rot45' is not known; .*rotations.*shifts"):
        draw(scores, transformation="rot45")
    with pytest.raises(ValueError, match=r"measure='accuracy' is not known; it is one of invariance, equivariance\."):
        draw(scores, measure="accuracy")
    with pytest.raises(ValueError, match=r"alignment='registered' was not measured"):
        draw(scores, alignment="registered")
    without = replace(scores, manifest=scores.manifest | {"options": scores.manifest["options"] | {"chance": False}})
    with pytest.raises(ValueError, match=r"corrected=True needs chance levels, and there are none"):
        draw(without, corrected=True)


def test_an_option_of_one_figure_is_refused_in_a_sentence_too(scores: Scores) -> None:
    with pytest.raises(ValueError, match=r"layers='conv' was not measured; there are \$x_1\$, relu, "):
        plot_transformations(scores, layers=["relu", "conv"])
    with pytest.raises(ValueError, match=r"layers names no layer"):
        plot_transformations(scores, layers=[])
    many = with_layers(scores, 20)
    with pytest.raises(ValueError, match=r"26 layers are too many for a line each; name 10 at most"):
        plot_transformations(many, layers=list(many.layers["layer"]))
    with pytest.raises(ValueError, match=r"by='layer' is not known; it is one of part, depth\."):
        plot_comparison({"a": scores, "b": scores}, by="layer")


def test_epochs_are_the_table_s(scores: Scores) -> None:
    parts = scores.parts[scores.parts["transformation"].isin(scores.families)]
    table = pd.concat([parts.assign(epoch=epoch, score=parts["score"] / epoch) for epoch in (1, 2)])
    figure = plot_epochs(table, measure="equivariance")
    assert len(figure.axes) == 2 and {len(axes.get_lines()) for axes in figure.axes} == {len(PART_COLOURS)}
    row = {"scope": "dataset", "measure": "equivariance", "transformation": "rotations", "part": "late"}
    np.testing.assert_array_equal(heights(figure.axes[0], "late"), column(table, "score", **row))
    assert len(plot_epochs(table, transformation="shifts").axes[0].get_lines()) == 2 * len(PART_COLOURS)


def test_a_measure_and_a_part_have_one_look_everywhere(scores: Scores) -> None:
    for draw in (plot_layers, plot_parts, plot_channels):
        for axes, measure in product(draw(scores).axes, MEASURES):
            line = next(line for line in axes.get_lines() if line.get_label() == measure)
            assert line.get_color() == MEASURE_COLOURS[measure]
            assert line.get_marker() == MEASURE_LOOKS[measure].marker
    parts = scores.parts[scores.parts["transformation"].isin(scores.families)].assign(epoch=1)
    for figure in (plot_transformations(scores), plot_epochs(parts)):
        for axes, (part, colour) in product(figure.axes, PART_COLOURS.items()):
            line = next(line for line in axes.get_lines() if line.get_label() in (part, None))
            if line.get_label() == part:
                assert (line.get_color(), line.get_marker()) == (colour, PART_LOOKS[part].marker)


PALETTES = {"measures": MEASURE_COLOURS.values(), "parts": PART_COLOURS.values(), "series": SERIES_COLOURS}
EYES = {  # Viénot, Brettel and Mollon 1999, on linear RGB
    "all cones": np.eye(3),
    "no long-wave cones": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "no middle-wave cones": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


@pytest.mark.parametrize("eye", EYES.values(), ids=EYES)
@pytest.mark.parametrize("palette", PALETTES.values(), ids=PALETTES)
def test_colours_are_apart_for_every_eye(palette: "list[str]", eye: np.ndarray) -> None:
    def seen(colour: str) -> np.ndarray:
        """CIE L*a*b* of the colour, as this eye sees it."""
        encoded = np.array(matplotlib.colors.to_rgb(colour))
        linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
        linear = np.clip(np.asarray(eye) @ linear, 0, 1)
        to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        x, y, z = np.array(to_xyz) @ linear / [0.9505, 1, 1.089]
        f = [t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in (x, y, z)]
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    assert min(np.linalg.norm(seen(one) - seen(other)) for one, other in combinations(palette, 2)) > 10


def test_without_colour_series_are_told_apart_by_their_marks() -> None:
    assert len({look.marker for look in PART_LOOKS.values()}) == len(PART_LOOKS)
    assert len({(look.marker, look.filled, look.line) for look in MEASURE_LOOKS.values()}) == len(MEASURE_LOOKS)
    assert len({(look.colour, look.marker) for look in map(series_look, range(70))}) == 70
    assert len({look.marker for look in map(series_look, range(10))}) == 10


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


STRANGE = {
    "many layers": lambda scores: with_layers(scores, 100),
    "one layer": lambda scores: replace(scores, layers=scores.layers.tail(1)),
    "nothing defined": lambda scores: undefined_at(scores, *scores.layers["layer"]),
    "a long name": lambda scores: replace(scores, manifest=scores.manifest | {"model": "a/very/long/name" * 20}),
}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_all_words_are_on_the_page_and_do_not_overlap(
    scores: Scores, draw: Callable[..., Plot], strange: Callable[[Scores], Scores]
) -> None:
    figure = draw(strange(scores), measure="equivariance")
    assert figure.get_figwidth() in (ONE_COLUMN, TWO_COLUMNS)
    with drawing():  # else the numbers along the axes come in the letters of the default style
        figure.draw_without_rendering()
        page = figure.bbox
        everything = [axes.get_tightbbox() for axes in figure.axes]
        everything += [one.get_window_extent() for one in [*figure.texts, *figure.legends]]
        for box in everything:
            assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
        for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]:
            low, high = sorted(axis.get_view_interval())
            labels = [
                tick.label1.get_window_extent()
                for tick in axis.get_major_ticks()
                if low <= tick.get_loc() <= high and tick.label1.get_visible() and tick.label1.get_text()
            ]
            assert not any(one.overlaps(other) for one, other in combinations(labels, 2))
        outside = [*figure.texts, *figure.legends]
        titles = [axes.title for axes in figure.axes] + [axes.xaxis.label for axes in figure.axes]
        lines = [one.get_window_extent() for one in [*outside, *titles] if not isinstance(one, Text) or one.get_text()]
        assert not any(one.overlaps(other) for one, other in combinations(lines, 2))


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_a_paper_s_own_caption_takes_the_place_of_ours(scores: Scores, draw: Callable[..., Plot]) -> None:
    bare, whole = draw(scores, caption=False), draw(scores)
    assert whole.texts and not bare.texts and bare.get_figheight() < whole.get_figheight()


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_a_file_holds_text_as_text_letter_for_letter_and_the_same_bytes(
    scores: Scores, draw: Callable[..., Plot]
) -> None:
    figure = draw(scores, measure="invariance")
    assert not any(text.get_parse_math() for text in figure.findobj(Text) if "$" in text.get_text())
    first = figure.pdf()
    assert b"/CIDFontType2" in first and b"/FontFile2" in first and b"/Type3" not in first
    assert b"CreationDate" not in first
    assert figure.png().startswith(b"\x89PNG")
    assert figure.pdf() == first == draw(scores, measure="invariance").pdf(), (
        "the same file, whatever was written in between"
    )


def test_nothing_global_is_heeded_or_changed(scores: Scores) -> None:
    stream = BytesIO()
    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "black", "pdf.fonttype": 3}):
        before = list(dict.items(matplotlib.rcParams))  # as they are: a look at the backend would choose one
        figure = plot_parts(scores)
        figure.savefig(stream, format="pdf")
        assert list(dict.items(matplotlib.rcParams)) == before
    assert figure.axes[0].get_facecolor() == (1, 1, 1, 1)
    assert stream.getvalue() == plot_parts(scores).pdf()
    assert isinstance(figure, Plot) and figure._repr_png_() == figure.png()


def test_a_figure_is_saved_as_what_its_path_says_or_both(scores: Scores, tmp_path: Path) -> None:
    figure = plot_parts(scores)
    assert figure.save(tmp_path / "new" / "resnet18.a1") == [tmp_path / f"new/resnet18.a1.{kind}" for kind in KIND]
    assert figure.save(str(tmp_path / "one.PDF")) == [tmp_path / "one.PDF"]
    assert (tmp_path / "one.PDF").read_bytes() == (tmp_path / "new/resnet18.a1.pdf").read_bytes() == figure.pdf()
    assert (tmp_path / "new/resnet18.a1.png").read_bytes() == figure.png()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "one.PDF"]
    with pytest.raises(ValueError, match=r"^A figure is written as \.pdf or \.png, or both, but not as \.svg"):
        figure.save("a.svg")


@pytest.fixture(scope="module")
def saved(scores: Scores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    scores.save(folder / "one")
    replace(scores, manifest=scores.manifest | {"model": "another"}).save(folder / "other")
    return folder


@pytest.mark.parametrize("kind", ["parts", "comparison"])
def test_the_command_writes_what_the_function_draws(scores: Scores, saved: Path, kind: str) -> None:
    given = [saved / "one", saved / "other"] if kind == "comparison" else [saved / "one"]
    file = saved / f"{kind}.pdf"
    assert equiscope("plot", *given, "--kind", kind, "--corrected", "--output", file) == (0, f"{file}\n", "")
    names = [scores.manifest["model"], "another"]
    own = dict.fromkeys(names, scores) if kind == "comparison" else scores
    assert file.read_bytes() == KINDS[kind](own, corrected=True).pdf()


def test_by_default_a_drawing_goes_to_the_result_as_pdf_and_png(saved: Path) -> None:
    written = [saved / f"one/transformations.{kind}" for kind in KIND]
    command = ("plot", saved / "one", "--kind", "transformations", "--layers", "relu", "--heatmap", "--no-caption")
    assert equiscope(*command) == (0, "".join(f"{file}\n" for file in written), "")
    again = equiscope(*command)
    assert again.status == 2 and "transformations.pdf exists; give another --output, or --force" in again.err
    assert equiscope(*command, "--force").status == 0


@pytest.mark.parametrize(
    ("options", "words"),
    {
        "a kind": (["--kind", "pie"], "--kind 'pie' is not known; it is one of layers, parts, transformations,"),
        "folders": (["other"], "--kind layers draws one folder, and 2 are given; give --kind comparison."),
        "one to compare": (["--kind", "comparison"], "1 result cannot be compared; give two at least."),
        "twice": (["one", "--kind", "comparison"], "A folder is given twice; give each once."),
        "no result": (["nowhere", "--kind", "comparison"], "nowhere is no result of equiscope"),
        "a scope": (["--scope", "cells"], "--scope 'cells' is not known; it is one of dataset, image."),
        "a measure": (["--measure", "x"], "--measure 'x' is not known; it is one of invariance, equivariance."),
        "a layer": (
            ["--kind", "transformations", "--layers", "x", "--force"],
            "--layers 'x' was not measured; there are $x_1$,",
        ),
        "layers of parts": (["--kind", "parts", "--layers", "x"], "--layers is for --kind transformations, not for"),
        "by of layers": (["--by", "depth"], "--by is for --kind comparison, not for layers."),
        "a format": (["--output", "x.svg"], "A figure is written as .pdf or .png, or both, but not as .svg: x.svg."),
    }.values(),
)
def test_the_command_tells_a_mistake_in_a_sentence(
    saved: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(saved)
    before = sorted(saved.rglob("*"))
    answer = equiscope("plot", "one", *options)
    assert (answer.status, answer.out) == (2, "") and answer.err.startswith(f"Error: {words}"), answer.err
    assert answer.err.count("\n") == 1 and sorted(saved.rglob("*")) == before


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


def test_the_gallery_shows_what_its_own_lines_write() -> None:
    page = Path(__file__).parents[2] / "docs" / "gallery.md"
    text = page.read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```(?:sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    written = re.findall(r"docs/gallery/([\w-]+)", blocks)
    assert re.findall(r"\(gallery/([\w-]+)\.png\)", text) == written
    assert {file.name for file in (page.parent / "gallery").iterdir()} == {
        "make.py", *(f"{name}.{kind}" for name, kind in product(written, KIND))
    }  # fmt: skip
