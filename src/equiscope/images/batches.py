"""Images, whatever holds them, as batches of one size."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    default_collate,
)

Images = Tensor | Dataset[Any] | DataLoader[Any] | Iterable[Any]


@runtime_checkable
class PartlyReadable(Protocol):
    """Images of a known number, of which any run can be read without those before."""

    def __len__(self) -> int: ...

    def part(self, start: int, stop: int | None) -> Iterable[Tensor]:
        """Batches of the images from one place to another."""


def count_of(images: Images) -> int | None:
    """How many images there are, where that can be told without looking at them.

    Lengths are believed of tensors, of Datasets, of loaders that give all of one, and of `PartlyReadable` images: that
    of anything else may be of its batches, or of the images of all processes.
    """
    if isinstance(images, DataLoader):
        images = images.dataset if _gives_all(images) else ()
    known = isinstance(images, Tensor | Dataset | PartlyReadable) or is_data_set(images)
    if not known or isinstance(images, IterableDataset):
        return None
    try:
        return len(images)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):
        return None


def is_data_set(images: object) -> bool:
    """Whether it is a `Dataset` of the package `datasets`."""
    library = sys.modules.get("datasets")  # who has one has imported it
    return library is not None and isinstance(images, library.Dataset)


def _gives_all(loader: DataLoader[Any]) -> bool:
    """Whether a loader gives each image of its Dataset once: its iteration, order and batches are PyTorch's own."""
    own = type(loader).__iter__ is DataLoader.__iter__ and loader.collate_fn is default_collate
    plain = type(loader.batch_sampler) is BatchSampler and not loader.drop_last
    once = type(loader.sampler) is SequentialSampler or (
        type(loader.sampler) is RandomSampler
        and not loader.sampler.replacement
        and loader.sampler.num_samples == len(loader.sampler.data_source)
    )
    return own and plain and once


def _in_batches(images: Images) -> Iterator[Tensor]:
    """Batches of images from whatever holds them; labels are dropped."""
    if isinstance(images, Tensor):
        if images.ndim != 4:
            raise ValueError(
                f"Images are [image, channel, height, width]; a tensor of shape {list(images.shape)} is not."
            )
        yield from torch.split(images, 64)
        return
    if isinstance(images, Dataset) and not isinstance(images, DataLoader):
        batches: Iterable[Any] = DataLoader(images, batch_size=32)
    elif _goes_over(images) and not isinstance(images, str | bytes | Mapping | np.ndarray):
        batches = images
    else:
        raise ValueError(
            "Images are a tensor [image, channel, height, width], a Dataset, a DataLoader or an iterable of such "
            f"batches; a value of type {type(images).__name__} was given."
        )
    for batch in _read(batches):
        yield batch if isinstance(batch, Tensor) and batch.ndim == 4 else _image_tensor(batch)


def _goes_over(images: object) -> bool:
    """Whether `for` can go over it, in the old way too: by numbers."""
    return hasattr(images, "__iter__") or hasattr(images, "__getitem__")


