"""How much memory the sums of a measurement take, and how to keep it within bounds."""

from collections.abc import Sequence
from dataclasses import dataclass

from equiscope.functional.statistics import GROUPS
from equiscope.functional.transformations import Transformation
from equiscope.networks.layers import Layer

FEW_GROUPS = 5  # of the jackknife, where ten take too much memory
GIB = 2**30


def _size(count: int) -> str:
    """Bytes in words.

    >>> _size(3 * 2**30), _size(5 * 2**19), _size(512)
    ('3.00 GiB', '2.5 MiB', '0.5 KiB')
    """
    if count >= GIB / 10:
        return f"{count / GIB:.2f} GiB"
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 / 10 else f"{count / 2**10:.1f} KiB"


@dataclass(frozen=True)
class Budget:
    """Which transformations are measured in each pass over the images, in how many groups, and what that takes."""

    passes: tuple[tuple[Transformation, ...], ...]
    groups: int  # of the jackknife; 1 without intervals
    chance: bool
    bytes: int  # of the sums, in the pass that takes most
    layers: int

    def told(self) -> str:
        """The same in a sentence."""
        sets = f"{self.groups} group{'s' * (self.groups > 1)}{' and chance' * self.chance}, partners counted"
        count = sum(len(chosen) for chosen in self.passes)
        passes = "" if len(self.passes) == 1 else f", in {len(self.passes)} passes over the images"
        return (
            f"The sums take {_size(self.bytes)}: {self.layers} layer{'s' * (self.layers > 1)}, {count} "
            f"transformation{'s' * (count > 1)}, {sets}{passes}."
        )


def budgeted(
    layers: Sequence[Layer],
    transformations: Sequence[Transformation],
    *,
    registered: bool,
    chance: bool,
    intervals: bool,
    memory: float | int | None,
) -> Budget:
    """The budget of a measurement whose sums may take `memory` GiB; None: as much as they take.

    A layer of C channels has sums of 4 C^2 bytes for each transformation (twice where it is registered), for each
    group of the jackknife and for chance, and 2 C^2 more to count partners. Where that is too much, there are five
    groups instead of ten; where that is still too much, the images are gone over several times, each time for some of
    the transformations. ValueError where one transformation alone takes more.
    """
    set_bytes = sum(4 * layer.channels**2 for layer in layers)

    def size(chosen: Sequence[Transformation], groups: int) -> int:
        variants = sum(2 if registered and one.turns else 1 for one in chosen)
        return set_bytes * variants * (groups + chance) + set_bytes // 2 * variants

    groups = GROUPS if intervals else 1
    if memory is None:
        passes: list[list[Transformation]] = [list(transformations)]
    else:
        if intervals and size(transformations, groups) > memory * GIB:
            groups = FEW_GROUPS
        passes = [[]]
        for one in transformations:
            if passes[-1] and size([*passes[-1], one], groups) > memory * GIB:
                passes.append([])
            passes[-1].append(one)
    largest = max(size(chosen, groups) for chosen in passes)
    if memory is not None and largest > memory * GIB:
        leaner = " without intervals (intervals=False), or" * intervals
        raise ValueError(
            f"memory={memory:g} GiB is too little: the sums of one transformation alone take {_size(largest)}; "
            f"allow more, or measure{leaner} fewer layers."
        )
    return Budget(tuple(tuple(chosen) for chosen in passes), groups, chance, largest, len(layers))
