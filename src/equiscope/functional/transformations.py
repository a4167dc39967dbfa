"""`T_g`: rotations, flips and shifts of images, each with the sampling `T'_g` of feature maps that belongs to it."""

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from math import floor
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from equiscope.functional.sampling import Along, Axes, Sampling, rearranged
from equiscope.system.errors import OptionError, known, out_of_memory

Images = Float[Tensor, "image channel height width"]
Stride = tuple[Any, Any]  # pixels between neighbouring positions, down and right: whole numbers or `Fraction`s
OnPositions = Callable[[int, int, Stride | None], Sampling | None]

FILLS = ("zero", "reflect", "wrap", "crop")
SUBPIXELS = ("linear", "exact", "round")


@dataclass(frozen=True)
class Transformation:
    """One transformation `g`: its name, what it does to pixels, and where positions then get their values from.

    `on_pixels` takes images and gives images of the same shape. `on_positions(height, width, stride)` takes the size of
    a layer's map and its stride (pixels between neighbouring positions, down and right; None where it is not known),
    and gives the `Sampling` of the map, or None where the layer is left out.

    Write your own as `Transformation("negative", torch.neg, lambda height, width, stride: identity(height, width))`,
    with `identity` of `equiscope.functional.sampling`.
    """

    name: str
    on_pixels: Callable[[Tensor], Tensor]
    on_positions: OnPositions
    offset: tuple[int, int] | None = None  # pixels down and right, where the transformation is a shift
    fill: str = "zero"  # what enters at the border of a shift
    size: tuple[int, int] | None = None  # the window that a shift with fill="crop" moves
    subpixel: str = "linear"  # what a shift by part of a position does
    swaps_axes: bool = False  # so that it needs square images
    turns: bool = False  # it acts about the image's centre, so that a layer may have a centre of its own
    keeps_images: bool = False  # what it is given it leaves unchanged

    def sampling(self, height: int, width: int, stride: Stride | None) -> Sampling | None:
        """The sampling of maps of this size; ValueError where the transformation gives none that fits."""
        try:
            found = self.on_positions(height, width, stride)
        except OptionError:
            raise
        except Exception as error:  # a user's own may raise anything
            if self.keeps_images or out_of_memory(error):  # it is ours, or tells enough
                raise
            raise ValueError(f"{self.name} on its positions fails ({type(error).__name__}: {error})") from error
        if found is not None and not isinstance(found, Sampling):
            raise ValueError(
                f"{self.name} must give an equiscope.Sampling of its positions, or None; got {type(found).__name__}"
            )
        return found


@dataclass(frozen=True)
class Family:
    """Transformations whose mean score has a row of its own, under the family's name."""

    name: str
    transformations: tuple[Transformation, ...]


def _symmetry(
    name: str, quarters: int = 0, *, transposed: bool = False, up: bool = False, left: bool = False, turns: bool = True
) -> Transformation:
    return Transformation(
        name,
        partial(_turned, quarters=quarters, transposed=transposed, up=up, left=left),
        partial(_symmetric, quarters=quarters, transposed=transposed, up=up, left=left),
        swaps_axes=transposed or quarters % 2 == 1,
        turns=turns,
        keeps_images=True,
    )


def _turned(x: Tensor, *, quarters: int, transposed: bool, up: bool, left: bool) -> Tensor:
    """A function with a name, which can be pickled."""
    x = x.mT if transposed else x
    axes = [axis for axis, flipped in ((-2, up), (-1, left)) if flipped]
    x = x.flip(axes) if axes else x
    return torch.rot90(x, quarters, (-2, -1)) if quarters else x


def _symmetric(
    height: int, width: int, stride: Stride | None, *, quarters: int, transposed: bool, up: bool, left: bool
) -> Sampling:
    if quarters == 1:  # counter-clockwise: what was at the right is at the top
        return rearranged(height, width, transposed=True, up=True)
    if quarters == 3:
        return rearranged(height, width, transposed=True, left=True)
    return rearranged(height, width, transposed=transposed, up=up or quarters == 2, left=left or quarters == 2)


