"""The whole method: images, transformed; features, matched; scores."""

import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from equiscope.functional.matching import NEGATIVES
from equiscope.functional.similarity import SIMILARITIES
from equiscope.functional.statistics import GROUPS
from equiscope.functional.transformations import FILLS, SUBCELLS, Family, Transformation, known, shift
from equiscope.models.features import left_as_found, reading, unwrapped
from equiscope.models.layers import Layers, find_layers
from equiscope.progress import Progress, shown
from equiscope.recording import LayerRecord
from equiscope.scores import Scores, scored

Images = Tensor | Dataset[Any] | DataLoader[Any] | Iterable[Any]


def measure(
    model: nn.Module,
    images: Images,
    *,
    transformations: Family | Transformation | Sequence[Family | Transformation],
    layers: str | Sequence[str] | None = None,
    similarity: str = "pearson",
    strict: bool = False,
    negative: str = "clip",
    fill: str = "zero",
    subcell: str = "linear",
    strides: Mapping[str, int | tuple[int, int]] | None = None,
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
        fill: what a shift brings in at the border: "zero", "reflect" or "wrap".
        subcell: a shift by part of a cell is interpolated ("linear"), left out ("exact") or rounded ("round").
        strides: pixels from cell to cell, by name or glob of layers, where shapes do not tell them.
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
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r} is not a positive whole number of images.")
    families = _families(transformations)
    distinct = _distinct(families, fill, subcell)
    started = time.monotonic()
    begun = datetime.now(UTC)

    with left_as_found(model), _placed(model, device) as place:
        first, batches = _peek(_batches(images))
        _check_size(first, distinct)
        found = find_layers(model, tuple(first.shape[1:]), layers, default=default_layers, pool=pool, strides=strides)
        _check_strides(found, distinct)
        plan = _plan(distinct, batch_size)
        records = {
            layer.name: LayerRecord(
                layer, distinct, similarity=similarity, negative=negative, strict=strict, chance=chance,
                groups=GROUPS if intervals else 1, device=place,
            )
            for layer in found.measured
        }  # fmt: skip
        images_at_once = max(1, batch_size // (1 + len(plan[0])))
        step = _Step()

        def receive(layer: str, features: Tensor) -> None:
            records[layer].add(features, step.images, step.start, step.chosen, step.first)

        sources = {layer.name: layer.source for layer in found.measured}
        network = unwrapped(model)
        with shown(progress, _length(images)) as bar, reading(network, sources, receive):
            for some in _of_size(batches, images_at_once):
                still = some.to(place, _dtype(network))
                step.images = len(still)
                for number, chosen in enumerate(plan):
                    step.chosen, step.first = chosen, number == 0
                    network(torch.cat([still, *(transformation.on_pixels(still) for transformation in chosen)]))
                for record in records.values():
                    record.next_images()
                step.start += len(some)
                bar.advance(len(some))

    options = {
        "similarity": similarity, "strict": strict, "negative": negative, "fill": fill, "subcell": subcell,
        "strides": dict(strides or {}), "layers": layers, "alignment": "array",
        "transformations": {family.name: [t.name for t in family.transformations] for family in families},
        "chance": chance, "intervals": intervals, "batch_size": batch_size, "device": str(place), "seed": seed,
    }  # fmt: skip
    manifest = {
        "model": type(network).__name__,
        "images": step.start,
        "image_shape": list(first.shape[1:]),
        "options": options,
        "layers_left_out": [{"layer": layer.name, "reason": layer.reason} for layer in found.left_out],
        "versions": _versions(),
        "started": begun.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 3),
    }
    return scored(
        list(records.values()), families, step.start,
        negative=negative, intervals=intervals, seed=seed, manifest=manifest,
    )  # fmt: skip


@dataclass
class _Step:
    """What the network is being given."""

    start: int = 0
    images: int = 0
    chosen: Sequence[Transformation] = ()
    first: bool = True


def _families(transformations: Family | Transformation | Sequence[Family | Transformation]) -> list[Family]:
    given = [transformations] if isinstance(transformations, Family | Transformation) else list(transformations)
    families = [Family(one.name, (one,)) if isinstance(one, Transformation) else one for one in given]
    for family in families:
        if not isinstance(family, Family):
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
        if transformation.offset is not None:
            transformation = shift(*transformation.offset, fill=fill, subcell=subcell)
        known_one = found.setdefault(transformation.name, transformation)
        if known_one is not transformation and transformation.offset is None:
            raise ValueError(f"Two different transformations are named {transformation.name!r}; name them apart.")
    for family in families:
        if family.name in found and [member.name for member in family.transformations] != [family.name]:
            raise ValueError(f"A family and a transformation are both named {family.name!r}; name them apart.")
    return list(found.values())


