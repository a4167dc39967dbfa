"""Where a network runs: its device and its type of number."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def placed(model: nn.Module, device: str | torch.device | None) -> Iterator[torch.device]:
    """The model on the device asked for, as by `place_of`, and back where it was afterwards."""
    _check_values(model)
    home, place = place_of(model, None), place_of(model, device)
    if place == home:
        yield place
        return
    try:
        model.to(place)
        yield place
    finally:
        model.to(home)


def place_of(model: nn.Module, device: str | torch.device | None) -> torch.device:
    """The device asked for; "auto": a CUDA device where there is one; else, as with None, where the model is."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else None
    if device is not None:
        return available_device(device)
    tensor = next(iter([*model.parameters(), *model.buffers()]), None)
    return tensor.device if tensor is not None else torch.device("cpu")


def _check_values(model: nn.Module) -> None:
    """ValueError where a parameter or buffer has no values."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_meta:
            raise ValueError(f"The network's {name} is on the meta device and has no values; load its weights.")


def available_device(device: str | torch.device) -> torch.device:
    """The device, if tensors can be made on it; else a ValueError that names the ones that are there."""
    try:
        found = torch.device(device)
        if found.type == "meta":  # has shapes and no values
            raise NotImplementedError
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError):
        there = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        if torch.backends.mps.is_available():
            there.append("mps")
        message = f"Device {str(device)!r} is not there; this machine has {', '.join(there)}."
        raise ValueError(message) from None
    return found


def floating_types(model: nn.Module) -> list[torch.dtype]:
    """The types of the network's numbers, one of which its images must have; float32 where it has none."""
    tensors = (*model.parameters(), *model.buffers())
    return list(dict.fromkeys(one.dtype for one in tensors if one.is_floating_point())) or [torch.float32]
