"""What is drawn in a panel: scores, their intervals and their chance levels, always in the same way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from equiscope.figures.style import DASHED, GREY, LONG_DASHED, Line, Look
from equiscope.functional.statistics import Array

PATTERNS: dict[str, Line] = {"chance": DASHED, "ceiling": LONG_DASHED}
LEAST_COST = 1e-6  # of interpolation, that is drawn
WHOLE = (slice(None),)  # one run, from the first to the last
SCORES, CHANCE, CEILING = "scores", "chance", "ceiling"  # what a line or collection is of, as its gid


@dataclass(frozen=True)
class Value:
    """The columns of a table that are drawn: a value, the ends of its interval, its chance level and its ceiling."""

    column: str = "score"
    ends: tuple[str, str] | None = ("low", "high")
    chance: str | None = "chance"
    ceiling: str = "ceiling"
    ceiling_colour: str | None = None  # by default that of the series


@dataclass(frozen=True)
class Placing:
    """How a series is laid out.

    `joined` draws a line through each of its `runs`; `size` is that of its markers; `aside` moves all of it by so many
    points, so that several series keep their true places; `half` is how far a dash of chance reaches to either side.
    """

    joined: bool = True
    runs: Sequence[slice] = WHOLE
    size: float = 5.0
    aside: float = 0.0
    half: float = 0.14


def draw_scores(
    axes: Axes,
    places: NDArray[Any],
    rows: pd.DataFrame,
    look: Look,
    value: Value,
    placing: Placing,
    *,
    label: str = "",
) -> None:
    """One series: its scores, their intervals, chance levels and ceilings, from rows of a table; undefined is a gap."""
    for run in placing.runs:
        axes.plot(
            places[run], rows[value.column].iloc[run], transform=moved(axes, placing.aside), label=label or "_score",
            gid=SCORES, linestyle=look.line if placing.joined else "none", linewidth=1.2, **look.marked(placing.size),
        )  # fmt: skip
    if value.ends is not None:
        low, high = value.ends
        draw_intervals(axes, places, rows[low], rows[high], look.colour, size=placing.size, aside=placing.aside)
    if value.chance is not None:
        draw_chance(
            axes, places, rows[value.chance].to_numpy(dtype=float), look.colour, joined=placing.joined,
            runs=placing.runs, half=placing.half, aside=placing.aside, label=f"_chance level of {label}",
        )  # fmt: skip
    if value.ceiling in rows:
        draw_ceiling(
            axes, places, rows[value.ceiling].to_numpy(dtype=float), value.ceiling_colour or look.colour,
            joined=placing.joined, runs=placing.runs, half=placing.half, aside=placing.aside,
            label=f"_ceiling of {label}",
        )  # fmt: skip


def draw_intervals(
    axes: Axes, places: Any, low: Any, high: Any, colour: str, *, size: float = 5.0, aside: float = 0.0
) -> None:
    """A line with a bar at either end for each interval that is defined, as wide as fits marks of a size in points."""
    at, low, high = (np.asarray(values, dtype=float) for values in (places, low, high))
    known = ~np.isnan(low) & ~np.isnan(high)
    if not known.any():  # a collection of no lines has no place, and layouts fail on it
        return
    look: dict[str, Any] = {"color": colour, "transform": moved(axes, aside), "zorder": 5}
    axes.vlines(at[known], low[known], high[known], linewidth=0.16 * size + 0.1, **look)
    for ends in (low, high):
        axes.plot(
            at[known], ends[known], linestyle="none", marker="_", markersize=0.7 * size, label="_interval",
            markeredgewidth=0.1 * size + 0.15, **look,
        )  # fmt: skip


def draw_chance(
    axes: Axes,
    places: NDArray[Any],
    chance: Array,
    colour: str,
    *,
    joined: bool,
    runs: Sequence[slice] = WHOLE,
    half: float | tuple[float, float] = 0.14,
    aside: float = 0.0,
    label: str = "",
) -> None:
    """Chance levels: a thin dashed line through each of their runs; a dash for each where they are not joined.

    So has one that is isolated. `half` is how far a dash reaches to either side, or to the left and to the right.
    """
    _draw_level(
        axes, places, chance, colour, CHANCE, joined=joined, runs=runs, half=half, aside=aside,
        label=label or "_chance",
    )  # fmt: skip


def draw_ceiling(
    axes: Axes, places: NDArray[Any], ceiling: Array, colour: str, *, joined: bool, runs: Sequence[slice] = WHOLE,
    half: float = 0.14, aside: float = 0.0, label: str = "", zorder: float | int = 1.0,
) -> None:  # fmt: skip
    """What interpolation leaves of a score, as a line of long dashes; nothing where it costs nothing."""
    if np.isnan(ceiling).all() or np.nanmin(ceiling) > 1 - LEAST_COST:
        return
    _draw_level(
        axes, places, ceiling, colour, CEILING, joined=joined, runs=runs, half=half, aside=aside,
        label=label or "_ceiling", zorder=zorder,
    )  # fmt: skip


def _draw_level(
    axes: Axes, places: NDArray[Any], level: Array, colour: str, kind: str, *, joined: bool, runs: Sequence[slice],
    half: float | tuple[float, float], aside: float, label: str, zorder: float | int = 1.0,
) -> None:  # fmt: skip
    if np.isnan(level).all():
        return
    transform = moved(axes, aside)
    line: dict[str, Any] = {"color": colour, "linewidth": 0.8, "zorder": zorder, "transform": transform, "gid": kind}
    if joined:
        for run in runs:
            axes.plot(places[run], level[run], linestyle=PATTERNS[kind], label=label, **line)
        isolated = np.concatenate([_isolated(level[run]) for run in runs])
        half, label = (0.4, 0.4), ""
    else:
        isolated = ~np.isnan(level)
    left, right = (half, half) if isinstance(half, float) else half
    if isolated.any():
        at = places[isolated]
        dashes: Line = (0.0, (3.0, 1.5)) if kind == CHANCE else PATTERNS[kind]
        axes.hlines(level[isolated], at - left, at + right, linestyle=dashes, label=label, **line)


def draw_nothing(axes: Axes) -> None:
    """The sentence of a panel in which nothing is defined."""
    axes.text(0.5, 0.5, "undefined everywhere", transform=axes.transAxes, ha="center", va="center", color=GREY)


def _isolated(values: Array) -> NDArray[np.bool_]:
    """Which values no line reaches, as both their neighbours are undefined."""
    defined = np.pad(~np.isnan(values), 1)
    isolated: NDArray[np.bool_] = defined[1:-1] & ~defined[:-2] & ~defined[2:]
    return isolated


def moved(axes: Axes, aside: float) -> Any:
    """The data's transform, moved to the right by so many points."""
    if not aside:
        return axes.transData
    return axes.transData + ScaledTranslation(aside / 72, 0, axes.figure.dpi_scale_trans)


def asides(count: int, apart: float) -> Sequence[float]:
    """How many points each of so many series is moved aside, the middle one not at all.

    >>> asides(3, 2.0)
    [-2.0, 0.0, 2.0]
    """
    return [apart * (number - (count - 1) / 2) for number in range(count)]
