"""`T'_g`: where each position of a transformed feature map gets its value, with what weights, and which are valid.

This is the one action on feature maps. `Sampling` is its interface; `Axes` are samplings along rows and columns, such
as rotations by quarters, flips and shifts, and cost a copy; `Gathered` are any others, of a user's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import getattr_static
from math import ceil, floor
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Maps = Float[Tensor, "image channel row column"]
Values = Float[Tensor, "image channel valid_row valid_column"]


class _ByItsMembers(type(Protocol)):  # type: ignore[misc]  # typing has no name for it
    """Looks for the members of an instance without computing any, where they are its own: a property may take long.

    Before Python 3.12 all are computed; from then on members are not found that an object hands on to another.
    """

    def __instancecheck__(cls, instance: object) -> bool:
        if not vars(cls).get("_is_protocol"):  # a class derived from it
            return bool(super().__instancecheck__(instance))
        missing, hands_on = object(), hasattr(type(instance), "__getattr__")
        members = (name for name in vars(cls) if not name.startswith("_"))
        return all(
            getattr_static(instance, name, missing) is not missing or (hands_on and hasattr(instance, name))
            for name in members
        )


@runtime_checkable
class Sampling(Protocol, metaclass=_ByItsMembers):
    """Where the positions of `T'_g f(X)` get their values from.

    `expected` gives `T'_g f(X)` of the maps `f(X)`, and `found` picks the same positions, the valid ones, of
    `f(T_g X)`. Both are `[image, channel, valid row, valid column]`, or one row of valid positions.
    """

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the maps that it is for."""

    @property
    def positions(self) -> int:
        """How many positions are valid."""

    @property
    def permutes(self) -> bool:
        """Whether every value of the map is moved, whole, to another position."""

    @property
    def interpolated(self) -> bool:
        """Whether values are averages of neighbours."""

    @property
    def inverse(self) -> "Sampling":
        """The sampling that undoes one that permutes."""

    @property
    def window(self) -> "Sampling":
        """The sampling that gives the values at the valid positions, as they are."""

    def expected(self, maps: Maps) -> Values:
        """`T'_g f(X)` at the valid positions."""

    def found(self, maps: Maps) -> Values:
        """The values of `f(T_g X)` at the same positions."""


class Windowed:
    """A sampling whose valid positions its `window` picks."""

    @property
    def window(self) -> Sampling:
        """The sampling that gives the values at the valid positions, as they are."""
        raise NotImplementedError

    def found(self, maps: Maps) -> Values:
        """The values of `f(T_g X)` at the valid positions."""
        return self.window.expected(maps)


@dataclass(frozen=True)
class Along:
    """Sampling along one axis: position `i` gets its value from `sign * i + start` of an axis of `size` positions."""

    size: int
    sign: int = 1
    start: float | int = 0
    only: range | None = None  # of these positions alone

    @cached_property
    def valid(self) -> range:
        """The positions whose source lies in `[0, size - 1]`."""
        start = round(self.start, 9)  # what is less is rounding of the stride, and would cost a position at the border
        low, high = (-start, self.size - 1 - start) if self.sign > 0 else (start - (self.size - 1), start)
        among = range(self.size) if self.only is None else self.only
        return range(max(among.start, ceil(low)), min(among.stop - 1, floor(high)) + 1)

    @cached_property
    def weight(self) -> float:
        """Of the neighbour one further; 0 where values come whole."""
        start = round(self.start, 9)
        return float(start - floor(start))

    @property
    def sources(self) -> range:
        """The positions that values come from, in ascending order; each is the nearer neighbour below."""
        valid, start = self.valid, floor(round(self.start, 9))
        if not len(valid):
            return range(0)
        first = valid[0] + start if self.sign > 0 else start - valid[-1]
        return range(first, first + len(valid))

    @cached_property
    def first(self) -> int:
        """The position that the first valid one gets its value from, or the nearer neighbour below."""
        sources = self.sources
        return 0 if not len(sources) else sources[0] if self.sign > 0 else sources[-1]

    def moved(self, offset: float | int) -> "Along":
        """The same, with the result moved by `offset` positions afterwards."""
        return replace(self, start=self.start - self.sign * offset)

    @property
    def inverse(self) -> "Along":
        """The sampling that moves every value back."""
        return replace(self, start=-self.sign * self.start)

    def of(self, values: Tensor, axis: int) -> Tensor:
        """The values at the valid positions, along one axis."""
        sources, count = self.sources, len(self.valid)
        here = values.narrow(axis, sources.start, count)
        if self.weight:
            here = torch.lerp(here, values.narrow(axis, sources.start + 1, count), self.weight)
        return here.flip(axis) if self.sign < 0 else here


