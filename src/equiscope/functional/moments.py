"""`Moments`: all that a measurement remembers of the images it has seen, and what every score is a function of.

For two sides, expected `E = T'_g f(X)` and found `T = f(T_g X)`, they hold counts, totals, squares and products over
the images of each of ten groups, and the sum of maps over all images. Moments add: over batches, processes, resumed
runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, log2

import torch
from jaxtyping import Float
from torch import Tensor

from equiscope.functional.blocks import Block, Intake, Sums, take_in
from equiscope.functional.sampling import Sampling

GROUPS = 10
SINGLE = 256  # images of a group, whose products may be added up in float32
SMALLEST, LARGEST = 2.0**-30, 2.0**30  # of features that are taken as they are

State = dict[str, Tensor]


@dataclass(frozen=True)
class Origin:
    """What is taken off every channel before sums are made, and the power of two that features are multiplied by.

    A mean far from 0 would cost a product in float32 its digits, and a square of huge features overflows; scores
    depend on neither.
    """

    pilot: Float[Tensor, "channel"]
    scale: float = 1.0

    @classmethod
    def of(cls, maps: Float[Tensor, "image channel row column"], scale: float | None = None) -> "Origin":
        """The mean of each channel of a first batch, and its scale where none is given.

        >>> Origin.of(torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])).pilot.tolist()
        [2.0, 5.0]
        """
        pilot = maps.mean((0, 2, 3))
        return cls(torch.where(pilot.isfinite(), pilot, 0), scale_of(maps) if scale is None else scale)


def scale_of(maps: Tensor) -> float:
    """A power of two to multiply a layer's features by, so that their squares neither overflow nor vanish.

    It is 1 for features of any usual size, and then costs nothing. Else it is as near to 1 as may be, since other
    images may have features of a usual size.

    >>> scale_of(torch.tensor([3.0])), scale_of(torch.tensor([2.0**80])) == 2.0**-50
    (1.0, True)
    """
    largest = float(maps.abs().max()) if maps.numel() else 0.0
    if largest == 0 or not isfinite(largest) or SMALLEST <= largest <= LARGEST:
        return 1.0
    return 2.0 ** round(log2((SMALLEST if largest < SMALLEST else LARGEST) / largest))


class Side:
    """Sums of one side: of values and their squares for each group, and of maps over all images.

    Values are less the side's `origin`, which is found from the first of them.
    """

    def __init__(
        self,
        channels: int,
        positions: int,
        *,
        gram: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> None:
        """`gram` is the type of the Gram matrices' numbers, or None where there are none."""

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=device)

        self.origin: Origin | None = None
        self.count = zeros(GROUPS)  # samples: images times positions
        self.total = zeros(GROUPS, channels)
        self.square = zeros(GROUPS, channels)
        self.maps = zeros(channels, positions)
        self.gram = torch.zeros(GROUPS, channels, channels, dtype=gram, device=device) if gram else None

    @property
    def pilot(self) -> Float[Tensor, "channel"]:
        """What was taken off the values, in the units of the sums."""
        if self.origin is None:
            return torch.zeros_like(self.total[0])
        return self.origin.pilot.to(self.total) * self.origin.scale

    def sums(self, group: int, own: Float[Tensor, "channel"] | None = None) -> Sums:
        """What the values of one group are added to."""
        return Sums(self.total[group], self.square[group], self.maps, own, self.count[group])

    def intake(
        self,
        group: int,
        maps: Float[Tensor, "image channel row column"],
        sampling: Sampling,
        room: Tensor,
        *,
        own: Float[Tensor, "channel"] | None = None,
        other: Block | None = None,
        scale: float | None = None,
    ) -> Intake:
        """Some images of one group, as a sampling gives them, to be taken in; `room` has room for as many values.

        The first of them give the side its origin, with `scale`, where that is given. `own` is what the products with
        the same channels of the `other` side are added to.
        """
        if self.origin is None:
            self.origin = Origin.of(sampling.expected(maps), scale)
        sums, origin = self.sums(group, own), self.origin
        return Intake.into(room, maps, sampling, sums, pilot=origin.pilot, scale=origin.scale, other=other)

    def intake_less(
        self,
        group: int,
        maps: Float[Tensor, "image channel row column"],
        sampling: Sampling,
        room: Tensor,
        *,
        own: Float[Tensor, "channel"] | None = None,
        other: Block | None = None,
        kept: bool = True,
    ) -> Intake:
        """The same of values that are less the origin already, when they are taken in; `kept` as in `Intake`."""
        return Intake.into(room, maps, sampling, self.sums(group, own), other=other, kept=kept)

    def add(
        self,
        group: int,
        maps: Float[Tensor, "image channel row column"],
        sampling: Sampling,
        room: Tensor,
        *,
        own: Float[Tensor, "channel"] | None = None,
        other: Block | None = None,
        scale: float | None = None,
    ) -> Block:
        """Take in some images at once: those of an `intake`, whose block is returned."""
        intake = self.intake(group, maps, sampling, room, own=own, other=other, scale=scale)
        take_in([intake])
        return intake.block

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Everything that adds, by name."""
        for name in ("count", "total", "square", "maps", "gram"):
            value = getattr(self, name)
            if value is not None:
                yield name, value

    def rebased(self, origin: Origin) -> None:
        """Take the sums as if made with another origin."""
        change = Change.between(self.origin, origin, self.total)
        if self.gram is not None:
            change_products(self.gram, self, self, change, change)
        ratio, off = change.ratio, change.off
        images = self.count.sum() / max(self.maps.shape[1], 1)
        self.square.mul_(ratio**2).add_(2 * ratio * off * self.total + self.count[:, None] * off**2)
        self.maps.mul_(ratio).add_(images * off[:, None])
        self.total.mul_(ratio).add_(self.count[:, None] * off)
        self.origin = origin


@dataclass(frozen=True)
class Change:
    """How values with one origin become those with another: `value * ratio + off`."""

    ratio: float
    off: Float[Tensor, "channel"]

    @classmethod
    def between(cls, old: Origin | None, new: Origin, like: Tensor) -> "Change":
        """From an old origin to a new one; nothing changes for a side without values."""
        if old is None:
            return cls(1.0, torch.zeros_like(like[0]))
        return cls(new.scale / old.scale, (old.pilot.to(like) - new.pilot.to(like)) * new.scale)


def change_products(products: Tensor, one: Side, two: Side, of_one: Change, of_two: Change) -> None:
    """Take products of two sides, `[group, channel, channel]`, as if made with other origins."""
    for group, of_group in enumerate(products):  # one at a time, for they are large
        exact = of_group.double() * (of_one.ratio * of_two.ratio)
        exact.addr_(one.total[group], of_two.off, alpha=of_one.ratio)
        exact.addr_(of_one.off, two.total[group], alpha=of_two.ratio)
        exact.addr_(of_one.off, of_two.off, alpha=float(one.count[group]))
        of_group.copy_(exact)


@dataclass
class Moments:
    """The moments of two sides, each `[group, ...]`; several transformations may share one expected side.

    `own` holds the products of every channel with itself on the other side, and `cross`, where it is kept, those of
    every expected channel (row) with every found one (column).
    """

    expected: Side
    found: Side
    own: Float[Tensor, "group channel"]
    cross: Float[Tensor, "group channel channel"] | None

    @classmethod
    def empty(
        cls,
        channels: int,
        positions: int,
        *,
        cross: torch.dtype | None = torch.float64,
        expected: Side | None = None,
        gram: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> "Moments":
        """Of no images yet; `expected` is a side that others share and that is added to apart.

        `cross` and `gram` are the types of the products' numbers: `products_in(images)`, or None where there are none.
        """
        own = torch.zeros(GROUPS, channels, dtype=torch.float64, device=device)
        return cls(
            Side(channels, positions, gram=gram, device=device) if expected is None else expected,
            Side(channels, positions, device=device),
            own,
            own.new_zeros(GROUPS, channels, channels, dtype=cross) if cross else None,
        )

    @property
    def images(self) -> Float[Tensor, "group"]:
        """How many images each group has."""
        return self.found.count / max(self.found.maps.shape[1], 1)

    def tensors(self, *, expected: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Everything that adds, by name; without the expected side, where that is shared."""
        for side in ("expected", "found") if expected else ("found",):
            for name, value in getattr(self, side).tensors():
                yield f"{side}.{name}", value
        yield "own", self.own
        if self.cross is not None:
            yield "cross", self.cross

    def rebased(self, expected: Origin, found: Origin, *, shared: bool = False) -> None:
        """Take the moments as if made with other origins; an expected side that is shared is rebased apart, later."""
        sides = self.expected, self.found
        one, two = (
            Change.between(side.origin, origin, self.own) for side, origin in zip(sides, (expected, found), strict=True)
        )
        count = self.found.count[:, None]
        self.own.mul_(one.ratio * two.ratio).add_(
            one.ratio * self.expected.total * two.off
            + two.ratio * self.found.total * one.off
            + count * one.off * two.off
        )
        if self.cross is not None:
            change_products(self.cross, *sides, one, two)
        self.found.rebased(found)
        if not shared:
            self.expected.rebased(expected)


def products_in(images: int | None) -> torch.dtype:
    """The type of the numbers that products of so many images are added up in; None: not known.

    A group of up to some hundred images loses nothing in float32, and takes half the memory.
    """
    return torch.float32 if images is not None and images <= GROUPS * SINGLE else torch.float64
