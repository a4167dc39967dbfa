"""The whole method: images, transformed; features, matched; scores."""

import hashlib
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equiscope.batches import Images, of_size, opened
from equiscope.budget import Budget, budgeted
from equiscope.checkpoint import Checkpoint, fingerprint
from equiscope.functional.matching import NEGATIVES
from equiscope.functional.similarity import SIMILARITIES
from equiscope.functional.transformations import FILLS, SUBCELLS, Family, Frame, Transformation, frame, known, shift
from equiscope.models.features import called, left_as_found, reading, unwrapped
from equiscope.models.layers import Layers, find_layers
from equiscope.models.placement import floating_type, placed
from equiscope.models.trace import failure, out_of_memory
from equiscope.processes import Processes
from equiscope.progress import Progress, say, shown
from equiscope.reader import Reader, content
from equiscope.recording import ALIGNMENTS, LayerRecord, Recorder
from equiscope.registration import LayerRegistration, Offset
from equiscope.scores import Findings, Scores, scored
from equiscope.streaming import State

PRECISIONS = ("float32", "bfloat16")


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
        progress: True shows a bar on the terminal's error output; or an object of your own with `advance(images)`.
        default_layers: the network's own list of layers, in place of its blocks, as a catalogue gives it.
        pool: the module whose output is the network's global pooling, where it has one that is not found.

    Returns:
        The scores of every layer, channel, part and transformation, undefined ones as NaN.

    Raises:
        ValueError: in one sentence, where something given cannot be measured.
    """
    for name, value, values in (
        ("similarity", similarity, SIMILARITIES), ("negative", negative, NEGATIVES), ("fill", fill, FILLS),
        ("subcell", subcell, SUBCELLS), ("alignment", alignment, ALIGNMENTS), ("precision", precision, PRECISIONS),
    ):  # fmt: skip
        known(name, value, values)
    _check_numbers(registration_images, memory, batch_size, checkpoint_every, seed)
    if size is not None and fill != "crop":
        raise ValueError(f'size={size} is the window of fill="crop", and fill={fill!r} was given.')
    if resume and checkpoint is None:
        raise ValueError("resume=True needs the checkpoint to go on from; give checkpoint=FILE.")
    families = _families(transformations)
    distinct = _distinct(families, fill, subcell)
    started = time.monotonic()
    begun = datetime.now(UTC)

    processes = Processes.here() if distributed else Processes()

    with left_as_found(model), placed(model, device) as place:
        network = unwrapped(model)
        image_shape, batches = opened(images)
        view, found, budget = _planned(
            network, image_shape, distinct, fill=fill, size=size, layers=layers, default_layers=default_layers,
            pool=pool, strides=strides, layouts=layouts, alignment=alignment, chance=chance, intervals=intervals,
            memory=memory,
        )  # fmt: skip
        batch_size = batch_size or _batch_size(view)
        run = _Run(network, view, place, batch_size, precision)
        options = {
            "similarity": similarity, "strict": strict, "negative": negative, "fill": fill, "subcell": subcell,
            "strides": dict(strides or {}), "layouts": dict(layouts or {}), "layers": layers,
            "alignment": alignment, "registration_images": registration_images, "size": size,
            "transformations": {family.name: [t.name for t in family.transformations] for family in families},
            "chance": chance, "intervals": intervals, "memory": memory, "batch_size": batch_size,
            "device": str(place), "precision": precision, "distributed": distributed, "seed": seed,
        }  # fmt: skip
        weights = _digest(network)
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
                _of_process(Path(checkpoint), processes),
                fingerprint(options, weights, reader.looks, [layer.name for layer in found.measured], processes),
                checkpoint_every,
            )
            state = saved.load() if resume else None
            _check_same_pass(state, processes)
        with shown(progress if processes.rank == 0 else False, reader.total(len(budget.passes))) as bar:
            centres: dict[str, Mapping[str, Offset | None]] = {}
            if state is not None:
                reader.registered, centres = state["registered"], state["centres"]
            elif alignment == "registered":
                few = reader.to_register_on(registration_images)
                centres = _centres(run, few, distinct, found, bar)
            findings, count = _findings(
                run, reader, budget, found, centres, saved, state, bar,
                similarity=similarity, negative=negative, strict=strict, intervals=intervals,
            )  # fmt: skip

    manifest = {
        "model": type(network).__name__,
        "weights": {"source": "the model's own", "sha256": weights},
        "data": {"kind": type(images).__name__},
        "preprocessing": "as the images were given",
        "images_left_out": [],
        "images": count,
        "images_registered_on": reader.registered,
        "resumed_at": None if state is None else state["done"],
        "image_shape": list(image_shape),
        "options": options,
        "sums": {"bytes": budget.bytes, "groups": budget.groups, "passes": len(budget.passes)},
        "processes": processes.count,
        "layers_left_out": [{"layer": layer.name, "reason": layer.reason} for layer in found.left_out],
        "versions": _versions(),
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
    return scores


def planned(
    model: nn.Module, images: Images, *, transformations: Any, fill: str = "zero", subcell: str = "linear",
    **options: Any,
) -> tuple[Layers, Budget]:  # fmt: skip
    """The layers that `measure` with these arguments would measure, and the budget of its sums."""
    distinct = _distinct(_families(transformations), fill, subcell)
    names = (
        "size", "layers", "default_layers", "pool", "strides", "layouts", "alignment", "chance", "intervals", "memory",
    )  # fmt: skip
    default: dict[str, Any] = dict.fromkeys(names) | {"alignment": "array", "chance": True, "intervals": True}
    chosen = default | {name: value for name, value in options.items() if name in names}
    with left_as_found(model):
        _, found, budget = _planned(unwrapped(model), opened(images)[0], distinct, fill=fill, **chosen)
    return found, budget


def _planned(
    network: nn.Module,
    image_shape: tuple[int, int, int],
    transformations: Sequence[Transformation],
    *,
    fill: str,
    size: int | tuple[int, int] | None,
    layers: str | Sequence[str] | None,
    default_layers: Sequence[str] | None,
    pool: str | None,
    strides: Mapping[str, int | tuple[int, int]] | None,
    layouts: Mapping[str, str] | None,
    alignment: str,
    chance: bool,
    intervals: bool,
    memory: float | int | None,
) -> tuple[Frame, Layers, Budget]:
    """What the network will see, which of its layers are measured, and what their sums take."""
    view = frame(image_shape[1:], _pair(size), transformations, crops=fill == "crop")
    input_shape = (image_shape[0], view.height, view.width)
    _check_size(input_shape, transformations)
    found = find_layers(
        network, input_shape, layers, default=default_layers, pool=pool, strides=strides, layouts=layouts
    )
    _check_strides(found, transformations)
    budget = budgeted(
        found.measured, transformations, registered=alignment == "registered", chance=chance, intervals=intervals,
        memory=memory,
    )  # fmt: skip
    return view, found, budget


def _findings(
    run: "_Run",
    reader: "Reader",
    budget: Budget,
    found: Layers,
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
        records = {
            layer.name: LayerRecord(
                layer, chosen, similarity=similarity, negative=negative, strict=strict, chance=budget.chance,
                groups=budget.groups, device=run.place, offsets=centres.get(layer.name),
            )
            for layer in found.measured
        }  # fmt: skip
        if state is not None and place == number and done:
            for name, record in records.items():
                record.restore(state["records"].pop(name))
        start = done if place == number else 0
        recorder = Recorder(records, reader.begin + start)

        def save(
            place: int = place, records: Mapping[str, LayerRecord] = records, recorder: Recorder = recorder
        ) -> None:
            if saved is not None:
                saved.save_if_due(
                    lambda: {
                        "pass": place,
                        "done": recorder.images - reader.begin,
                        "registered": reader.registered,
                        "centres": dict(centres),
                        "findings": {name: one.state() for name, one in findings.items()},
                        "records": {name: record.state() for name, record in records.items()},
                    }
                )

        before, batches = reader.images_from(start)
        run(batches, chosen, found, recorder, bar, before=before, after=save)
        reader.check_all_readable()
        count = reader.total_of(recorder.images - reader.begin)
        for name in list(records):
            record = records.pop(name)  # and with it its sums
            if reader.processes.count > 1:
                record.joined_across(reader.processes)
            one = Findings.of(record, count, negative=negative, intervals=intervals)
            findings[name] = findings[name].joined(one) if name in findings else one
    return findings, count


@dataclass(frozen=True)
class _Run:
    """Forward passes of a network over images and their transformed copies, watched by a recorder."""

    network: nn.Module
    view: Frame
    place: torch.device
    batch_size: int
    precision: str

    def __call__(
        self,
        batches: Iterable[Tensor],
        transformations: Sequence[Transformation],
        found: Layers,
        recorder: Recorder,
        bar: Progress,
        *,
        before: Tensor | None = None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Go over the images; `before` is the one before the first, `after` is called after each batch."""
        plan = _plan(transformations, self.batch_size)
        sources = {layer.name: layer.source for layer in found.measured}
        with reading(self.network, sources, recorder.receive):
            if before is not None:
                self._look_at(before, recorder)
            for batch in of_size(batches, max(1, self.batch_size // (1 + len(plan[0])))):
                images = batch.to(self.place, floating_type(self.network))
                for chosen in plan:
                    turned = [self.view.under(transformation, images) for transformation in chosen]
                    recorder.expect(len(images), chosen, first=chosen is plan[0])
                    self._forward(torch.cat([self.view.still(images), *turned]), recorder)
                recorder.next_images()
                bar.advance(len(images))
                after()

    def _look_at(self, image: Tensor, recorder: Recorder) -> None:
        """Let the recorder have the image before the next, twice, for a network may not take one alone."""
        twice = image.to(self.place, floating_type(self.network)).repeat(2, 1, 1, 1)
        recorder.images -= 2
        recorder.expect(2, (), first=False)
        self._forward(self.view.still(twice), recorder)
        recorder.next_images()

    def _forward(self, images: Tensor, recorder: Recorder) -> None:
        """A forward pass; what goes wrong is told in a sentence, of ours or of the network's."""
        lower = self.precision == "bfloat16"
        try:
            with torch.autocast(self.place.type, torch.bfloat16, enabled=lower):
                called(self.network, images)
            recorder.check()
        except Exception as error:  # the user's network may raise anything
            if recorder.error is None and out_of_memory(error):
                raise
            raise recorder.error or failure(images.shape[1:], error) from error


def _centres(
    run: _Run, images: Iterable[Tensor], transformations: Sequence[Transformation], found: Layers, bar: Progress
) -> dict[str, Mapping[str, Offset | None]]:
    """Each layer's own centre under each transformation that turns: its offset from the array's."""
    turning = [transformation for transformation in transformations if transformation.turns]
    if not turning:
        raise ValueError('alignment="registered" is for rotations and flips, and none is to be measured.')
    registrations = {layer.name: LayerRegistration(layer, turning, run.place) for layer in found.measured}
    run(images, turning, found, Recorder(registrations), bar)
    return {name: registration.offsets() for name, registration in registrations.items()}


def _check_numbers(
    registration_images: int,
    memory: float | int | None,
    batch_size: int | None,
    checkpoint_every: float | int,
    seed: int,
) -> None:
    for name, value in (
        ("registration_images", registration_images), ("memory", memory), ("checkpoint_every", checkpoint_every),
    ):  # fmt: skip
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{name}={value!r} is not a number.")
    if registration_images < 8:
        raise ValueError(f"registration_images={registration_images} is too few; give at least 8.")
    if memory is not None and not memory > 0:
        raise ValueError(f"memory={memory!r} must be GiB, more than 0.")
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise ValueError(f"batch_size={batch_size!r} is not a positive whole number of images.")
    if not checkpoint_every >= 0:
        raise ValueError(f"checkpoint_every={checkpoint_every!r} must be seconds, 0 or more.")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed!r} must be a whole number between 0 and {2**32 - 1}.")


def _pair(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    sides = size if isinstance(size, tuple | list) else () if size is None else (size, size)
    if size is not None and (len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides)):
        raise ValueError(f"size={size!r} must be a whole number of pixels, or a pair (height, width) of them.")
    return (size, size) if isinstance(size, int) else size


def _families(transformations: Family | Transformation | Sequence[Any]) -> list[Family]:
    if not isinstance(transformations, Family | Transformation | Sequence) or isinstance(transformations, str):
        raise ValueError(f"{transformations!r} is no transformation; give a family such as equiscope.rotations().")
    given = [transformations] if isinstance(transformations, Family | Transformation) else list(transformations)
    families = [Family(one.name, (one,)) if isinstance(one, Transformation) else one for one in given]
    for family in families:
        members = family.transformations if isinstance(family, Family) else ()
        if not members or not all(isinstance(member, Transformation) for member in members):
            raise ValueError(f"{family!r} is no transformation; give a family such as equiscope.rotations().")
        _check_names(family)
    if not families:
        raise ValueError("No transformation was given; give a family such as equiscope.rotations().")
    names = [family.name for family in families]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"The family {name} is given {names.count(name)} times; give its members together, once.")
    return families


