"""How much a measurement costs beside the network's own forward passes, and beside the least it could cost.

All contestants take turns in one process, round by round, on the same images. Their cost is that of the images alone:
the clock starts when the second batch is asked for, and stops when there are no more; finding the layers before and
joining the sums afterwards is timed apart.

    python benchmarks/speed.py [--networks NAME ...] [--rounds N] [--batches N] [--device DEVICE] [--write FILE]
"""

import argparse
import platform
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from math import nan
from pathlib import Path
from statistics import median

import timm
import torch
import torchvision
from torch import Tensor, nn

import equiscope as es
from equiscope.functional.transformations import Family, Transformation
from equiscope.models.cifar_resnet import cifar_resnet
from equiscope.models.features import reading
from equiscope.models.layers import Layer, find_layers

FAMILIES = (es.shifts([1, 2, 4, 8]), es.rotations())
TURNS = (0.0, 0.5, 1.0, 1.5)  # no turn and three quarter turns; see `tmeasures_rotations`


@dataclass(frozen=True)
class Contest:
    """A network, and how its images come."""

    build: Callable[[], nn.Module]
    size: int  # pixels, both ways
    copies: int  # images in a forward pass, transformed ones included


NETWORKS = {
    "cifar-resnet44": Contest(lambda: cifar_resnet(44), 32, 256),
    "efficientnet-lite0": Contest(lambda: timm.create_model("tf_efficientnet_lite0"), 224, 32),
    "resnet50": Contest(lambda: torchvision.models.resnet50(), 224, 32),
    "vit_small_patch16_224": Contest(lambda: timm.create_model("vit_small_patch16_224"), 224, 32),
}
CONTESTANTS = {
    "a": "the forward passes alone",
    "b": "the forward passes, and one plain product per layer, image and transformation",
    "b2": "the forward passes, and two such products",
    "d": "`measure` without chance: both scopes, intervals",
    "c": "`measure`: both scopes, chance, intervals",
    "e": "tmeasures' `NormalizedVarianceInvariance`, rotations only",
}


