"""A result at a glance: what of each part stays, swaps, mixes and is lost, and its scores; as text and as HTML."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import accumulate, product
from math import isnan
from typing import TYPE_CHECKING

import pandas as pd

from equiscope.results.columns import PARTS, SCOPES
from equiscope.results.rows import measures_in, rows_of
from equiscope.results.shares import BLOCKS, COLOURS, MEANINGS, SHARES, shares_of

if TYPE_CHECKING:
    from equiscope.results.scores import Scores

UNDEFINED = "–"
NUMBERS = ("score", "95 % interval", "chance", "ceiling", "explained")  # aligned to the right
LEAST_COST = 0.005  # of interpolation: a smaller one is not seen in two digits
UNTRAINED = "randomly initialised"
BAR = 30  # characters
SCOPES_IN_WORDS = {"dataset": "over all images", "image": "within each image, then averaged"}


def part_table(scores: "Scores", scope: str = "dataset") -> pd.DataFrame:
    """The scores of the parts as text, a row per family, measure and part, in their order; `–` is undefined.

    There is a column of ceilings where interpolation costs something.
    """
    parts = scores.parts[scores.parts["scope"] == scope]
    alignments = list(dict.fromkeys(parts["alignment"]))
    rows = []
    for family, measure, alignment in product(scores.families, measures_in(parts), alignments):
        of_family = rows_of(parts, scope, family, measure, alignment).to_dict("records")
        for row in sorted(of_family, key=lambda row: PARTS.index(row["part"])):
            labels = {"transformation": family, "measure": measure, "part": row["part"], "alignment": alignment}
            interval = UNDEFINED if isnan(row["low"]) else f"{row['low']:.2f} to {row['high']:.2f}"
            values = (_number(row["score"]), interval, *(_number(row[name]) for name in NUMBERS[2:]))
            rows.append(labels | dict(zip(NUMBERS, values, strict=True)))
    table = pd.DataFrame(rows, columns=["transformation", "measure", "part", "alignment", *NUMBERS])
    table = table if len(alignments) > 1 else table.drop(columns="alignment")
    return table if (parts["ceiling"] < 1 - LEAST_COST).any() else table.drop(columns="ceiling")


def heading(scores: "Scores") -> str:
    """The network, and how many images and layers were measured."""
    images, layers = scores.manifest["images"], len(scores.layers)
    return f"{scores.manifest['model']}: {_counted(images, 'image')}, {_counted(layers, 'layer')}"


def summary_text(scores: "Scores") -> str:
    """The heading, a bar a part, and the table of parts, a table per scope measured, in aligned columns."""
    paragraphs = [heading(scores), bars_text(scores)]
    for scope in _scopes(scores):
        table = part_table(scores, scope)
        lines = [list(table.columns), *table.to_numpy().tolist()]
        text = _in_columns(lines, [name in NUMBERS for name in table.columns])
        paragraphs.append("\n".join([f"Scores {SCOPES_IN_WORDS[scope]} (scope: {scope})", *text]))
    return "\n\n".join(filter(None, paragraphs))


def bars_text(scores: "Scores") -> str:
    """Of each family and part, the shares of the variance as a bar and as numbers; empty where there are none.

    Those of a baseline stand below those of the network, as "randomly initialised".
    """
    lines = [["", "part", "share of the variance", *SHARES]]
    for family, shares, untrained in _shares(scores):
        names = iter(UNTRAINED.split() if untrained else [family])
        for part, row in shares.T.to_dict().items():
            values = [_number(row[share]) if share in row else "" for share in SHARES]
            lines.append([next(names, ""), str(part), _bar(row), *values])
    if len(lines) == 1:
        return ""
    key = "   ".join(f"{2 * BLOCKS[share]} {share}" for share in SHARES)
    return "\n".join([*_in_columns(lines, [False] * 3 + [True] * len(SHARES)), key])


def _bar(shares: Mapping[str, float]) -> str:
    """The shares side by side, in whole characters; a dash where they are undefined.

    >>> _bar({"stays": 0.3, "swaps": 0.1, "mixes": 0.2, "lost": 0.4})
    '█████████▓▓▓▒▒▒▒▒▒░░░░░░░░░░░░'
    """
    if any(map(isnan, shares.values())):
        return UNDEFINED
    ends = [round(BAR * end) for end in accumulate(shares.values())]
    return "".join(BLOCKS[share] * (end - begin) for share, begin, end in zip(shares, [0, *ends], ends, strict=False))


def _shares(scores: "Scores") -> Iterator[tuple[str, pd.DataFrame, bool]]:
    """Each family's shares by part, of the network, then of its baseline, if any."""
    for family in scores.families:
        for of in (scores, scores.baseline):
            if of is not None and len(shares := shares_of(of, family)):
                yield family, shares, of is not scores


def _in_columns(lines: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """The cells of lines in columns, aligned to the left or to the right."""
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]


def summary_html(scores: "Scores") -> str:
    """The same for a notebook."""
    found = [f"<p><b>{escape(heading(scores))}</b></p>", _bars_html(scores)]
    for scope in _scopes(scores):
        found.append(f"<p>Scores {SCOPES_IN_WORDS[scope]} (scope: {scope})</p>")
        found.append(part_table(scores, scope).to_html(index=False, border=0))
    return "\n".join(filter(None, found))


def _bars_html(scores: "Scores") -> str:
    lines = []
    for family, shares, untrained in _shares(scores):
        name = f"{family}, {UNTRAINED}" if untrained else family
        for number, (part, row) in enumerate(shares.T.to_dict().items()):
            cells = "".join(
                f'<span title="{MEANINGS[share]}: {value:.2f}" style="display:inline-block;height:1em;'
                f'width:{100 * value:.2f}%;background:{COLOURS[share]}"></span>'
                for share, value in row.items() if not isnan(value)
            )  # fmt: skip
            said = ", ".join(f"{value:.2f} {share}" for share, value in row.items())
            lines.append(
                f"<tr><td>{escape(name) if number == 0 else ''}</td><td>{part}</td>"
                f'<td style="width:20em;white-space:nowrap;font-size:0.9em" aria-label="{said}">{cells}</td></tr>'
            )
    if not lines:
        return ""
    key = " ".join(f'<span style="background:{COLOURS[share]}">&emsp;</span> {MEANINGS[share]}' for share in SHARES)
    return f"<p>Share of the variance: {key}</p>\n<table>{''.join(lines)}</table>"


def _scopes(scores: "Scores") -> list[str]:
    measured = set(scores.parts["scope"])
    return [scope for scope in SCOPES if scope in measured]


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _number(value: float) -> str:
    return UNDEFINED if isnan(value) else f"{round(value, 2) + 0.0:.2f}"  # + 0.0: no minus sign before zero
