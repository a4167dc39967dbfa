"""Images by the name of their source: a folder, a data set or the packaged photographs, as batches for a network.

Whatever the source, the images come in a seeded random order, so that the first few are a sample of all. An image that
cannot be read is left out and named.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from time import perf_counter
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from equiscope.images import data_sets, folders
from equiscope.images.photographs import PHOTOGRAPHS, crops
from equiscope.images.pictures import Found, Pictures, reason
from equiscope.images.preprocessing import Preprocessing
from equiscope.system.errors import OptionError


class LeftOut(NamedTuple):
    """An image that could not be read, and why."""

    name: str
    reason: str


class ImageSource:
    """Batches `Float[Tensor, "image channel height width"]` of at most `batch` images, the same at each iteration.

    Made by `open_images`. `len()` is the number of images it will try. Batches that lost images are shorter.

    Attributes:
        description: For a manifest: where the images are from, how many there are, seed, limit, preprocessing, and a
            fingerprint of what was found (names and sizes of all files or rows, whatever the seed and limit).
        left_out: The images that the last iteration could not read, so far.
        waited: Seconds that the consumer waited for images in the last iteration, so far.
    """

    description: dict[str, object]
    left_out: list[LeftOut]
    waited: float

    def __init__(
        self,
        pictures: Pictures,
        preprocessing: Preprocessing,
        description: dict[str, object],
        *,
        batch: int,
        workers: int,
    ) -> None:
        self.description = description
        self.left_out = []
        self.waited = 0.0
        self._attempts = _Attempts(pictures, preprocessing)
        self._batch = batch
        self._workers = workers

    def __len__(self) -> int:
        return len(self._attempts)

    def __iter__(self) -> Iterator[Float[Tensor, "image channel height width"]]:
        return self.part(0, None)

    def part(self, start: int, stop: int | None) -> Iterator[Float[Tensor, "image channel height width"]]:
        """Batches of the images from one place to another, of all it will try; the others are not read."""
        places = range(len(self))[start:stop]
        # A list of its own for each iteration, which one that was abandoned half way cannot fill up.
        self.left_out = left_out = []
        self.waited = 0.0
        # Without a generator of its own, DataLoader draws from the global random state.
        loader = iter(
            DataLoader(
                Subset(self._attempts, places),
                batch_size=self._batch,
                num_workers=self._workers,
                collate_fn=_separated,
                generator=torch.Generator(),
            )
        )
        while True:
            began = perf_counter()
            images, unread = next(loader, (None, None))
            self.waited += perf_counter() - began
            if unread is None:
                break
            left_out += unread
            if images is not None:
                yield images
        if len(left_out) == len(places) > 0:
            raise ValueError(
                f"none of the {len(places)} images in {self.description['source']} could be read: "
                f"{left_out[0].name}: {left_out[0].reason}"
            )


class _Attempts(Dataset["Tensor | LeftOut"]):
    """Each picture as a tensor, or as the reason why it is none."""

    def __init__(self, pictures: Pictures, preprocessing: Preprocessing) -> None:
        self._pictures = pictures
        self._preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, place: int) -> Float[Tensor, "channel height width"] | LeftOut:
        picture = self._pictures[place]
        try:
            with warnings.catch_warnings():
                # Odd metadata makes Pillow warn, once for every image and without its name: the pixels decide.
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                return picture.read(self._preprocessing)
        except Exception as error:  # noqa: BLE001  (on a broken file, decoders raise anything)
            return LeftOut(picture.name, reason(error))


def _separated(
    attempts: list[Tensor | LeftOut],
) -> tuple[Float[Tensor, "image channel height width"] | None, list[LeftOut]]:
    images = [attempt for attempt in attempts if isinstance(attempt, Tensor)]
    return torch.stack(images) if images else None, [attempt for attempt in attempts if isinstance(attempt, LeftOut)]


def open_images(
    source: str,
    preprocessing: Preprocessing,
    *,
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
            - a folder of images, with all folders in it;
            - a folder of Parquet or Arrow files, or a name `owner/name` on the Hugging Face hub, as
              `datasets.load_dataset` takes them, perhaps with `:SPLIT` (else test, validation or train, whichever is
              there first); the first column of images is read.
        preprocessing: How each becomes a tensor.
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
    pictures, found = _found(source, preprocessing, limit, seed)
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(preprocessing).items()}
    description = {"source": source, "split": None, "column": None, "limit": limit, "seed": seed} | found
    return ImageSource(pictures, preprocessing, description | {"preprocessing": settings}, batch=batch, workers=workers)


def _found(source: str, preprocessing: Preprocessing, limit: int | None, seed: int) -> Found:
    if source == PHOTOGRAPHS:
        return crops(preprocessing.size, limit, seed)
    place, split = _place_and_split(source)
    if not _is_path(place):
        return data_sets.data_set_images(place, place, split, limit, seed)
    folder = os.path.expanduser(place)
    if not os.path.isdir(folder):
        what = f"{place!r} is a file" if os.path.exists(folder) else f"there is no folder {place!r}"
        raise ValueError(
            f"{what}, but images are read from a folder, from a data set on the hub (owner/name), "
            f"or from {PHOTOGRAPHS!r} without a split"
        )
    files = folders.files_in(folder)
    if folders.of_suffix(files, data_sets.SUFFIXES):
        return data_sets.data_set_images(os.path.abspath(folder), place, split, limit, seed)
    images = folders.of_suffix(files, folders.SUFFIXES)
    if not images:
        raise ValueError(
            f"there are no images in {place!r}, but files ending in {', '.join(sorted(folders.SUFFIXES))} "
            f"or a data set of {', '.join(sorted(data_sets.SUFFIXES))} are needed: check the folder"
        )
    if split is not None:
        raise ValueError(f"{place!r} is a folder of images and has no split {split!r}: name the folder that you mean")
    return folders.folder_images(folder, images, limit, seed)


def _place_and_split(source: str) -> tuple[str, str | None]:
    """`place:SPLIT` taken apart, unless a path of just that name exists."""
    parts = re.fullmatch(r"(.+):(\w+(?:\.\w+)*)", source)
    if parts is None or os.path.exists(os.path.expanduser(source)):
        return source, None
    return parts[1], parts[2]


def _is_path(place: str) -> bool:
    """Whether a place is meant as a path. A path that is not there is never looked for on the hub."""
    first, slash, name = place.partition("/")
    owner_and_name = bool(first and slash and name) and "/" not in name and "\\" not in place
    return not owner_and_name or place[0] in ".~" or os.path.exists(first)
