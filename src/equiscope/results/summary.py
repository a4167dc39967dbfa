"""A result at a glance: the scores of the parts of a network, as plain text and as HTML."""

from html import escape
from itertools import product
from math import isnan
from typing import TYPE_CHECKING

import pandas as pd

from equiscope.results.columns import PARTS, SCOPES
from equiscope.results.rows import measures_in, rows_of

if TYPE_CHECKING:
    from equiscope.results.scores import Scores

UNDEFINED = "–"
NUMBERS = ("score", "95 % interval", "chance", "explained")  # aligned to the right
SCOPES_IN_WORDS = {"dataset": "over all images", "image": "within each image, then averaged"}


def part_table(scores: "Scores", scope: str = "dataset") -> pd.DataFrame:
    """The scores of the parts as text, a row per family, measure and part, in their order; `–` is undefined."""
    parts = scores.parts[scores.parts["scope"] == scope]
    alignments = list(dict.fromkeys(parts["alignment"]))
    rows = []
    for family, measure, alignment in product(scores.families, measures_in(parts), alignments):
        of_family = rows_of(parts, scope, family, measure, alignment).to_dict("records")
        for row in sorted(of_family, key=lambda row: PARTS.index(row["part"])):
            labels = {"transformation": family, "measure": measure, "part": row["part"], "alignment": alignment}
            interval = UNDEFINED if isnan(row["low"]) else f"{row['low']:.2f} to {row['high']:.2f}"
            values = (_number(row["score"]), interval, _number(row["chance"]), _number(row["explained"]))
            rows.append(labels | dict(zip(NUMBERS, values, strict=True)))
    table = pd.DataFrame(rows, columns=["transformation", "measure", "part", "alignment", *NUMBERS])
    return table if len(alignments) > 1 else table.drop(columns="alignment")


def heading(scores: "Scores") -> str:
    """The network, and how many images and layers were measured."""
    images, layers = scores.manifest["images"], len(scores.layers)
    return f"{scores.manifest['model']}: {_counted(images, 'image')}, {_counted(layers, 'layer')}"


def summary_text(scores: "Scores") -> str:
    """The heading and the table of parts, a table per scope measured, in aligned columns."""
    paragraphs = [heading(scores)]
    for scope in _scopes(scores):
        table = part_table(scores, scope)
        lines = [list(table.columns), *table.to_numpy().tolist()]
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        right = [name in NUMBERS for name in table.columns]
        text = [
            "  ".join(
                cell.rjust(width) if number else cell.ljust(width)
                for cell, width, number in zip(line, widths, right, strict=True)
            ).rstrip()
            for line in lines
        ]
        paragraphs.append("\n".join([f"Scores {SCOPES_IN_WORDS[scope]} (scope: {scope})", *text]))
    return "\n\n".join(paragraphs)


def summary_html(scores: "Scores") -> str:
    """The same for a notebook."""
    found = [f"<p><b>{escape(heading(scores))}</b></p>"]
    for scope in _scopes(scores):
        found.append(f"<p>Scores {SCOPES_IN_WORDS[scope]} (scope: {scope})</p>")
        found.append(part_table(scores, scope).to_html(index=False, border=0))
    return "\n".join(found)


def _scopes(scores: "Scores") -> list[str]:
    measured = set(scores.parts["scope"])
    return [scope for scope in SCOPES if scope in measured]


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _number(value: float) -> str:
    return UNDEFINED if isnan(value) else f"{round(value, 2) + 0.0:.2f}"  # + 0.0: no minus sign before zero