def _read(batches: Iterable[Any]) -> Iterator[Any]:
    """The same batches; what a Dataset or a generator of the user's raises becomes a sentence."""
    waiting = iter(batches)
    for number in count():
        try:
            batch = next(waiting)
        except StopIteration:
            return
        except (ValueError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # of whatever kind
            told = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
            raise ValueError(
                f"Batch {number} of the images cannot be read ({type(error).__name__}: {told}); mend what gives it."
            ) from error
        yield batch


def _image_tensor(batch: Any) -> Tensor:
    """The images of a batch that also holds labels: the one tensor of four axes. ValueError where there is not one."""
    values = dict(_held_in(batch))
    found = {path: value for path, value in values.items() if isinstance(value, Tensor)}
    images = {key: value for key, value in found.items() if value.ndim == 4}
    if len(images) == 1:
        return next(iter(images.values()))
    needed = "A batch of images is [image, channel, height, width]"
    if images:
        told = " and ".join(f"batch{key} of shape {list(value.shape)}" for key, value in images.items())
        raise ValueError(
            f"{needed}; this one holds {told}. Choose one, as (batch{next(iter(images))} for batch in images), or give "
            "a Dataset of it alone."
        )
    raise ValueError(f"{needed}; this one holds {_held(list(values.values()))}.")


def _held(values: Sequence[Any]) -> str:
    """What a batch holds that is no tensor of images, and what to do where that is known."""
    arrays: list[Any] = [one for one in values if isinstance(one, np.ndarray) and one.ndim > 2]
    found: list[Any] = arrays or [one for one in values if isinstance(one, Tensor)]
    if found:
        kind, advice = "tensor", ""
        if arrays:
            kind, advice = "NumPy array", "; give torch.from_numpy of it, its axes in that order"
        shapes = dict.fromkeys(str(list(one.shape)) for one in found)
        return f"a {kind} of shape {' and one of shape '.join(shapes)}{advice}"
    return (
        "a picture; es.open_images reads pictures"
        if any(isinstance(one, Image.Image) for one in values)
        else "no tensor"
    )


def _held_in(batch: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All that a batch holds, also in lists within lists, as of several views; with what stands behind its name."""
    if isinstance(batch, Mapping | Sequence) and not isinstance(batch, str | bytes):
        for key, value in batch.items() if isinstance(batch, Mapping) else enumerate(batch):
            yield from _held_in(value, f"{path}[{key!r}]")
    else:
        yield path, batch


def used_up(images: Images) -> bool:
    """Whether going over the images once leaves none for a second time."""
    return not isinstance(images, Tensor | Dataset | DataLoader) and iter(images) is images


def same_again(images: Images) -> bool:
    """Whether the images can be gone over again, in the same order."""
    if isinstance(images, DataLoader):
        plain = type(images.batch_sampler) is BatchSampler or images.batch_sampler is None
        return plain and type(images.sampler) is SequentialSampler and not images.drop_last
    return not used_up(images)


def from_place(images: Images, start: int, stop: int | None = None, *, all_readable: bool = True) -> Iterator[Tensor]:
    """Batches of the images from one place to another.

    Those before are not read where that can be: where all are readable, so that places can be told beforehand.
    """
    if isinstance(images, Tensor):
        images, start, stop = images[start:stop], 0, None
    elif isinstance(images, Dataset) and not isinstance(images, DataLoader | IterableDataset):
        count = count_of(images)
        if count is not None:
            images, start, stop = Subset(images, range(start, count if stop is None else min(stop, count))), 0, None
    elif isinstance(images, PartlyReadable) and all_readable:
        images, start, stop = images.part(start, stop), 0, None
    return between(opened(images)[1], start, stop)


def between(batches: Iterable[Tensor], start: int, stop: int | None) -> Iterator[Tensor]:
    """The images from one place to another, of batches of all."""
    place = 0
    for batch in batches:
        chosen = batch[max(0, start - place) : None if stop is None else max(0, stop - place)]
        place += len(batch)
        if len(chosen):
            yield chosen
        if stop is not None and place >= stop:
            return


def opened(images: Images) -> tuple[tuple[int, int, int], Iterator[Tensor]]:
    """The shape of an image, `[channel, height, width]`, and all of them in batches."""
    batches = _in_batches(images)
    for first in batches:
        if len(first):
            channels, height, width = first.shape[1:]
            if not channels * height * width:
                raise ValueError(f"Images of {channels} channels and {height} x {width} pixels have none to measure.")
            _refuse_whole_numbers(first)
            return (channels, height, width), _checked(first, chain([first], batches))
    raise ValueError("There are no images to measure.")


def _refuse_whole_numbers(batch: Tensor) -> None:
    if not batch.is_floating_point():
        raise ValueError(f"Images are normalised floating-point tensors; these are {batch.dtype}.")


def _checked(first: Tensor, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    place = 0
    for batch in batches:
        _refuse_whole_numbers(batch)
        if batch.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"All images must have one size: image {place} has shape {list(batch.shape[1:])}, "
                f"the first {list(first.shape[1:])}."
            )
        place += len(batch)
        yield batch


def of_size(batches: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """The same images in batches of one size, but for the last."""
    waiting: list[Tensor] = []
    images = 0
    for batch in batches:
        waiting.append(batch)
        images += len(batch)
        if images >= size:
            joined = torch.cat(waiting)
            full = images - images % size
            yield from torch.split(joined[:full], size)
            waiting, images = [joined[full:]], images % size
    if images:
        yield torch.cat(waiting)
