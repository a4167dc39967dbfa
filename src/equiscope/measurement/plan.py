"""What is asked for, checked: of which network and images, under which transformations, by which measures."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from equiscope.functional.sampling import Sampling, identity
from equiscope.functional.transformation_names import named
from equiscope.functional.transformations import Family, Frame, Transformation, frame
from equiscope.measurement.options import Run, Scoring
from equiscope.networks.layers import FoundLayers, Layer, find_layers
from equiscope.networks.options import Layers
from equiscope.results.columns import LADDER
from equiscope.system.errors import KeyValue, OptionError
from equiscope.system.provenance import content

Transformations = str | Family | Transformation | Sequence[str | Family | Transformation]


def families_of(transformations: Any) -> list[Family]:
    """What was asked for, as families: a text is what it names, a single transformation a family of its own name.

    ValueError where something is no transformation, or two of a name are different.
    """
    if not isinstance(transformations, Family | Transformation | Sequence):
        raise ValueError(f"{transformations!r} is no transformation; give a family such as equiscope.rotations().")
    several = isinstance(transformations, Sequence) and not isinstance(transformations, str)
    given = list(transformations) if several else [transformations]
    members = [one for text in given for one in (named(text) if isinstance(text, str) else [text])]
    families = [Family(one.name, (one,)) if isinstance(one, Transformation) else one for one in members]
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
            raise ValueError(f"A transformation and a family are named by a text; got {name!r}.")
        if names.count(name) > 1:
            raise ValueError(f"The family {family.name} holds {name} {names.count(name)} times; give it once.")


def distinct_of(families: Sequence[Family]) -> list[Transformation]:
    """The families' transformations, each once. ValueError where two of one name are different."""
    found: dict[str, Transformation] = {}
    for transformation in (member for family in families for member in family.transformations):
        known = found.setdefault(transformation.name, transformation)
        if known is not transformation and _essence(known) != _essence(transformation):
            raise ValueError(f"Two different transformations are named {transformation.name!r}; name them apart.")
    for family in families:
        if family.name in found and [member.name for member in family.transformations] != [family.name]:
            raise ValueError(f"A family and a transformation are both named {family.name!r}; name them apart.")
    return list(found.values())


def _essence(transformation: Transformation) -> object:
    """What makes two shifts of one name the same."""
    if transformation.offset is None or not transformation.keeps_images:
        return id(transformation)
    return transformation.offset, transformation.fill, transformation.size, transformation.subpixel


@dataclass(frozen=True)
class Action:
    """What one transformation does on one layer, and what is measured of it there."""

    layer: Layer
    transformation: Transformation
    sampling: Sampling | None  # None: left out on this layer
    measures: tuple[str, ...]

    @property
    def permutes(self) -> bool:
        """Whether it moves every value of the map, whole, to another position."""
        return self.sampling is not None and self.sampling.permutes

    @property
    def interpolated(self) -> bool:
        """Whether it is a shift by part of a position, interpolated: of the transformation, not of a registration."""
        return self.sampling is not None and self.sampling.interpolated

    @property
    def crossed(self) -> bool:
        """Whether products of every channel with every channel are needed."""
        return "equivariance" in self.measures or "linear" in self.measures


@dataclass(frozen=True)
class Plan:
    """A measurement, before its first image."""

    frame: Frame
    found: FoundLayers
    families: tuple[Family, ...]
    transformations: tuple[Transformation, ...]
    actions: Mapping[tuple[str, str], Action]  # by layer and transformation

    def of_layer(self, layer: Layer) -> list[Action]:
        """What the transformations do on one layer."""
        return [self.actions[layer.name, one.name] for one in self.transformations]


def planned(
    network: nn.Module,
    image_shape: tuple[int, int, int],
    families: Sequence[Family],
    layers: str | Sequence[str] | Layers | None,
    scoring: Scoring,
) -> Plan:
    """What the network will see, which of its layers are measured, and what each transformation does there."""
    transformations = distinct_of(families)
    view = frame((image_shape[1], image_shape[2]), transformations)
    input_shape = (image_shape[0], view.height, view.width)
    _check_sizes(input_shape, transformations)
    if scoring.alignment == "registered" and not any(one.turns for one in transformations):
        raise OptionError("{alignment}registered is for rotations and flips, and none is to be measured.")
    found = find_layers(network, input_shape, layers)
    _check_strides(found, transformations)
    actions = {
        (layer.name, one.name): action(layer, one, scoring) for layer in found.measured for one in transformations
    }
    return Plan(view, found, tuple(families), tuple(transformations), actions)


