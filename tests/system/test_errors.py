"""A mistake in an option is told in the spelling of whoever gave it."""

import pytest

from equiscope.system.errors import OptionError, known


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
