"""What happens to a layer's features as they pass by: they are moved, matched, and remembered as scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, log2
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from equiscope.functional import loops
from equiscope.functional.loops import Scratch
from equiscope.functional.similarity import Side, side
from equiscope.functional.transformations import Transformation, Window, about
from equiscope.models.layers import Layer
from equiscope.processes import Processes
from equiscope.streaming import ChannelSpread, PairMemory, PairSums, State

SMALLEST, LARGEST = 1e-9, 1e9  # features between which squares, and sums of them, are safe in float32
ALIGNMENTS = ("array", "registered")
AT_ONCE = 2**18  # features of a layer that are taken in at once on a CPU: one megabyte, for its caches


@runtime_checkable
class Record(Protocol):
    """What is kept of a layer."""

    layer: Layer

    def add(self, maps: Tensor, images: int, start: int, chosen: Sequence[Transformation], first: bool) -> None:
        """Take in one forward pass: `images` as they are, then the same under each chosen transformation.

        `start` is the first image's place in the data set; `first` says that this is their first forward pass.
        """

    def next_images(self) -> None:
        """Leave these images for the next ones."""


class Recorder:
    """The records of all layers, and what the network is being given while they are made."""

    def __init__(
        self,
        records: Mapping[str, Record],
        start: int = 0,
        *,
        scales: Mapping[str, float] | None = None,
        registered: int = 0,
    ) -> None:
        self.records = records
        self.images = start  # the place of the next image among those scored
        self.error: ValueError | None = None  # of ours, raised while the network was running
        self.scales = scales  # what each layer's features are multiplied by, where that is not 1; None: not yet known
        self._registered = registered  # images that come before those scored
        self._totals: dict[str, Tensor] = {}  # of each layer's features, by image of the forward pass
        self._given: tuple[int, Sequence[Transformation], bool] = (0, (), True)

    def expect(self, images: int, chosen: Sequence[Transformation], *, first: bool) -> None:
        """Say what the next forward pass is of: `images` as they are, then the same under each transformation.

        `first` says that it is these images' first forward pass.
        """
        self._given = images, chosen, first

    def receive(self, layer: str, features: Tensor) -> None:
        """Take in one layer's features of the forward pass."""
        images, chosen, first = self._given
        try:
            with torch.autocast(features.device.type, enabled=False):
                record = self.records[layer]
                maps = stacked_maps(record.layer, features, images, chosen)
                if self.scales is not None and layer in self.scales:
                    maps = maps * self.scales[layer]
                flat = maps.flatten(1)
                self._totals[layer] = flat.sum(1) if self.scales is None else torch.linalg.vector_norm(flat, dim=1)
                record.add(maps, images, self.images, chosen, first)
        except ValueError as error:
            self.error = error
            raise
        except Exception as error:  # a transformation of the user's may raise anything
            self.error = ValueError(f"Layer {layer} cannot be measured: {type(error).__name__}: {error}")
            raise self.error from error

    def check(self) -> None:
        """ValueError where a layer's features of the forward pass hold NaN, infinity, or what is too large to square.

        All layers at once, so that an accelerator stops once a forward pass and not once a layer.
        """
        images, _, _ = self._given
        if missing := [name for name in self.records if name not in self._totals]:
            self.error = ValueError(
                f"Layer {missing[0]} gave no features for the images from {self._registered + self.images} on; a layer "
                "must take part in every forward pass, so leave this one out (layers=)."
            )
            raise self.error
        finite = torch.stack(list(self._totals.values())).isfinite()
        if not finite.all():
            layer, image = (~finite).nonzero()[0].tolist()
            self.error = ValueError(
                f"Layer {list(self._totals)[layer]} gives NaN, infinity or values too large to square for image "
                f"{self._registered + self.images + image % images} (counted from 0); check the network's weights and "
                "the images' preprocessing."
            )
            raise self.error
        self._totals.clear()

    def next_images(self) -> None:
        """Leave these images for the next ones."""
        self.leave_images()
        self.images += self._given[0]

    def leave_images(self) -> None:
        """Leave these images, which do not count, for the next ones."""
        for record in self.records.values():
            record.next_images()


