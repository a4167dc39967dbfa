"""The parts of a network, in order of execution: a third each of its feature maps, then vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

PARTS = ("early", "middle", "late", "pool", "final")


@dataclass(frozen=True)
class Parts:
    """Which part of a network each place in its order of execution belongs to.

    Attributes:
        maps: The places of the network's feature maps, which are divided evenly into early, middle and late; the
            earlier parts take the remainder.
        pool: The place of the globally pooled vector, None where there is none.
        final: The place of the final vector, or of the output map of a network for dense outputs, likewise.

    >>> parts = Parts(maps=[0, 4, 8, 12], pool=13, final=14)
    >>> [parts.at(place, vector=place > 12) for place in (0, 4, 8, 12, 13, 14)]
    ['early', 'early', 'middle', 'late', 'pool', 'final']
    """

    maps: Sequence[int]
    pool: int | None
    final: int | None

    def at(self, place: int, *, vector: bool) -> str:
        """The part of a layer: its own, or that of the network's next layer in order of execution."""
        if self.final is not None and place >= self.final:
            return "final"
        if self.pool is not None and place >= self.pool and vector:
            return "pool"
        size, more = divmod(len(self.maps), 3)
        parts = [part for number, part in enumerate(PARTS[:3]) for _ in range(size + (number < more))]
        return next((part for last, part in zip(sorted(self.maps), parts, strict=True) if place <= last), "late")
