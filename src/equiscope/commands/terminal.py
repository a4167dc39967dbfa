"""What commands write on the terminal: tables on stdout, notes on stderr, JSON; whatever the terminal can show."""

import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import EPIPE
from json import dumps
from typing import Any

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

UNDEFINED = "–"
WIDEST = 10_000  # columns of a pipe, in which nothing is cut off
IN_ASCII = str.maketrans("█▓▒░" + UNDEFINED, "#=-.-")


@contextmanager
def shown() -> Iterator[None]:
    """What is written meanwhile is shown as far as it can be, and never stops what is being done.

    A sign that the output's encoding does not have becomes a question mark. Where nobody reads any more (`| head`), or
    nothing was open to write to (`>&-`), the rest is dropped; where a disk is full, that is noted once.
    """
    _open_what_is_closed()
    before = sys.stdout, sys.stderr
    sys.stderr = _Shown(before[1])
    sys.stdout = _Shown(before[0])
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


class _Shown:
    """A stream to which writing does not fail.

    It has no `buffer`, by which libraries would write past it.
    """

    def __init__(self, stream: Any) -> None:
        self._stream, self._gone = stream, False
        with suppress(AttributeError, ValueError):  # of a stream that is none of Python's own, or is closed
            stream.reconfigure(errors="replace")

    def write(self, text: str) -> int:
        if not self._gone:
            try:
                self._stream.write(text)
            except (OSError, ValueError) as error:  # a closed stream raises the latter
                self._drop(error)
        return len(text)

    def flush(self) -> None:
        if not self._gone:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._drop(error)

    def _drop(self, error: OSError | ValueError) -> None:
        """Write nothing more; what waits to be written goes nowhere, so that the end of the program does not fail."""
        self._gone = True
        with suppress(OSError, ValueError):
            number = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)
        if isinstance(error, OSError) and error.errno != EPIPE:
            note([f"not all could be written on the terminal or to where it leads ({error.strerror or error})."])

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)


def _open_what_is_closed() -> None:
    """Lead closed streams nowhere, lest a file that is opened later takes the place of one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (it stays open)


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
