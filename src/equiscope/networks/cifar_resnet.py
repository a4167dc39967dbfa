"""The residual networks for CIFAR: He et al., *Deep Residual Learning for Image Recognition*, CVPR 2016, 4.2."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class _Block(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.stride = after // before  # a stage that doubles the channels halves the grid
        self.conv1 = nn.Conv2d(before, after, 3, stride=self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(
        self, x: Float[Tensor, "image before height width"]
    ) -> Float[Tensor, "image after halved_height halved_width"]:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self._shortcut(x, y.shape[1] - x.shape[1]))

    def _shortcut(self, x: Tensor, new_channels: int) -> Tensor:
        """Option A of the paper: no weights; every second pixel, and zeros for the new channels, half on each side."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, new_channels // 2, new_channels // 2))


class CifarResNet(nn.Module):
    """Three stages of 16, 32 and 64 channels; the mean over positions is a function, so no module yields it."""

    def __init__(self, blocks_per_stage: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks_per_stage)
        self.layer2 = _stage(16, 32, blocks_per_stage)
        self.layer3 = _stage(32, 64, blocks_per_stage)
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image class"]:
        """The logits of each image."""
        x = F.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((-2, -1)))  # type: ignore[no-any-return]  # torch types a module's call as Any


def cifar_resnet(depth: int, classes: int = 10) -> CifarResNet:
    """An untrained residual network of `depth` layers with weights: 20, 32, 44, 56 and 110 in the paper.

    >>> network = cifar_resnet(20)
    >>> round(sum(weights.numel() for weights in network.parameters()) / 1e6, 2)  # the paper's Table 6
    0.27
    """
    blocks_per_stage, rest = divmod(depth - 2, 6)
    if blocks_per_stage < 1 or rest:
        raise ValueError(f"depth is {depth}, but three stages of n blocks need 6 n + 2: choose 20, 32, 44, 56 or 110")
    return CifarResNet(blocks_per_stage, classes)


def _stage(before: int, after: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(_Block(before, after), *(_Block(after, after) for _ in range(blocks - 1)))
