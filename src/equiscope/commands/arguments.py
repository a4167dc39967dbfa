"""What the texts of options mean, where they have a language of their own: families, strides, layouts, numbers.

All raise a ValueError, in one sentence with an example, where a text is not of that language.
"""

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equiscope.functional.transformations import Family

FAMILIES = ("rotations", "flips", "d4", "identity")


def families_of(given: Iterable[str], **of_shifts: Any) -> "list[Family]":
    """The families that `rotations`, `flips`, `d4`, `identity` and `shifts:1,2,4,8` mean.

    `of_shifts` are the options of `equiscope.shifts`.
    """
    import equiscope as es

    named = [(text, offsets_of(text)) for text in given]
    return [es.shifts(offsets, **of_shifts) if offsets is not None else getattr(es, text)() for text, offsets in named]


def offsets_of(text: str) -> list[tuple[int, int]] | None:
    """The pixels, down and right, of a family of shifts; None for another family.

    >>> offsets_of("shifts:1,0:-2"), offsets_of("flips")
    ([(1, 1), (0, -2)], None)
    """
    name, _, offsets = text.partition(":")
    if name == "shifts":
        return [_offset(offset, text) for offset in offsets.split(",")]
    if text not in FAMILIES:
        raise ValueError(
            f"--transformations {text!r} is not known; it is one of {', '.join(FAMILIES)}, or shifts with their "
            "pixels, as in shifts:1,2,4,8."
        )
    return None


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


def strides_of(given: Iterable[str]) -> dict[str, int | tuple[int, int]]:
    """Pixels between neighbouring positions by layers' names or globs, of `GLOB=N` or `GLOB=DOWN:RIGHT`.

    >>> strides_of(["blocks.*=16", "stem=2:4"])
    {'blocks.*': 16, 'stem': (2, 4)}
    """
    strides: dict[str, int | tuple[int, int]] = {}
    for text in given:
        glob, _, pixels = text.rpartition("=")
        match = re.fullmatch(r"(\d+)(?::(\d+))?", pixels)
        if not glob or match is None:
            raise ValueError(f"--stride {text!r} is not a layer and its pixels; write --stride 'blocks.*=16'.")
        strides[glob] = int(match[1]) if match[2] is None else (int(match[1]), int(match[2]))
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
