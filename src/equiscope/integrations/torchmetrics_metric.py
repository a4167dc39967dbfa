"""Equivariance as a metric of torchmetrics; needs `pip install "equiscope[torchmetrics]"`."""

import hashlib
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from equiscope.functional.transformations import Family, Frame, Transformation, known
from equiscope.images.batches import Images, opened
from equiscope.integrations.during_training import by_name
from equiscope.measurement.budget import Budget
from equiscope.measurement.layer_record import LayerRecord, layer_records
from equiscope.measurement.passes import ForwardPasses
from equiscope.measurement.planning import (
    check_choices,
    check_numbers,
    check_window,
    distinct_of,
    families_of,
    fitting_batch_size,
    manifest_of,
    planned,
)
from equiscope.measurement.recording import Recorder
from equiscope.measurement.streaming import State
from equiscope.networks.features import left_as_found, unwrapped
from equiscope.networks.layers import Layer, Layers
from equiscope.networks.placement import placed
from equiscope.results.scores import SCOPES, Findings, Scores, scored
from equiscope.system.processes import Processes
from equiscope.system.progress import Silent
from equiscope.system.provenance import weights_digest

OPTIONS, WEIGHTS, IMAGES, LAST, SCALES = range(5)  # what the memory begins with
OTHER_OPTIONS = "The metric's state was made with other options; reset it, or give the same options."
_Seen = tuple["weakref.ref[nn.Module]", list[float]]  # a network, and the sum of each of its tensors


