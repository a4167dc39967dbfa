"""What commands write on the terminal: tables on stdout, notes on stderr, JSON."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from json import dumps
from typing import Any

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

UNDEFINED = "–"
WIDEST = 10_000  # columns of a pipe, in which nothing is cut off
IN_ASCII = str.maketrans("█▓▒░" + UNDEFINED, "#=-.-")


def tables(*, stderr: bool = False) -> Console:
    """Where tables go: as wide as the terminal, and in a pipe as wide as they are."""
    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDEST
    return console


def readable(text: str, console: Console) -> Text:
    """The text with its bars in colour; where the output takes ASCII alone, in that."""
    from equiscope.results.shares import BLOCKS, COLOURS, SHARES  # pandas, which no help needs

    if not console.encoding.lower().startswith("utf"):
        text = text.translate(IN_ASCII)
    found = Text(text)
    for share, block in BLOCKS.items():
        if share in SHARES:
            found.highlight_regex(f"{block}+", Style(color=COLOURS[share]))
    return found


def table(*columns: str, numbers: Iterable[str] = ()) -> Table:
    """An empty table without lines; columns of numbers are aligned to the right."""
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        found.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return found


def note(remarks: Iterable[str], label: str = "Note", style: str = "") -> None:
    """Each remark as a line on stderr."""
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    for remark in remarks:
        console.print(Text.assemble((f"{label}:", style), f" {remark}"), soft_wrap=True)


@contextmanager
def noted(quiet: bool) -> Iterator[list[str]]:
    """What is warned of, each once; noted on the terminal at once, for a run may take hours."""
    remarks: list[str] = []

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in remarks:
            remarks.append(str(message))
            note([] if quiet else [str(message)])

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield remarks


def as_json(value: Any) -> str:
    """The value as strict JSON, indented."""
    return dumps(value, indent=2, default=dict, allow_nan=False)
