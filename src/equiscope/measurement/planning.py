"""What is asked for, checked; and what is measured of a network, and at what cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from equiscope.functional.matching import NEGATIVES
from equiscope.functional.similarity import SIMILARITIES
from equiscope.functional.transformations import FILLS, SUBCELLS, Family, Frame, Transformation, frame, known, shift
from equiscope.measurement.budget import Budget, budgeted
from equiscope.measurement.layer_record import ALIGNMENTS
from equiscope.networks.layers import Layers, find_layers
from equiscope.system.provenance import versions

PRECISIONS = ("float32", "bfloat16")
CHOICES = {
    "similarity": SIMILARITIES,
    "negative": NEGATIVES,
    "fill": FILLS,
    "subcell": SUBCELLS,
    "alignment": ALIGNMENTS,
    "precision": PRECISIONS,
}


def check_choices(**given: str) -> None:
    """ValueError where an option is none of the words that it may be."""
    for name, value in given.items():
        known(name, value, CHOICES[name])


def check_window(size: int | tuple[int, int] | None, fill: str) -> None:
    """ValueError where a window is given and nothing is cropped."""
    if size is not None and fill != "crop":
        raise ValueError(f'size={size} is the window of fill="crop", and fill={fill!r} was given.')


def check_numbers(
    *,
    seed: int,
    batch_size: int | None = None,
    registration_images: int = 64,
    memory: float | int | None = None,
    checkpoint_every: float | int = 120,
    maps: int = 0,
) -> None:
    """ValueError where a number is none, or out of its bounds."""
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
    if isinstance(maps, bool) or not isinstance(maps, int) or maps < 0:
        raise ValueError(f"maps={maps!r} is no number of images whose maps to keep; give 0 or more.")


def _pair(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    sides = size if isinstance(size, tuple | list) else () if size is None else (size, size)
    if size is not None and (len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides)):
        raise ValueError(f"size={size!r} must be a whole number of pixels, or a pair (height, width) of them.")
    return (size, size) if isinstance(size, int) else size


def families_of(transformations: Family | Transformation | Sequence[Any]) -> list[Family]:
    """What was asked for, as families: a single transformation is one of its own name. ValueError where it is none."""
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


def distinct_of(families: Sequence[Family], fill: str, subcell: str) -> list[Transformation]:
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


def fitting_batch_size(view: Frame) -> int:
    """Images in a forward pass: 32 of 224 x 224 pixels, more of smaller ones."""
    return max(32, min(256, 32 * 224**2 // (view.height * view.width)))


def planned(
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


def manifest_of(
    model: str,
    weights: str,
    kind: str,
    images: int,
    image_shape: Sequence[int],
    options: Mapping[str, Any],
    found: Layers,
    budget: Budget,
) -> dict[str, Any]:
    """What every manifest tells: of which network and images, with which options, of which layers, in which sums."""
    return {
        "model": model,
        "weights": {"source": "the model's own", "sha256": weights},
        "data": {"kind": kind},
        "preprocessing": "as the images were given",
        "images_left_out": [],
        "images": images,
        "image_shape": list(image_shape),
        "options": dict(options),
        "sums": {"bytes": budget.bytes, "groups": budget.groups, "passes": len(budget.passes)},
        "layers_left_out": [{"layer": layer.name, "reason": layer.reason} for layer in found.left_out],
        "versions": versions(),
    }


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
