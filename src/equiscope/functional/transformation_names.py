"""Transformations by their names, as they stand in tables: `rotations`, `rot90`, `shifts:1,2,4,8`, `shift(3,0)`."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from equiscope.functional.transformations import (
    Family,
    Transformation,
    d4,
    flips,
    identity,
    rotations,
    shift,
    shifts,
)
from equiscope.system.errors import OptionError

FAMILIES: Mapping[str, Callable[[], Family]] = {
    "rotations": rotations, "flips": flips, "d4": d4, "identity": identity,
}  # fmt: skip
SINGLE: Mapping[str, Transformation] = {one.name: one for one in d4().transformations}

_NEXT = re.compile(r",(?=\s*[A-Za-z])")  # a comma before a name; before a number it belongs to the shifts
_SHIFT = re.compile(r"shift\(\s*(-?\d+)\s*,\s*(-?\d+)\s*\)")


def named(text: str, **of_shifts: Any) -> list[Family | Transformation]:
    """The families and transformations that a text names, separated by commas.

    A family is `rotations`, `flips`, `d4`, `identity`, or `shifts:` with pixels: `1` for the diagonal, `3:0` for down
    and right. A transformation is `rot90`, `rot180`, `rot270`, `hflip`, `vflip`, `transpose`, `antitranspose` or
    `shift(3,0)`. `of_shifts` are the options of `shifts`. `OptionError` where a name is not known.

    >>> [one.name for one in named("rotations,shifts:1,2,hflip")]
    ['rotations', 'shifts', 'hflip']
    """
    return [_one(name.strip(), text, of_shifts) for name in _NEXT.split(text)]


def _one(name: str, text: str, of_shifts: Mapping[str, Any]) -> Family | Transformation:
    if name in FAMILIES:
        return FAMILIES[name]()
    if name in SINGLE:
        return SINGLE[name]
    if single := _SHIFT.fullmatch(name):
        return shift(int(single[1]), int(single[2]), **of_shifts)
    if name.startswith("shifts:"):
        return shifts([_offset(one, text) for one in name.removeprefix("shifts:").split(",")], **of_shifts)
    raise OptionError(
        "{transformations}{given!r} is not known; it is one of {names}, or shifts with their pixels, as in "
        "shifts:1,2,4,8.",
        given=name, names=", ".join([*FAMILIES, *SINGLE]),
    )  # fmt: skip


def _offset(one: str, text: str) -> tuple[int, int]:
    """The pixels, down and right, of `1` (the diagonal) or `3:0`."""
    numbers = one.split(":")
    try:
        down, right = map(int, numbers * 2 if len(numbers) == 1 else numbers)
    except ValueError:
        raise OptionError(
            "{transformations}{text!r} holds {given!r}, but a shift is a whole number of pixels or a pair DOWN:RIGHT "
            "of them; write shifts:1,2,4,8 or shifts:3:0,0:-2.",
            text=text, given=one,
        ) from None  # fmt: skip
    return down, right