class EquivarianceMetric(Metric):
    """The scores of a network's parts, from batches of images that come one at a time.

        metric = EquivarianceMetric(es.rotations())
        for images, _ in loader:
            metric.update(model, images)
        metric.compute()["equivariance/rotations/dataset/early"]

    After any number of updates the scores are those of `measure` on all the images in one: chance as well, for which
    the last image of each batch is kept. The network must not change between one reset and the next, and comes back
    from each update as it was.

    In several processes each takes images of its own, and `compute` joins what all have seen: scores and intervals are
    those of `measure` on the images of the first process, then of the second, and so on. Chance is that of the pairs of
    an image and the one before it in the same process; an image that is the first of its process has none, so N images
    in P processes have N - P pairs, and `measure` has N - 1. Each process measures its own copy of the network.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = True  # `forward` measures a batch twice; `update` once

    memory: "list[Tensor] | _Memory"  # all that is remembered, as torchmetrics copies, moves, saves and restores it

    def __init__(
        self,
        transformations: Family | Transformation | Sequence[Any],
        *,
        scope: str | None = None,
        layers: str | Sequence[str] | None = None,
        similarity: str = "pearson",
        strict: bool = False,
        negative: str = "clip",
        fill: str = "zero",
        size: int | tuple[int, int] | None = None,
        subcell: str = "linear",
        strides: Mapping[str, int | tuple[int, int]] | None = None,
        layouts: Mapping[str, str] | None = None,
        chance: bool = True,
        intervals: bool = False,
        batch_size: int | None = None,
        precision: str = "float32",
        seed: int = 0,
        default_layers: Sequence[str] | None = None,
        pool: str | None = None,
        **options: Any,
    ) -> None:
        """`scope` picks what `compute` gives, both if None; `options` are torchmetrics' own, all else is `measure`'s.

        Intervals take ten times the memory, and only `scores()` has them.
        """
        super().__init__(**options)
        check_choices(similarity=similarity, negative=negative, fill=fill, subcell=subcell, precision=precision)
        if scope is not None:
            known("scope", scope, SCOPES)
        check_numbers(batch_size=batch_size, seed=seed)
        check_window(size, fill)
        self.families = families_of(transformations)
        self.scopes = SCOPES if scope is None else (scope,)
        self._distinct = distinct_of(self.families, fill, subcell)
        self._finding: dict[str, Any] = {
            "size": size, "layers": layers, "default_layers": default_layers, "pool": pool, "strides": strides,
            "layouts": layouts, "chance": chance, "intervals": intervals,
        }  # fmt: skip
        self._matching: dict[str, Any] = {"similarity": similarity, "negative": negative, "strict": strict}
        self._fill, self._batch_size, self._precision, self._seed = fill, batch_size, precision, seed
        self.options = {
            "transformations": {family.name: [t.name for t in family.transformations] for family in self.families},
            "fill": fill, "subcell": subcell, "alignment": "array", "batch_size": batch_size, "precision": precision,
            "seed": seed, **self._matching, **self._finding,
        }  # fmt: skip
        self._planned_last: _Plan | None = None
        self._seen: _Seen | None = None
        self._live: _Live | None = None
        self.add_state("memory", default=[], dist_reduce_fx=None)

    def update(self, model: nn.Module, images: Images) -> None:
        """Take in some images: a tensor `[image, channel, height, width]`, or whatever `measure` takes.

        A ValueError says why something cannot be measured. Images of another size than those before, and another
        network or one that has trained on, are refused at once, and the metric stays as it was. Where it turns out on
        the way through the images, the metric is as after `reset`.
        """
        began = time.monotonic()
        with torch.inference_mode(False), left_as_found(model), placed(model, None) as place:
            network = unwrapped(model)
            image_shape, batches = opened(images)
            plan = self._planned(network, image_shape)
            live = self._remembered(plan, place)
            run = ForwardPasses(network, plan.view, place, plan.batch_size, self._precision)
            if not self.memory:
                first = next(batches)
                live.recorder.scales = run.scales(first, plan.found)
                batches = chain([first], batches)
            batches = live.keeping_the_last(batches)
            try:
                run(batches, self._distinct, plan.found, live.recorder, Silent(), before=live.before)
            except BaseException:
                self.reset()  # the sums may hold half of these images
                raise
        live.before = None  # the records have its features
        plan.seconds += time.monotonic() - began
        self._remember(live, plan)

    def compute(self) -> dict[str, Tensor]:
        """Every part's scores by names such as `equivariance/rotations/dataset/early`; NaN where undefined."""
        parts = self._scores().parts
        chosen = parts[parts["transformation"].isin(self.options["transformations"]) & parts["scope"].isin(self.scopes)]
        return {
            name: torch.tensor(value, device=self.device)
            for name, value in by_name(chosen, corrected=self.options["chance"]).items()
        }

    def scores(self) -> Scores:
        """All that `measure` would have found on the images so far: every layer, channel and transformation."""
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn, should_sync=self.sync_on_compute, should_unsync=True
        ):  # fmt: skip
            return self._scores()

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        self._live = None

    @property
    def _plan(self) -> "_Plan | None":
        """What was measured to come to the memory; None where the memory was loaded and nothing measured since."""
        return self.memory.plan if isinstance(self.memory, _Memory) else self._planned_last

    def _planned(self, network: nn.Module, image_shape: tuple[int, int, int]) -> "_Plan":
        """What is measured: found anew from the first images after a reset, and the same from then on."""
        plan = self._plan if self.memory else None
        if self.memory:
            before = tuple(self.memory[LAST].shape[1:])
            if image_shape != before:
                raise ValueError(
                    f"Images of shape {list(image_shape)} came after images of {list(before)}; all must have one size."
                )
        seen = weakref.ref(network), _totals(network)
        if plan is not None and seen == self._seen:
            return plan
        view, found, budget = planned(
            network, image_shape, self._distinct, fill=self._fill, alignment="array", memory=None, **self._finding
        )
        weights = weights_digest(network)
        if plan is not None:
            _check_same_layers(plan.found, found)
        if self.memory and bytes(self.memory[WEIGHTS].tolist()).hex() != weights:
            raise ValueError(
                "The network's weights are not those that the images before were measured with; reset the metric "
                "before the network trains on, and before another one."
            )
        if plan is None:
            size = self._batch_size or fitting_batch_size(view)
            plan = _Plan(type(network).__name__, weights, image_shape, view, found, budget, size)
        self._planned_last, self._seen = plan, seen
        return plan

    def _remembered(self, plan: "_Plan", place: torch.device) -> "_Live":
        """What is remembered so far, ready for more; made again where torchmetrics has copied or moved it."""
        live = self._live
        if live is None or live.memory is not self.memory or live.place != place:
            records = layer_records(
                plan.found.measured, self._distinct, chance=plan.budget.chance, groups=plan.budget.groups,
                device=place, **self._matching,
            )  # fmt: skip
            live = _Live(records, Recorder(records), place, self.memory)
            if self.memory:
                live.restore(self.memory, self._fingerprint)
        return live

    def _remember(self, live: "_Live", plan: "_Plan") -> None:
        self.memory = live.memory = _Memory(live.tensors(self._fingerprint, plan.weights), plan)
        self._live = live

    @property
    def _fingerprint(self) -> Tensor:
        """A number that tells metrics of other options apart, which then do not share their memory."""
        digest = hashlib.sha256(repr(self.options).encode()).digest()
        return torch.tensor(int.from_bytes(digest[:4]))

    def _trouble(self) -> str | None:
        """Why there are no scores, or None."""
        if not self.memory:
            return "No image has been measured yet; call update(model, images) first."
        if self.memory[OPTIONS].item() != self._fingerprint.item():
            return OTHER_OPTIONS
        if self._plan is None:
            return (
                f"The metric was loaded with {int(self.memory[IMAGES])} images and without their network; call "
                "update(model, images) once, with further images, before compute()."
            )
        return None

    @torch.inference_mode(False)
    def _scores(self) -> Scores:
        trouble, plan = self._trouble(), self._plan
        if trouble or plan is None:
            raise ValueError(trouble)
        live = self._remembered(plan, self._place())
        self._remember(live, plan)
        images = live.recorder.images
        findings = [
            Findings.of(record, images, negative=self._matching["negative"], intervals=self.options["intervals"])
            for record in live.records.values()
        ]
        manifest = manifest_of(
            plan.model, plan.weights, "batches", images, plan.image_shape, self.options, plan.found, plan.budget
        ) | {"seconds": round(plan.seconds, 3)}
        return scored(
            findings, self.families, images, negative=self._matching["negative"], intervals=self.options["intervals"],
            seed=self._seed, manifest=manifest,
        )  # fmt: skip

    def _place(self) -> torch.device:
        """Where the sums lie."""
        return self._live.place if self._live is not None else self.memory[OPTIONS].device

    @torch.inference_mode(False)
    def _sync_dist(self, dist_sync_fn: Any = None, process_group: Any = None) -> None:
        """Join what all processes remember, in each of them; torchmetrics puts each one's own back afterwards."""
        if process_group or self.process_group:
            raise ValueError("EquivarianceMetric joins all processes; give it no process_group.")
        processes = Processes.here()
        trouble, plan = self._trouble(), self._plan
        mine = None
        if plan is not None and not trouble:
            like = int(self.memory[OPTIONS]), plan.image_shape, plan.found.measured
            mine = like, int(self.memory[IMAGES]), self.memory[SCALES].tolist()
        told = processes.gathered((trouble, mine))  # so that all stop alike
        for rank, (trouble, theirs) in enumerate(told):
            if trouble:
                raise ValueError(f"Process {rank}: {trouble}")
            if theirs[0] != told[0][1][0]:
                raise ValueError(
                    f"Process {rank} has other options, images of another size or other layers than process 0; "
                    "give all the same."
                )
        assert plan is not None
        live = self._remembered(plan, self._place())
        images, scales = [theirs[1] for _, theirs in told], [theirs[2] for _, theirs in told]
        start = sum(images[: processes.rank])
        least = [min(of_layer) for of_layer in zip(*scales, strict=True)]  # with which nobody's features are too large
        for record, own, scale in zip(live.records.values(), scales[processes.rank], least, strict=True):
            for sums in record.sums():
                sums.moved(start, scale / own)
            record.joined_across(processes)
        live.recorder.scales = dict(zip(live.records, least, strict=True))
        live.recorder.images = sum(images)
        self._remember(live, plan)

    def __getstate__(self) -> dict[str, Any]:
        """All but what `memory` holds as well, and the network."""
        return super().__getstate__() | {"_live": None, "_seen": None}


