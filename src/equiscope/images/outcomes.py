"""What came of pictures: the image of each, or why there is none; counted and named."""

import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from equiscope.images.pictures import Picture, Read, reason
from equiscope.images.preprocessing import Preprocessing, SizeError
from equiscope.system.provenance import Contents

MOST_NAMED = 5  # images left out that a sentence names; a manifest names all


class LeftOut(NamedTuple):
    """An image that could not be read, and why."""

    name: str
    reason: str


class Attempt(NamedTuple):
    """What came of an image: its place, its name, and the image or why there is none."""

    place: int
    name: str
    outcome: Read | str
    content: bytes | None = None  # the digest of the picture


Losses = tuple[dict[int, LeftOut], dict[int, tuple[str, int]]]  # by places; of the latter, names and numbers of frames


def attempt(place: int, picture: Picture, preprocessing: Preprocessing) -> Attempt:
    """The image of a picture, or why there is none. SizeError where images may have one size only."""
    picture = picture.loaded()
    content = picture.digest()
    try:
        with warnings.catch_warnings():
            # Odd metadata makes Pillow warn, once for every image and without its name: the pixels decide.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Attempt(place, picture.name, picture.read(preprocessing), content)
    except SizeError:
        raise
    except Exception as error:  # noqa: BLE001  (on a broken file, decoders raise anything)
        return Attempt(place, picture.name, reason(error), content)


class Outcomes:
    """What came of the images that were tried, each at its first reading."""

    def __init__(self) -> None:
        self._tried: set[int] = set()
        self._left_out: dict[int, LeftOut] = {}
        self._frames: dict[int, tuple[str, int]] = {}
        self._contents: dict[int, bytes] = {}

    def images(self, attempts: Sequence[Attempt]) -> Iterator[Float[Tensor, "image channel height width"]]:
        """The images that were read as a batch, none where none was; what came of them is noted."""
        self._note(attempts)
        images = [attempt.outcome.image for attempt in attempts if isinstance(attempt.outcome, Read)]
        if images:
            yield torch.stack(images)

    def _note(self, attempts: Sequence[Attempt]) -> None:
        for place, name, outcome, content in attempts:
            if content is not None:
                self._contents[place] = content
            if place in self._tried:
                continue
            self._tried.add(place)
            if isinstance(outcome, str):
                self._left_out[place] = LeftOut(name, outcome)
            elif outcome.frames > 1:
                self._frames[place] = (name, outcome.frames)

    def contents(self, places: range) -> Contents:
        """What the images at some places are, each as it was last read."""
        its = ((place, digest) for place, digest in self._contents.items() if place in places)
        return sum((Contents.of(digest, place) for place, digest in its), Contents())

    @property
    def left_out(self) -> list[LeftOut]:
        """The images that could not be read, in the order of their places."""
        return [self._left_out[place] for place in sorted(self._left_out)]

    def losses(self) -> Losses:
        """What was left out and what was read in part, by places."""
        return dict(self._left_out), dict(self._frames)

    def add(self, losses: Losses) -> None:
        """Take in what another process left out or read in part, of the same images."""
        left_out, frames = losses
        self._left_out |= left_out
        self._frames |= frames

    def tried_for(self, images: int) -> int:
        """How many images were tried until so many were read."""
        tried = images
        for place in sorted(self._left_out):
            tried += place < tried
        return tried

    def told(self, tried: int | None = None) -> list[str]:
        """Sentences that count what was left out, of so many images, and what was read in part."""
        sentences = []
        if left_out := self.left_out:
            names = [f"{name} ({why})" for name, why in left_out]
            of = len(self._tried) if tried is None else tried
            first = "; ".join(names[:MOST_NAMED])
            more = f"; and {len(names) - MOST_NAMED} more, which the manifest names" * (len(names) > MOST_NAMED)
            sentences.append(f"{len(left_out)} of {of} images could not be read and were left out: {first}{more}.")
        if self._frames:
            names = [f"{name} ({frames})" for _, (name, frames) in sorted(self._frames.items())]
            first, more = "; ".join(names[:MOST_NAMED]), "; ..." * (len(names) > MOST_NAMED)
            sentences.append(f"Of {len(names)} images with several pages or frames the first was read: {first}{more}.")
        return sentences
