"""What is kept of a layer: its features are moved, matched, and remembered as scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from equiscope.functional import loops
from equiscope.functional.loops import Scratch
from equiscope.functional.similarity import CONSTANT, Centring, Side, side
from equiscope.functional.transformations import Transformation, Window, about, whole
from equiscope.measurement.streaming import LEAST_CELLS, ChannelSpread, PairMemory, PairSums, State
from equiscope.networks.layers import Layer
from equiscope.system.processes import Processes

Key = tuple[str, str]  # the transformation's name, and the alignment
ALIGNMENTS = ("array", "registered")
AT_ONCE = 2**18  # features of a layer that are taken in at once on a CPU: one megabyte, for its caches


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
        self.similarity, self.negative, self.strict = similarity, negative, strict
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

    def add(
        self, maps: Tensor, images: int, start: int, chosen: Sequence[Transformation], first: bool
    ) -> Float[Tensor, "copy"] | None:
        """Take in one forward pass, as a `Record` does."""
        passes = maps.reshape(1 + len(chosen), images, *maps.shape[1:])
        sizes = self._take_in(passes, start, chosen, first)
        if self.mismatched:
            self._keep(passes[0, -1:])
        return sizes

    def _take_in(
        self,
        passes: Float[Tensor, "pass image channel row column"],
        start: int,
        chosen: Sequence[Transformation],
        first: bool,
    ) -> Float[Tensor, "copy"] | None:
        """Take in one forward pass, some images at a time."""
        maps, images = passes[0], passes.shape[1]
        at_once = max(1, AT_ONCE // maps[0].numel()) if loops.used_for(maps) else images
        for some in range(0, images, at_once):
            before = min(some, 1) if self.mismatched else 0
            still = passes[0, some - before : some + at_once]
            if self.mismatched and not some and self._last is not None:
                out = self.scratch.of("with the image before", maps, 1 + len(still), *still.shape[1:])
                still = torch.cat((self._last, still), out=out)
            self._add_some(still, passes[1:, some : some + at_once], start + some, chosen, first)
        return None

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
        self, key: Key, transformation: Transformation | None, turned: "_Taken", still: "_Taken", start: int
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


@dataclass
class _Plan:
    """How a forward pass of a small layer is paired."""

    together: list[Key] = field(default_factory=list)  # what moves the maps as they are
    moves: loops.Moves | None = None
    all_seen: bool = False  # every transformation of the forward pass is among those, so that sizes are known of all
    apart: list[tuple[Key, Transformation, loops.Moves]] = field(default_factory=list)  # what moves maps of its own
    nothing: list[Key] = field(default_factory=list)  # what has no valid cell


class SmallLayerRecord(LayerRecord):
    """The same of a layer of few channels and cells on a CPU, where all of it is one loop: see `loops.paired`.

    The valid cells are a rectangle under all that is measured, and invariance is that of the scores (not `strict`).
    """

    def __init__(self, layer: Layer, transformations: Sequence[Transformation], **options: Any) -> None:
        super().__init__(layer, transformations, **options)
        self._sums = _together(self.matched)
        self._chance = _together(self.mismatched) if self.mismatched else None
        self._numbers = {key: number for number, key in enumerate(self.matched)}
        self._plans: dict[tuple[str, ...], _Plan] = {}

    def _take_in(
        self,
        passes: Float[Tensor, "pass image channel row column"],
        start: int,
        chosen: Sequence[Transformation],
        first: bool,
    ) -> Float[Tensor, "copy"] | None:
        """Take in one forward pass, all images at once."""
        passes = passes.contiguous()
        still, images = passes[0], passes.shape[1]
        plan = self._plan(chosen, still)
        for key in plan.nothing:
            self._add_nothing(key, start, images)
        for key, variant, move in plan.apart:
            before = None if self._last is None else self._rearranged(variant, self._last)
            self._pair([key], move, passes, self._rearranged(variant, still), before, start)
        if plan.moves is None:
            if first:
                self.spread.add(side(still).centring)
            return None
        found = self._pair(plan.together, plan.moves, passes, still, self._last, start)
        if first:
            self.spread.add(Centring(found.still, still.shape[-2:].numel()))
        return found.sizes.flatten() if plan.all_seen else None

    def _plan(self, chosen: Sequence[Transformation], still: Tensor) -> "_Plan":
        """How the passes of these transformations are to be paired, which is the same for all images."""
        names = tuple(one.name for one in chosen)
        if names in self._plans:
            return self._plans[names]
        plan = _Plan()
        moves: list[loops.Move] = []
        for of_pass, transformation in enumerate(chosen, start=1):
            for alignment, variant in self.variants[transformation.name].items():
                key = transformation.name, alignment
                window = None if variant is None else self._window(variant, still)
                if variant is None or window is None or not window.cells:
                    plan.nothing.append(key)
                    continue
                check_shapes(self.layer, transformation, still, window.maps)
                source = self._source(variant, still) if variant.permutes else None
                move = loops.Move(self._numbers[key], of_pass, window, source)
                if window.maps is still:
                    plan.together.append(key)
                    moves.append(move)
                else:
                    plan.apart.append((key, variant, loops.Moves([move])))
        if moves:
            plan.moves = loops.Moves(moves)
            plan.all_seen = plan.moves.of_passes == set(range(1, 1 + len(chosen)))
        self._plans[names] = plan
        return plan

    def _window(self, variant: Transformation, maps: Tensor) -> Window | None:
        """Where expected values come from; under a transformation that permutes them, the maps as they are."""
        if variant.permutes:
            return whole(maps)
        assert variant.on_window is not None
        return variant.on_window(maps, self.layer.stride)

    def _rearranged(self, variant: Transformation, maps: Tensor) -> Tensor:
        """The maps that a window of the transformation is of."""
        window = self._window(variant, maps)
        assert window is not None
        return window.maps

    def _add_nothing(self, key: Key, start: int, images: int) -> None:
        self.matched[key].add_nothing(range(start, start + images))
        first = start if self._last is not None else start + 1
        if key in self.mismatched and first < start + images:
            self.mismatched[key].add_nothing(range(first, start + images))

    def _pair(
        self,
        keys: Sequence[Key],
        moves: loops.Moves,
        passes: Tensor,
        still: Tensor,
        before: Tensor | None,
        start: int,
    ) -> loops.Paired:
        found = loops.paired(
            passes, still, before, moves, self._sums, self._chance, start, CONSTANT, self.scratch,
            mean=self.similarity != "cosine", least=LEAST_CELLS, absolute=self.negative == "abs",
        )  # fmt: skip
        images = len(still)
        for number, (key, cells) in enumerate(zip(keys, moves.cells, strict=True)):
            turned, expected = Centring(found.turned[number], cells), Centring(found.expected[number], cells)
            own, best, partner = found.own[:, number], found.best[:, number], found.partner[:, number]
            places = range(start, start + images)
            self.matched[key].hold(turned, expected[1:], own[0], best[0], partner[0], places)
            pairs = slice(0 if before is not None else 1, images)
            if key in self.mismatched and places[pairs]:
                self.mismatched[key].hold(
                    turned[pairs], expected[pairs], own[1, pairs], best[1, pairs], partner[1, pairs], places[pairs]
                )
        return found


def _together(memories: Mapping[Key, PairMemory]) -> Float[Tensor, "number group channel channel"]:
    """The products of all pairs of channels in one tensor, of which each memory has a part."""
    products = torch.stack([memory.sums.product for memory in memories.values()])
    for memory, product in zip(memories.values(), products, strict=True):
        memory.sums.product = product
    return products


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


def layer_records(
    layers: Sequence[Layer],
    transformations: Sequence[Transformation],
    *,
    device: torch.device,
    offsets: Mapping[str, Mapping[str, tuple[float, float] | None]] | None = None,
    strict: bool,
    **options: Any,
) -> dict[str, LayerRecord]:
    """A record of every layer, as suits it; they share what memory they need meanwhile."""
    scratch = Scratch()
    rectangular = all(one.permutes or one.on_window is not None for one in transformations)

    def kind(layer: Layer) -> type[LayerRecord]:
        few = layer.channels <= loops.FEW_CHANNELS and layer.height * layer.width <= loops.FEW_CELLS
        on_cpu = loops.used_for(torch.empty(0, device=device))
        return SmallLayerRecord if few and on_cpu and rectangular and not (strict or layer.vector) else LayerRecord

    return {
        layer.name: kind(layer)(
            layer, transformations, device=device, scratch=scratch, strict=strict,
            offsets=None if offsets is None else offsets.get(layer.name), **options,
        )
        for layer in layers
    }  # fmt: skip


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
