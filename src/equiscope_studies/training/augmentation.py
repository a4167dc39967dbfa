"""What is done to a batch of images before a network sees it in training, by name.

All draws are from torch's random state, which a checkpoint keeps.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from equiscope_studies.choices import one_of
from equiscope_studies.training.labelled import QUARTERS, rotated

Images = UInt8[Tensor, "image channel height width"]
Augmented = tuple[Tensor, Tensor]  # images, and labels: an index each, or a weight for every class

PADDING = 4  # pixels, of random crops
ALPHA = 1.0  # of CutMix
OPERATIONS, MAGNITUDE, BINS = 2, 9, 31  # of RandAugment: torchvision's defaults
TEACH_THE_ANSWER = ("TranslateX", "TranslateY", "Rotate")  # RandAugment's operations that a measurement repeats


def augmented(images: Images, labels: Int[Tensor, "image"], names: str, classes: int) -> Augmented:
    """The batch under augmentations, named in their order and joined by `+`, such as `crops+flips`."""
    result: Augmented = (images, labels)
    for name in names.split("+"):
        result = AUGMENTATIONS[one_of("augmentation", name, AUGMENTATIONS)](*result, classes)
    return result


def crops(images: Images) -> Images:
    """Every image cut out, at a place of its own, of itself with a border of zeros around it."""
    count, _, height, width = images.shape
    windows = F.pad(images, (PADDING,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    down, right = torch.randint(2 * PADDING + 1, (2, count)).to(images.device)
    return windows[torch.arange(count, device=images.device), :, down, right]


def flips(images: Images) -> Images:
    """Half of the images mirrored left to right."""
    chosen = (torch.rand(len(images)) < 0.5).to(images.device)
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def cutmix(
    images: Images, labels: Int[Tensor, "image"], classes: int
) -> tuple[Images, Int[Tensor, "image"] | Float[Tensor, "image class"]]:
    """Every second batch, in the mean, with a box in each image from another, and their labels mixed likewise."""
    from torchvision.transforms import v2

    if torch.rand(()) < 0.5:
        return images, labels
    return v2.CutMix(alpha=ALPHA, num_classes=classes)(images, labels)  # type: ignore[no-any-return]


def rotations(images: Images) -> Images:
    """Every image rotated by 0, 90, 180 or 270 degrees, drawn for each."""
    return rotated(images, torch.randint(QUARTERS, (len(images),)).to(images.device))


def randaugment(images: Images, *, without: tuple[str, ...] = ()) -> Images:
    """Two operations on every image, drawn for each; those that drew the same one go through it together."""
    height, width = images.shape[2:]
    for _ in range(OPERATIONS):
        choices = randaugment_operations(int(height), int(width), without)
        drawn = torch.randint(len(choices), (len(images),)).to(images.device)
        result = torch.empty_like(images)
        for number in torch.unique(drawn).tolist():
            result[drawn == number] = choices[number](images[drawn == number])
        images = result
    return images


@cache
def randaugment_operations(height: int, width: int, without: tuple[str, ...]) -> list[Callable[[Tensor], Tensor]]:
    """RandAugment's operations for images of a size, each twice: what has a direction, once in either."""
    from torchvision.transforms import v2

    operations: dict[str, Any] = v2.RandAugment._AUGMENTATION_SPACE  # torchvision has no option that leaves some out
    found = []
    for name, (magnitudes, signed) in operations.items():
        if name not in without:
            values = magnitudes(BINS, height, width)
            value = 0.0 if values is None else float(values[MAGNITUDE])
            found += [_operation(name, sign * value if signed else value) for sign in (1, -1)]
    return found


def _operation(name: str, magnitude: float) -> Callable[[Tensor], Tensor]:
    """One operation of torchvision's RandAugment, at one magnitude."""
    from torchvision.transforms import v2

    space = {name: (lambda *_: [magnitude], False)}
    return type("Operation", (v2.RandAugment,), {"_AUGMENTATION_SPACE": space})(num_ops=1, magnitude=0)  # type: ignore[no-any-return]


def _of_images(function: Callable[..., Tensor], **options: Any) -> Callable[..., Augmented]:
    def of_batch(images: Tensor, labels: Tensor, classes: int) -> Augmented:
        return function(images, **options), labels

    return of_batch


AUGMENTATIONS: dict[str, Callable[..., Augmented]] = {
    "none": lambda images, labels, classes: (images, labels),
    "crops": _of_images(crops),
    "flips": _of_images(flips),
    "cutmix": cutmix,
    "rotations": _of_images(rotations),
    "randaugment": _of_images(randaugment),
    "randaugment-static": _of_images(randaugment, without=TEACH_THE_ANSWER),
}
