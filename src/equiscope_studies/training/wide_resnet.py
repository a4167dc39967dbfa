"""Wide residual networks for CIFAR: Zagoruyko and Komodakis, *Wide Residual Networks*, BMVC 2016, without drop-out."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class _Block(nn.Module):
    """Two convolutions, each after its batch normalisation and ReLU ("pre-activation")."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        same = before == after and stride == 1
        self.shortcut = None if same else nn.Conv2d(before, after, 1, stride=stride, bias=False)

    def forward(
        self, x: Float[Tensor, "image before height width"]
    ) -> Float[Tensor, "image after strided_height strided_width"]:
        active = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return y + (x if self.shortcut is None else self.shortcut(active))  # type: ignore[no-any-return]


class WideResNet(nn.Module):
    """Three stages of 16, 32 and 64 channels times the width; the mean over positions is a function.

    With a first stride of 2 all feature maps are half as high and wide, and the network costs a quarter.
    """

    def __init__(self, blocks_per_stage: int, width: int, classes: int, first_stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, stride=first_stride, padding=1, bias=False)
        self.layer1 = _stage(16, 16 * width, blocks_per_stage, 1)
        self.layer2 = _stage(16 * width, 32 * width, blocks_per_stage, 2)
        self.layer3 = _stage(32 * width, 64 * width, blocks_per_stage, 2)
        self.bn = nn.BatchNorm2d(64 * width)
        self.linear = nn.Linear(64 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image class"]:
        """The logits of each image."""
        x = self.layer3(self.layer2(self.layer1(self.conv1(images))))
        return self.linear(F.relu(self.bn(x)).mean((-2, -1)))  # type: ignore[no-any-return]


def wide_resnet(depth: int, width: int, classes: int = 10, *, first_stride: int = 1) -> WideResNet:
    """An untrained wide residual network of `depth` layers with weights, `width` times as wide as the narrowest.

    >>> network = wide_resnet(40, 4)
    >>> round(sum(weights.numel() for weights in network.parameters()) / 1e6, 1)  # the paper's Table 4
    8.9
    """
    blocks_per_stage, rest = divmod(depth - 4, 6)
    if blocks_per_stage < 1 or rest or width < 1:
        raise ValueError(
            f"depth is {depth} and width {width}, but three stages of n blocks need 6 n + 4 layers and a width of at "
            "least 1: choose for example 10, 16, 28 or 40"
        )
    return WideResNet(blocks_per_stage, width, classes, first_stride)


def _stage(before: int, after: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_Block(before, after, stride), *(_Block(after, after, 1) for _ in range(blocks - 1)))
