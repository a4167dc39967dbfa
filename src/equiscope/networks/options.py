"""The options about a network's layers, declared, documented and checked once; they need no torch."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from equiscope.system.errors import OptionError
from equiscope.system.options import option

# Pixels from position to position: a whole number or a ratio of small ones, such as 0.5, "4/3".
Pixels = int | float | str | Fraction
Stride = Pixels | tuple[Pixels, Pixels]  # on both axes, or down and right

TOKENS = re.compile(r"tokens:(\d+)x(\d+)(?:\+(\d+))?(?:\+(\d+))?")  # rows, columns, tokens before, tokens after


@dataclass(frozen=True)
class Layers:
    """Which layers are measured, and what shapes do not tell of them.

    A name or glob means modules: `*` stops at a dot, `**` does not.

    >>> Layers("blocks.*", strides={"blocks.0": 4}).names
    ('blocks.*',)
    """

    names: str | Sequence[str] | None = option(
        None,
        "Only these layers, by name or glob: * stops at a dot, ** does not. Default: the network's blocks, the output "
        "of its global pooling and its final vector.",
        metavar="GLOB",
    )
    strides: Mapping[str, Stride] | None = option(
        None,
        "Pixels from position to position of a layer, by its name or glob, where they do not follow from its shape: a "
        "whole number, or a ratio such as 1/2 or 4/3; a pair is (down, right).",
        metavar="GLOB=N",
    )
    layouts: Mapping[str, str] | None = option(
        None,
        "How the features of a layer lie, by its name or glob: nchw, nhwc, ncwh, vector or tokens:14x14+1 (rows, "
        "columns, tokens before).",
        metavar="GLOB=LAYOUT",
    )
    pool: str | None = option(
        None, "The module whose output is the globally pooled vector. Default: found.", metavar="NAME"
    )
    default: Sequence[str] | None = option(
        None, "Names or globs of the network's feature maps, in place of its blocks.", metavar="GLOB"
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", _checked_names("layers", self.names))
        object.__setattr__(self, "default", _checked_names("default", self.default))
        for name, given in (("strides", self.strides), ("layouts", self.layouts)):
            if given is not None and not isinstance(given, Mapping):
                raise OptionError(
                    "{" + name + "}{given!r} must be a dict, with the names or globs of layers as its keys.",
                    given=given,
                )
        for pattern, stride in (self.strides or {}).items():
            _check_stride(pattern, stride)
        if self.strides is not None:
            object.__setattr__(self, "strides", {pattern: _written(one) for pattern, one in self.strides.items()})
        for pattern, text in (self.layouts or {}).items():
            _check_layout(pattern, text)

    @classmethod
    def of(cls, layers: "str | Sequence[str] | Layers | None") -> "Layers":
        """The options that `layers=` stands for: a name, a glob or a list of them is the layers' names."""
        return layers if isinstance(layers, Layers) else cls(names=layers)


def _checked_names(name: str, given: Any) -> tuple[str, ...] | None:
    """Names or globs as a tuple. `OptionError` where they are none."""
    listed = (given,) if isinstance(given, str) else given
    if listed is None:
        return None
    if not isinstance(listed, Sequence) or not listed or not all(isinstance(one, str) for one in listed):
        raise OptionError(
            "{" + name + "}{given!r} names no layers; give a name, a glob or a list of them, or None for its own.",
            given=given,
        )
    return tuple(listed)


def ratios_of(stride: Stride) -> "tuple[int | Fraction, int | Fraction]":
    """A stride down and right, exactly: a whole number as it is, a part of one as a ratio of small whole numbers.

    ValueError or TypeError where it is none.

    >>> ratios_of(2), ratios_of(0.5), ratios_of(("4/3", 1.3333))
    ((2, 2), (Fraction(1, 2), Fraction(1, 2)), (Fraction(4, 3), Fraction(4, 3)))
    """
    down, right = stride if isinstance(stride, tuple) else (stride, stride)
    return _ratio(down), _ratio(right)


def _ratio(pixels: Pixels) -> int | Fraction:
    if isinstance(pixels, bool):
        raise TypeError
    exact = Fraction(pixels)
    ratio = exact.limit_denominator(64)
    if ratio <= 0 or abs(ratio - exact) > exact / 1000:
        raise ValueError
    return ratio.numerator if ratio.denominator == 1 else ratio


def _check_stride(pattern: str, stride: Any) -> None:
    try:
        ratios_of(stride)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        message = (
            f"The stride of layer {pattern!r} is {stride!r}; it must be a number of pixels above 0, such as 2, 0.5 or "
            "'4/3', or a pair (down, right) of them."
        )
        raise ValueError(message) from None


def _written(stride: Stride) -> Stride:
    """The same, as JSON can hold it."""
    if isinstance(stride, tuple):
        return tuple(str(one) if isinstance(one, Fraction) else one for one in stride)  # type: ignore[return-value]
    return str(stride) if isinstance(stride, Fraction) else stride


def _check_layout(pattern: str, text: Any) -> None:
    if not isinstance(text, str):
        raise ValueError(f"The layout of layer {pattern!r} is {text!r}; it must be a text such as 'nhwc'.")
    if text not in ("nchw", "nhwc", "ncwh", "vector") and not TOKENS.fullmatch(text):
        raise ValueError(
            f"Layout {text!r} is not known; write nchw, nhwc, ncwh, vector, or tokens:14x14+1 (rows, columns, tokens "
            "before)."
        )
