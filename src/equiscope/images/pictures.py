"""Pictures of a source: their names and order, and how one of them is read."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterable
from io import BytesIO
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from equiscope.images.preprocessing import Box, Preprocessing


class Picture(NamedTuple):
    """An image not yet read: its name, its path or bytes, and the part of it to take (`None`: the central crop)."""

    name: str
    file: str | bytes | None
    box: Box | None = None

    def read(self, preprocessing: Preprocessing) -> Float[Tensor, "channel height width"]:
        """The image as the network takes it. Whatever Pillow raises where it cannot be read."""
        if self.file is None:
            raise ValueError("there is no image in it")
        with BytesIO(self.file) if isinstance(self.file, bytes) else open(self.file, "rb") as stream:
            if not stream.read(1):
                raise ValueError("it is empty")
            stream.seek(0)
            with Image.open(stream) as image:
                return preprocessing(image, box=self.box)


@runtime_checkable
class Pictures(Protocol):
    """A list of pictures, or what makes each when it is asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, place: int, /) -> Picture: ...


class Found(NamedTuple):
    """What a source holds: pictures in their seeded order, cut to the limit, and what a manifest says of them."""

    pictures: Pictures
    description: dict[str, object]


def reason(error: Exception) -> str:
    """Why a picture cannot be read, on one line, and the same each time.

    Pillow's own words for an unknown format hold a memory address.
    """
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image that Pillow can identify"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(text.split()).rstrip(".")


def shuffled(number: int, limit: int | None, seed: int) -> list[int]:
    """The first `limit` places of a random order of so many."""
    places = list(range(number))
    random.Random(str(seed)).shuffle(places)  # any integer: numbers as seeds lose their sign
    return places[:limit]


def fingerprint(files: Iterable[tuple[str, int | None]]) -> str:
    """16 hexadecimal digits that tell files apart by their names and sizes, without reading them."""
    digest = hashlib.sha256()
    for name, size in files:
        digest.update(f"{name}\t{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def file_size(file: str) -> int:
    """The size of a file; 0 for a link to nothing, which is left out when it is its turn."""
    return os.path.getsize(file) if os.path.exists(file) else 0
