"""What becomes of a layer's variance under a transformation: it stays, swaps, mixes, or is lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from equiscope.figures.caption import finish, small_print, title_of
from equiscope.figures.marks import asides, draw_intervals
from equiscope.figures.panels import edges_of, layer_panels, shortened, width_for
from equiscope.figures.selection import Selection
from equiscope.figures.style import (
    BLACK,
    GREY,
    LOST,
    LOST_COLOUR,
    MEASURE_COLOURS,
    REST,
    SHARES_IN_FULL,
    Plot,
    drawing,
)
from equiscope.functional.statistics import Array
from equiscope.results.columns import LADDER
from equiscope.results.rows import in_order
from equiscope.results.scores import Scores

VECTORS = ("pool", "final")  # no area leads from one to the other, nor from a feature map to them


def plot_explained(
    scores: Scores, transformation: str | None = None, *, alignment: str = "array", caption: bool = True
) -> Plot:
    """The share of the variance of each layer that stays, swaps, mixes and is lost, in order of execution.

    A panel per family, or for the one `transformation` or family named. What *stays* is explained by the same channel
    of the original image, transformed (invariance); what *swaps* by one other channel (equivariance less invariance);
    what *mixes* by a linear map of all channels (linear less equivariance). Where linear was not measured there are
    *stays*, *swaps* and *rest*. Thin lines are the 95 % confidence intervals of the borders. An undefined layer is a
    gap. ValueError where invariance and equivariance were not both measured.
    """
    selection = Selection("dataset", transformation, None, alignment, "explained")
    families = selection.families(scores)
    layers = in_order(scores.layers)
    edges = edges_of(list(layers["part"]), width_for(len(layers)))
    with drawing():
        figure, panels, places = layer_panels(layers, len(families), 1.7)
        legend: dict[str, Patch] = {}
        for axes, family in zip(panels, families, strict=True):
            stack = _Stack.of(scores, selection, family, layers)
            legend |= stack.draw(axes, places, edges)
            axes.set_ylabel(f"{shortened(family)}\nshare of variance")
        intervals = scores.manifest["options"]["intervals"]
        more = "lines: 95 % confidence intervals of the borders" if intervals else ""
        sentences = small_print(scores, selection, families, panels, more, intervals=False, chance=False)
        order = [label for label in (*SHARES_IN_FULL.values(), LOST, REST) if label in legend]
        finish(figure, panels, title_of(scores), sentences, [legend[label] for label in order], caption=caption)
        for axes in panels:
            axes.set_ylim(0, 1)
    return figure


@dataclass(frozen=True)
class _Stack:
    """The rows of each measure of a family, a row per layer, whose explained shares are drawn on top of one another."""

    parts: Sequence[str]
    rows: dict[str, pd.DataFrame] = field(repr=False)  # by measure

    @classmethod
    def of(cls, scores: Scores, selection: Selection, family: str, layers: pd.DataFrame) -> "_Stack":
        measured = selection.measures(scores, [family])
        if not {"invariance", "equivariance"} <= set(measured):
            raise ValueError(
                "The shares of a layer's variance need the measures invariance and equivariance, and of "
                f"{family} there is only {', '.join(measured)}."
            )
        rows = {
            measure: selection.rows(scores.scores, family, measure).set_index("layer").reindex(layers["layer"])
            for measure in LADDER
            if measure in measured
        }
        return cls(list(layers["part"]), rows)

    @property
    def borders(self) -> dict[str, Array]:
        """The upper border of each share, a value per layer; NaN in all where one is undefined."""
        values = np.stack([rows["explained"].to_numpy(dtype=float) for rows in self.rows.values()])
        values[:, np.isnan(values).any(axis=0)] = np.nan
        return dict(zip(self.rows, np.maximum.accumulate(values), strict=True))

    def draw(self, axes: Axes, places: Array, edges: Array) -> dict[str, Patch]:
        """The areas, their borders' intervals, and a mark per layer and border; the legend's entries by label."""
        borders = self.borders
        top = LOST if "linear" in borders else REST
        looks: dict[str, dict[str, Any]] = {
            SHARES_IN_FULL[measure]: {"facecolor": MEASURE_COLOURS[measure], "alpha": 0.8} for measure in borders
        }
        looks[top] = {"facecolor": LOST_COLOUR} if top == LOST else {"facecolor": "white", "hatch": "////"}
        looks = {label: {"edgecolor": LOST_COLOUR, "linewidth": 0} | look for label, look in looks.items()}
        nothing = np.where(np.isnan(borders["invariance"]), np.nan, 0.0)
        levels = [nothing, *borders.values(), nothing + 1]
        for first, last in self._runs((~np.isnan(nothing)).tolist()):
            at = np.concatenate([[edges[first]], places[first : last + 1], [edges[last + 1]]])
            cut = [np.pad(level[first : last + 1], 1, mode="edge") for level in levels]
            for lower, upper, look in zip(cut, cut[1:], looks.values(), strict=False):
                axes.fill_between(at, lower, upper, zorder=1.2, **look)
        size = float(np.clip(100 / len(places), 0.5, 2))
        for aside, (measure, border) in zip(asides(len(borders), 1.6), borders.items(), strict=True):
            rows = self.rows[measure]
            ends = rows["explained_low"], rows["explained_high"]
            draw_intervals(axes, places, *ends, BLACK, width=0.35 * size, aside=aside)
            axes.plot(
                places, border, linestyle="none", marker="o", markersize=size, markeredgewidth=0, color="white",
                label=f"_{measure}",
            )  # fmt: skip
        for place, (one, other) in enumerate(zip(self.parts, self.parts[1:], strict=False)):
            if one != other:
                axes.axvline(edges[place + 1], color=GREY, linewidth=0.4, zorder=1.3)
        return {label: Patch(label=label, **look) for label, look in looks.items()}

    def _runs(self, defined: Sequence[bool]) -> Iterator[tuple[int, int]]:
        """The first and last place of each run of defined layers; a vector is a run of its own."""
        start: int | None = None
        for place, (part, there) in enumerate(zip(self.parts, defined, strict=True)):
            start = place if there and start is None else start
            following = self.parts[place + 1] if place + 1 < len(self.parts) else None
            ends = following is None or not defined[place + 1] or part in VECTORS or following in VECTORS
            if there and start is not None and ends:
                yield start, place
                start = None
