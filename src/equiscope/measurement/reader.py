"""The images of a measurement: gone over once or several times, by one process or several."""

import hashlib
import time
from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor

from equiscope.images.batches import Images, between, count_of, from_place, same_again
from equiscope.images.outcomes import Outcomes
from equiscope.measurement.registration import registration_count
from equiscope.system.errors import OptionError
from equiscope.system.processes import Processes
from equiscope.system.provenance import Contents, digests

CHANGED_SINCE = (
    "The checkpoint was made with other data: an image measured before is not as it was; give the same images again, "
    "or remove the checkpoint to start anew."
)
CHANGED_BETWEEN = (
    "The images are not the same in each pass over them, and several passes need that; give images that do not change, "
    "or allow more memory, for a single pass."
)


class Reader:
    """The images, gone over once or several times, by one process or several."""

    def __init__(self, images: Images, batches: Iterator[Tensor], processes: Processes) -> None:
        self.images, self.processes = images, processes
        self.waited = 0.0  # seconds for images
        self.registered = 0  # the first ones, that are not scored
        self._tried = 0  # until these were read
        self.registered_contents = Contents()
        self.first = next(batches)  # batch, which all processes have seen
        self._ahead: Iterator[Tensor] | None = chain([self.first], batches)  # not yet looked at
        self.watches = self._own_contents() is None  # whether the pixels of all images are taken down
        self.read = Contents()  # by this process in the present pass, as far as it is watched
        self._begun: Contents | None = None  # the first batch of the pass before
        self._whole: Contents | None = None  # all of it
        if processes.count > 1:
            self.must_be_read_again("{distributed}True")
            if self.count is None:
                raise OptionError("{distributed}True needs images whose number is known: a tensor or a Dataset.")

    @property
    def count(self) -> int | None:
        """How many images there are, where that can be told without looking at them."""
        return count_of(self.images)

    @property
    def looks(self) -> str:
        """A fingerprint before the images are read: of all of a tensor, else of the first of them and their number."""
        some = self.images if isinstance(self.images, Tensor) else self.first
        return hashlib.sha256(f"{self.count} ".encode() + b"".join(digests(some))).hexdigest()

    def fingerprints(self) -> dict[str, str]:
        """What all images are that were scored, by all processes, as a manifest has it."""
        contents = sum(self.processes.gathered(self._whole or Contents()), Contents())
        of = "files" if self._own_contents() is not None else "pixels"
        return contents.fingerprints() | {"fingerprint_of": of}

    @property
    def _places(self) -> tuple[int, int | None]:
        """The places of this process's first image that is to be scored, and of the next one's."""
        if self.count is None:
            return self._tried, None
        first, last = self.processes.share(self.count - self._tried)
        return self._tried + first, self._tried + last

    @property
    def begin(self) -> int:
        """How many images other processes try to score before this one's."""
        return self._places[0] - self._tried

    @property
    def share(self) -> int | None:
        """How many images this process tries to score; None where that is not known."""
        first, last = self._places
        return None if last is None else last - first

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
        """`OptionError` where the images cannot be gone over again in the same order."""
        if not same_again(self.images):
            raise OptionError(
                why + " needs images that can be gone over again in the same order; give a tensor, a Dataset or a "
                "DataLoader that does not shuffle."
            )

    def to_register_on(self, asked: int) -> list[Tensor]:
        """The first images, to register on; half of fewer than twice as many as asked for."""
        assert self._ahead is not None
        few, self._ahead = _first(self._ahead, asked)
        self._refuse_unreadable()
        self._register(sum(len(batch) for batch in few))
        self.registered_contents = contents_of(torch.cat(few))
        return few

    def registered_before(self, images: int, contents: Contents) -> None:
        """Leave out the first images, those that a run which is resumed registered on; ValueError if they changed."""
        if images:
            self._ahead = None
            again = torch.cat(list(from_place(self.images, 0, images, all_readable=False)))
            if contents_of(again) != contents:
                raise ValueError(CHANGED_SINCE)
        self._register(images)

    def _register(self, images: int) -> None:
        """Leave so many images, the first that could be read, out of those that are scored."""
        outcomes = self._outcomes
        self.registered, self._tried = images, images if outcomes is None else outcomes.tried_for(images)

    def images_from(self, start: int, before: Contents | None = None) -> Iterator[Tensor]:
        """This process's images from its image `start` on.

        `before` is what was read when a run that is resumed was stopped: all of it is read again. ValueError where it
        is not as it was, or not as it was in the pass before.
        """
        if self.share == 0:
            return iter(())
        alone = self.processes.count == 1
        if self._ahead is not None and before is None and alone:
            batches, self._ahead = self._ahead, None
        else:
            self.must_be_read_again("{memory}GIB, which takes several passes,")
            self._ahead = None
            first, stop = (self.registered, None) if alone else self._places
            batches = from_place(self.images, first, stop, all_readable=not alone)
        return between(self._watched(self._timed(batches), before), start, None)

    def _watched(self, batches: Iterator[Tensor], before: Contents | None) -> Iterator[Tensor]:
        """The same batches, while what they hold is taken down and compared with what they held before."""
        known = {} if before is None else {before.count: (before, CHANGED_SINCE)}
        for contents in (self._begun, self._whole):  # of the pass before
            if contents is not None:
                known[contents.count] = contents, CHANGED_BETWEEN
        self.read = Contents()
        begun = None
        for batch in batches:
            if self.watches:
                for image in digests(batch):
                    self.read += Contents.of(image, self.begin + self.read.count)
                    was, sentence = known.get(self.read.count, (self.read, ""))
                    if was != self.read:
                        raise ValueError(sentence)
                begun = begun or self.read
            yield batch
        own = self._own_contents()
        whole = self.read if own is None else own
        if before is not None and self.read.count < before.count:
            raise ValueError(CHANGED_SINCE)
        if self._whole is not None and self._whole != whole:
            raise ValueError(CHANGED_BETWEEN)
        self._begun, self._whole = begun, whole

    def _own_contents(self) -> Contents | None:
        """What this process's images tell of themselves, as they were last read; None of images that tell nothing."""
        tell = getattr(self.images, "contents_read", None)
        if not callable(tell):
            return None
        first, last = self._places
        found = tell(0 if self.processes.rank == 0 else first, None if self.processes.count == 1 else last)
        return found if isinstance(found, Contents) else None

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
        """ValueError where several processes share images that tell of some that they left out, and not of which."""
        if self.processes.count > 1 and self._outcomes is None and self.left_out:
            name, reason = self.left_out[0]
            raise ValueError(
                f"{name} cannot be read ({reason}), and several processes cannot share such images; take it away, or "
                "measure with one process."
            )

    @property
    def _outcomes(self) -> Outcomes | None:
        """What came of each image, where the images tell."""
        found = getattr(self.images, "outcomes", None)
        return found if isinstance(found, Outcomes) else None

    def join_losses(self) -> None:
        """Take in what the other processes could not read, or read in part."""
        if self.processes.count > 1 and (outcomes := self._outcomes) is not None:
            for losses in self.processes.gathered(outcomes.losses()):
                outcomes.add(losses)

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """The images that could not be read, and why: of those that tell, and none of any other."""
        return list(getattr(self.images, "left_out", ()))

    @property
    def remarks(self) -> list[str]:
        """Sentences on what was chosen, passed over and left out of the images: of those that tell."""
        return [*getattr(self.images, "choices", ()), *getattr(self.images, "losses", ())]

    def counts(self, scored: int) -> dict[str, int]:
        """How many images were given, read, left out, registered on and scored by all processes; they add up.

        ValueError where none was scored, or where not all that their length promised came.
        """
        read, left_out = scored + self.registered, len(self.left_out)
        given = read + left_out if self.count is None else self.count
        if scored == 0:
            raise ValueError(f"{given} images were given, and none was left to score; give more.")
        if given != read + left_out:
            raise ValueError(
                f"By their length there are {given} images, but {read} came and {left_out} could not be read; give "
                "images whose length is their number."
            )
        of_all = {"registered_on": self.registered, "scored": scored}
        return {"given": given, "read": read, "left_out": left_out} | of_all

    def total_of(self, number: int) -> int:
        """The sum over all processes."""
        return int(sum(self.processes.gathered(number)))

    def before(self, number: int) -> int:
        """The sum over the processes before this one."""
        return int(sum(self.processes.gathered(number)[: self.processes.rank]))


def _first(batches: Iterator[Tensor], asked: int) -> tuple[list[Tensor], Iterator[Tensor]]:
    """The images to register on, and the rest."""
    ahead: list[Tensor] = []
    while sum(len(batch) for batch in ahead) < 2 * asked and (batch := next(batches, None)) is not None:
        ahead.append(batch)
    joined = torch.cat(ahead)
    count = registration_count(len(joined), asked)
    return [joined[:count]], chain([joined[count:]], batches)


def contents_of(images: Tensor, first: int = 0) -> Contents:
    """What images are, by their pixels, at places from `first` on."""
    found = (Contents.of(image, first + place) for place, image in enumerate(digests(images)))
    return sum(found, Contents())
