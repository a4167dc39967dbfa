"""Images that are told apart by their colour."""

from pathlib import Path

import torch
from torch import Tensor

from equiscope.images.preprocessing import Preprocessing
from equiscope.images.sources import open_images

RGB = Preprocessing(size=(4, 4), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
GREY = Preprocessing(size=(4, 4), mean=(0.0,), std=(1.0,))
COLOURS = 11  # images of a known colour in the folder and in each split of the data set


def colour(number: int) -> tuple[int, int, int]:
    return 20 * number, 255 - 20 * number, 7 * number


def numbers(images: Tensor) -> list[int]:
    """Which colours these images have, in order."""
    return [round(red * 255 / 20) for red in images[:, 0, 0, 0].tolist()]


def everything(source: str | Path, preprocessing: Preprocessing = RGB, **options: int) -> Tensor:
    return torch.cat(list(open_images(str(source), preprocessing, **options)))
