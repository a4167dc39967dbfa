"""The images of a measurement: gone over once or several times, by one process or several."""

import hashlib
import time
from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor

from equiscope.images.batches import Images, count_of, from_place, same_again
from equiscope.measurement.registration import registration_count
from equiscope.system.processes import Processes
from equiscope.system.provenance import content


class Reader:
    """The images, gone over once or several times, by one process or several."""

    def __init__(self, images: Images, batches: Iterator[Tensor], processes: Processes) -> None:
        self.images, self.processes = images, processes
        self.waited = 0.0  # seconds for images
        self.registered = 0  # the first ones, that are not scored
        self.first = next(batches)  # batch, which all processes have seen
        self._ahead: Iterator[Tensor] | None = chain([self.first], batches)  # not yet looked at
        if processes.count > 1:
            self.must_be_read_again("distributed=True")
            if self.count is None:
                raise ValueError("distributed=True needs images whose number is known: a tensor or a Dataset.")

    @property
    def count(self) -> int | None:
        """How many images there are, where that can be told without looking at them."""
        return count_of(self.images)

    @property
    def looks(self) -> bytes:
        """A fingerprint of the images: all of a tensor, else their number, the first of them, and what they tell."""
        told = f"{self.count} {getattr(self.images, 'description', None)}"  # an `ImageSource` knows all of its files
        digest = hashlib.sha256(told.encode())
        for some in torch.split(self.images, len(self.first)) if isinstance(self.images, Tensor) else (self.first,):
            digest.update(content(some))
        return digest.digest()

    @property
    def begin(self) -> int:
        """The place of this process's first image among those scored."""
        return 0 if self.count is None else self.processes.share(self.count - self.registered)[0]

    @property
    def share(self) -> int | None:
        """How many images this process scores; None where that is not known."""
        if self.count is None:
            return None
        first, last = self.processes.share(self.count - self.registered)
        return last - first

    def total(self, passes: int) -> int | None:
        """How many images this process goes over."""
        return None if self.share is None else self.share * passes

    def first_images(self, number: int) -> Tensor:
        """The first images that are scored; no more than the first batch holds where there is no going over them again.

        Where that holds none, for it was registered on, the first of those.
        """
        until = self.registered + number
        if len(self.first) >= until or not same_again(self.images):
            scored = self.first[self.registered : until]
            return scored if len(scored) else self.first[:number]
        return torch.cat(list(from_place(self.images, self.registered, until, all_readable=False)))

    def must_be_read_again(self, why: str) -> None:
        """ValueError where the images cannot be gone over again in the same order."""
        if not same_again(self.images):
            raise ValueError(
                f"{why} needs images that can be gone over again in the same order; give a tensor, a Dataset or a "
                "DataLoader that does not shuffle."
            )

    def to_register_on(self, asked: int) -> list[Tensor]:
        """The first images, to register on; half of fewer than twice as many as asked for."""
        assert self._ahead is not None
        few, self._ahead = _first(self._ahead, asked)
        self._refuse_unreadable()
        self.registered = sum(len(batch) for batch in few)
        return few

    def registered_before(self, images: int) -> None:
        """Leave out the first images: those that a run which is resumed registered on."""
        self.registered = images
        if images:
            self._ahead = None

    def images_from(self, start: int) -> Iterator[Tensor]:
        """This process's images from its image `start` on."""
        if self.share == 0:
            return iter(())
        place = self.begin + start
        stop = None if self.share is None or self.processes.count == 1 else self.registered + self.begin + self.share
        if self._ahead is not None and place == 0 and stop is None:
            batches, self._ahead = self._ahead, None
            return self._timed(batches)
        self.must_be_read_again("Several passes over the images (memory=)")
        self._ahead = None
        first = self.registered + place
        return self._timed(from_place(self.images, first, stop, all_readable=self.processes.count > 1))

    def _timed(self, batches: Iterator[Tensor]) -> Iterator[Tensor]:
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - began
            self._refuse_unreadable()
            if batch is None:
                return
            yield batch

    def _refuse_unreadable(self) -> None:
        """ValueError where several processes share images of which some cannot be read: their places are not known."""
        left_out = getattr(self.images, "left_out", ())
        if self.processes.count > 1 and left_out:
            raise ValueError(
                f"{left_out[0].name} cannot be read ({left_out[0].reason}), and several processes cannot share such "
                "images; take it away, or measure with one process."
            )

    def total_of(self, number: int) -> int:
        """The sum over all processes."""
        return int(sum(self.processes.gathered(number)))


def _first(batches: Iterator[Tensor], asked: int) -> tuple[list[Tensor], Iterator[Tensor]]:
    """The images to register on, and the rest."""
    ahead: list[Tensor] = []
    while sum(len(batch) for batch in ahead) < 2 * asked and (batch := next(batches, None)) is not None:
        ahead.append(batch)
    joined = torch.cat(ahead)
    count = registration_count(len(joined), asked)
    return [joined[:count]], chain([joined[count:]], batches)
