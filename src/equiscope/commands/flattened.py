"""Commands that take dataclasses: each field becomes an option, with the words that the field carries.

Typer reads options from the parameters of a function only. The parsers that read dataclasses (cyclopts, tyro,
jsonargparse) come with completions, help and errors of their own; building a signature keeps those that users know.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, is_dataclass
from inspect import Parameter, Signature, cleandoc, signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import typer

from equiscope.commands.completion import words
from equiscope.commands.spelling import spelled_otherwise
from equiscope.system.files import path_of

KINDS = (bool, Path, float, int, str)  # of a field of several types, the first is what its text is read as


def option(
    default: Any,
    help: str,
    *,
    metavar: str = "",
    choices: Sequence[str] = (),
    words: Sequence[str] = (),
    shown: str | None = None,
    either: bool = False,
    commas: bool = False,
) -> Any:
    """A field as `equiscope.system.options.option` makes it, with other words that complete it and a default shown.

    `either`: the option is taken in the singular and in the plural, as are those of several values. `commas`: its
    values may be separated by commas, which is left to whoever reads them.
    """
    known = {"help": help, "metavar": metavar, "choices": tuple(choices)}
    more = {"words": tuple(words), "shown": shown, "either": either, "commas": commas}
    return field(default=default, metadata=known | more)


@dataclass(frozen=True)
class Options:
    """How a dataclass becomes options, where its fields do not say: `Annotated[Scoring, Options("What is measured")]`.

    Attributes:
        panel: The options' heading in the help. None: the first sentence of the dataclass's docstring.
        first: The fields whose options stand before all panels, for they are those that people need first.
        spelled: The option of a field, where it is not the field's name.
        read: What makes a field's value of the texts given.
        fixed: The values of fields that are no options.
    """

    panel: str | None = None
    first: Collection[str] = ()
    spelled: Mapping[str, str] = field(default_factory=dict)
    read: Mapping[str, Callable[[list[str]], Any]] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def parameters(self, kind: type) -> list[Parameter]:
        """A parameter for each field that is an option."""
        panel = self.panel or cleandoc(kind.__doc__ or "").partition(".")[0]
        hints = get_type_hints(kind)
        return [
            _parameter(one, hints[one.name], self.spelled.get(one.name, ""), None if one.name in self.first else panel)
            for one in fields(kind)
            if one.name not in self.fixed
        ]

    def value(self, kind: type, given: dict[str, Any]) -> Any:
        """The dataclass of what was given for its fields, which is taken out of `given`."""
        values = dict(self.fixed)
        for one in fields(kind):
            if one.name not in self.fixed:
                values[one.name] = self._value(one, given.pop(one.name))
        return kind(**values)

    def _value(self, one: "Field[Any]", given: Any) -> Any:
        """The value of a field, of what was given for its option."""
        if one.default is True:
            return not given
        return self._several(one, given) if isinstance(given, list) else given

    def _several(self, one: "Field[Any]", texts: list[str]) -> Any:
        """The value of an option that may be given several times."""
        if one.metadata.get("choices"):
            texts = [part.strip() for text in texts for part in text.split(",")]
        return self.read.get(one.name, tuple)(texts) if texts else one.default


def flattened(command: Callable[..., None]) -> Callable[..., None]:
    """The command with options in place of its dataclasses, as Typer takes it."""
    hints, dataclasses = get_type_hints(command, include_extras=True), _dataclasses_of(command)
    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        if name in dataclasses:
            kind, options = dataclasses[name]
            parameters += options.parameters(kind)
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY))

    def called(**given: Any) -> None:
        command(**arguments_of(command, given))

    called.__name__, called.__doc__, called.__module__ = command.__name__, command.__doc__, command.__module__
    called.__annotations__ = {}  # typer would take these for the options' types
    vars(called)["__signature__"] = Signature(parameters)
    return called


def arguments_of(command: Callable[..., None], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the command itself is called with, of the values that Typer read of its options."""
    left = {name: _expanded(value) for name, value in given.items()}
    values = {name: options.value(kind, left) for name, (kind, options) in _dataclasses_of(command).items()}
    return left | values


def _dataclasses_of(command: Callable[..., None]) -> dict[str, tuple[type, Options]]:
    """The parameters of a command that are dataclasses, and how each becomes options."""
    found = {}
    for name, hint in get_type_hints(command, include_extras=True).items():
        kind, *notes = get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
        if is_dataclass(kind) and isinstance(kind, type):
            found[name] = kind, next((one for one in notes if isinstance(one, Options)), Options())
    return found


def _expanded(value: Any) -> Any:
    """A path, or each of several, as it is meant; the shell leaves `--output=~/out` as it is."""
    if isinstance(value, list | tuple):
        return [_expanded(one) for one in value]
    return path_of(value) if isinstance(value, Path) else value


def _parameter(one: "Field[Any]", hint: Any, spelled: str, panel: str | None) -> Parameter:
    """The parameter that makes typer read a field of this type; what is on by default is an option to do without."""
    metadata, default = one.metadata, one.default
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    several = any(get_origin(member) is not None for member in members)  # a sequence or a mapping
    kind: Any = list[str] if several else next(kind for kind in KINDS if kind in members)
    name = spelled or metadata.get("spelled") or f"--{one.name.replace('_', '-')}"
    names, text, choices = [name], str(metadata["help"]), metadata.get("choices", ())
    if several:
        commas = choices or metadata.get("commas")
        text += f" Takes several, separated by spaces{' or commas' if commas else ''}."
        default = list(default) if isinstance(default, tuple) else default
    if several or metadata.get("either"):
        names.append(spelled_otherwise(name))
    if default is True:
        names, text, default = [f"--no-{one.name.replace('_', '-')}"], f"Without {text}", False
    completed = choices or metadata.get("words", ())
    info = typer.Option(
        default,
        *names,
        metavar="" if kind is bool else metadata.get("metavar") or None,
        help=text,
        rich_help_panel=panel,
        show_default=metadata.get("shown") or not (default is None or default is False),
        autocompletion=words(completed) if completed else None,
    )
    annotation = kind | None if NoneType in members else kind
    return Parameter(one.name, Parameter.KEYWORD_ONLY, default=info, annotation=annotation)
