"""Which layers of a network are measured: their order, shapes, strides and parts."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from equiscope.networks.checked import check_network
from equiscope.networks.features import Source, unwrapped
from equiscope.networks.layout import Layout, Strides
from equiscope.networks.options import Layers
from equiscope.networks.parts import Parts
from equiscope.networks.selection import Blocks, Call, Traced
from equiscope.networks.state import told_what_stays
from equiscope.networks.trace import Seen

LARGEST_VECTOR = 8192  # channels; a longer one is measured only where it is named


@dataclass(frozen=True)
class Layer:
    """One layer that can be measured: where its features are and what grid they lie on."""

    name: str
    source: Source
    type: str  # the module's class
    index: int  # in order of execution, among all that the network computes
    part: str
    channels: int
    layout: Layout
    stride: Strides | None  # pixels from position to position, down and right; None: a vector, or not known

    @property
    def height(self) -> int:
        """Positions down; 1 for a vector."""
        return self.layout.grid[0]

    @property
    def width(self) -> int:
        """Positions to the right; 1 for a vector."""
        return self.layout.grid[1]

    @property
    def vector(self) -> bool:
        """Whether the layer has no grid."""
        return self.layout.kind == "vector"

    def maps(self, features: Tensor) -> Tensor:
        """The layer's features as `[image, channel, row, column]`, whatever their layout."""
        return self.layout.maps(features)


@dataclass(frozen=True)
class LeftOut:
    """A layer that is not measured, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class FoundLayers:
    """The layers that are measured, in order of execution, and the ones left out."""

    measured: tuple[Layer, ...]
    left_out: tuple[LeftOut, ...]


def find_layers(
    model: nn.Module, image_shape: tuple[int, int, int], layers: str | Sequence[str] | Layers | None = None
) -> FoundLayers:
    """The layers of a network for images of shape `[channel, height, width]`, without any of these.

    Shapes tell them; where they leave an order of positions open, the network runs a few times on noise, for a minute
    at most (not on the meta device). Warnings say where an order is supposed and not confirmed, and where single
    modules stand in place of blocks that cannot be laid out.

    `layers` is a name or glob of modules (`*` stops at a dot, `**` does not), a list of them, or `Layers` with all
    options. None: the network's blocks, the output of its global pooling and its final vector. ValueError where a
    name or glob matches nothing, or where no layer can be measured.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    >>> [(layer.name, layer.part, layer.channels, layer.stride) for layer in find_layers(network, (3, 32, 32)).measured]
    [('0', 'early', 8, (2, 2)), ('1', 'pool', 8, None), ('3', 'final', 5, None)]
    """
    check_network(model)
    with told_what_stays(unwrapped(model)):
        return layers_of(model, image_shape, layers)


def layers_of(
    model: nn.Module, image_shape: tuple[int, int, int], layers: str | Sequence[str] | Layers | None = None
) -> FoundLayers:
    """The same, without a word on what passes change of a network."""
    check_network(model)
    sizes = image_shape if isinstance(image_shape, Sequence) else ()
    if len(sizes) != 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(f"The shape of an image is (channels, height, width), all at least 1; {image_shape} is not.")
    options = Layers.of(layers)
    traced = Traced(unwrapped(model), image_shape, options.strides or {}, options.layouts or {})
    final = traced.final()
    pooled = traced.pool(final, options.pool)
    headless = pooled is None and final is not None and traced.is_vector(final) and not traced.ends_in_softmax
    if headless and final is not None and not final.parameters:  # a network without a classifier
        pooled, final = final, None
    blocks = Blocks(traced.matching(options.default)) if options.default else traced.blocks()
    whole = [*blocks.tensors, *(tensor for tensor in (pooled, final) if tensor is not None)]
    chosen = whole if options.names is None else traced.matching(options.names)
    found = _described(traced, chosen, _parts(traced, whole, pooled, final), options.names, blocks)
    if blocks.leaves and options.names is None:
        warnings.warn(_instead_of_blocks(blocks), stacklevel=2)
    for remark in traced.remarks(layer.source for layer in found.measured if not layer.vector):
        warnings.warn(remark, stacklevel=2)
    return found


def _instead_of_blocks(blocks: Blocks) -> str:
    """The sentence for a network of whose blocks none gives a feature map that can be laid out."""
    name, reason = next(iter(blocks.left_out.items()))
    count = len(blocks.left_out)
    others = f", and likewise {count - 1} more" if count > 1 else ""
    return (
        f"None of the network's {count} blocks gives a feature map that is known to lie on a grid ({name}: {reason}"
        f"{others}); single modules stand in their place. Choose with layers=, or say how blocks lie with layouts=."
    )


def channels_of(model: nn.Module) -> int | None:
    """The channels of an image that the network's first convolution takes; None where it has none."""
    return next((module.in_channels for module in model.modules() if isinstance(module, nn.Conv2d)), None)


def _parts(traced: Traced, whole: Sequence[Seen], pooled: Seen | None, final: Seen | None) -> Parts:
    """The parts of a network, of whose layers these are the whole list."""
    beside = traced.maps_of_call(whole)
    maps = {
        traced.places[tensor.source]
        for tensor in whole
        if tensor not in (pooled, final)
        and traced.is_map(tensor)
        and (not tensor.source.path or beside[tensor.source.module, tensor.source.call] == 1)
    }
    pool_place, final_place = (traced.places[one.source] if one else None for one in (pooled, final))
    return Parts(sorted(maps), pool_place, final_place)


def _described(
    traced: Traced, chosen: Sequence[Seen], parts: Parts, named: Sequence[str] | None, blocks: Blocks
) -> FoundLayers:
    measured: list[Layer] = []
    unshown = {} if named is not None else {**blocks.left_out, **blocks.leaves_left_out}
    left_out = [LeftOut(name, reason) for name, reason in unshown.items()]
    beside = traced.maps_of_call(chosen)
    for tensor in sorted(set(chosen), key=lambda tensor: traced.places[tensor.source]):
        found = traced.layout_of(tensor)
        reason = found if isinstance(found, str) else _why_left_out(tensor, found[0], beside, named)
        if isinstance(found, str) or reason is not None:
            left_out.append(LeftOut(tensor.name, str(reason)))
            continue
        its, stride = found
        place = traced.places[tensor.source]
        measured.append(
            Layer(
                name=tensor.name,
                source=tensor.source,
                type=tensor.type,
                index=place,
                part=parts.at(place, vector=its.kind == "vector"),
                channels=its.channels(tensor.shape),
                layout=its,
                stride=stride,
            )
        )
    if not measured:
        reasons = "; ".join(f"{layer.name}: {layer.reason}" for layer in left_out[:3]) or "it has no modules"
        raise ValueError(f"None of the layers can be measured ({reasons}).")
    return FoundLayers(tuple(measured), tuple(left_out))


def _why_left_out(tensor: Seen, its: Layout, beside: Mapping[Call, int], named: Sequence[str] | None) -> str | None:
    """Why a tensor whose layout is known is not measured all the same; None where it is."""
    if named is not None and tensor.name in named:
        return None
    channels = its.channels(tensor.shape)
    if not tensor.real:
        return "its values are indices or a mask, and no features; name it to have it measured"
    if named is None and its.kind == "vector" and channels > LARGEST_VECTOR:
        return f"a vector of {channels} channels; name it to have it measured"
    maps = beside.get((tensor.source.module, tensor.source.call), 0) if tensor.source.path else 0
    if maps > 1:
        return "its module gives several maps; name this one to have it measured"
    if maps and its.kind == "vector":
        return "its module gives a map beside this vector; name it to have it measured"
    return None
