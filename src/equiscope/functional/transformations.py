"""`T_g` on pixels and `T'_g` on cells: rotations, flips and shifts that lose nothing but a border."""

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, floor
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Images = Float[Tensor, "image channel height width"]
Maps = Float[Tensor, "image channel row column"]
Valid = Bool[Tensor, "row column"]
Stride = tuple[int, int]

FILLS = ("zero", "reflect", "wrap", "crop")
SUBCELLS = ("linear", "exact", "round")


@dataclass(frozen=True)
class Window:
    """The valid cells of moved maps, a rectangle, and where their values come from."""

    maps: Maps  # that are moved
    rows: slice  # of the valid cells, after the move
    columns: slice
    sources: tuple[slice, slice]  # rows and columns in `maps`, as many
    weights: tuple[float, float]  # of the next cell down, and to the right; 0 where values come whole

    @property
    def cells(self) -> int:
        """How many they are."""
        return len(range(self.rows.start, self.rows.stop)) * len(range(self.columns.start, self.columns.stop))

    def values(self) -> Maps:
        """The moved values of the valid cells."""
        values = self.maps
        for axis, source, weight in zip((-2, -1), self.sources, self.weights, strict=True):
            count = source.stop - source.start
            here = values.narrow(axis, source.start, count)
            values = torch.lerp(here, values.narrow(axis, source.start + 1, count), weight) if weight else here
        return values


def whole(maps: Float[Tensor, "image channel *grid"]) -> Window:
    """All cells, as they are."""
    grid = maps if maps.ndim == 4 else maps.flatten(2)[:, :, None]
    rows, columns = slice(0, grid.shape[-2]), slice(0, grid.shape[-1])
    return Window(grid, rows, columns, (rows, columns), (0.0, 0.0))


@dataclass(frozen=True)
class Transformation:
    """One transformation `g`: its name, what it does to pixels, and what it should then do to cells.

    `on_pixels` takes images and gives images of the same shape. `on_cells` takes maps and the layer's stride
    (pixels from cell to cell: down, right; None where it is not known) and gives the moved maps with the valid
    cells, a boolean `[height, width]` on the CPU, or None where every cell is valid. It gives None altogether where
    the transformation is left out on a layer of this stride.

    Write your own as `Transformation("negative", on_pixels=torch.neg, on_cells=lambda maps, stride: (maps, None))`.
    """

    name: str
    on_pixels: Callable[[Tensor], Tensor]
    on_cells: Callable[[Tensor, Stride | None], "tuple[Tensor, Tensor | None] | None"]
    offset: tuple[int, int] | None = None  # pixels down and right, where the transformation is a shift
    swaps_axes: bool = False  # so that it needs square images
    turns: bool = False  # it turns the image about its centre, so that a layer may turn about a centre of its own
    only_moves: bool = False  # on cells it moves values and averages neighbours; what it is given it leaves unchanged
    permutes: bool = False  # on cells it moves every value, whole, to another place: means and norms stay
    on_window: "Callable[[Tensor, Stride | None], Window | None] | None" = None  # `on_cells`, of the valid cells alone


@dataclass(frozen=True)
class Family:
    """Transformations whose mean score has a row of its own, under the family's name."""

    name: str
    transformations: tuple[Transformation, ...]


def _on_grid(
    name: str, move: Callable[[Tensor], Tensor], *, swaps_axes: bool = False, turns: bool = True
) -> Transformation:
    on_cells = partial(_all_moved, move=move)
    return Transformation(name, move, on_cells, swaps_axes=swaps_axes, turns=turns, only_moves=True, permutes=True)


def _all_moved(maps: Tensor, stride: Stride | None, *, move: Callable[[Tensor], Tensor]) -> tuple[Tensor, None]:
    return move(maps), None


def _turned(x: Tensor, *, quarters: int, transposed: bool = False) -> Tensor:
    """Counter-clockwise turns, perhaps of the transpose; a function with a name, which can be pickled."""
    return torch.rot90(x.mT if transposed else x, quarters, (-2, -1)) if quarters else x.mT if transposed else x


def _mirrored(x: Tensor, *, axis: int) -> Tensor:
    return x.flip(axis)


_IDENTITY = _on_grid("identity", partial(_turned, quarters=0), turns=False)
_ROTATIONS = (
    _on_grid("rot90", partial(_turned, quarters=1), swaps_axes=True),
    _on_grid("rot180", partial(_turned, quarters=2)),
    _on_grid("rot270", partial(_turned, quarters=3), swaps_axes=True),
)
_FLIPS = (
    _on_grid("hflip", partial(_mirrored, axis=-1)),
    _on_grid("vflip", partial(_mirrored, axis=-2)),
)
_TRANSPOSES = (
    _on_grid("transpose", partial(_turned, quarters=0, transposed=True), swaps_axes=True),
    _on_grid("antitranspose", partial(_turned, quarters=2, transposed=True), swaps_axes=True),
)


