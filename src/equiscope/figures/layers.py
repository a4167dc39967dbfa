"""Scores by layer, in order of execution."""

from dataclasses import replace

import numpy as np

from equiscope.figures.caption import finish_measures
from equiscope.figures.marks import Placing, draw_scores
from equiscope.figures.panels import layer_panels, runs_of, shortened
from equiscope.figures.selection import Selection
from equiscope.figures.style import GREY, MEASURE_LOOKS, Plot, drawing
from equiscope.results.rows import in_order
from equiscope.results.scores import Scores


def plot_layers(
    scores: Scores,
    scope: str = "dataset",
    transformation: str | None = None,
    *,
    measure: str | None = None,
    alignment: str = "array",
    value: str = "score",
    caption: bool = True,
) -> Plot:
    """The measures of every layer in order of execution, with their intervals and chance levels.

    A panel per family, or for the one `transformation` or family named. `value` is "score", "explained" or "in_sample".
    An undefined score is a gap; no line joins feature maps and vectors.
    """
    selection = Selection(scope, transformation, measure, alignment, value)
    families = selection.families(scores)
    layers = in_order(scores.layers)
    names = list(layers["layer"])
    placing = Placing(runs=runs_of(list(layers["part"])), size=float(np.clip(150 / len(names), 1.5, 4.5)))
    columns = replace(selection.columns, ceiling_colour=GREY)  # no measure has one of its own
    with drawing():
        figure, lines, places = layer_panels(layers, [[shortened(family)] for family in families], 1.5)
        panels = [line[0] for line in lines]
        for axes, family in zip(panels, families, strict=True):
            for one in selection.measures(scores, [family]):
                rows = selection.rows(scores.scores, family, one).set_index("layer").reindex(names)
                draw_scores(axes, places, rows, MEASURE_LOOKS[one], columns, placing, label=one)
            axes.set_ylabel(selection.label)
        finish_measures(figure, panels, scores, selection, families, caption=caption)
    return figure
