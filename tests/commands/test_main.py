"""The command line as a whole: its commands, its help, its exit statuses, and what it does not import."""

import inspect
import re
import subprocess
import sys
from importlib.metadata import EntryPoint, version

import pytest
import torch
import typer

import equiscope as es
from equiscope.commands import main as command_line
from equiscope.functional.transformations import FILLS, SUBPIXELS
from equiscope.measurement.options import NEGATIVES, PRECISIONS, SIMILARITIES
from equiscope.results.columns import ALIGNMENTS, MEASURES, SCOPES
from terminal import equiscope

DAILY = ["measure", "layers", "models", "report", "plot", "compare", "losses", "metrics"]
GUESTS = ["audit", "figure", "study"]


def test_daily_commands_come_before_those_of_other_packages():
    group = command_line.command_line()
    names = group.list_commands(typer.Context(group))
    assert names[: len(DAILY)] == DAILY and sorted(names[len(DAILY) :]) == GUESTS
    text = equiscope("--help").out
    places = [text.index(f"│ {name} ") for name in DAILY + GUESTS]
    assert max(places[: len(DAILY)]) < min(places[len(DAILY) :])


@pytest.mark.parametrize("columns", [80, 100])
def test_help_begins_with_examples_and_breaks_no_line(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    group = command_line.command_line()
    for name in DAILY + GUESTS:
        answer = equiscope(name, "--help")
        assert answer.status == 0 and f"    equiscope {name}" in answer.out
        assert equiscope(name, "-h") == answer
        assert max(map(len, answer.out.splitlines())) <= columns and "<" not in answer.out  # no type of Python's
        shown = [line.strip("│ ") for line in answer.out.splitlines()]
        for line in re.sub(r"\[/?bold\]", "", group.get_command(None, name).help).splitlines():
            assert line.strip() in shown, name
        options = [one for one in group.get_command(None, name).params if one.param_type_name == "option"]
        assert {one.opts[0] for one in options} <= {line.split(" ")[0] for line in shown}
        assert not [line for line in shown if line.endswith("-") or "…" in line]
    summaries = [line for line in equiscope("--help").out.splitlines() if line.startswith("│ ") and "--" not in line]
    assert len(summaries) == len(DAILY + GUESTS)  # a line for each command


def test_what_people_need_first_stands_first():
    panels = re.split(r"╭─ (.*?) ─*╮", equiscope("measure", "--help").out)[1:]
    assert panels[0::2][:2] == ["Arguments", "Options"]
    assert all(panel.startswith("Advanced: ") for panel in panels[0::2][2:])
    first = re.findall(r"│ (--[\w-]+)", panels[3])
    known = ["--images", "--limit", "--transformations", "--layers", "--weights", "--name", "--device", "--output"]
    assert first == [*known, "--help"]


def test_help_lists_every_choice():
    words = equiscope("measure", "--help").out.replace("│", " ").split()
    words = {word.strip(".,:;()") for word in words}
    choices = (MEASURES, SCOPES, SIMILARITIES, NEGATIVES, FILLS, SUBPIXELS, ALIGNMENTS, PRECISIONS)
    assert {choice for known in choices for choice in known} <= words


def test_commands_have_no_more_than_ten_parameters():
    for command in command_line.DAILY:
        assert len(inspect.signature(command).parameters) <= 10, command


def test_no_arguments_show_the_help():
    assert equiscope() == equiscope("--help")


def test_the_version_is_the_installed_one():
    assert equiscope("--version") == (0, f"equiscope {version('equiscope')}\n", "")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["mesure", "x"], "No such command 'mesure'. Did you mean 'measure'?"),
        (["studi"], "No such command 'studi'. Did you mean 'study'"),
        (["measure"], "Missing argument 'MODEL'"),
        (["measure", "x", "--layr", "2"], "No such option: --layr"),
    ],
)
def test_what_is_misspelt_is_told_in_one_sentence(typed, words):
    answer = equiscope(*typed)
    assert answer.status == 2 and answer.out == ""
    assert answer.err.startswith("Error: ") and words in answer.err and answer.err.count("\n") == 1


def test_help_completions_and_mistakes_import_nothing_heavy():
    program = """
import os, sys
from equiscope.commands.main import main
for typed in ("", "measure --help", "plot --help", "study --help", "measure x --layr 2", "mesure",
              "measure x --similarity dot", "measure x --precision int8", "measure x --stride 2"):
    sys.argv = ["equiscope", *typed.split()]
    main()
    assert not {"torch", "pandas", "matplotlib", "scipy"} & set(sys.modules), typed
os.environ |= {"_EQUISCOPE_COMPLETE": "complete_bash", "COMP_WORDS": "equiscope measure x --similarity c",
               "COMP_CWORD": "4"}
try:
    main()
finally:
    assert not {"torch", "pandas", "matplotlib", "scipy"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("cosine\n") or done.stdout.endswith("cosine")


def test_another_process_gives_the_same_answer():
    process = subprocess.run([sys.executable, "-m", "equiscope", "mesure", "x"], capture_output=True, text=True)
    assert (process.returncode, process.stdout, process.stderr) == equiscope("mesure", "x")
    assert process.returncode == 2


@pytest.mark.usefixtures("inside", "undrawn")
@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        (KeyboardInterrupt(), 130, ["nothing was written"]),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), 2, ["memory", "--batch-size"]),
        (ZeroDivisionError("division\nby zero"), 1, ["ZeroDivisionError: division by zero", "EQUISCOPE_TRACEBACK=1"]),
    ],
)
def test_what_no_argument_caused_is_a_sentence_too(monkeypatch, place, raised, status, words):
    def broken(*given, **named):
        raise raised

    monkeypatch.setattr(es, "measure", broken)
    monkeypatch.setattr(es, "estimate", broken)
    arguments = ("measure", "my code/net.py:small", "--images", "pictures", "--size", "32", "--output", "x", "--quiet")
    answer = equiscope(*arguments)
    assert answer.status == status and answer.out == ""
    assert answer.err.startswith("Error: ") and answer.err.count("\n") == 1
    assert all(word in answer.err for word in words)
    assert not (place / "x").exists()
    if status == 1:
        monkeypatch.setenv("EQUISCOPE_TRACEBACK", "1")
        with pytest.raises(type(raised)):
            equiscope(*arguments)


def test_commands_of_other_packages_are_found_by_entry_points(monkeypatch, tmp_path):
    (tmp_path / "guest.py").write_text(
        "from dataclasses import dataclass, field\n"
        "@dataclass(frozen=True)\nclass Options:\n    '''The guest. Its options.'''\n"
        "    most: int = field(default=1, metadata={'help': 'The most.'})\n"
        "def greet(options: Options) -> None:\n    '''Greet.'''\n    print('hello', options.most)\n"
        "def layers(options: Options) -> None:\n    '''Ours goes first.'''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint(name, f"guest:{name}", "equiscope.commands") for name in ("greet", "layers")]
    monkeypatch.setattr(command_line, "entry_points", lambda group: points)
    assert equiscope("greet", "--most", "3") == (0, "hello 3\n", "")
    text = equiscope("--help").out
    assert "Commands of guest" in text and "Greet." in text and "Ours goes first." not in text
