"""How an option is declared: once, with the sentence that documents it."""

from collections.abc import Sequence
from dataclasses import field
from typing import Any


def option(default: Any, help: str, *, metavar: str = "", choices: Sequence[str] = ()) -> Any:
    """A dataclass field with the sentence that documents it, in Python's reference and on the command line alike."""
    return field(default=default, metadata={"help": help, "metavar": metavar, "choices": tuple(choices)})
