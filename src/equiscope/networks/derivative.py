"""How a network's features begin to change when its input changes."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from equiscope.networks.features import Source
from equiscope.networks.probe import features_of


def derivative_of(network: nn.Module, images: Tensor, direction: Tensor, source: Source) -> tuple[Tensor, Tensor]:
    """A layer's features, and their derivative along `direction`, of the images' shape, in one forward pass.

    The network is evaluated as it stands, as by `features_of`. What it raises is
    passed on: a `NotImplementedError` or `RuntimeError` where one of its operations has no derivative in forward mode.

    >>> derivative_of(nn.Sequential(nn.Sigmoid()), torch.zeros(1, 1), torch.ones(1, 1), Source("0"))
    (tensor([[0.5000]]), tensor([[0.2500]]))
    """
    with torch.no_grad(), _differentiable(), forward_ad.dual_level():
        found = features_of(network, _moving(images, direction), {"it": source})["it"]
        features, derivative = forward_ad.unpack_dual(found)  # type: ignore[no-untyped-call]
        return features.clone(), torch.zeros_like(features) if derivative is None else derivative.clone()


def _moving(images: Tensor, direction: Tensor) -> Tensor:
    """The images, which carry the direction in which they change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.script", FutureWarning)  # which PyTorch itself uses here
        warnings.filterwarnings("ignore", ".*torch.jit.script", DeprecationWarning)
        moving: Tensor = forward_ad.make_dual(images, direction)  # type: ignore[no-untyped-call]
        return moving


@contextmanager
def _differentiable() -> Iterator[None]:
    """While open, attention is computed without the fused operations, which have no derivative in forward mode."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
