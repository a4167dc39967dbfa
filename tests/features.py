"""Smooth random images, and the features that layers have of them, without a measurement."""

import torch
from torch import nn

from equiscope.networks.features import called, reading
from equiscope.networks.state import left_as_found


def images(count, size, channels=3):
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(count, channels, 8, 8, generator=generator)
    return nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")


def features(model, layers, batch):
    """What the layers' sources give in a forward pass, copied at once."""
    read = {}
    with left_as_found(model), reading(model, {layer.name: layer.source for layer in layers},
                                       lambda name, tensor: read.__setitem__(name, tensor.clone())):  # fmt: skip
        called(model, batch)
    return read
