"""Forward passes of a network over images and their transformed copies, and what becomes of the features."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equiscope.functional.moments import GROUPS
from equiscope.functional.transformations import Frame, Transformation
from equiscope.images.batches import of_size
from equiscope.measurement.alone import Alone
from equiscope.networks.failures import failure
from equiscope.networks.features import Repeat, Source, called, reading, tensors_in
from equiscope.networks.layers import Layer
from equiscope.networks.probe import Probed
from equiscope.networks.state import without_hooks
from equiscope.networks.wording import summary
from equiscope.system.errors import OptionError, out_of_memory
from equiscope.system.progress import Progress

TOGETHER = 12  # images of a group, at least, that are gone through one after another


class Batch(NamedTuple):
    """Images of one group, by their places in the data set."""

    places: list[int]
    images: Tensor
    window: int = 0  # the place of the first image of those that are read and gone through together
    number: int = 0  # of this batch among those of the window


@runtime_checkable
class Receiver(Protocol):
    """What takes in a layer's features."""

    layer: Layer

    def add(
        self, maps: Tensor, places: Sequence[int], chosen: Sequence[Transformation], first: bool
    ) -> Float[Tensor, ""] | None:
        """Take in a forward pass over the images at some places, then the same under each chosen transformation.

        `first` tells whether the images as they are were not taken in before. A sum is returned that is finite where
        all squares are, or None.
        """


