"""What becomes of a network's features as they pass by: they are made maps, checked, and recorded layer by layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log2
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from equiscope.functional.transformations import Transformation
from equiscope.networks.layers import Layer

SMALLEST, LARGEST = 1e-9, 1e9  # features between which squares, and sums of them, are safe in float32


@runtime_checkable
class Record(Protocol):
    """What is kept of a layer."""

    layer: Layer

    def add(
        self, maps: Tensor, images: int, start: int, chosen: Sequence[Transformation], first: bool
    ) -> Float[Tensor, "copy"] | None:
        """Take in one forward pass: `images` as they are, then the same under each chosen transformation.

        `start` is the first image's place in the data set; `first` says that this is their first forward pass. Gives
        a size of every image's maps, transformed ones included, if it has come to know one, which is finite where all
        squares are.
        """

    def next_images(self) -> None:
        """Leave these images for the next ones."""


class Recorder:
    """The records of all layers, and what the network is being given while they are made."""

    def __init__(
        self,
        records: Mapping[str, Record],
        start: int = 0,
        *,
        scales: Mapping[str, float] | None = None,
        registered: int = 0,
    ) -> None:
        self.records = records
        self.images = start  # the place of the next image among those scored
        self.error: ValueError | None = None  # of ours, raised while the network was running
        self.scales = scales  # what each layer's features are multiplied by, where that is not 1; None: not yet known
        self._registered = registered  # images that come before those scored
        self._sizes: dict[str, Tensor] = {}  # of each layer's features, by image of the forward pass
        self._given: tuple[int, Sequence[Transformation], bool] = (0, (), True)

    def expect(self, images: int, chosen: Sequence[Transformation], *, first: bool) -> None:
        """Say what the next forward pass is of: `images` as they are, then the same under each transformation.

        `first` says that it is these images' first forward pass.
        """
        self._given = images, chosen, first

    def receive(self, layer: str, features: Tensor) -> None:
        """Take in one layer's features of the forward pass."""
        images, chosen, first = self._given
        try:
            with torch.autocast(features.device.type, enabled=False):
                record = self.records[layer]
                maps = stacked_maps(record.layer, features, images, chosen)
                if self.scales is not None and layer in self.scales:
                    maps = maps * self.scales[layer]
                sizes = record.add(maps, images, self.images, chosen, first)
                if sizes is None:
                    flat = maps.flatten(1)
                    sizes = flat.sum(1) if self.scales is None else torch.linalg.vector_norm(flat, dim=1)
                self._sizes[layer] = sizes
        except ValueError as error:
            self.error = error
            raise
        except Exception as error:  # a transformation of the user's may raise anything
            self.error = ValueError(f"Layer {layer} cannot be measured: {type(error).__name__}: {error}")
            raise self.error from error

    def check(self) -> None:
        """ValueError where a layer's features of the forward pass hold NaN, infinity, or what is too large to square.

        All layers at once, so that an accelerator stops once a forward pass and not once a layer.
        """
        images, _, _ = self._given
        if missing := [name for name in self.records if name not in self._sizes]:
            self.error = ValueError(
                f"Layer {missing[0]} gave no features for the images from {self._registered + self.images} on; a layer "
                "must take part in every forward pass, so leave this one out (layers=)."
            )
            raise self.error
        finite = torch.stack(list(self._sizes.values())).isfinite()
        if not finite.all():
            layer, image = (~finite).nonzero()[0].tolist()
            self.error = ValueError(
                f"Layer {list(self._sizes)[layer]} gives NaN, infinity or values too large to square for image "
                f"{self._registered + self.images + image % images} (counted from 0); check the network's weights and "
                "the images' preprocessing."
            )
            raise self.error
        self._sizes.clear()

    def next_images(self) -> None:
        """Leave these images for the next ones."""
        self.leave_images()
        self.images += self._given[0]

    def leave_images(self) -> None:
        """Leave these images, which do not count, for the next ones."""
        for record in self.records.values():
            record.next_images()


@dataclass
class LayerScale:
    """What a layer's features are to be multiplied by, found from a few images."""

    layer: Layer
    scale: float = 1.0

    def add(self, maps: Tensor, images: int, start: int, chosen: Sequence[Transformation], first: bool) -> None:
        """Take in one forward pass, as a `Record` does."""
        self.scale = scale_of(maps)

    def next_images(self) -> None:
        """Nothing is kept from image to image."""


def scale_of(maps: Tensor) -> float:
    """A power of two to multiply a layer's features by, so that their squares neither overflow nor vanish.

    It is 1 for features of any usual size, and then costs nothing. Else it is as near to 1 as may be, since other
    images may have features of a usual size.

    >>> scale_of(torch.tensor([3.0])), scale_of(torch.tensor([2.0**80])) == 2.0**-50
    (1.0, True)
    """
    largest = float(maps.abs().max()) if maps.numel() else 0.0
    if largest == 0 or not isfinite(largest) or SMALLEST <= largest <= LARGEST:
        return 1.0
    return 2.0 ** round(log2((SMALLEST if largest < SMALLEST else LARGEST) / largest))


def stacked_maps(
    layer: Layer, features: Tensor, images: int, chosen: Sequence[Transformation]
) -> Float[Tensor, "image channel row column"]:
    """A layer's features as maps in float32: of some images, then of the same under each chosen transformation."""
    if features.is_complex():
        raise ValueError(
            f"Layer {layer.name} gives complex features; leave it out (layers=), or have the network give their real "
            "and imaginary parts as channels (torch.view_as_real)."
        )
    maps = layer.maps(features).float()
    if len(maps) != images * (1 + len(chosen)):
        raise ValueError(
            f"Layer {layer.name} gave features for {len(maps)} images where the network was given "
            f"{images * (1 + len(chosen))}; its first axis is not the image."
        )
    found, known = tuple(maps.shape[1:]), (layer.channels, layer.height, layer.width)
    if found != known:
        told = (f"{channels} channels of {height} x {width} cells" for channels, height, width in (found, known))
        raise ValueError(
            f"Layer {layer.name} gave {next(told)}, where its shape promised {next(told)}; leave it out (layers=), for "
            "a layer must be of one size."
        )
    return maps
