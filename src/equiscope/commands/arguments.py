"""What the texts of options mean, where they have a language of their own: families, strides, layouts, numbers.

All raise a ValueError, in one sentence with an example, where a text is not of that language.
"""

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equiscope.functional.transformations import Family


def families_of(given: Iterable[str], **of_shifts: Any) -> "list[Family]":
    """The families that texts such as `rotations,shifts:1,2` and `rot90` name; a transformation is one of its own.

    `of_shifts` are the options of `equiscope.shifts`.
    """
    from equiscope.functional.transformation_names import named
    from equiscope.measurement import plan

    return plan.families_of([one for text in given for one in named(text, **of_shifts)])


def strides_of(given: Iterable[str]) -> dict[str, Any]:
    """Pixels between neighbouring positions by layers' names or globs, of `GLOB=N` or `GLOB=DOWN:RIGHT`.

    >>> strides_of(["blocks.*=16", "stem=2:4", "up=1/2"])
    {'blocks.*': 16, 'stem': (2, 4), 'up': '1/2'}
    """
    strides: dict[str, Any] = {}
    number = r"(\d+(?:/\d+|\.\d*)?|\.\d+)"
    for text in given:
        glob, _, pixels = text.rpartition("=")
        match = re.fullmatch(f"{number}(?::{number})?", pixels)
        if not glob or match is None:
            raise ValueError(
                f"--stride {text!r} is not a layer and its pixels; write --stride 'blocks.*=16' or --stride 'up=1/2'."
            )
        down, right = (int(one) if one.isdigit() else one for one in (match[1], match[2] or match[1]))
        strides[glob] = down if match[2] is None else (down, right)
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
