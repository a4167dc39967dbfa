"""What tells how a result came about: fingerprints, which are of content alone, and versions."""

import hashlib
import platform
from dataclasses import dataclass
from importlib.metadata import version

import torch
from torch import Tensor

_PRIME = 2**255 - 19
_BASE = int.from_bytes(hashlib.sha256(b"equiscope").digest()) % _PRIME


def versions() -> dict[str, str]:
    """Of all that has a part in a score."""
    return {name: version(name) for name in ("equiscope", "torch", "timm", "torchvision", "numpy")} | {
        "python": platform.python_version()
    }


def digest(value: Tensor) -> bytes:
    """The SHA-256 of a tensor: of its type, its shape and its values."""
    return digests(value[None])[0]


def digests(values: Tensor) -> list[bytes]:
    """The digest of each of several tensors of one shape, along the first axis."""
    kind = hashlib.sha256(f"{values.dtype} {list(values.shape[1:])} ".encode())
    rows = values.detach().cpu().resolve_conj().resolve_neg().reshape(len(values), values[:1].numel())
    found = []
    for one in rows.contiguous().view(torch.uint8).numpy():
        its = kind.copy()
        its.update(one)
        found.append(its.digest())
    return found


@dataclass(frozen=True)
class Contents:
    """What many things are, by the SHA-256 of each: `together` in whatever order they come, `in_order` at their places.

    Both are sums modulo a prime of 255 bits, `sum d_i` and `sum d_i r^i` of the digests `d_i` at places `i`, so that
    parts that were read apart, by several processes or before and after an interruption, add up.

    >>> found, swapped = (Contents.of(a, 0) + Contents.of(b, 1) for a, b in ((b"one", b"other"), (b"other", b"one")))
    >>> found.together == swapped.together, found.in_order == swapped.in_order
    (True, False)
    """

    count: int = 0
    together: int = 0
    in_order: int = 0

    @classmethod
    def of(cls, digest: bytes, place: int) -> "Contents":
        """One thing at its place."""
        value = int.from_bytes(digest) % _PRIME
        return cls(1, value, value * pow(_BASE, place, _PRIME) % _PRIME)

    def __add__(self, other: "Contents") -> "Contents":
        return Contents(
            self.count + other.count,
            (self.together + other.together) % _PRIME,
            (self.in_order + other.in_order) % _PRIME,
        )

    def moved(self, places: int) -> "Contents":
        """The same things, so many places further on.

        >>> Contents.of(b"one", 2).moved(3) == Contents.of(b"one", 5)
        True
        """
        return Contents(self.count, self.together, self.in_order * pow(_BASE, places, _PRIME) % _PRIME)

    def fingerprints(self) -> dict[str, str]:
        """Both as a manifest has them."""
        return {"fingerprint": f"{self.together:064x}", "fingerprint_in_order": f"{self.in_order:064x}"}