_IDENTITY = _symmetry("identity", turns=False)
_ROTATIONS = (_symmetry("rot90", 1), _symmetry("rot180", 2), _symmetry("rot270", 3))
_FLIPS = (_symmetry("hflip", left=True), _symmetry("vflip", up=True))
_TRANSPOSES = (_symmetry("transpose", transposed=True), _symmetry("antitranspose", transposed=True, up=True, left=True))

# The products h after g of the symmetries of the square, by what they do to the corners of one.
_CORNERS = {one.name: one.on_pixels(torch.arange(4).view(2, 2)).flatten() for one in
            (_IDENTITY, *_ROTATIONS, *_FLIPS, *_TRANSPOSES)}  # fmt: skip


def product(first: Transformation, second: Transformation) -> str | None:
    """The name of the transformation that `second` after `first` is; None where it is not known.

    >>> product(*rotations().transformations[:2]), product(*shifts([1, -3]).transformations)
    ('rot270', 'shift(-2,-2)')
    """
    if first.offset is not None and second.offset is not None:
        down, right = (a + b for a, b in zip(first.offset, second.offset, strict=True))
        return f"shift({down},{right})" if down or right else _IDENTITY.name
    if first.name not in _CORNERS or second.name not in _CORNERS or not (first.keeps_images and second.keeps_images):
        return None
    both = _CORNERS[first.name][_CORNERS[second.name]]
    return next(name for name, corners in _CORNERS.items() if torch.equal(corners, both))


def identity() -> Family:
    """The transformation that moves nothing; every defined channel scores 1."""
    return Family("identity", (_IDENTITY,))


def rotations() -> Family:
    """Counter-clockwise rotations by 90, 180 and 270 degrees."""
    return Family("rotations", _ROTATIONS)


def flips() -> Family:
    """Mirror images: left to right, and top to bottom."""
    return Family("flips", _FLIPS)


def d4() -> Family:
    """All seven symmetries of the square but the identity: rotations, flips, and the two transposes."""
    return Family("d4", _ROTATIONS + _FLIPS + _TRANSPOSES)


def shifts(
    offsets: Iterable[Any],
    *,
    fill: str = "zero",
    size: int | tuple[int, int] | None = None,
    subpixel: str = "linear",
) -> Family:
    """Shifts of the content by whole pixels: `d` for the diagonal `(d, d)`, or `(down, right)`; negative allowed.

    Args:
        offsets: The shifts in pixels.
        fill: What enters at the border: "zero" after normalisation, the image mirrored ("reflect") or from its other
            side ("wrap"); or "crop": the images given exceed the network's input by at least the span of the shifts,
            and a shift moves the window that the network sees.
        size: The window under "crop": `(height, width)`, or one number for both.
        subpixel: What a layer whose stride does not divide a shift does: interpolate ("linear"), leave the shift out
            ("exact"), or take the nearest position ("round").

    >>> [t.name for t in shifts([4, (3, 0), -2]).transformations]
    ['shift(4,4)', 'shift(3,0)', 'shift(-2,-2)']
    """
    if not isinstance(offsets, Iterable):
        raise ValueError(f"shifts() takes a list of shifts, such as shifts([1, 2, 4, 8]); got {offsets!r}.")
    given = list(offsets)
    if not given:
        raise ValueError("shifts() needs at least one shift, such as shifts([1, 2, 4, 8]).")
    members = tuple(shift(*_offset(value), fill=fill, size=size, subpixel=subpixel) for value in given)
    names = [member.name for member in members]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is given {names.count(name)} times; give every shift once.")
    return Family("shifts", members)


