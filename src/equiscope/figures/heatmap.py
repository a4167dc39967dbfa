"""Layers against transformations, in colour."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from equiscope.figures.caption import finish, small_print, title_of
from equiscope.figures.panels import edges_of, layer_panels, shortened
from equiscope.figures.selection import Selection, members
from equiscope.figures.style import HEAT, Plot, drawing
from equiscope.functional.statistics import Array
from equiscope.results.rows import in_order
from equiscope.results.scores import Scores


def heatmap_of(
    scores: Scores, selection: Selection, families: Sequence[str], chosen: Sequence[str], *, caption: bool
) -> Plot:
    """The chosen layers along the axis, transformations below one another, a panel per measure; NaN is hatched."""
    lines = {family: members(scores, family) for family in families}
    names = [name for of_family in lines.values() for name in of_family]
    layers = in_order(scores.layers[scores.layers["layer"].isin(chosen)])
    with drawing():
        tables = _tables(scores, selection, families, names, chosen)
        height = 0.25 + float(np.clip(0.17 * len(names), 0.8, 4.0))
        figure, panels_by_line, places = layer_panels(layers, [[measure] for measure in tables], height)
        panels = [axes for line in panels_by_line for axes in line]
        defined = np.concatenate([table[~np.isnan(table)] for table in tables.values()])
        norm = Normalize(min([0.0, *defined]), max([1.0, *defined]))
        edges = edges_of(list(layers["part"]), places)
        for axes, table in zip(panels, tables.values(), strict=True):
            _draw_table(axes, table, edges, norm)
            for end in np.cumsum([len(of_family) for of_family in lines.values()])[:-1]:
                axes.axhline(end, color="white", linewidth=1.5, zorder=2)
            _name_lines(axes, names)
        bar = ScalarMappable(norm, HEAT)
        figure.colorbar(bar, ax=panels, label=selection.label, fraction=0.03, pad=0.01, aspect=25)
        sentences = small_print(scores, selection, families, [], intervals=False, chance=False, ceiling=False)
        if any(np.isnan(table).any() for table in tables.values()):
            sentences.append("hatched: undefined or not measured")
        finish(figure, [], title_of(scores), sentences, [], caption=caption)
    return figure


def _tables(
    scores: Scores, selection: Selection, families: Sequence[str], names: Sequence[str], chosen: Sequence[str]
) -> Mapping[str, Array]:
    """Each measure's values, `[transformation, layer]`."""
    return {
        measure: selection.rows(scores.scores, names, measure)
        .pivot(index="transformation", columns="layer", values=selection.columns.column)
        .reindex(index=list(names), columns=list(chosen))
        .to_numpy(dtype=float)
        for measure in selection.measures(scores, families)
    }


def _draw_table(axes: Axes, table: Array, edges: Array, norm: Normalize) -> None:
    axes.axvspan(edges[0], edges[-1], facecolor="white", edgecolor="#A6A6A6", hatch="/////", linewidth=0, zorder=0.5)
    axes.pcolormesh(
        edges, np.arange(len(table) + 1), np.ma.masked_invalid(table), cmap=HEAT, norm=norm, zorder=1, linewidth=0
    )
    axes.spines[:].set_visible(False)


def _name_lines(axes: Axes, names: Sequence[str]) -> None:
    every = -(-len(names) // 26)
    axes.set_yticks(np.arange(len(names))[::every] + 0.5, [shortened(name, 16) for name in names[::every]])
    axes.set_ylim(len(names), 0)
    axes.tick_params(left=False)
