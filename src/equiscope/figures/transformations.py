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

ROTATION, SCALING, SHIFT = r"rot{}", r"scaling\({}\)", r"shift\({},{}\)"  # names with numbers to draw over
MOST_ANGLES = 7  # that are written along an axis
SPREAD = 0.25  # of the way from one transformation to the next, that series side by side take up at most
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

    Scalings are drawn over their factor. A panel per family and measure; a line per part of the network or, where
    `layers` names some, per layer named; with intervals, chance levels and ceilings. `heatmap` draws all layers, or
    those named, against all transformations instead, in colour and without intervals. `value` as in `plot_layers`.
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
            apart = min(2.0, SPREAD * 72 * room / len(steps) / len(looks))
            for aside, (name, look) in zip(asides(len(looks), apart), looks.items(), strict=True):
                of_name = rows[rows[by] == name].set_index("transformation").reindex(shown[family])
                placing = Placing(joined=ordered, aside=aside)
                draw_scores(axes, steps, of_name, look, selection.columns, placing, label=shortened(name))
            axes.set_title(f"{shortened(family, int(14 * room - 5))}: {one}", fontweight="bold")
        name_scores(panels, selection.label)
        of_panels = [family for family, _ in filter(None, kinds)]
        drawn = selection.has_chance(scores, families), selection.has_ceiling(scores, families)
        legend = legend_of(looks, chance=drawn[0], ceiling=drawn[1])
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
    if angles := _numbers_in(ROTATION, names):
        return _set_angles(axes, [angle for (angle,) in angles])
    if factors := _numbers_in(SCALING, names):
        return _set_numbers(axes, [factor for (factor,) in factors], "factor of the scaling", room, logarithmic=True)
    if moves := _numbers_in(SHIFT, names):
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


def _numbers_in(pattern: str, names: Sequence[str]) -> list[tuple[float, ...]]:
    """The numbers that stand for `{}` in a pattern which all of the names have; none where one has not.

    >>> _numbers_in(r"rot{}", ["rot90", "rot22.5"]), _numbers_in(r"rot{}", ["rot90", "hflip"])
    ([(90.0,), (22.5,)], [])
    """
    found = [re.fullmatch(pattern.replace("{}", r"(-?\d+(?:\.\d*)?)"), name) for name in names]
    return [tuple(map(float, one.groups())) for one in found if one] if all(found) else []


def _set_angles(axes: Axes, angles: Sequence[float]) -> tuple[Array, bool]:
    """Degrees along the axis, named at every right angle; of angles that span less, at each of a few."""
    low, high = min(angles), max(angles)
    margin = max(0.1 * (high - low), 5)
    axes.set_xlim(low - margin, high + margin)
    shown: list[float] = [90.0 * turn for turn in range(int(np.ceil(low / 90)), int(high // 90) + 1)]
    if len(shown) < 2:
        shown = sorted(set(angles))[:: -(-len(set(angles)) // MOST_ANGLES)]
    axes.set_xticks(shown, [f"{_written(angle)}°" for angle in shown])
    axes.set_xticks([angle for angle in angles if angle not in shown], minor=True)
    axes.set_xlabel("angle of the rotation")
    return np.array(angles, dtype=np.float64), True


def _written(number: float) -> str:
    """A number with as few digits as it needs.

    >>> _written(-2.0), _written(0.75)
    ('−2', '0.75')
    """
    return f"{number:.4g}".replace("-", "−")


def _height(names: Sequence[str], room: float) -> float:
    """The inches that the names of transformations take below a panel where they do not fit side by side."""
    longest = min(16, max(map(len, names)))
    if 0.07 * longest * len(names) < room or any(_numbers_in(one, names) for one in (ROTATION, SCALING, SHIFT)):
        return 0.0
    return 0.06 * longest


def _set_numbers(
    axes: Axes, numbers: Sequence[float], label: str, room: float, *, logarithmic: bool = False
) -> tuple[Array, bool]:
    """Numbers along the axis, on a logarithmic scale where they are positive and ever further apart, or asked to."""
    low, high = min(numbers), max(numbers)
    shown = sorted(set(numbers))
    most = int(5 * room)
    wide = low > 0 and high >= 8 * low and len(shown) <= 2 * np.log2(high / low) + 1
    if high > low and (wide or logarithmic):
        axes.set_xscale("log", base=2)
        margin = (high / low) ** 0.06
        axes.set_xlim(low / margin, high * margin)
        if len(shown) > most - 2:
            shown = [number for number in shown if np.log2(number).is_integer()]
    else:
        margin = 0.08 * (high - low) or 1.0
        axes.set_xlim(low - margin, high + margin)
        shown = shown[:: -(-len(shown) // most)]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_ticks(shown, [_written(number) for number in shown])
    axes.set_xlabel(label)
    return np.array(numbers, dtype=np.float64), True
