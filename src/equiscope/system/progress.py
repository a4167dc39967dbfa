"""How far a measurement has come: a bar on the terminal's error output, or an object of the caller's."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, SupportsFloat, runtime_checkable

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


def on_terminal() -> bool:
    """Whether the error output is a terminal; where it is closed, it is none."""
    return sys.stderr is not None and not getattr(sys.stderr, "closed", False) and sys.stderr.isatty()


def say(text: str) -> None:
    """A line on the terminal's error output."""
    from equiscope.system import bars

    bars.say(text)


class _Shown:
    def __init__(self, bar: Any, total: int | None) -> None:
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
        from equiscope.system import bars

        with bars.measuring() as bar:
            yield _Shown(bar, total)


class ShownTraining:
    """Images that were trained on, with loss and accuracy as numbers or tensors, read only when they are drawn."""

    def __init__(self, inner: Progress, bar: Any = None, task: Any = None) -> None:
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
        from equiscope.system import bars

        with bars.training() as bar:
            yield ShownTraining(Silent(), bar, bar.add_task("training", total=total, completed=done))


def _hidden(wanted: bool | None) -> bool:
    """Whether no bar is to be drawn, which elsewhere than on a terminal or in a notebook leaves an empty line."""
    if wanted is None:
        return not on_terminal()
    from equiscope.system import bars

    return not (wanted and bars.drawn())
