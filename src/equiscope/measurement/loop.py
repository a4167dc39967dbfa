"""The whole method: images, transformed; features, matched; scores."""

import hashlib
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equiscope.functional.transformations import Family, Transformation
from equiscope.images.batches import Images, opened, same_again
from equiscope.measurement.budget import Budget
from equiscope.measurement.checkpoint import Checkpoint, fingerprint
from equiscope.measurement.layer_record import LayerRecord, layer_records
from equiscope.measurement.maps import MapKeeper, Maps, pictures, shown_of, strongest_pairs
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
from equiscope.measurement.reader import Reader
from equiscope.measurement.recording import Recorder
from equiscope.measurement.registration import LayerRegistration, Offset
from equiscope.measurement.streaming import State
from equiscope.networks.features import left_as_found, unwrapped
from equiscope.networks.layers import Layers
from equiscope.networks.placement import placed
from equiscope.results.scores import Findings, Scores, scored
from equiscope.system.processes import Processes
from equiscope.system.progress import Progress, Silent, say, shown
from equiscope.system.provenance import content, weights_digest


def measure(
    model: nn.Module,
    images: Images,
    *,
    transformations: Family | Transformation | Sequence[Any],  # of either
    layers: str | Sequence[str] | None = None,
    similarity: str = "pearson",
    strict: bool = False,
    negative: str = "clip",
    fill: str = "zero",
    size: int | tuple[int, int] | None = None,
    alignment: str = "array",
    registration_images: int = 64,
    subcell: str = "linear",
    strides: Mapping[str, int | tuple[int, int]] | None = None,
    layouts: Mapping[str, str] | None = None,
    chance: bool = True,
    intervals: bool = True,
    memory: float | int | None = None,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    precision: str = "float32",
    distributed: bool = False,
    checkpoint: str | Path | None = None,
    checkpoint_every: float | int = 120,
    resume: bool = False,
    keep_checkpoint: bool = False,
    seed: int = 0,
    maps: int = 0,
    progress: bool | Progress = False,
    default_layers: Sequence[str] | None = None,
    pool: str | None = None,
) -> Scores:
    """How invariant (Eq. 4) and equivariant (Eq. 7) each layer's channels are, with chance levels and intervals.

    Args:
        model: any network; it comes back as it was.
        images: a tensor `[image, channel, height, width]`, already normalised; a Dataset or DataLoader (labels
            are ignored); or any iterable of such batches. All of one size.
        transformations: a family, such as `rotations()` or `shifts([1, 2, 4])`, or a list of them.
        layers: a name, a glob or a list of them, on module names; `*` stops at a dot, `**` does not. None: the
            network's blocks, its global pooling and its final vector.
        similarity: "pearson" (centred per map) or "cosine" (not centred).
        strict: Eq. 4 to the letter for invariance: the features are compared without moving them.
        negative: a negative similarity counts as 0 ("clip"), keeps its sign ("keep") or loses it ("abs").
        fill: what a shift brings in at the border: "zero", "reflect", "wrap", or "crop": the images given are
            larger than the network's input, and a shift moves the window that it sees.
        size: under "crop" the window, `(height, width)` or one number for both.
        alignment: "array" turns each layer about the centre of its array; "registered" gives that and, on the same
            images, the scores about each layer's own centre, found for each rotation and flip.
        registration_images: how many images the centres are found on (half of fewer than twice as many); they are
            the first ones, and are left out of every score.
        subcell: a shift by part of a cell is interpolated ("linear"), left out ("exact") or rounded ("round").
        strides: pixels from cell to cell, by name or glob of layers, where shapes do not tell them.
        layouts: how features lie, by name or glob of layers, where nothing tells: "nchw", "nhwc", "vector", or
            "tokens:14x14+1" (rows, columns, tokens before).
        chance: whether to measure the chance level of each score, from images that do not belong together.
        intervals: whether to give 95 % intervals: bootstrap within images, jackknife over all of them.
        memory: the most GiB that the sums may take, which are 4 C^2 bytes for a layer of C channels, a transformation
            and a group of the jackknife; it then has five groups instead of ten, or the images are gone over several
            times, each time for some of the transformations. None: as much as they take.
        batch_size: the most images, transformed ones included, in one forward pass (but two at least). None: 32 of
            224 x 224 pixels, up to 256 of smaller ones.
        device: where to run; None: where the model is.
        precision: of the forward pass: "float32", or "bfloat16" by autocast. All else is in float32 and float64.
        distributed: share the images among the processes of torch.distributed's default group: each takes a run of
            consecutive ones, and all return the scores of all. Every image must be readable.
        checkpoint: a file for the running state; it is removed at the end, unless `keep_checkpoint`.
        checkpoint_every: seconds from one writing of it to the next.
        keep_checkpoint: leave the file at the end, for whoever will write the scores first and remove it then.
        resume: go on from the checkpoint where there is one. It must be of the same options, weights and images.
        seed: of the bootstrap.
        maps: of how many images, the first ones, to keep each layer's maps under one transformation of each family, to
            look at (`Scores.maps`); it takes one more forward pass of them. Of several processes, the first keeps them.
        progress: True shows a bar on the terminal's error output; or an object of your own with `advance(images)`.
        default_layers: the network's own list of layers, in place of its blocks, as a catalogue gives it.
        pool: the module whose output is the network's global pooling, where it has one that is not found.

    Returns:
        The scores of every layer, channel, part and transformation, undefined ones as NaN.

    Raises:
        ValueError: in one sentence, where something given cannot be measured.
    """
    check_choices(
        similarity=similarity, negative=negative, fill=fill, subcell=subcell, alignment=alignment, precision=precision
    )
    check_numbers(
        registration_images=registration_images, memory=memory, batch_size=batch_size,
        checkpoint_every=checkpoint_every, seed=seed, maps=maps,
    )  # fmt: skip
    check_window(size, fill)
    if resume and checkpoint is None:
        raise ValueError("resume=True needs the checkpoint to go on from; give checkpoint=FILE.")
    families = families_of(transformations)
    distinct = distinct_of(families, fill, subcell)
    started = time.monotonic()
    begun = datetime.now(UTC)

    processes = Processes.here() if distributed else Processes()

    with left_as_found(model), placed(model, device) as place:
        network = unwrapped(model)
        image_shape, batches = opened(images)
        view, found, budget = planned(
            network, image_shape, distinct, fill=fill, size=size, layers=layers, default_layers=default_layers,
            pool=pool, strides=strides, layouts=layouts, alignment=alignment, chance=chance, intervals=intervals,
            memory=memory,
        )  # fmt: skip
        batch_size = batch_size or fitting_batch_size(view)
        run = ForwardPasses(network, view, place, batch_size, precision)
        options = {
            "similarity": similarity, "strict": strict, "negative": negative, "fill": fill, "subcell": subcell,
            "strides": dict(strides or {}), "layouts": dict(layouts or {}), "layers": layers,
            "alignment": alignment, "registration_images": registration_images, "size": size,
            "transformations": {family.name: [t.name for t in family.transformations] for family in families},
            "chance": chance, "intervals": intervals, "memory": memory, "batch_size": batch_size,
            "device": str(place), "precision": precision, "distributed": distributed, "seed": seed,
        }  # fmt: skip
        weights = weights_digest(network)
        if progress is True and processes.rank == 0:
            say(f"Note: {budget.told()}")
        reader = Reader(images, batches, processes)
        del batches  # or what it reads ahead would stay
        if len(budget.passes) > 1:
            reader.must_be_read_again("memory=, which takes several passes,")
        saved = state = None
        if checkpoint is not None:
            reader.must_be_read_again("a checkpoint")
            saved = Checkpoint(
                Path(checkpoint),
                fingerprint(options, weights, reader.looks, [layer.name for layer in found.measured], processes),
                processes,
                checkpoint_every,
            )
            state = _resumed(saved, processes) if resume else None
        scales = run.scales(reader.first, found)
        with shown(progress if processes.rank == 0 else False, reader.total(len(budget.passes))) as bar:
            centres: dict[str, Mapping[str, Offset | None]] = {}
            if state is not None:
                reader.registered, centres = state["registered"], state["centres"]
            elif alignment == "registered":
                few = reader.to_register_on(registration_images)
                centres = _centres(run, few, distinct, found, scales, bar)
            findings, count = _findings(
                run, reader, budget, found, scales, centres, saved, state, bar,
                similarity=similarity, negative=negative, strict=strict, intervals=intervals,
            )  # fmt: skip
        kept = _kept_maps(run, reader, families, distinct, findings, found, maps)

    manifest = manifest_of(
        type(network).__name__, weights, type(images).__name__, count, image_shape, options, found, budget
    ) | {
        "images_registered_on": reader.registered,
        "resumed_at": None if state is None else reader.total_of(state["done"]),  # images of the pass begun
        "resumed_in_pass": None if state is None else state["pass"] + 1,
        "processes": processes.count,
        "started": begun.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 3),
        "waited_for_images": round(reader.waited / max(time.monotonic() - started, 1e-9), 4),
    }
    scores = scored(
        list(findings.values()), families, count,
        negative=negative, intervals=intervals, seed=seed, manifest=manifest,
    )  # fmt: skip
    if saved is not None and not keep_checkpoint:
        saved.remove()
    return replace(scores, maps=kept)