def _offset(value: Any) -> tuple[int, int]:
    try:
        down, right = value if isinstance(value, Sequence) else (value, value)
        if isinstance(down, bool) or isinstance(right, bool):
            raise TypeError
        return operator.index(down), operator.index(right)
    except (TypeError, ValueError):
        message = f"A shift is a whole number of pixels or a pair (down, right) of them; {value!r} is neither."
        raise ValueError(message) from None


def shift(
    down: int,
    right: int,
    *,
    fill: str = "zero",
    size: int | tuple[int, int] | None = None,
    subpixel: str = "linear",
) -> Transformation:
    """A shift by whole pixels, `(T X)[y, x] = X[y - down, x - right]`; its options are those of `shifts`."""
    down, right = _offset((down, right))
    known("fill", fill, FILLS)
    known("subpixel", subpixel, SUBPIXELS)
    window = _window_size(size, fill)
    return Transformation(
        name=f"shift({down},{right})",
        on_pixels=partial(shifted, down=down, right=right, fill=fill),
        on_positions=partial(_shifted_positions, down=down, right=right, subpixel=subpixel),
        offset=(down, right),
        fill=fill,
        size=window,
        subpixel=subpixel,
        keeps_images=True,
    )


def _window_size(size: int | tuple[int, int] | None, fill: str) -> tuple[int, int] | None:
    if size is None:
        if fill == "crop":
            raise OptionError("{fill}crop needs {size}(height, width), the window of the images that the network sees.")
        return None
    if fill != "crop":
        raise OptionError("{size}{given} is the window of {fill}crop, and {fill}{fill_given} was given.", given=size,
                          fill_given=fill)  # fmt: skip
    sides = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise OptionError(
            "{size}{given!r} must be a whole number of pixels, or a pair (height, width) of them.", given=size
        )
    return (sides[0], sides[1])


def _shifted_positions(
    height: int, width: int, stride: Stride | None, *, down: int, right: int, subpixel: str
) -> Sampling | None:
    if stride is None:
        raise ValueError("a shift needs the layer's stride")
    steps = [pixels / _ratio(per_position) for pixels, per_position in zip((down, right), stride, strict=True)]
    if subpixel == "exact" and not all(step.denominator == 1 for step in steps):
        return None
    if subpixel == "round":
        nearest = (floor(abs(step) + Fraction(1, 2)) for step in steps)  # halves away from zero
        steps = [Fraction(one if step >= 0 else -one) for one, step in zip(nearest, steps, strict=True)]
    return Axes(Along(height, 1, -float(steps[0])), Along(width, 1, -float(steps[1])))


def _ratio(stride: Any) -> Fraction:
    """A stride as a ratio of whole numbers, so that 4 pixels at stride 4/3 are 3 positions, and not nearly so.

    >>> 4 / _ratio(4 / 3)
    Fraction(3, 1)
    """
    return Fraction(stride).limit_denominator(10**6)


def about(transformation: Transformation, offset: tuple[float | int, float | int]) -> Transformation:
    """The transformation with its map moved afterwards by `offset` positions (down, right): about another centre."""

    def on_positions(height: int, width: int, stride: Stride | None) -> Sampling | None:
        sampling = transformation.on_positions(height, width, stride)
        return sampling.moved(*offset) if isinstance(sampling, Axes) else sampling

    return replace(transformation, on_positions=on_positions)


