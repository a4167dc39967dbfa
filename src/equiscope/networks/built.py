"""What every way to build a network gives."""

from typing import NamedTuple

from torch import nn

from equiscope.images.preprocessing import Preprocessing
from equiscope.networks.catalogue import IMAGENET_MEAN, IMAGENET_STD

ASSUMED = Preprocessing(size=(224, 224), mean=IMAGENET_MEAN, std=IMAGENET_STD)  # where a network declares nothing


class Built(NamedTuple):
    """A network as its library or function gives it."""

    model: nn.Module
    preprocessing: Preprocessing
    weights: dict[str, str]  # what to record of the weights it came with
    remarks: tuple[str, ...]  # sentences the user should read: what was assumed
