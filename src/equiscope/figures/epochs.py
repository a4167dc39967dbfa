"""Scores while a network trains."""

from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from equiscope.figures.caption import finish, legend_of, name_scores
from equiscope.figures.marks import SCORES
from equiscope.figures.panels import panel_figure, shortened
from equiscope.figures.selection import Selection
from equiscope.figures.style import GREY, MEASURE_LOOKS, PART_LOOKS, Plot, drawing
from equiscope.results.columns import PARTS
from equiscope.results.rows import measures_in, overall
from equiscope.system.errors import known


def plot_epochs(
    table: pd.DataFrame,
    scope: str = "dataset",
    transformation: str | None = None,
    *,
    measure: str | None = None,
    value: str = "score",
    caption: bool = True,
) -> Plot:
    """The scores of parts while a network trained, by epoch: a panel per family.

    `table` holds what `scores_at` gave at several epochs, one table below the other. A part has a colour, a measure a
    line: equivariance is solid, linear dashed and dotted, and invariance dotted with open markers. `value` as in
    `plot_layers`.
    """
    selection = Selection(scope, transformation, measure, "array", value)
    families = list(dict.fromkeys(table["transformation"]))
    if transformation is not None:
        families = [known("transformation", transformation, families)]
    rows = table[(table["scope"] == scope) & table["transformation"].isin(families)]
    rows = rows[rows["alignment"] == selection.alignment] if "alignment" in rows else rows
    measures = measures_in(rows) if measure is None else [known("measure", measure, measures_in(rows))]
    column = selection.columns.column
    with drawing():
        figure, panels = panel_figure(len(families), 2.0)
        for axes, family in zip(panels, families, strict=True):
            of_family = rows[(rows["transformation"] == family) & rows["measure"].isin(measures)]
            draw_epochs(axes, of_family.assign(score=of_family[column]))
            axes.set_title(shortened(family), fontweight="bold")
        name_scores(panels, selection.label)
        parts = [part for part in PARTS if part in set(table["part"])]
        looks = {one: replace(MEASURE_LOOKS[one], colour=GREY, marker="o") for one in measures}
        legend = legend_of({part: PART_LOOKS[part] for part in parts} | looks)
        finish(figure, panels, "", selection.in_words(), legend, caption=caption)
    return figure


def draw_epochs(axes: Axes, rows: pd.DataFrame) -> None:
    """A line per part and measure of one family and scope: the column `score` by `epoch`."""
    rows = overall(rows) if "subpixel" in rows else rows
    in_time = rows.sort_values("epoch", kind="stable")
    for (part, measure), found in in_time.groupby(["part", "measure"], sort=False):
        of_measure = MEASURE_LOOKS[str(measure)]
        look = replace(PART_LOOKS[str(part)], line=of_measure.line, filled=of_measure.filled)
        axes.plot(
            found["epoch"], found["score"], linestyle=look.line, linewidth=1.0,
            label=str(part) if measure == "equivariance" else None, gid=SCORES, **look.marked(4.0),
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylim=(min(-0.03, axes.dataLim.y0 - 0.02), 1.03))
    axes.grid(axis="y")
