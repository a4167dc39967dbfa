"""What a network is, apart from its weights: which modules it is made of, and how they are set."""

import hashlib
import re

from torch import nn

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # where an object lies, in which no two processes agree


def structure_digest(network: nn.Module) -> str:
    """The SHA-256 of every module's name, class and settings, as far as modules tell them; in order.

    >>> relu, gelu = (structure_digest(nn.Sequential(nn.Conv2d(3, 4, 3), act)) for act in (nn.ReLU(), nn.GELU()))
    >>> relu == gelu
    False
    """
    digest = hashlib.sha256()
    for name, module in network.named_modules():
        kind = type(module)
        settings = _ADDRESS.sub("", module.extra_repr())
        digest.update(f"{name}\t{kind.__module__}.{kind.__qualname__}\t{settings}\n".encode(errors="backslashreplace"))
    return digest.hexdigest()
