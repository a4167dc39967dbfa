"""Trained networks of figures 4 and 7 that no library builds: their architectures, as their files of weights name them.

On CIFAR-10 four networks of the UvA deep learning course (Lippe's saved models): a ResNet, one with pre-activation, a
GoogLeNet and a DenseNet, all small. On ImageNet the quantisation-aware MobileNets of TensorFlow, in five sizes, which
timm builds. Their files, `NAME.safetensors`, lie in `weights/` of the folder of data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import chain
from pathlib import Path

import torch
from safetensors.torch import load_file
from timm.models import efficientnet
from torch import Tensor, nn

import equiscope as es

CIFAR = es.Preprocessing(size=(32, 32), mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))
WIDTHS = (16, 32, 64)  # of a ResNet's stages, of three blocks each
GROWTH, BOTTLENECK = 16, 32  # of a DenseNet
# Of a GoogLeNet's blocks: the channels of its branches (1 x 1; 3 x 3; 5 x 5; pooled), those in brackets before; None:
# pooling.
INCEPTION = (
    (16, (32, 32), (16, 8), 8), (24, (32, 48), (16, 12), 12), None, (24, (32, 48), (16, 12), 12),
    (16, (32, 48), (16, 16), 16), (16, (32, 48), (16, 16), 16), (32, (32, 48), (16, 24), 24), None,
    (32, (48, 64), (16, 16), 16), (32, (48, 64), (16, 16), 16),
)  # fmt: skip


class Residual(nn.Module):
    """Two convolutions beside a shortcut; with `first`, norm and ReLU come before each of them."""

    def __init__(self, channels: int, out: int, *, first: bool) -> None:
        super().__init__()
        stride = 1 if channels == out else 2
        convolutions = [
            nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
        ]
        if first:
            self.net = nn.Sequential(*_active(channels), convolutions[0], *_active(out), convolutions[1])
        else:
            self.net = nn.Sequential(convolutions[0], *_active(out), convolutions[1], nn.BatchNorm2d(out))
        shortcut = nn.Conv2d(channels, out, 1, stride=stride, bias=not first)
        self.downsample = (
            None if channels == out else nn.Sequential(*_active(channels), shortcut) if first else shortcut
        )
        self.last = nn.Identity() if first else nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """Both added."""
        beside = maps if self.downsample is None else self.downsample(maps)
        added: Tensor = self.last(self.net(maps) + beside)
        return added


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, channels: int, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> None:
        super().__init__()
        self.conv_1x1 = nn.Sequential(*_convolved(channels, one, 1))
        self.conv_3x3 = nn.Sequential(*_convolved(channels, three[0], 1), *_convolved(*three, 3))
        self.conv_5x5 = nn.Sequential(*_convolved(channels, five[0], 1), *_convolved(*five, 5))
        self.max_pool = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), *_convolved(channels, pooled, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """The channels of all branches."""
        return torch.cat([self.conv_1x1(maps), self.conv_3x3(maps), self.conv_5x5(maps), self.max_pool(maps)], 1)


class DenseLayer(nn.Module):
    """New channels before those that there were."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            *_active(channels),
            nn.Conv2d(channels, BOTTLENECK, 1, bias=False),
            *_active(BOTTLENECK),
            nn.Conv2d(BOTTLENECK, GROWTH, 3, padding=1, bias=False),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """The channels of both."""
        return torch.cat([self.net(maps), maps], 1)