@dataclass
class _Plan:
    """What is measured of a network."""

    model: str
    weights: str  # their SHA-256
    image_shape: tuple[int, int, int]
    view: Frame
    found: Layers
    budget: Budget
    batch_size: int
    seconds: float = 0.0


class _Memory(list[Tensor]):
    """What is remembered, with what was measured to come to it: metrics that share the one share the other."""

    def __init__(self, tensors: Iterable[Tensor], plan: _Plan) -> None:
        super().__init__(tensors)
        self.plan = plan


class _Live:
    """The records of all layers, ready for the next images, and the same as a list of tensors."""

    def __init__(
        self, records: Mapping[str, LayerRecord], recorder: Recorder, place: torch.device, memory: list[Tensor]
    ) -> None:
        self.records, self.recorder, self.place, self.memory = records, recorder, place, memory
        self.before: Tensor | None = None  # the image before the next, where the records do not have its features
        self._last: Tensor | None = None  # the last image so far

    def keeping_the_last(self, batches: Iterator[Tensor]) -> Iterator[Tensor]:
        """The same batches; the last image of all is kept."""
        for batch in batches:
            yield batch
            if len(batch):
                self._last = batch[-1:].clone()

    def tensors(self, fingerprint: Tensor, weights: str) -> list[Tensor]:
        """All that is remembered; the large ones are not copied."""
        assert self._last is not None
        scales = torch.tensor(
            [(self.recorder.scales or {}).get(name, 1.0) for name in self.records], dtype=torch.float64
        )
        states = [record.state() for record in self.records.values()]
        digest = torch.tensor(list(bytes.fromhex(weights)), dtype=torch.uint8)
        return [fingerprint, digest, torch.tensor(self.recorder.images), self._last, scales, *_flat(states)]

    def restore(self, memory: Sequence[Tensor], fingerprint: Tensor) -> None:
        """Remember what `tensors` gave."""
        theirs, _, images, last, scales, *rest = (tensor.detach().cpu() for tensor in memory)
        if theirs != fingerprint:
            raise ValueError(OTHER_OPTIONS)
        self.recorder.images, self.before, self._last = int(images), last, last
        pairs = zip(self.records, scales.tolist(), strict=True)
        self.recorder.scales = {name: scale for name, scale in pairs if scale != 1}
        given = (tensor.clone() for tensor in rest)  # one at a time: the records copy the large ones
        for record in self.records.values():
            record.restore(_filled(record.state(), given))