def _findings(
    run: ForwardPasses,
    reader: Reader,
    budget: Budget,
    found: Layers,
    scales: Mapping[str, float],
    centres: Mapping[str, Mapping[str, Offset | None]],
    saved: Checkpoint | None,
    state: State | None,
    bar: Progress,
    *,
    similarity: str,
    negative: str,
    strict: bool,
    intervals: bool,
) -> tuple[dict[str, Findings], int]:
    """What every layer's records come to, pass by pass over the images, and how many images that is of."""
    by_name = {layer.name: layer for layer in found.measured}
    findings: dict[str, Findings] = {}
    number, done = 0, 0
    if state is not None:
        findings = {name: Findings.from_state(by_name[name], one) for name, one in state["findings"].items()}
        number, done = state["pass"], state["done"]
        bar.advance(done + number * (reader.share or 0))
    for place, chosen in enumerate(budget.passes):
        if place < number:
            continue
        records = layer_records(
            found.measured, chosen, similarity=similarity, negative=negative, strict=strict, chance=budget.chance,
            groups=budget.groups, device=run.place, offsets=centres,
        )  # fmt: skip
        if state is not None and place == number and done:
            for name, record in records.items():
                record.restore(state["records"].pop(name))
        start = done if place == number else 0
        recorder = Recorder(records, reader.begin + start, scales=scales, registered=reader.registered)

        def save(
            last: Tensor,
            place: int = place, records: Mapping[str, LayerRecord] = records, recorder: Recorder = recorder,
        ) -> None:  # fmt: skip
            if saved is not None:
                saved.save_if_due(
                    lambda: {
                        "pass": place,
                        "done": recorder.images - reader.begin,
                        "last": _image_fingerprint(last),
                        "registered": reader.registered,
                        "centres": dict(centres),
                        "findings": {name: one.state() for name, one in findings.items()},
                        "records": {name: record.state() for name, record in records.items()},
                    }
                )

        before, batches = reader.images_from(start)
        if state is not None and start and before is not None:
            _check_same_image(before, state)
        run(batches, chosen, found, recorder, bar, before=before, after=save)
        count = reader.total_of(recorder.images - reader.begin)
        for name in list(records):
            record = records.pop(name)  # and with it its sums
            record.joined_across(reader.processes)
            one = Findings.of(record, count, negative=negative, intervals=intervals)
            findings[name] = findings[name].joined(one) if name in findings else one
    return findings, count


