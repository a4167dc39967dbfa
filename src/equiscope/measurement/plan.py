"""What is asked for, checked: of which network and images, under which transformations, by which measures."""

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from equiscope.functional.sampling import Sampling, identity
from equiscope.functional.transformation_names import named
from equiscope.functional.transformations import Family, Frame, Transformation, frame
from equiscope.measurement.options import Run, Scoring
from equiscope.networks.layers import FoundLayers, Layer, LeftOut, layers_of
from equiscope.networks.options import Layers
from equiscope.networks.probe import Probed, probed
from equiscope.results.columns import ALONE, LADDER
from equiscope.system.errors import KeyValue, OptionError

Transformations = str | Family | Transformation | Sequence[str | Family | Transformation]


def families_of(transformations: Any) -> list[Family]:
    """What was asked for, as families: a text is what it names, a single transformation a family of its own name.

    ValueError where something is no transformation, or two of a name are different.
    """
    if not isinstance(transformations, str | Family | Transformation | Sequence):
        raise ValueError(f"{transformations!r} is no transformation; give a family such as equiscope.rotations().")
    if isinstance(transformations, str | Family | Transformation):
        transformations = [transformations]
    several: list[Any] = [one for text in transformations for one in (named(text) if isinstance(text, str) else [text])]
    families = [Family(one.name, (one,)) if isinstance(one, Transformation) else one for one in several]
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
    """What makes two of one name the same."""
    one = transformation
    if (one.offset is None and one.map is None) or not one.keeps_images:
        return id(one)
    return one.offset, one.map, one.fill, one.size, one.subpixel


@dataclass(frozen=True)
class Action:
    """What one transformation does on one layer, and what is measured of it there."""

    layer: Layer
    transformation: Transformation
    sampling: Sampling | None  # None: left out on this layer
    measures: tuple[str, ...]
    alone: bool = False  # of the layer by itself: its module is called again on its input transformed
    given: Layer | None = None  # what that input is
    giver: str | None = None  # the layer whose features it is, as they are
    on_input: Sampling | None = None  # what is done to it; None: not measured

    @property
    def subject(self) -> str:
        """What it is of, by a name: the layer, or the layer alone."""
        return f"{self.layer.name} (alone)" if self.alone else self.layer.name

    @property
    def permutes(self) -> bool:
        """Whether it moves every value of the map, whole, to another position."""
        return self.sampling is not None and self.sampling.permutes

    @property
    def interpolated(self) -> bool:
        """Whether positions are averages of neighbours: by the transformation, not by a registration."""
        return any(one is not None and one.interpolated for one in (self.sampling, self.on_input))

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
    alone: Mapping[tuple[str, str], Action] = field(default_factory=dict)  # likewise, where it is asked for
    alone_left_out: tuple[LeftOut, ...] = ()  # layers of which it cannot be measured

    def of_layer(self, layer: Layer, *, alone: bool = False) -> list[Action]:
        """What the transformations do on one layer; or on the layer alone, if that is measured."""
        actions = self.alone if alone else self.actions
        keys = [(layer.name, one.name) for one in self.transformations]
        return [actions[key] for key in keys if key in actions]

    def layers_in_words(self) -> list[str]:
        """What each layer is, which the network's weights do not tell."""
        return [
            f"{one.name} ({one.type}, {one.channels} channels of {one.height} x {one.width} positions)"
            for one in self.found.measured
        ]


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
    check_sizes(input_shape, transformations)
    if scoring.alignment == "registered" and not any(one.turns for one in transformations):
        raise OptionError("{alignment}registered is for rotations and flips, and none is to be measured.")
    found = layers_of(network, input_shape, layers)
    if Layers.of(layers).names is None:
        found = _square_where_needed(found, transformations)
    _check_strides(found, transformations)
    actions = {
        (layer.name, one.name): action(layer, one, scoring) for layer in found.measured for one in transformations
    }
    return Plan(view, found, tuple(families), tuple(transformations), actions)


def _square_where_needed(found: FoundLayers, transformations: Sequence[Transformation]) -> FoundLayers:
    """Without maps that are not square, of layers that nobody named, where a transformation swaps their axes."""
    swapping = [one.name for one in transformations if one.swaps_axes]
    odd = [layer for layer in found.measured if swapping and layer.height != layer.width]
    if len(odd) == len(found.measured):
        return found
    left_out = [
        LeftOut(
            layer.name, f"its map of {layer.height} x {layer.width} positions is not square, as {swapping[0]} needs"
        )
        for layer in odd
    ]
    measured = tuple(layer for layer in found.measured if layer not in odd)
    return FoundLayers(measured, (*found.left_out, *left_out))


def probe(
    network: nn.Module, view: Frame, layers: Sequence[Layer], images: Tensor, *, precision: str = "float32"
) -> Probed:
    """What a small probe finds of the network on the first of these images; what makes scores doubtful is warned of."""
    found = probed(network, view.original(images[:2]), layers, half=precision == "bfloat16")
    for remark in found.remarks:
        warnings.warn(remark, stacklevel=2)
    return found


