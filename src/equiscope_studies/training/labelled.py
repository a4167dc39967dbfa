"""The labelled images that the studies train on, as uint8 tensors in memory.

MNIST6 is MNIST without the digits 0, 1, 6 and 8, which a rotation maps onto themselves or onto one another. In its two
variants every digit is rotated upfront by 0, 90, 180 or 270 degrees: the classes of MNIST6-Rot-Inv are the digits,
those of MNIST6-Rot-Eq are the pairs of digit and rotation.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from equiscope.images.data_sets import silent_datasets
from equiscope_studies.choices import one_of

DIGITS = (2, 3, 4, 5, 7, 9)  # of MNIST6
QUARTERS = 4  # of a whole rotation
ORDER_SEED = 0  # of the images' order, and of the rotations: of the data set, not of a run


@dataclass(frozen=True)
class _Source:
    """Where a data set is, and how its values are normalised."""

    folder: str
    hub: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


# As the catalogue's CIFAR ResNets: with the mean and deviation of ImageNet.
_CIFAR10 = _Source("cifar10", "uoft-cs/cifar10", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_MNIST = _Source("mnist", "ylecun/mnist", (0.1307,), (0.3081,))  # mean and deviation of its training images
_SOURCES = {"cifar10": _CIFAR10, "mnist6": _MNIST, "mnist6-rot-inv": _MNIST, "mnist6-rot-eq": _MNIST}
DATA_SETS = tuple(_SOURCES)


@dataclass(frozen=True)
class Labelled:
    """Images with their classes, in a random order that is always the same."""

    name: str
    images: UInt8[Tensor, "image channel height width"]
    labels: Int[Tensor, "image"]
    classes: int

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int | None) -> "Labelled":
        """The first so many; None: all."""
        return replace(self, images=self.images[:count], labels=self.labels[:count])

    def rotated(self, quarters: int) -> "Labelled":
        """The same, rotated counter-clockwise by so many quarters; so is the class where it names the rotation."""
        labels = self.labels
        if self.name == "mnist6-rot-eq":
            labels = labels // QUARTERS * QUARTERS + (labels + quarters) % QUARTERS
        return replace(self, images=torch.rot90(self.images, quarters, (-2, -1)), labels=labels)

    def to(self, device: torch.device) -> "Labelled":
        """The same on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))


def labelled(name: str, split: str, data: Path | None = None) -> Labelled:
    """The "train" or "test" images of a data set, from a folder in `data`, or by name from the hub where that is None.

    ValueError where the data set is not known, or is not there.
    """
    source = _SOURCES[one_of("data", name, DATA_SETS)]
    refuse_missing([name], data)
    images, labels = _decoded(str(data / source.folder) if data is not None else source.hub, split)
    if source is _CIFAR10:
        return Labelled(name, images, labels, 10)
    return mnist6(images, labels, name, split)


def refuse_missing(names: Iterable[str], data: Path | None) -> None:
    """ValueError where the folder of data does not hold one of the data sets."""
    for name in names:
        if data is not None and not (data / _SOURCES[name].folder).is_dir():
            raise ValueError(
                f"There is no folder {data / _SOURCES[name].folder}, which {name} is read from; give --data DIR that "
                "holds it."
            )


def mnist6(
    images: UInt8[Tensor, "image 1 row column"], labels: Int[Tensor, "image"], name: str, split: str
) -> Labelled:
    """The digits of MNIST6, upright or rotated upfront, from those of MNIST."""
    kept = torch.isin(labels, torch.tensor(DIGITS))
    images, digits = images[kept], torch.searchsorted(torch.tensor(DIGITS), labels[kept])
    if name == "mnist6":
        return Labelled(name, images, digits, len(DIGITS))
    seed = ORDER_SEED + (split == "test")
    quarters = torch.randint(QUARTERS, (len(images),), generator=torch.Generator().manual_seed(seed))
    images = rotated(images, quarters)
    if name == "mnist6-rot-inv":
        return Labelled(name, images, digits, len(DIGITS))
    return Labelled(name, images, digits * QUARTERS + quarters, len(DIGITS) * QUARTERS)


def rotated(
    images: UInt8[Tensor, "image channel row column"], quarters: Int[Tensor, "image"]
) -> UInt8[Tensor, "image channel row column"]:
    """Every image rotated counter-clockwise by its own number of quarters, as `rotations()` rotates them.

    >>> rotated(torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8), torch.tensor([1])).tolist()
    [[[[2, 4], [1, 3]]]]
    """
    result = torch.empty_like(images)
    for number in range(QUARTERS):
        result[quarters == number] = torch.rot90(images[quarters == number], number, (-2, -1))
    return result


def normalised(
    images: UInt8[Tensor, "image channel height width"], name: str
) -> Float[Tensor, "image channel height width"]:
    """The images of a data set as networks take them."""
    source = _SOURCES[name]
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (source.mean, source.std))
    return (images.float() / 255 - mean) / std


@lru_cache(maxsize=4)
def _decoded(place: str, split: str) -> tuple[Tensor, Tensor]:
    """All images `[image, channel, height, width]` and labels, in the order of the seed; decoded once a process."""
    import datasets  # here, because it takes a second

    try:
        with silent_datasets():
            table = datasets.load_dataset(place, split=split)
    except Exception as error:  # the hub and its readers raise many kinds
        reason = " ".join(str(error).split())
        raise ValueError(
            f"The data set {place!r} could not be loaded ({type(error).__name__}: {reason}); give --data DIR or "
            "EQUISCOPE_DATA, a folder that holds it, where there is no network."
        ) from error
    columns = {type(kind).__name__: name for name, kind in table.features.items()}
    images = torch.from_numpy(np.stack([np.asarray(image) for image in table[columns["Image"]]]))
    if images.ndim == 3:
        images = images[..., None]
    if (images == images[..., :1]).all():  # grey in a format that knows only colours
        images = images[..., :1]
    labels = torch.tensor(list(table[columns["ClassLabel"]]))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(ORDER_SEED))
    return images.permute(0, 3, 1, 2)[order].contiguous(), labels[order]