def _centres(
    run: ForwardPasses,
    images: Iterable[Tensor],
    transformations: Sequence[Transformation],
    found: Layers,
    scales: Mapping[str, float],
    bar: Progress,
) -> dict[str, Mapping[str, Offset | None]]:
    """Each layer's own centre under each transformation that turns: its offset from the array's."""
    turning = [transformation for transformation in transformations if transformation.turns]
    if not turning:
        raise ValueError('alignment="registered" is for rotations and flips, and none is to be measured.')
    registrations = {layer.name: LayerRegistration(layer, turning, run.place) for layer in found.measured}
    run(images, turning, found, Recorder(registrations, scales=scales), bar)
    return {name: registration.offsets() for name, registration in registrations.items()}


def _kept_maps(
    run: ForwardPasses,
    reader: Reader,
    families: Sequence[Family],
    transformations: Sequence[Transformation],
    findings: Mapping[str, Findings],
    found: Layers,
    number: int,
) -> Maps | None:
    """The maps of the first images, by one more forward pass: only now is it known which pairs are the strongest."""
    if not number or reader.processes.rank > 0:
        return None
    names = shown_of(families, transformations, found.measured)
    chosen = [transformation for transformation in transformations if transformation.name in names.values()]
    keepers = {}
    for layer in found.measured:
        channels = {one.name: findings[layer.name].channels[one.name, "dataset", "array"] for one in chosen}
        keepers[layer.name] = MapKeeper(
            layer,
            {name: strongest_pairs(columns["equivariance"], columns["partner"]) for name, columns in channels.items()},
        )
    images = reader.first_images(number)
    if len(images) < number and not same_again(reader.images):
        warnings.warn(
            f"maps={number}: of images that cannot be gone over again only the first batch's are kept, {len(images)}.",
            stacklevel=3,
        )
    run([images], chosen, found, Recorder(keepers), Silent())
    told = getattr(reader.images, "description", None)  # an `ImageSource`'s; others may call anything so
    look = told.get("preprocessing") if isinstance(told, Mapping) else None
    scale = {name: look.get(name) if isinstance(look, Mapping) else None for name in ("mean", "std")}
    return Maps(
        images=pictures(run.view.still(images), **scale),
        turned_images={one.name: pictures(run.view.under(one, images), **scale) for one in chosen},
        transformations=names,
        layers={
            (name, transformation): of_layer
            for name, keeper in keepers.items()
            for transformation, of_layer in keeper.kept().items()
        },
    )


