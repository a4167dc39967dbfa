"""How far a measurement has come, shown on the terminal's error output or told to an object of the caller's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text


@runtime_checkable
class Progress(Protocol):
    """Whatever wants to know how many images are done."""

    def advance(self, images: int) -> None:
        """Hear that so many more images are done."""


class Silent:
    """A progress that nobody sees."""

    def advance(self, images: int) -> None:
        """Say nothing."""


def say(text: str) -> None:
    """A line on the terminal's error output."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


class _Rate(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} images/s", style="progress.data.speed")


class _Shown:
    def __init__(self, bar: Bar, total: int | None) -> None:
        self._bar, self._task = bar, bar.add_task("measuring", total=total)

    def advance(self, images: int) -> None:
        self._bar.advance(self._task, images)


@contextmanager
def shown(progress: "bool | Progress", total: int | None) -> Iterator[Progress]:
    """A progress bar (True), nothing (False), or the caller's own object; `total` images, None where unknown."""
    if not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield Silent()
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        console = Console(stderr=True)
        hidden = not (console.is_terminal or console.is_jupyter)  # where rich would still leave an empty line
        with Bar(*columns, console=console, transient=True, disable=hidden) as bar:
            yield _Shown(bar, total)
