"""Several results side by side as a folder: the picture, its numbers, and a page of tables."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from equiscope.figures.plots import shortened
from equiscope.figures.style import GREY, TWO_COLUMNS, Plot, draw_intervals, drawing, series_look
from equiscope.networks.layers import PARTS
from equiscope.results.comparison import KEYS, compare
from equiscope.results.scores import MEASURES, SCOPES
from equiscope_studies.results import markdown, save


def compared(folders: Sequence[str | Path], output: Path, *, command: str = "", force: bool = False) -> pd.DataFrame:
    """Write the comparison of results to a folder, as the figures of the paper are, and return its table."""
    table = compare(folders)
    save(output, table, picture(table), page(table, command), force=force)
    return table


def picture(table: pd.DataFrame) -> Plot:
    """The figure, of saved numbers alone: scores above, differences of results on the same images below."""
    rows = [
        (what, family, alignment)
        for what in ("score", "difference")
        for family, alignment in table.loc[table["what"] == what, ["transformation", "alignment"]]
        .drop_duplicates()
        .itertuples(index=False)
    ]
    columns = list(product(SCOPES, MEASURES))
    names = list(table.loc[table["what"] == "score", "result"].drop_duplicates())
    with drawing():
        figure = Plot(figsize=(TWO_COLUMNS, 1.9 * len(rows) + 0.6), layout="constrained")
        panels = figure.subplots(len(rows), len(columns), sharex=True, sharey="row", squeeze=False)
        for line, (what, family, alignment) in enumerate(rows):
            of_row = (table["what"] == what) & (table["transformation"] == family) & (table["alignment"] == alignment)
            for axes, (scope, measure) in zip(panels[line], columns, strict=True):
                chosen = table[of_row & (table["scope"] == scope) & (table["measure"] == measure)]
                _draw(axes, chosen, what, names)
                if line == 0:
                    axes.set_title(f"{measure}, {scope}", color=GREY)
            centre = "" if alignment == "array" else f" ({alignment})"
            panels[line, 0].set_ylabel(f"{shortened(str(family))}{centre}\n{what}")
        handles = [handle for axes in panels[:, 0] for handle in axes.get_legend_handles_labels()[0]]
        labels = [label for axes in panels[:, 0] for label in axes.get_legend_handles_labels()[1]]
        once = dict(zip(labels, handles, strict=True))
        figure.legend(list(once.values()), list(once), loc="outside lower center", ncols=min(3, len(once)))
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, what: str, names: Sequence[str]) -> None:
    pairs = list(rows[["result", "less"]].drop_duplicates().itertuples(index=False))
    for place, (result, less) in enumerate(pairs):
        is_score = what == "score"
        found = rows[(rows["result"] == result) & (rows["less"].isna() if is_score else rows["less"] == less)]
        found = found.set_index("part").reindex(PARTS)
        places = np.arange(len(PARTS)) + 0.5 * ((place + 0.5) / len(pairs) - 0.5)
        look = series_look(names.index(result))
        draw_intervals(axes, places, found["low"], found["high"], look.colour)
        if is_score:
            axes.plot(places, found["score"], linestyle=look.line, linewidth=0.8, label=result, **look.marked(4.0))
        else:  # a diamond of the one result's colour, filled with the other's
            axes.plot(
                places, found["score"], marker="D", linestyle="none", markersize=3.5, color=look.colour,
                markerfacecolor=series_look(names.index(less)).colour, label=f"{result} less {less}",
            )  # fmt: skip
    if what == "difference":
        axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    else:
        axes.set_ylim(min(-0.03, axes.dataLim.y0), 1.03)
    axes.set_xticks(range(len(PARTS)), PARTS, fontsize=6)
    axes.set_xlim(-0.5, len(PARTS) - 0.5)
    axes.grid(axis="y")


def page(table: pd.DataFrame, command: str = "") -> str:
    """The comparison in words, every one of which follows from the numbers."""
    differences = table[table["what"] == "difference"]
    unpaired = (
        "No two results tell that they were made on the same images, so that no difference has an interval of its own."
        if differences.empty
        else "Differences are of results on the same images, with intervals of the paired difference; bold where an "
        "interval leaves out 0."
    )
    sections = [
        "# Results compared",
        "![The figure](figure.png)",
        f"Scores by part, with 95 % intervals over images. {unpaired}",
        "## Scores",
        _table(table[table["what"] == "score"]),
    ]
    if not differences.empty:
        sections += ["## Differences", _table(differences)]
    if command:
        sections += ["## How this was made", f"- command: `{command}`"]
    return "\n\n".join(sections) + "\n\nAll numbers, with more digits, are in `data.parquet`.\n"


def _table(rows: pd.DataFrame) -> str:
    lines = []
    for key, found in rows.groupby([*KEYS, "result", "less"], sort=False, dropna=False):
        *reading, result, less = key
        ends = found.set_index("part")[["score", "low", "high"]].reindex(PARTS).to_numpy()
        who = str(result) if less is None or less != less else f"{result} less {less}"
        lines.append([", ".join(map(str, reading)), who, *(_cell(*one, signed=who != result) for one in ends)])
    return markdown(["score", "result", *PARTS], lines)


def _cell(value: float, low: float, high: float, *, signed: bool) -> str:
    if np.isnan(value):
        return "–"
    number = f"{value:+.3f}" if signed else f"{value:.2f}"
    if np.isnan(low):
        return number
    text = f"{number} ({low:+.3f} to {high:+.3f})" if signed else f"{number} ({low:.2f} to {high:.2f})"
    return f"**{text}**" if signed and (low > 0 or high < 0) else text
