"""Scores by transformation: over the pixels of a shift, over the angle of a rotation, else by name."""

import re
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from equiscope.figures.caption import finish, legend_of, name_scores, small_print, title_of
from equiscope.figures.heatmap import heatmap_of
from equiscope.figures.marks import Placing, asides, draw_scores
from equiscope.figures.panels import arranged, grid_of_panels, room_of, shortened
from equiscope.figures.selection import Selection, members
from equiscope.figures.style import PART_LOOKS, Plot, drawing, series_look
from equiscope.functional.statistics import Array
from equiscope.results.rows import in_order
from equiscope.results.scores import Scores
from equiscope.system.errors import OptionError

MOST_LINES = 10  # layers, each a line; no eye can follow more


def plot_transformations(
    scores: Scores,
    scope: str = "dataset",
    transformation: str | None = None,
    *,
    measure: str | None = None,
    alignment: str = "array",
    value: str = "score",
    layers: str | Sequence[str] | None = None,
    heatmap: bool = False,
    caption: bool = True,
) -> Plot:
    """Scores by transformation: over the pixels of a shift, over the angle of a rotation, else by name.

    A panel per family and measure; a line per part of the network or, where `layers` names some, per layer named; with
    intervals and chance levels. `heatmap` draws all layers, or those named, against all transformations instead, in
    colour and without intervals. `value` as in `plot_layers`.
    """
    selection = Selection(scope, transformation, measure, alignment, value)
    families = selection.families(scores)
    chosen = _layers(scores, layers)
    if heatmap:
        return heatmap_of(scores, selection, families, chosen, caption=caption)
    if layers is not None and len(chosen) > MOST_LINES:
        raise ValueError(
            f"{len(chosen)} layers are too many to draw; name {MOST_LINES} at most, or draw a heat map (heatmap)."
        )
    by, table = ("part", scores.parts) if layers is None else ("layer", scores.scores)
    there = set(scores.layers["part"])
    looks = (
        {part: look for part, look in PART_LOOKS.items() if part in there}
        if layers is None
        else {name: series_look(place) for place, name in enumerate(chosen)}
    )
    kinds, columns = arranged([[(family, one) for one in selection.measures(scores, [family])] for family in families])
    room = room_of(columns)
    shown = {family: members(scores, family) for family in families}
    with drawing():
        figure, panels = grid_of_panels(kinds, 1.8 + max(_height(names, room) for names in shown.values()), columns)
        for axes, (family, one) in zip(panels, filter(None, kinds), strict=True):
            steps, ordered = _set_steps(axes, shown[family], room)
            rows = selection.rows(table, shown[family], one)
            for aside, (name, look) in zip(asides(len(looks), 2.0), looks.items(), strict=True):
                of_name = rows[rows[by] == name].set_index("transformation").reindex(shown[family])
                placing = Placing(joined=ordered, aside=aside)
                draw_scores(axes, steps, of_name, look, selection.columns, placing, label=shortened(name))
            axes.set_title(f"{shortened(family, int(14 * room - 5))}: {one}", fontweight="bold")
        name_scores(panels, selection.label)
        of_panels = [family for family, _ in filter(None, kinds)]
        legend = legend_of(looks, chance=selection.has_chance(scores, families))
        sentences = small_print(scores, selection, families, panels)
        finish(figure, panels, title_of(scores), sentences, legend, caption=caption, families=of_panels)
    return figure


def _layers(scores: Scores, wanted: str | Sequence[str] | None) -> list[str]:
    """The layers wanted, in order of execution; all of them where none is named."""
    names = list(in_order(scores.layers)["layer"])
    if wanted is None:
        return names
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in wanted:
        if name not in names:
            more = f" and {len(names) - MOST_LINES} more" if len(names) > MOST_LINES else ""
            raise OptionError(
                "{layers}{given!r} was not measured; there is {names}{more}.", given=name,
                names=", ".join(names[:MOST_LINES]), more=more,
            )  # fmt: skip
    if not wanted:
        raise ValueError("layers names no layer; give names of layers, or None for the parts of the network.")
    return [name for name in names if name in wanted]


def _set_steps(axes: Axes, names: Sequence[str], room: float) -> tuple[Array, bool]:
    """The place of each transformation along the axis, which is labelled; and whether their order has a meaning."""
    angles = [re.fullmatch(r"rot(\d+)", name) for name in names]
    shifts = [re.fullmatch(r"shift\((-?\d+),(-?\d+)\)", name) for name in names]
    if all(angles):
        return _set_angles(axes, [int(one[1]) for one in angles if one])
    if all(shifts):
        moves = [(int(one[1]), int(one[2])) for one in shifts if one]
        for direction, step in (
            ("down and right", [down for down, right in moves if down == right]),
            ("down", [down for down, right in moves if right == 0]),
            ("right", [right for down, right in moves if down == 0]),
        ):
            if len(step) == len(moves):
                return _set_numbers(axes, step, f"shift {direction} (pixels)", room)
    short = [shortened(name, 16) for name in names]
    axes.set_xticks(range(len(short)), short, rotation=90 if _height(names, room) else 0)
    axes.set_xlim(-0.5, len(short) - 0.5)
    axes.set_xlabel("transformation")
    return np.arange(len(short), dtype=np.float64), False


def _set_angles(axes: Axes, angles: Sequence[int]) -> tuple[Array, bool]:
    """Degrees along the axis, with a tick at every right angle."""
    axes.set_xlim(min(angles) - 35, max(angles) + 35)
    shown = list(range(min(angles) // 90 * 90, max(angles) + 1, 90))
    axes.set_xticks(shown, [f"{angle}°" for angle in shown])
    axes.set_xlabel("angle of the rotation")
    return np.array(angles, dtype=np.float64), True


def _height(names: Sequence[str], room: float) -> float:
    """The inches that the names of transformations take below a panel where they do not fit side by side."""
    longest = min(16, max(map(len, names)))
    if 0.07 * longest * len(names) < room or all(name.startswith("shift(") for name in names):
        return 0.0
    return 0.06 * longest


def _set_numbers(axes: Axes, numbers: Sequence[int], label: str, room: float) -> tuple[Array, bool]:
    """Numbers along the axis, on a logarithmic scale where they are positive and ever further apart."""
    low, high = min(numbers), max(numbers)
    shown = sorted(set(numbers))
    most = int(5 * room)
    if low > 0 and high >= 8 * low and len(shown) <= 2 * np.log2(high / low) + 1:
        axes.set_xscale("log", base=2)
        margin = (high / low) ** 0.06
        axes.set_xlim(low / margin, high * margin)
        if len(shown) > most - 2:
            shown = [number for number in shown if number & (number - 1) == 0]
    else:
        margin = 0.08 * (high - low) or 1.0
        axes.set_xlim(low - margin, high + margin)
        shown = shown[:: -(-len(shown) // most)]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_ticks(shown, [str(number).replace("-", "−") for number in shown])
    axes.set_xlabel(label)
    return np.array(numbers, dtype=np.float64), True
