"""How much memory is free."""

from pathlib import Path

import psutil
import torch

from equiscope.system.processes import Processes

# What a container may take, and what it takes: of both generations of Linux's control groups.
CONTROL_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def free_memory(device: torch.device, control_groups: tuple[tuple[str, str], ...] = CONTROL_GROUPS) -> int | None:
    """Bytes that are free where the device's tensors lie; None where that cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    return min(int(psutil.virtual_memory().available), *_left_to_containers(control_groups))


def free_for_each(processes: Processes, device: torch.device) -> int | None:
    """The same for each of several processes, which share a machine's memory; the least, so that they do alike."""
    of_each = processes.gathered(free_memory(device))
    if None in of_each:
        return None
    return int(min(of_each)) // (processes.count if device.type == "cpu" else 1)


def _left_to_containers(control_groups: tuple[tuple[str, str], ...]) -> list[int]:
    """What each bound on this container leaves; far more than there is where there is no bound."""
    found = [2**62]
    for bound, taken in control_groups:
        try:
            found.append(max(0, int(Path(bound).read_text()) - int(Path(taken).read_text())))
        except (OSError, ValueError):  # there is no such file, or the bound is "max"
            continue
    return found
