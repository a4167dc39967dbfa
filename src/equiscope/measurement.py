"""The whole method: images, transformed; features, matched; scores."""

import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from equiscope.batches import Images, count_of, of_size, opened
from equiscope.functional.matching import NEGATIVES
from equiscope.functional.similarity import SIMILARITIES
from equiscope.functional.statistics import GROUPS
from equiscope.functional.transformations import FILLS, SUBCELLS, Family, Transformation, known, shift
from equiscope.models.features import called, left_as_found, reading, unwrapped
from equiscope.models.layers import Layers, find_layers
from equiscope.models.placement import floating_type, placed
from equiscope.models.trace import failure
from equiscope.progress import Progress, shown
from equiscope.recording import Recorder
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
        fill: what a shift brings in at the border: "zero", "reflect" or "wrap".
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
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r} is not a positive whole number of images.")
    families = _families(transformations)
    distinct = _distinct(families, fill, subcell)
    started = time.monotonic()
    begun = datetime.now(UTC)

    with left_as_found(model), placed(model, device) as place:
        network = unwrapped(model)
        image_shape, batches = opened(images)
        _check_size(image_shape, distinct)
        found = find_layers(
            network, image_shape, layers, default=default_layers, pool=pool, strides=strides, layouts=layouts
        )
        _check_strides(found, distinct)
        plan = _plan(distinct, batch_size)
        recorder = Recorder(
            found.measured, distinct, similarity=similarity, negative=negative, strict=strict, chance=chance,
            groups=GROUPS if intervals else 1, device=place,
        )  # fmt: skip
        with shown(progress, count_of(images)) as bar, reading(network, recorder.sources, recorder.receive):
            for batch in of_size(batches, max(1, batch_size // (1 + len(plan[0])))):
                still = batch.to(place, floating_type(network))
                for chosen in plan:
                    turned = [transformation.on_pixels(still) for transformation in chosen]
                    recorder.expect(len(still), chosen, first=chosen is plan[0])
                    _run(network, torch.cat([still, *turned]), recorder)
                recorder.next_images()
                bar.advance(len(still))

    options = {
        "similarity": similarity, "strict": strict, "negative": negative, "fill": fill, "subcell": subcell,
        "strides": dict(strides or {}), "layouts": dict(layouts or {}), "layers": layers, "alignment": "array",
        "transformations": {family.name: [t.name for t in family.transformations] for family in families},
        "chance": chance, "intervals": intervals, "batch_size": batch_size, "device": str(place), "seed": seed,
    }  # fmt: skip
    manifest = {
        "model": type(network).__name__,
        "images": recorder.images,
        "image_shape": list(image_shape),
        "options": options,
        "layers_left_out": [{"layer": layer.name, "reason": layer.reason} for layer in found.left_out],
        "versions": _versions(),
        "started": begun.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 3),
    }
    return scored(
        list(recorder.records.values()), families, recorder.images,
        negative=negative, intervals=intervals, seed=seed, manifest=manifest,
    )  # fmt: skip


def _run(network: nn.Module, images: Tensor, recorder: Recorder) -> None:
    """A forward pass; what goes wrong is told in a sentence, of ours or of the network's."""
    try:
        called(network, images)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the user's network may raise anything
        raise recorder.error or failure(images.shape[1:], error) from error


def _families(transformations: Family | Transformation | Sequence[Any]) -> list[Family]:
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
                f"shape, and a shift needs it; give strides={{{layer.name!r}: pixels from cell to cell}}."
            )


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("equiscope", "torch", "timm", "torchvision", "numpy")} | {
        "python": platform.python_version()
    }
