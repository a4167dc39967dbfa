"""Several results side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from equiscope.figures.caption import finish, legend_of, name_scores, small_print
from equiscope.figures.marks import Placing, asides, draw_scores
from equiscope.figures.panels import arranged, grid_of_panels, room_of, shortened
from equiscope.figures.selection import Selection
from equiscope.figures.style import Look, Plot, drawing, series_look
from equiscope.results.columns import PARTS, VECTORS
from equiscope.results.comparison import families_in_common
from equiscope.results.rows import in_order
from equiscope.results.scores import Scores
from equiscope.system.errors import OptionError, known

BY = ("part", "depth")
AFTER = dict(zip(VECTORS, (1.3, 1.62), strict=True))  # where the vectors are drawn, by depth


def plot_comparison(
    results: Mapping[str, Scores],
    scope: str = "dataset",
    transformation: str | None = None,
    *,
    measure: str | None = None,
    alignment: str = "array",
    value: str = "score",
    by: str = "part",
    caption: bool = True,
) -> Plot:
    """Several results side by side: a panel per family that all have, and per measure.

    `results` are scores by the name that the legend gives them. `by="part"` draws the parts of their networks with
    intervals and chance levels; `by="depth"` every layer, by its place from the first to the last before pooling, so
    that networks of different depth can be compared. `value` as in `plot_layers`. ValueError where they have no family
    in common.
    """
    selection = Selection(scope, transformation, measure, alignment, value)
    known("by", by, BY)
    families = _families(results, selection)
    looks = {name: series_look(place) for place, name in enumerate(results)}
    kinds, columns = arranged([[(family, one) for one in _measures(results, selection, family)] for family in families])
    draw = _draw_by_part if by == "part" else _draw_by_depth
    with drawing():
        figure, panels = grid_of_panels(kinds, 1.9, columns)
        for axes, (family, one) in zip(panels, filter(None, kinds), strict=True):
            rows = {
                name: selection.rows(scores.parts if by == "part" else scores.scores, family, one)
                for name, scores in results.items()
            }
            draw(axes, results, rows, looks, selection)
            axes.set_title(f"{shortened(family, int(14 * room_of(columns) - 5))}: {one}", fontweight="bold")
        name_scores(panels, selection.label)
        chance = any(selection.has_chance(scores, families) for scores in results.values())
        title, sentences = _words(results, selection, families, panels)
        of_panels = [family for family, _ in filter(None, kinds)]
        ceiling = any(selection.has_ceiling(scores, families) for scores in results.values())
        legend = legend_of(looks, chance=chance, ceiling=ceiling)
        finish(figure, panels, title, sentences, legend, caption=caption, families=of_panels)
    return figure


def _families(results: Mapping[str, Scores], selection: Selection) -> list[str]:
    """The families to draw, which all results have."""
    common = families_in_common(results)
    if selection.transformation is not None:
        known("transformation", selection.transformation, common)
    measured = [set(selection.families(scores)) for scores in results.values()]
    families = [family for family in common if all(family in its for its in measured)]
    if not families:
        raise OptionError("No family has {alignment}{given!r} in all of the results.", given=selection.alignment)
    return families


def _measures(results: Mapping[str, Scores], selection: Selection, family: str) -> list[str]:
    """The measures that all results have of the family."""
    first, *others = (selection.measures(scores, [family]) for scores in results.values())
    return [one for one in first if all(one in other for other in others)]


def _draw_by_part(
    axes: Axes,
    results: Mapping[str, Scores],
    rows: Mapping[str, pd.DataFrame],
    looks: Mapping[str, Look],
    selection: Selection,
) -> None:
    there = set().union(*(scores.layers["part"] for scores in results.values()))
    parts = [part for part in PARTS if part in there]
    apart = min(6.0, 24 / len(results))
    for aside, name in zip(asides(len(results), apart), results, strict=True):
        of_parts = rows[name].set_index("part").reindex(parts)
        placing = Placing(aside=aside)
        draw_scores(axes, np.arange(len(parts)), of_parts, looks[name], selection.columns, placing, label=name)
    axes.set_xticks(range(len(parts)), parts)
    axes.set_xlim(-0.5, len(parts) - 0.5)
    axes.set_xlabel("part")


def _draw_by_depth(
    axes: Axes,
    results: Mapping[str, Scores],
    rows: Mapping[str, pd.DataFrame],
    looks: Mapping[str, Look],
    selection: Selection,
) -> None:
    """The layers before pooling from 0 to 1, joined; the pooled and the final vector apart from them."""
    for aside, (name, scores) in zip(asides(len(results), min(5.0, 16 / len(results))), results.items(), strict=True):
        layers = in_order(scores.layers)["layer"]
        found = rows[name].set_index("layer").reindex([layer for layer in layers if layer in set(rows[name]["layer"])])
        before = found[~found["part"].isin(AFTER)]
        places = np.linspace(0, 1, len(before)) if len(before) > 1 else np.full(len(before), 0.5)
        size = float(np.clip(80 / max(len(before), 1), 2, 4.5))
        if len(before):
            draw_scores(axes, places, before, looks[name], selection.columns, Placing(size=size), label=name)
        placing = Placing(joined=False, size=size, aside=aside, half=0.05)
        for part, place in AFTER.items():
            of_part = found[found["part"] == part]
            if len(of_part):
                label = "" if len(before) else name
                at = np.full(len(of_part), place)
                draw_scores(axes, at, of_part, looks[name], selection.columns, placing, label=label)
    axes.set_xticks([0, 0.5, 1, *AFTER.values()], ["first", "half", "last", *AFTER])
    axes.set_xlim(-0.1, 1.78)
    axes.set_xlabel("layer, by its relative depth")


def _words(
    results: Mapping[str, Scores], selection: Selection, families: Sequence[str], panels: Sequence[Axes]
) -> tuple[str, list[str]]:
    """The title and the small print of several results; what holds for some of them alone names these."""
    counts = sorted({scores.manifest["images"] for scores in results.values()})
    counted = f"{counts[0]:,} images each" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,} images"
    sentences: dict[str, list[str]] = {}
    for name, scores in results.items():
        for sentence in small_print(scores, selection, families, panels):
            sentences.setdefault(sentence, []).append(name)
    return f"{len(results)} results, {counted}", [
        sentence if len(names) == len(results) else f"{sentence} ({', '.join(map(shortened, names))})"
        for sentence, names in sentences.items()
    ]