def action(layer: Layer, transformation: Transformation, scoring: Scoring) -> Action:
    """What a transformation does on a layer. ValueError, naming both, where its sampling does not fit."""
    sampling: Sampling | None = identity(1, 1)  # of a vector
    if not layer.vector:
        try:
            sampling = transformation.sampling(layer.height, layer.width, layer.stride)
        except ValueError as error:
            raise ValueError(f"Layer {layer.name} cannot be measured: {error}.") from error
        _check_sampling(layer, transformation, sampling)
    permutes = sampling is not None and sampling.permutes and transformation.rearranges
    measures = scoring.measures
    if measures is None:
        linear = permutes and scoring.similarity == "pearson" and "dataset" in scoring.scopes
        measures = LADDER if linear else LADDER[:2]
    return Action(layer, transformation, sampling, tuple(one for one in measures if one not in ALONE))


def _check_sampling(layer: Layer, transformation: Transformation, sampling: Sampling | None) -> None:
    if sampling is not None and sampling.size != (layer.height, layer.width):
        raise ValueError(
            f"Under {transformation.name}, layer {layer.name} has maps of {layer.height} x {layer.width} positions, "
            f"and the sampling given is of {sampling.size[0]} x {sampling.size[1]}."
        )


def check_sizes(image_shape: tuple[int, int, int], transformations: Iterable[Transformation]) -> None:
    """ValueError where a transformation is none of images of this shape, `[channel, height, width]`."""
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
    needing = [transformation.name for transformation in transformations if transformation.needs_stride]
    if not needing:
        return
    for layer in found.measured:
        if not layer.vector and layer.stride is None:
            raise OptionError(
                "The stride of layer {layer} ({height} x {width} positions) does not follow from its shape, and "
                "{name} needs it; give it with {strides}{its}.",
                name=needing[0], layer=layer.name, height=layer.height, width=layer.width,
                its=KeyValue(layer.name, "PIXELS"),
            )  # fmt: skip


def content_of(plan: Plan, image_shape: Sequence[int], place: torch.device, kind: torch.dtype) -> dict[str, str]:
    """What each transformation is, by its name: a digest of what it does to an image, and to the maps of each layer.

    Two are the same where they do the same, to a part in ten thousand, for machines do not round alike; their classes
    and names tell nothing. The image lies on the network's device and has its type. One that draws random numbers
    draws the same ones each time.
    """
    probe = _Probe()
    image = torch.randn(1, *image_shape, generator=torch.Generator().manual_seed(0)).to(place, kind)
    with torch.random.fork_rng(devices=[]):
        return {one.name: _content(plan, one, image, probe) for one in plan.transformations}


def _content(plan: Plan, transformation: Transformation, image: Tensor, probe: "_Probe") -> str:
    torch.default_generator.manual_seed(0)
    parts = [probe.seen(plan.frame.transformed(transformation, image))]
    for layer in plan.found.measured:
        sampling = plan.actions[layer.name, transformation.name].sampling
        if sampling is not None:
            maps = torch.randn(1, 1, *sampling.size, generator=torch.Generator().manual_seed(1)).to(image.device)
            parts += [probe.seen(side(maps)) for side in (sampling.expected, sampling.found)]
        parts.append([])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class _Probe:
    """Tells tensors apart by a few sums of their values, each with signs of its own."""

    SUMS, UNIT = 8, 1e-4

    def __init__(self) -> None:
        self._signs: dict[int, Tensor] = {}  # by the number of values

    def seen(self, values: Tensor) -> list[int]:
        """The sums in units, of values of about 1."""
        flat = values.detach().cpu().double().flatten().nan_to_num()
        count = len(flat)
        if count not in self._signs:
            drawn = torch.randint(2, (self.SUMS, count), generator=torch.Generator().manual_seed(2))
            self._signs[count] = drawn.double() * 2 - 1
        sums = self._signs[count] @ flat / max(count, 1) ** 0.5
        return [count, *(sums / self.UNIT).round().long().tolist()]


def fingerprint_of(options: Mapping[str, Any], *more: Any) -> str:
    """The SHA-256 of options, and of whatever else belongs to them, in whatever order their names come."""
    return hashlib.sha256(json.dumps([options, *more], sort_keys=True, default=str).encode()).hexdigest()


def fitting_batch_size(view: Frame) -> int:
    """Images in a forward pass: 32 of 224 x 224 pixels, more of smaller ones."""
    return max(32, min(256, 32 * 224**2 // (view.height * view.width)))


def options_of(
    families: Sequence[Family], layers: Layers, scoring: Scoring, run: Run, batch_size: int, device: str
) -> dict[str, Any]:  # fmt: skip
    """All options of a measurement, as the manifest tells them."""
    members = [one for family in families for one in family.transformations if not one.rearranges]
    members.sort(key=lambda one: one.offset is None)  # shifts have options of their own
    of_shifts = {"fill": members[0].fill, "size": members[0].size, "subpixel": members[0].subpixel} if members else {}
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
