"""A mistake in an option is told in the spelling of whoever gave it."""

import pytest

from equiscope.system.errors import OptionError, cause_of, known


@pytest.mark.parametrize(
    ("sentence", "values", "in_python", "on_command_line"),
    [
        ("{seed}{given} is negative.", {"given": -1}, "seed=-1 is negative.", "--seed -1 is negative."),
        ("{strides}{given!r} is none.", {"given": "0"}, "strides='0' is none.", "--stride '0' is none."),
        ("{resume} needs {checkpoint}F.", {}, "resume=True needs checkpoint=F.", "--resume needs --checkpoint F."),
        ("No {name!r} in {batch_size}1.", {"name": "{a}"}, "No '{a}' in batch_size=1.", "No '{a}' in --batch-size 1."),
    ],
)  # fmt: skip
def test_an_option_is_spelled_for_python_and_for_the_command_line(sentence, values, in_python, on_command_line):
    error = OptionError(sentence, **values)
    assert isinstance(error, ValueError)
    assert (str(error), error.on_command_line()) == (in_python, on_command_line)


def test_a_value_that_is_not_known_is_told_with_those_that_are():
    assert known("fill", "zero", ("zero", "wrap")) == "zero"
    with pytest.raises(OptionError, match="^fill='black' is not known; it is one of zero, wrap.$") as refusal:
        known("fill", "black", ("zero", "wrap"))
    assert refusal.value.on_command_line() == "--fill 'black' is not known; it is one of zero, wrap."


def test_the_innermost_cause_is_told_with_its_path():
    def raised(inner, outer):
        outer.__cause__ = inner
        return outer

    broken = FileNotFoundError(2, "No such file or directory", "data/train.parquet")
    assert (
        cause_of(raised(broken, RuntimeError("generating failed"))) == "data/train.parquet: No such file or directory"
    )
    bytes_path = PermissionError(13, "Permission denied", b"data/\xff.png")
    assert cause_of(raised(bytes_path, ValueError("wrapped"))) == "data/\\xff.png: Permission denied"
    assert cause_of(raised(ValueError("not a footer.\n  at line 3"), OSError("wrapped"))) == "ValueError: not a footer"
    assert cause_of(OSError(28, "No space left on device")) == "No space left on device"
    assert cause_of(ValueError("")) == "ValueError"
    circle = ValueError("one")
    circle.__cause__ = circle
    assert cause_of(circle) == "ValueError: one"
