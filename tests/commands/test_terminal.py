"""What is written on the terminal: whole in a pipe, plain, and on the right stream."""

import json

import pytest

from equiscope.commands.terminal import as_json, note, table, tables


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
