"""The running state of a measurement, saved now and then, so that a killed one can go on."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from glob import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from equiscope.measurement.budget import size_in_words
from equiscope.measurement.options import EVERY
from equiscope.networks.identity import Answer
from equiscope.system.files import nearest, refuse_unwritable, remove, replacing
from equiscope.system.processes import Processes

FORMAT = 2

State = dict[str, Any]  # of tensors, numbers, and more of these: what `torch.load` reads without running anything


@dataclass
class Checkpoint:
    """The file that holds the state of this process, and when to write it again.

    PermissionError where nothing can be written beside it.
    """

    whole: Path  # the file where one process measures alone; of several, each adds its number to the name
    fingerprint: str  # of the network, the images and the options: a state of others is refused
    processes: Processes
    answer: Answer | None = None  # of the network: a state of one that answers otherwise is refused
    every: float | int = EVERY  # seconds
    longer: float | int = 0  # than so many seconds the whole run must be, for anything to be written
    announce: Callable[[str], None] = lambda _: None  # is told of the first writing
    _begun: float = field(default_factory=time.monotonic)
    _written: float | None = None  # or tried to
    _announced: bool = False

    def __post_init__(self) -> None:
        if self.file.is_dir():
            raise ValueError(f"The checkpoint {self.file} is a folder; give a file.")
        above = nearest(self.file.absolute().parent)
        if not above.is_dir():
            raise ValueError(f"The checkpoint {self.file} would lie in {above}, which is a file; give another path.")
        refuse_unwritable(above)

    @property
    def file(self) -> Path:
        """The file of this process."""
        if self.processes.count == 1:
            return self.whole
        return self.whole.with_name(f"{self.whole.name}.{self.processes.rank}-of-{self.processes.count}")

    def load(self) -> State | None:
        """The state that was saved, or None where there is none.

        ValueError where it was made with other options, weights or data, by another version or by another number of
        processes, or cannot be read.
        """
        self._refuse_other_count()
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
        if saved["version"] != version("equiscope"):
            raise ValueError(
                f"The checkpoint {self.file} was made by equiscope {saved['version']}, and this is "
                f"{version('equiscope')}; remove it to start anew."
            )
        answer = Answer.recorded(saved.get("answer"))
        if saved["fingerprint"] != self.fingerprint or (answer is not None and not answer.agrees(self.answer)):
            raise ValueError(
                f"The checkpoint {self.file} was made with another network, or with other options, weights or data; "
                "give the same again, or remove it to start anew."
            )
        state: State = saved["state"]
        return state

    def _refuse_other_count(self) -> None:
        found = {1: self.whole} if self.whole.exists() else {}
        for path in self.whole.parent.glob(f"{escape(self.whole.name)}.*-of-*"):
            if (ending := path.name.rpartition("-of-")[2]).isdecimal():
                found[int(ending)] = path
        for count, path in found.items():
            if count != self.processes.count:
                raise ValueError(
                    f"The checkpoint {path} is that of {count} process{'es' * (count > 1)}, and there "
                    f"{'is' if self.processes.count == 1 else 'are'} {self.processes.count} now; start as many again, "
                    "or remove it to start anew."
                )

    def save_if_due(self, state: Callable[[], State], done: float | None) -> None:
        """Save the state if it was last saved long ago, and the whole run will take long.

        `done` is the share of the run that is behind; None where that is not known. Where the saving fails, as on a
        full disk, a warning tells it, and the measurement goes on.
        """
        now = time.monotonic()
        if now - (self._written or self._begun) < self.every or (now - self._begun) / (done or 1) < self.longer:
            return
        answer = None if self.answer is None else self.answer.record()
        about = {"version": version("equiscope"), "fingerprint": self.fingerprint, "answer": answer}
        saved = {"format": FORMAT, **about, "state": state()}
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.file) as aside:
                torch.save(saved, aside)
            if not self._announced:
                self._announced = True
                self.announce(
                    f"The running state is kept in {self.file} ({size_in_words(self.file.stat().st_size)}), from which "
                    "a run that is stopped can go on; it is removed at the end."
                )
        except (OSError, RuntimeError) as error:  # torch raises either
            why = (error.strerror if isinstance(error, OSError) else None) or str(error).splitlines()[0]
            warnings.warn(
                f"The running state could not be saved to {self.file} ({why}); the measurement goes on, and could not "
                "be resumed from here.",
                stacklevel=2,
            )
        self._written = time.monotonic()

    def remove(self) -> None:
        """Leave nothing behind."""
        remove(self.file)