@dataclass(frozen=True)
class Frame:
    """The window of the images that the network sees, and where it goes under a shift that crops."""

    top: int
    left: int
    height: int
    width: int

    def original(self, images: Images) -> Tensor:
        """The images as they are."""
        return self._window(images, 0, 0)

    def transformed(self, transformation: Transformation, images: Images) -> Tensor:
        """The images transformed; a shift that crops moves the window the other way."""
        if transformation.fill == "crop" and transformation.offset is not None:
            down, right = transformation.offset
            return self._window(images, -down, -right)
        original = self.original(images)
        if transformation.keeps_images:
            return transformation.on_pixels(original)
        try:
            changed = transformation.on_pixels(original.clone())
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # the user's own may raise anything
            raise ValueError(
                f"{transformation.name} cannot be applied to images ({type(error).__name__}: {error})."
            ) from error
        if not isinstance(changed, Tensor) or changed.shape != original.shape:
            kind = type(changed).__name__
            given = f"shape {list(changed.shape)}" if isinstance(changed, Tensor) else f"type {kind}"
            raise ValueError(
                f"{transformation.name} makes images of {given} of images of shape {list(original.shape)}; it must "
                "keep their shape."
            )
        return changed

    def _window(self, images: Images, down: int, right: int) -> Tensor:
        top, left = self.top + down, self.left + right
        return images[..., top : top + self.height, left : left + self.width]


def frame(image: tuple[int, int], transformations: Sequence[Transformation]) -> Frame:
    """The frame of images of this size: the whole image, or a window in it that every shift that crops can move.

    The windows lie centrally in the image. ValueError where they do not fit, or differ in size.
    """
    cropping = [one for one in transformations if one.fill == "crop" and one.offset is not None]
    sizes = sorted({one.size for one in cropping if one.size is not None})
    if not sizes:
        return Frame(0, 0, image[0], image[1])
    if len(sizes) > 1:
        raise OptionError(
            "Shifts that crop must share one {size}(height, width); got {given}.", given=" and ".join(map(str, sizes))
        )
    size, corner = sizes[0], list[int]()
    for axis, (least, most) in enumerate(_extremes(cropping)):
        spare = image[axis] - size[axis] - (most - least)
        if spare < 0:
            raise OptionError(
                "{fill}crop with a window of {window} and shifts over {span} pixels needs images at least {needed} "
                "{side}; these are {given}.",
                window=f"{size[0]} x {size[1]}", span=most - least, needed=size[axis] + most - least,
                side=("high", "wide")[axis], given=f"{image[0]} x {image[1]}",
            )  # fmt: skip
        corner.append(spare // 2 + most)
    return Frame(corner[0], corner[1], *size)


def spans(families: Iterable[Family]) -> tuple[int, int]:
    """By how many pixels, down and right, images must exceed the window that these shifts move ("crop").

    >>> spans([shifts([4, (-2, 1)]), rotations()])
    (6, 4)
    """
    members = [member for family in families for member in family.transformations]
    (top, bottom), (left, right) = _extremes(members)
    return bottom - top, right - left


def _extremes(transformations: Iterable[Transformation]) -> list[tuple[int, int]]:
    """The least and the most that any shift moves, and no shift, on each axis."""
    offsets = [(0, 0), *(one.offset for one in transformations if one.offset is not None)]
    return [(min(along), max(along)) for along in zip(*offsets, strict=True)]


def shifted(images: Images, down: int, right: int, fill: str = "zero") -> Images:
    """Images whose content is moved by whole pixels.

    >>> shifted(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 0, 1).tolist()
    [[[[0.0, 1.0, 2.0]]]]
    >>> shifted(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 0, 1, fill="reflect").tolist()
    [[[[2.0, 1.0, 2.0]]]]
    """
    for axis, distance in ((-2, down), (-1, right)):
        images = _shifted_along(images, axis, distance, fill)
    return images


def _shifted_along(images: Tensor, axis: int, distance: int, fill: str) -> Tensor:
    size = images.shape[axis]
    source = torch.arange(size, device=images.device) - distance
    if fill == "wrap":
        return images.index_select(axis, source % size)
    if fill == "reflect":
        folded = source.abs()
        return images.index_select(axis, torch.minimum(folded, 2 * (size - 1) - folded))
    moved = torch.zeros_like(images)
    kept = max(size - abs(distance), 0)
    target = moved.narrow(axis, max(distance, 0), kept)
    target.copy_(images.narrow(axis, max(-distance, 0), kept))
    return moved