def in_groups(batches: Iterable[Tensor], start: int, size: int) -> Iterator[Batch]:
    """The images in batches of at most `size`, each of one group: place modulo 10.

    They are read in order, so many at a time that each group has some, and no image is read twice. `start` is the place
    of the first.

    >>> [batch.places for batch in in_groups([torch.zeros(12, 1, 1, 1)], 0, 4)][:3]
    [[0, 10], [1, 11], [2]]
    """
    for window, images in _windows(batches, start, GROUPS * max(size, TOGETHER)):
        number = 0
        for group in range(GROUPS):
            of_group = range((group - window) % GROUPS, len(images), GROUPS)
            parts = -(-len(of_group) // size)
            for part in range(parts):
                some = list(of_group[len(of_group) * part // parts : len(of_group) * (part + 1) // parts])
                yield Batch([place + window for place in some], images[some], window, number)
                number += 1


def in_order(batches: Iterable[Tensor], size: int) -> Iterator[Batch]:
    """The images in order, in batches of at most `size`."""
    place = 0
    for batch in of_size(batches, size):
        yield Batch(list(range(place, place + len(batch))), batch)
        place += len(batch)


def _windows(batches: Iterable[Tensor], start: int, size: int) -> Iterator[tuple[int, Tensor]]:
    """The images, so many at a time, with the place of the first of them."""
    waiting: list[Tensor] = []
    for batch in batches:
        waiting.append(batch)
        while sum(map(len, waiting)) >= size:
            joined = torch.cat(waiting)
            yield start, joined[:size]
            start, waiting = start + size, [joined[size:]]
    if sum(map(len, waiting)):
        yield start, torch.cat(waiting)


@dataclass(frozen=True)
class ForwardPasses:
    """Forward passes of a network over images and their transformed copies."""

    network: nn.Module
    frame: Frame
    place: torch.device
    batch_size: int
    precision: str
    probed: Probed = Probed()
    registered: int = 0  # images that come before those at place 0, of other processes too
    alone: Mapping[str, Alone] = field(default_factory=dict)  # receivers of features of modules that are called again

    def images_at_once(self, transformations: Sequence[Transformation]) -> int:
        """How many images share a forward pass with their transformed copies."""
        return max(1, self.batch_size // (1 + len(sharing(transformations, self.batch_size)[0])))

    def __call__(
        self,
        batches: Iterable[Batch],
        transformations: Sequence[Transformation],
        receivers: Mapping[str, Receiver],
        bar: Progress,
        after: Callable[[Batch], None] = lambda _: None,
    ) -> None:
        """Go over the images; `after` is told each batch that is done."""
        plan = sharing(transformations, self.batch_size)
        watcher = _Watcher(receivers, self.registered)
        sources = {name: one.layer.source for name, one in receivers.items() if name not in self.alone}
        repeats = [_Repeat(name, one, watcher) for name, one in self.alone.items() if name in receivers]
        with (
            without_hooks(self.network, unless=self.probed.hooks_matter),
            reading(self.network, sources, watcher.receive, repeats),
        ):
            for batch in batches:
                images = batch.images.to(self.place, self.probed.images_type)
                for chosen in plan:
                    copies = [self.frame.transformed(one, images) for one in chosen]
                    watcher.places, watcher.chosen, watcher.first = batch.places, chosen, chosen is plan[0]
                    self._forward(torch.cat([self.frame.original(images), *copies]), watcher)
                bar.advance(len(batch.places))
                after(batch)

    def read(
        self,
        images: Tensor,
        sources: Mapping[str, Source] | None = None,
        receive: Callable[[str, Tensor], None] = lambda name, features: None,
        transformation: Transformation | None = None,
        repeats: Sequence[Repeat] = (),
    ) -> None:
        """One forward pass over images, transformed or as they are, whose features are handed over as they come."""
        watcher = _Watcher({}, self.registered)
        watcher.places = list(range(len(images)))
        given = images.to(self.place, self.probed.images_type)
        shown = self.frame.original(given) if transformation is None else self.frame.transformed(transformation, given)
        with (
            without_hooks(self.network, unless=self.probed.hooks_matter),
            reading(self.network, sources or {}, receive, repeats),
        ):
            self._forward(shown, watcher)

    def _forward(self, images: Tensor, watcher: "_Watcher") -> None:
        """A forward pass; what goes wrong is told in a sentence, of ours or of the network's."""
        lower = self.precision == "bfloat16"
        try:
            with torch.autocast(self.place.type, torch.bfloat16, enabled=lower):
                output = called(self.network, images)
            watcher.check(output)
        except Exception as error:  # the user's network may raise anything
            if watcher.error is not None:
                raise watcher.error from (None if watcher.error is error else error)
            if out_of_memory(error):
                raise
            raise failure(self.network, images, error) from error


def sharing(transformations: Sequence[Transformation], batch_size: int) -> list[Sequence[Transformation]]:
    """Which transformations share a forward pass, so that an image and its copies are at most `batch_size`."""
    at_once = max(1, batch_size - 1)
    passes = -(-len(transformations) // at_once)
    size = -(-len(transformations) // passes)
    return [transformations[start : start + size] for start in range(0, len(transformations), size)]


class _Watcher:
    """Hands every layer's features to whoever takes them in, and sees that they are finite."""

    def __init__(self, receivers: Mapping[str, Receiver], registered: int) -> None:
        self.receivers, self._registered = receivers, registered
        self.error: Exception | None = None  # of ours, raised while the network was running
        self.places: list[int] = []
        self.chosen: Sequence[Transformation] = ()
        self.first = True
        self._sums: dict[str, Tensor] = {}
        self._finite: dict[str, Tensor] = {}

    def receive(self, name: str, features: Tensor, chosen: Sequence[Transformation] | None = None) -> None:
        """Take in a layer's features, under the `chosen` transformations (None: all); autocast ends here."""
        receiver = self.receivers[name]
        chosen = self.chosen if chosen is None else chosen
        try:
            with torch.autocast(features.device.type, enabled=False):
                maps = maps_of(receiver.layer, features, len(self.places) * (1 + len(chosen)))
                squares = receiver.add(maps, self.places, chosen, self.first)
                if squares is None:
                    return
                if squares.device.type == "cpu":
                    if not torch.isfinite(squares):
                        self._raise(name, _finite(maps))
                else:  # to look would wait for the accelerator at every layer
                    self._sums[name] = squares
                    self._finite[name] = _finite(maps)
        except Exception as error:
            self.error = error
            raise

    def check(self, output: Any) -> None:
        """ValueError where a value was not finite in this forward pass, the network's own output's among them."""
        if self._sums:
            finite = torch.stack(list(self._sums.values())).isfinite().tolist()
            for name, fine in zip(self._sums, finite, strict=True):
                if not fine:
                    self._raise(name, self._finite[name])
            self._sums.clear()
            self._finite.clear()
        for path, tensor in tensors_in(output):
            if tensor.is_floating_point() and tensor.layout == torch.strided and bool(tensor.isnan().any()):
                self._raise_of_output(path, tensor)

    def _raise_of_output(self, path: str, output: Tensor) -> None:
        images = len(self.places) * (1 + len(self.chosen))
        by_image = output.isnan().reshape(images, -1).any(1) if output.shape[:1] == (images,) else None
        which = "" if by_image is None else f" for image {self._counted(by_image)} (counted from 0)"
        self.error = ValueError(
            f"The network's own output{path and f' at {path}'} is NaN{which}, though the layers measured are finite; "
            "check its weights and the images' preprocessing."
        )
        raise self.error

    def _counted(self, wrong: Tensor) -> int:
        """The place in the data set of the first image that something is wrong with."""
        places = wrong.nonzero().flatten().tolist()
        return self._registered + (self.places[places[0] % len(self.places)] if places else self.places[0])

    def _raise(self, name: str, finite: Tensor) -> None:
        self.error = ValueError(
            f"Layer {name} gives NaN, infinity or values too large to square for image {self._counted(~finite)} "
            "(counted from 0); check the network's weights and the images' preprocessing."
        )
        raise self.error


@dataclass
class _Repeat:
    """Calls a layer's module again on its input transformed, and hands over what it gives."""

    name: str
    alone: Alone
    watcher: _Watcher

    @property
    def source(self) -> Source:
        return self.alone.layer.source

    def kept(self, given: Sequence[Tensor]) -> Tensor | None:
        (its,) = given
        return its.narrow(self.alone.given.layout.image_axis, 0, len(self.watcher.places)).clone()

    def receive(self, kept: Tensor, features: Tensor, again: Callable[[Tensor], Tensor]) -> None:
        chosen = [one for one in self.watcher.chosen if one.name in self.alone.actions]
        axis = self.alone.layer.layout.image_axis
        sides = [features.narrow(axis, 0, len(self.watcher.places))]
        if chosen:
            moved = [self.alone.transformed(kept, one.name) for one in chosen]
            sides.append(self._again(torch.cat(moved, self.alone.given.layout.image_axis), again))
        self.watcher.receive(self.name, torch.cat(sides, axis), chosen)

    def _again(self, given: Tensor, again: Callable[[Tensor], Tensor]) -> Tensor:
        try:
            return again(given)
        except Exception as error:  # the user's module may raise anything
            if not out_of_memory(error):
                self.watcher.error = ValueError(
                    f"Layer {self.name} fails where it is called again on its input transformed "
                    f"({summary(error).rstrip('.')}); measure it without the measures of a layer alone."
                )
            raise


def _finite(maps: Tensor) -> Tensor:
    """Which images' features are finite, and their squares."""
    return maps.flatten(1).square().sum(1).isfinite()


def maps_of(layer: Layer, features: Tensor, images: int) -> Float[Tensor, "image channel row column"]:
    """A layer's features as maps in float32; ValueError where they are not what its shape promised."""
    maps = layer.maps(features).float().resolve_neg()  # which numpy cannot read unresolved
    if len(maps) != images:
        raise ValueError(
            f"Layer {layer.name} gave features for {len(maps)} images where the network was given {images}; its first "
            "axis is not the image."
        )
    found, known = tuple(maps.shape[1:]), (layer.channels, layer.height, layer.width)
    if found != known:
        told = (f"{channels} channels of {height} x {width} positions" for channels, height, width in (found, known))
        raise OptionError(
            "Layer {layer} gave {found}, where its shape promised {promised}; choose other layers with {layers}NAMES, "
            "for a layer must be of one size.",
            layer=layer.name, found=next(told), promised=next(told),
        )  # fmt: skip
    return maps
