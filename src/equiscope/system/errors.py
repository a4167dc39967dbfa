"""Errors that name an option as the caller writes it, in Python or on the command line."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

# What has another spelling on the command line than its own name.
_ON_COMMAND_LINE = {
    "no_intervals": "--no-intervals",
    "force": "--force",
    "resume": "--resume",
    "transformations": "--transformations ",
    "strides": "--stride ",
    "layouts": "--layout ",
}
_IN_PYTHON = {"no_intervals": "intervals=False", "force": "force=True", "resume": "resume=True"}


class OptionError(ValueError):
    """What is wrong with an option, in one sentence.

    A name in braces stands for the option and what precedes its value: `{batch_size}0` reads `batch_size=0` in Python
    and `--batch-size 0` on the command line. All other braces are filled from `values`.

    >>> error = OptionError("{batch_size}{given} is not a positive number of images.", given=0)
    >>> str(error), error.on_command_line()
    ('batch_size=0 is not a positive number of images.', '--batch-size 0 is not a positive number of images.')
    """

    def __init__(self, sentence: str, **values: Any) -> None:
        self._sentence, self._values = sentence, values
        super().__init__(self._spelled(lambda name: _IN_PYTHON.get(name, f"{name}="), "{{{key!r}: {value}}}"))

    def on_command_line(self) -> str:
        """The sentence in the spelling of the command line."""
        return self._spelled(lambda name: _ON_COMMAND_LINE.get(name, f"--{name.replace('_', '-')} "), "'{key}={value}'")

    def _spelled(self, option: Callable[[str], str], pair: str) -> str:
        values = {
            name: pair.format(key=value.key, value=value.value) if isinstance(value, KeyValue) else value
            for name, value in self._values.items()
        }
        return self._sentence.format_map(_Filled(values, option))


def cause_of(error: BaseException) -> str:
    """The innermost cause of an error, on one line: its kind, its first line, and the path it is about.

    Libraries wrap what went wrong in errors of their own, which tell less the further out they are.

    >>> try:
    ...     open("nowhere/at all")
    ... except OSError as error:
    ...     cause_of(error)
    'nowhere/at all: No such file or directory'
    """
    innermost, seen = error, {id(error)}
    while (inner := innermost.__cause__) is not None and id(inner) not in seen:
        innermost = inner
        seen.add(id(inner))
    if isinstance(innermost, OSError) and innermost.strerror:
        path = innermost.filename
        return innermost.strerror if path is None else f"{_text(path)}: {innermost.strerror}"
    line = next((line.strip() for line in str(innermost).splitlines() if line.strip()), "").rstrip(".")
    return f"{type(innermost).__name__}: {line}".removesuffix(": ")


def _text(path: Any) -> str:
    return path.decode(errors="backslashreplace") if isinstance(path, bytes) else str(path)


class KeyValue(NamedTuple):
    """A value of an option that takes pairs: `{'layer': 2}` in Python, `'layer=2'` on the command line."""

    key: str
    value: str


class _Filled(dict[str, Any]):
    def __init__(self, values: dict[str, Any], spelling: Callable[[str], str]) -> None:
        super().__init__(values)
        self._spelling = spelling

    def __missing__(self, name: str) -> str:
        return self._spelling(name)


def known(option: str, value: Any, values: Iterable[Any]) -> Any:
    """`value`, if it is one of `values`; else an `OptionError` that lists them.

    >>> known("similarity", "cosine", ("pearson", "cosine"))
    'cosine'
    """
    choices = list(values)
    if value not in choices:
        sentence = "{" + option + "}{given!r} is not known; it is one of {choices}."
        raise OptionError(sentence, given=value, choices=", ".join(map(str, choices)))
    return value


def out_of_memory(error: BaseException) -> bool:
    """Whether an error is for want of memory, on whatever device.

    >>> out_of_memory(MemoryError()), out_of_memory(RuntimeError("not enough memory: you tried to allocate 8 bytes"))
    (True, True)
    """
    kinds = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return kinds or any(words in str(error) for words in ("not enough memory", "can't allocate memory"))