def identity() -> Family:
    """The transformation that moves nothing; every defined channel scores 1."""
    return Family("identity", (_IDENTITY,))


def rotations() -> Family:
    """Counter-clockwise turns by 90, 180 and 270 degrees."""
    return Family("rotations", _ROTATIONS)


def flips() -> Family:
    """Mirror images: left to right, and top to bottom."""
    return Family("flips", _FLIPS)


def d4() -> Family:
    """All seven symmetries of the square but the identity: rotations, flips, and the two transposes."""
    return Family("d4", _ROTATIONS + _FLIPS + _TRANSPOSES)


def shifts(offsets: Iterable[Any]) -> Family:
    """Shifts of the content by whole pixels: `d` for the diagonal `(d, d)`, or `(down, right)`; negative allowed.

    >>> [t.name for t in shifts([4, (3, 0), -2]).transformations]
    ['shift(4,4)', 'shift(3,0)', 'shift(-2,-2)']
    """
    if not isinstance(offsets, Iterable):
        raise ValueError(f"shifts() takes a list of shifts, such as shifts([1, 2, 4, 8]); {offsets!r} is none.")
    given = list(offsets)
    if not given:
        raise ValueError("shifts() needs at least one shift, such as shifts([1, 2, 4, 8]).")
    members = tuple(shift(*_offset(value)) for value in given)
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


def shift(down: int, right: int, *, fill: str = "zero", subcell: str = "linear") -> Transformation:
    """A shift by whole pixels; `(T X)[y, x] = X[y - down, x - right]`.

    `fill` is what enters at the border: nothing ("zero"), the image mirrored ("reflect") or from its other side
    ("wrap"), or what a larger image has there ("crop", which a `Frame` does). `subcell` is what a layer does with a
    shift by part of a cell. `measure` puts its own options in their place.
    """
    down, right = _offset((down, right))
    return Transformation(
        name=f"shift({down},{right})",
        on_pixels=partial(shifted, down=down, right=right, fill=known("fill", fill, FILLS)),
        on_cells=partial(_shift_on_cells, down=down, right=right, subcell=known("subcell", subcell, SUBCELLS)),
        offset=(down, right),
        only_moves=True,
        on_window=partial(_shift_window, down=down, right=right, subcell=subcell),
    )


def about(transformation: Transformation, offset: tuple[float | int, float | int]) -> Transformation:
    """The transformation with its map moved afterwards by `offset` cells (down, right): about another centre."""

    def on_cells(maps: Tensor, stride: Stride | None) -> tuple[Tensor, Tensor | None] | None:
        action = transformation.on_cells(maps, stride)
        if action is None:
            return None
        values, inside = moved(action[0], *offset)
        if action[1] is None or inside is None:
            return values, inside if action[1] is None else action[1]
        cells, valid = moved((~action[1]).float()[None, None], *offset)
        return values, inside & (cells[0, 0] == 0) if valid is not None else inside

    def on_window(maps: Tensor, stride: Stride | None) -> Window | None:
        action = transformation.on_cells(maps, stride)
        return None if action is None else moved_window(action[0], *offset)

    return replace(
        transformation,
        on_cells=on_cells,
        on_window=on_window if transformation.permutes else None,
        permutes=transformation.permutes and offset == (0, 0),
    )


@dataclass(frozen=True)
class Frame:
    """The window of the images that the network sees, and where it goes under a shift that crops."""

    top: int
    left: int
    height: int
    width: int
    crops: bool

    def still(self, images: Images) -> Tensor:
        """The images as they are."""
        return self._window(images, 0, 0)

    def under(self, transformation: Transformation, images: Images) -> Tensor:
        """The images under a transformation; a shift that crops moves the window the other way."""
        if self.crops and transformation.offset is not None:
            down, right = transformation.offset
            return self._window(images, -down, -right)
        still = self.still(images)
        if transformation.only_moves:
            return transformation.on_pixels(still)
        try:
            moved = transformation.on_pixels(still.clone())
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # the user's own may raise anything
            raise ValueError(
                f"{transformation.name} cannot be applied to images ({type(error).__name__}: {error})."
            ) from error
        if not isinstance(moved, Tensor) or moved.shape != still.shape:
            given = f"shape {list(moved.shape)}" if isinstance(moved, Tensor) else f"type {type(moved).__name__}"
            raise ValueError(
                f"{transformation.name} makes images of {given} of images of shape {list(still.shape)}; it must keep "
                "their shape."
            )
        return moved

    def _window(self, images: Tensor, down: int, right: int) -> Tensor:
        top, left = self.top + down, self.left + right
        return images[..., top : top + self.height, left : left + self.width]


