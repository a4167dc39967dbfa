"""Equivariance as a metric of torchmetrics; needs `pip install "equiscope[torchmetrics]"`."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from equiscope.batches import Images, opened
from equiscope.budget import Budget
from equiscope.functional.transformations import Family, Frame, Transformation, known
from equiscope.models.features import left_as_found, unwrapped
from equiscope.models.layers import Layers
from equiscope.models.placement import placed
from equiscope.passes import ForwardPasses
from equiscope.planning import (
    check_choices,
    check_numbers,
    distinct_of,
    families_of,
    fitting_batch_size,
    planned,
)
from equiscope.processes import Processes
from equiscope.progress import Silent
from equiscope.provenance import versions, weights_digest
from equiscope.recording import LayerRecord, Recorder
from equiscope.scores import SCOPES, Findings, Scores, scored
from equiscope.streaming import State


class EquivarianceMetric(Metric):
    """The scores of a network's parts, from batches of images that come one at a time.

        metric = EquivarianceMetric(es.rotations())
        for images, _ in loader:
            metric.update(model, images)
        metric.compute()["equivariance/rotations/dataset/early"]

    After any number of updates the scores are those of `measure` on all the images in one: chance as well, for which
    the last image of each batch is kept. In several processes each takes images of its own, and `compute` joins what
    all have seen; only the pairs of images that belong to chance do not go from one process to the next. The network
    must not change between one reset and the next, and comes back from each update as it was.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = True  # `forward` measures a batch twice; `update` once

    memory: list[Tensor]  # all that is remembered, as torchmetrics copies, moves, saves and restores it

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
        if size is not None and fill != "crop":
            raise ValueError(f'size={size} is the window of fill="crop", and fill={fill!r} was given.')
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
        self._plan: _Plan | None = None
        self._live: _Live | None = None
        self.add_state("memory", default=[], dist_reduce_fx=None)

    def update(self, model: nn.Module, images: Images) -> None:
        """Take in some images: a tensor `[image, channel, height, width]`, or whatever `measure` takes.

        Where one of them cannot be measured, a ValueError says why, and the metric is as after `reset`.
        """
        began = time.monotonic()
        with left_as_found(model), placed(model, None) as place:
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
        self._remember(live)

    def compute(self) -> dict[str, Tensor]:
        """Every part's scores by names such as `equivariance/rotations/dataset/early`; NaN where undefined."""
        parts = self._scores().parts
        chosen = parts[parts["transformation"].isin(self.options["transformations"]) & parts["scope"].isin(self.scopes)]
        found = {}
        for row in chosen.to_dict("records"):
            place = f"{row['transformation']}/{row['scope']}/{row['part']}"
            for name, column in ((row["measure"], "score"), (f"{row['measure']}-corrected", "corrected")):
                if column == "score" or self.options["chance"]:
                    found[f"{name}/{place}"] = torch.tensor(row[column], device=self.device)
        return found

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

    def _planned(self, network: nn.Module, image_shape: tuple[int, int, int]) -> "_Plan":
        """What is measured: found anew from the first images after a reset."""
        if self._plan is not None and self.memory:
            if image_shape != self._plan.image_shape:
                raise ValueError(
                    f"Images of shape {list(image_shape)} came after images of {list(self._plan.image_shape)}; "
                    "all must have one size."
                )
            return self._plan
        view, found, budget = planned(
            network, image_shape, self._distinct, fill=self._fill, alignment="array", memory=None, **self._finding
        )
        size = self._batch_size or fitting_batch_size(view)
        self._plan = _Plan(type(network).__name__, weights_digest(network), image_shape, view, found, budget, size)
        return self._plan

    def _remembered(self, plan: "_Plan", place: torch.device) -> "_Live":
        """What is remembered so far, ready for more; made again where torchmetrics has copied or moved it."""
        live = self._live
        if live is None or live.memory is not self.memory or live.place != place:
            records = {
                layer.name: LayerRecord(
                    layer, self._distinct, chance=plan.budget.chance, groups=plan.budget.groups, device=place,
                    **self._matching,
                )
                for layer in plan.found.measured
            }  # fmt: skip
            live = _Live(records, Recorder(records), place, self.memory)
            if self.memory:
                live.restore(self.memory, self._fingerprint)
        return live

    def _remember(self, live: "_Live") -> None:
        self.memory = live.memory = live.tensors(self._fingerprint)
        self._live = live

    @property
    def _fingerprint(self) -> Tensor:
        """A number that tells metrics of other options apart, which then do not share their memory."""
        digest = hashlib.sha256(repr(self.options).encode()).digest()
        return torch.tensor(int.from_bytes(digest[:4]))

    def _scores(self) -> Scores:
        if self._plan is None or not self.memory:
            raise ValueError("No image has been measured yet; call update(model, images) first.")
        plan = self._plan
        place = self._live.place if self._live is not None else self.memory[0].device
        live = self._remembered(plan, place)
        self._remember(live)
        images = live.recorder.images
        findings = [
            Findings.of(record, images, negative=self._matching["negative"], intervals=self.options["intervals"])
            for record in live.records.values()
        ]
        manifest = {
            "model": plan.model,
            "weights": {"source": "the model's own", "sha256": plan.weights},
            "data": {"kind": "batches"},
            "preprocessing": "as the images were given",
            "images_left_out": [],
            "images": images,
            "image_shape": list(plan.image_shape),
            "options": self.options,
            "sums": {"bytes": plan.budget.bytes, "groups": plan.budget.groups, "passes": 1},
            "layers_left_out": [{"layer": layer.name, "reason": layer.reason} for layer in plan.found.left_out],
            "versions": versions(),
            "seconds": round(plan.seconds, 3),
        }
        return scored(
            findings, self.families, images, negative=self._matching["negative"], intervals=self.options["intervals"],
            seed=self._seed, manifest=manifest,
        )  # fmt: skip

    def _sync_dist(self, dist_sync_fn: Any = None, process_group: Any = None) -> None:
        """Join what all processes remember, in each of them; torchmetrics puts each one's own back afterwards."""
        if process_group or self.process_group:
            raise ValueError("EquivarianceMetric joins all processes; give it no process_group.")
        processes = Processes.here()
        images = processes.gathered(int(self.memory[1]) if self.memory else 0)
        if 0 in images:
            raise ValueError(f"Process {images.index(0)} has measured no image; each needs at least one.")
        assert self._plan is not None
        live = self._remembered(self._plan, self._live.place if self._live else self.memory[0].device)
        for record in live.records.values():
            record.joined_across(processes)
        live.recorder.images = sum(images)
        self._remember(live)

    def __getstate__(self) -> dict[str, Any]:
        """All but what `memory` holds as well."""
        return {name: value for name, value in super().__getstate__().items() if name != "_live"} | {"_live": None}


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

    def tensors(self, fingerprint: Tensor) -> list[Tensor]:
        """All that is remembered; the large ones are not copied."""
        assert self._last is not None
        scales = torch.tensor(
            [(self.recorder.scales or {}).get(name, 1.0) for name in self.records], dtype=torch.float64
        )
        states = [record.state() for record in self.records.values()]
        return [fingerprint, torch.tensor(self.recorder.images), self._last, scales, *_flat(states)]

    def restore(self, memory: Sequence[Tensor], fingerprint: Tensor) -> None:
        """Remember what `tensors` gave."""
        theirs, images, last, scales, *rest = (tensor.detach().cpu() for tensor in memory)
        if theirs != fingerprint:
            raise ValueError("The metric's state was made with other options; reset it, or give the same options.")
        self.recorder.images, self.before, self._last = int(images), last, last
        pairs = zip(self.records, scales.tolist(), strict=True)
        self.recorder.scales = {name: scale for name, scale in pairs if scale != 1}
        given = (tensor.clone() for tensor in rest)  # one at a time: the records copy the large ones
        for record in self.records.values():
            record.restore(_filled(record.state(), given))


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
