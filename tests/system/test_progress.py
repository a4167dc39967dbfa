"""Progress: a bar where somebody sees it, nothing elsewhere, or an object of the caller's."""

import sys
from io import StringIO

import jaxtyping
import pytest

from equiscope.system.errors import OptionError
from equiscope.system.progress import shown, shown_training


class Terminal(StringIO):
    def isatty(self):
        return True


class Counted:
    """An object of the caller's."""

    done = 0

    def advance(self, images):
        self.done += images


def error_output(patch, *, terminal):
    """The error output, from now on; pytest puts its own in place between a fixture and its test."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        patch.delenv(name, raising=False)
    patch.setenv("TERM", "xterm")
    patch.setattr(sys, "stderr", Terminal() if terminal else StringIO())
    return sys.stderr


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("progress", [None, True, False])
def test_a_bar_is_for_terminals(monkeypatch, terminal, progress):
    stream = error_output(monkeypatch, terminal=terminal)
    with shown(progress, 8) as bar:
        bar.advance(3)
    told = stream.getvalue()
    assert ("measuring" in told and "0/8" in told) is (terminal and progress is not False)
    with shown_training(progress, 9) as bar:
        bar.advance(3, loss=1.0, accuracy=0.5)
    assert ("0/9" in stream.getvalue()) is (terminal and progress is not False)
    assert terminal or stream.getvalue() == ""


def test_without_error_output_there_is_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with shown(None, 8) as bar:
        bar.advance(3)


def test_an_object_of_the_callers_counts(monkeypatch):
    stream, mine = error_output(monkeypatch, terminal=True), Counted()
    with shown(mine, None) as bar:
        bar.advance(2)
    with shown_training(mine, 8) as bar:
        bar.advance(3, loss=1.0, accuracy=0.5)
    assert mine.done == 5 and stream.getvalue() == ""


def test_anything_else_is_told(monkeypatch):
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(OptionError, match=r"^progress=3 is neither None, .* an object with advance\(images\)"):
            shown(3, 8).__enter__()
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
