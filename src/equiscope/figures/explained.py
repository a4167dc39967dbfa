"""What becomes of a layer's variance under a transformation: it stays, swaps, mixes, or is lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import NDArray

from equiscope.figures.caption import finish, legend_of, small_print, title_of
from equiscope.figures.marks import SCORES, asides, draw_ceiling, draw_intervals, moved
from equiscope.figures.panels import edges_of, layer_panels, runs_of, shortened
from equiscope.figures.selection import Selection
from equiscope.figures.style import BLACK, GREY, Plot, drawing
from equiscope.functional.statistics import Array
from equiscope.results.columns import LADDER
from equiscope.results.rows import in_order
from equiscope.results.scores import Scores
from equiscope.results.shares import COLOURS, MEANINGS, REST, SHARES, divided

UNTRAINED = "randomly initialised"


def plot_explained(
    scores: Scores,
    transformation: str | None = None,
    *,
    alignment: str = "array",
    baseline: Scores | None = None,
    caption: bool = True,
) -> Plot:
    """The share of the variance of each layer that stays, swaps, mixes and is lost, in order of execution.

    A panel per family, or for the one `transformation` or family named. What *stays* is explained by the same channel
    of the original image, transformed (invariance); what *swaps* by one other channel (equivariance less invariance);
    what *mixes* by a linear map of all channels (linear less equivariance). Where linear was not measured there are
    *stays*, *swaps* and *rest*. Lines are the 95 % confidence intervals of the borders. An undefined layer is a gap.
    A line of long dashes is the ceiling, where interpolation costs something.

    In a second column stands the `baseline`, the same network randomly initialised; by default the one that was
    measured with it (`measure(..., baseline=...)`), if any. ValueError where invariance and equivariance were not both
    measured, and where the baseline has other layers.
    """
    selection = Selection("dataset", transformation, None, alignment, "explained")
    families = selection.families(scores)
    layers = in_order(scores.layers)
    columns = _columns(scores, scores.baseline if baseline is None else baseline)
    titles = [[shortened(family) + more for more in columns] for family in families]
    with drawing():
        figure, lines, places = layer_panels(layers, titles, 1.6)
        edges = edges_of(list(layers["part"]), places)
        legend: dict[str, Patch] = {}
        for line, family in zip(lines, families, strict=True):
            for axes, of_column in zip(line, columns.values(), strict=True):
                legend |= _Stack.of(of_column, selection, family, layers).draw(axes, places, edges)
            line[0].set_ylabel("share of variance")
            for axes in line[1:]:
                axes.tick_params(labelleft=False)
        intervals = scores.manifest["options"]["intervals"]
        more = "bars: 95 % confidence intervals of the borders" if intervals else ""
        panels = [axes for line in lines for axes in line]
        sentences = small_print(scores, selection, families, panels, more, intervals=False, chance=False)
        entries: list[Any] = [legend[label] for label in MEANINGS.values() if label in legend]
        entries += legend_of({}, ceiling=selection.has_ceiling(scores, families))
        finish(figure, panels, title_of(scores), sentences, entries, caption=caption)
        for axes in panels:
            axes.set_ylim(0, 1)
    return figure


def _columns(scores: Scores, baseline: Scores | None) -> dict[str, Scores]:
    """The results that are drawn side by side, by what is added to a panel's title."""
    if baseline is None:
        return {"": scores}
    if set(baseline.layers["layer"]) != set(scores.layers["layer"]):
        raise ValueError(
            "The baseline has other layers than the network; measure the same network randomly initialised."
        )
    return {"": scores, f", {UNTRAINED}": baseline}


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
    def shares(self) -> dict[str, Array]:
        """Each share by its name, a value per layer; NaN in all where one is undefined."""
        values = divided(np.stack([rows["explained"].to_numpy(dtype=float) for rows in self.rows.values()]))
        top = SHARES[-1] if "linear" in self.rows else REST
        return dict(zip([*SHARES[: len(self.rows)], top], values, strict=True))

    def draw(self, axes: Axes, places: Array, edges: Array) -> dict[str, Patch]:
        """The areas, their borders' intervals, and a mark per layer and border; the legend's entries by label."""
        shares = self.shares
        looks = {name: _look(name) for name in shares}
        levels = np.cumsum([0 * shares["stays"], *shares.values()], axis=0)
        for run in self._runs(~np.isnan(levels[0])):
            at = np.concatenate([[edges[run.start]], places[run], [edges[run.stop]]])
            cut = [np.pad(level[run], 1, mode="edge") for level in levels]
            for lower, upper, look in zip(cut, cut[1:], looks.values(), strict=False):
                axes.fill_between(at, lower, upper, zorder=1.2, **look)
            for border in cut[1:-1]:
                axes.plot(at, border, color="white", linewidth=0.6, zorder=1.25)
        size = float(np.clip(100 / len(places), 1, 4))
        apart = asides(len(self.rows), 0.5 * size)  # so that intervals of borders that coincide stay visible
        for aside, (measure, rows), border in zip(apart, self.rows.items(), levels[1:], strict=False):
            ends = rows["explained_low"], rows["explained_high"]
            draw_intervals(axes, places, *ends, BLACK, size=size, aside=aside)
            axes.plot(
                places, border, linestyle="none", marker="o", markersize=0.4 * size, markeredgewidth=0, color=BLACK,
                transform=moved(axes, aside), label=f"_{measure}", gid=SCORES, zorder=5,
            )  # fmt: skip
        draw_ceiling(
            axes, places, self.rows["invariance"]["explained_ceiling"].to_numpy(dtype=float), BLACK, joined=True,
            runs=runs_of(self.parts), zorder=4,
        )  # fmt: skip
        for place, (one, other) in enumerate(zip(self.parts, self.parts[1:], strict=False)):
            if one != other:
                axes.axvline(edges[place + 1], color=GREY, linewidth=0.6, zorder=1.3)
        return {MEANINGS[name]: Patch(label=MEANINGS[name], **look) for name, look in looks.items()}

    def _runs(self, defined: NDArray[np.bool_]) -> Iterator[slice]:
        """The layers that are joined and defined, from gap to gap."""
        for run in runs_of(self.parts):
            steps = np.diff(np.pad(defined[run].astype(int), 1))
            starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
            yield from (slice(run.start + start, run.start + end) for start, end in zip(starts, ends, strict=True))


def _look(share: str) -> dict[str, Any]:
    """How the area of a share is filled."""
    hatched = {"hatch": "////", "edgecolor": COLOURS["lost"]} if share == REST else {"edgecolor": "none"}
    return {"facecolor": COLOURS[share], "linewidth": 0} | hatched
