"""What is written on the terminal: whole in a pipe, plain, and on the right stream."""

import json
import re
from io import StringIO

import pytest
from rich.console import Console

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