@dataclass
class Times:
    """Seconds an image of every round, by contestant, and seconds of set-up of `c` and `d`."""

    image: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    setup: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def smooth_noise(size: int, images: int, batches: int) -> list[Tensor]:
    """Batches of noise in which neighbours are alike, as in photographs."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(batches * images, 3, size, size, generator=generator)
    smooth = nn.functional.avg_pool2d(noise, 5, stride=1, padding=2)
    return list((smooth / smooth.std()).split(images))


def with_copies(images: Tensor, transformations: Sequence[Transformation]) -> Tensor:
    """Images, and the same under every transformation, as one batch."""
    return torch.cat([images, *(one.on_pixels(images) for one in transformations)])


def valid_cells(layer: Layer, transformation: Transformation) -> int:
    """On how many cells of a layer a transformation is scored."""
    action = None if layer.vector else transformation.on_cells(torch.zeros(1, 1, *layer.layout.grid), layer.stride)
    cells = layer.height * layer.width
    return cells if action is None or action[1] is None else int(action[1].sum())


def forward_passes(network: nn.Module, batches: Sequence[Tensor]) -> None:
    """Contestant a."""
    with torch.no_grad():
        for batch in batches:
            network(batch)


def floor(
    network: nn.Module, layers: Sequence[Layer], family: Family, batches: Sequence[Tensor], products: int
) -> None:
    """Contestant b: a plain product of the valid cells of every channel with those of every channel."""
    members = family.transformations
    cells = {layer.name: [valid_cells(layer, one) for one in members] for layer in layers}
    layouts = {layer.name: layer for layer in layers}

    def receive(name: str, features: Tensor) -> None:
        still, *turned = layouts[name].maps(features).flatten(2).chunk(1 + len(members))
        for one, count in zip(turned, cells[name], strict=True):
            for _ in range(products):
                torch.bmm(one[..., :count], still[..., :count].mT)

    with reading(network, {layer.name: layer.source for layer in layers}, receive):
        forward_passes(network, batches)


def measure(network: nn.Module, family: Family, copies: int, batches: Sequence[Tensor], chance: bool) -> list[float]:
    """Contestants c and d: seconds of the images, and of set-up. Images of every jackknife group come before, to warm up."""
    marks = [time.perf_counter()]

    def counted() -> Iterator[Tensor]:
        for _ in range(-(-10 // len(batches[0]))):
            yield batches[0]
        marks.append(time.perf_counter())
        yield from batches
        marks.append(time.perf_counter())

    es.measure(network, counted(), transformations=family, batch_size=copies, chance=chance)
    marks.append(time.perf_counter())
    return [marks[2] - marks[1], marks[1] - marks[0] + marks[3] - marks[2]]


def tmeasures_rotations(
    network: nn.Module, layers: Sequence[Layer], copies: int, batches: Sequence[Tensor]
) -> None:
    """Contestant e, over the same layers and as many rotations.

    Its angles are multiplied by 180 and then taken for radians, so that it turns by something else than asked; what
    it costs is the same.
    """
    import tmeasures
    from tmeasures.pytorch.transformations.affine import RotationGenerator

    sources = {layer.name: layer.source for layer in layers}

    class Read(tmeasures.pytorch.ActivationsModule):
        def activation_names(self) -> list[str]:
            return list(sources)

        def forward_activations(self, images: Tensor) -> list[Tensor]:
            found: dict[str, Tensor] = {}
            with reading(network, sources, found.__setitem__):
                network(images)
            return list(found.values())

    options = tmeasures.pytorch.PyTorchMeasureOptions(batch_size=copies, verbose=False)
    images = torch.cat(list(batches))
    tmeasures.pytorch.NormalizedVarianceInvariance().eval(images, RotationGenerator(r=TURNS), Read(), options)


def loops_over_pairs(network: nn.Module, layers: Sequence[Layer], images: Tensor) -> None:
    """Contestant f: equivariance within each image under a quarter turn, channel pair by channel pair."""
    quarter = es.rotations().transformations[0]
    found: dict[str, Tensor] = {}
    by_name = {layer.name: layer for layer in layers}
    with reading(network, {layer.name: layer.source for layer in layers}, lambda name, x: found.update({name: by_name[name].maps(x)})):
        forward_passes(network, [with_copies(images, [quarter])])
    for maps in found.values():
        still, turned = maps.chunk(2)
        expected, _ = quarter.on_cells(still, None)
        for image in range(len(images)):
            for one in turned[image]:
                max(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1] for other in expected[image])


def contest(name: str, family: Family, rounds: int, batches: int, device: str) -> Times:
    """Let the contestants take turns."""
    chosen = NETWORKS[name]
    network = chosen.build().eval().to(device)
    members = family.transformations
    images = smooth_noise(chosen.size, max(2, chosen.copies // (1 + len(members))), batches)
    images = [batch.to(device) for batch in images]
    copies = [with_copies(batch, members) for batch in images]
    layers = find_layers(network, (3, chosen.size, chosen.size)).measured
    count = sum(len(batch) for batch in images)
    times = Times()

    def timed(key: str, run: Callable[[], None]) -> None:
        began = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        times.image[key].append((time.perf_counter() - began) / count)

    forward_passes(network, copies[:1])
    for _ in range(rounds):
        timed("a", lambda: forward_passes(network, copies))
        timed("b", lambda: floor(network, layers, family, copies, 1))
        timed("b2", lambda: floor(network, layers, family, copies, 2))
        for key, chance in (("d", False), ("c", True)):
            seconds, setup = measure(network, family, chosen.copies, images, chance)
            times.image[key].append(seconds / count)
            times.setup[key].append(setup)
        if family.name == "rotations":
            timed("e", lambda: tmeasures_rotations(network, layers, chosen.copies, images))
    return times


if __name__ == "__main__":
    parser = argparse.ArgumentParser(); parser.add_argument("--networks", nargs="+", default=list(NETWORKS)); parser.add_argument("--rounds", type=int, default=3); parser.add_argument("--batches", type=int, default=2); parser.add_argument("--device", default="cpu"); parser.add_argument("--families", nargs="+", default=["shifts","rotations"])
    parser.add_argument("--skip", default="")
    a = parser.parse_args()
    for n in a.networks:
        for f in FAMILIES:
            if f.name not in a.families: continue
            t = contest(n, f, a.rounds, a.batches, a.device)
            m = {k: median(v) for k, v in t.image.items()}
            print(n, f.name, {k: f"{v*1e3:.2f}ms" for k, v in m.items()}, f"d/b {m['d']/m['b']:.3f} c/b2 {m['c']/m['b2']:.3f}", f"e/c {m['e']/m['c']:.2f} e/d {m['e']/m['d']:.2f}" if 'e' in m else '', "setup", {k: round(median(v),2) for k, v in t.setup.items()}, flush=True)
