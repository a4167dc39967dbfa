"""How the scores of the channels of each layer are distributed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from equiscope.figures.caption import finish_measures
from equiscope.figures.marks import SCORES, draw_chance
from equiscope.figures.panels import layer_panels, runs_of, shortened
from equiscope.figures.selection import Selection, members
from equiscope.figures.style import MEASURE_COLOURS, MEASURE_LOOKS, TWO_COLUMNS, Plot, drawing
from equiscope.functional.statistics import Array
from equiscope.results.rows import in_order
from equiscope.results.scores import Scores
from equiscope.system.errors import known

ROOM_FOR_VIOLIN, ROOM_FOR_BARS = 0.13, 0.08  # inches that a layer needs along the axis for two measures
CHANNEL_VALUES = ("score", "explained")


def plot_channels(
    scores: Scores,
    scope: str = "dataset",
    transformation: str | None = None,
    *,
    measure: str | None = None,
    alignment: str = "array",
    value: str = "score",
    caption: bool = True,
) -> Plot:
    """How the scores of each layer's channels are distributed, with the layer's chance level.

    A mark at the median of the layer's channels, a thick bar from the lower to the upper quartile, a thin line from the
    5th to the 95th percentile; behind them, where layers have room, the distribution itself. Of very many layers: a
    line through the medians and a band between the quartiles. A family's distribution is that of its channels under
    each of its transformations. Channels that are undefined are left out. `value` is "score" or "explained".
    """
    selection = Selection(scope, transformation, measure, alignment, known("value", value, CHANNEL_VALUES))
    families = selection.families(scores)
    layers = in_order(scores.layers)
    runs = runs_of(list(layers["part"]))
    channels = scores.channels[(scores.channels["scope"] == scope) & (scores.channels["alignment"] == alignment)]
    with drawing():
        figure, lines, places = layer_panels(layers, [[shortened(family)] for family in families], 1.7)
        panels = [line[0] for line in lines]
        room = (TWO_COLUMNS - 1) / float(places[-1]) if len(places) > 1 else 1.0
        room *= 2 / max(2, len(selection.measures(scores, families)))
        for axes, family in zip(panels, families, strict=True):
            rows = channels[channels["transformation"].isin(members(scores, family))]
            measures = [one for one in selection.measures(scores, [family]) if _column(one, value) in rows]
            for one, lane in zip(measures, _lanes(len(measures)), strict=True):
                by_layer = _by_layer(rows, _column(one, value), list(layers["layer"]))
                _draw_channels(axes, places, by_layer, one, lane, room, runs)
                if selection.columns.chance is not None:
                    chance = selection.rows(scores.scores, family, one).set_index("layer")["chance"]
                    draw_chance(
                        axes, places + lane.centre, chance.reindex(layers["layer"]).to_numpy(dtype=float),
                        MEASURE_COLOURS[one], joined=room < ROOM_FOR_BARS, runs=runs, half=(lane.left, lane.right),
                        label=f"_chance level of {one}",
                    )  # fmt: skip
            axes.set_ylabel(f"{selection.label} of channels")
        shown = "medians and quartiles" if room < ROOM_FOR_BARS else "marks: medians, with quartiles and 5 to 95 %"
        finish_measures(figure, panels, scores, selection, families, shown, caption=caption, ceiling=False)
    return figure


@dataclass(frozen=True)
class _Lane:
    """Where a measure is drawn beside a layer's place, and how far it reaches to the left and to the right of there."""

    centre: float
    left: float
    right: float

    @property
    def side(self) -> Any:
        """Which half of a violin is drawn."""
        return "both" if self.left == self.right else ("low" if self.left else "high")


def _lanes(count: int) -> list[_Lane]:
    """A lane per measure: two back to back, more side by side."""
    if count == 2:
        return [_Lane(0.0, 0.42, 0.0), _Lane(0.0, 0.0, 0.42)]
    half = 0.42 / max(count, 1)
    return [_Lane(half * (2 * number - count + 1), half, half) for number in range(count)]


def _column(measure: str, value: str) -> str:
    return measure if value == "score" else f"explained_{measure}"


def _by_layer(rows: pd.DataFrame, column: str, names: Sequence[str]) -> list[Array]:
    """The defined scores of each layer's channels."""
    values = rows[column].to_numpy(dtype=float)
    found = {str(name): of_layer.to_numpy() for name, of_layer in pd.Series(values).groupby(rows["layer"].to_numpy())}
    return [found[name][~np.isnan(found[name])] if name in found else np.empty(0) for name in names]


def _draw_channels(
    axes: Axes, places: Array, by_layer: Sequence[Array], measure: str, lane: _Lane, room: float, runs: Sequence[slice]
) -> None:
    if room >= ROOM_FOR_VIOLIN:
        _draw_violins(axes, places + lane.centre, by_layer, MEASURE_COLOURS[measure], lane.side, lane)
    middle = 0.0 if room < ROOM_FOR_BARS else lane.centre + (lane.right - lane.left) / 4
    _draw_quantiles(axes, places + middle, by_layer, measure, room, runs)


def _draw_violins(axes: Axes, places: Array, by_layer: Sequence[Array], colour: str, side: Any, lane: _Lane) -> None:
    there = [number for number, values in enumerate(by_layer) if len(values)]
    if not there:
        return
    drawn = axes.violinplot(
        [np.round(by_layer[number], 6) for number in there],  # what differs by float noise alone is one value
        positions=places[there], widths=2 * max(lane.left, lane.right), showextrema=False, side=side,
    )  # fmt: skip
    bodies: Any = drawn["bodies"]
    for body in bodies:
        body.set(facecolor=colour, edgecolor="none", alpha=0.28, zorder=1.5)


def _draw_quantiles(
    axes: Axes, places: Array, by_layer: Sequence[Array], measure: str, room: float, runs: Sequence[slice]
) -> None:
    nothing = np.full(5, np.nan)
    found = [np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]) if len(values) else nothing for values in by_layer]
    least, lower, median, upper, most = np.array(found).T
    there = ~np.isnan(median)
    colour, look = MEASURE_COLOURS[measure], MEASURE_LOOKS[measure]
    if room < ROOM_FOR_BARS:
        for run in runs:
            axes.fill_between(
                places[run], lower[run], upper[run], facecolor=colour, edgecolor="none", alpha=0.28, zorder=1.5
            )
            axes.plot(
                places[run], median[run], linestyle=look.line, linewidth=1.2, label=measure, gid=SCORES,
                **look.marked(1.5),
            )  # fmt: skip
        return
    size = float(np.clip(12 * room, 2, 4))
    if there.any():
        for low, high, width in ((least, most, 0.2), (lower, upper, 0.55)):
            axes.vlines(places[there], low[there], high[there], color=colour, linewidth=width * size, zorder=2.5)
    marks = look.marked(size) | {"markersize": size, "markeredgewidth": 0.2 * size, "markerfacecolor": "white"}
    axes.plot(places, median, linestyle="none", label=measure, gid=SCORES, **marks | {"zorder": 4})
