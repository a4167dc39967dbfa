"""Where networks run that a study trains or measures."""

import torch


def chosen_device(device: str | None) -> str | None:
    """The device that "auto" means on this machine: CUDA where there is such a device, else the CPU, which is None."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else None
    return device
