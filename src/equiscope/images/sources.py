"""Images by the name of their source: a folder, a data set or the packaged photographs, as batches for a network.

Whatever the source, the images come in a seeded random order, so that the first few are a sample of all. An image that
cannot be read is left out and named.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from time import perf_counter
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from equiscope.images import data_sets, folders
from equiscope.images.choices import Wanted
from equiscope.images.photographs import PHOTOGRAPHS, crops
from equiscope.images.pictures import Found, Picture, Pictures, Read, reason
from equiscope.images.preprocessing import Preprocessing, SizeError
from equiscope.system.errors import OptionError
from equiscope.system.files import expanded
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


class ImageSource:
    """Batches `Float[Tensor, "image channel height width"]` of at most `batch` images, the same at each iteration.

    Made by `open_images`. `len()` is the number of images it will try. Batches that lost images are shorter.

    Attributes:
        description: For a manifest: where the images are from, how many there are, seed, limit, preprocessing.
        choices: Sentences on what was chosen or passed over without being asked for.
        waited: Seconds that the consumer waited for images in the last iteration, so far.
    """

    description: dict[str, object]
    choices: tuple[str, ...]
    waited: float

    def __init__(
        self,
        found: Found,
        preprocessing: Preprocessing,
        *,
        batch: int,
        workers: int,
    ) -> None:
        self.description = found.description
        self.choices = found.remarks
        self.waited = 0.0
        self._attempts = _Attempts(found.pictures, preprocessing)
        self._batch = batch
        self._workers = workers
        self._outcomes = Outcomes()

    def contents_read(self, start: int = 0, stop: int | None = None) -> Contents:
        """What the images between two places are, of those that were tried, each as it was last read."""
        return self._outcomes.contents(range(len(self))[start:stop])

    def contents_now(self) -> Contents:
        """What all images are that would be tried now; none is decoded for it."""
        digests = enumerate(self._attempts.digests())
        return sum((Contents.of(digest, place) for place, digest in digests), Contents())

    @property
    def left_out(self) -> list[LeftOut]:
        """The images that could not be read, of all that were tried so far, however often and from where on."""
        return self._outcomes.left_out

    @property
    def losses(self) -> list[str]:
        """Sentences on the images that could not be read, and on those of which only the first page was."""
        return self._outcomes.told(len(self))

    def __len__(self) -> int:
        return len(self._attempts)

    def __iter__(self) -> Iterator[Float[Tensor, "image channel height width"]]:
        return self.part(0, None)

    def part(self, start: int, stop: int | None) -> Iterator[Float[Tensor, "image channel height width"]]:
        """Batches of the images from one place to another, of all it will try; the others are not read."""
        places = range(len(self))[start:stop]
        self.waited = 0.0
        # Without a generator of its own, DataLoader draws from the global random state.
        loader = iter(
            DataLoader(
                Subset(self._attempts, places),
                batch_size=self._batch,
                num_workers=self._workers,
                collate_fn=list,
                generator=torch.Generator(),
            )
        )
        while True:
            began = perf_counter()
            attempts = next(loader, None)
            self.waited += perf_counter() - began
            if attempts is None:
                break
            yield from self._outcomes.images(attempts)
        left_out = self.left_out
        if len(left_out) == len(self) > 0:
            raise ValueError(
                f"none of the {len(self)} images in {self.description['source']} could be read: "
                f"{left_out[0].name}: {left_out[0].reason}"
            )


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


class _Attempts(Dataset[Attempt]):
    """Each picture as a tensor, or as the reason why it is none."""

    def __init__(self, pictures: Pictures, preprocessing: Preprocessing) -> None:
        self._pictures = pictures
        self._preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self._pictures)

    def digests(self) -> Iterator[bytes]:
        """What each picture is, in order."""
        return (self._pictures[place].digest() for place in range(len(self)))

    def __getitem__(self, place: int) -> Attempt:
        return attempt(place, self._pictures[place], self._preprocessing)


def attempt(place: int, picture: Picture, preprocessing: Preprocessing) -> Attempt:
    """The image of a picture, or why there is none. SizeError where images may have one size only."""
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


def open_images(
    source: object,
    preprocessing: Preprocessing,
    *,
    column: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    batch: int = 32,
    workers: int = 0,
) -> ImageSource:
    """The images at `source`, in an order that depends on `seed` alone: a limited run is the start of a longer one.

    Args:
        source: One of
            - "photographs": random upright crops of the seven photographs that scikit-image and scikit-learn ship,
              48 of them unless `limit` says otherwise; no two neighbours show the same photograph
              (a folder of that name is "./photographs");
            - a folder of images, with all folders in it; files are known by their content, and results of this
              program are not read;
            - a folder of Parquet or Arrow files, or one that `save_to_disk` wrote, or a name `owner/name` on the
              Hugging Face hub; perhaps with `/CONFIGURATION`, and with `:SPLIT` (else test, validation or train,
              whichever is there first);
            - a `datasets.Dataset`.
        preprocessing: How each becomes a tensor.
        column: The column of a data set; `None` for the only one of images, or among several `image` or `img`.
        limit: At most so many images; `None` for all.
        seed: Any integer.
        batch: Images in a batch.
        workers: Processes that decode ahead of the consumer; they change neither content nor order.

    Raises:
        ValueError: If there is nothing to read at `source`, or a number is out of range. One sentence says what to do.

    >>> preprocessing = Preprocessing(size=(64, 64), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> [tuple(images.shape) for images in open_images("photographs", preprocessing, limit=5, batch=3)]
    [(3, 3, 64, 64), (2, 3, 64, 64)]
    """
    for option, value, least in (("limit", limit, 1), ("batch", batch, 1), ("workers", workers, 0)):
        if value is not None and value < least:
            raise OptionError(
                "{option} is {given}, but it must be at least {least}", option=option, given=value, least=least
            )
    if not isinstance(seed, int):
        raise OptionError("seed is {given!r}, but it must be an integer", given=seed)
    source = os.fspath(source) if isinstance(source, os.PathLike) else source
    if not isinstance(source, str):
        found = data_sets.data_set_handed_over(source, column, limit, seed)
    else:
        place, split = _place_and_split(expanded(source))
        wanted = Wanted(place, None, split, column, limit, seed)
        found = _photographs(wanted, preprocessing) if source == PHOTOGRAPHS else _found(wanted)
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(preprocessing).items()}
    first = {"source": str(source), "configuration": None, "split": None, "column": None, "limit": limit, "seed": seed}
    description = first | found.description | {"preprocessing": settings}
    return ImageSource(found._replace(description=description), preprocessing, batch=batch, workers=workers)


def _photographs(wanted: Wanted, preprocessing: Preprocessing) -> Found:
    _refuse_parts(wanted, "the source of photographs")
    return crops(preprocessing.size, wanted.limit, wanted.seed or 0)


def _found(wanted: Wanted) -> Found:
    """The images of a folder or of a data set."""
    place = wanted.place
    if not _is_path(place):
        owner, name, *configuration = place.split("/")
        place = f"{owner}/{name}"
        return data_sets.data_set_on_hub(
            place, replace(wanted, place=place, configuration=next(iter(configuration), None))
        )
    if os.path.isdir(place):
        return _in_folder(place, wanted)
    parent, last = os.path.split(place)
    if parent and last in _configurations(parent):
        return _in_folder(parent, replace(wanted, place=parent, configuration=last))
    what = f"{place!r} is a file" if os.path.exists(place) else f"there is no folder {place!r}"
    raise ValueError(
        f"{what}, but images are read from a folder, from a data set on the hub (owner/name), "
        f"or from {PHOTOGRAPHS!r} without a split"
    )


def _configurations(folder: str) -> list[str]:
    """The configurations of a data set in a folder, if there is one and it has a card."""
    return data_sets.configurations_in(folder, folders.listing(folder)) if data_sets.has_card(folder) else []


def _in_folder(folder: str, wanted: Wanted) -> Found:
    """The images of a folder that is there: a data set, or files."""
    if data_sets.is_saved(folder):
        return data_sets.saved_data_set(folder, wanted)
    listed = folders.listing(folder)
    if listed.tables and (not listed.images or data_sets.holds_images(folder, listed.tables)):
        return data_sets.data_set_in_folder(folder, listed, wanted)
    if not listed.images:
        raise ValueError(
            f"there are no images in {wanted.place!r} ({folders.summary(listed)}), but files such as .jpg, .png or "
            ".webp, or a data set of .parquet or .arrow, are needed: check the folder"
        )
    _refuse_parts(wanted, f"{wanted.place!r} is a folder of images and")
    return folders.folder_images(folder, listed, wanted.limit, wanted.seed or 0)


def _refuse_parts(wanted: Wanted, what: str) -> None:
    """ValueError where a split or a column is asked for of what has none."""
    if wanted.split is not None:
        raise ValueError(f"{what} has no split {wanted.split!r}: name the folder that you mean")
    if wanted.column is not None:
        raise OptionError("{column}{given!r} is not there, as {what} has no columns", given=wanted.column, what=what)


def _place_and_split(source: str) -> tuple[str, str | None]:
    """`place:SPLIT` taken apart, unless a path of just that name exists."""
    parts = re.fullmatch(r"(.+):(\w+(?:\.\w+)*)", source)
    if parts is None or os.path.exists(source):
        return source, None
    return parts[1], parts[2]


def _is_path(place: str) -> bool:
    """Whether a place is meant as a path. A path that is not there is never looked for on the hub."""
    first, *names = place.split("/")
    named = bool(first) and len(names) in (1, 2) and all(names) and "\\" not in place
    return not named or place[0] in ".~" or os.path.exists(first)
