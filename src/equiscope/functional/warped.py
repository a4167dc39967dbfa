"""`T'_g` of an affine map: positions that get their values from between others, as under a rotation by 30 degrees.

`AffineMap` moves points about a centre; `Warped` is the sampling that belongs to it; `RoundTrip` transforms a map and
transforms it back, which tells what interpolation alone costs.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, cos, radians, sin

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from equiscope.functional.sampling import (
    Along,
    Axes,
    Gathered,
    Maps,
    Sampling,
    Values,
    Windowed,
    laid_out,
    places_of,
)  # fmt: skip

Number = float | int
Vector = tuple[Number, Number]
DIGITS = 9  # of a source; what is behind them is rounding


@dataclass(frozen=True)
class AffineMap:
    """A point, down and right of a centre, goes to `linear @ point + move`."""

    linear: tuple[Vector, Vector]
    move: Vector = (0.0, 0.0)

    @classmethod
    def rotation(cls, degrees: Number) -> "AffineMap":
        """Counter-clockwise as seen.

        >>> AffineMap.rotation(90).of((0, 1))  # what was at the right is at the top
        (-1.0, 0.0)
        """
        along, across = round(cos(radians(degrees)), 15), round(sin(radians(degrees)), 15)
        return cls(((along, -across), (across, along)))

    @property
    def determinant(self) -> Number:
        """By how much areas grow; 0 or less where the map has no inverse or mirrors."""
        (a, b), (c, d) = self.linear
        return a * d - b * c

    @property
    def inverse(self) -> "AffineMap":
        """The map that undoes this one."""
        (a, b), (c, d) = self.linear
        area = self.determinant
        undone = AffineMap(((d / area, -b / area), (-c / area, a / area)))
        down, right = undone.of(self.move)
        return replace(undone, move=(0.0 - down, 0.0 - right))

    @property
    def rearranges(self) -> bool:
        """Whether it is a symmetry of the square, which only moves positions to others."""
        values = [round(abs(value), DIGITS) for row in self.linear for value in row]
        return values in ([1, 0, 0, 1], [0, 1, 1, 0]) and not any(self.move)

    def of(self, point: Vector) -> Vector:
        """Where a point goes."""
        (a, b), (c, d) = self.linear
        down, right = point
        return a * down + b * right + self.move[0], c * down + d * right + self.move[1]

    def after(self, first: "AffineMap") -> "AffineMap":
        """The map that `first`, and then this one, make together."""
        columns = [self.of(first.of(unit)) for unit in ((1.0, 0.0), (0.0, 1.0))]
        down, right = self.of(first.move)
        (a, c), (b, d) = ((one - down, other - right) for one, other in columns)
        return AffineMap(((a, b), (c, d)), (down, right))

    def moved(self, down: Number, right: Number) -> "AffineMap":
        """The same, with the result moved afterwards."""
        return replace(self, move=(self.move[0] + down, self.move[1] + right))

    def in_positions(self, stride: Vector) -> "AffineMap":
        """The same map of positions, one every `stride` pixels, down and right."""
        (a, b), (c, d) = self.linear
        down, right = stride
        return AffineMap(((a, b * right / down), (c * down / right, d)), (self.move[0] / down, self.move[1] / right))


@dataclass(frozen=True)
class Warped(Windowed):
    """A sampling whose positions get their values from where an affine map about the grid's centre takes them from.

    A position is valid where its source lies in `[0, height - 1] x [0, width - 1]`, and is then interpolated between
    the four positions around it. `disc` leaves only sources in the largest disc about the centre, of which the pixels
    between positions, down and right, are given: a rotation by any angle then has the same ones. `whole` leaves only
    positions whose source is a position, where there are any.
    """

    size: tuple[int, int]
    map: AffineMap
    disc: Vector | None = None
    whole: bool = False

    @cached_property
    def _all_sources(self) -> tuple[Float[Tensor, "position axis"], Bool[Tensor, "position"]]:
        """The source of every position, and whether it is valid."""
        height, width = self.size
        centre = torch.tensor([height - 1, width - 1], dtype=torch.float64) / 2
        axes = [torch.arange(size, dtype=torch.float64) for size in self.size]
        places = torch.cartesian_prod(*axes) - centre
        back = self.map.inverse
        about = places @ torch.tensor(back.linear, dtype=torch.float64).T + torch.tensor(back.move, dtype=torch.float64)
        source = torch.round(about + centre, decimals=DIGITS)
        valid = ((source >= 0) & (source <= 2 * centre)).all(1)
        if self.disc is not None:
            distances = (source - centre) * torch.tensor(self.disc, dtype=torch.float64)
            reach = float((centre * torch.tensor(self.disc, dtype=torch.float64)).min())
            valid &= distances.norm(dim=1) <= reach + 10**-DIGITS
        if self.whole and bool((at := valid & (source == source.round()).all(1)).any()):
            valid = at
        return source, valid

    @cached_property
    def valid(self) -> Bool[Tensor, "row column"]:
        """Which positions are valid."""
        return self._all_sources[1].view(self.size)

    @cached_property
    def window(self) -> Gathered:
        """The sampling that gives the values at the valid positions, as they are."""
        return Gathered.at(self.valid)

    @cached_property
    def sources(self) -> Float[Tensor, "position axis"]:
        """Row and column that each valid position gets its value from."""
        source, valid = self._all_sources
        return source[valid]

    @property
    def positions(self) -> int:
        """How many positions are valid."""
        return len(self.sources)

    @cached_property
    def interpolated(self) -> bool:
        """Whether values are averages of neighbours."""
        return not torch.equal(self.sources, self.sources.round())

    @property
    def permutes(self) -> bool:
        """Whether every value of the map is moved, whole, to another position."""
        return not self.interpolated and self.window.permutes and self._gathered.permutes

    @property
    def inverse(self) -> "Warped":
        """The sampling of the inverse map."""
        return replace(self, map=self.map.inverse)

    def moved(self, down: Number, right: Number) -> "Warped":
        """The same, with the map moved afterwards by so many positions: about another centre."""
        return replace(self, map=self.map.moved(down, right))

    @cached_property
    def _gathered(self) -> Gathered:
        """The sampling where values come whole."""
        row, column = self.sources.long().unbind(1)
        return Gathered((row * self.size[1] + column)[None], self.valid)

    @cached_property
    def _grid(self) -> Float[Tensor, "1 1 position axis"]:
        """The sources as `grid_sample` has them: column, then row, from -1 to 1."""
        last = (torch.tensor(self.size, dtype=torch.float64) - 1).clamp(min=1)
        return (2 * self.sources / last - 1).flip(1)[None, None]

    def expected(self, maps: Maps) -> Values:
        """`T'_g f(X)` at the valid positions, in one row."""
        if not self.positions or not self.interpolated:
            return self._gathered.expected(maps)
        flat = maps.reshape(1, -1, *self.size)
        values = grid_sample(flat, self._grid.to(flat), padding_mode="border", align_corners=True)
        return values.view(*maps.shape[:2], 1, self.positions)


@dataclass(frozen=True)
class RoundTrip(Windowed):
    """A sampling and then its inverse: `T'_g^-1 T'_g f(X)`, at positions that all they get their values from is valid.

    It moves nothing, so that it differs from `f(X)` by what is lost between positions.
    """

    there: Sampling

    @cached_property
    def _back(self) -> Sampling:
        return self.there.inverse

    @cached_property
    def _at(self) -> Tensor:
        """Where the valid positions of the way there lie."""
        return places_of(self.there)

    @cached_property
    def _kept(self) -> Tensor:
        """Which of the valid positions of the way back get their values from valid positions alone."""
        sound = laid_out(torch.ones(1, 1, 1, len(self._at), dtype=torch.float64), self._at, self.size)
        share: Tensor = self._back.expected(sound).flatten()
        kept: Tensor = (share > 1 - 10**-DIGITS).nonzero().flatten()
        return kept

    @cached_property
    def valid(self) -> Bool[Tensor, "row column"]:
        """Which positions are valid."""
        valid = torch.zeros(self.there.size, dtype=torch.bool)
        valid.view(-1)[places_of(self._back)[self._kept]] = True
        return valid

    @cached_property
    def window(self) -> Sampling:
        """The sampling that gives the values at the valid positions, as they are."""
        return Gathered.at(self.valid)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the maps that it is for."""
        return self.there.size

    @property
    def positions(self) -> int:
        """How many positions are valid."""
        return len(self._kept)

    @property
    def permutes(self) -> bool:
        """Whether every value of the map is moved, whole, to another position."""
        return False

    @property
    def interpolated(self) -> bool:
        """Whether values are averages of neighbours."""
        return True

    @property
    def inverse(self) -> "RoundTrip":
        """The way back and there again."""
        return RoundTrip(self._back)

    def expected(self, maps: Maps) -> Values:
        """`T'_g^-1 T'_g f(X)` at the valid positions, in one row."""
        whole = laid_out(self.there.expected(maps), self._at, self.size)
        values = self._back.expected(whole).flatten(2)
        return values.index_select(2, self._kept.to(values.device))[..., None, :]


