"""Equivariance as a metric of torchmetrics; needs `pip install "equiscope[torchmetrics]"`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from equiscope.functional.affine import rotations
from equiscope.images.batches import Images, opened
from equiscope.integrations.during_training import by_name, of_families
from equiscope.integrations.metric_memory import Measured, Memory, Seen, Sums, header_of, packed
from equiscope.measurement.budget import budgeted
from equiscope.measurement.findings import findings_of
from equiscope.measurement.manifest import manifest_of
from equiscope.measurement.options import Run, Scoring, check_whole
from equiscope.measurement.passes import ForwardPasses, in_groups
from equiscope.measurement.plan import (
    Transformations,
    content_of,
    distinct_of,
    families_of,
    fingerprint_of,
    fitting_batch_size,
    options_of,
    planned,
    probe,
)
from equiscope.measurement.scored import scored
from equiscope.networks.features import unwrapped
from equiscope.networks.identity import Answer, structure_digest
from equiscope.networks.options import Layers
from equiscope.networks.placement import placed
from equiscope.networks.state import left_as_found
from equiscope.networks.weights import weights_digest
from equiscope.results.columns import ALONE
from equiscope.results.scores import Scores
from equiscope.system.errors import OptionError
from equiscope.system.processes import Processes
from equiscope.system.progress import Silent


class EquivarianceMetric(Metric):
    """The scores of a network's parts, from batches of images that come one at a time.

        metric = EquivarianceMetric(es.rotations())
        for images, _ in loader:
            metric.update(model, images)
        metric.compute()["equivariance/rotations/dataset/early"]

    After any number of updates the scores are those of `measure` on all the images in one. The network must not change
    between one reset and the next, and comes back from each update as it was.

    In several processes each takes images of its own, and `compute` joins what all have seen: the scores are those of
    `measure` on the images of the first process, then of the second, and so on. Each process measures its own copy of
    the network.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = True  # `forward` measures a batch twice; `update` once

    memory: list[Tensor] | Memory  # all that is remembered, as torchmetrics copies, moves, saves and restores it

    def __init__(
        self,
        transformations: Transformations | None = None,
        *,
        layers: str | Sequence[str] | Layers | None = None,
        scoring: Scoring | None = None,
        run: Run | None = None,
        batch_size: int | None = None,
        device: str | torch.device | None = None,
        **options: Any,
    ) -> None:
        """All is as for `measure`; `options` are those of `torchmetrics.Metric`.

        Of `run` only the precision can be chosen, and there is no registration, which takes images of its own.
        """
        super().__init__(**options)
        self.families = families_of(rotations() if transformations is None else transformations)
        distinct_of(self.families)
        self.layers, self.scoring, self.run = Layers.of(layers), scoring or Scoring(), run or Run()
        self.batch_size, self.runs_on = batch_size, device
        if batch_size is not None:
            check_whole("batch_size", batch_size, 1, "it must be a positive number of images")
        if self.scoring.alignment != "array":
            raise OptionError("{alignment}registered needs images before the first that is scored; a metric has none.")
        if set(ALONE) & set(self.scoring.measures or ()):
            raise OptionError("{measures}alone calls modules again, which a metric does not; use equiscope.measure.")
        if self.run != Run(self.run.precision):
            raise OptionError("Of {run}Run(...) a metric takes the precision alone.")
        self._last: Measured | None = None
        self._seen: Seen | None = None
        self._sums: Sums | None = None
        self.add_state("memory", default=[], dist_reduce_fx=None)

    def update(self, model: nn.Module, images: Images) -> None:
        """Take in some images: a tensor `[image, channel, height, width]`, or whatever `measure` takes.

        A ValueError says why something cannot be measured. Images of another size than those before, and another
        network or one that has trained on, are refused at once, and the metric stays as it was. Where it turns out on
        the way through the images, the metric is as after `reset`.
        """
        with torch.inference_mode(False), left_as_found(model, self.runs_on), placed(model, self.runs_on) as place:
            network = unwrapped(model)
            batches = opened(images)[1]
            first = next(batches)
            measured = self._to_measure(network, first.to(place))
            transformations, size = measured.plan.transformations, self._size(measured)
            sums = self._remembered(measured, place if place.type != "mps" else torch.device("cpu"))  # no float64 there
            forward = ForwardPasses(network, measured.plan.frame, place, size, self.run.precision, measured.probed)
            in_turn = in_groups(chain([first], batches), sums.images, forward.images_at_once(transformations))
            try:
                forward(in_turn, transformations, sums.moments, Silent(), sums.count)
            except BaseException:
                self.reset()  # the sums may hold half of these images
                raise
            self._remember(sums, measured)

    def compute(self) -> dict[str, Tensor]:
        """Every part's scores by names such as `equivariance/rotations/dataset/early`; NaN where undefined.

        The shares of variance that they explain are there as `explained/equivariance/rotations/dataset/early`.
        """
        values = by_name(of_families(self._scores(replace(self.scoring, intervals=False))))
        return {name: torch.tensor(value, device=self.device) for name, value in values.items()}

    def scores(self) -> Scores:
        """All that `measure` would have found on the images so far: every layer, channel and transformation."""
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn, should_sync=self.sync_on_compute, should_unsync=True
        ):  # fmt: skip
            return self._scores(self.scoring)

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        self._sums = None

    @torch.inference_mode(False)
    def _scores(self, scoring: Scoring) -> Scores:
        measured = self._measured()
        plan, sums = measured.plan, self._remembered(measured, self.memory[0].device)
        findings = [findings_of(one, plan.of_layer(one.layer), scoring, sums.images) for one in sums.moments.values()]
        options = options_of(self.families, self.layers, scoring, self.run, self._size(measured), str(sums.home))
        options["transformations_by_content"] = dict(measured.transformations)
        budget = budgeted(plan, scoring, None, None)
        manifest = manifest_of(
            measured.model, measured.weights, "batches", measured.image_shape, options, plan, budget
        ) | {"images": sums.images, "images_registered_on": 0, "model": self.run.name or measured.model}
        manifest["data"] |= sums.contents.fingerprints() | {"fingerprint_of": "pixels"}
        return scored(findings, plan.families, sums.images, scoring, manifest)

    def _size(self, measured: Measured) -> int:
        """The most images in a forward pass."""
        return self.batch_size or fitting_batch_size(measured.plan.frame)

    def _to_measure(self, network: nn.Module, images: Tensor) -> Measured:
        """What is measured: found anew from the first images after a reset, and the same from then on."""
        header = self._header()
        channels, height, width = images.shape[1:]
        image_shape = (channels, height, width)
        if header and list(image_shape) != header["image_shape"]:
            raise ValueError(
                f"Images of shape {list(image_shape)} came after images of {header['image_shape']}; all must have one "
                "size."
            )
        known = self._known(header)
        if known is not None and self._seen is not None and self._seen.is_still(network):
            return known
        plan = planned(network, image_shape, self.families, self.layers, self.scoring)
        probed = probe(network, plan.frame, plan.found.measured, images, precision=self.run.precision)
        transformations = content_of(plan, image_shape, images.device, probed.images_type)
        found = Measured(
            type(network).__name__,
            weights_digest(network),
            structure_digest(network),
            Answer.of(network, (channels, plan.frame.height, plan.frame.width)) if probed.repeats else None,
            image_shape,
            plan,
            transformations,
            probed,
        )
        if header:
            found.check_same(header)
        self._seen = Seen.of(network)
        return known or found

    def _measured(self) -> Measured:
        """What was measured to come to the memory. ValueError where the memory does not come to scores."""
        header = self._header()
        if not header:
            raise ValueError("No image has been measured yet; call update(model, images) first.")
        known = self._known(header)
        if known is None:
            raise ValueError(
                f"The metric was loaded with {header['images']} images and without their network; call "
                "update(model, images) once, with further images, before compute()."
            )
        return known

    def _known(self, header: Mapping[str, Any]) -> Measured | None:
        """The same; None where the memory was loaded and nothing measured since."""
        known = self.memory.measured if isinstance(self.memory, Memory) else self._last
        return known if known is not None and known.made(header) else None

    def _header(self) -> dict[str, Any]:
        """What the memory tells of itself; empty where it is. ValueError where it is of other options."""
        header = header_of(self.memory)
        if header and header["options"] != self._fingerprint:
            raise ValueError("The metric's state was made with other options; reset it, or give the same options.")
        return header

    @property
    def _fingerprint(self) -> str:
        """What tells apart metrics of other options, which then do not share their memory."""
        scoring = replace(self.scoring, intervals=True, seed=0)  # which are chosen afterwards
        return fingerprint_of(options_of(self.families, self.layers, scoring, self.run, 0, ""), asdict(self.layers))

    def _remember(self, sums: Sums, measured: Measured) -> None:
        state = {"options": self._fingerprint} | measured.identity() | sums.state()
        self.memory = sums.memory = Memory(packed(state, sums.home), measured)
        self._sums, self._last = sums, measured

    def _remembered(self, measured: Measured, home: torch.device) -> Sums:
        """What is remembered so far, ready for more; made again where torchmetrics has copied or moved it."""
        sums = self._sums
        if sums is None or sums.memory is not self.memory or sums.home != home:
            return Sums.of(self.memory, measured.plan, self.scoring, home)
        return sums

    @torch.inference_mode(False)
    def _sync_dist(self, dist_sync_fn: Any = None, process_group: Any = None) -> None:
        """Join what all processes remember, in each of them; torchmetrics puts each one's own back afterwards."""
        if process_group or self.process_group:
            raise ValueError("EquivarianceMetric joins all processes; give it no process_group.")
        processes = Processes.here()
        wrong, measured = "", None
        try:
            measured = self._measured()
        except ValueError as error:
            wrong = str(error)
        told = processes.gathered((wrong, header_of(self.memory)))  # so that all stop alike
        for rank, (wrong, theirs) in enumerate(told):
            if wrong:
                raise ValueError(f"Process {rank}: {wrong}")
            alike = ("options", "image_shape", "layers", "transformations")
            if any(theirs[name] != told[0][1][name] for name in alike):
                raise ValueError(
                    f"Process {rank} has other options, images of another size, other layers or other "
                    "transformations than process 0; "
                    "give all the same."
                )
        assert measured is not None
        images = [theirs["images"] for _, theirs in told]
        # In a copy, for other metrics of a collection share the memory.
        sums = Sums.of(self.memory, measured.plan, self.scoring, self.memory[0].device)
        sums.joined_across(processes, images)
        self._remember(sums, measured)

    def __getstate__(self) -> dict[str, Any]:
        """All but what `memory` holds as well, and the network."""
        return super().__getstate__() | {"_sums": None, "_seen": None}
