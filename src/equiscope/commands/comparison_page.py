"""The comparison of several results as a page of tables, every word of which follows from the numbers."""

from collections.abc import Sequence
from math import isnan

import pandas as pd

from equiscope.commands.terminal import UNDEFINED
from equiscope.results.columns import PARTS

KEYS = ["transformation", "measure", "scope", "alignment"]
UNPAIRED = "No two results were shown to be made on the same images, so that no difference has an interval of its own."
PAIRED = (
    "Differences are of results on the same images, with 95 % confidence intervals of the paired difference; bold "
    "where an interval excludes 0."
)


def page(table: pd.DataFrame, command: str) -> str:
    """What `equiscope.compare` found, in Markdown: scores by part, then differences where there are any."""
    differences = table[table["what"] == "difference"]
    paired = UNPAIRED if differences.empty else PAIRED
    sections = [
        "# Results compared",
        "![The figure](figure.png)",
        f"Scores by part, with 95 % confidence intervals over images. {paired}",
        "## Scores",
        _table(table[table["what"] == "score"]),
    ]
    if not differences.empty:
        sections += ["## Differences", _table(differences)]
    sections += ["## How this was made", f"- command: `{command}`"]
    return "\n\n".join([*sections, "All numbers, with more digits, are in `data.parquet`.\n"])


def _table(rows: pd.DataFrame) -> str:
    """A line per transformation, measure, scope, alignment and result (or pair of results), a column per part."""
    lines = [["score", "result", *PARTS], [":--", *["--:"] * (len(PARTS) + 1)]]
    for key, found in rows.groupby([*KEYS, "result", "less"], sort=False, dropna=False):
        *reading, result, less = key
        difference = isinstance(less, str)
        ends = found.set_index("part")[["score", "low", "high"]].reindex(PARTS).to_numpy()
        cells = [_cell(values, signed=difference) for values in ends.tolist()]
        lines.append([", ".join(map(str, reading)), f"{result} less {less}" if difference else str(result), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(values: Sequence[float], *, signed: bool) -> str:
    """A score with its interval; a difference with its sign."""
    digits = "+.3f" if signed else ".2f"
    score, low, high = (format(value, digits) for value in values)
    if isnan(values[0]):
        return UNDEFINED
    if isnan(values[1]):
        return score
    text = f"{score} ({low} to {high})"
    return f"**{text}**" if signed and (values[1] > 0 or values[2] < 0) else text
