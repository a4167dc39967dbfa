"""What surrounds the panels of a figure: one scale, a title, a legend, and in small print what is shown."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from equiscope.figures.marks import draw_nothing
from equiscope.figures.panels import shortened
from equiscope.figures.selection import Selection, members
from equiscope.figures.style import DASHED, GREY, LEGEND, Look, Plot, legend_columns
from equiscope.results.scores import Scores

TITLE, LEGEND_LINE, MARGIN = 0.24, 0.16, 0.08  # inches: of the head, and what is left free
CHANCE = "chance level"


def legend_of(looks: Mapping[str, Look], *, chance: bool = False) -> list[Line2D]:
    """An entry per series, and one for the chance level."""
    handles = [
        Line2D([], [], linestyle=look.line, linewidth=1.2, label=shortened(name), **look.marked(4.5))
        for name, look in looks.items()
    ]
    return [*handles, Line2D([], [], color=GREY, linestyle=DASHED, linewidth=0.8, label=CHANCE)] if chance else handles


def finish(
    figure: Plot,
    panels: Sequence[Axes],
    title: str,
    small_print: Sequence[str],
    legend: Sequence[Any] | None = None,
    *,
    caption: bool,
) -> None:
    """Give the panels one scale, and the figure a title, a legend (by default of what is labelled) and small print."""
    set_scale(panels)
    if legend is None:
        legend = _labelled(panels)
    width, height = figure.get_size_inches()
    columns = legend_columns([str(handle.get_label()) for handle in legend], width - 2 * MARGIN)
    lines = textwrap.wrap("; ".join(small_print), int(20 * width)) if caption else []
    title_height = TITLE if caption and title else 0.0
    head = MARGIN + title_height + LEGEND_LINE * -(-len(legend) // columns) + (0.05 if legend else 0.0)
    foot = 0.06 + 0.11 * len(lines)
    height += head + foot
    figure.set_size_inches(width, height)
    left, top = MARGIN / width, 1 - MARGIN / height
    if title_height:
        figure.text(left, top, _shorter(title, int(10 * width)), ha="left", va="top", fontsize=10, fontweight="bold")
    if lines:
        figure.text(left, 0.06 / height, "\n".join(lines), ha="left", va="bottom", fontsize=6.5, color=GREY)
    if legend:
        figure.legend(
            handles=list(legend), loc="upper left", bbox_to_anchor=(left, top - title_height / height), ncols=columns,
            borderaxespad=0, **LEGEND,
        )  # fmt: skip
    layout = ConstrainedLayoutEngine(rect=(0, foot / height, 1, 1 - (head + foot) / height))
    layout.execute(figure)
    figure.set_layout_engine("none")  # each drawing would lay it out anew, a hair's breadth elsewhere


def _labelled(panels: Sequence[Axes]) -> list[Any]:
    """What is labelled in any of the panels, each label once."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values())


def set_scale(panels: Sequence[Axes]) -> None:
    """One scale of scores for all panels, from 0 to 1 at least."""
    low = min([0.0, *(axes.dataLim.y0 for axes in panels if np.isfinite(axes.dataLim.y0))])
    high = max([1.0, *(axes.dataLim.y1 for axes in panels if np.isfinite(axes.dataLim.y1))])
    for axes in panels:
        axes.set_ylim(low - 0.02, high + 0.02)
        axes.grid(axis="y")
        if low < 0:
            axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
        if _undefined(axes).all():
            draw_nothing(axes)


def name_scores(panels: Sequence[Axes], label: str) -> None:
    """Write what is drawn along the axis of the first panel of each line."""
    for axes in panels:
        place = axes.get_subplotspec()
        if place is not None and place.is_first_col():
            axes.set_ylabel(label)


def _undefined(axes: Axes) -> NDArray[np.bool_]:
    """Which of a panel's scores are gaps; scores are the lines that have marks."""
    drawn = [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines() if line.get_marker() != "None"]
    gaps: NDArray[np.bool_] = np.isnan(np.concatenate(drawn or [np.empty(0)]))
    return gaps


def _shorter(title: str, longest: int) -> str:
    """A title of at most so many characters, whose last words, the number of images, are kept.

    >>> _shorter("a_very_long_name, 24 images", longest=20)
    'a_very_l…, 24 images'
    """
    name, comma, counted = title.rpartition(", ")
    longest -= len(comma + counted)
    return (name if len(name) <= longest else f"{name[: longest - 1]}…") + comma + counted


def title_of(scores: Scores) -> str:
    """The network, and the number of images."""
    images = scores.manifest["images"]
    return f"{scores.manifest['model']}, {images:,} image{'' if images == 1 else 's'}"


def small_print(
    scores: Scores,
    selection: Selection,
    families: Sequence[str],
    panels: Iterable[Axes],
    more: str = "",
    *,
    intervals: bool = True,
    chance: bool = True,
) -> list[str]:
    """What is shown, and by which options."""
    options = scores.manifest["options"]
    shown = [member for family in families for member in members(scores, family)]
    intervals = intervals and options["intervals"] and selection.columns.ends is not None
    sentences = {
        f"similarity {options['similarity']}": True,
        f"negative correlations: {options['negative']}": options["negative"] != "clip",
        f"fill {options.get('fill')}": any(member.startswith("shift(") for member in shown),
        more: bool(more),
        "bars: 95 % confidence intervals": intervals and not more,
        "chance level: of mismatched image pairs": chance and selection.has_chance(scores, families),
        "gaps: undefined": any(_undefined(axes).any() for axes in panels),
    }
    return selection.in_words() + [sentence for sentence, holds in sentences.items() if holds]
