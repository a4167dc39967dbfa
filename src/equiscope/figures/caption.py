"""What surrounds the panels of a figure: one scale, a title, a legend, and in small print what is shown."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from equiscope.figures.marks import CHANCE, SCORES, draw_nothing
from equiscope.figures.panels import shortened
from equiscope.figures.selection import Selection, members
from equiscope.figures.style import DASHED, GREY, LONG_DASHED, MEASURE_LOOKS, Look, Plot, legend_in_lines
from equiscope.functional.statistics import Array
from equiscope.results.columns import FILLED
from equiscope.results.scores import Scores

TITLE, LEGEND_LINE, MARGIN = 0.24, 0.16, 0.08  # inches: of the head, and what is left free
CHANCE_LEVEL, CEILING_LEVEL = "chance level", "ceiling"
CEILING_IN_WORDS = "ceiling: what interpolation leaves of features transformed and transformed back"
LEAST_CUT = 0.5  # an axis begins at 0, or so high at least


def legend_of(looks: Mapping[str, Look], *, chance: bool = False, ceiling: bool = False) -> list[Line2D]:
    """An entry per series, and one for the chance level and the ceiling."""
    handles = [
        Line2D([], [], linestyle=look.line, linewidth=1.2, label=shortened(name), **look.marked(4.5))
        for name, look in looks.items()
    ]
    for drawn, pattern, label in ((chance, DASHED, CHANCE_LEVEL), (ceiling, LONG_DASHED, CEILING_LEVEL)):
        if drawn:
            handles.append(Line2D([], [], color=GREY, linestyle=pattern, linewidth=0.8, label=label))
    return handles


def measures_legend(
    scores: Scores, selection: Selection, families: Sequence[str], *, ceiling: bool = True
) -> list[Line2D]:
    """An entry per measure that any of the families has, and one for the chance levels and the ceilings."""
    looks = {one: MEASURE_LOOKS[one] for one in selection.measures(scores, families)}
    ceiling = ceiling and selection.has_ceiling(scores, families)
    return legend_of(looks, chance=selection.has_chance(scores, families), ceiling=ceiling)


def finish_measures(
    figure: Plot,
    panels: Sequence[Axes],
    scores: Scores,
    selection: Selection,
    families: Sequence[str],
    more: str = "",
    *,
    caption: bool,
    ceiling: bool = True,
) -> None:
    """Finish a figure of the measures of one result; `more` is added to the small print.

    `ceiling`: whether ceilings are drawn where there are some.
    """
    sentences = small_print(scores, selection, families, panels, more, ceiling=ceiling)
    legend = measures_legend(scores, selection, families, ceiling=ceiling)
    finish(figure, panels, title_of(scores), sentences, legend, caption=caption)


def finish(
    figure: Plot,
    panels: Sequence[Axes],
    title: str,
    small_print: Sequence[str],
    legend: Sequence[Any] | None = None,
    *,
    caption: bool,
    families: Sequence[str] | None = None,
) -> None:
    """Give the panels a scale, and the figure a title, a legend (by default of what is labelled) and small print."""
    set_scale(panels, families)
    if legend is None:
        legend = _labelled(panels)
    width, height = figure.get_size_inches()
    entries = legend_in_lines(legend, width - 2 * MARGIN)
    lines = textwrap.wrap("; ".join(small_print), int(17 * width)) if caption else []
    title_height = TITLE if caption and title else 0.0
    head = MARGIN + title_height + LEGEND_LINE * -(-len(legend) // entries["ncols"]) + (0.05 if legend else 0.0)
    foot = 0.06 + 0.135 * len(lines)
    height += head + foot
    figure.set_size_inches(width, height)
    left, top = MARGIN / width, 1 - MARGIN / height
    if title_height:
        figure.text(left, top, _shorter(title, int(10 * width)), ha="left", va="top", fontsize=10, fontweight="bold")
    if lines:
        figure.text(left, 0.06 / height, "\n".join(lines), ha="left", va="bottom", fontsize=8, color=GREY)
    if legend:
        figure.legend(loc="upper left", bbox_to_anchor=(left, top - title_height / height), borderaxespad=0, **entries)
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


def set_scale(panels: Sequence[Axes], families: Sequence[str] | None = None) -> None:
    """The scale of the scores: from 0 to 1 at least, or, where all scores of a panel are high, from below the lowest.

    Panels of one of the `families` (one a panel) share their scale. An axis that does not begin at 0 says so in its
    label; chance levels may lie below it.
    """
    named = [str(number) for number in range(len(panels))] if families is None else families
    for name in dict.fromkeys(named):
        together = [axes for axes, its in zip(panels, named, strict=True) if its == name]
        drawn = np.concatenate([_heights(axes) for axes in together])
        low, high = (float(drawn.min()), float(drawn.max())) if len(drawn) else (0.0, 1.0)
        floor = np.floor(10 * low - 0.2) / 10
        cut = floor >= LEAST_CUT
        if not cut:
            drawn = np.concatenate([_heights(axes, chance=True) for axes in together])
            floor = min([0.0, *drawn])
        pad = 0.02 * (max(high, 1.0) - floor)
        labelled = [axes for axes in together if axes.get_ylabel()] or together[:1]
        for axes in labelled if cut else ():
            axes.set_ylabel(f"{axes.get_ylabel()} (axis from {floor:.1f})".strip())
        for axes in together:
            axes.set_ylim(floor - (0 if cut else pad), max(high, 1.0) + pad)
            axes.grid(axis="y")
            if floor < 0:
                axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
            if len(gaps := _undefined(axes)) and gaps.all():
                draw_nothing(axes)


def _heights(axes: Axes, *, chance: bool = False) -> Array:
    """How high the scores and the ends of their intervals lie; with `chance` the chance levels too."""
    wanted = [one for one in [*axes.get_lines(), *axes.collections] if chance or one.get_gid() != CHANCE]
    lines = [np.asarray(one.get_ydata(), dtype=float) for one in wanted if isinstance(one, Line2D)]
    corners = [path.vertices for one in wanted if isinstance(one, Collection) for path in one.get_paths()]
    found = np.concatenate([*lines, *(np.asarray(of_path, dtype=float)[:, 1] for of_path in corners), np.empty(0)])
    finite: Array = found[np.isfinite(found)]
    return finite


def name_scores(panels: Sequence[Axes], label: str) -> None:
    """Write what is drawn along the axis of the first panel of each line."""
    for axes in panels:
        place = axes.get_subplotspec()
        if place is not None and place.is_first_col():
            axes.set_ylabel(label)


def _undefined(axes: Axes) -> NDArray[np.bool_]:
    """Which of a panel's scores are gaps."""
    drawn = [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines() if line.get_gid() == SCORES]
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
    ceiling: bool = True,
) -> list[str]:
    """What is shown, and by which options."""
    options = scores.manifest["options"]
    shown = [member for family in families for member in members(scores, family)]
    intervals = intervals and options["intervals"] and selection.columns.ends is not None
    sentences = {
        f"similarity {options['similarity']}": True,
        f"negative correlations: {options['negative']}": options["negative"] != "clip",
        f"fill {options.get('fill')}": any(map(FILLED.match, shown)),
        more: bool(more),
        "bars: 95 % confidence intervals": intervals and not more,
        "chance level: of mismatched image pairs": chance and selection.has_chance(scores, families),
        CEILING_IN_WORDS: ceiling and selection.has_ceiling(scores, families),
        "gaps: undefined": any(_undefined(axes).any() for axes in panels),
    }
    return selection.in_words() + [sentence for sentence, holds in sentences.items() if holds]
