"""Pictures of a source: their names and order, and how one of them is read."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import BufferedIOBase, BytesIO
from typing import IO, Any, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

from jaxtyping import Float
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from equiscope.images.formats import HEAD, format_of, refuse_irregular, refuse_own_figure, why_unread
from equiscope.images.metadata import turned, without_metadata
from equiscope.images.preprocessing import Box, Preprocessing, SizeError

Taken = TypeVar("Taken")


class Read(NamedTuple):
    """A picture that was read, and of how many pages or frames it is the first."""

    image: Float[Tensor, "channel height width"]
    frames: int


class Picture(NamedTuple):
    """An image not yet read: its name, its path or bytes, and the part of it to take (`None`: the central crop)."""

    name: str
    file: str | bytes | None
    box: Box | None = None

    def read(self, preprocessing: Preprocessing) -> Read:
        """The image as the network takes it. Whatever Pillow raises where it cannot be read."""
        return Read(*self.opened(partial(preprocessing, box=self.box)))

    def loaded(self) -> "Picture":
        """The same with the bytes of its file, so that what is decoded is what its digest is of, if the file changes.

        As it is where there is no regular file that can be read: reading it tells why.
        """
        if isinstance(self.file, str) and os.path.isfile(self.file):  # pipes and devices are never opened
            with suppress(OSError), open(self.file, "rb") as stream:
                return self._replace(file=stream.read())
        return self

    def digest(self) -> bytes:
        """What the image is, before it is decoded: the SHA-256 of its bytes, and of the part of it that is taken."""
        found = hashlib.sha256(self.file if isinstance(self.file, bytes) else b"")
        if isinstance(self.file, str) and os.path.isfile(self.file):  # pipes and devices are never opened
            with suppress(OSError), open(self.file, "rb") as stream:
                found = hashlib.file_digest(stream, "sha256")
        found.update(repr(self.box).encode())
        return found.digest()

    def opened(self, take: Callable[[Image.Image], Taken]) -> tuple[Taken, int]:
        """What is taken of the open image, and of how many pages or frames it is the first."""
        if self.file is None:
            raise ValueError("there is no image in it")
        if isinstance(self.file, str):
            refuse_irregular(self.file)
        with BytesIO(self.file) if isinstance(self.file, bytes) else open(self.file, "rb") as stream:
            head = stream.read(HEAD)
            if not head:
                raise ValueError("it is empty")
            refuse_own_figure(head)
            try:
                return _decoded(stream, take)
            except SizeError:
                raise
            except Exception as error:
                if format_of(head) == "HEIC" and importlib.util.find_spec("pillow_heif"):
                    return _decoded_heic(stream, take)
                if (advice := why_unread(head)) and isinstance(error, UnidentifiedImageError):
                    raise ValueError(advice) from error
                return _decoded_without_metadata(stream, take, error)


def _decoded(stream: BufferedIOBase, take: Callable[[Image.Image], Taken], orientation: int = 1) -> tuple[Taken, int]:
    stream.seek(0)
    with Image.open(cast(IO[bytes], stream)) as image:
        return take(turned(image, orientation)), _frames(image)


def _decoded_heic(stream: BufferedIOBase, take: Callable[[Image.Image], Taken]) -> tuple[Taken, int]:
    """As Pillow would, if it had been told of the package; nothing of Pillow's is changed."""
    stream.seek(0)
    images: Any = importlib.import_module("pillow_heif").open_heif(stream)
    width, height = images.size
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError(f"an image of {width} x {height} pixels could be a decompression bomb")
    return take(images.to_pillow()), len(images)


def _decoded_without_metadata(
    stream: BufferedIOBase, take: Callable[[Image.Image], Taken], error: Exception
) -> tuple[Taken, int]:
    """The pixels alone, if it was metadata that kept them from being read, which does not matter here."""
    stream.seek(0)
    plain, orientation = without_metadata(stream.read()) or (b"", 1)
    try:
        return _decoded(BytesIO(plain), take, orientation)
    except Exception:  # noqa: BLE001  (it was not the metadata: the first reason is the right one)
        raise error from None


def _frames(image: Image.Image) -> int:
    """How many pages or frames there are, as far as they can be told; the first has been read."""
    try:
        return int(getattr(image, "n_frames", 1)) if getattr(image, "is_animated", False) else 1
    except Exception:  # noqa: BLE001  (of what comes after the first, anything may be broken)
        return 1


@runtime_checkable
class Pictures(Protocol):
    """A list of pictures, or what makes each when it is asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, place: int, /) -> Picture: ...


class Found(NamedTuple):
    """What a source holds: pictures in their seeded order, cut to the limit, and what a manifest says of them.

    `remarks` are sentences on what was chosen or passed over without being asked.
    """

    pictures: Pictures
    description: dict[str, object]
    remarks: tuple[str, ...] = ()


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
