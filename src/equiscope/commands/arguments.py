"""What the command line's options say, in a language of their own: families, shifts, strides, layouts, pairs.

All raise a ValueError, in one sentence with an example, where a text is none of it.
"""

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from equiscope.functional.transformations import Family


def pixels_of(text: str | None) -> list[int] | None:
    """The shifts of `--shifts`.

    >>> pixels_of("1-3,8")
    [1, 2, 3, 8]
    """
    if text is None:
        return None
    found: list[int] = []
    for one in text.split(","):
        if (match := re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", one)) is None:
            raise ValueError(f"--shifts {text!r} is no list of pixels; give for example 1,2,4 or 1-32.")
        found.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


def by_model_of(option: str, given: Iterable[str] | None) -> dict[str, str]:
    """What is told of each network, as `MODEL=VALUE`."""
    found = {}
    for one in given or ():
        model, equals, value = one.rpartition("=")
        if not (model and equals and value):
            raise ValueError(f"{option} {one!r} is not MODEL=VALUE.")
        found[model] = value
    return found


def pairs_of(option: str, given: Iterable[str] | None) -> dict[str, str]:
    """The values of `KEY=VALUE`."""
    found = {}
    for one in given or ():
        key, equals, value = one.partition("=")
        if not (key and equals and value):
            raise ValueError(f"{option} {one!r} is not KEY=VALUE.")
        found[key] = value
    return found


def percents_of(given: Iterable[str] | None) -> dict[str, float]:
    """What is told of networks' accuracies, as `MODEL=PERCENT`."""
    found = {}
    for model, value in by_model_of("--accuracy", given).items():
        if re.fullmatch(r"\d+(\.\d*)?", value) is None or float(value) > 100:
            raise ValueError(f"--accuracy '{model}={value}' is no accuracy in per cent; give for example {model}=76.1.")
        found[model] = float(value)
    return found


def families_of(given: Iterable[str]) -> "list[Family]":
    """The families that are meant by `rotations`, `flips`, `d4`, `identity` and `shifts:1,2,4,8`."""
    import equiscope as es

    named = {"rotations": es.rotations, "flips": es.flips, "d4": es.d4, "identity": es.identity}
    families = []
    for text in given:
        name, _, offsets = text.partition(":")
        if name == "shifts":
            families.append(es.shifts([_offset(offset, text) for offset in offsets.split(",")]))
        elif text in named:
            families.append(named[text]())
        else:
            raise ValueError(
                f"--transformations {text!r} is not known; it is one of {', '.join(named)}, or shifts with their "
                "pixels, as in shifts:1,2,4,8."
            )
    return families


def _offset(text: str, family: str) -> tuple[int, int]:
    numbers = text.split(":")
    try:
        down, right = map(int, numbers * 2 if len(numbers) == 1 else numbers)
    except ValueError:
        message = (
            f"--transformations {family!r} holds {text!r}, but a shift is a whole number of pixels or a pair "
            "DOWN:RIGHT of them; write shifts:1,2,4,8 or shifts:3:0,0:-2."
        )
        raise ValueError(message) from None
    return down, right


def strides_of(given: Iterable[str]) -> dict[str, int]:
    """Pixels from cell to cell by layers' names or globs, of `GLOB=N`."""
    strides = {}
    for text in given:
        glob, _, pixels = text.rpartition("=")
        if not glob or not pixels.isdecimal():
            raise ValueError(f"--stride {text!r} is not a layer and its pixels; write --stride 'blocks.*=16'.")
        strides[glob] = int(pixels)
    return strides


def layouts_of(given: Iterable[str]) -> dict[str, str]:
    """Layouts by layers' names or globs, of `GLOB=LAYOUT`."""
    layouts = {}
    for text in given:
        glob, _, its = text.rpartition("=")
        if not glob or not its:
            raise ValueError(
                f"--layout {text!r} is not a layer and its layout; write --layout 'blocks.*=tokens:14x14+1'."
            )
        layouts[glob] = its
    return layouts


def values_of(option: str, text: str | None) -> list[float] | None:
    """The numbers of `a,b,c`."""
    if text is None:
        return None
    try:
        return [float(value) for value in text.split(",")]
    except ValueError:
        message = f"{option} {text!r} is not a number for each channel; write {option} 0.485,0.456,0.406."
        raise ValueError(message) from None


def as_path(model: str) -> str:
    """A network's name as that of a folder.

    >>> as_path("timm:resnet18.a1_in1k"), as_path("my nets/net.py:small")
    ('timm-resnet18.a1_in1k', 'net.py-small')
    """
    return re.sub(r"[^\w.-]+", "-", PurePath(model).name).strip(".-")
