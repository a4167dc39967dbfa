"""Rotations by any angle, scalings and other affine maps of images, and what transformations make one after another.

An affine map acts about the image's centre, on positions about that of the layer's grid.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from math import atan2, degrees
from typing import Any

from torch import Tensor

from equiscope.functional.resampled import OUTSIDE, resampled
from equiscope.functional.sampling import Sampling
from equiscope.functional.transformations import (
    FILLS,
    IDENTITY,
    QUARTERS,
    Family,
    Stride,
    Transformation,
    d4,
    pixels,
    shift_named,
)
from equiscope.functional.warped import AffineMap, Number, Warped
from equiscope.system.errors import OptionError, known

SMALLEST = 1e-6  # determinant of a map that can be undone


def rotation(angle: Number, *, fill: str = "zero") -> Transformation:
    """A counter-clockwise rotation by an angle in degrees; `fill` is that of `rotations`.

    Multiples of 90 are exact: they are `rot90`, `rot180`, `rot270` and the identity. Of others a layer's valid
    positions are those in the largest disc about the centre of its grid, the same for every angle.

    >>> rotation(30).name, rotation(-90).name
    ('rot30', 'rot270')
    """
    angle = _number(angle, "angle", "in degrees") % 360
    if angle % 90 == 0:
        return (IDENTITY, *QUARTERS)[int(angle // 90)]
    return _affine(f"rot{angle:.12g}", AffineMap.rotation(angle), fill, disc=True)


def rotations(every: Number = 90, *, fill: str = "zero") -> Family:
    """Counter-clockwise rotations by the multiples of an angle that divides 360 degrees; by default 90, 180 and 270.

    Args:
        every: The smallest angle in degrees.
        fill: What lies outside of the image, but for multiples of 90 degrees: "zero" after normalisation, or the image
            mirrored ("reflect").

    >>> [one.name for one in rotations(every=60).transformations]
    ['rot60', 'rot120', 'rot180', 'rot240', 'rot300']
    """
    step = _number(every, "every", "in degrees")
    count = round(360 / step) if step > 0 else 0
    if count < 2 or abs(count * step - 360) > 1e-9:
        raise ValueError(f"every={every!r} must divide 360 degrees into equal angles; give one such as 15.")
    return Family("rotations", tuple(rotation(360 * number / count, fill=fill) for number in range(1, count)))


def scaling(factor: Number, *, fill: str = "zero") -> Transformation:
    """The content made larger by a factor, or smaller by one below 1; `fill` is that of `rotations`.

    Under a whole factor a layer's valid positions are those whose source is a position too, where the grid has any:
    nothing is interpolated there.

    >>> scaling(1.25).name, scaling(1 / 2).name
    ('scaling(1.25)', 'scaling(0.5)')
    """
    number = _number(factor, "factor", "such as 1.25")
    if number <= 0:
        raise ValueError(f"A scaling needs a factor above 0; got {factor!r}.")
    if number == 1:
        return IDENTITY
    linear = AffineMap(((number, 0.0), (0.0, number)))
    return _affine(f"scaling({number:.12g})", linear, fill, whole=isinstance(number, int))


def scalings(factors: Iterable[Number], *, fill: str = "zero") -> Family:
    """Scalings by some factors, as `scaling` has them.

    >>> [one.name for one in scalings([1.25, 2, 1 / 2]).transformations]
    ['scaling(1.25)', 'scaling(2)', 'scaling(0.5)']
    """
    if not isinstance(factors, Iterable) or isinstance(factors, str):
        raise ValueError(f"scalings() takes a list of factors, such as scalings([1.25, 2, 1 / 2]); got {factors!r}.")
    members = tuple(scaling(factor, fill=fill) for factor in factors)
    names = [member.name for member in members]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"scalings() needs at least one factor, and each once; got {', '.join(names) or 'none'}.")
    return Family("scalings", members)


def affine(matrix: Sequence[Sequence[Number]], *, fill: str = "zero") -> Transformation:
    """Any affine map of the content about the image's centre; `fill` is that of `rotations`.

    `matrix` has two rows, of what a point's place down and right of the centre is multiplied by, and, as a third
    column, may have the pixels that all is moved by.

    >>> affine([[1, 0.25], [0, 1]]).name  # a shear
    'affine(1,0.25,0,1)'
    """
    try:
        rows = [[float(pixels(value)) for value in row] for row in matrix]
    except (TypeError, ValueError):
        rows = []
    if [len(row) for row in rows] not in ([2, 2], [3, 3]):
        raise ValueError(f"affine() takes two rows of two or three numbers, such as [[1, 0.25], [0, 1]]; got {matrix}.")
    (a, b), (c, d) = (row[:2] for row in rows)
    map = AffineMap(((a, b), (c, d)), (rows[0][2], rows[1][2]) if len(rows[0]) == 3 else (0.0, 0.0))
    if abs(map.determinant) < SMALLEST:
        raise ValueError(f"The matrix {matrix} maps the image onto a line, which nothing undoes; give another.")
    return _affine(f"affine({','.join(f'{value:.12g}' for row in rows for value in row)})", map, fill)


def _number(value: Any, name: str, what: str) -> Number:
    try:
        return pixels(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, {what}; got {value!r}.") from None


def _affine(name: str, map: AffineMap, fill: str, *, disc: bool = False, whole: bool = False) -> Transformation:
    if known("fill", fill, FILLS) not in OUTSIDE:
        raise OptionError("{fill}{given} is for shifts; {name} takes {fills}.", given=fill, name=name,
                          fills=" or ".join(OUTSIDE))  # fmt: skip
    return Transformation(
        name,
        partial(_on_pixels, map=map, fill=fill),
        partial(_on_positions, map=map, disc=disc, whole=whole),
        map=map,
        fill=fill,
        turns=True,
        keeps_images=True,
    )


def _on_pixels(images: Tensor, *, map: AffineMap, fill: str) -> Tensor:
    """A function with a name, which can be pickled."""
    return resampled(images, map, fill)


def _on_positions(
    height: int, width: int, stride: Stride | None, *, map: AffineMap, disc: bool, whole: bool
) -> Sampling:
    if stride is None and any(map.move):
        raise ValueError("an affine map that moves all needs the layer's stride")
    down, right = (1.0, 1.0) if stride is None else (float(one) for one in stride)
    return Warped((height, width), map.in_positions((down, right)), (down, right) if disc else None, whole)


def product(first: Transformation, second: Transformation) -> str | None:
    """The name of the transformation that `second` after `first` is; None where it is not known.

    >>> product(*rotations().transformations[:2]), product(rotation(30), rotation(60)), product(scaling(2), scaling(.5))
    ('rot270', 'rot90', 'identity')
    """
    if first.offset is not None and second.offset is not None:
        down, right = (pixels(a + b) for a, b in zip(first.offset, second.offset, strict=True))
        return shift_named((down, right)) if down or right else IDENTITY.name
    if first.map is None or second.map is None or not (first.keeps_images and second.keeps_images):
        return None
    return _name_of(second.map.after(first.map))


def _name_of(map: AffineMap) -> str | None:
    """The name of what a map is, where it is a symmetry, a rotation or a scaling."""
    if map.rearranges:
        symmetries = (IDENTITY, *d4().transformations)
        return next(one.name for one in symmetries if one.map is not None and _alike(map, one.map))
    (along, _), (across, _) = map.linear
    angle = round(degrees(atan2(across, along)), 9) % 360
    if _alike(map, AffineMap.rotation(angle)):
        return f"rot{angle:.12g}"
    factor = round(map.linear[0][0], 9)
    if factor > 0 and _alike(map, AffineMap(((factor, 0.0), (0.0, factor)))):
        return f"scaling({factor:.12g})"
    return None


def _alike(one: AffineMap, other: AffineMap) -> bool:
    values = [[value for row in (*map.linear, map.move) for value in row] for map in (one, other)]
    return all(abs(a - b) < 1e-9 for a, b in zip(*values, strict=True))
