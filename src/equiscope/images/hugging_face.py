"""Data sets of the package `datasets` that are handed over as objects: in memory, on disk, or as a stream."""

import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from equiscope.images.batches import Images
from equiscope.images.choices import COLUMNS
from equiscope.images.data_sets import data_set_handed_over, image_columns, picture_of, undecoded
from equiscope.images.pictures import Picture, reason
from equiscope.images.preprocessing import AsTheyAre, Preprocessing
from equiscope.images.sources import ImageSource
from equiscope.images.streams import Given, ImageStream

BATCH = 32
_NAMED = frozenset((*COLUMNS, "pixel_values"))  # of several columns, the one that says that it holds images
UNDECLARED = (
    "The pictures of the data set are scaled to values from 0 to 1 and not normalised, as nothing declares how the "
    "network takes them; es.open_images(dataset, preprocessing) normalises them."
)

DECLARED = (
    "The pictures of the data set are preprocessed as the network declares, to {height} x {width} pixels; "
    "es.open_images(dataset, preprocessing) does it otherwise."
)

Declared = Callable[[], Preprocessing | None]


def adopted(images: Any, declared: Declared) -> Any:
    """The images; a data set of the package `datasets` as something that can be measured.

    Its tensors stay as they are. Its pictures are preprocessed as `declared`, or where that gives None scaled to
    values from 0 to 1, which is warned of. ValueError for several splits at once, and where it is not clear which
    column holds the images.
    """
    library = sys.modules.get("datasets")  # who has a data set has imported it
    if library is None:
        return images
    if isinstance(images, library.DatasetDict | library.IterableDatasetDict):
        splits = list(map(str, images)) or ["train"]
        raise ValueError(
            f"A {type(images).__name__} holds splits ({', '.join(splits)}), and one of them is needed; give it, as in "
            f"dataset[{splits[0]!r}]."
        )
    if isinstance(images, library.Dataset):
        return _table(images, declared)
    return _stream(images, declared) if isinstance(images, library.IterableDataset) else images


def _table(table: Any, declared: Declared) -> Images:
    plain = table.format["type"] in (None, "python")
    columns = image_columns(table) if plain and len(table) else []
    if not columns:
        return _Tensors(table.with_format("torch") if plain else table)
    column = _only(columns)
    first = undecoded(table, column).select(range(min(len(table), BATCH)))
    preprocessing = _preprocessing(declared(), (picture_of(row, one[column]) for row, one in enumerate(first)))
    return ImageSource(data_set_handed_over(table, column, None, None), preprocessing, batch=BATCH, workers=0)


class _Tensors(Dataset[Tensor]):
    """The tensors `[channel, height, width]` of a data set's rows."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, row: int) -> Tensor:
        found = _image_of(self._table[row])
        if isinstance(found, Tensor):
            return found
        raise ValueError(f"Row {row} of the data set holds a picture where others hold tensors; give tensors in all.")


def _stream(stream: Any, declared: Declared) -> ImageStream:
    """The images of a `datasets.IterableDataset`, as they come."""
    rows, column = stream, None
    columns = [name for name, kind in (stream.features or {}).items() if type(kind).__name__ == "Image"]
    if columns and getattr(stream, "_formatting", None) is None:
        column = _only(columns)
        rows = undecoded(stream, column)

    def given(place: int, row: Mapping[str, Any]) -> Given:
        return _image_of(row) if column is None else picture_of(place, row[column])

    first = [given(place, row) for place, row in enumerate(islice(rows, BATCH))]
    pictures = [one for one in first if not isinstance(one, Tensor)]
    preprocessing = _preprocessing(declared(), pictures) if pictures else None  # none where the rows are tensors
    return ImageStream(rows, given, preprocessing, batch=BATCH)


def _image_of(row: Mapping[str, Any]) -> Tensor | Image.Image:
    """The one picture, or tensor of three axes, of a row."""
    found = {name: _as_tensor(value) for name, value in row.items()}
    images = {name: one for name, one in found.items() if isinstance(one, Image.Image) or getattr(one, "ndim", 0) == 3}
    if not images:
        raise ValueError(
            "The rows of the data set hold no picture and no tensor [channel, height, width] but "
            f"{', '.join(f'{name} ({type(value).__name__})' for name, value in row.items()) or 'nothing'}."
        )
    one: Tensor | Image.Image = images[_only(list(images))]
    return one


def _as_tensor(value: Any) -> Any:
    return torch.from_numpy(value) if isinstance(value, np.ndarray) and value.dtype.kind in "fiu" else value


def _only(columns: Sequence[str]) -> str:
    """The only column, or the only one that says that it holds images."""
    named = columns if len(columns) == 1 else [name for name in columns if name.lower() in _NAMED]
    if len(named) != 1:
        raise ValueError(
            f"The data set has several columns of images ({', '.join(columns)}); give it with one of them, as in "
            f"dataset.select_columns({columns[0]!r})."
        )
    if len(columns) > 1:
        warnings.warn(f"Of the data set is read: column {named[0]} (of {', '.join(columns)}).", stacklevel=2)
    return named[0]


def _preprocessing(declared: Preprocessing | None, pictures: Iterable[Picture | Image.Image]) -> Preprocessing:
    """What is declared, or else what leaves pictures of the size of the first that can be read as they are."""
    if declared is not None:
        height, width = declared.size
        warnings.warn(DECLARED.format(height=height, width=width), stacklevel=2)
        return declared
    why = "there are none"
    for picture in pictures:
        try:
            like = AsTheyAre.like(picture) if isinstance(picture, Image.Image) else picture.opened(AsTheyAre.like)[0]
        except Exception as error:  # noqa: BLE001  (on a broken picture, decoders raise anything)
            why = reason(error)
            continue
        warnings.warn(UNDECLARED, stacklevel=2)
        return like
    raise ValueError(f"None of the first pictures of the data set can be read: {why}.")
