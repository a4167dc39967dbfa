"""What a measurement would be of, and what it would take, told before it is made."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from equiscope.functional.affine import rotations
from equiscope.images.batches import Images, count_of, opened, used_up
from equiscope.images.hugging_face import adopted
from equiscope.measurement.budget import Budget, budgeted
from equiscope.measurement.loop import measure
from equiscope.measurement.options import Run, Scoring
from equiscope.measurement.plan import Transformations, families_of, planned
from equiscope.measurement.planned_alone import with_alone
from equiscope.networks.features import unwrapped
from equiscope.networks.layers import FoundLayers
from equiscope.networks.loading import Network, preprocessing_of
from equiscope.networks.options import Layers
from equiscope.networks.placement import place_of
from equiscope.networks.state import left_as_found
from equiscope.system.memory import free_memory

WARM_UP, TIMED = 2, 4  # images


@dataclass(frozen=True)
class Estimate:
    """The layers of a measurement, the memory of its accumulators, and about how long it takes."""

    layers: FoundLayers
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


def estimate(
    model: nn.Module | Network,
    images: Images,
    transformations: Transformations | None = None,
    *,
    layers: str | Sequence[str] | Layers | None = None,
    scoring: Scoring | None = None,
    run: Run | None = None,
    device: str | torch.device | None = None,
) -> Estimate:
    """What `measure` with the same arguments would be of, and what it would take; a few images are measured for it.

    The memory is that of the accumulators, without the network's own. The time is that of a few images, times their
    number, without registration.
    ValueError where `measure` would raise one before its first image, and where the images can be gone over only once,
    and would be spent.
    """
    images = adopted(images, partial(preprocessing_of, model))
    if used_up(images):
        raise ValueError("An estimate would use up these images; give some that can be gone over again, or a tensor.")
    scoring, run = scoring or Scoring(), run or Run()
    if isinstance(model, Network):
        layers, model = model.with_layers(Layers.of(layers)), model.model
    families = families_of(rotations() if transformations is None else transformations)
    with left_as_found(model):
        plan = planned(unwrapped(model), opened(images)[0], families, layers, scoring)
        some = next(opened(images)[1])[:TIMED]
        plan = with_alone(plan, unwrapped(model), some.shape[1], Layers.of(layers), scoring, None)
    free = free_memory(place_of(unwrapped(model), device))
    budget = budgeted(plan, scoring, count_of(images), run.memory, free=free)
    marks = [time.perf_counter()]

    def counted() -> Iterator[Tensor]:
        yield some[:1].repeat(WARM_UP, 1, 1, 1)
        marks.append(time.perf_counter())
        yield some[:1].repeat(TIMED, 1, 1, 1) if len(some) < TIMED else some
        marks.append(time.perf_counter())

    chosen = list(budget.passes[0].transformations)  # all passes at once might not fit
    lean = replace(scoring, alignment="array", intervals=False)
    measure(
        model, counted(), chosen, layers=layers, scoring=lean, run=Run(precision=run.precision),
        batch_size=WARM_UP * (1 + len(chosen)), device=device, progress=False,
    )  # fmt: skip
    marks.append(time.perf_counter())
    per_image = (marks[2] - marks[1]) / TIMED * len(budget.passes)
    return Estimate(plan.found, budget, count_of(images), per_image, marks[3] - marks[0] - (marks[2] - marks[1]))
