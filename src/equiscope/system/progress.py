"""How far a measurement has come, shown on the terminal's error output or told to an object of the caller's."""

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
def shown(progress: "bool | Progress", total: int | None) -> Iterator[Progress]:
    """A progress bar (True), nothing (False), or the caller's own object; `total` images, None where unknown."""
    if not isinstance(progress, bool | Progress):
        raise ValueError(f"progress={progress!r} is neither True or False nor an object with advance(images).")
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
def shown_training(progress: "bool | Progress", total: int, *, done: int = 0) -> Iterator[ShownTraining]:
    """A progress bar with loss, accuracy, images a second and the time left; else as `shown`."""
    if not isinstance(progress, bool):
        yield ShownTraining(progress)
    elif not progress:
        yield ShownTraining(Silent())
    else:
        columns = (BarColumn(10), MofNCompleteColumn(), _Rate(), _Training(), TimeRemainingColumn())  # in 80 characters
        console = Console(stderr=True)
        hidden = not (console.is_terminal or console.is_jupyter)
        with Bar(*columns, console=console, transient=True, disable=hidden) as bar:
            yield ShownTraining(Silent(), bar, bar.add_task("training", total=total, completed=done))
