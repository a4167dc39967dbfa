"""The whole method: images, transformed; features, matched; scores."""

import hashlib
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from equiscope.batches import Images, count_of, of_size, opened
from equiscope.functional.matching import NEGATIVES
from equiscope.functional.similarity import SIMILARITIES
from equiscope.functional.statistics import GROUPS
from equiscope.functional.transformations import FILLS, SUBCELLS, Family, Frame, Transformation, frame, known, shift
from equiscope.models.features import called, left_as_found, reading, unwrapped
from equiscope.models.layers import Layers, find_layers
from equiscope.models.placement import floating_type, placed
from equiscope.models.trace import failure, out_of_memory
from equiscope.progress import Progress, shown
from equiscope.recording import ALIGNMENTS, LayerRecord, Recorder
from equiscope.registration import LayerRegistration, Offset, registration_count
from equiscope.scores import Scores, scored


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
    batch_size: int = 32,
    device: str | torch.device | None = None,
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
        batch_size: the most images, transformed ones included, in one forward pass (but two at least).
        device: where to run; None: where the model is.
        seed: of the bootstrap.
        progress: True shows a bar on the terminal's error output; or an object of your own with `advance(images)`.
        default_layers: the network's own list of layers, in place of its blocks, as a catalogue gives it.
        pool: the module whose output is the network's global pooling, where it has one that is not found.

    Returns:
        The scores of every layer, channel, part and transformation, undefined ones as NaN.

    Raises:
        ValueError: in one sentence, where something given cannot be measured.
    """
    known("similarity", similarity, SIMILARITIES)
    known("negative", negative, NEGATIVES)
    known("fill", fill, FILLS)
    known("subcell", subcell, SUBCELLS)
    known("alignment", alignment, ALIGNMENTS)
    if size is not None and fill != "crop":
        raise ValueError(f'size={size} is the window of fill="crop", and fill={fill!r} was given.')
    if registration_images < 8:
        raise ValueError(f"registration_images={registration_images} is too few; give at least 8.")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r} is not a positive whole number of images.")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed!r} must be a whole number between 0 and {2**32 - 1}.")
    families = _families(transformations)
    distinct = _distinct(families, fill, subcell)
    started = time.monotonic()
    begun = datetime.now(UTC)

    with left_as_found(model), placed(model, device) as place:
        network = unwrapped(model)
        image_shape, batches = opened(images)
        view = frame(image_shape[1:], _pair(size), distinct, crops=fill == "crop")
        input_shape = (image_shape[0], view.height, view.width)
        _check_size(input_shape, distinct)
        found = find_layers(
            network, input_shape, layers, default=default_layers, pool=pool, strides=strides, layouts=layouts
        )
        _check_strides(found, distinct)
        run = _Run(network, view, place, batch_size)
        with shown(progress, count_of(images)) as bar:
            centres: dict[str, Mapping[str, Offset | None]] = {}
            registered = 0
            if alignment == "registered":
                few, batches = _first(batches, registration_images)
                centres, registered = _centres(run, few, distinct, found, bar), sum(len(batch) for batch in few)
            records = {
                layer.name: LayerRecord(
                    layer, distinct, similarity=similarity, negative=negative, strict=strict, chance=chance,
                    groups=GROUPS if intervals else 1, device=place, offsets=centres.get(layer.name),
                )
                for layer in found.measured
            }  # fmt: skip
            recorder = Recorder(records)
            run(batches, distinct, found, recorder, bar)

    options = {
        "similarity": similarity, "strict": strict, "negative": negative, "fill": fill, "subcell": subcell,
        "strides": dict(strides or {}), "layouts": dict(layouts or {}), "layers": layers,
        "alignment": alignment, "registration_images": registration_images, "size": size,
        "transformations": {family.name: [t.name for t in family.transformations] for family in families},
        "chance": chance, "intervals": intervals, "batch_size": batch_size, "device": str(place), "seed": seed,
    }  # fmt: skip
    manifest = {
        "model": type(network).__name__,
        "weights": {"source": "the model's own", "sha256": _digest(network)},
        "data": {"kind": type(images).__name__},
        "preprocessing": "as the images were given",
        "images_left_out": [],
        "images": recorder.images,
        "images_registered_on": registered,
        "image_shape": list(image_shape),
        "options": options,
        "layers_left_out": [{"layer": layer.name, "reason": layer.reason} for layer in found.left_out],
        "versions": _versions(),
        "started": begun.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 3),
    }
    return scored(
        list(records.values()), families, recorder.images,
        negative=negative, intervals=intervals, seed=seed, manifest=manifest,
    )  # fmt: skip


@dataclass(frozen=True)
class _Run:
    """Forward passes of a network over images and their transformed copies, watched by a recorder."""

    network: nn.Module
    view: Frame
    place: torch.device
    batch_size: int

    def __call__(
        self,
        batches: Iterable[Tensor],
        transformations: Sequence[Transformation],
        found: Layers,
        recorder: Recorder,
        bar: Progress,
    ) -> None:
        plan = _plan(transformations, self.batch_size)
        sources = {layer.name: layer.source for layer in found.measured}
        with reading(self.network, sources, recorder.receive):
            for batch in of_size(batches, max(1, self.batch_size // (1 + len(plan[0])))):
                images = batch.to(self.place, floating_type(self.network))
                for chosen in plan:
                    turned = [self.view.under(transformation, images) for transformation in chosen]
                    recorder.expect(len(images), chosen, first=chosen is plan[0])
                    self._forward(torch.cat([self.view.still(images), *turned]), recorder)
                recorder.next_images()
                bar.advance(len(images))

    def _forward(self, images: Tensor, recorder: Recorder) -> None:
        """A forward pass; what goes wrong is told in a sentence, of ours or of the network's."""
        try:
            called(self.network, images)
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


def _pair(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    return (size, size) if isinstance(size, int) else size


def _first(batches: Iterator[Tensor], asked: int) -> tuple[list[Tensor], Iterator[Tensor]]:
    """The images to register on, and the rest."""
    ahead: list[Tensor] = []
    while sum(len(batch) for batch in ahead) < 2 * asked and (batch := next(batches, None)) is not None:
        ahead.append(batch)
    joined = torch.cat(ahead)
    count = registration_count(len(joined), asked)
    return [joined[:count]], chain([joined[count:]], batches)


def _families(transformations: Family | Transformation | Sequence[Any]) -> list[Family]:
    given = [transformations] if isinstance(transformations, Family | Transformation) else list(transformations)
    families = [Family(one.name, (one,)) if isinstance(one, Transformation) else one for one in given]
    for family in families:
        members = family.transformations if isinstance(family, Family) else ()
        if not members or not all(isinstance(member, Transformation) for member in members):
            raise ValueError(f"{family!r} is no transformation; give a family such as equiscope.rotations().")
    if not families:
        raise ValueError("No transformation was given; give a family such as equiscope.rotations().")
    names = [family.name for family in families]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"The family {name} is given {names.count(name)} times; give its members together, once.")
    return families


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


def _digest(network: nn.Module) -> str:
    """The SHA-256 of the network's weights: every name and value of its state, in order."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        if isinstance(value, Tensor):
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("equiscope", "torch", "timm", "torchvision", "numpy")} | {
        "python": platform.python_version()
    }
