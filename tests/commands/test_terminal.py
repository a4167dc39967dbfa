"""What is written on the terminal: whole in a pipe, plain, and on the right stream."""

import json
import os
import re
import shlex
import subprocess
import sys
from errno import ENOSPC, EPIPE
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from rich.console import Console

from equiscope.commands.main import main
from equiscope.commands.terminal import as_json, note, readable, table, tables
from example import example_scores


def test_a_table_in_a_pipe_is_as_wide_as_it_is(capsys):
    wide = table("name", "number", numbers=["number"])
    wide.add_row("x" * 300, "1")
    tables().print(wide)
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split() == ["x" * 300, "1"] and "\x1b" not in out and err == ""


def test_notes_are_lines_on_the_error_output(capsys):
    note(["[bold] " + "word " * 40, ":smile:"])
    assert capsys.readouterr() == ("", f"Note: [bold] {'word ' * 40}\nNote: :smile:\n")


def test_json_is_strict():
    assert json.loads(as_json({"a": [1, None]})) == {"a": [1, None]}
    with pytest.raises(ValueError):
        as_json(float("nan"))


def test_bars_are_read_without_colour_and_without_utf_8():
    class Ascii(StringIO):
        encoding = "ascii"

    text, out = str(example_scores()), Ascii()
    plain = Console(file=out, width=10_000)
    plain.print(readable(text, plain))
    assert out.getvalue().isascii() and re.search(r"early +#*=*-*\.+ +0\.", out.getvalue())
    coloured = Console(force_terminal=True, color_system="truecolor", file=StringIO())
    with coloured.capture() as shown:
        coloured.print(readable(text, coloured), soft_wrap=True)
    assert "\x1b[38;2" in shown.get() and re.sub(r"\x1b\[[\d;]*m", "", shown.get()) == f"{text}\n"


# --- terminals that show less, or nothing


def run(command, **environment):
    """What a shell leaves of a command line in which `equiscope` is ours."""
    ours = f"{shlex.quote(sys.executable)} -m equiscope"
    command = f"set -o pipefail; {command.replace('equiscope', ours, 1)}"
    return subprocess.run(["bash", "-c", command], env=os.environ | environment, capture_output=True)


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ("equiscope --help | head -n 1", {}),
        ("equiscope --help >&-", {}),
        ("equiscope --help <&- >&- 2>&-", {}),
        ("equiscope measure --help", {"PYTHONIOENCODING": "ascii", "COLUMNS": "20", "TERM": "dumb", "NO_COLOR": "1"}),
    ],
)
def test_the_exit_status_is_that_of_the_work_wherever_the_output_leads(command, environment):
    answer = run(command, **environment)
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert b"\x1b" not in answer.stdout


def test_a_failure_is_told_with_its_status_where_nobody_listens():
    assert run("equiscope compare nowhere at-all 2>&-").returncode == 2
    answer = run("equiscope compare größe at-all", PYTHONIOENCODING="ascii")
    assert answer.returncode == 2 and b"gr??e is no result" in answer.stderr


class Failing(TextIOWrapper):
    """A stream that takes a few signs, and then fails."""

    def __init__(self, error, encoding="utf-8"):
        super().__init__(BytesIO(), encoding=encoding)
        self.error, self.left = error, 5

    def write(self, text):
        self.left -= len(text)
        if self.error is not None and self.left < 0:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize(
    ("stream", "note"),
    [
        (lambda: Failing(None, "latin-1"), ""),
        (lambda: Failing(None, "ascii"), ""),
        (lambda: Failing(BrokenPipeError(EPIPE, "Broken pipe")), ""),
        (lambda: Failing(OSError(ENOSPC, "No space left on device")), "(No space left on device)"),
    ],
)
@pytest.mark.usefixtures("inside", "undrawn", "measurements")
def test_a_result_that_cannot_be_shown_is_written_all_the_same(tmp_path, monkeypatch, capsys, stream, note):
    out = stream()
    asked = ["measure", "my code/net.py:small", "--images", "good", "--size", "32", "--output", str(tmp_path / "größe")]
    monkeypatch.setattr(sys, "argv", ["equiscope", *asked])
    monkeypatch.setattr(sys, "stdout", out)
    assert main() == 0 and sys.stdout is out
    assert (tmp_path / "größe" / "manifest.json").exists()
    err = capsys.readouterr().err
    assert note in err and err.count("could be written") == bool(note) and "Error" not in err
    if out.error is None:
        out.flush()
        shown = out.buffer.getvalue().decode(out.encoding)
        assert "3 images" in shown and ("größe" in shown) == (out.encoding == "latin-1")


SMALL = ("my code/net.py:small", "--images", "good", "--size", "32")
COMMANDS = {
    "measure": (*SMALL, "--output", "{}/größe ☃"),
    "layers": ("my code/net.py:small", "--size", "32"),
    "models": (),
    "report": ("{}/one", "{}/two", "--output", "{}/größe.html"),
    "plot": ("{}/one", "--output", "{}/größe.png"),
    "compare": ("{}/one", "{}/two", "--output", "{}/größe"),
    "metrics": (*SMALL, "--only", "agreement", "--transformations", "hflip", "--output", "{}/größe.csv"),
}
TERMINALS = {
    "ASCII alone": (lambda: Failing(None, "ascii"), lambda: Failing(None, "ascii")),
    "closed": (lambda: None, lambda: None),
    "nobody reads": (lambda: Failing(BrokenPipeError(EPIPE, "Broken pipe")), lambda: Failing(None)),
    "nobody reads notes": (lambda: Failing(None), lambda: Failing(BrokenPipeError(EPIPE, "Broken pipe"))),
    "full": (lambda: Failing(OSError(ENOSPC, "No space left on device")), lambda: Failing(OSError(ENOSPC, "No space"))),
    "closed by a library": (lambda: closed(Failing(None)), lambda: closed(Failing(None))),
}


def closed(stream):
    stream.close()
    return stream


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("inside", "undrawn", "measurements")
def test_whatever_the_terminal_is_every_command_does_its_work(tmp_path, monkeypatch, command):
    for seed, name in enumerate(("one", "two")):
        example_scores(layers=2, model=name, seed=seed).save(tmp_path / name)
    for name, value in {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "40"}.items():
        monkeypatch.setenv(name, value)
    asked = [one.format(tmp_path) for one in COMMANDS[command]]
    for number, (terminal, (out, err)) in enumerate(TERMINALS.items()):
        force = ["--force"] if number and command in ("measure", "compare") else []
        monkeypatch.setattr(sys, "argv", ["equiscope", command, *asked, *force])
        monkeypatch.setattr(sys, "stdout", out())
        monkeypatch.setattr(sys, "stderr", err())
        assert main() == 0, terminal
        if "--output" in asked:
            (written,) = [path for path in tmp_path.iterdir() if path.name.startswith("größe")]
            if written.is_file():
                written.unlink()
        sys.stdout.close()
        sys.stderr.close()
