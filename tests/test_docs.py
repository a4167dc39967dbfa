"""The documentation: its Python runs, its commands are commands, its tables are those of the code, its site is whole.

A Python block runs in its page's namespace, in order, in a folder of its own. What it prints must be what the `text`
block after it says. What a page needs of the reader's is made in a comment that begins `<!-- setup:`. What takes long
is replaced in one that begins `<!-- stand-in:`; output below it is of other data, and is not compared.
"""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import typer

import equiscope as es
from equiscope.commands.arguments import families_of, layouts_of, strides_of, values_of
from equiscope.commands.main import command_line
from equiscope_studies.commands import pairs_of, pixels_of
from terminal import equiscope

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(page for page in DOCS.rglob("*.md") if page.name != "page.md")]
BLOCK = re.compile(
    r"^```(?P<kind>[^\n]*)\n(?P<code>.*?)^```$|^<!-- (?P<hidden>setup|stand-in): [^\n]+\n(?P<made>.*?)^-->$",
    re.M | re.S,
)
HIDDEN = ("setup", "stand-in")
CLOSE = 0.02  # how far a number that is printed may lie from the one on the page, on another machine
RUN = ("layers efficientnet-lite0", "layers my_model.py:build", "measure my_model.py:build --size 32 --mean", "models")
VALUES = {  # options whose values have a language of their own
    "transformations": families_of,
    "strides": strides_of,
    "layouts": layouts_of,
    "mean": lambda text: values_of("--mean", text),
    "std": lambda text: values_of("--std", text),
    "shifts": pixels_of,
    "override": lambda given: pairs_of("--set", given),
    "cluster_options": lambda given: pairs_of("--cluster-option", given),
}
COMMANDS = {  # other programs, and what is checked of their arguments
    "make": lambda target: re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M),
    "pip": lambda command, what: command == "install" and _extras(what) <= _extras(_known_extras()),
    "python": lambda file, *_: (ROOT / file).is_file(),
}


class Block(NamedTuple):
    """One block of a page: its kind (the fence's word, setup or stand-in), what stands in it, and where."""

    kind: str
    code: str
    line: int


def blocks(page):
    text = page.read_text()
    assert text.count("\n```") % 2 == 0, f"{page.name} has a fence that does not end"
    found = [
        Block(one["hidden"] or one["kind"], one["made"] or one["code"], text[: one.start()].count("\n") + 1)
        for one in BLOCK.finditer(text)
    ]
    assert text.count("```") == 2 * sum(block.kind not in HIDDEN for block in found), f"{page.name}: an odd fence"
    return found


def name_of(page):
    return str(page.relative_to(ROOT))


def pages_with(*kinds):
    return [
        pytest.param(page, id=name_of(page)) for page in PAGES if {block.kind for block in blocks(page)} & set(kinds)
    ]


@pytest.mark.parametrize("page", [pytest.param(page, id=name_of(page)) for page in PAGES])
def test_every_block_is_of_a_kind_that_is_run_or_is_what_one_prints(page):
    assert {block.kind for block in blocks(page)} <= {"python", "sh", "text", *HIDDEN}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("page", pages_with("python"))
def test_python_runs_and_prints_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names, stood_in, printed = {"__name__": "page"}, False, None
    for block in blocks(page):
        if block.kind == "text" and printed is not None and not stood_in:
            assert_alike(printed, block.code, f"{page.name}:{block.line}")
        printed = None
        if block.kind in ("python", *HIDDEN):
            stood_in |= block.kind == "stand-in"
            code = compile("\n" * block.line + block.code, page.name, "exec")
            with redirect_stdout(StringIO()) as out:
                exec(code, names)
            printed = out.getvalue()
        elif block.kind == "sh":
            for words in commands(block.code):
                if words[0] == "equiscope" and " ".join(words[1:]).startswith(RUN):
                    answer = equiscope(*words[1:])
                    assert answer.status == 0, answer.err
                    printed = answer.out


