"""Scores by layer, in order of execution."""

import numpy as np

from equiscope.figures.caption import finish, small_print, title_of
from equiscope.figures.marks import Placing, draw_scores
from equiscope.figures.panels import layer_panels, shortened
from equiscope.figures.selection import Selection
from equiscope.figures.style import MEASURE_LOOKS, Plot, drawing
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
    An undefined score is a gap.
    """
    selection = Selection(scope, transformation, measure, alignment, value)
    families = selection.families(scores)
    layers = in_order(scores.layers)
    names = list(layers["layer"])
    placing = Placing(size=float(np.clip(190 / len(names), 1.5, 5)))
    with drawing():
        figure, panels, places = layer_panels(layers, len(families), 1.7)
        for axes, family in zip(panels, families, strict=True):
            for one in selection.measures(scores, [family]):
                rows = selection.rows(scores.scores, family, one).set_index("layer").reindex(names)
                draw_scores(
                    axes, places, rows, MEASURE_LOOKS[one], selection.columns, placing, label=one,
                    chance_label=f"chance level of {one}",
                )  # fmt: skip
            axes.set_ylabel(f"{shortened(family)}\n{selection.label}")
        finish(figure, panels, title_of(scores), small_print(scores, selection, families, panels), caption=caption)
    return figure