def _check_names(family: Family) -> None:
    """ValueError where a family or one of its transformations has no name, or it holds one twice."""
    names = [member.name for member in family.transformations]
    for name in (family.name, *names):
        if not isinstance(name, str) or not name:
            raise ValueError(f"A transformation and a family are named by a text, and {name!r} is none.")
        if names.count(name) > 1:
            raise ValueError(f"The family {family.name} holds {name} {names.count(name)} times; give it once.")


def _distinct(families: Sequence[Family], fill: str, subcell: str) -> list[Transformation]:
    """The families' transformations, each once, shifts with the border and the sub-cell rule that were asked for."""
    found: dict[str, Transformation] = {}
    for transformation in (member for family in families for member in family.transformations):
        if transformation.offset is not None and transformation.only_moves:
            transformation = shift(*transformation.offset, fill=fill, subcell=subcell)
        known_one = found.setdefault(transformation.name, transformation)
        if known_one is not transformation and transformation.offset is None:
            raise ValueError(f"Two different transformations are named {transformation.name!r}; name them apart.")
    for family in families:
        if family.name in found and [member.name for member in family.transformations] != [family.name]:
            raise ValueError(f"A family and a transformation are both named {family.name!r}; name them apart.")
    return list(found.values())


def _plan(transformations: Sequence[Transformation], batch_size: int) -> list[Sequence[Transformation]]:
    """Which transformations share a forward pass, so that an image and its copies are at most `batch_size`."""
    at_once = max(1, batch_size - 1)
    passes = -(-len(transformations) // at_once)
    size = -(-len(transformations) // passes)
    return [transformations[start : start + size] for start in range(0, len(transformations), size)]


def _check_size(image_shape: tuple[int, int, int], transformations: Sequence[Transformation]) -> None:
    _, height, width = image_shape
    for transformation in transformations:
        if transformation.swaps_axes and height != width:
            raise ValueError(
                f"{transformation.name} needs square images, and these are {height} x {width}; crop them to "
                f"{min(height, width)} x {min(height, width)}."
            )
        if transformation.offset is not None:
            down, right = transformation.offset
            if abs(down) >= height or abs(right) >= width:
                raise ValueError(
                    f"{transformation.name} moves images of {height} x {width} pixels out of sight; "
                    "give a shift smaller than the image."
                )


def _check_strides(found: Layers, transformations: Sequence[Transformation]) -> None:
    if not any(transformation.offset for transformation in transformations):
        return
    for layer in found.measured:
        if not layer.vector and layer.stride is None:
            raise ValueError(
                f"The stride of layer {layer.name} ({layer.height} x {layer.width} cells) does not follow from its "
                f"shape, and a shift needs it; give it with strides={{{layer.name!r}: PIXELS}}."
            )


def _check_same_pass(state: State | None, processes: Processes) -> None:
    """ValueError where processes were stopped in different passes over the images, which they must begin together."""
    if len(set(processes.gathered(0 if state is None else state["pass"]))) > 1:
        raise ValueError(
            "The checkpoints of the processes are of different passes over the images; remove them to start anew."
        )


def _batch_size(view: Frame) -> int:
    """Images in a forward pass: 32 of 224 x 224 pixels, more of smaller ones."""
    return max(32, min(256, 32 * 224**2 // (view.height * view.width)))


def _of_process(file: Path, processes: Processes) -> Path:
    """The checkpoint of one process."""
    return file if processes.count == 1 else file.with_name(f"{file.name}.{processes.rank}-of-{processes.count}")


def _digest(network: nn.Module) -> str:
    """The SHA-256 of the network's weights: every name and value of its state, in order."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        if isinstance(value, Tensor):
            digest.update(content(value))
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("equiscope", "torch", "timm", "torchvision", "numpy")} | {
        "python": platform.python_version()
    }
