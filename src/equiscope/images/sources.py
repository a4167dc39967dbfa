"""Images by the name of their source: a folder, a data set or the packaged photographs, as batches for a network.

Whatever the source, the images come in a seeded random order, so that the first few are a sample of all. An image that
cannot be read is left out and named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from time import perf_counter
from typing import overload

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from equiscope.images import data_sets, folders, streams
from equiscope.images.batches import is_data_set
from equiscope.images.choices import Wanted
from equiscope.images.outcomes import Attempt, LeftOut, Outcomes, attempt
from equiscope.images.photographs import PHOTOGRAPHS, crops
from equiscope.images.pictures import Found, Pictures
from equiscope.images.preprocessing import Preprocessing
from equiscope.system.errors import OptionError
from equiscope.system.files import expanded
from equiscope.system.provenance import Contents


class ImageSource:
    """Batches `Float[Tensor, "image channel height width"]` of at most `batch` images, the same at each iteration.

    Made by `open_images`. `len()` is the number of images it will try. Batches that lost images are shorter.

    Attributes:
        description: For a manifest: where the images are from, how many there are, seed, limit, preprocessing.
        choices: Sentences on what was chosen or passed over without being asked for.
        waited: Seconds that the consumer waited for images in the last iteration, so far.
        outcomes: What came of each image, of all that were tried so far.
    """

    description: dict[str, object]
    choices: tuple[str, ...]
    waited: float
    outcomes: Outcomes

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
        self.outcomes = Outcomes()

    def contents_read(self, start: int = 0, stop: int | None = None) -> Contents:
        """What the images between two places are, of those that were tried, each as it was last read."""
        return self.outcomes.contents(range(len(self))[start:stop])

    def contents_now(self) -> Contents:
        """What all images are that would be tried now; none is decoded for it."""
        digests = enumerate(self._attempts.digests())
        return sum((Contents.of(digest, place) for place, digest in digests), Contents())

    @property
    def left_out(self) -> list[LeftOut]:
        """The images that could not be read, of all that were tried so far, however often and from where on."""
        return self.outcomes.left_out

    @property
    def losses(self) -> list[str]:
        """Sentences on the images that could not be read, and on those of which only the first page was."""
        return self.outcomes.told(len(self))

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
            yield from self.outcomes.images(attempts)
        left_out = self.left_out
        if len(left_out) == len(self) > 0:
            raise ValueError(
                f"none of the {len(self)} images in {self.description['source']} could be read: "
                f"{left_out[0].name}: {left_out[0].reason}"
            )


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


@overload
def open_images(
    source: str | os.PathLike[str],
    preprocessing: Preprocessing,
    *,
    column: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    batch: int = 32,
    workers: int = 0,
) -> ImageSource: ...


@overload
def open_images(
    source: object,
    preprocessing: Preprocessing,
    *,
    column: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    batch: int = 32,
    workers: int = 0,
) -> ImageSource | streams.ImageStream: ...


def open_images(
    source: object,
    preprocessing: Preprocessing,
    *,
    column: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    batch: int = 32,
    workers: int = 0,
) -> ImageSource | streams.ImageStream:
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
            - a `datasets.Dataset`;
            - a stream: a `datasets.IterableDataset`, a WebDataset, a generator or any other iterable of pictures, which
              are Pillow's, arrays of pixels (uint8, [height, width, channel]), the bytes or the path of a file, or in
              rows (a dict or a tuple) that hold one. Its images come in its own order, whatever the `seed`, and are
              decoded in this process; an iterator gives them once.
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
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(preprocessing).items()}
    if not isinstance(source, str) and not is_data_set(source):
        stream = streams.opened(source, preprocessing, column=column, limit=limit, batch=batch)
        stream.description |= {"preprocessing": settings}
        return stream
    if not isinstance(source, str):
        found = data_sets.data_set_handed_over(source, column, limit, seed)
    else:
        place, split = _place_and_split(expanded(source))
        wanted = Wanted(place, None, split, column, limit, seed)
        found = _photographs(wanted, preprocessing) if source == PHOTOGRAPHS else _found(wanted)
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
    tables = data_sets.tables_of_images(folder, listed.tables) if listed.tables else []
    if tables or (listed.tables and not listed.images):
        return data_sets.data_set_in_folder(folder, listed.of_tables(tables or listed.tables), wanted)
    if not listed.images:
        raise ValueError(
            f"there are no images in {wanted.place!r} ({folders.summary(listed)}), but files such as .jpg, .png or "
            f".webp, or a data set of .parquet or .arrow, are needed: {folders.advice(listed)}"
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
