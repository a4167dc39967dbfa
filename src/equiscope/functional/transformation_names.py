"""Transformations by their names: `rotations`, `rot90`, `rotations:15`, `shifts:1,2,4,8`, `shift(3,0)`, ..."""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from equiscope.functional.affine import affine, rotation, rotations, scaling, scalings
from equiscope.functional.transformations import Family, Transformation, d4, flips, identity, shift, shifts
from equiscope.functional.warped import Number
from equiscope.system.errors import OptionError

FAMILIES: Mapping[str, Callable[[], Family]] = {
    "rotations": rotations, "flips": flips, "d4": d4, "identity": identity,
}  # fmt: skip
SINGLE: Mapping[str, Transformation] = {one.name: one for one in d4().transformations}

_NEXT = re.compile(r",(?=\s*[A-Za-z])")  # a comma before a name; before a number it belongs to what is before it
_NUMBER = r"\s*-?(?:\d+(?:/\d+|\.\d*)?|\.\d+)\s*"
_SHIFT = re.compile(rf"shift\(({_NUMBER}),({_NUMBER})\)")
_ROTATION = re.compile(rf"rot(?:ation:?)?({_NUMBER})")
_SCALING = re.compile(rf"scaling(?::({_NUMBER})|\(({_NUMBER})\))")
_AFFINE = re.compile(rf"affine\(({_NUMBER}(?:,{_NUMBER}){{3}}(?:(?:,{_NUMBER}){{2}})?)\)")


def named(text: str, **of_shifts: Any) -> list[Family | Transformation]:
    """The families and transformations that a text names, separated by commas.

    A family is `rotations`, `flips`, `d4`, `identity`; `rotations:` with an angle; `scalings:` with factors; or
    `shifts:` with pixels: `1` for the diagonal, `3:0` for down and right. Numbers may be fractions, such as `1/2`. A
    transformation is `rot90`, `rot30` (or `rotation:30`), `hflip`, `vflip`, `transpose`, `antitranspose`,
    `scaling(1.25)` (or `scaling:1.25`), `shift(3,0)` or `affine(1,0.25,0,1)`, row by row. `of_shifts` are the options
    of `shifts`, of which the others take `fill`. `OptionError` where a name is not known.

    >>> [one.name for one in named("rotations:15,shifts:1,2,rotation:30,scalings:1.25,1/2")]
    ['rotations', 'shifts', 'rot30', 'scalings']
    """
    return [_one(name.strip(), text, of_shifts) for name in _NEXT.split(text)]


def _one(name: str, text: str, of_shifts: Mapping[str, Any]) -> Family | Transformation:
    of_others = {key: value for key, value in of_shifts.items() if key == "fill"}
    family, colon, numbers = name.partition(":")
    if name in FAMILIES:
        return FAMILIES[name]()
    if name in SINGLE:
        return SINGLE[name]
    if match := _SHIFT.fullmatch(name):
        return shift(*map(_number, match.groups()), **of_shifts)
    if match := _ROTATION.fullmatch(name):
        return rotation(_number(match[1]), **of_others)
    if match := _SCALING.fullmatch(name):
        return scaling(_number(match[1] or match[2]), **of_others)
    if match := _AFFINE.fullmatch(name):
        values = [_number(one) for one in match[1].split(",")]
        return affine([values[: len(values) // 2], values[len(values) // 2 :]], **of_others)
    if colon and family in _OF_NUMBERS:
        return _OF_NUMBERS[family](numbers, text, of_shifts if family == "shifts" else of_others)
    raise OptionError(
        "{transformations}{given!r} is not known; it is one of {names}, or shifts with their pixels, as in "
        "shifts:1,2,4,8, rotations:15, rot30, scalings:1.25,1/2 or affine(1,0.25,0,1).",
        given=name, names=", ".join([*FAMILIES, *SINGLE]),
    )  # fmt: skip


def _number(text: str) -> Number:
    """A number or a fraction of whole numbers; ValueError of what is neither."""
    try:
        return float(Fraction(text.strip()))
    except ZeroDivisionError:
        raise ValueError(f"{text.strip()} is no number; a fraction cannot be over 0.") from None


def _rotations(angle: str, text: str, options: Mapping[str, Any]) -> Family:
    try:
        every = _number(angle)
    except ValueError:
        raise OptionError(
            "{transformations}{text!r} holds {given!r}, which is no angle; write rotations:15.", text=text, given=angle
        ) from None
    return rotations(every, **options)


def _scalings(factors: str, text: str, options: Mapping[str, Any]) -> Family:
    try:
        found = [_number(one) for one in factors.split(",")]
    except ValueError:
        raise OptionError(
            "{transformations}{text!r} holds {given!r}, but a scaling is a factor, such as 1.25 or 1/2; write "
            "scalings:1.25,2,1/2.",
            text=text, given=factors,
        ) from None  # fmt: skip
    return scalings(found, **options)


def _shifts(offsets: str, text: str, options: Mapping[str, Any]) -> Family:
    return shifts([_offset(one, text) for one in offsets.split(",")], **options)


def _offset(one: str, text: str) -> tuple[Number, Number]:
    """The pixels, down and right, of `1` (the diagonal) or `3:0`."""
    numbers = one.split(":")
    try:
        down, right = map(_number, numbers * 2 if len(numbers) == 1 else numbers)
    except ValueError:
        raise OptionError(
            "{transformations}{text!r} holds {given!r}, but a shift is a number of pixels or a pair DOWN:RIGHT "
            "of them; write shifts:1,2,4,8 or shifts:3:0,0:-2.",
            text=text, given=one,
        ) from None  # fmt: skip
    return down, right


_OF_NUMBERS: Mapping[str, Callable[[str, str, Mapping[str, Any]], Family]] = {
    "rotations": _rotations, "scalings": _scalings, "shifts": _shifts,
}  # fmt: skip
