"""The time that passes may take which only find something out about a network."""

from time import monotonic, process_time

SECONDS = 60.0


class Stopwatch:
    """Seconds since it was made: by the clock, or of this process where others keep it waiting."""

    def __init__(self) -> None:
        self._begun = monotonic(), process_time()

    @property
    def seconds(self) -> float:
        """So far."""
        return min(monotonic() - self._begun[0], process_time() - self._begun[1])


class Allowance:
    """So many seconds from now on; what is expected to take longer than is left is not begun.

    >>> Allowance(60).allows(50), Allowance(60).allows(70)
    (True, False)
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds, self._watch = seconds, Stopwatch()

    @property
    def left(self) -> float:
        """Seconds."""
        return self._seconds - self._watch.seconds

    def allows(self, seconds: float) -> bool:
        """Whether so many seconds are left."""
        return seconds <= self.left
