"""What a network does with a small batch of images, found by running it on some."""

from collections.abc import Mapping

from torch import Tensor, nn

from equiscope.networks.features import Source, called, left_as_found, reading


def features_of(network: nn.Module, images: Tensor, sources: Mapping[str, Source]) -> dict[str, Tensor]:
    """What each of the sources gives in one forward pass over `images` `[image, channel, height, width]`, by name.

    The features are copies; the network is as it was, afterwards. What the network raises is passed on as it is.

    >>> import torch
    >>> network = nn.Sequential(nn.ReLU(), nn.AvgPool2d(2))
    >>> features_of(network, torch.ones(2, 3, 4, 4), {"maps": Source("1")})["maps"].shape
    torch.Size([2, 3, 2, 2])
    """
    found: dict[str, Tensor] = {}

    def keep(name: str, features: Tensor) -> None:
        found[name] = features.clone()

    with left_as_found(network), reading(network, sources, keep):
        called(network, images)
    return found
