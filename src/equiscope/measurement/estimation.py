"""What a measurement would be of, and what it would take, told before it is made."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from equiscope.images.batches import Images, count_of, opened, used_up
from equiscope.measurement.budget import Budget
from equiscope.measurement.loop import measure
from equiscope.measurement.planning import distinct_of, families_of, planned
from equiscope.networks.features import left_as_found, unwrapped
from equiscope.networks.layers import Layers

WARM_UP, TIMED = 2, 4  # images


@dataclass(frozen=True)
class Estimate:
    """The layers of a measurement, the memory of its sums, and about how long it takes."""

    layers: Layers
    budget: Budget
    images: int | None  # None: not known
    seconds_per_image: float  # in all passes
    seconds_apart: float  # before the first image and after the last

    def told(self) -> str:
        """The same in sentences."""
        each = f"{1000 * self.seconds_per_image:.0f} ms an image"
        if self.images is None:
            return f"{self.budget.told()} About {each}, and {self.seconds_apart:.0f} s apart from the images."
        seconds = self.images * self.seconds_per_image + self.seconds_apart
        return f"{self.budget.told()} About {_duration(seconds)} for {self.images} images: {each}."


def _duration(seconds: float) -> str:
    """Seconds in words.

    >>> _duration(12.2), _duration(600.0), _duration(9000.0)
    ('12 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def estimate(model: nn.Module, images: Images, **options: Any) -> Estimate:
    """What `measure` with the same arguments would be of, and what it would take; a few images are measured for it.

    The memory is that of the sums, without the network's own. The time is that of a few images, times their number,
    without registration.
    ValueError where `measure` would raise one before its first image, and where the images can be gone over only once,
    and would be spent.
    """
    if used_up(images):
        raise ValueError("An estimate would use up these images; give some that can be gone over again, or a tensor.")
    found, budget = _plan(model, images, **options)
    _, batches = opened(images)
    some = next(batches)[:TIMED]
    marks = [time.perf_counter()]

    def counted() -> Iterator[Tensor]:
        yield some[:1].repeat(WARM_UP, 1, 1, 1)
        marks.append(time.perf_counter())
        yield some[:1].repeat(TIMED, 1, 1, 1) if len(some) < TIMED else some
        marks.append(time.perf_counter())

    chosen = budget.passes[0]  # all passes at once might not fit
    lean = {"memory": None, "alignment": "array", "intervals": False, "batch_size": WARM_UP * (1 + len(chosen))}
    apart = {"checkpoint": None, "resume": False, "distributed": False, "progress": False}
    measure(model, counted(), **(options | {"transformations": list(chosen)} | lean | apart))
    marks.append(time.perf_counter())
    return Estimate(
        found,
        budget,
        count_of(images),
        (marks[2] - marks[1]) / TIMED * len(budget.passes),
        marks[3] - marks[0] - (marks[2] - marks[1]),
    )


def _plan(
    model: nn.Module, images: Images, *, transformations: Any, fill: str = "zero", subcell: str = "linear",
    **options: Any,
) -> tuple[Layers, Budget]:  # fmt: skip
    """The layers that `measure` with these arguments would measure, and the budget of its sums."""
    distinct = distinct_of(families_of(transformations), fill, subcell)
    names = (
        "size", "layers", "default_layers", "pool", "strides", "layouts", "alignment", "chance", "intervals", "memory",
    )  # fmt: skip
    default: dict[str, Any] = dict.fromkeys(names) | {"alignment": "array", "chance": True, "intervals": True}
    chosen = default | {name: value for name, value in options.items() if name in names}
    with left_as_found(model):
        _, found, budget = planned(unwrapped(model), opened(images)[0], distinct, fill=fill, **chosen)
    return found, budget
