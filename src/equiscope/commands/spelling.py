"""How a command may be typed: several values after one option, and an option in the singular or the plural."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from typer.core import TyperCommand


def spelled_otherwise(option: str) -> str:
    """The singular of an option's plural, and the other way round.

    >>> spelled_otherwise("--layers"), spelled_otherwise("--scope")
    ('--layer', '--scopes')
    """
    return option.removesuffix("s") if option.endswith("s") else f"{option}s"


class Command(TyperCommand):
    """A command that takes several values after one option, and shows one spelling of each option in its help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, as click parses them when each value follows an option of its own."""
        taking = {
            name: bool(getattr(one, "multiple", False))
            for one in self.params
            for name in one.opts
            if name.startswith("-") and not getattr(one, "is_flag", False)
        }
        wanted = any(one.param_type_name == "argument" for one in self.params)
        return super().parse_args(ctx, one_value_each(args, taking, wanted=wanted))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What the usage line holds: arguments, then options."""
        pieces = [piece.replace("...}...", "}...") for piece in super().collect_usage_pieces(ctx)]
        return sorted(pieces, key=lambda piece: piece == self.options_metavar)

    def get_params(self, ctx: Any) -> list[Any]:
        """The arguments and options, without types where their names tell them."""
        return untyped(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help, each option by its first name."""
        with _first_names(self.params):
            super().format_help(ctx, formatter)


def untyped(parameters: Sequence[Any]) -> list[Any]:
    """The same parameters; of arguments, and of options that take no value, the help shows no type."""
    for one in parameters:
        if one.param_type_name == "argument" or getattr(one, "is_flag", False):
            vars(one)["display_type_rich"] = _no_type
    return list(parameters)


def _no_type(ctx: Any) -> None:
    return None


def one_value_each(words: Sequence[str], taking: Mapping[str, bool], *, wanted: bool) -> list[str]:
    """The same command with the option repeated before each of several values.

    `taking` are the options that take a value, and whether several. A command whose argument stands nowhere else
    (`wanted`: there is one) has it as the last of the first such values.

    >>> one_value_each(["net", "--layers", "a", "b", "--size", "8"], {"--layers": True, "--size": False}, wanted=True)
    ['net', '--layers', 'a', '--layers', 'b', '--size', '8']
    >>> one_value_each(["--layers", "a", "b", "net"], {"--layers": True}, wanted=True)
    ['--layers', 'a', '--layers', 'b', 'net']
    """
    found: list[str] = []
    further: list[list[int]] = [[]]  # where in `found` options are repeated, a list for each run of values
    option: str | None = None  # whose values may go on
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word.startswith("-") and word != "-":
            name, equals, _ = word.partition("=")
            option = name if taking.get(name) else None
            further.append([])
            value = waiting if word == "--" else waiting[: name in taking and not equals]
            wanted = wanted and not (word == "--" and value)
            found += [word, *value]
            del waiting[: len(value)]
        elif option is not None:
            further[-1].append(len(found))
            found += [option, word]
        else:
            wanted = False
            found.append(word)
    several = next(filter(None, further), [])
    if wanted and several:
        del found[several[-1]]
    return found


@contextmanager
def _first_names(parameters: Sequence[Any]) -> Iterator[None]:
    """While open, options are known by their first names alone."""
    names = [one.opts for one in parameters]
    try:
        for one in parameters:
            one.opts = one.opts[:1]
        yield
    finally:
        for one, its in zip(parameters, names, strict=True):
            one.opts = its
