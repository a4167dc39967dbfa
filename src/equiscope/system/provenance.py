"""What tells how a result came about: fingerprints of weights and images, and versions."""

import hashlib
import platform
from importlib.metadata import version

import torch
from torch import Tensor, nn


def weights_digest(network: nn.Module) -> str:
    """The SHA-256 of the network's weights: every name and value of its state, in order."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        if isinstance(value, Tensor):
            digest.update(content(value))
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Of all that has a part in a score."""
    return {name: version(name) for name in ("equiscope", "torch", "timm", "torchvision", "numpy")} | {
        "python": platform.python_version()
    }


def content(value: Tensor) -> bytes:
    """The bytes of a tensor's values."""
    return value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
