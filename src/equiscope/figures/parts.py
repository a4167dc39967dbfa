"""Scores by part of the network."""

from dataclasses import replace

import numpy as np

from equiscope.figures.caption import finish_measures
from equiscope.figures.marks import Placing, draw_scores
from equiscope.figures.panels import panel_figure, shortened
from equiscope.figures.selection import Selection
from equiscope.figures.style import GREY, MEASURE_LOOKS, Plot, drawing
from equiscope.results.columns import PARTS
from equiscope.results.scores import Scores


def plot_parts(
    scores: Scores,
    scope: str = "dataset",
    transformation: str | None = None,
    *,
    measure: str | None = None,
    alignment: str = "array",
    value: str = "score",
    caption: bool = True,
) -> Plot:
    """The measures of every part of the network, with their intervals and chance levels.

    A panel per family, or for the one `transformation` or family named; `value` as in `plot_layers`.
    """
    selection = Selection(scope, transformation, measure, alignment, value)
    families = selection.families(scores)
    counts = scores.layers["part"].value_counts()
    parts = [part for part in PARTS if part in counts]
    columns = replace(selection.columns, ceiling_colour=GREY)  # no measure has one of its own
    with drawing():
        figure, panels = panel_figure(len(families), 2.0)
        for axes, family in zip(panels, families, strict=True):
            measures = selection.measures(scores, [family])
            apart = 0.6 / (len(measures) + 1 if len(measures) > 2 else 2)
            for number, one in enumerate(measures):
                rows = selection.rows(scores.parts, family, one).set_index("part").reindex(parts)
                places = np.arange(len(parts)) + apart * (number - (len(measures) - 1) / 2)
                placing = Placing(joined=False, half=apart / 2)
                draw_scores(axes, places, rows, MEASURE_LOOKS[one], columns, placing, label=one)
            axes.set_xticks(range(len(parts)), [f"{part}\n({counts[part]})" for part in parts])
            axes.set_xlim(-0.5, len(parts) - 0.5)
            axes.set_xlabel("part (layers in it)")
            axes.set_ylabel(selection.label)
            axes.set_title(shortened(family), fontweight="bold")
        finish_measures(figure, panels, scores, selection, families, caption=caption)
    return figure
