"""The running state of a measurement, saved now and then, so that a killed one can go on."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from equiscope.files import remove, replacing
from equiscope.processes import Processes
from equiscope.streaming import State

FORMAT = 1


def fingerprint(
    options: Mapping[str, Any], weights: str, looks: bytes, layers: Sequence[str], processes: Processes
) -> str:
    """Of all that a state depends on: options, weights, images, layers, and this process among others."""
    told = json.dumps(
        [options, weights, looks.hex(), layers, processes.rank, processes.count], sort_keys=True, default=str
    )
    return hashlib.sha256(told.encode()).hexdigest()


@dataclass
class Checkpoint:
    """The file that holds the state, and when to write it again."""

    file: Path
    fingerprint: str  # of the network, the images and the options: a state of others is refused
    every: float | int = 120  # seconds
    _written: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """ValueError where the file could not be written when its time comes."""
        if self.file.is_dir():
            raise ValueError(f"The checkpoint {self.file} is a folder; give a file.")
        above = next(path for path in self.file.absolute().parents if path.exists())
        if not above.is_dir():
            raise ValueError(f"The checkpoint {self.file} would lie in {above}, which is a file; give another path.")

    def load(self) -> State | None:
        """The state that was saved, or None where there is none.

        ValueError where it was made with other options, weights or data, or cannot be read.
        """
        if not self.file.exists():
            return None
        try:
            saved = torch.load(self.file, weights_only=True, map_location="cpu")
        except Exception as error:  # noqa: BLE001  (on a broken file, torch raises anything)
            raise ValueError(
                f"The checkpoint {self.file} cannot be read ({type(error).__name__}); remove it."
            ) from None
        if not isinstance(saved, dict) or saved.get("format") != FORMAT:
            raise ValueError(f"{self.file} is no checkpoint of this version of equiscope; remove it.")
        if saved["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"The checkpoint {self.file} was made with other options, weights or data; "
                "give the same again, or remove it to start anew."
            )
        state: State = saved["state"]
        return state

    def save_if_due(self, state: Callable[[], State]) -> None:
        """Save the state if it was last saved long ago."""
        if time.monotonic() - self._written < self.every:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.file) as aside:
            torch.save({"format": FORMAT, "fingerprint": self.fingerprint, "state": state()}, aside)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Leave nothing behind."""
        remove(self.file)
