"""From a photograph to the tensor that a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from equiscope.images.metadata import upright

_INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
}

# What white may be in a picture of more than 8 bits, by mode: the first that holds all of its values.
_WHITES = {"I;16": (65535,), "I": (255, 65535), "F": (1, 255, 65535)}

_GREY = frozenset(("1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"))

Box = tuple[int | float, int | float, int | float, int | float]  # left, upper, right, lower


@dataclass(frozen=True)
class Preprocessing:
    """How a photograph becomes the tensor a network was trained on.

    The shorter side is resized to `resize`, the centre of `size` is cut out, values in [0, 1] are normalised.
    This is torchvision's `Resize`, `CenterCrop`, `ToTensor` and `Normalize`.

    Attributes:
        size: Height and width of the network's input.
        mean: One value a channel: 1 for a network of grey images, 3 for RGB.
        std: Likewise; positive.
        resize: The shorter side before the central crop; `None` for the larger of `size`.
        interpolation: "bilinear", "bicubic", "nearest" or "lanczos"; all but "nearest" antialias.

    Raises:
        ValueError: If a number makes no sense or the interpolation is not one of these.

    >>> half = Preprocessing(size=(1, 2), mean=(0.5,), std=(0.5,))
    >>> half(Image.new("RGB", (4, 4), "white"))
    tensor([[[1., 1.]]])
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int | None = None
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"size is {self.size}, but a height and a width of at least one pixel are needed")
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
            raise ValueError(
                f"mean has {len(self.mean)} values and std {len(self.std)}, "
                "but both need one value a channel: 1 for grey images or 3 for RGB"
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if not all(isfinite(value) for value in values):
                raise ValueError(f"{name} is {values}, but every value must be a finite number")
        if min(self.std) <= 0:
            raise ValueError(f"std is {self.std}, but images are divided by it: every value must be positive")
        if self.resize is not None and self.resize < max(self.size):
            raise ValueError(
                f"resize is {self.resize}, but the shorter side must hold a crop of {self.size}: "
                f"give at least {max(self.size)}, or None"
            )
        if self.interpolation not in _INTERPOLATIONS:
            raise ValueError(f"no interpolation {self.interpolation!r}: choose from {', '.join(_INTERPOLATIONS)}")

    def larger_by(self, down: int, right: int) -> "Preprocessing":
        """The same for images that exceed this size, so that a window of this size can move in them."""
        size = (self.size[0] + down, self.size[1] + right)
        return replace(self, size=size, resize=max(self.resize or 0, *size))

    def __call__(self, image: Image.Image, *, box: Box | None = None) -> Float[Tensor, "channel height width"]:
        """The image as the network takes it, upright by its EXIF orientation.

        Every mode of Pillow but LAB is converted to RGB or grey. Transparency is dropped, as the loaders that
        networks are trained with do. Pictures of more than 8 bits are scaled so that white is white: 65535 in 16 bits;
        in 32 bit integers 255 if that holds all values, else 65535; in floats likewise 1, 255 or 65535.

        Args:
            image: A picture of any mode and size.
            box: The part to take, in pixels of the upright image: left, upper, right, lower. `None` for the central
                crop.

        Raises:
            ValueError: If the mode is LAB, or values are negative, not a number, or beyond 65535.
        """
        return self._tensor(upright(image), box)

    def _tensor(self, image: Image.Image, box: Box | None) -> Float[Tensor, "channel height width"]:
        """The upright image, or a part of it, resized and normalised."""
        image = _eight_bit(image).convert("L" if len(self.mean) == 1 else "RGB")
        height, width = self.size
        # One call resizes and crops: what lies outside of the crop is never made, however long and thin the image.
        image = image.resize((width, height), _INTERPOLATIONS[self.interpolation], box=box or self._centre(*image.size))
        pixels = torch.from_numpy(np.array(image)).reshape(height, width, -1).permute(2, 0, 1)
        # [channel, 1, 1] each
        mean, std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (self.mean, self.std))
        return ((pixels.to(torch.float32) / 255 - mean) / std).contiguous()

    def _centre(self, width: int, height: int) -> Box:
        """The part of an image that its central crop shows."""
        shorter = self.resize or max(self.size)
        corners: list[tuple[float, float]] = []
        for side, crop in ((width, self.size[1]), (height, self.size[0])):
            resized = int(shorter * side / min(width, height))  # rounded as torchvision does
            start = round((resized - crop) / 2)
            corners.append((start * side / resized, (start + crop) * side / resized))
        (left, right), (upper, lower) = corners
        return left, upper, right, lower


class SizeError(ValueError):
    """An image is not of the one size that all must have."""


class AsTheyAre(Preprocessing):
    """Images of one size as they are, their pixels scaled to values from 0 to 1.

    SizeError where an image is of another size.
    """

    @classmethod
    def like(cls, image: Image.Image) -> "AsTheyAre":
        """For images of the size of this one, and grey or in colour as it is."""
        image = upright(image)
        channels = 1 if image.mode in _GREY else 3
        return cls(size=(image.height, image.width), mean=(0.0,) * channels, std=(1.0,) * channels)

    def _tensor(self, image: Image.Image, box: Box | None) -> Float[Tensor, "channel height width"]:
        if (image.height, image.width) != self.size:
            raise SizeError(
                f"All images must have one size: one is {image.height} x {image.width}, the first "
                f"{self.size[0]} x {self.size[1]}; es.open_images(dataset, preprocessing) gives them one."
            )
        return super()._tensor(image, (0, 0, image.width, image.height))


def _eight_bit(image: Image.Image) -> Image.Image:
    """The image in a mode that converts to RGB and to grey without loss of range and without a warning."""
    if image.mode in ("La", "RGBa"):  # premultiplied by alpha
        return image.convert(image.mode.upper())
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")
    if whites := _WHITES.get("I;16" if image.mode.startswith("I;16") else image.mode):
        values = np.asarray(image).astype(np.float64)  # [height, width]
        white = next((white for white in whites if 0 <= values.min() <= values.max() <= white), None)
        if white is None:
            raise ValueError(
                f"mode {image.mode} with values from {values.min():g} to {values.max():g}, "
                f"but they must lie between 0 and {whites[-1]}"
            )
        return Image.fromarray((values * (255 / white)).round().astype(np.uint8))
    return image
