"""Pictures that come one after the other: a streaming data set, a WebDataset, a generator, or any other iterable."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from equiscope.images.choices import COLUMNS, Wanted
from equiscope.images.data_sets import picture_of, undecoded
from equiscope.images.folders import printable
from equiscope.images.formats import HEAD, format_of
from equiscope.images.outcomes import Attempt, LeftOut, Outcomes, attempt
from equiscope.images.pictures import Picture, Read, reason
from equiscope.images.preprocessing import Preprocessing, SizeError
from equiscope.system.errors import OptionError
from equiscope.system.files import expanded

Given = Tensor | Image.Image | Picture  # of one image


class ImageStream:
    """Batches `Float[Tensor, "image channel height width"]` of at most `batch` images of a stream, as they come.

    Made by `open_images` of a stream. Where the stream can be gone over once only, so can this.

    Attributes:
        description: For a manifest: what the images are of, and how they were preprocessed.
        outcomes: What came of each image, of all that were tried so far.
    """

    description: dict[str, object]
    outcomes: Outcomes

    def __init__(
        self,
        rows: Any,
        given: Callable[[int, Any], Given],
        preprocessing: Preprocessing | None,
        *,
        batch: int,
        limit: int | None = None,
        choices: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`rows` is what `iter` takes, `given` what a row at a place holds; tensors stay as they are."""
        self.description = {}
        self.outcomes = Outcomes()
        self._rows, self._given, self._preprocessing = rows, given, preprocessing
        self._batch, self._limit, self._choices = batch, limit, choices
        self._running = self._batches() if iter(rows) is rows else None

    @property
    def choices(self) -> Sequence[str]:
        """Sentences on what was chosen without being asked for."""
        return self._choices()

    @property
    def left_out(self) -> list[LeftOut]:
        """The images that could not be read, of all that were tried so far."""
        return self.outcomes.left_out

    @property
    def losses(self) -> list[str]:
        """Sentences on the images that could not be read, and on those of which only the first page was."""
        return self.outcomes.told()

    def __iter__(self) -> Iterator[Tensor]:
        return self._batches() if self._running is None else self

    def __next__(self) -> Tensor:
        if self._running is None:
            raise TypeError("this stream is gone over by iter(stream)")
        return next(self._running)

    def _batches(self) -> Iterator[Tensor]:
        attempts: list[Attempt] = []
        tried = 0
        for place, row in enumerate(islice(self._rows, self._limit)):
            attempts.append(self._attempt(place, self._given(place, row)))
            tried += 1
            if len(attempts) == self._batch:
                yield from self.outcomes.images(attempts)
                attempts = []
        yield from self.outcomes.images(attempts)
        left_out = self.left_out
        if len(left_out) == tried > 0:
            raise ValueError(
                f"none of the {tried} images in {self.description.get('source', 'the stream')} could be read: "
                f"{left_out[0].name}: {left_out[0].reason}"
            )

    def _attempt(self, place: int, given: Given) -> Attempt:
        name = f"row {place}"
        if isinstance(given, Tensor):
            return Attempt(place, name, Read(given, 1))
        assert self._preprocessing is not None
        if isinstance(given, Picture):
            return attempt(place, given, self._preprocessing)
        try:
            return Attempt(place, name, Read(self._preprocessing(given), 1))
        except SizeError:
            raise
        except Exception as error:  # noqa: BLE001  (on a broken picture, decoders raise anything)
            return Attempt(place, name, reason(error))


def opened(
    stream: Any, preprocessing: Preprocessing, *, column: str | None, limit: int | None, batch: int
) -> ImageStream:
    """The pictures of a stream. ValueError where it is none, or it is not clear which column holds them."""
    kind = type(stream).__name__
    if isinstance(stream, Tensor | np.ndarray | bytes) or not (
        hasattr(stream, "__iter__") or hasattr(stream, "__getitem__")
    ):
        raise ValueError(
            "images are read from a folder, from a data set by its name or as a datasets.Dataset, or from a stream of "
            f"pictures, but an object of type {kind} was given"
        )
    if isinstance(stream, Mapping):
        splits = list(map(str, stream))
        raise ValueError(
            f"an object of type {kind} holds splits ({', '.join(splits)}), and one of them is needed: give it, as in "
            f"dataset[{(splits or ['train'])[0]!r}]"
        )
    split, rows = "all", stream
    library = sys.modules.get("datasets")  # who has one has imported it
    if library is not None and isinstance(stream, library.IterableDataset):
        split = str(stream.split or split)
        columns = [name for name, its in (stream.features or {}).items() if isinstance(its, library.Image)]
        if columns:
            column = Wanted(kind, None, None, column, limit, None).chosen_column(columns, stream.features)
            rows = undecoded(stream, column)
    pictures = _Pictures(column)
    found = ImageStream(rows, pictures, preprocessing, batch=batch, limit=limit, choices=lambda: pictures.choices)
    found.description = {
        "kind": "stream", "source": kind, "configuration": None, "split": split, "column": column, "limit": limit,
        "seed": None,
    }  # fmt: skip
    return found


