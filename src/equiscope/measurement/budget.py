"""How much memory the accumulators of a measurement take, and how to keep it within bounds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import torch

from equiscope.functional.moments import GROUPS, products_in
from equiscope.functional.transformations import Transformation
from equiscope.measurement.options import Scoring
from equiscope.measurement.plan import Action, Plan
from equiscope.system.errors import OptionError

GIB = 2**30


def size_in_words(count: int) -> str:
    """Bytes in words.

    >>> size_in_words(3 * 2**30), size_in_words(5 * 2**19), size_in_words(512)
    ('3.00 GiB', '2.5 MiB', '0.5 KiB')
    """
    if count >= GIB / 10:
        return f"{count / GIB:.2f} GiB"
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 / 10 else f"{count / 2**10:.1f} KiB"


@dataclass(frozen=True)
class Pass:
    """What is measured in one reading of the images: on each layer, under which transformations."""

    actions: tuple[Action, ...]

    @property
    def transformations(self) -> tuple[Transformation, ...]:
        """All that the images go through, each once."""
        return tuple({one.transformation.name: one.transformation for one in self.actions}.values())


@dataclass(frozen=True)
class Budget:
    """What is measured in each pass over the images, and what that takes."""

    passes: tuple[Pass, ...]
    products: torch.dtype  # of the sums of products
    bytes: int  # of the accumulators, in the pass that takes most
    layers: int
    transformations: int

    def told(self) -> str:
        """The same in a sentence."""
        passes = "" if len(self.passes) == 1 else f", in {len(self.passes)} passes over the images"
        return (
            f"The accumulators need {size_in_words(self.bytes)}: {self.layers} layer{'s' * (self.layers > 1)}, "
            f"{self.transformations} transformation{'s' * (self.transformations > 1)}{passes}."
        )


def budgeted(
    plan: Plan,
    scoring: Scoring,
    images: int | None,
    memory: float | int | None,
    *,
    free: int | None = None,
    again: bool = True,
) -> Budget:
    """The budget of a measurement whose accumulators may take `memory` GiB.

    None: half of the `free` bytes, where these are known, for what is made of a layer's sums takes memory as well; or
    all that they take, where the images cannot be gone over `again`.
    A layer of C channels takes 40 C^2 bytes for each transformation, and as many for its Gram matrices (twice that for
    more than some 2,500 images). Where that is too much, the images are read several times, each time for some of the
    layers and transformations; those that only permute positions stay together. `OptionError` where one layer's alone
    take more than `memory` or than what is free.
    """
    products = products_in(images)
    units = list(_units(plan))
    sizes = [_bytes(unit, scoring, products) for unit in units]
    bound = inf
    if memory is not None:
        bound = memory * GIB
        _refuse_above(bound, units, sizes, "{memory}{given:g} GiB is too little", given=memory)
    elif free is not None:
        if not again and sum(sizes) > free:
            raise OptionError(
                "The accumulators need {needed}, and {free} of memory are free; give images that can be gone over "
                "again, to measure in several passes, or measure fewer layers or transformations.",
                needed=size_in_words(sum(sizes)), free=size_in_words(free),
            )  # fmt: skip
        bound = free / 2 if again else inf
        _refuse_above(free, units, sizes, "Memory does not do, of which {given} are free", given=size_in_words(free))
    passes: list[list[Action]] = [[]]
    taken = largest = 0
    for unit, size in zip(units, sizes, strict=True):
        if passes[-1] and taken + size > bound:
            passes.append([])
            taken = 0
        passes[-1].extend(unit)
        taken += size
        largest = max(largest, taken)
    measured = len(plan.found.measured), len(plan.transformations)
    return Budget(tuple(Pass(tuple(of_pass)) for of_pass in passes), products, largest, *measured)


def _refuse_above(
    bound: float | int, units: Sequence[list[Action]], sizes: Sequence[int], why: str, given: object
) -> None:
    for unit, size in zip(units, sizes, strict=True):
        if size > bound:
            raise OptionError(
                why + ": the accumulators of layer {layer} alone need {needed}; allow more, or measure fewer "
                "transformations.",
                given=given, layer=unit[0].layer.name, needed=size_in_words(size),
            )  # fmt: skip


def _units(plan: Plan) -> Iterator[list[Action]]:
    """What must be measured together: a layer's permuting transformations; then each other one by itself."""
    for layer in plan.found.measured:
        for alone in (False, True):
            actions = plan.of_layer(layer, alone=alone)
            if permuting := [one for one in actions if one.permutes and one.transformation.rearranges]:
                yield permuting
    for transformation in plan.transformations:
        for layer in plan.found.measured:
            for by_key in (plan.actions, plan.alone):
                one = by_key.get((layer.name, transformation.name))
                if one is not None and (not one.permutes or not transformation.rearranges):
                    yield [one]


def _bytes(unit: Sequence[Action], scoring: Scoring, products: torch.dtype) -> int:
    layer = unit[0].layer
    pairs, maps = layer.channels**2 * GROUPS * products.itemsize, layer.channels * layer.height * layer.width * 8
    total = maps  # of the layer's original features
    if any("linear" in one.measures and one.permutes for one in unit):
        total += pairs
    for one in unit:
        copies = 2 if scoring.alignment == "registered" and one.transformation.turns and not layer.vector else 1
        own_sides = 1 if one.permutes else 2
        total += copies * (pairs * one.crossed + maps * own_sides) + (copies - 1) * maps * (2 - own_sides)
        total += maps * ("strict_invariance" in one.measures)
        between = one.sampling is not None and one.sampling.interpolated
        total += maps * 2 * (between + copies - 1)  # both sides of a round trip
        if scoring.measures is not None and "linear" in one.measures:  # asked for wherever it can be had
            total += pairs * (copies if not one.permutes else copies - 1)
        if "image" in scoring.scopes and not layer.vector:
            total += copies * 2 * (layer.channels**2 * GROUPS * 8 + maps)
    return total
