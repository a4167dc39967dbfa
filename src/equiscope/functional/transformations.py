"""`T_g`: rotations, flips and shifts of images, each with the sampling `T'_g` of feature maps that belongs to it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from math import ceil, floor, isfinite
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from equiscope.functional.resampled import moved_between
from equiscope.functional.sampling import Along, Axes, Sampling, rearranged
from equiscope.functional.warped import AffineMap, Number, Vector, Warped
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
    offset: Vector | None = None  # pixels down and right, where the transformation is a shift
    map: AffineMap | None = None  # of pixels about the image's centre, where it is affine, but for shifts
    fill: str = "zero"  # what enters at the border
    size: tuple[int, int] | None = None  # the window that a shift with fill="crop" moves
    subpixel: str = "linear"  # what a shift by part of a position does
    swaps_axes: bool = False  # so that it needs square images
    turns: bool = False  # it acts about the image's centre, so that a layer may have a centre of its own
    keeps_images: bool = False  # what it is given it leaves unchanged

    @property
    def rearranges(self) -> bool:
        """Whether it moves the positions of any square grid to others, as far as is known; a shift does not."""
        return self.offset is None and (self.map is None or self.map.rearranges)

    @property
    def needs_stride(self) -> bool:
        """Whether what it does on a layer depends on the pixels between positions."""
        return bool(self.offset) or (self.map is not None and any(self.map.move))

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
        map=AffineMap.rotation(90 * quarters).after(_mirrored(transposed=transposed, up=up, left=left)),
        swaps_axes=transposed or quarters % 2 == 1,
        turns=turns,
        keeps_images=True,
    )


def _mirrored(*, transposed: bool, up: bool, left: bool) -> AffineMap:
    down, right = -1.0 if up else 1.0, -1.0 if left else 1.0
    return AffineMap(((0.0, down), (right, 0.0)) if transposed else ((down, 0.0), (0.0, right)))


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


IDENTITY = _symmetry("identity", turns=False)
QUARTERS = (_symmetry("rot90", 1), _symmetry("rot180", 2), _symmetry("rot270", 3))
_FLIPS = (_symmetry("hflip", left=True), _symmetry("vflip", up=True))
_TRANSPOSES = (_symmetry("transpose", transposed=True), _symmetry("antitranspose", transposed=True, up=True, left=True))


def identity() -> Family:
    """The transformation that moves nothing; every defined channel scores 1."""
    return Family("identity", (IDENTITY,))


def flips() -> Family:
    """Mirror images: left to right, and top to bottom."""
    return Family("flips", _FLIPS)


def d4() -> Family:
    """All seven symmetries of the square but the identity: rotations, flips, and the two transposes."""
    return Family("d4", QUARTERS + _FLIPS + _TRANSPOSES)


def shifts(
    offsets: Iterable[Any],
    *,
    fill: str = "zero",
    size: int | tuple[int, int] | None = None,
    subpixel: str = "linear",
) -> Family:
    """Shifts of the content by pixels: `d` for the diagonal `(d, d)`, or `(down, right)`; negative allowed.

    A shift by a part of a pixel interpolates the image: bicubically, or, under "wrap", by its Fourier series.

    Args:
        offsets: The shifts in pixels.
        fill: What enters at the border: "zero" after normalisation, the image mirrored ("reflect") or from its other
            side ("wrap"); or, under whole shifts, "crop": the images given exceed the network's input by at least the
            span of the shifts, and a shift moves the window that the network sees.
        size: The window under "crop": `(height, width)`, or one number for both.
        subpixel: What a layer whose stride does not divide a shift does: interpolate ("linear"), leave the shift out
            ("exact"), or take the nearest position ("round").

    >>> [t.name for t in shifts([4, (3, 0), -0.5]).transformations]
    ['shift(4,4)', 'shift(3,0)', 'shift(-0.5,-0.5)']
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


def _offset(value: Any) -> Vector:
    try:
        down, right = value if isinstance(value, Sequence) and not isinstance(value, str) else (value, value)
        return pixels(down), pixels(right)
    except (TypeError, ValueError):
        message = f"A shift is a number of pixels or a pair (down, right) of them; {value!r} is neither."
        raise ValueError(message) from None


def pixels(value: Any) -> Number:
    """A finite number, as an `int` where it is whole; TypeError or ValueError of others."""
    if isinstance(value, bool | str) or not isfinite(value):
        raise TypeError
    return int(value) if value == int(value) else float(value)


def shift(
    down: Number,
    right: Number,
    *,
    fill: str = "zero",
    size: int | tuple[int, int] | None = None,
    subpixel: str = "linear",
) -> Transformation:
    """A shift by pixels, `(T X)[y, x] = X[y - down, x - right]`; its options are those of `shifts`."""
    down, right = offset = _offset((down, right))
    known("fill", fill, FILLS)
    known("subpixel", subpixel, SUBPIXELS)
    window = _window_size(size, fill)
    name = shift_named(offset)
    if fill == "crop" and not all(isinstance(one, int) for one in offset):
        raise OptionError("{fill}crop moves a window by whole pixels, and {name} is none; give another fill.",
                          name=name)  # fmt: skip
    return Transformation(
        name=name,
        on_pixels=partial(shifted, down=down, right=right, fill=fill),
        on_positions=partial(_shifted_positions, down=down, right=right, subpixel=subpixel),
        offset=offset,
        fill=fill,
        size=window,
        subpixel=subpixel,
        keeps_images=True,
    )


def shift_named(offset: Vector) -> str:
    """The name of a shift.

    >>> shift_named((0.5, -3))
    'shift(0.5,-3)'
    """
    return "shift({:.12g},{:.12g})".format(*offset)


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
    height: int, width: int, stride: Stride | None, *, down: Number, right: Number, subpixel: str
) -> Sampling | None:
    if stride is None:
        raise ValueError("a shift needs the layer's stride")
    steps = [_ratio(by) / _ratio(per_position) for by, per_position in zip((down, right), stride, strict=True)]
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
        return sampling.moved(*offset) if isinstance(sampling, Axes | Warped) else sampling

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
            down, right = map(int, transformation.offset)
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

    >>> spans([shifts([4, (-2, 1)]), flips()])
    (6, 4)
    """
    members = [member for family in families for member in family.transformations]
    (top, bottom), (left, right) = _extremes(members)
    return bottom - top, right - left


def _extremes(transformations: Iterable[Transformation]) -> list[tuple[int, int]]:
    """The least and the most that any shift moves, and no shift, on each axis."""
    offsets = [(0, 0), *(one.offset for one in transformations if one.offset is not None)]
    return [(floor(min(along)), ceil(max(along))) for along in zip(*offsets, strict=True)]


def shifted(images: Images, down: Number, right: Number, fill: str = "zero") -> Images:
    """Images whose content is moved by pixels, or parts of them.

    >>> shifted(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 0, 1).tolist()
    [[[[0.0, 1.0, 2.0]]]]
    >>> shifted(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 0, 1, fill="reflect").tolist()
    [[[[2.0, 1.0, 2.0]]]]
    """
    if down != int(down) or right != int(right):
        return moved_between(images, down, right, fill)
    for axis, distance in ((-2, down), (-1, right)):
        images = _shifted_along(images, axis, int(distance), fill)
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
