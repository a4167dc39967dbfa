"""How far a measurement has come: a bar on the terminal's error output, or an object of the caller's."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, SupportsFloat, runtime_checkable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

from equiscope.system.errors import OptionError


@runtime_checkable
class Progress(Protocol):
    """Whatever counts the images that are done."""

    def advance(self, images: int) -> None:
        """Count so many more images."""


class Silent:
    """A progress that shows nothing."""

    def advance(self, images: int) -> None:
        """Nothing is shown."""


def say(text: str) -> None:
    """A line on the terminal's error output."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


class _Rate(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} images/s", style="progress.data.speed")


class _Training(ProgressColumn):
    """Loss and accuracy so far in this epoch."""

    def render(self, task: Task) -> Text:
        fields = task.fields
        if fields.get("loss") is None:
            return Text("")
        return Text(f"loss {float(fields['loss']):.3f}, accuracy {float(fields['accuracy']):.1%}")


class _Shown:
    def __init__(self, bar: Bar, total: int | None) -> None:
        self._bar, self._task = bar, bar.add_task("measuring", total=total)

    def advance(self, images: int) -> None:
        self._bar.advance(self._task, images)


@contextmanager
def shown(progress: bool | Progress | None, total: int | None) -> Iterator[Progress]:
    """The progress to tell of each image that is done; `total` images, None where that is not known.

    `None`: a bar where the error output is a terminal, and nothing elsewhere. True: a bar, in a notebook too. False:
    nothing. An object with `advance(images)`: that object. `OptionError` for anything else.
    """
    if not isinstance(progress, bool | Progress | None):
        raise OptionError(
            "{progress}{given!r} is neither None, True or False nor an object with advance(images).", given=progress
        )
    if isinstance(progress, Progress):
        yield progress
    elif _hidden(progress):
        yield Silent()
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            yield _Shown(bar, total)


class ShownTraining:
    """Images that were trained on, with loss and accuracy as numbers or tensors, read only when they are drawn."""

    def __init__(self, inner: Progress, bar: Bar | None = None, task: TaskID | None = None) -> None:
        self._inner, self._bar, self._task = inner, bar, task

    def advance(self, images: int, *, loss: SupportsFloat, accuracy: SupportsFloat) -> None:
        """So many more images are done."""
        self._inner.advance(images)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=images, loss=loss, accuracy=accuracy)


@contextmanager
def shown_training(progress: bool | Progress | None, total: int, *, done: int = 0) -> Iterator[ShownTraining]:
    """A progress bar with loss, accuracy, images a second and the time left; else as `shown`."""
    if isinstance(progress, Progress):
        yield ShownTraining(progress)
    elif _hidden(progress):
        yield ShownTraining(Silent())
    else:
        columns = (BarColumn(10), MofNCompleteColumn(), _Rate(), _Training(), TimeRemainingColumn())  # in 80 characters
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            yield ShownTraining(Silent(), bar, bar.add_task("training", total=total, completed=done))


def _hidden(wanted: bool | None) -> bool:
    """Whether no bar is to be drawn, which elsewhere than on a terminal or in a notebook leaves an empty line."""
    if wanted is None:
        return sys.stderr is None or not sys.stderr.isatty()
    console = Console(stderr=True)
    return not wanted or not (console.is_terminal or console.is_jupyter)