class Dense(nn.Module):
    """Six dense layers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(*(DenseLayer(channels + GROWTH * layer) for layer in range(6)))

    def forward(self, maps: Tensor) -> Tensor:
        """The channels of all."""
        grown: Tensor = self.block(maps)
        return grown


class Transition(nn.Module):
    """Half as many channels, of maps half as large."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.transition = nn.Sequential(
            *_active(channels), nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Averages of four positions."""
        halved: Tensor = self.transition(maps)
        return halved


def _active(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), nn.ReLU()


def _convolved(channels: int, out: int, size: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, out, size, padding=size // 2), *_active(out)


class InRow(nn.Module):
    """An input, blocks one after another, and a classifier of what they give, pooled."""

    def __init__(self, start: nn.Sequential, name: str, blocks: list[nn.Module], end: nn.Sequential) -> None:
        super().__init__()
        self.input_net, self.output_net = start, end
        self.add_module(name, nn.Sequential(*blocks))
        self._name = name

    def forward(self, images: Tensor) -> Tensor:
        """Logits of ten classes."""
        logits: Tensor = self.output_net(self.get_submodule(self._name)(self.input_net(images)))
        return logits


def _classified(channels: int, *before: nn.Module) -> nn.Sequential:
    return nn.Sequential(*before, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def resnet(*, first: bool = False) -> nn.Module:
    """Nine residual blocks."""
    start = nn.Sequential(nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False), *([] if first else _active(WIDTHS[0])))
    widths = list(chain.from_iterable([width] * 3 for width in WIDTHS))
    blocks = [Residual(*pair, first=first) for pair in zip([WIDTHS[0], *widths], widths, strict=False)]
    return InRow(start, "blocks", list(blocks), _classified(WIDTHS[-1]))


def preactivated_resnet() -> nn.Module:
    """The same, with norm and ReLU before each convolution."""
    return resnet(first=True)


def googlenet() -> nn.Module:
    """Eight inception blocks, and two of pooling."""
    channels, blocks = 64, list[nn.Module]()
    for given in INCEPTION:
        if given is None:
            blocks.append(nn.MaxPool2d(3, stride=2, padding=1))
        else:
            blocks.append(Inception(channels, *given))
            channels = given[0] + given[1][1] + given[2][1] + given[3]
    return InRow(nn.Sequential(*_convolved(3, 64, 3)), "inception_blocks", blocks, _classified(channels))


def densenet() -> nn.Module:
    """Four dense blocks, with transitions between them."""
    channels, blocks = 2 * GROWTH, list[nn.Module]()
    for block in range(4):
        if block:
            blocks.append(Transition(channels))
            channels //= 2
        blocks.append(Dense(channels))
        channels += 6 * GROWTH
    start = nn.Sequential(nn.Conv2d(3, 2 * GROWTH, 3, padding=1))
    return InRow(start, "blocks", blocks, _classified(channels, *_active(channels)))


def mobilenet(version: int, width: float) -> Callable[[], nn.Module]:
    """A builder of timm's MobileNet of that version, with a multiplier of channels, and class 0 for the background."""
    # timm's registered builders fix the multiplier
    build = efficientnet._gen_mobilenet_v1 if version == 1 else efficientnet._gen_mobilenet_v2
    return partial(build, f"mobilenetv{version}_100", width, num_classes=1001, pad_type="same")


@dataclass(frozen=True)
class Trained:
    """A network: how it is built, what it is given, and what is known of it."""

    build: Callable[[], nn.Module]
    preprocessing: es.Preprocessing
    layers: tuple[str, ...]
    pool: str | None = None
    top1: float | None = None  # published, on ImageNet's validation images, in per cent


def _mobile(version: int, width: float, size: int, top1: float) -> Trained:
    halves = (0.5, 0.5, 0.5)
    preprocessing = es.Preprocessing(size=(size, size), mean=halves, std=halves, resize=int(size / 0.875))
    return Trained(mobilenet(version, width), preprocessing, ("blocks.*.*",), "global_pool", top1)


TRAINED: Mapping[str, Trained] = {
    "uva-resnet-cifar10": Trained(resnet, CIFAR, ("blocks.*",)),
    "uva-resnetpreact-cifar10": Trained(preactivated_resnet, CIFAR, ("blocks.*",)),
    "uva-googlenet-cifar10": Trained(googlenet, CIFAR, ("inception_blocks.*",)),
    "uva-densenet-cifar10": Trained(densenet, CIFAR, ("blocks.*",)),
    "mobilenetv1-025-128": _mobile(1, 0.25, 128, 39.5),
    "mobilenetv1-050-160": _mobile(1, 0.5, 160, 57.7),
    "mobilenetv1-075-192": _mobile(1, 0.75, 192, 66.1),
    "mobilenetv1-100-224": _mobile(1, 1.0, 224, 70.1),
    "mobilenetv2-100-224": _mobile(2, 1.0, 224, 70.8),
}


def trained(name: str, file: Path) -> es.Network:
    """One of `TRAINED` with the weights of a file; ValueError where the file is not of that network."""
    one = TRAINED[name]
    model = one.build()
    try:
        model.load_state_dict(load_file(file))
    except RuntimeError as error:
        raise ValueError(f"{file} does not hold the weights of {name}: {error}") from error
    return es.Network(
        name=name,
        model=model.float().eval(),
        preprocessing=one.preprocessing,
        weights={"source": "file", "file": file.name, "sha256": sha256(file.read_bytes()).hexdigest()},
        layers=one.layers,
        pool=one.pool,
        entry=None,
        remarks=(),
    )
