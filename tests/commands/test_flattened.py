"""Dataclasses as options: names, types, defaults, help and completions come from the fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.main import get_command

from equiscope.commands.flattened import Options, flattened, option


@dataclass(frozen=True)
class Thing:
    """The thing. What it is made of."""

    colours: Sequence[str] | None = option(None, "Its colours.", metavar="NAME", choices=("red", "green"))
    sizes: Sequence[str] = option(("s", "m"), "Its sizes.", words=("s", "m", "l"))
    weight: float | int | None = option(None, "Its weight.", metavar="KG", shown="as it is")
    count: int = option(0, "How many.")
    file: str | Path | None = option(None, "A file.")
    soft: bool = option(False, "Whether it gives way.")
    shadow: bool = option(True, "a shadow.")
    parts: Mapping[str, int] | None = option(None, "Its parts.")
    hidden: int = option(3, "Not an option.")


@dataclass(frozen=True)
class Foreign:
    """Made elsewhere."""

    most: int = field(default=7, metadata={"help": "The most.", "spelled": "--at-most"})


def read_parts(texts):
    return {text: len(text) for text in texts}


THING = Options(
    "Things",
    first=("weight", "not there"),
    spelled={"parts": "--part"},
    read={"parts": read_parts},
    fixed={"hidden": 5},
)


@pytest.fixture
def run():
    """What a command got of the arguments."""
    app, got = typer.Typer(), {}

    @app.command()
    @flattened
    def command(
        name: Annotated[str, typer.Argument(help="A name.")], thing: Annotated[Thing, THING], foreign: Foreign,
        loud: Annotated[bool, typer.Option("--loud")] = False,
    ) -> None:  # fmt: skip
        """Do it."""
        got.update(name=name, thing=thing, foreign=foreign, loud=loud)

    built = get_command(app)

    def call(*arguments):
        built(list(arguments), standalone_mode=False)
        return got

    call.options = {one.name: one for one in built.params}
    call.help = built.help
    return call


def test_what_is_not_given_is_the_default_of_the_field(run):
    assert run("x") == {"name": "x", "thing": Thing(hidden=5), "foreign": Foreign(), "loud": False}


def test_what_is_given_has_the_type_of_the_field(run):
    thing = run(
        "x", "--colours", "red,green", "--colour", "red", "--sizes", "a,b", "--sizes", "c", "--weight", "1.5",
        "--count", "2", "--file", "f", "--soft", "--no-shadow", "--part", "door", "--at-most", "9", "--loud",
    )["thing"]  # fmt: skip
    assert thing == Thing(("red", "green", "red"), ("a,b", "c"), 1.5, 2, Path("f"), True, False, {"door": 4}, 5)


@pytest.mark.parametrize("arguments", [["--hidden", "1"], ["--count", "two"], ["--shadow"], ["--colors", "red"]])
def test_what_is_no_option_or_no_value_of_one_is_refused(run, arguments):
    with pytest.raises(typer.TyperException):
        run("x", *arguments)


def test_the_words_of_an_option_are_those_of_the_field(run):
    options = run.options
    assert run.help == "Do it."
    assert options["colours"].help == "Its colours. Takes several, separated by spaces or commas."
    assert options["sizes"].help == "Its sizes. Takes several, separated by spaces."
    assert options["sizes"].opts == ["--sizes", "--size"] and options["count"].opts == ["--count"]
    assert options["shadow"].help == "Without a shadow." and options["shadow"].opts == ["--no-shadow"]
    assert (options["weight"].metavar, options["weight"].show_default) == ("KG", "as it is")
    assert options["count"].show_default is True and options["file"].show_default is False
    assert {options[name].rich_help_panel for name in ("colours", "parts")} == {"Things"}
    assert options["weight"].rich_help_panel is None
    assert options["most"].rich_help_panel == "Made elsewhere"


@pytest.mark.parametrize(("name", "words"), [("colours", ["red"]), ("sizes", []), ("count", [])])
def test_choices_and_words_complete_an_option(run, name, words):
    option = run.options[name]
    found = option.shell_complete(None, "r")
    assert [one.value for one in found if one.type == "plain"] == words
