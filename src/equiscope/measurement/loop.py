"""The whole method: images, transformed; features, added to moments; scores."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import torch
from torch import nn

from equiscope.functional.affine import rotations
from equiscope.functional.transformations import Family
from equiscope.functional.within_image import OfImages
from equiscope.images.batches import Images, opened, same_again
from equiscope.images.hugging_face import adopted
from equiscope.measurement.alone import Matching
from equiscope.measurement.budget import Budget, budgeted
from equiscope.measurement.checkpoint import Checkpoint, State
from equiscope.measurement.findings import Findings, Offset, findings_of, moments_of
from equiscope.measurement.kept_maps import kept_maps
from equiscope.measurement.layer_moments import LayerMoments, Scratch
from equiscope.measurement.manifest import manifest_of
from equiscope.measurement.options import Run, Scoring, check_whole
from equiscope.measurement.passes import Batch, ForwardPasses, in_groups, in_order
from equiscope.measurement.plan import (
    Plan,
    Transformations,
    content_of,
    families_of,
    fingerprint_of,
    fitting_batch_size,
    options_of,
    planned,
    probe,
)
from equiscope.measurement.planned_alone import (
    MATCHED_ON,
    alone_of,
    left_out_alone,
    matchings_of,
    to_register,
    with_alone,
)  # fmt: skip
from equiscope.measurement.reader import Reader
from equiscope.measurement.registration import LayerRegistration, sought
from equiscope.measurement.resuming import checkpoint_of
from equiscope.measurement.scored import remarks_on, scored
from equiscope.measurement.untrained import estimated_on
from equiscope.networks.checked import check_network
from equiscope.networks.features import unwrapped
from equiscope.networks.identity import Answer, structure_digest
from equiscope.networks.loading import Network, preprocessing_of
from equiscope.networks.options import Layers
from equiscope.networks.placement import placed
from equiscope.networks.state import left_as_found
from equiscope.networks.weights import weights_digest
from equiscope.results.scores import Scores
from equiscope.system.memory import free_for_each
from equiscope.system.processes import Processes
from equiscope.system.progress import Progress, on_terminal, say, shown
from equiscope.system.provenance import Contents

Centres = Mapping[str, Mapping[str, Offset | None]]  # by layer and transformation


def measure(
    model: nn.Module | Network,
    images: Images,
    transformations: Transformations | None = None,
    *,
    layers: str | Sequence[str] | Layers | None = None,
    scoring: Scoring | None = None,
    run: Run | None = None,
    baseline: nn.Module | Network | None = None,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    maps: int = 0,
    progress: bool | Progress | None = None,
) -> Scores:
    """How invariant, equivariant and linearly equivariant each layer's channels are, with intervals.

    Args:
        model: Any network, or what `load_network` returned, with its name and its layers; it comes back as it was.
        images: A tensor `[image, channel, height, width]`, already normalised; a Dataset or DataLoader (labels are
            ignored), of the package `datasets` too, also one that streams; or any iterable of such batches. All of one
            size.
        transformations: A family, such as `rotations()` or `shifts([1, 2, 4])`, a single transformation, or names, such
            as "rot90" or "rotations,shifts:1,2"; or a list of these. None: rotations.
        layers: A name, a glob or a list of them, on module names (`*` stops at a dot, `**` does not); or `Layers`, with
            strides and layouts. None: the network's blocks, its global pooling and its final vector.
        scoring: What is measured, and how scores are made of it.
        run: How it is run.
        baseline: The same network, randomly initialised. It is measured on the same images, on which its normalisation
            statistics are estimated first (`estimate_statistics`); `Scores.baseline` has its scores. The images must be
            such that can be gone over again.
        batch_size: The most images, transformed ones included, in one forward pass (but two at least). None: 32 of
            224 x 224 pixels, up to 256 of smaller ones.
        device: Where to run; None: where the model is; "auto": on CUDA where there is such a device.
        maps: Of how many images, the first ones, to keep each layer's maps under one transformation of each family, to
            look at (`Scores.maps`); it takes one more forward pass of them. Of several processes, the first keeps them.
        progress: Whether to show a bar on the terminal's error output (None: where that is a terminal), or an object of
            your own with `advance(images)`.

    Returns:
        The scores of every layer, channel, part and transformation, undefined ones as NaN.

    Raises:
        ValueError: In one sentence, where something given cannot be measured.
    """
    asked = _Asked(
        families_of(rotations() if transformations is None else transformations), Layers.of(layers),
        scoring or Scoring(), run or Run(), batch_size, maps, progress,
    )  # fmt: skip
    images = adopted(images, partial(preprocessing_of, model))
    if baseline is not None:
        return _beside_baseline(model, baseline, images, asked, device)
    network, asked = _opened(model, asked)
    return _placed(network, images, asked, device)


def _beside_baseline(
    model: nn.Module | Network,
    baseline: nn.Module | Network,
    images: Images,
    asked: "_Asked",
    device: str | torch.device | None,
) -> Scores:
    """The scores of a network, with those of its baseline on the same images."""
    network, asked = _opened(model, asked)
    if not same_again(images):
        raise ValueError(
            "A baseline needs images that can be gone over again in the same order; give a tensor, a Dataset or a "
            "DataLoader that does not shuffle."
        )
    other, asked_of_other = _opened(baseline, asked.of_baseline())
    check_network(network)
    check_network(other)
    if weights_digest(unwrapped(network)) == weights_digest(unwrapped(other)):
        raise ValueError(
            "The baseline has the very weights of the network; give the same network randomly initialised."
        )
    found = _placed(network, images, asked, device)
    named = replace(asked_of_other.run, name=f"{found.manifest['model']}, randomly initialised")
    return replace(found, baseline=_placed(other, images, replace(asked_of_other, run=named), device))


def _opened(model: nn.Module | Network, asked: "_Asked") -> tuple[nn.Module, "_Asked"]:
    """The network; and what is asked for, with the layers and the name of what `load_network` returned."""
    return (model.model, asked.of_loaded(model)) if isinstance(model, Network) else (model, asked)


def _placed(model: nn.Module, images: Images, asked: "_Asked", device: str | torch.device | None) -> Scores:
    """The scores of a network, which is moved to the device and back."""
    with left_as_found(model, device), placed(model, device) as place:
        return _measured(unwrapped(model), images, asked, place)


@dataclass(frozen=True)
class _Asked:
    """What is asked for, checked."""

    families: list[Family]
    layers: Layers
    scoring: Scoring
    run: Run
    batch_size: int | None
    maps: int
    progress: bool | Progress | None
    weights: Mapping[str, str] | None = None  # what is known of them
    untrained: bool = False  # so that normalisation statistics are estimated first

    def of_loaded(self, network: Network) -> "_Asked":
        """The same of what `load_network` returned: its layers and its name, where none are given."""
        run = replace(self.run, name=self.run.name or network.name)
        untrained = self.untrained or network.random
        return replace(
            self, layers=network.with_layers(self.layers), run=run, weights=network.weights, untrained=untrained
        )

    def of_baseline(self) -> "_Asked":
        """The same of the baseline: with a checkpoint of its own, and without maps."""
        file = self.run.checkpoint
        run = replace(self.run, checkpoint=None if file is None else f"{file}.baseline")
        return replace(self, run=run, maps=0, weights=None, untrained=True)

    def __post_init__(self) -> None:
        check_whole("maps", self.maps, 0, "give a number of images, 0 or more")
        if self.batch_size is not None:
            check_whole("batch_size", self.batch_size, 1, "it must be a positive number of images")


def _measured(network: nn.Module, images: Images, asked: _Asked, place: torch.device) -> Scores:
    begun, started = datetime.now(UTC), time.monotonic()
    scoring, run = asked.scoring, asked.run
    processes = Processes.here() if run.distributed else Processes()
    image_shape, batches = opened(images)
    plan = planned(network, image_shape, asked.families, asked.layers, scoring)
    size = asked.batch_size or fitting_batch_size(plan.frame)
    weights, estimated = weights_digest(network), 0
    answer = Answer.of(network, (image_shape[0], plan.frame.height, plan.frame.width))
    if asked.untrained:
        estimated = estimated_on(network, images, plan.frame, size)
    if estimated:
        batches = opened(images)[1]  # or images left out meanwhile would not be told
    reader = Reader(images, batches, processes)
    del batches  # or what it reads ahead would stay
    probed = probe(network, plan.frame, plan.found.measured, reader.first.to(place), precision=run.precision)
    answer = answer if probed.repeats else None
    plan = with_alone(plan, network, image_shape[0], asked.layers, scoring, (reader.first.to(place), probed))
    options = options_of(asked.families, asked.layers, scoring, run, size, str(place))
    bar_wanted = asked.progress if processes.rank == 0 else False
    options["transformations_by_content"] = content_of(plan, image_shape, place, probed.images_type)
    ours = partial(fingerprint_of, options, weights, structure_digest(network), plan.layers_in_words())
    saved, state = checkpoint_of(run, reader, ours, answer, _note(bar_wanted))
    free = free_for_each(processes, place) if state is None else state["free_memory"]  # as when the passes were planned
    budget = budgeted(plan, scoring, reader.count, run.memory, free=free, again=same_again(images))
    if len(budget.passes) > 1:
        reader.must_be_read_again("{memory}GIB, which takes several passes,")
    _note(bar_wanted)(budget.told())
    forward = ForwardPasses(network, plan.frame, place, size, run.precision, probed)
    measurement = _Measurement(plan, budget, scoring, reader, place, free)
    with shown(bar_wanted, reader.total(len(budget.passes))) as bar:
        centres = measurement.centres(forward, state, bar)
        forward = replace(forward, registered=reader.registered + reader.begin)
        findings, count = measurement.findings(forward, centres, saved, state, bar)
    reader.join_losses()
    counts = reader.counts(count)
    wanted = asked.maps if processes.rank == 0 else 0
    kept = kept_maps(forward, reader, plan, findings, scoring.similarity, wanted) if wanted else None
    manifest = manifest_of(type(network).__name__, weights, type(images).__name__, image_shape, options, plan, budget)
    manifest["data"] |= reader.fingerprints()
    manifest |= {
        "model": run.name or manifest["network"],
        "answer": None if answer is None else answer.record(),
        "weights": manifest["weights"] | dict(asked.weights or {}),
        "images": count,
        "counts": counts,
        "images_left_out": [{"image": name, "reason": reason} for name, reason in reader.left_out],
        "images_registered_on": reader.registered,
        "statistics_estimated_on": estimated,
        "resumed_at": None if state is None else reader.total_of(state["counted"]),  # images of the pass begun
        "resumed_in_pass": None if state is None else state["pass"] + 1,
        "processes": processes.count,
        "started": begun.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 3),
        "waited_for_images": round(reader.waited / max(time.monotonic() - started, 1e-9), 4),
    }
    scores = scored(list(findings.values()), asked.families, count, scoring, manifest)
    if saved is not None and not run.keep_checkpoint:
        saved.remove()
    remarks = [*reader.remarks, *probed.remarks, *left_out_alone(plan), *remarks_on(scores)]
    return replace(scores, maps=kept, manifest=manifest | {"remarks": remarks})


@dataclass
class _Measurement:
    """Passes over the images, and what they come to."""

    plan: Plan
    budget: Budget
    scoring: Scoring
    reader: Reader
    place: torch.device
    free_memory: int | None  # bytes, when the budget was made
    matchings: dict[str, Matching] = field(default_factory=dict)  # of the inputs of layers that are measured alone

    def centres(self, forward: ForwardPasses, state: State | None, bar: Progress) -> Centres:
        """Each layer's own centre under each transformation that turns: its offset from the array's."""
        if state is not None:
            self.reader.registered_before(state["registered"], Contents(*state["registered_contents"]))
            centres: Centres = state["centres"]
            return centres
        if self.scoring.alignment != "registered":
            return {}
        turning = [one for one in self.plan.transformations if one.turns]
        layers = self.plan.found.measured
        registrations = {layer.name: LayerRegistration(layer, turning, self.place) for layer in layers}
        images = self.reader.to_register_on(self.scoring.registration_images)
        searched = sought(turning)
        alone = to_register(self.plan, turning)
        matchings = matchings_of(forward, torch.cat(images)[:MATCHED_ON], alone)
        forward = replace(forward, alone=alone_of(alone, matchings))
        registrations |= {
            name: LayerRegistration(one.layer, turning, self.place) for name, one in forward.alone.items()
        }
        forward(in_order(images, forward.images_at_once(searched)), searched, registrations, bar)
        return {name: registration.offsets() for name, registration in registrations.items()}

    def findings(
        self, forward: ForwardPasses, centres: Centres, saved: Checkpoint | None, state: State | None, bar: Progress
    ) -> tuple[dict[str, Findings], int]:
        """What every layer's moments come to, pass by pass over the images, and how many images that is of."""
        layers = {layer.name: layer for layer in self.plan.found.measured}
        findings: dict[str, Findings] = {}
        self.matchings = self._matched(forward) if state is None else state["matchings"]
        first = behind = 0
        if state is not None:
            findings = {name: Findings.from_state(layers[name], one) for name, one in state["findings"].items()}
            first = state["pass"]
            behind = state["counted"] + first * (self.reader.share or 0)
            bar.advance(behind)
        count = 0
        for number in range(first, len(self.budget.passes)):
            resumed = state if state is not None and number == first else None
            moments = self._empty(number, centres)
            progress = _Progress(number, self, findings, centres, moments, behind)
            if resumed is not None and resumed["counted"]:
                progress.resume(resumed)
            transformations = self.budget.passes[number].transformations
            batches = progress.batches(forward.images_at_once(transformations))
            calling = replace(forward, alone=alone_of(self.budget.passes[number].actions, self.matchings))
            calling(batches, transformations, moments, bar, partial(progress.done, saved=saved))
            count = self.reader.total_of(progress.count)
            if self.reader.processes.count > 1:
                before = self.reader.before(progress.count)
                for of_layer in moments.values():
                    of_layer.rolled(before)
            self._conclude(number, moments, findings, centres, count)
        return {name: findings[name] for name in layers}, count

    def _matched(self, forward: ForwardPasses) -> dict[str, Matching]:
        """The channels that match of the inputs of layers that are measured alone, by the first images scored."""
        called_again = [one for one in self.plan.alone.values() if one.on_input is not None]
        if not called_again:
            return {}
        return dict(matchings_of(forward, self.reader.first_images(MATCHED_ON), called_again))

    def _empty(self, number: int, centres: Centres) -> dict[str, LayerMoments]:
        """The moments of a pass, of no images yet."""
        scratch = Scratch()
        by_layer: dict[str, list[Any]] = {}
        for action in self.budget.passes[number].actions:
            by_layer.setdefault(action.subject, []).append(action)
        home = self.place if self.place.type != "mps" else torch.device("cpu")  # which has no float64
        return {
            name: moments_of(
                actions[0].layer, actions, self.scoring, scratch, products=self.budget.products, device=home,
                offsets=centres.get(name),
            )
            for name, actions in by_layer.items()
        }  # fmt: skip

    def _conclude(
        self, number: int, moments: dict[str, LayerMoments], findings: dict[str, Findings], centres: Centres, count: int
    ) -> None:
        """Make findings of a pass's moments, layer by layer; each is let go of then."""
        actions = self.budget.passes[number].actions
        for name in list(moments):
            of_layer = moments.pop(name)
            joined_across(of_layer, self.reader.processes)
            its = [one for one in actions if one.subject == name]
            one = findings_of(of_layer, its, self.scoring, count)
            one.offsets = {key: offset for key, offset in centres.get(name, {}).items() if offset is not None}
            one = one.of_layer_alone() if its[0].alone else one
            layer = its[0].layer.name
            findings[layer] = findings[layer].joined(one) if layer in findings else one


