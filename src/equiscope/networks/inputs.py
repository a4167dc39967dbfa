"""What the modules of layers are given: the map that a layer alone is a function of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from equiscope.networks.features import Source
from equiscope.networks.layers import Layer, LeftOut
from equiscope.networks.options import Layers
from equiscope.networks.selection import Traced
from equiscope.networks.trace import Seen


@dataclass(frozen=True)
class Input:
    """The one map that a layer's module is given."""

    map: Layer  # described as a layer is, by its channels, its layout and its stride
    giver: str | None = None  # the layer whose features it is, as they are


def inputs_of(
    model: nn.Module, image_shape: tuple[int, int, int], layers: tuple[Layer, ...], options: Layers
) -> tuple[dict[str, Input], list[LeftOut]]:
    """For each layer, by its name, the one map that its module is given; and the layers for which there is none.

    >>> from equiscope.networks.layers import find_layers
    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    >>> given, left_out = inputs_of(network, (3, 8, 8), find_layers(network, (3, 8, 8)).measured, Layers())
    >>> [(name, its.map.channels, its.giver) for name, its in given.items()], [one.name for one in left_out]
    ([('0', 3, None), ('1', 8, '0')], ['3'])
    """
    traced = Traced(model, image_shape, options.strides or {}, options.layouts or {})
    found: dict[str, Input] = {}
    left_out: list[LeftOut] = []
    for layer in layers:
        its = _input_of(layer, traced, layers)
        if isinstance(its, Input):
            found[layer.name] = its
        else:
            left_out.append(LeftOut(layer.name, its))
    return found, left_out


def _input_of(layer: Layer, traced: Traced, layers: Sequence[Layer]) -> Input | str:
    """The map that a layer's module is given, or why there is none."""
    source = layer.source
    if source.side == "input":
        return "it is what a module is given, and no module of the network gives it"
    if not source.module:
        return "it is the output of the whole network"
    call = (source.module, source.call, "input")
    given = [one for one in traced.tensors if (one.source.module, one.source.call, one.source.side) == call]
    if len(given) != 1:
        return f"its module is given {len(given) or 'no'} tensors, and one map is needed"
    laid = traced.layout_of(given[0])
    if isinstance(laid, str):
        return f"what its module is given cannot be laid out: {laid}"
    layout, stride = laid
    if layout.kind == "vector":
        return "its module is given a vector, which has no positions"
    its = replace(
        layer,
        name=f"{layer.name}, its input",
        source=Source(source.module, source.call, "input", given[0].source.path),
        channels=layout.channels(given[0].shape),
        layout=layout,
        stride=stride,
    )
    return Input(its, _giver_of(given[0], traced, layers))


def _giver_of(given: Seen, traced: Traced, layers: Sequence[Layer]) -> str | None:
    """The last layer before a module, and not within it, whose features are the tensor that the module is given."""
    identities = {one.source: one.identity for one in traced.outputs}
    before = [
        layer
        for layer in layers
        if identities.get(layer.source) == given.identity
        and traced.places[layer.source] < traced.places[given.source]
        and not f"{layer.source.module}.".startswith(f"{given.source.module}.")
    ]
    return max(before, key=lambda layer: traced.places[layer.source]).name if before else None
