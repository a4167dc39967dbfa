"""Empty figures of panels: side by side, or below one another along the layers of a network."""

from collections.abc import Sequence
from itertools import groupby
from typing import TypeVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from equiscope.figures.style import GREY, ONE_COLUMN, PALE, TWO_COLUMNS, Plot
from equiscope.functional.statistics import Array
from equiscope.results.columns import VECTORS

LONGEST_NAME = 32  # characters

Kind = TypeVar("Kind")


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """The end of a name that is too long, which is what distinguishes layers.

    >>> shortened("encoder.stages.3.mlp", longest=12)
    '…tages.3.mlp'
    """
    return name if len(name) <= longest else f"…{name[1 - longest :]}"


def arranged(lines: Sequence[Sequence[Kind]]) -> tuple[list[Kind | None], int]:
    """What is shown in each panel, `None` where it stays empty, and the number of columns; a family a line.

    >>> arranged([["a", "b", "c"], ["d", "e"]])
    (['a', 'b', 'c', 'd', 'e', None], 3)
    >>> arranged([["a"], ["b"], ["c"]])
    (['a', 'b', 'c'], 2)
    """
    longest = max(map(len, lines))
    if longest == 1:
        return [kind for line in lines for kind in line], min(len(lines), 2)
    columns = longest if longest <= 3 else 2
    return [kind for line in lines for kind in [*line, *[None] * (-len(line) % columns)]], columns


def grid_of_panels(kinds: Sequence[object], height: float, columns: int) -> tuple[Plot, list[Axes]]:
    """A figure of a panel per kind that is not `None`, each so high in inches; the panels."""
    figure, panels = panel_figure(len(kinds), height, columns=columns)
    for axes, kind in zip(panels, kinds, strict=True):
        if kind is None:
            axes.remove()
    return figure, [axes for axes, kind in zip(panels, kinds, strict=True) if kind is not None]


def room_of(columns: int) -> float:
    """The inches that a panel has along its axis."""
    return (ONE_COLUMN if columns == 1 else TWO_COLUMNS / columns) - 0.8


def panel_figure(
    count: int, height: float, *, columns: int | None = None, width: float | None = None, below: float = 0.0
) -> tuple[Plot, list[Axes]]:
    """An empty figure of so many panels, each so high in inches, with room for what is below them."""
    columns = columns or min(count, 2)
    lines = -(-count // columns)
    width = width or (ONE_COLUMN if columns == 1 else TWO_COLUMNS)
    figure = Plot(figsize=(width, lines * (height + 0.25) + below))
    panels = figure.subplots(lines, columns, squeeze=False).flatten().tolist()
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count]


def width_for(layers: int) -> float:
    """The width in inches of a figure along so many layers."""
    return ONE_COLUMN if layers <= 3 else TWO_COLUMNS


def layer_panels(
    layers: pd.DataFrame, titles: Sequence[Sequence[str]], height: float
) -> tuple[Plot, list[list[Axes]], Array]:
    """A figure of panels along the layers, with bands for the parts; the panels by line; and the place of each layer.

    `titles` are those of the panels, line by line; each is so many inches high.
    """
    names, columns = list(layers["layer"]), len(titles[0])
    width = width_for(len(names)) if columns == 1 else TWO_COLUMNS
    room = width / columns - 0.7
    places, bands = _places(list(layers["part"]), room)
    horizontal = _fit(names, room)
    below = 0.35 if horizontal else 0.2 + 0.066 * max(len(shortened(name)) for name in names)
    figure, panels = panel_figure(len(titles) * columns, height, columns=columns, width=width, below=below + 0.2)
    lines = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    for number, (line, of_line) in enumerate(zip(lines, titles, strict=True)):
        for axes, title in zip(line, of_line, strict=True):
            for place, (_, left, right) in enumerate(bands):
                axes.axvspan(left, right, color=PALE if place % 2 == 0 else "white", linewidth=0, zorder=0)
            axes.set_xlim(bands[0][1], bands[-1][2])
            axes.tick_params(bottom=False, labelbottom=False)
            axes.set_title(title, fontweight="bold", pad=15 if number == 0 else None)
    for axes in lines[0]:
        for part, left, right in bands:
            _above(axes, part, (left + right) / 2)
    for axes in lines[-1]:
        _name_layers(axes, places, names, room, horizontal=horizontal)
    return figure, lines, places


def _places(parts: Sequence[str], room: float) -> tuple[Array, list[tuple[str, float, float]]]:
    """The place of each layer along an axis of so many inches; and each part's name, left and right.

    A part has room for its name, however few its layers.
    """
    runs = [(part, len(list(run))) for part, run in groupby(parts)]
    least = [0.1 + 0.066 * len(part) for part, _ in runs]  # inches
    layer = room / len(parts)  # inches of one, less than that where names need more
    for _ in runs:
        narrow = [count * layer < name for (_, count), name in zip(runs, least, strict=True)]
        free = sum(count for (_, count), one in zip(runs, narrow, strict=True) if not one)
        taken = sum(name for name, one in zip(least, narrow, strict=True) if one)
        layer = max(room - taken, 0.1 * room) / free if free else layer
    places: list[float] = []
    bands = []
    left = 0.0
    for (part, count), name in zip(runs, least, strict=True):
        right = left + max(count, name / layer)
        places.extend(left + (right - left) * (place + 0.5) / count for place in range(count))
        bands.append((part, left, right))
        left = right
    return np.array(places), bands


def _above(axes: Axes, text: str, place: float) -> None:
    aside = ScaledTranslation(0, 3 / 72, axes.figure.dpi_scale_trans)
    axes.text(place, 1, text, transform=axes.get_xaxis_transform() + aside, ha="center", va="bottom", color=GREY)


def _fit(names: Sequence[str], room: float) -> bool:
    """Whether the layers' names fit side by side."""
    return 0.09 * max(len(shortened(name)) for name in names) * len(names) < room - 0.5


def _name_layers(axes: Axes, places: Array, names: Sequence[str], room: float, *, horizontal: bool) -> None:
    """The layers' names along the axis: horizontal where they fit, else vertical; of very many layers, only some."""
    most = int(room / 0.155)
    apart = places[-1] / most if len(names) > most else 0.0
    named = [0]
    for number, place in enumerate(places):
        if number and place - places[named[-1]] >= apart:
            named.append(number)
    axes.set_xticks(places[named], [shortened(names[number]) for number in named], rotation=0 if horizontal else 90)
    axes.tick_params(bottom=True, labelbottom=True)
    some = "" if len(named) == len(names) else f" ({len(named)} of {len(names)} named)"
    axes.set_xlabel(f"layer, in order of execution{some}")


def runs_of(parts: Sequence[str]) -> list[slice]:
    """The layers that lines and areas may join, of the layers' parts: feature maps, and each vector by itself.

    >>> runs_of(["early", "middle", "pool", "final"])
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    starts = [place for place, part in enumerate(parts) if not place or part in VECTORS or parts[place - 1] in VECTORS]
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(parts)], strict=True)]


def edges_of(parts: Sequence[str], places: Array) -> Array:
    """Where along the axis the room of each layer begins, and where that of the last ends, of the layers' places."""
    edges, start = np.zeros(1), 0
    for _, run in groupby(parts):
        count = len(list(run))
        left, middle = edges[-1], places[start : start + count].mean()
        edges = np.append(edges, np.linspace(left, 2 * middle - left, count + 1)[1:])
        start += count
    return edges