@dataclass
class _Progress:
    """How far a pass over the images has come, and all that it takes to go on from there."""

    number: int  # of the pass
    measurement: _Measurement
    findings: Mapping[str, Findings]
    centres: Centres
    moments: Mapping[str, LayerMoments]
    behind: int = 0  # images of all passes that were done when a run that is resumed was stopped
    count: int = 0  # of this process's images done
    window: int = 0  # the first image of those gone through together, counted from this process's first
    batches_done: int = 0  # of these
    before: Contents | None = None  # what had been read when a run that is resumed was stopped

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        for name, of_layer in self.moments.items():
            of_layer.restore(state["moments"].pop(name))
        self.count, self.window = state["counted"], state["window"]
        self.batches_done, self.before = state["batches"], Contents(*state["read"])

    def batches(self, size: int) -> Iterator[Batch]:
        """The images that are left. ValueError where they are not those that were measured before."""
        reader = self.measurement.reader
        window, done = self.window, self.batches_done
        for batch in in_groups(reader.images_from(window, self.before), window, size):
            if batch.window > window or batch.number >= done:
                yield batch

    def done(self, batch: Batch, saved: Checkpoint | None) -> None:
        """Note that images are done, and save the state, where it is time to."""
        self.count += len(batch.places)
        self.window, self.batches_done = batch.window, batch.number + 1
        if saved is not None:
            saved.save_if_due(self.state, self._share_done())

    def _share_done(self) -> float | None:
        """The share of what this run has to do, in all passes, that is done."""
        reader = self.measurement.reader
        total = reader.total(len(self.measurement.budget.passes))
        if total is None or total == self.behind:
            return None
        return (self.number * (reader.share or 0) + self.count - self.behind) / (total - self.behind)

    def state(self) -> State:
        """All that it takes to go on from here."""
        reader = self.measurement.reader
        return {
            "free_memory": self.measurement.free_memory,
            "pass": self.number,
            "counted": self.count,
            "window": self.window,
            "batches": self.batches_done,
            "read": astuple(reader.read),
            "registered": reader.registered,
            "registered_contents": astuple(reader.registered_contents),
            "centres": {name: dict(its) for name, its in self.centres.items()},
            "findings": {name: one.state() for name, one in self.findings.items()},
            "moments": {name: of_layer.state() for name, of_layer in self.moments.items()},
            "matchings": {name: dict(its) for name, its in self.measurement.matchings.items()},
        }


def _note(progress: bool | Progress | None) -> Callable[[str], None]:
    """What tells the user a sentence, where a bar is shown."""
    told = progress is True or (progress is None and on_terminal())
    return (lambda sentence: say(f"Note: {sentence}")) if told else lambda _: None


def joined_across(moments: LayerMoments, processes: Processes) -> None:
    """Add the moments of all processes, in each of them."""
    moments.join()
    if processes.count == 1:
        return
    origins: dict[str, Any] = {}
    for of_process in processes.gathered(moments.origins()):
        origins = of_process | origins
    moments.rebased(origins)
    for value in moments.tensors().values():
        for of_group in value if value.ndim > 2 else [value]:  # one at a time, for they are large
            of_group.copy_(processes.total(of_group))
    for pair in moments.pairs.values():
        if pair.within is not None:
            parts = processes.gathered(pair.within.of_images.state())
            pair.within.of_images = OfImages.joined(parts)