def action(layer: Layer, transformation: Transformation, scoring: Scoring) -> Action:
    """What a transformation does on a layer. ValueError, naming both, where its sampling does not fit."""
    sampling: Sampling | None = identity(1, 1)  # of a vector
    if not layer.vector:
        try:
            sampling = transformation.sampling(layer.height, layer.width, layer.stride)
        except ValueError as error:
            raise ValueError(f"Layer {layer.name} cannot be measured: {error}.") from error
        _check_sampling(layer, transformation, sampling)
    permutes = sampling is not None and sampling.permutes and transformation.offset is None
    measures = scoring.measures
    if measures is None:
        linear = permutes and scoring.similarity == "pearson" and "dataset" in scoring.scopes
        measures = LADDER if linear else LADDER[:2]
    return Action(layer, transformation, sampling, tuple(measures))


def _check_sampling(layer: Layer, transformation: Transformation, sampling: Sampling | None) -> None:
    if sampling is not None and sampling.size != (layer.height, layer.width):
        raise ValueError(
            f"Under {transformation.name}, layer {layer.name} has maps of {layer.height} x {layer.width} positions, "
            f"and the sampling given is of {sampling.size[0]} x {sampling.size[1]}."
        )


def _check_sizes(image_shape: tuple[int, int, int], transformations: Iterable[Transformation]) -> None:
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


def _check_strides(found: FoundLayers, transformations: Iterable[Transformation]) -> None:
    if not any(transformation.offset for transformation in transformations):
        return
    for layer in found.measured:
        if not layer.vector and layer.stride is None:
            raise OptionError(
                "The stride of layer {layer} ({height} x {width} positions) does not follow from its shape, and a "
                "shift needs it; give it with {strides}{its}.",
                layer=layer.name, height=layer.height, width=layer.width, its=KeyValue(layer.name, "PIXELS"),
            )  # fmt: skip


def content_of(plan: Plan, image_shape: Sequence[int]) -> list[list[str]]:
    """What tells transformations of one name apart: what they do to an image of noise, and to which positions."""
    noise = torch.randn(1, *image_shape, generator=torch.Generator().manual_seed(0))
    found = []
    for one in plan.transformations:
        pixels = content(plan.frame.transformed(one, noise))
        samplings = [repr(plan.actions[layer.name, one.name].sampling) for layer in plan.found.measured]
        found.append([one.name, hashlib.sha256(pixels + "".join(samplings).encode()).hexdigest()])
    return found


def fitting_batch_size(view: Frame) -> int:
    """Images in a forward pass: 32 of 224 x 224 pixels, more of smaller ones."""
    return max(32, min(256, 32 * 224**2 // (view.height * view.width)))


def options_of(
    families: Sequence[Family], layers: Layers, scoring: Scoring, run: Run, batch_size: int, device: str
) -> dict[str, Any]:  # fmt: skip
    """All options of a measurement, as the manifest tells them."""
    shifts = [one for family in families for one in family.transformations if one.offset is not None]
    of_shifts = {"fill": shifts[0].fill, "size": shifts[0].size, "subpixel": shifts[0].subpixel} if shifts else {}
    return {
        "transformations": {family.name: [one.name for one in family.transformations] for family in families},
        "measures": list(scoring.measures or LADDER),
        "scopes": list(scoring.scopes),
        "similarity": scoring.similarity,
        "negative": scoring.negative,
        "alignment": scoring.alignment,
        "registration_images": scoring.registration_images,
        "intervals": scoring.intervals,
        "seed": scoring.seed,
        **of_shifts,
        "layers": layers.names if layers.names is None or isinstance(layers.names, str) else list(layers.names),
        "strides": dict(layers.strides or {}),
        "layouts": dict(layers.layouts or {}),
        "precision": run.precision,
        "memory": run.memory,
        "distributed": run.distributed,
        "batch_size": batch_size,
        "device": device,
    }
