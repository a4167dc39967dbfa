"""What a network does with a small batch of images, found by running it on some."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import dist, hypot

import numpy as np
import torch
from torch import Tensor, nn

from equiscope.networks.allowance import Allowance, Stopwatch
from equiscope.networks.failures import failure
from equiscope.networks.features import Repeat, Source, called, reading
from equiscope.networks.identity import sums_of
from equiscope.networks.layers import Layer
from equiscope.networks.placement import floating_types
from equiscope.networks.state import Change, has_hooks, kept, named, what_stays, without_hooks
from equiscope.networks.wording import enumerated
from equiscope.system.errors import out_of_memory

VALUES = 512  # of a layer's features for an image, that are compared
ALIKE, ALIKE_IN_HALF = 1e-3, 0.03  # relative differences that rounding may make


@dataclass(frozen=True)
class Probed:
    """What a probe found."""

    images_type: torch.dtype = torch.float32  # that the network takes
    hooks_matter: bool = True  # what others hooked to the network changes its features
    repeats: bool = True  # the same images are known to give the same layers and output a second time
    remarks: tuple[str, ...] = ()  # sentences on what makes scores doubtful, or does not come back


def features_of(
    network: nn.Module, images: Tensor, sources: Mapping[str, Source], repeats: Sequence[Repeat] = ()
) -> dict[str, Tensor]:
    """What each of the sources gives in one forward pass over `images` `[image, channel, height, width]`, by name.

    The features are copies; `repeats` call modules again meanwhile. The network is evaluated as it stands;
    `left_as_found` around one pass or many brings it back. What the network raises is passed on as it is.

    >>> import torch
    >>> network = nn.Sequential(nn.ReLU(), nn.AvgPool2d(2))
    >>> features_of(network, torch.ones(2, 3, 4, 4), {"maps": Source("1")})["maps"].shape
    torch.Size([2, 3, 2, 2])
    """
    found: dict[str, Tensor] = {}

    def keep(name: str, features: Tensor) -> None:
        found[name] = features.clone()

    with reading(network, sources, keep, repeats):
        called(network, images)
    return found


def probed(network: nn.Module, images: Tensor, layers: Sequence[Layer], *, half: bool = False) -> Probed:
    """What a few passes over two images tell of a network that is being evaluated; it is as it was, afterwards.

    The two are run once, then again, then one of them with itself, and a few values of each layer are compared; where
    the network changes itself, once more after other images. What would take longer than a minute is not tried, and a
    remark says so. `half`: by autocast in bfloat16, as it will be measured.
    ValueError where the network fails on the images.
    """
    pair = images[:2] if len(images) > 1 else torch.cat([images, images.flip(-1)])
    runs, allowance = _Runs(network, layers, half), Allowance()
    untried: list[str] = []

    def tried(what: str, passes: int) -> bool:
        if not allowance.allows(passes * runs.seconds):
            untried.append(what)
        return not untried

    with kept(network) as before, torch.no_grad():
        images_type, hooked = runs.type_taken(pair)
        pair = pair.to(images_type)
        before.put_back()
        unhooked = runs.without_hooks(pair) if has_hooks(network) else hooked
        before.put_back()
        matter = unhooked is None or runs.differing(unhooked, hooked) != []
        other: list[str] = []
        repeats = False
        dependent: list[str] = []
        after_others: list[str] = []
        with without_hooks(network, unless=matter):
            drawn = _drawn(pair.device)
            first, given = runs(pair), runs.sums
            draws = _drawn(pair.device) != drawn
            changes = before.changes()
            if tried("whether the same images give the same features again", 1):
                again = runs(pair)
                other = runs.differing(first, again)
                repeats = not other and dist(given, runs.sums) <= runs.alike * hypot(*given)
                if not other and tried("whether an image's features depend on the others of its batch", 1):
                    dependent = runs.differing(again, runs(torch.cat([pair[:1], pair[:1]])))
            # What it changes of itself: does it matter?
            if changes and not other and tried("whether an image's features depend on the images before it", 2):
                before.put_back()
                runs(2 * pair.flip(-1) + 1)
                after_others = runs.differing(first, runs(pair))
    remarks = (
        *_on_repeating(other, draws, changes),
        *_on_the_batch(dependent),
        *_on_those_before(after_others, changes),
        *what_stays(changes, before.iterators()),
        *_on_time(untried, runs.seconds),
    )
    return Probed(images_type, matter, repeats, remarks)


class _Runs:
    """Passes of a network, of which a few values of each layer are kept."""

    def __init__(self, network: nn.Module, layers: Sequence[Layer], half: bool) -> None:
        self._network, self._half = network, half
        self._layers = {layer.name: layer for layer in layers}
        self.alike = ALIKE
        self.seconds = 0.0  # that the last pass took
        self.sums: tuple[float, ...] = ()  # of what the network gave in it

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """A few values of each layer, `[image, value]`."""
        found: dict[str, Tensor] = {}

        def keep(name: str, features: Tensor) -> None:
            values = self._layers[name].maps(features).flatten(1)
            some = values[:, :: max(1, values.shape[1] // VALUES)]
            found[name] = some.float().cpu()

        sources = {name: layer.source for name, layer in self._layers.items()}
        watch = Stopwatch()
        with (
            torch.autocast(images.device.type, torch.bfloat16, enabled=self._half),
            reading(self._network, sources, keep),
        ):
            self.sums = sums_of(called(self._network, images.clone()))  # which it may change
        self.seconds = watch.seconds
        return found

    def type_taken(self, images: Tensor) -> tuple[torch.dtype, dict[str, Tensor]]:
        """The first of the types of the network's numbers that it takes images in, and what it gives for them.

        ValueError where it takes none.
        """
        raised: Exception | None = None
        for each in floating_types(self._network):
            low = self._half or each not in (torch.float32, torch.float64)
            self.alike = ALIKE_IN_HALF if low else ALIKE
            try:
                return each, self(images.to(each))
            except Exception as error:  # the user's network may raise anything
                if out_of_memory(error):
                    raise
                raised = raised or error
        assert raised is not None
        raise failure(self._network, images.to(floating_types(self._network)[0]), raised) from raised

    def without_hooks(self, images: Tensor) -> dict[str, Tensor] | None:
        """The same without what others hooked to the network; None where it fails so."""
        try:
            with without_hooks(self._network):
                return self(images)
        except Exception as error:  # as of a network whose hooks gather its weights
            if out_of_memory(error):
                raise
            return None

    def differing(self, one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
        """The layers, in order, whose values of the first image differ by more than rounding."""
        found = []
        for name in self._layers:
            if name in one and name in other:
                a, b = one[name][:1], other[name][:1]
                if a.shape == b.shape and bool((a - b).norm() > self.alike * a.norm()):
                    found.append(name)
        return found


def _drawn(device: torch.device) -> list[object]:
    """The states from which random numbers are drawn, to be compared."""
    states = [torch.get_rng_state()] + ([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])
    return [*(state.tolist() for state in states), str(np.random.get_state())]


def _on_repeating(layers: Sequence[str], draws: bool, changes: Sequence[Change]) -> list[str]:
    if not layers:
        return []
    begun = f"The same images gave other features a second time, from layer {layers[0]} on"
    if draws or not changes:
        return [
            f"{begun}: the network is random in evaluation mode, and scores are lower for it. A dropout by function "
            "needs training=self.training; noise and random depth are to be left out in evaluation."
        ]
    return [
        f"{begun}: the network changes itself in every pass ({named(changes)}), and scores depend on the order of the "
        "images. Have it keep still in evaluation mode, or reset it at the beginning of forward."
    ]


def _on_the_batch(layers: Sequence[str]) -> list[str]:
    if not layers:
        return []
    return [
        f"An image's features depend on the other images of its batch, from layer {layers[0]} on, and so scores on "
        "batch_size and the order of the images. A batch normalisation needs running statistics "
        "(track_running_stats=True) for evaluation; operations across images are to be taken out."
    ]


def _on_those_before(layers: Sequence[str], changes: Sequence[Change]) -> list[str]:
    if not layers:
        return []
    return [
        f"The network changes itself when it runs ({named(changes)}), and an image's features depend on the images "
        f"before it, from layer {layers[0]} on. All is put back afterwards; where the first batch sets something, run "
        "the network on a batch beforehand."
    ]


def _on_time(untried: Sequence[str], seconds: float) -> list[str]:
    if not untried:
        return []
    return [f"A forward pass of two images takes {seconds:.0f} s, and so it was not tried {enumerated(untried)}."]