@dataclass
class LayerScale:
    """What a layer's features are to be multiplied by, found from a few images."""

    layer: Layer
    scale: float = 1.0

    def add(self, maps: Tensor, images: int, start: int, chosen: Sequence[Transformation], first: bool) -> None:
        """Take in one forward pass, as a `Record` does."""
        self.scale = scale_of(maps)

    def next_images(self) -> None:
        """Nothing is kept from image to image."""


class LayerRecord:
    """The memory of one layer: per transformation the pairs that belong together and, for chance, those that do not."""

    def __init__(
        self,
        layer: Layer,
        transformations: Sequence[Transformation],
        *,
        similarity: str,
        negative: str,
        strict: bool,
        chance: bool,
        groups: int,
        device: torch.device,
        scratch: Scratch,
        offsets: Mapping[str, tuple[float, float] | None] | None = None,
    ) -> None:
        def memory(sets: int, *, partners: bool = True) -> PairMemory:
            return PairMemory(
                sets, layer.channels, negative=negative, strict=strict, scratch=scratch, partners=partners,
                device=device,
            )  # fmt: skip

        self.layer, self.scratch = layer, scratch
        self.similarity, self.strict = similarity, strict
        self.offsets = offsets
        self.variants = {one.name: self._variants(one) for one in transformations}
        keys = [(name, alignment) for name, variants in self.variants.items() for alignment in variants]
        self.matched = {key: memory(groups) for key in keys}
        self.mismatched = {key: memory(1, partners=False) for key in keys} if chance else {}
        self.spread = ChannelSpread(layer.channels)
        self._last: Tensor | None = None  # the maps of the image before these
        self._newest: Tensor | None = None
        self._sources: dict[str, Tensor] = {}  # of each cell, by transformation

    def _variants(self, transformation: Transformation) -> dict[str, Transformation | None]:
        """The transformation by alignment; None where the layer's own centre is not known."""
        variants: dict[str, Transformation | None] = {"array": transformation}
        if self.offsets is not None and transformation.turns:
            if self.layer.vector:  # has no centre, and turns by doing nothing
                variants["registered"] = transformation
            else:
                offset = self.offsets[transformation.name]
                variants["registered"] = None if offset is None else about(transformation, offset)
        return variants

    def add(self, maps: Tensor, images: int, start: int, chosen: Sequence[Transformation], first: bool) -> None:
        """Take in one forward pass, as a `Record` does."""
        passes = maps.reshape(1 + len(chosen), images, *maps.shape[1:])
        at_once = max(1, AT_ONCE // maps[0].numel()) if loops.used_for(maps) else images
        for some in range(0, images, at_once):
            before = min(some, 1) if self.mismatched else 0
            still = passes[0, some - before : some + at_once]
            if self.mismatched and not some and self._last is not None:
                out = self.scratch.of("with the image before", maps, 1 + len(still), *still.shape[1:])
                still = torch.cat((self._last, still), out=out)
            self._add_some(still, passes[1:, some : some + at_once], start + some, chosen, first)
        if self.mismatched:
            self._keep(passes[0, -1:])

    def _add_some(
        self,
        still: Float[Tensor, "still_image channel row column"],
        turned: Float[Tensor, "transformation image channel row column"],
        start: int,
        chosen: Sequence[Transformation],
        first: bool,
    ) -> None:
        """Take in so few images of a forward pass that they stay in the processor's cache.

        `still` may begin with the image before them.
        """
        of_still = _Taken(still, "still", self.similarity, self.scratch)
        if first:
            whole = of_still.whole
            if self.similarity != "pearson":
                whole = side(of_still.maps, out=self.scratch.of("spread", still, *whole.values.shape))
            self.spread.add(whole.centring[-turned.shape[1] :])
        for transformation, maps in zip(chosen, turned, strict=True):
            of_turned = _Taken(maps, "turned", self.similarity, self.scratch)
            for alignment, variant in self.variants[transformation.name].items():
                self._match((transformation.name, alignment), variant, of_turned, of_still, start)

    def _keep(self, maps: Float[Tensor, "1 channel row column"]) -> None:
        """Remember the last image's maps, in memory that is used again."""
        if self._newest is None:
            self._newest = maps.clone(memory_format=torch.contiguous_format)
        else:
            self._newest.copy_(maps)

    def next_images(self) -> None:
        """Make the last of these images the one before the next."""
        self._last, self._newest = self._newest, self._last

    def sums(self) -> Iterator[PairSums]:
        """All sums over images."""
        yield self.spread.sums
        for memory in (*self.matched.values(), *self.mismatched.values()):
            yield memory.sums
            if memory.own_sums is not None:
                yield memory.own_sums

    def joined_across(self, processes: Processes) -> None:
        """Join what all processes remember, in each of them."""
        for memory in self._memories().values() if processes.count > 1 else ():
            memory.joined_across(processes)

    def state(self) -> State:
        """All that is remembered, but for the image before."""
        return {name: memory.state() for name, memory in self._memories().items()}

    def restore(self, state: State) -> None:
        """Remember what a `state` holds."""
        for name, memory in self._memories().items():
            memory.restore(state[name])

    def _memories(self) -> dict[str, PairMemory | PairSums]:
        named: dict[str, PairMemory | PairSums] = {"spread": self.spread.sums}
        for kind, memories in (("matched", self.matched), ("mismatched", self.mismatched)):
            named |= {f"{kind} {name} {alignment}": memory for (name, alignment), memory in memories.items()}
        return named

    def _match(
        self, key: tuple[str, str], transformation: Transformation | None, turned: "_Taken", still: "_Taken", start: int
    ) -> None:
        """Match the images' turned features with their own still ones and, for chance, with the image before's."""
        images = len(turned.maps)
        memories = [(self.matched[key], slice(None), slice(-images, None))]
        pairs = min(images, len(still.maps) - 1)
        if self.mismatched and pairs:
            others = slice(-pairs - 1, -1)
            memories.append((self.mismatched[key], slice(-pairs, None), others))
        sides = None if transformation is None else self._sides(transformation, turned, still)
        own = (turned.whole, still.whole) if self.strict else None
        for memory, these, others in memories:
            places = range(start, start + images)[these]
            of_own = (own[0][these], own[1][others]) if own else None
            if sides is None:
                memory.add_nothing(places)
            elif not sides[0].cells:
                memory.add_nothing(places, of_own)
            else:
                memory.add(sides[0][these], sides[1][others], places, of_own)

    def _sides(self, transformation: Transformation, turned: "_Taken", still: "_Taken") -> tuple[Side, Side] | None:
        """The turned and the expected features at the valid cells; None if the transformation is left out."""
        if self.layer.vector:
            return turned.whole, still.whole
        if transformation.permutes:
            source = self._source(transformation, turned.maps)
            whole = still.whole
            out = self.scratch.of("expected", whole.values, *whole.values.shape)
            return turned.whole, whole.rearranged(source, out)
        if transformation.on_window is not None:
            expected = transformation.on_window(still.maps, self.layer.stride)
            if expected is None:
                return None
            check_shapes(self.layer, transformation, turned.maps, expected.maps)
            cells: tuple[Tensor, Tensor | Window] = turned.maps[..., expected.rows, expected.columns], expected
        else:
            given = still.maps if transformation.only_moves else still.maps.clone()
            action = transformation.on_cells(given, self.layer.stride)
            if action is None:
                return None
            if not isinstance(action, tuple) or len(action) != 2:
                raise ValueError(
                    f"{transformation.name} gives for cells a value of type {type(action).__name__}; it must be the "
                    "moved maps and the valid cells, (maps, valid), or None."
                )
            cells = valid_cells(self.layer, transformation, turned.maps, *action)
        of_turned, of_expected = (
            side(maps, self.similarity, self.scratch.of(name, of.maps, *of.maps.shape[:2], cells[0][0, 0].numel()))
            for name, of, maps in zip(("turned cells", "expected"), (turned, still), cells, strict=True)
        )
        return of_turned, of_expected

    def _source(self, transformation: Transformation, turned: Tensor) -> Int[Tensor, "cell"]:
        """Where the value of each cell comes from, under a transformation that only changes their places."""
        if transformation.name not in self._sources:
            _, channels, height, width = turned.shape
            cells = torch.arange(height * width, dtype=torch.int32, device=turned.device).view(1, 1, height, width)
            action = transformation.on_cells(cells.expand(1, channels, height, width), self.layer.stride)
            assert action is not None
            check_shapes(self.layer, transformation, turned, action[0])
            self._sources[transformation.name] = action[0][0, 0].flatten()
        return self._sources[transformation.name]


class _Taken:
    """Some images' maps, and the same centred."""

    def __init__(self, maps: Tensor, name: str, similarity: str, scratch: Scratch) -> None:
        self.maps: Float[Tensor, "image channel row column"] = maps if maps.stride(-1) == 1 else maps.contiguous()
        self.name, self.similarity, self.scratch = name, similarity, scratch

    @cached_property
    def whole(self) -> Side:
        """All cells, centred."""
        images, channels, height, width = self.maps.shape
        return side(self.maps, self.similarity, self.scratch.of(self.name, self.maps, images, channels, height * width))


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


def stacked_maps(
    layer: Layer, features: Tensor, images: int, chosen: Sequence[Transformation]
) -> Float[Tensor, "image channel row column"]:
    """A layer's features as maps in float32: of some images, then of the same under each chosen transformation."""
    if features.is_complex():
        raise ValueError(
            f"Layer {layer.name} gives complex features; leave it out (layers=), or have the network give their real "
            "and imaginary parts as channels (torch.view_as_real)."
        )
    maps = layer.maps(features).float()
    if len(maps) != images * (1 + len(chosen)):
        raise ValueError(
            f"Layer {layer.name} gave features for {len(maps)} images where the network was given "
            f"{images * (1 + len(chosen))}; its first axis is not the image."
        )
    found, known = tuple(maps.shape[1:]), (layer.channels, layer.height, layer.width)
    if found != known:
        told = (f"{channels} channels of {height} x {width} cells" for channels, height, width in (found, known))
        raise ValueError(
            f"Layer {layer.name} gave {next(told)}, where its shape promised {next(told)}; leave it out (layers=), for "
            "a layer must be of one size."
        )
    return maps


def check_shapes(layer: Layer, transformation: Transformation, turned: Tensor, expected: Tensor) -> None:
    """ValueError where the turned and the expected maps of a layer differ in shape."""
    if turned.shape[1:] != expected.shape[1:]:
        given, needed = (" x ".join(str(size) for size in maps.shape[1:]) for maps in (expected, turned))
        raise ValueError(
            f"Under {transformation.name}, layer {layer.name} is expected to give maps of {given} and gives {needed}; "
            "its maps must be square, or the transformation's action on cells must keep their shape."
        )


def valid_cells(
    layer: Layer, transformation: Transformation, turned: Tensor, expected: Tensor, valid: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Both sides' values at the valid cells, `[image, channel, cell]` or, of a rectangle, `[..., row, column]`."""
    check_shapes(layer, transformation, turned, expected)
    if valid is not None and (valid.shape != expected.shape[-2:] or valid.dtype != torch.bool):
        raise ValueError(
            f"Under {transformation.name}, the valid cells of layer {layer.name} must be booleans of shape "
            f"{list(expected.shape[-2:])}; they are {valid.dtype} of shape {list(valid.shape)}."
        )
    if valid is None:
        return turned, expected
    rows, columns = valid.any(1).nonzero()[:, 0], valid.any(0).nonzero()[:, 0]
    if len(rows) and int(valid.sum()) == len(rows) * len(columns) and _run(rows) and _run(columns):
        window = (..., slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        return turned[window], expected[window]
    chosen = valid.to(turned.device)
    return turned[..., chosen], expected[..., chosen]


def _run(places: Tensor) -> bool:
    return int(places[-1]) - int(places[0]) + 1 == len(places)
