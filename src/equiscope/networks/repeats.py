"""Whether modules can be called again by themselves, in the middle of a forward pass, and leave it as it is."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from equiscope.networks.features import Source
from equiscope.networks.inputs import Input
from equiscope.networks.layers import Layer, LeftOut
from equiscope.networks.probe import ALIKE, features_of
from equiscope.networks.state import kept
from equiscope.networks.wording import summary
from equiscope.system.errors import out_of_memory


def unrepeatable(
    network: nn.Module, images: Tensor, layers: Sequence[Layer], inputs: Mapping[str, Input]
) -> list[LeftOut]:
    """The layers, of those with inputs, whose modules cannot be called again, and why.

    Each is called once more on what it was given for the first of two images, and must give the same; the network must
    give what it gives without that. It is as it was, afterwards.
    """
    trials = [_Trial(layer, inputs[layer.name].map) for layer in layers if layer.name in inputs]
    sources = {layer.name: layer.source for layer in layers}
    with kept(network):
        plain = features_of(network, images, sources)
        if not _alike(plain, features_of(network, images, sources, trials)):
            for trial in trials:  # which of them is it?
                if trial.reason is None and not _alike(plain, features_of(network, images, sources, [trial])):
                    trial.reason = "where its module is called again, the network gives something else"
    return [LeftOut(trial.layer.name, trial.reason) for trial in trials if trial.reason is not None]


class _Trial:
    """Calls a module again on what it was given for the first image."""

    def __init__(self, layer: Layer, given: Layer) -> None:
        self.layer, self._given = layer, given
        self.reason: str | None = None

    @property
    def source(self) -> Source:
        return self.layer.source

    def kept(self, given: Sequence[Tensor]) -> Tensor | None:
        if len(given) != 1:
            self.reason = "the map that its module is given is inside an object"
            return None
        return given[0].narrow(self._given.layout.image_axis, 0, 1).clone()

    def receive(self, kept: Tensor, features: Tensor, again: Callable[[Tensor], Tensor]) -> None:
        try:
            found = self.layer.maps(again(kept))
        except Exception as error:  # the user's module may raise anything
            if out_of_memory(error):
                raise
            self.reason = f"its module fails where it is called again by itself ({summary(error).rstrip('.')})"
            return
        own = self.layer.maps(features)[:1]
        if own.shape != found.shape or not _near(own, found):
            self.reason = "called again on what it was given, its module gives something else"


def _alike(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(_near(one[name], other[name]) for name in one)


def _near(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors differ by no more than rounding."""
    return one.shape == other.shape and bool((one - other).norm() <= ALIKE * one.norm())
