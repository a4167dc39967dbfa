"""What is explained of each layer from the image on, and of the layer alone: which layer loses it."""

from dataclasses import replace

import numpy as np

from equiscope.figures.caption import finish, legend_of, small_print, title_of
from equiscope.figures.marks import Placing, Value, draw_scores
from equiscope.figures.panels import layer_panels, runs_of, shortened
from equiscope.figures.selection import Selection
from equiscope.figures.style import MEASURE_LOOKS, Plot, drawing
from equiscope.results.columns import LADDER
from equiscope.results.losses import explained_and_alone, rung_of
from equiscope.results.scores import Scores
from equiscope.system.errors import OptionError, known

LABELS = {False: "from the image", True: "layer alone"}


def plot_alone(
    scores: Scores,
    transformation: str | None = None,
    *,
    measure: str | None = None,
    alignment: str = "array",
    caption: bool = True,
) -> Plot:
    """The share of variance explained of each layer, from the image on and of the layer alone, in order of execution.

    A panel per family, or for the one `transformation` or family named. `measure` is "invariance", "equivariance" or
    "linear"; by default the last of these that was measured of layers alone. A layer whose line *alone* lies low loses
    what its input still has; a layer whose line lies high hands on what earlier layers left. A layer that cannot be
    measured alone is a gap. OptionError where no layer was.
    """
    if measure is not None:
        known("measure", measure, LADDER)
    selection = Selection("dataset", transformation, None, alignment, "explained")
    rungs = {family: rung for family in selection.families(scores) if (rung := rung_of(scores, family, measure))}
    if not rungs:
        raise OptionError(
            "The layers were not measured alone; measure with {measures}invariance, equivariance, linear and alone."
        )
    layers = scores.layers.sort_values("index", ignore_index=True)
    placing = Placing(runs=runs_of(list(layers["part"])), size=float(np.clip(150 / len(layers), 1.5, 4.5)))
    with drawing():
        titles = [[f"{shortened(family)}, {rung}"] for family, rung in rungs.items()]
        figure, lines, places = layer_panels(layers, titles, 1.5)
        panels = [line[0] for line in lines]
        looks = {}
        for axes, (family, rung) in zip(panels, rungs.items(), strict=True):
            rows = explained_and_alone(scores, family, rung, alignment)
            for alone, label in LABELS.items():
                column = "alone_explained" if alone else "explained"
                look = looks[label] = MEASURE_LOOKS[f"alone_{rung}" if alone else rung]
                value = Value(column, (f"{column}_low", f"{column}_high"), None, f"{column}_ceiling")
                aside = replace(placing, aside=1.0 if alone else -1.0)
                draw_scores(axes, places, rows, look, value, aside, label=label)
            axes.set_ylabel(selection.label)
        sentences = small_print(scores, selection, list(rungs), panels, chance=False)
        legend = legend_of(looks, ceiling=selection.has_ceiling(scores, list(rungs)))
        finish(figure, panels, title_of(scores), sentences, legend, caption=caption)
    return figure