class _Pictures:
    """The picture of each row: what is in one column, or at one place, of all rows that have it.

    Where none is asked for it is found in the first row: the only one with a picture, or `image` or `img`.
    """

    def __init__(self, column: str | None) -> None:
        self._asked, self._found = column, column
        self.choices: list[str] = []

    def __call__(self, place: int, row: Any) -> Given:
        name = f"row {place}"
        if _is_pixels(row):
            return _of_pixels(row)
        if isinstance(row, Tensor | np.ndarray):
            raise ValueError(
                f"{name} of the stream is of type {type(row).__name__}, {str(row.dtype).removeprefix('torch.')} of "
                f"shape {list(row.shape)}, but pictures are needed, or their pixels as arrays of uint8 [height, width, "
                "3]: give tensors to measure as they are"
            )
        if isinstance(row, Image.Image):
            return row
        if isinstance(row, str | os.PathLike):
            path = os.fspath(row)
            return Picture(printable(path), expanded(path))
        if isinstance(row, bytes):
            return Picture(name, row)
        if not isinstance(row, Mapping | Sequence):
            raise ValueError(f"{name} of the stream is no picture, but of type {type(row).__name__}")
        values = row if isinstance(row, Mapping) else dict(enumerate(row))
        key = values.get("__key__")  # by which a WebDataset names its rows
        value = values.get(self._column(place, values))
        if isinstance(value, Image.Image):
            return value
        if _is_pixels(value):
            return _of_pixels(value)
        if isinstance(value, Mapping):
            return picture_of(place, value)
        return Picture(printable(key) if isinstance(key, str) else name, value if isinstance(value, bytes) else None)

    def _column(self, place: int, values: Mapping[Any, Any]) -> Any:
        """Where in a row its picture is; None where there is none."""
        if self._found is not None and (self._found in values or (self._asked is not None and place)):
            return self._found
        images = [name for name, value in values.items() if _is_picture(value)]
        held = ", ".join(map(str, images)) or "none"
        if self._asked is not None:
            raise OptionError(
                "{column}{given!r} is not there in the rows of the stream: columns with images are {images}",
                given=self._asked, images=held,
            )  # fmt: skip
        named = images if len(images) <= 1 else [one for one in images if str(one).lower() in COLUMNS]
        if images and len(named) != 1:
            raise OptionError(
                "the rows of the stream have several columns of images ({images}): name one, as in {column}{first}",
                images=held, first=images[0],
            )  # fmt: skip
        if len(images) > 1:
            self.choices = [f"Of the stream is read: column {named[0]} (of {held})."]
        self._found = named[0] if named else None
        return self._found


def _is_picture(value: Any) -> bool:
    """Whether it is a picture, or its bytes or pixels, or what `datasets` has for one that is not decoded."""
    if isinstance(value, Mapping):
        return set(value) == {"bytes", "path"}
    return (
        isinstance(value, Image.Image)
        or (_is_pixels(value) and value.ndim == 3)  # of two axes it is rather a mask
        or (isinstance(value, bytes) and format_of(value[:HEAD]) is not None)
    )


def _is_pixels(value: Any) -> TypeGuard[NDArray[np.uint8]]:
    """Whether it is an array of pixels as Pillow, OpenCV and WebDatasets give them: `[height, width, channel]`."""
    is_bytes = isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.size > 0
    return is_bytes and (value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (1, 3, 4)))


def _of_pixels(value: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(value[..., 0] if value.shape[2:] == (1,) else value)
