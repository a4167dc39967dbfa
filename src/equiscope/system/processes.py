"""Several processes that share a measurement, each with its own run of consecutive images."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from equiscope.system.errors import OptionError

if dist.is_available():
    # It keeps the group that is the default when it is imported, and measuring imports it (through torch._dynamo). A
    # group kept beyond destroy_process_group() has threads, and one that wakes at the end aborts the process.
    import torch.distributed.nn

PATIENCE = timedelta(days=1)  # for a slower process; of one that has died, torchrun stops the others at once


@dataclass(frozen=True)
class Processes:
    """This process among those that share a measurement; one alone shares nothing."""

    rank: int = 0
    count: int = 1

    @classmethod
    def here(cls) -> "Processes":
        """The processes of torch.distributed's default group. ValueError where it has not been set up."""
        if not (dist.is_available() and dist.is_initialized()):
            raise ValueError(
                "distributed=True needs torch.distributed.init_process_group() first; with torchrun, "
                "python -m equiscope measure does it."
            )
        return cls(dist.get_rank(), dist.get_world_size())

    def share(self, images: int) -> tuple[int, int]:
        """The first image of this process, and the first of the next.

        >>> [Processes(rank, 3).share(10) for rank in range(3)]
        [(0, 3), (3, 6), (6, 10)]
        """
        return images * self.rank // self.count, images * (self.rank + 1) // self.count

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes, where and as the value is."""
        if self.count == 1:
            return value
        shared = value.to(_place()).clone(memory_format=torch.contiguous_format)
        dist.all_reduce(shared)
        return shared.to(value.device)

    def gathered(self, value: Any) -> list[Any]:
        """Every process's value, in order."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def told_by(self, rank: int, value: Any) -> Any:
        """The value that one process has, in each of them."""
        told = [value]
        if self.count > 1:
            dist.broadcast_object_list(told, src=rank)
        return told[0]


def _place() -> torch.device:
    """Where tensors must lie to be sent."""
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")


@contextmanager
def launched(device: str | None) -> Iterator[str | None]:
    """Under torchrun, the process group, and the device of this process; else nothing, and the device given.

    `OptionError` where one accelerator is named for all.
    """
    if "LOCAL_RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device in (None, "auto"):
        device = "cuda" if torch.cuda.is_available() else None
    if device is not None and ":" in device and int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1:
        kind = device.partition(":")[0]
        raise OptionError(
            "{device}{given!r} is one for all processes of this machine; give {kind}, and each has its own.",
            given=device, kind=kind,
        )  # fmt: skip
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    backend = "nccl" if device is not None and device.startswith("cuda") else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield device
    finally:
        dist.destroy_process_group()
