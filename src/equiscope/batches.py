"""Images, whatever holds them, as batches of one size."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, SequentialSampler, Subset

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


def same_again(images: Images) -> bool:
    """Whether the images can be gone over again, in the same order."""
    if isinstance(images, DataLoader):
        plain = type(images.batch_sampler) is BatchSampler or images.batch_sampler is None
        return plain and type(images.sampler) is SequentialSampler and not images.drop_last
    return isinstance(images, Tensor | Dataset) or iter(images) is not images


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
    return _between(opened(images)[1], start, stop)


@runtime_checkable
class PartlyReadable(Protocol):
    """Images of which any run can be read without those before."""

    def part(self, start: int, stop: int | None) -> Iterable[Tensor]:
        """Batches of the images from one place to another."""


def _between(batches: Iterable[Tensor], start: int, stop: int | None) -> Iterator[Tensor]:
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
