"""Images, whatever holds them, as batches of one size."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Images = Tensor | Dataset[Any] | DataLoader[Any] | Iterable[Any]


def count_of(images: Images) -> int | None:
    """How many images there are, where that can be told without looking at them."""
    if isinstance(images, DataLoader):
        images = images.dataset
    if isinstance(images, Sequence):  # of batches, of whatever length
        return None
    try:
        return len(images)  # type: ignore[arg-type]
    except TypeError:
        return None


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
    else:
        batches = images
    for batch in batches:
        tensor = batch if isinstance(batch, Tensor) else _image_tensor(batch)
        if tensor is None or tensor.ndim != 4:
            shape = "no tensor" if tensor is None else f"a tensor of shape {list(tensor.shape)}"
            raise ValueError(f"A batch of images is [image, channel, height, width]; this one holds {shape}.")
        yield tensor


def _image_tensor(batch: Any) -> Tensor | None:
    """The images of a batch that also holds labels: the one tensor of four axes."""
    values = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, Sequence) else ()
    found = [value for value in values if isinstance(value, Tensor) and value.ndim == 4]
    return found[0] if len(found) == 1 else None


def opened(images: Images) -> tuple[tuple[int, int, int], Iterator[Tensor]]:
    """The shape of an image, `[channel, height, width]`, and all of them in batches."""
    batches = _in_batches(images)
    for first in batches:
        if len(first):
            channels, height, width = first.shape[1:]
            return (channels, height, width), _checked(first, chain([first], batches))
    raise ValueError("There are no images to measure.")


def _checked(first: Tensor, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    count = 0
    for batch in batches:
        if not batch.is_floating_point():
            raise ValueError(f"Images are normalised floating-point tensors; these are {batch.dtype}.")
        if batch.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"All images must have one size: image {count} has shape {list(batch.shape[1:])}, "
                f"the first {list(first.shape[1:])}."
            )
        count += len(batch)
        yield batch


def of_size(batches: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """The same images in batches of one size, but for the last."""
    waiting: list[Tensor] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += len(batch)
        if count >= size:
            joined = torch.cat(waiting)
            full = count - count % size
            yield from torch.split(joined[:full], size)
            waiting, count = [joined[full:]], count % size
    if count:
        yield torch.cat(waiting)
