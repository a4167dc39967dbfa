"""Scores while a network trains: every line is a part's and a measure's, epoch by epoch."""

import numpy as np
import pandas as pd
import pytest

from drawn import PARTS, column, drawable, heights
from equiscope.figures.epochs import plot_epochs


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    scores = drawable()
    parts = scores.parts[scores.parts["transformation"].isin(scores.families)]
    return pd.concat([parts.assign(epoch=epoch, score=parts["score"] / epoch) for epoch in (1, 2)])


def test_epochs_are_the_table_s(table: pd.DataFrame) -> None:
    figure = plot_epochs(table, measure="equivariance")
    assert len(figure.axes) == 2 and {len(axes.get_lines()) for axes in figure.axes} == {len(PARTS)}
    for value in ("score", "explained"):
        for axes, family in zip(plot_epochs(table, value=value).axes, ("rotations", "shifts"), strict=True):
            for part in PARTS:
                row = {"measure": "equivariance", "transformation": family, "part": part}
                expected = [column(table[table["epoch"] == epoch], value, **row) for epoch in (1, 2)]
                np.testing.assert_array_equal(heights(axes, part), np.concatenate(expected))


def test_every_measure_has_a_line_per_part(table: pd.DataFrame) -> None:
    figure = plot_epochs(table)
    assert [len(axes.get_lines()) for axes in figure.axes] == [3 * len(PARTS), 2 * len(PARTS)]
    assert len(plot_epochs(table, transformation="shifts").axes[0].get_lines()) == 2 * len(PARTS)
    assert not any(axes.texts for axes in figure.axes), "no panel is told to be undefined"
    high = plot_epochs(table.assign(score=0.9 + 0.05 * table["score"]))
    assert [axes.get_ylabel() for axes in high.axes] == ["score (axis from 0.8)", "(axis from 0.8)"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [*PARTS, "invariance", "equivariance", "linear"]
    lines = {line.get_linestyle() for line in figure.legends[0].get_lines()[-3:]}
    assert len({str(line) for line in lines}) >= 2


def test_tables_without_the_column_subpixel_and_in_any_order_are_drawn_alike(table: pd.DataFrame) -> None:
    rows = table.sort_values("subpixel").drop_duplicates(
        ["epoch", "part", "transformation", "measure", "scope"], keep="last"
    )
    whole = plot_epochs(table.sort_values(["measure", "part"], ignore_index=True))
    bare = rows.drop(columns=["subpixel", "alignment"]).sort_values(["measure", "part"], ignore_index=True)
    assert plot_epochs(bare).axes[0].get_lines()[0].get_ydata() is not None
    for one, other in zip(whole.axes, plot_epochs(bare).axes, strict=True):
        for part in PARTS:
            np.testing.assert_array_equal(heights(one, part), heights(other, part))


def test_scores_about_the_layers_own_centres_are_left_out(table: pd.DataFrame) -> None:
    both = pd.concat([table, table.assign(alignment="registered", score=0.5)])
    for one, other in zip(plot_epochs(table).axes, plot_epochs(both).axes, strict=True):
        assert len(one.get_lines()) == len(other.get_lines())
        for part in PARTS:
            np.testing.assert_array_equal(heights(one, part), heights(other, part))


def test_what_is_unknown_is_refused_in_a_sentence(table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"transformation='rot45' is not known; it is one of rotations, shifts\."):
        plot_epochs(table, transformation="rot45")
    only = table[table["measure"] == "invariance"]
    with pytest.raises(ValueError, match=r"measure='linear' is not known; it is one of invariance\."):
        plot_epochs(only, measure="linear")