def _check_same_image(image: Tensor, state: State) -> None:
    """ValueError where the image that was measured last is not what it was."""
    if _image_fingerprint(image) != state["last"]:
        raise ValueError(
            "The checkpoint was made with other data: the image measured last is not as it was; give the same images "
            "again, or remove the checkpoint to start anew."
        )


def _resumed(saved: Checkpoint, processes: Processes) -> State | None:
    """The state to go on from; where that of one process cannot be loaded, a ValueError in all of them."""
    try:
        state, wrong = saved.load(), None
    except ValueError as error:
        state, wrong = None, str(error)
    for told in processes.gathered(wrong):
        if told is not None:
            raise ValueError(told)
    return _caught_up(state, processes)


def _caught_up(state: State | None, processes: Processes) -> State | None:
    """The state to go on from, where processes were stopped in different passes over the images.

    They end a pass together: one whose last state is of an earlier pass than another's had ended that pass as well, and
    takes over what was found by then.
    """
    passes = processes.gathered(-1 if state is None else state["pass"])
    furthest = max(passes)
    if min(passes) == furthest:
        return state
    shared = None if state is None else {name: state[name] for name in ("findings", "centres", "registered")}
    found = processes.told_by(passes.index(furthest), shared)
    behind = passes[processes.rank] < furthest
    return {"pass": furthest, "done": 0, "records": {}} | found if behind else state


def _image_fingerprint(image: Tensor) -> str:
    return hashlib.sha256(content(image)).hexdigest()
