"""From a layer's features, batch by batch, to its moments: all of the pass over the images that is arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from equiscope.functional.blocks import Block, Taken, taken_in
from equiscope.functional.moments import GROUPS, Moments, Origin, Side
from equiscope.functional.sampling import Axes, Sampling, identity
from equiscope.functional.transformations import Transformation
from equiscope.functional.within_image import OfImages, WithinImage
from equiscope.networks.layers import Layer

AT_ONCE = 2**18  # values of one side that are taken at a time: a megabyte, which a core's own cache holds
ENOUGH = 512  # samples in a product: fewer wait for more, since adding a product to float64 sums costs as many

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
class Pair:
    """One transformation on one layer: where its positions get their values from, and the moments of both sides."""

    name: str
    sampling: Sampling
    moments: Moments
    permutes: bool  # the found side is moved back, and the expected side is that of the original features
    within: WithinImage | None = None


@dataclass
class LayerMoments:
    """What a layer's features come to, under all transformations of a pass."""

    layer: Layer
    scratch: Scratch
    original: Side
    pairs: dict[Key, Pair]
    strict: dict[str, Moments] = field(default_factory=dict)  # by transformation, where Eq. 4 to the letter is asked
    _group: int = -1
    _waiting: dict[Key | None, list[tuple[Block, Block]]] = field(default_factory=dict)

    def add(
        self,
        maps: Float[Tensor, "image channel row column"],
        places: Sequence[int],
        chosen: Sequence[Transformation],
        first: bool,
    ) -> Float[Tensor, ""]:
        """Take in a forward pass over images of one group as they are, then under each chosen transformation.

        `first` tells whether the images as they are were not taken in before. The sum of all squares is returned: it
        is not finite where a value is not, or is too large.
        """
        images, group = len(places), places[0] % GROUPS
        if self.original.origin is None:
            self.original.origin = Origin.of(maps[:images])
        if group != self._group:
            self.join()
            self._group = group
        size = self.layer.channels * self.layer.height * self.layer.width
        step = max(1, AT_ONCE // max(size, 1))
        squares = torch.zeros((), dtype=torch.float64, device=maps.device)
        for start in range(0, images, step):
            stop = min(start + step, images)
            by_copy = [maps[images * copy + start : images * copy + stop] for copy in range(1 + len(chosen))]
            squares = squares + self._add_some(by_copy[0], dict(zip(chosen, by_copy[1:], strict=True)), first)
        for pair in self.pairs.values():
            if pair.within is not None:
                pair.within.of_images.places.extend(places if pair.name in {one.name for one in chosen} else ())
        return squares

    def _add_some(self, original: Tensor, transformed: Mapping[Transformation, Tensor], first: bool) -> Tensor:
        whole = identity(self.layer.height, self.layer.width)
        if first:
            taken = self.original.add(self._group, original, whole, self._room("original", original, whole))
            still, squares = taken.block, taken.square.sum()
            if self.original.gram is not None:
                self._multiply(None, still, still)
        else:  # they are counted, and needed once more
            still, squares = self._again(original, whole), torch.zeros((), device=original.device)
        for transformation, maps in transformed.items():
            for alignment in ("array", "registered"):
                if (pair := self.pairs.get((transformation.name, alignment))) is not None:
                    key = (transformation.name, alignment)
                    squares = squares + self._add_pair(key, pair, still, original, maps)
            if transformation.name in self.strict:
                self._found(self.strict[transformation.name], maps, whole, still)
        return squares

    def _add_pair(self, key: Key, pair: Pair, still: Block, original: Tensor, maps: Tensor) -> Tensor:
        moments, expected = pair.moments, still
        sampling = pair.sampling.inverse if pair.permutes else pair.sampling.window
        if not pair.permutes:
            expected = self._expected(pair, original, still)
            if moments.expected.gram is not None:
                self._multiply((key[0], f"{key[1]} gram"), expected, expected)
        taken = self._found(moments, maps, sampling, expected)
        if moments.cross is not None:
            self._multiply(key, expected, taken.block)
        if pair.within is not None:
            pilots = moments.expected.pilot.to(maps), moments.found.pilot.to(maps)
            pair.within.add(self._group, expected, taken.block, pilots)
        return taken.square.sum()

    def _expected(self, pair: Pair, original: Tensor, still: Tensor) -> Block:
        """`T'_g f(X)` less its origin.

        Where neighbours are averaged along the axes, it is of values that are less the origin already: an average in
        float32 far from 0 costs digits.
        """
        sampling, side = pair.sampling, pair.moments.expected
        room = self._room("expected", original, sampling)
        if not (isinstance(sampling, Axes) and sampling.interpolated):
            assert self.original.origin is not None
            return side.add(self._group, original, sampling, room, scale=self.original.origin.scale).block
        assert self.original.origin is not None
        less = still.unflatten(2, sampling.size).transpose(0, 1)  # type: ignore[no-untyped-call]
        side.origin = self.original.origin
        return side.add_less(self._group, less, sampling, room).block

    def _found(self, moments: Moments, maps: Tensor, sampling: Sampling, expected: Block) -> Taken:
        assert self.original.origin is not None
        room, scale = self._room("found", maps, sampling), self.original.origin.scale
        taken = moments.found.add(self._group, maps, sampling, room, expected, scale)
        assert taken.own is not None
        moments.own[self._group] += taken.own.to(moments.own.device)
        return taken

    def _again(self, original: Tensor, whole: Sampling) -> Block:
        """The original features less their origin, added to nothing."""
        origin = self.original.origin
        assert origin is not None
        nowhere = torch.zeros_like(self.original.maps)
        room = self._room("original", original, whole)
        return taken_in(original, whole, room, nowhere, pilot=origin.pilot, scale=origin.scale).block

    def _room(self, name: str, maps: Tensor, sampling: Sampling) -> Tensor:
        """Memory for some images; of their own where their products will wait for more."""
        images, channels = maps.shape[:2]
        size = images * channels * sampling.positions
        if images * sampling.positions < ENOUGH:
            return torch.empty(size, device=maps.device)
        return self.scratch.room(name, size, maps)

    def _multiply(self, key: Key | None, expected: Block, found: Block) -> None:
        """Add the products of every channel with every channel, once there are samples enough."""
        waiting = self._waiting.setdefault(key, [])
        waiting.append((expected, found))
        if sum(one.shape[1] * one.shape[2] for one, _ in waiting) >= ENOUGH:
            self._add_products(key)

    def _add_products(self, key: Key | None) -> None:
        waiting = self._waiting.pop(key, [])
        if not waiting:
            return
        sides = [[pair[side].flatten(1) for pair in waiting] for side in (0, 1)]
        one, two = (blocks[0] if len(blocks) == 1 else torch.cat(blocks, 1) for blocks in sides)
        channels = len(one)
        room = self.scratch.room("products", channels**2, one).view(channels, channels)
        sums = self._sums_of(key)[self._group]
        sums += torch.mm(one, two.T, out=room).to(sums.device)

    def _sums_of(self, key: Key | None) -> Tensor:
        if key is None:
            sums = self.original.gram
        elif key[1].endswith(" gram"):
            sums = self.pairs[key[0], key[1].removesuffix(" gram")].moments.expected.gram
        else:
            sums = self.pairs[key].moments.cross
        assert sums is not None
        return sums

    def join(self) -> None:
        """Take in what waits."""
        for key in list(self._waiting):
            self._add_products(key)

    def sides(self) -> dict[str, Side]:
        """All sides, by name; a shared one once."""
        found = {"original": self.original}
        for (name, alignment), pair in self.pairs.items():
            found[f"{name}.{alignment}.found"] = pair.moments.found
            if not pair.permutes:
                found[f"{name}.{alignment}.expected"] = pair.moments.expected
        return found | {f"{name}.strict.found": moments.found for name, moments in self.strict.items()}

    def tensors(self) -> dict[str, Tensor]:
        """Everything that adds over images, by name."""
        found = {f"original.{name}": value for name, value in self.original.tensors()}
        for (name, alignment), pair in self.pairs.items():
            tensors = pair.moments.tensors(expected=not pair.permutes)
            found |= {f"{name}.{alignment}.{part}": value for part, value in tensors}
            if pair.within is not None:
                found |= {f"{name}.{alignment}.within.{part}": value for part, value in pair.within.tensors()}
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
