"""Small networks with a known answer: how equivariant they are follows from how their filters are made."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

LAYERS = 3  # of the hand-made networks
SIZE = 5  # pixels along a side of their filters
CORNER = 3  # pixels along a side of what is cut out of one: the centre lines included


def gaussian(width: float) -> Float[Tensor, "row column"]:
    """An isotropic Gaussian filter that sums to 1; `width` is its standard deviation in pixels."""
    place = torch.arange(SIZE) - (SIZE - 1) / 2
    line = torch.exp(-(place**2) / (2 * width**2))
    return line[:, None] * line / line.sum() ** 2


def cornered(width: float) -> Float[Tensor, "rotation row column"]:
    """One Gaussian whose upper left corner is cut out, rotated by 0, 90, 180 and 270 degrees.

    >>> (cornered(1.0)[0] == 0).int().tolist()
    [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    """
    cut = gaussian(width)
    cut[:CORNER, :CORNER] = 0
    return torch.stack([torch.rot90(cut / cut.sum(), quarters) for quarters in range(4)])


def gaussian_network(widths: Sequence[float] = (0.6, 0.9, 1.2, 1.5)) -> nn.Sequential:
    """Three layers of isotropic filters: a channel of each width, perfectly invariant to rotations and flips."""
    filters = torch.stack([gaussian(width) for width in widths])
    return _three_layers(filters, torch.full((len(widths), len(widths)), 1 / len(widths)))


def cornered_network(width: float = 1.0) -> nn.Sequential:
    """Three layers of four filters, each the one before rotated by 90 degrees: equivariant to rotations, not invariant.

    From the second layer on, a channel takes two thirds of itself and one third of the next. So the filters obey
    `K[out + 1, in + 1] = rot90(K[out, in])`, channels counted modulo 4, and a rotation of the image by 90 degrees gives
    each channel the rotated map of the one before it: the partners under rot90 are 3, 0, 1, 2 in every layer.
    """
    itself = torch.eye(4)
    return _three_layers(cornered(width), (2 * itself + itself.roll(1, dims=1)) / 3)


def _three_layers(filters: Float[Tensor, "out row column"], mix: Float[Tensor, "out in"]) -> nn.Sequential:
    """Every output channel has one filter; it sees the colours' mean first, and then the channels mixed."""
    grey = torch.full((len(filters), 3), 1 / 3)
    return _layers(
        _with_weights(nn.Conv2d(weights.shape[1], len(filters), SIZE, padding=SIZE // 2, bias=False), filters, weights)
        for weights in (grey, *[mix] * (LAYERS - 1))
    )


def _with_weights(convolution: nn.Conv2d, filters: Tensor, mix: Tensor) -> nn.Conv2d:
    convolution.weight.data = mix[:, :, None, None] * filters[:, None]
    return convolution


def _layers(convolutions: Iterable[nn.Conv2d]) -> nn.Sequential:
    """`layer1`, `layer2`, ...: each a convolution and a ReLU."""
    named = (
        (f"layer{number}", nn.Sequential(convolution, nn.ReLU())) for number, convolution in enumerate(convolutions, 1)
    )
    return nn.Sequential(OrderedDict(named)).eval()


def strided_network(channels: Sequence[int] = (8, 16, 32, 64, 128), *, seed: int = 0) -> nn.Sequential:
    """A layer for every number of channels: 3 x 3, stride 2, padding 1, with PyTorch's own random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the accelerators as well
        return _layers(
            nn.Conv2d(before, after, 3, stride=2, padding=1)
            for before, after in zip((3, *channels), channels, strict=False)
        )


def symmetrised(network: nn.Module) -> nn.Module:
    """A copy whose every filter is the mean of its eight rotations and mirror images: equivariant to them, by design.

    >>> filters = next(symmetrised(nn.Conv2d(1, 1, 3)).parameters())
    >>> torch.allclose(filters, filters.flip(-1)), torch.allclose(filters, filters.mT)
    (True, True)
    """
    network = deepcopy(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = mean_of_d4(module.weight.data)
    return network


def mean_of_d4(filters: Float[Tensor, "out in row column"]) -> Float[Tensor, "out in row column"]:
    """The mean of every filter over the four rotations of itself and of its mirror image."""
    eight = [torch.rot90(some, quarters, (-2, -1)) for some in (filters, filters.mT) for quarters in range(4)]
    return torch.stack(eight).mean(0)
