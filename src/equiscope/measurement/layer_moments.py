"""From a layer's features, batch by batch, to its moments: all of the pass over the images that is arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from equiscope.functional.blocks import Block, Intake, Sums, take_in
from equiscope.functional.moments import GROUPS, Moments, Origin, Side
from equiscope.functional.sampling import Sampling, identity
from equiscope.functional.transformations import Transformation
from equiscope.functional.warped import RoundShift, RoundTrip, round_trip
from equiscope.functional.within_image import OfImages, WithinImage
from equiscope.networks.layers import Layer

AT_ONCE = 2**19  # values of one side that are taken at a time: two megabytes, which a processor's cache holds
TOGETHER = 2**21  # values of both sides of several pairs that are taken at a time
ENOUGH = 512  # samples in a product: fewer wait for more, since adding a product to the sums costs as many
LATER = 128  # samples of a group: fewer wait until images of that group come again,
TENTH = 10  # if they are fewer than a tenth of the channels: that is a tenth of the memory of the sums

Key = tuple[str, str]  # transformation, alignment


class Scratch:
    """Memory that is used again from layer to layer; fresh memory costs as much as what is done with it."""

    def __init__(self) -> None:
        self._rooms: dict[str, Tensor] = {}

    def room(self, name: str, size: int, like: Tensor) -> Tensor:
        """Room for so many values, where `like` is; its contents are those of whoever had it last."""
        room = self._rooms.get(name)
        if room is None or room.numel() < size or room.device != like.device:
            room = self._rooms[name] = torch.empty(size, dtype=torch.float32, device=like.device)
        return room[:size]


@dataclass
class Ceiling:
    """What interpolation alone costs: the features, transformed and transformed back, beside themselves."""

    trip: RoundTrip
    moments: Moments

    @classmethod
    def of(cls, sampling: Sampling, channels: int, device: torch.device | None) -> "Ceiling | None":
        """Of no images yet; None where nothing is interpolated, and where no inverse is known."""
        trip = round_trip(sampling)
        if trip is None:
            return None
        return cls(trip, Moments.empty(channels, trip.positions, cross=None, device=device))


@dataclass
class Pair:
    """One transformation on one layer: where its positions get their values from, and the moments of both sides."""

    name: str
    sampling: Sampling
    moments: Moments
    permutes: bool  # the found side is moved back, and the expected side is that of the original features
    within: WithinImage | None = None
    ceiling: Ceiling | None = None


@dataclass
class LayerMoments:
    """What a layer's features come to, under all transformations of a pass.

    The found sides of all pairs that permute are multiplied with the original features at once, and so are these
    themselves where their Gram matrix is needed: one product reads memory once. `_stacked` holds these sums, of which
    the sides' Gram and cross matrices are parts.
    """

    layer: Layer
    scratch: Scratch
    original: Side
    pairs: dict[Key, Pair]
    strict: dict[str, Moments] = field(default_factory=dict)  # by transformation, where Eq. 4 to the letter is asked
    _group: int = -1
    _waiting: dict[tuple[int, Key | None], list[tuple[Block, Tensor]]] = field(default_factory=dict)  # by group
    _stacked: Float[Tensor, "group side found expected"] = field(init=False)
    _whole: Sampling = field(init=False)  # of all positions
    _slots: dict[Key | None, int] = field(init=False)  # the sides of `_stacked`; None: the original features

    def __post_init__(self) -> None:
        self._whole = identity(self.layer.height, self.layer.width)
        sides: list[Key | None] = [None] if self.original.gram is not None else []
        sides += [key for key, pair in self.pairs.items() if pair.permutes and pair.moments.cross is not None]
        self._slots = {key: slot for slot, key in enumerate(sides)}
        products = [self.original.gram, *(pair.moments.cross for pair in self.pairs.values())]
        like = next((one for one in products if one is not None), self.original.total)
        channels = self.layer.channels
        self._stacked = like.new_zeros(GROUPS, len(sides), channels, channels)
        for key, slot in self._slots.items():
            if key is None:
                self.original.gram = self._stacked[:, slot]
            else:
                self.pairs[key].moments.cross = self._stacked[:, slot].mT

    def add(
        self,
        maps: Float[Tensor, "image channel row column"],
        places: Sequence[int],
        chosen: Sequence[Transformation],
        first: bool,
    ) -> Float[Tensor, ""]:
        """Take in a forward pass over images of one group as they are, then under each chosen transformation.

        `first` tells whether the images as they are were not taken in before. The sum of all squares so far is
        returned: it is not finite where a value was not, or was too large.
        """
        images, group = len(places), places[0] % GROUPS
        if self.original.origin is None:
            self.original.origin = Origin.of(maps[:images])
        if group != self._group:
            self._leave_group()
            self._group = group
        size = self.layer.channels * self.layer.height * self.layer.width
        step = max(1, AT_ONCE // max(size, 1))
        for start in range(0, images, step):
            stop = min(start + step, images)
            by_copy = [maps[images * copy + start : images * copy + stop] for copy in range(1 + len(chosen))]
            self._add_some(by_copy[0], dict(zip((one.name for one in chosen), by_copy[1:], strict=True)), first)
        names = {one.name for one in chosen}
        for pair in self.pairs.values():
            if pair.within is not None:
                pair.within.of_images.places.extend(places if pair.name in names else ())
        squares = [self.original.square[group]]
        squares += [pair.moments.found.square[group] for pair in self.pairs.values() if pair.name in names]
        return torch.stack(squares).sum()

    def _add_some(self, original: Tensor, transformed: Mapping[str, Tensor], first: bool) -> None:
        whole = self._whole
        permuting = [key for key in self._slots if key is not None and key[0] in transformed]
        stacks = first and None in self._slots
        rooms = self._rooms("stacked", original, whole, 1 + len(permuting))
        if first:
            intakes = [self.original.intake(self._group, original, whole, rooms[0])]
        else:  # they are counted, and needed once more
            intakes = [self._again(original, whole, rooms[0])]
        still = intakes[0].block
        for key, room in zip(permuting, rooms[1:], strict=True):
            intakes.append(self._found(self.pairs[key], transformed[key[0]], still, room))
        take_in(intakes)
        self._add_within(dict(zip(permuting, intakes[1:], strict=True)))
        if stacks or permuting:
            beside = rooms if stacks else rooms[1:]
            self._multiply(permuting[0] if not stacks else None, still, beside.view(-1, *still.shape[1:]))
        others = [key for key in self.pairs if key[0] in transformed and key not in self._slots]
        together = max(1, TOGETHER // max(2 * still.numel(), 1))
        for start in range(0, len(others), together):
            self._add_pairs(others[start : start + together], still, transformed)
        for name, moments in self.strict.items():
            if name in transformed:
                room = self._rooms("found 0", original, whole)[0]
                moments.found.add(
                    self._group, transformed[name], whole, room, own=moments.own[self._group], other=still,
                    scale=self._scale,
                )  # fmt: skip

    def _add_pairs(self, keys: Sequence[Key], still: Block, transformed: Mapping[str, Tensor]) -> None:
        """Take in both sides of some pairs, and multiply them."""
        intakes: list[Intake] = []
        found: dict[Key, Intake] = {}
        for number, key in enumerate(keys):
            pair, maps = self.pairs[key], transformed[key[0]]
            expected = still
            if not pair.permutes:
                room = self._rooms(f"expected {number}", maps, pair.sampling)[0]
                intakes.append(self._expected(pair, still, room))
                expected = intakes[-1].block
            if pair.ceiling is not None:
                rooms = self._rooms(f"ceiling {number}", maps, pair.ceiling.trip, 2)
                intakes += self._ceiling(pair.ceiling, still, expected, rooms)
            found[key] = self._found(pair, maps, expected, self._rooms(f"found {number}", maps, pair.sampling)[0])
            intakes.append(found[key])
        take_in(intakes)
        self._add_within(found)
        for key, one in found.items():
            moments, beside = self.pairs[key].moments, one.other
            assert beside is not None
            if not self.pairs[key].permutes and moments.expected.gram is not None:
                self._multiply((key[0], f"{key[1]} gram"), beside, beside)
            if moments.cross is not None:
                self._multiply(key, one.block, beside)

    @property
    def _scale(self) -> float:
        assert self.original.origin is not None
        return self.original.origin.scale

    def _expected(self, pair: Pair, still: Float[Tensor, "channel image whole"], room: Tensor) -> Intake:
        """Of `T'_g f(X)` less its origin: of values that are less it when they are taken in.

        They were just read, and an average of neighbours in float32 far from 0 would cost digits.
        """
        sampling, side = pair.sampling, pair.moments.expected
        side.origin = self.original.origin
        less = still.unflatten(2, sampling.size).transpose(0, 1)  # type: ignore[no-untyped-call]
        return side.intake_less(self._group, less, sampling, room)

    def _ceiling(
        self, ceiling: Ceiling, still: Float[Tensor, "channel image whole"], expected: Block, rooms: Tensor
    ) -> list[Intake]:
        """Of `T'_g^-1 T'_g f(X)` and of `f(X)`, both less the origin; `expected` is `T'_g f(X)`."""
        moments, trip = ceiling.moments, ceiling.trip
        moments.expected.origin = moments.found.origin = self.original.origin
        less = still.unflatten(2, trip.size).transpose(0, 1)  # type: ignore[no-untyped-call]
        there: tuple[Tensor, Sampling] = less, trip
        if along := isinstance(trip, RoundShift):  # it is there already
            there = expected.unflatten(2, trip.back.size).transpose(0, 1), trip.back  # type: ignore[no-untyped-call]
        returned = moments.expected.intake_less(self._group, *there, rooms[0], kept=not along)
        own = moments.own[self._group]
        whole = moments.found.intake_less(
            self._group, less, trip.window, rooms[1], own=own, other=returned.block, kept=not along
        )  # fmt: skip
        return [returned, whole]

    def _found(self, pair: Pair, maps: Tensor, expected: Block, room: Tensor) -> Intake:
        """Of `f(T_g X)` less its origin, at the positions of the expected side."""
        moments = pair.moments
        sampling = pair.sampling.inverse if pair.permutes else pair.sampling.window
        return moments.found.intake(
            self._group, maps, sampling, room, own=moments.own[self._group], other=expected, scale=self._scale
        )

    def _add_within(self, found: Mapping[Key, Intake]) -> None:
        """Take the images of both sides by themselves, where that is asked."""
        for key, one in found.items():
            pair = self.pairs[key]
            if pair.within is not None and one.other is not None:
                pilots = pair.moments.expected.pilot.to(one.block), pair.moments.found.pilot.to(one.block)
                pair.within.add(self._group, one.other, one.block, pilots)

    def _again(self, original: Tensor, whole: Sampling, room: Tensor) -> Intake:
        """The original features less their origin, to be added to nothing."""
        origin = self.original.origin
        assert origin is not None
        like = self.original
        nowhere = Sums(*(torch.zeros_like(value) for value in (like.total[0], like.square[0], like.maps)))
        return Intake.into(room, original, whole, nowhere, origin.pilot, origin.scale)

    def _rooms(self, name: str, maps: Tensor, sampling: Sampling, count: int = 1) -> Float[Tensor, "side value"]:
        """Memory for some images of so many sides; of their own where their products will wait for more."""
        images, channels = maps.shape[:2]
        size = images * channels * sampling.positions
        if images * sampling.positions < ENOUGH:
            return torch.empty(count, size, dtype=maps.dtype, device=maps.device)
        return self.scratch.room(name, count * size, maps).view(count, size)

    def _multiply(self, key: Key | None, one: Block, two: Float[Tensor, "row image position"]) -> None:
        """Add the products of every channel with every channel, once there are samples enough."""
        waiting = self._waiting.setdefault((self._group, key), [])
        waiting.append((one, two))
        if _samples(waiting) >= ENOUGH:
            self._add_products(self._group, key)

    def _leave_group(self) -> None:
        """Take in what waits of the present group, but for what is too little to be worth it."""
        enough = min(LATER, self.layer.channels // TENTH)
        for group, key in list(self._waiting):
            if group == self._group and _samples(self._waiting[group, key]) >= enough:
                self._add_products(group, key)

    def _add_products(self, group: int, key: Key | None) -> None:
        waiting = self._waiting.pop((group, key))
        sides = [[pair[side].flatten(1) for pair in waiting] for side in (0, 1)]
        one, two = (blocks[0] if len(blocks) == 1 else torch.cat(blocks, 1) for blocks in sides)
        sums = self._sums_of(group, key, len(two) // self.layer.channels)
        if sums.dtype == two.dtype and sums.device == two.device:
            sums.view(len(two), len(one)).addmm_(two, one.T)
            return
        room = self.scratch.room("products", len(one) * len(two), one).view(len(two), len(one))
        sums += torch.mm(two, one.T, out=room).view_as(sums).to(sums.device)

    def _sums_of(self, group: int, key: Key | None, sides: int) -> Tensor:
        """What the products are added to, `[.., second, first]`; `sides` of the stacked ones, from one on."""
        if key in self._slots:
            slot = self._slots[key]
            return self._stacked[group, slot : slot + sides]
        assert key is not None
        if key[1].endswith(" gram"):
            sums = self.pairs[key[0], key[1].removesuffix(" gram")].moments.expected.gram
        else:
            sums = self.pairs[key].moments.cross
        assert sums is not None
        return sums[group]

    def join(self) -> None:
        """Take in what waits."""
        for group, key in list(self._waiting):
            self._add_products(group, key)

    def sides(self) -> dict[str, Side]:
        """All sides, by name; a shared one once."""
        found = {"original": self.original}
        for (name, alignment), pair in self.pairs.items():
            found[f"{name}.{alignment}.found"] = pair.moments.found
            if not pair.permutes:
                found[f"{name}.{alignment}.expected"] = pair.moments.expected
            if pair.ceiling is not None:
                found[f"{name}.{alignment}.ceiling.expected"] = pair.ceiling.moments.expected
                found[f"{name}.{alignment}.ceiling.found"] = pair.ceiling.moments.found
        return found | {f"{name}.strict.found": moments.found for name, moments in self.strict.items()}

    def tensors(self) -> dict[str, Tensor]:
        """Everything that adds over images, by name."""
        found = {f"original.{name}": value for name, value in self.original.tensors()}
        for (name, alignment), pair in self.pairs.items():
            tensors = pair.moments.tensors(expected=not pair.permutes)
            found |= {f"{name}.{alignment}.{part}": value for part, value in tensors}
            if pair.within is not None:
                found |= {f"{name}.{alignment}.within.{part}": value for part, value in pair.within.tensors()}
            if pair.ceiling is not None:
                tensors = pair.ceiling.moments.tensors()
                found |= {f"{name}.{alignment}.ceiling.{part}": value for part, value in tensors}
        for name, moments in self.strict.items():
            found |= {f"{name}.strict.{part}": value for part, value in moments.tensors(expected=False)}
        return found

    def state(self) -> dict[str, Any]:
        """All that is remembered: tensors by name, the origins of sides, and scores of images."""
        self.join()
        return {
            "tensors": self.tensors(),
            "origins": self.origins(),
            "images": {".".join(key): pair.within.of_images.state() for key, pair in self.pairs.items() if pair.within},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Remember what a `state` holds."""
        for name, value in self.tensors().items():
            value.copy_(state["tensors"][name])
        device = self.original.maps.device
        for name, side in self.sides().items():
            if (origin := state["origins"].get(name)) is not None:
                side.origin = Origin(origin["pilot"].to(device), float(origin["scale"]))
        for key, pair in self.pairs.items():
            if pair.within:
                pair.within.of_images = OfImages.from_state(state["images"][".".join(key)])

    def origins(self) -> dict[str, dict[str, Any]]:
        """The origin of every side that has one."""
        return {
            name: {"pilot": side.origin.pilot, "scale": side.origin.scale}
            for name, side in self.sides().items()
            if side.origin is not None
        }

    def rebased(self, origins: Mapping[str, Mapping[str, Any]]) -> None:
        """Take all sums as if made with these origins, of which there is one for every side."""
        self.join()
        new = {name: Origin(one["pilot"].to(self.original.maps.device), one["scale"]) for name, one in origins.items()}
        for (name, alignment), pair in self.pairs.items():
            found = new[f"{name}.{alignment}.found"]
            expected = new["original" if pair.permutes else f"{name}.{alignment}.expected"]
            pair.moments.rebased(expected, found, shared=pair.permutes)
            if pair.ceiling is not None:
                its = [new[f"{name}.{alignment}.ceiling.{side}"] for side in ("expected", "found")]
                pair.ceiling.moments.rebased(*its)
        for name, moments in self.strict.items():
            moments.rebased(new["original"], new[f"{name}.strict.found"], shared=True)
        self.original.rebased(new["original"])

    def rolled(self, by: int) -> None:
        """Take the images as if so many others came before them: each is of a later group, and at a later place."""
        self.join()
        for name, value in self.tensors().items():
            if not name.endswith("maps"):  # which are over all images
                value.copy_(value.roll(by, 0))
        for pair in self.pairs.values():
            if pair.within is not None:
                pair.within.of_images.places = [place + by for place in pair.within.of_images.places]


def _samples(waiting: Sequence[tuple[Tensor, Tensor]]) -> int:
    """How many samples wait to be multiplied."""
    return sum(one.shape[1] * one.shape[2] for one, _ in waiting)
