"""What a network is, apart from its weights: its modules, how they are set, and what it makes of them."""

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import dist, hypot, isfinite
from typing import Any

import torch
from torch import nn

from equiscope.networks.features import called, tensors_in
from equiscope.networks.placement import floating_types
from equiscope.networks.state import left_as_found

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # where an object lies, in which no two processes agree
_SUMS, _VALUES = 16, 4096  # kept of an answer, and the values of each of its tensors that they are of
# How far rounding may bring two answers apart. Found: 1e-6 at most with other kernels, or in double precision; 0.002
# with products in TF32, as some devices take them; 0.015 in bfloat16. Exact and approximate GELU differ by 1e-4.
_ON_PROCESSORS, _ON_OTHER_DEVICES, _IN_HALF = 1e-4, 1e-2, 0.05


def structure_digest(network: nn.Module) -> str:
    """The SHA-256 of every module's name, class and settings, as far as modules tell them; in order.

    >>> relu, gelu = (structure_digest(nn.Sequential(nn.Conv2d(3, 4, 3), act)) for act in (nn.ReLU(), nn.GELU()))
    >>> relu == gelu
    False
    """
    digest = hashlib.sha256()
    for name, module in network.named_modules():
        kind = type(module)
        settings = _ADDRESS.sub("", _settings(module))
        digest.update(f"{name}\t{kind.__module__}.{kind.__qualname__}\t{settings}\n".encode(errors="backslashreplace"))
    return digest.hexdigest()


def _settings(module: nn.Module) -> str:
    """What a module tells of itself; nothing where it cannot, as a `Conv2d` whose padding was set to 0, no pair."""
    with suppress(Exception):
        return module.extra_repr()
    return ""


@dataclass(frozen=True)
class Answer:
    """What a network gives for two fixed images of noise, as a few sums of it with signs of their own.

    It tells apart networks of the same modules and weights whose `forward` does other things with them. Answers are
    compared by their distance and not by a digest, for machines do not round alike, and the digest of a number that is
    rounded changes wherever rounding ends.

    Attributes:
        sums: Of the values of all tensors that the network gives.
        within: The distance, relative to the sums, up to which another answer may be the same one rounded otherwise.
    """

    sums: tuple[float, ...]
    within: float

    @classmethod
    def of(cls, network: nn.Module, image_shape: tuple[int, int, int]) -> "Answer | None":
        """The answer of a network to images of this shape, `[channel, height, width]`.

        None where it has none to be known by: it fails, or gives nothing, zeros or what is not finite. Of a network
        that gives something else a second time (`Probed.repeats`) it is no answer. It is as it was, afterwards.
        """
        images = torch.rand(2, *image_shape, generator=torch.Generator().manual_seed(0)) * 4 - 2
        tensor = next(iter([*network.parameters(), *network.buffers()]), images)
        for kind in floating_types(network):
            try:
                with left_as_found(network):
                    sums = sums_of(called(network, images.to(tensor.device, kind)))
            except Exception:  # noqa: BLE001 -- whatever it raises, it raises again where it is measured
                continue
            half = kind not in (torch.float32, torch.float64)
            within = _IN_HALF if half else _ON_PROCESSORS if tensor.device.type == "cpu" else _ON_OTHER_DEVICES
            return cls(sums, within) if hypot(*sums) > 0 and all(map(isfinite, sums)) else None
        return None

    def record(self) -> dict[str, Any]:
        """What a manifest or a checkpoint holds of it."""
        return {"sums": list(self.sums), "within": self.within}

    @classmethod
    def recorded(cls, record: Mapping[str, Any] | None) -> "Answer | None":
        """The answer of a manifest or a checkpoint, where it has one."""
        return None if record is None else cls(tuple(record["sums"]), record["within"])

    def agrees(self, other: "Answer | None") -> bool:
        """Whether the other may be the same answer, rounded otherwise; also where it is not known.

        >>> one = Answer((3.0, 4.0), within=1e-4)
        >>> one.agrees(Answer((3.0, 4.0003), within=1e-4)), one.agrees(Answer((3.0, 4.003), within=1e-4))
        (True, False)
        """
        if other is None:
            return True
        return dist(self.sums, other.sums) <= max(self.within, other.within) * hypot(*self.sums)


def sums_of(given: Any) -> tuple[float, ...]:
    """A few sums of what a network gives, each with signs of its own."""
    total = torch.zeros(_SUMS, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    for _, tensor in tensors_in(given):
        values = tensor.dequantize() if tensor.is_quantized else tensor
        if not (values.is_floating_point() or values.is_complex()):
            continue
        flat = (torch.view_as_real(values) if values.is_complex() else values).detach().flatten()
        some = flat[:: max(1, len(flat) // _VALUES)].cpu().double()
        signs = torch.randint(2, (_SUMS, len(some)), generator=generator).double() * 2 - 1
        total += signs @ some / max(len(some), 1) ** 0.5
    return tuple(total.tolist())
