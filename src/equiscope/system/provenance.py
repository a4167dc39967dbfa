"""What tells how a result came about: the bytes of tensors, for fingerprints, and versions."""

import platform
from importlib.metadata import version

import torch
from torch import Tensor


def versions() -> dict[str, str]:
    """Of all that has a part in a score."""
    return {name: version(name) for name in ("equiscope", "torch", "timm", "torchvision", "numpy")} | {
        "python": platform.python_version()
    }


def content(value: Tensor) -> bytes:
    """The bytes of a tensor's values."""
    return value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
