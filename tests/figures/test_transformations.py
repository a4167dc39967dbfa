"""Scores over transformations: lines are the table's, over pixels and degrees where their order has a meaning."""

from dataclasses import replace

import numpy as np
import pytest

from drawn import OF_FAMILY, PARTS, column, drawable, segments, with_layers
from equiscope.figures.transformations import plot_transformations
from equiscope.results.scores import Scores
from example import example_scores, shuffled

MEMBERS = {"rotations": ["rot90", "rot180", "rot270"], "shifts": ["shift(1,1)", "shift(2,2)"]}
STEPS = {"rotations": [90, 180, 270], "shifts": [1, 2]}


@pytest.fixture(scope="module")
def scores() -> Scores:
    return drawable()


@pytest.mark.parametrize("value", ["score", "explained"])
@pytest.mark.parametrize("layers", [None, ["final", "relu"]])
def test_a_line_over_transformations_is_the_table_s(scores: Scores, layers: list[str] | None, value: str) -> None:
    figure = plot_transformations(scores, layers=layers, value=value)
    by, table = ("part", scores.parts) if layers is None else ("layer", scores.scores)
    low, high = ("low", "high") if value == "score" else ("explained_low", "explained_high")
    kinds = [(family, measure) for family, measures in OF_FAMILY.items() for measure in measures]
    assert [axes.get_title("left") for axes in figure.axes] == [f"{family}: {measure}" for family, measure in kinds]
    for axes, (family, measure) in zip(figure.axes, kinds, strict=True):
        lines = {line.get_label(): line for line in axes.get_lines()}
        drawn = segments(axes)
        for name in layers or PARTS:
            rows = [{"transformation": one, "measure": measure, by: name} for one in MEMBERS[family]]
            np.testing.assert_array_equal(lines[name].get_xdata(), STEPS[family])
            of_name = np.concatenate([column(table, value, **row) for row in rows])
            np.testing.assert_array_equal(lines[name].get_ydata(), of_name)
            for row in rows:
                assert [*column(table, low, **row), *column(table, high, **row)] in drawn
        chances = [line for line in axes.get_lines() if line.get_gid() == "chance"]
        assert len(chances) == (0 if value == "explained" or measure == "linear" else len(layers or PARTS))


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
        (("shift(0.5,0)", "shift(1,0)", "shift(1.5,0)"), [0.5, 1, 1.5], "shift down (pixels)"),
        (("shift(0,1)", "shift(1,0)", "shift(1,1)"), [0, 1, 2], "transformation"),
        (("rot7.5", "rot15", "rot22.5"), [7.5, 15, 22.5], "angle of the rotation"),
        (("scaling(0.5)", "scaling(1.25)", "scaling(2)"), [0.5, 1.25, 2], "factor of the scaling"),
    ):
        axes = plot_transformations(renamed(*shifts)).axes[0]
        np.testing.assert_array_equal(axes.get_lines()[0].get_xdata(), steps)
        assert axes.get_xlabel() == label
        assert (axes.get_xscale() == "log") == (shifts[-1] in ("shift(16,16)", "scaling(2)"))
        joined = axes.get_lines()[0].get_linestyle() != "None"
        assert joined == (label != "transformation"), "a line has a meaning only where steps are in order"


def test_a_family_has_its_own_line_of_panels(scores: Scores) -> None:
    places = [axes.get_subplotspec() for axes in plot_transformations(scores).axes]
    assert [(place.rowspan.start, place.colspan.start) for place in places] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    named = [axes.get_ylabel() for axes in plot_transformations(scores).axes]
    assert named == ["score", "", "", "score", ""]


def test_layers_that_cannot_be_drawn_are_refused_in_a_sentence(scores: Scores) -> None:
    with pytest.raises(ValueError, match=r"layers='conv' was not measured; there is \$x_1\$, relu, "):
        plot_transformations(scores, layers=["relu", "conv"])
    with pytest.raises(ValueError, match=r"layers names no layer"):
        plot_transformations(scores, layers=[])
    many = with_layers(scores, 20)
    with pytest.raises(ValueError, match=r"26 layers are too many to draw; name 10 at most, or draw a heat map"):
        plot_transformations(many, layers=list(many.layers["layer"]))


def test_the_order_of_rows_changes_nothing(scores: Scores) -> None:
    assert plot_transformations(shuffled(scores)).png(dpi=40) == plot_transformations(scores).png(dpi=40)


def of_family(family: str, *names: str) -> Scores:
    return example_scores(families={family: names}, shifts=())


def test_rotations_by_any_angle_stand_at_their_angles_with_ticks_at_right_ones() -> None:
    names = [f"rot{angle}" for angle in range(30, 360, 30)]
    axes = plot_transformations(of_family("rotations", *names), measure="equivariance").axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0°", "90°", "180°", "270°", "360°"][1:4]
    assert list(axes.get_xticks(minor=True)) == [angle for angle in range(30, 360, 30) if angle % 90]
    line = next(line for line in axes.get_lines() if line.get_gid() == "scores")
    np.testing.assert_array_equal(line.get_xdata(), range(30, 360, 30))


def test_scalings_stand_at_their_factors() -> None:
    names = ["scaling(0.5)", "scaling(0.75)", "scaling(1.5)", "scaling(2)"]
    axes = plot_transformations(of_family("scalings", *names), measure="invariance").axes[0]
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "factor of the scaling"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.5", "0.75", "1.5", "2"]


def test_a_ceiling_is_drawn_where_interpolation_costs_something() -> None:
    scores = example_scores()
    assert scores.scores["ceiling"].min() < 1
    for family, drawn in (("rotations", False), ("shifts", True)):
        figure = plot_transformations(scores, transformation=family, measure="invariance")
        assert any(line.get_gid() == "ceiling" for line in figure.axes[0].get_lines()) == drawn
        assert ("ceiling" in [text.get_text() for text in figure.legends[0].get_texts()]) == drawn
