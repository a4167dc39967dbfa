"""Progress bars on the terminal's error output. Imported where one is drawn: Rich draws a random number on import."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


def say(text: str) -> None:
    """A line on the terminal's error output."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


def drawn() -> bool:
    """Whether a bar can be drawn: elsewhere than on a terminal or in a notebook it leaves an empty line."""
    console = Console(stderr=True)
    return console.is_terminal or console.is_jupyter


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


def measuring() -> Progress:
    """A bar with images a second and the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def training() -> Progress:
    """The same with loss and accuracy, in 80 characters."""
    columns = (BarColumn(10), MofNCompleteColumn(), _Rate(), _Training(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