def _plan(transformations: list[Transformation], batch_size: int) -> list[list[Transformation]]:
    """Which transformations share a forward pass, so that an image and its copies are at most `batch_size`."""
    at_once = max(1, batch_size - 1)
    passes = -(-len(transformations) // at_once)
    size = -(-len(transformations) // passes)
    return [transformations[start : start + size] for start in range(0, len(transformations), size)]


def _check_size(images: Tensor, transformations: Sequence[Transformation]) -> None:
    height, width = images.shape[-2:]
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
                f"shape, and a shift needs it; give strides={{{layer.name!r}: pixels from cell to cell}}."
            )


@contextmanager
def _placed(model: nn.Module, device: str | torch.device | None) -> Iterator[torch.device]:
    """The model on the device asked for, and back where it was afterwards."""
    tensor = next(iter([*model.parameters(), *model.buffers()]), None)
    home = tensor.device if tensor is not None else torch.device("cpu")
    place = home if device is None else available_device(device)
    if place == home:
        yield place
        return
    try:
        model.to(place)
        yield place
    finally:
        model.to(home)


def available_device(device: str | torch.device) -> torch.device:
    """The device, if tensors can be made on it; else a ValueError that names the ones that are there."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError):
        there = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        if torch.backends.mps.is_available():
            there.append("mps")
        message = f"Device {str(device)!r} is not there; this machine has {', '.join(there)}."
        raise ValueError(message) from None
    return found


def _dtype(model: nn.Module) -> torch.dtype:
    return next((parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()), torch.float32)


def _length(images: Images) -> int | None:
    """How many images there are, where that can be told without looking at them."""
    if isinstance(images, DataLoader):
        images = images.dataset
    try:
        return len(images)  # type: ignore[arg-type]
    except TypeError:
        return None


def _batches(images: Images) -> Iterator[Tensor]:
    """Batches of images from whatever holds them; labels are dropped."""
    if isinstance(images, Tensor):
        if images.ndim != 4:
            raise ValueError(
                f"Images are [image, channel, height, width]; a tensor of shape {list(images.shape)} is not."
            )
        yield from images.split(64)
        return
    if isinstance(images, Dataset) and not isinstance(images, DataLoader):
        batches: Iterable[Any] = DataLoader(images, batch_size=32)
    else:
        batches = images
    for batch in batches:
        tensor = batch if isinstance(batch, Tensor) else _image_tensor(batch)
        if tensor is None or tensor.ndim != 4:
            shape = "no tensor" if tensor is None else f"a tensor of shape {list(tensor.shape)}"
            raise ValueError(f"A batch of images is [image, channel, height, width]; this one holds {shape}.")
        yield tensor


def _image_tensor(batch: Any) -> Tensor | None:
    """The images of a batch that also holds labels: the one tensor of four axes."""
    values = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, Sequence) else ()
    found = [value for value in values if isinstance(value, Tensor) and value.ndim == 4]
    return found[0] if len(found) == 1 else None


def _peek(batches: Iterator[Tensor]) -> tuple[Tensor, Iterator[Tensor]]:
    """The first batch, and all batches, the first again among them."""
    for first in batches:
        if len(first):
            return first, _checked(first, chain([first], batches))
    raise ValueError("There are no images to measure.")


def _checked(first: Tensor, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    count = 0
    for batch in batches:
        if not batch.is_floating_point():
            raise ValueError(f"Images are normalised floating-point tensors; these are {batch.dtype}.")
        if batch.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"All images must have one size: image {count} has shape {list(batch.shape[1:])}, "
                f"the first {list(first.shape[1:])}."
            )
        count += len(batch)
        yield batch


def _of_size(batches: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """The same images in batches of one size, but for the last."""
    waiting: list[Tensor] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += len(batch)
        if count >= size:
            joined = torch.cat(waiting)
            full = count - count % size
            yield from joined[:full].split(size)
            waiting, count = [joined[full:]], count % size
    if count:
        yield torch.cat(waiting)


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("equiscope", "torch", "timm", "torchvision", "numpy")} | {
        "python": platform.python_version()
    }
