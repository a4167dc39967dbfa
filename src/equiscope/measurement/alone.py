"""A layer alone: in the same forward pass its module is called again, on its input transformed."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from equiscope.functional.sampling import Axes, Sampling, on_whole_map
from equiscope.functional.transformations import Transformation, shifted
from equiscope.measurement.plan import Action
from equiscope.networks.layers import Layer

Matching = Mapping[str, Int[Tensor, "channel"]]  # of a layer's input, by transformation


@dataclass(frozen=True)
class Alone:
    """A layer, and what is done to the input of its module under each transformation."""

    layer: Layer
    given: Layer
    actions: Mapping[str, Action]  # by transformation
    matching: Matching  # none of a transformation: channels as they are

    def transformed(self, given: Tensor, name: str) -> Tensor:
        """`T'_g h` of the input `h`, as the module takes it; what enters is what enters at the image's border."""
        action, maps = self.actions[name], self.given.maps(given)
        assert action.on_input is not None
        order = self.matching.get(name)
        maps = maps if order is None else maps.index_select(1, order.to(maps.device))
        return self.given.layout.with_maps(given, _filled(action.transformation, action.on_input, maps))


def _filled(transformation: Transformation, sampling: Sampling, maps: Tensor) -> Tensor:
    """The map transformed, of its size; zeros enter, or what the shift fills with, where it is of whole positions."""
    fills = transformation.offset is not None and transformation.fill in ("reflect", "wrap")
    if fills and isinstance(sampling, Axes) and sampling.positions and not sampling.interpolated:
        down, right = (-round(along.start) for along in (sampling.rows, sampling.columns))
        return shifted(maps, down, right, transformation.fill)
    return on_whole_map(sampling, maps)[0]