def _totals(network: nn.Module) -> list[float]:
    """The sum of each tensor of a network's state: of weights that have changed, much cheaper than their digest."""
    tensors = (value.detach() for value in network.state_dict().values() if isinstance(value, Tensor))
    return [(torch.view_as_real(value) if value.is_complex() else value).float().sum().item() for value in tensors]


def _check_same_layers(before: Layers, now: Layers) -> None:
    """ValueError where a network has other layers than the one before."""
    for old, new in zip_longest(before.measured, now.measured):
        if old != new:
            raise ValueError(
                f"The network has other layers than the one before: {_told(new)} in place of {_told(old)}; reset the "
                "metric before another network."
            )


def _told(layer: Layer | None) -> str:
    if layer is None:
        return "none"
    return f"{layer.name} ({layer.type}, {layer.channels} channels of {layer.height} x {layer.width} cells)"


def _flat(state: Any) -> list[Tensor]:
    """The tensors and numbers of a state, in order."""
    if isinstance(state, Tensor):
        return [state]
    if isinstance(state, int):
        return [torch.tensor(state)]
    return [tensor for part in (state.values() if isinstance(state, dict) else state) for tensor in _flat(part)]


def _filled(shape: Any, given: Iterator[Tensor]) -> State | Any:
    """A state like another, of the tensors that `_flat` gave."""
    if isinstance(shape, Tensor):
        return next(given)
    if isinstance(shape, int):
        return int(next(given))
    if isinstance(shape, dict):
        return {name: _filled(part, given) for name, part in shape.items()}
    return [_filled(part, given) for part in shape]