def assert_alike(printed, said, where):
    """The same words, and numbers that are close."""
    numbers = r"-?\d*\.\d+"
    assert re.sub(numbers, "0", printed).split() == re.sub(numbers, "0", said).split(), where
    pairs = zip(re.findall(numbers, printed), re.findall(numbers, said), strict=True)
    assert all(abs(float(one) - float(other)) <= CLOSE for one, other in pairs), where


@pytest.mark.parametrize("page", pages_with("sh"))
def test_commands_are_commands(page):
    for block in blocks(page):
        for words in commands(block.code) if block.kind == "sh" else ():
            program, *arguments = words
            if program == "equiscope":
                assert_parses(arguments)
            else:
                assert program in COMMANDS, f"{page.name}: {shlex.join(words)}"
                assert COMMANDS[program](*arguments), f"{page.name}: {shlex.join(words)}"


def commands(script):
    """The commands of a block as words; what starts equiscope in another program is a command of equiscope's."""
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    for line in script.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):  # variables of the environment
            words.pop(0)
        if words:
            yield words[words.index("-m") + 1 :] if "-m" in words else words


def assert_parses(arguments):
    """The command line's own parser takes these arguments, and their values mean something."""
    group = command_line()
    context = group.make_context("equiscope", list(arguments), resilient_parsing=False)
    name, command, rest = group.resolve_command(context, arguments) if arguments[0] != "--help" else ("", None, [])
    if command is not None:
        given = command.make_context(name, rest, parent=context).params
        for option, read in VALUES.items():
            if given.get(option):
                read(given[option])


def _extras(text):
    return set(re.findall(r"[a-z]+", text.partition("[")[2]))


def _known_extras():
    return "[" + ",".join(re.findall(r"^([a-z]+) = \[", (ROOT / "pyproject.toml").read_text(), re.M)) + "]"


def test_every_option_is_looked_at():
    with pytest.raises(typer.TyperException):
        assert_parses(["measure", "efficientnet-lite0", "--no-such-option"])
    with pytest.raises(ValueError, match="no list of pixels|a shift is a number of pixels"):
        assert_parses(["measure", "efficientnet-lite0", "--transformations", "shifts:1-8"])


def test_the_tables_of_the_output_folder_are_told_column_by_column():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    scores = es.measure(network, torch.randn(4, 3, 8, 8), transformations=es.rotations())
    sections = dict(
        re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", (DOCS / "reference" / "output.md").read_text(), re.M | re.S)
    )
    tables = {name for name in sections if isinstance(getattr(scores, name, None), type(scores.scores))}
    assert tables >= {"scores", "parts", "channels", "layers", "replicates"}
    for name in tables:
        told = [column for row in _first_cells(sections[name]) for column in row]
        assert told == list(getattr(scores, name).columns), name
    told = {key for row in _first_cells(sections["manifest"]) for key in row}
    assert told == set(scores.manifest)


def _first_cells(section):
    return [re.findall(r"`([^`]+)`", row.split("|")[1]) for row in section.splitlines() if row.startswith("| `")]


def test_every_page_of_results_has_its_line():
    index = (DOCS / "results" / "index.md").read_text()
    assert set(re.findall(r"\]\(([\w-]+)/page\.md\)", index)) == {
        page.parent.name for page in DOCS.glob("results/*/page.md")
    }


@pytest.mark.slow  # the tutorial's page, which is run by every test, is the same
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    notebook = nbformat.read(DOCS / "notebook.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "stored outputs are of one run"
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()


def test_the_site_is_whole_and_fetches_nothing(tmp_path):
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        pytest.skip("the site's builder is not installed; pip install 'equiscope[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(
            r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)|<link[^>]+href="(https?:[^"]+)', page.read_text()
        )
        assert not fetched, (page, fetched)
    reference = (tmp_path / "reference" / "python.html").read_text()
    assert all(f".{name}" in reference for name in es.__all__)
    options = (tmp_path / "reference" / "command-line.html").read_text()
    group = command_line()
    for command in (group.get_command(None, name) for name in group.list_commands(None)):
        assert all(option in options for one in command.params for option in one.opts if option.startswith("--"))
    assert "<math" in (tmp_path / "method.html").read_text()
    assert json.loads((tmp_path / "search" / "search_index.json").read_text())["docs"]