@dataclass(frozen=True)
class RoundShift(RoundTrip):
    """The round trip of a shift: along rows and columns, without a whole map between the ways."""

    there: Axes

    @cached_property
    def _ways(self) -> tuple[tuple[Along, Along], tuple[range, range]]:
        """The ways back, among the valid positions of the way there; and where on the map these end."""
        found = [_back(along) for along in (self.there.rows, self.there.columns)]
        return (found[0][0], found[1][0]), (found[0][1], found[1][1])

    @cached_property
    def window(self) -> Axes:
        """The sampling that gives the values at the valid positions, as they are."""
        rows, columns = self._ways[1]
        return Axes(Along(self.size[0], only=rows), Along(self.size[1], only=columns))

    @property
    def positions(self) -> int:
        """How many positions are valid."""
        return self.window.positions

    @cached_property
    def back(self) -> Axes:
        """The way back, of the maps that the way there gives: of its valid positions alone."""
        return Axes(*self._ways[0])

    def expected(self, maps: Maps) -> Values:
        """`T'_g^-1 T'_g f(X)` at the valid positions."""
        return self.back.expected(self.there.expected(maps))


def _back(along: Along) -> tuple[Along, range]:
    """The way back along one axis, among valid positions that lie in a row, and where it ends."""
    count, start = len(along.valid), round(along.start, DIGITS)
    if not count:
        return Along(0), range(0)
    first = along.valid.start + start  # what the first valid position got its value from
    back = Along(count, 1, ceil(first) - first)
    return back, range(ceil(first), ceil(first) + len(back.valid))


def round_trip(sampling: Sampling) -> RoundTrip | None:
    """The round trip of a sampling that interpolates; None of others, and of a user's own, as none may be known."""
    if not isinstance(sampling, Axes | Warped) or not sampling.interpolated:
        return None
    if isinstance(sampling, Axes) and not sampling.transposed and sampling.rows.sign == sampling.columns.sign == 1:
        return RoundShift(sampling)
    return RoundTrip(sampling)
