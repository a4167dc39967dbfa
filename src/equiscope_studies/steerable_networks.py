"""Networks that are exactly equivariant to rotations but for interpolation, and plain ones of equal size beside them.

Filters are sums of circular harmonics, `ring(r) cos(m phi)` and `ring(r) sin(m phi)`, which can be rotated by any angle
and sampled anew: no filter is interpolated, and none holds finer detail than a pixel. A field of the steerable network
has eight channels, its filters rotated by multiples of 45 degrees; rotating the image rotates each channel's map and
hands it to the next channel. The plain network has as many channels, and as many weights that are not tied.
"""

from collections import OrderedDict
from math import ceil, pi

import torch
from jaxtyping import Float
from torch import Tensor, nn

ORIENTATIONS = 8
SIZE = 11  # pixels along a side of a filter
RINGS, WIDTH = (0.0, 1.5, 2.75), 0.8  # radii of the rings and their width, in pixels
HARMONICS = 3  # per ring: m = 0, 1, 2
FIELDS = 3


def basis(angle: float, width: float = WIDTH) -> Float[Tensor, "function row column"]:
    """The functions that filters are sums of, rotated counter-clockwise by an angle in radians.

    >>> still, turned = basis(0.0), basis(pi / 2)
    >>> torch.allclose(torch.rot90(still, 1, (1, 2)), turned, atol=1e-6)
    True
    """
    place = torch.arange(SIZE, dtype=torch.float64) - (SIZE - 1) / 2
    down, right = torch.meshgrid(place, place, indexing="ij")
    radius, phi = torch.hypot(down, right), torch.atan2(-down, right) - angle
    found = []
    for ring in RINGS:
        height = torch.exp(-((radius - ring) ** 2) / (2 * width**2)) * (radius <= (SIZE - 1) / 2)
        for harmonic in range(HARMONICS if ring else 1):  # at the centre there is no angle
            its = height * (radius > 0) if harmonic else height
            found.append(its * torch.cos(harmonic * phi))
            if harmonic:
                found.append(its * torch.sin(harmonic * phi))
    return torch.stack([one / one.norm() for one in found]).float()


def isotropic_network(*, layers: int = 3, channels: int = 6, seed: int = 0) -> nn.Sequential:
    """Layers of radially symmetric filters without strides: each channel stays itself under any rotation."""
    generator = torch.Generator().manual_seed(seed)
    rings = basis(0.0)[[0, 1, 6]]  # those of m = 0
    found: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(layers):
        weights = torch.randn(channels, 3 if number == 0 else channels, len(rings), generator=generator)
        found[f"layer{number + 1}"] = _layer(torch.einsum("oir,ryx->oiyx", weights, rings))
    return nn.Sequential(found).eval()


def steerable_network(*, layers: int = 3, seed: int = 0) -> nn.Sequential:
    """A C8-steerable network: fields of eight orientations, their maximum, its mean over the image, ten outputs."""
    generator = torch.Generator().manual_seed(seed)
    turned = torch.stack([basis(2 * pi * turn / ORIENTATIONS) for turn in range(ORIENTATIONS)])
    count = turned.shape[1]
    found: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(layers):
        if number == 0:
            weights = torch.randn(FIELDS, 3, count, generator=generator)
            filters = torch.einsum("oib,kbyx->okiyx", weights, turned).flatten(0, 1)
        else:
            weights = torch.randn(FIELDS, FIELDS, ORIENTATIONS, count, generator=generator)
            # Orientation k of a field looks at orientation j of another as orientation 0 does at j - k.
            tied = torch.stack([weights.roll(turn, 2) for turn in range(ORIENTATIONS)])
            filters = torch.einsum("koijb,kbyx->okijyx", tied, turned).flatten(0, 1).flatten(1, 2)
        found[f"layer{number + 1}"] = _layer(filters)
    found["orientation"] = nn.Sequential(nn.Unflatten(1, (FIELDS, ORIENTATIONS)), MaximumOfOrientations())
    return _with_head(found, FIELDS, generator)


def plain_network(*, layers: int = 3, width: float = WIDTH, seed: int = 0) -> nn.Sequential:
    """As many layers and channels, with no weight tied; `width`, in pixels, is how smooth the filters are."""
    generator = torch.Generator().manual_seed(seed)
    channels, functions = FIELDS * ORIENTATIONS, basis(0.0, width)
    found: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(layers):
        weights = torch.randn(channels, 3 if number == 0 else channels, len(functions), generator=generator)
        found[f"layer{number + 1}"] = _layer(torch.einsum("oib,byx->oiyx", weights, functions))
    found["orientation"] = nn.Sequential(nn.Unflatten(1, (FIELDS, ORIENTATIONS)), MaximumOfOrientations())
    return _with_head(found, FIELDS, generator)


class MaximumOfOrientations(nn.Module):
    """The largest value of a field's orientations."""

    def forward(self, fields: Float[Tensor, "image field orientation row column"]) -> Tensor:
        """A channel a field."""
        return fields.amax(2)


class Seeing(nn.Module):
    """A network that is given images blurred by a Gaussian, or the fine details, which the blur takes away.

    >>> images = torch.rand(1, 3, 9, 9)
    >>> details, blur = (Seeing(nn.Identity(), 1.0, fine=fine)(images) for fine in (True, False))
    >>> torch.allclose(details + blur, images)
    True
    """

    kernel: Tensor

    def __init__(self, network: nn.Module, deviation: float, *, fine: bool) -> None:
        super().__init__()
        self.network, self.fine = network, fine
        reach = ceil(3 * deviation)
        place = torch.arange(-reach, reach + 1, dtype=torch.float64)
        weights = torch.exp(-(place**2) / (2 * deviation**2))
        self.register_buffer("kernel", torch.outer(weights, weights).div(weights.sum() ** 2).float()[None, None])

    def forward(self, images: Float[Tensor, "image channel row column"]) -> Tensor:
        """What the network gives for them."""
        blur = nn.functional.conv2d(images.flatten(0, 1)[:, None], self.kernel, padding="same").view_as(images)
        outputs: Tensor = self.network(images - blur if self.fine else blur)
        return outputs


def _layer(filters: Float[Tensor, "out in row column"]) -> nn.Sequential:
    """The filters, scaled so that features neither grow nor vanish, and a ReLU."""
    convolution = nn.Conv2d(filters.shape[1], filters.shape[0], SIZE, padding=SIZE // 2, bias=False)
    convolution.weight.data = filters / filters.flatten(1).norm(dim=1).mean()
    return nn.Sequential(convolution, nn.ReLU())


def _with_head(found: OrderedDict[str, nn.Module], channels: int, generator: torch.Generator) -> nn.Sequential:
    found["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found["head"] = head = nn.Linear(channels, 10)
    head.weight.data = torch.randn(10, channels, generator=generator)
    head.bias.data.zero_()
    return nn.Sequential(found).eval()