@dataclass(frozen=True)
class Axes(Windowed):
    """A sampling along rows and columns, perhaps of the transposed map."""

    rows: Along
    columns: Along
    transposed: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the maps that it is for."""
        return self.rows.size, self.columns.size

    @cached_property
    def positions(self) -> int:
        """How many positions are valid."""
        return len(self.rows.valid) * len(self.columns.valid)

    @property
    def permutes(self) -> bool:
        """Whether every value of the map is moved, whole, to another position."""
        return self.positions == self.rows.size * self.columns.size and not self.interpolated

    @property
    def interpolated(self) -> bool:
        """Whether values are averages of neighbours."""
        return bool(self.rows.weight or self.columns.weight)

    @cached_property
    def inverse(self) -> "Axes":
        """The sampling that moves every value back.

        >>> quarter = Axes(Along(2), Along(2, -1, 1), transposed=True)
        >>> maps = torch.arange(4.0).view(1, 1, 2, 2)
        >>> torch.equal(quarter.inverse.expected(quarter.expected(maps)), maps)
        True
        """
        rows, columns = self.rows.inverse, self.columns.inverse
        return Axes(columns, rows, transposed=True) if self.transposed else Axes(rows, columns)

    def moved(self, down: float | int, right: float | int) -> "Axes":
        """The same, with the map moved afterwards by so many positions: about another centre."""
        return replace(self, rows=self.rows.moved(down), columns=self.columns.moved(right))

    def expected(self, maps: Maps) -> Values:
        """`T'_g f(X)` at the valid positions."""
        values = maps.mT if self.transposed else maps
        return self.columns.of(self.rows.of(values, -2), -1)

    @cached_property
    def window(self) -> "Axes":
        """The sampling that gives the valid positions, as they are."""
        rows, columns = self.rows.valid, self.columns.valid
        return Axes(Along(self.rows.size, only=rows), Along(self.columns.size, only=columns))

    def strided(self, strides: Sequence[int]) -> tuple[list[int], tuple[float, float]]:
        """Where `expected` finds its values in memory, without moving them, of maps with these strides.

        The place of the first value; the strides from image to image, channel, row and column; how many rows and
        columns; how far below and to the right of a value its neighbours are. Then the weights of these neighbours.
        """
        of_image, of_channel, *of_position = strides
        by_row, by_column = of_position[::-1] if self.transposed else of_position
        rows, columns = self.rows, self.columns
        first = by_row * rows.first + by_column * columns.first
        layout = [first, of_image, of_channel, by_row * rows.sign, by_column * columns.sign]
        layout += [len(rows.valid), len(columns.valid), by_row * bool(rows.weight), by_column * bool(columns.weight)]
        return layout, (rows.weight, columns.weight)


@dataclass(frozen=True, eq=False)
class Gathered(Windowed):
    """Any sampling: each valid position's value is a weighted sum of positions of the map, counted row by row.

    `source[n, v]` is the n-th neighbour that valid position `v` takes its value from, with `weight[n, v]` (None: the
    one neighbour's value whole). `valid` marks the valid positions of the map.
    """

    source: Int[Tensor, "neighbour position"]
    valid: Bool[Tensor, "row column"]
    weight: Float[Tensor, "neighbour position"] | None = None

    def __post_init__(self) -> None:
        valid, size = int(self.valid.sum()), self.valid.numel()
        if self.source.ndim != 2 or self.source.shape[1] != valid:
            raise ValueError(
                f"A sampling of {valid} valid positions needs sources of shape [neighbour, {valid}]; got "
                f"{list(self.source.shape)}."
            )
        if self.weight is None and len(self.source) != 1:
            raise ValueError(f"A sampling of {len(self.source)} neighbours a position needs their weights.")
        if self.weight is not None and self.weight.shape != self.source.shape:
            raise ValueError(
                f"The weights of a sampling have shape {list(self.weight.shape)}; they must have that of the sources, "
                f"{list(self.source.shape)}."
            )
        if self.source.numel() and not 0 <= int(self.source.min()) <= int(self.source.max()) < size:
            raise ValueError(f"A source of a sampling lies outside of the map's {size} positions.")

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the maps that it is for."""
        return self.valid.shape[0], self.valid.shape[1]

    @property
    def positions(self) -> int:
        """How many positions are valid."""
        return int(self.source.shape[1])

    @cached_property
    def permutes(self) -> bool:
        """Whether every value of the map is moved, whole, to another position."""
        size = self.valid.numel()
        return self.weight is None and self.positions == size and len(set(self.source[0].tolist())) == size

    @property
    def interpolated(self) -> bool:
        """Whether values are averages of neighbours."""
        return self.weight is not None

    @cached_property
    def inverse(self) -> "Gathered":
        """The sampling that undoes one that permutes; of others nothing tells the inverse."""
        return replace(self, source=self.source.argsort(-1))

    def expected(self, maps: Maps) -> Values:
        """`T'_g f(X)` at the valid positions, in one row."""
        flat = maps.flatten(-2)
        source = self.source.to(maps.device)
        if self.weight is None:
            return flat.index_select(-1, source[0])[..., None, :]
        weight = self.weight.to(maps)
        values = sum(flat.index_select(-1, of) * by for of, by in zip(source, weight, strict=True))
        assert isinstance(values, Tensor)
        return values[..., None, :]

    @classmethod
    def at(cls, valid: Bool[Tensor, "row column"]) -> "Gathered":
        """The values at the valid positions, as they are."""
        return cls(valid.flatten().nonzero().T, valid)

    @cached_property
    def window(self) -> "Gathered":
        """The sampling that gives the values at the valid positions, as they are."""
        return Gathered.at(self.valid)


def on_whole_map(sampling: Sampling, maps: Maps) -> tuple[Maps, Float[Tensor, "row column"]]:
    """`T'_g f(X)` on the whole map, 0 where it is not valid, and 1.0 where it is.

    >>> on_whole_map(Axes(Along(1), Along(3, 1, -1)), torch.tensor([[[[1.0, 2.0, 3.0]]]]))
    (tensor([[[[0., 1., 2.]]]]), tensor([[0., 1., 1.]]))
    """
    at, values = places_of(sampling), sampling.expected(maps)
    valid = laid_out(values.new_ones(1, 1, 1, len(at)), at, sampling.size)
    return laid_out(values, at, sampling.size), valid[0, 0]


def laid_out(values: Values, places: Int[Tensor, " position"], size: tuple[int, int]) -> Maps:
    """A map of so many rows and columns that has values at some places, counted row by row, and is 0 elsewhere."""
    whole = values.new_zeros(*values.shape[:2], size[0] * size[1])
    whole[..., places.to(values.device)] = values.flatten(2)
    return whole.view(*values.shape[:2], *size)


def places_of(sampling: Sampling) -> Int[Tensor, " position"]:
    """The valid positions, counted row by row, in the order that the sampling gives them in.

    >>> places_of(Axes(Along(2), Along(3, 1, -1)))
    tensor([1, 2, 4, 5])
    """
    height, width = sampling.size
    numbered = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width)
    return sampling.found(numbered).flatten().round().long()


def identity(height: int, width: int) -> Axes:
    """The sampling that moves nothing."""
    return Axes(Along(height), Along(width))


def rearranged(height: int, width: int, *, transposed: bool = False, up: bool = False, left: bool = False) -> Axes:
    """A symmetry of the grid: transposed first, where asked for, then mirrored up and down, or left and right.

    ValueError where a grid that is not square is transposed.

    >>> rearranged(1, 3, left=True).expected(torch.tensor([[[[1.0, 2.0, 3.0]]]])).tolist()
    [[[[3.0, 2.0, 1.0]]]]
    """
    if transposed and height != width:
        raise ValueError(f"a map of {height} x {width} positions is not square")
    rows = Along(height, -1, height - 1) if up else Along(height)
    columns = Along(width, -1, width - 1) if left else Along(width)
    return Axes(rows, columns, transposed)
