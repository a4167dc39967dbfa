"""Several values after one option, and options in the singular or the plural."""

import pytest

from equiscope.commands.main import command_line

CASES = {
    "several values": ("x --layers a b --limit 3", {"names": ["a", "b"], "limit": 3}),
    "each after its own": ("x --layers a --layers b", {"names": ["a", "b"]}),
    "before the argument": ("--layers a b x", {"names": ["a", "b"]}),
    "one, before the argument": ("--layers a x --limit 3", {"names": ["a"], "limit": 3}),
    "of two options": ("x --layers a b --measures linear invariance", {"names": ["a", "b"], "measures": 2}),
    "of two, before the argument": ("--transformations flips --layers a b x", {"transformations": ["flips"]}),
    "with an equals sign": ("x --layers=a b", {"names": ["a", "b"]}),
    "an option of one value": ("--limit 3 x", {"limit": 3}),
    "a negative number": ("x --seed -1 --layers a", {"seed": -1, "names": ["a"]}),
    "a flag": ("--resume x --layers a", {"resume": True, "names": ["a"]}),
    "after the end of options": ("--layers a b -- x", {"names": ["a", "b"]}),
    "singular": ("x --layer a --transformation flips --measure linear --scope image --strides a=2", {"names": ["a"]}),
    "families by comma": ("x --transformations flips,shifts:1,2", {"transformations": ["flips,shifts:1,2"]}),
}


@pytest.fixture(scope="module")
def measure():
    return command_line().get_command(None, "measure")


@pytest.mark.parametrize("case", CASES)
def test_a_command_is_read(measure, case):
    typed, expected = CASES[case]
    found = measure.make_context("measure", typed.split()).params
    assert found["model"] == "x"
    found["measures"] = len(found["measures"])
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("typed", ["--layers a b", "x --limit 3 4", "x y", "--layers", "-- x y"])
def test_what_is_too_much_or_too_little_is_refused(measure, typed):
    with pytest.raises(Exception, match="Got unexpected|requires an argument|'a'|Missing"):
        assert measure.make_context("measure", typed.split()).params["model"] == "'a'"


@pytest.mark.parametrize(
    ("command", "option"), [(one, spelling) for one in ("measure", "plot") for spelling in ("transformation", "scope",
                            "measure", "layer")]
)  # fmt: skip
def test_singular_and_plural_are_taken_on_every_command(command, option):
    names = {name for one in command_line().get_command(None, command).params for name in one.opts}
    assert {f"--{option}", f"--{option}s"} <= names