def frame(
    image: tuple[int, int], size: tuple[int, int] | None, transformations: Iterable[Transformation], *, crops: bool
) -> Frame:
    """The frame of images of this size: the whole image, or a window in it of `size` that every shift can move.

    The windows lie centrally in the image. ValueError where they do not fit.
    """
    if not crops:
        return Frame(0, 0, image[0], image[1], crops=False)
    if size is None:
        raise ValueError('fill="crop" needs size=(height, width), the window of the images that the network sees.')
    corner: list[int] = []
    for axis, (least, most) in enumerate(_extremes(transformations)):
        spare = image[axis] - size[axis] - (most - least)
        if spare < 0:
            raise ValueError(
                f'fill="crop" with a window of {size[0]} x {size[1]} and shifts over {most - least} pixels needs '
                f"images at least {size[axis] + most - least} {('high', 'wide')[axis]}; these are "
                f"{image[0]} x {image[1]}."
            )
        corner.append(spare // 2 + most)
    return Frame(corner[0], corner[1], size[0], size[1], crops=True)


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


def known(option: str, value: str, values: Iterable[str]) -> str:
    """`value`, if it is one of `values`; else a ValueError that lists them."""
    if value not in values:
        raise ValueError(f"{option}={value!r} is not known; it is one of {', '.join(values)}.")
    return value


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


def _shift_on_cells(
    maps: Tensor, stride: Stride | None, *, down: int, right: int, subcell: str
) -> tuple[Tensor, Tensor | None] | None:
    steps = _steps(stride, down, right, subcell)
    return None if steps is None else moved(maps, *steps)


def _shift_window(maps: Tensor, stride: Stride | None, *, down: int, right: int, subcell: str) -> Window | None:
    steps = _steps(stride, down, right, subcell)
    return None if steps is None else moved_window(maps, *steps)


def _steps(stride: Stride | None, down: int, right: int, subcell: str) -> tuple[float, float] | None:
    """A shift in cells; None where it is left out."""
    if stride is None:
        raise ValueError("A shift needs the layer's stride.")
    steps = (down / stride[0], right / stride[1])
    if subcell == "round":
        return _rounded(steps[0]), _rounded(steps[1])
    return None if subcell == "exact" and not all(step.is_integer() for step in steps) else steps


def _rounded(step: float | int) -> float:
    """The nearest whole number; halves away from zero."""
    return float(floor(abs(step) + 0.5)) * (1 if step >= 0 else -1)


def moved(maps: Maps, down: float | int, right: float | int) -> tuple[Maps, Valid | None]:
    """Maps moved by any number of cells, bilinearly, and the cells whose source lies inside the map.

    >>> values, valid = moved(torch.tensor([[[[0.0, 2.0, 4.0]]]]), 0, 0.5)
    >>> values.tolist(), valid.tolist()
    ([[[[0.0, 1.0, 3.0]]]], [[False, True, True]])
    """
    if round(down, 9) == 0 and round(right, 9) == 0:
        return maps, None
    window = moved_window(maps, down, right)
    valid = torch.zeros(*maps.shape[-2:], dtype=torch.bool)
    valid[window.rows, window.columns] = True
    values = torch.zeros_like(maps)
    values[..., window.rows, window.columns] = window.values()
    return values, valid


def moved_window(maps: Maps, down: float | int, right: float | int) -> Window:
    """The valid cells of the same alone."""
    (rows, from_rows, lower), (columns, from_columns, righter) = (
        _along(size, step) for size, step in zip(maps.shape[-2:], (down, right), strict=True)
    )
    return Window(maps, rows, columns, (from_rows, from_columns), (lower, righter))


def _along(size: int, step: float | int) -> tuple[slice, slice, float]:
    """Along one axis: the valid cells, their sources, and the weight of the next ones."""
    step = round(step, 9)  # what is less is float noise, and would cost a border cell
    start, stop = max(0, ceil(step)), min(size - 1, floor(size - 1 + step)) + 1
    if stop <= start:
        return slice(start, start), slice(0, 0), 0.0
    whole = ceil(step)
    return slice(start, stop), slice(start - whole, stop - whole), float(whole - step)
