"""The networks that the studies train, by name, with random weights that a seed draws.

| name | network |
|---|---|
| `z2cnn` | seven 3 x 3 convolutions of 20 channels without padding: Cohen and Welling, ICML 2016 |
| `cifar-resnet20` | He et al., CVPR 2016, of any depth 6 n + 2 |
| `wide-resnet40-4` | Zagoruyko and Komodakis, BMVC 2016: depth 40, width 4 |
| `wide-resnet10-4-half` | the same with a stride of 2 in its first convolution: a quarter of the cost |
| `convmixer-152x6`, `vit-48x6`, `mixer-56x6` | width x depth, on patches of 4 x 4 pixels; positions mix otherwise |
"""

import re
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equiscope.networks.cifar_resnet import cifar_resnet
from equiscope_studies.training.wide_resnet import wide_resnet

PATCH = 4  # pixels along a side
KERNEL = 5  # positions along a side, of the ConvMixer
HEAD = 16  # channels of a head of the ViT
KINDS = {
    "z2cnn": "CNN",
    "cifar-resnet": "CNN",
    "wide-resnet": "CNN",
    "convmixer": "CNN",
    "vit": "ViT",
    "mixer": "Mixer",
}


def network(name: str, channels: int, size: int, classes: int, seed: int = 0) -> nn.Module:
    """An untrained network for images of `channels` x `size` x `size`, in training mode.

    ValueError where the name is none of the table's, or the network does not take such images.
    """
    for pattern, build in _BUILDERS.items():
        if (match := re.fullmatch(pattern, name)) is not None:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the accelerators as well
                return build(*map(int, match.groups()), channels, size, classes).train()
    refuse_unknown(name)
    raise AssertionError  # pragma: no cover


def refuse_unknown(name: str) -> None:
    """ValueError where the name is none of the table's."""
    if any(re.fullmatch(pattern, name) for pattern in _BUILDERS):
        return
    raise ValueError(
        f"network={name!r} is not known; it is z2cnn, cifar-resnetDEPTH, wide-resnetDEPTH-WIDTH (or with "
        "-half behind it), convmixer-WIDTHxDEPTH, vit-WIDTHxDEPTH or mixer-WIDTHxDEPTH, such as cifar-resnet44 or "
        "vit-48x6."
    )


def kind(name: str) -> str:
    """What a network is: "CNN", "ViT" or "Mixer".

    >>> kind("vit-48x6"), kind("convmixer-152x6")
    ('ViT', 'CNN')
    """
    return next(its for start, its in KINDS.items() if name.startswith(start))


class Z2CNN(nn.Module):
    """The seven layers of Cohen and Welling as the paper has them: the last one averaged over its positions."""

    def __init__(self, channels: int, classes: int, width: int = 20, layers: int = 7) -> None:
        super().__init__()
        self.features = nn.Sequential()
        for layer in range(1, layers + 1):
            before = channels if layer == 1 else width
            block = nn.Sequential(nn.Conv2d(before, width, 3), nn.BatchNorm2d(width), nn.ReLU())
            self.features.add_module(f"layer{layer}", block)
            if layer == 2:
                self.features.add_module("shrink", nn.MaxPool2d(2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(width, classes)

    def forward(self, images: Float[Tensor, "image channel height width"]) -> Float[Tensor, "image class"]:
        """The logits of each image."""
        return self.linear(self.pool(self.features(images)).flatten(1))  # type: ignore[no-any-return]


def _vit(width: int, depth: int, channels: int, size: int, classes: int) -> nn.Module:
    from timm.models import VisionTransformer

    return VisionTransformer(
        img_size=size, patch_size=PATCH, in_chans=channels, num_classes=classes, embed_dim=width, depth=depth,
        num_heads=width // HEAD, class_token=False, global_pool="avg",
    )  # fmt: skip


def _mixer(width: int, depth: int, channels: int, size: int, classes: int) -> nn.Module:
    from timm.models import MlpMixer

    return MlpMixer(
        img_size=size, patch_size=PATCH, in_chans=channels, num_classes=classes, embed_dim=width, num_blocks=depth
    )


def _convmixer(width: int, depth: int, channels: int, size: int, classes: int) -> nn.Module:
    from timm.models import ConvMixer

    return ConvMixer(
        dim=width, depth=depth, kernel_size=KERNEL, patch_size=PATCH, in_chans=channels, num_classes=classes
    )


def _colours_only(channels: int) -> None:
    if channels != 3:
        raise ValueError(f"The residual networks take images of 3 channels, and these have {channels}.")


def _cifar_resnet(depth: int, channels: int, size: int, classes: int) -> nn.Module:
    _colours_only(channels)
    return cifar_resnet(depth, classes)


def _wide_resnet(depth: int, width: int, channels: int, size: int, classes: int, first_stride: int = 1) -> nn.Module:
    _colours_only(channels)
    return wide_resnet(depth, width, classes, first_stride=first_stride)


_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "z2cnn": lambda channels, size, classes: Z2CNN(channels, classes),
    r"cifar-resnet(\d+)": _cifar_resnet,
    r"wide-resnet(\d+)-(\d+)": _wide_resnet,
    r"wide-resnet(\d+)-(\d+)-half": partial(_wide_resnet, first_stride=2),
    r"convmixer-(\d+)x(\d+)": _convmixer,
    r"vit-(\d+)x(\d+)": _vit,
    r"mixer-(\d+)x(\d+)": _mixer,
}
