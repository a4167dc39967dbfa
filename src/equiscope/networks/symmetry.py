"""For images of which sizes a network's grids of positions lie symmetrically in the image.

A window that moves by several pixels fits an image exactly at some sizes only: at others it leaves a pixel out at one
side, and the grid's centre is not the image's. A mirrored or rotated image then gives a mirrored map that has moved,
by up to a position of the layer. Which sizes fit follows from windows, strides and padding; it is found by trying: a
copy of the network, its filters made symmetric, gives exactly mirrored maps where its grids are symmetric.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import lcm

import torch
from torch import Tensor, nn

from equiscope.networks.features import unwrapped
from equiscope.networks.layers import Layer, find_layers
from equiscope.networks.options import Layers
from equiscope.networks.probe import features_of

ALIKE = 1e-3  # the largest difference, of the largest value, that rounding makes
LONGEST = 64  # pixels after which sizes repeat, that are all tried
LEAST = 48  # pixels of an image that is tried, at least
MOST_TOLD = 4


@dataclass(frozen=True)
class SymmetricSizes:
    """The sizes, in pixels along a side, at which a grid lies symmetrically: `period * k + remainder`."""

    period: int
    remainders: tuple[int, ...]

    def __contains__(self, size: int) -> bool:
        return size % self.period in self.remainders

    def __and__(self, other: "SymmetricSizes") -> "SymmetricSizes":
        """The sizes that are in both.

        >>> str(SymmetricSizes(4, (1,)) & SymmetricSizes(6, (1, 3)))
        '12 k + 1 or 12 k + 9'
        """
        period = lcm(self.period, other.period)
        both = [size for size in range(period) if size in self and size in other]
        return SymmetricSizes.of(period, both)

    @classmethod
    def of(cls, period: int, remainders: Sequence[int]) -> "SymmetricSizes":
        """The same sizes, with the shortest period.

        >>> SymmetricSizes.of(4, [1, 3])
        SymmetricSizes(period=2, remainders=(1,))
        """
        found = sorted(set(remainders))
        for shorter in (one for one in range(1, period + 1) if period % one == 0):
            kept = sorted({one % shorter for one in found})
            if len(kept) * (period // shorter) == len(found):
                return cls(shorter, tuple(kept))
        return cls(period, tuple(found))

    def near(self, size: int, count: int = 3) -> list[int]:
        """The sizes nearest to one, in ascending order.

        >>> SymmetricSizes(32, (1,)).near(224)
        [193, 225, 257]
        """
        reach = range(max(1, size - count * self.period), size + count * self.period + 1)
        return sorted(sorted((one for one in reach if one in self), key=lambda one: abs(one - size))[:count])

    def __str__(self) -> str:
        if not self.remainders:
            return "none"
        if self.period == 1:
            return "every"
        told = [f"{self.period} k" + (f" + {one}" if one else "") for one in self.remainders[:MOST_TOLD]]
        return " or ".join(told) + (" or more" if len(self.remainders) > MOST_TOLD else "")


def symmetric_sizes(
    model: nn.Module, image_shape: tuple[int, int, int], layers: str | Sequence[str] | Layers | None = None
) -> dict[str, SymmetricSizes]:
    """The sizes of images, along a side, at which each layer's grid lies symmetrically in them, by its name.

    Trained filters may have learned another centre; `alignment="registered"` estimates that. Layers are those of
    `find_layers`, without vectors, tokens and those of an unknown stride. A layer of a network that takes images of one
    size only, or that tells positions apart by itself, as embeddings of positions do, is left out. The network is not
    changed.

    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 2, stride=2))
    >>> {name: str(sizes) for name, sizes in symmetric_sizes(network, (3, 32, 32)).items()}
    {'0': '2 k + 1', '1': '4 k + 3'}
    """
    found = [one for one in find_layers(model, image_shape, layers).measured if _is_map(one)]
    steps = {one.name: _step(one) for one in found}
    period = lcm(1, *(step for step in steps.values() if step))
    if not found or period > LONGEST:
        return {}
    network = symmetric_copy(unwrapped(model))
    start = -(-max(LEAST, period) // period) * period
    alike = [_mirrored_alike(network, found, (image_shape[0], start, start + more)) for more in range(period)]
    sizes = {}
    for one in found:
        tried = [more for more, of_size in enumerate(alike) if one.name in of_size]
        fitting = [more for more in tried if alike[more][one.name]]
        if len(tried) == period and fitting:
            sizes[one.name] = SymmetricSizes.of(period, fitting)
    return sizes


def symmetric_copy(network: nn.Module) -> nn.Module:
    """A copy that is evaluated and whose every filter is the mean of itself and its mirror image."""
    found = copy.deepcopy(network).float().eval()
    for module in found.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            weight = module.weight.detach()
            module.weight = nn.Parameter((weight + weight.flip(-1)) / 2, requires_grad=False)
    return found


def _is_map(layer: Layer) -> bool:
    return layer.stride is not None and layer.layout.kind in ("map", "nhwc")


def _step(layer: Layer) -> int:
    """The pixels of a whole number of positions."""
    assert layer.stride is not None
    return int(getattr(layer.stride[1], "numerator", layer.stride[1]))


def _mirrored_alike(network: nn.Module, layers: Sequence[Layer], shape: tuple[int, int, int]) -> Mapping[str, bool]:
    """Whether each layer's map of a mirrored image is its mirrored map; empty where the network takes no such image."""
    noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    device = next((one.device for one in network.parameters()), torch.device("cpu"))
    pair = torch.cat([noise, noise.flip(-1)]).to(device)
    try:
        with torch.no_grad():
            features = features_of(network, pair, {one.name: one.source for one in layers})
    except Exception:  # noqa: BLE001 -- a network of one input size says so in its own way
        return {}
    return {one.name: _is_mirrored(one.maps(features[one.name])) for one in layers}


def _is_mirrored(maps: Tensor) -> bool:
    original, mirrored = maps.float()
    largest = float(original.abs().max())
    return float((mirrored.flip(-1) - original).abs().max()) <= ALIKE * largest
