"""How much a measurement costs beside the network's own forward passes, and beside the least it could cost.

All contestants take turns in one process, round by round, on the same images. Their cost is that of the images alone:
the clock starts when the second batch is asked for, and stops when there are no more; finding the layers before and
joining the sums afterwards is timed apart.

On Linux the C library is told to keep the memory that was freed. Else each of the network's large features may be given
new pages, or not, by the turns that the process has taken before: that moves every contestant by up to a third.

    python benchmarks/speed.py [--networks NAME ...] [--rounds N] [--threads N] [--device DEVICE] [--write FILE]
"""

import argparse
import os
import platform
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from itertools import product
from pathlib import Path
from statistics import median

import timm
import torch
import torchvision
from torch import Tensor, nn

import equiscope as es
from equiscope.functional.transformations import Family, Transformation
from equiscope.networks.cifar_resnet import cifar_resnet
from equiscope.networks.features import reading
from equiscope.networks.layers import Layer, find_layers

FAMILIES = (es.shifts([1, 2, 4, 8]), es.rotations())
TURNS = (0.0, 0.5, 1.0, 1.5)  # no turn and three quarter turns; see `tmeasures_rotations`


@dataclass(frozen=True)
class Contest:
    """A network, and how its images come."""

    build: Callable[[], nn.Module]
    size: int  # pixels, both ways
    copies: int  # images in a forward pass, transformed ones included
    batches: int  # forward passes in a round: so many that waiting images are joined meanwhile


NETWORKS = {
    "cifar-resnet44": Contest(lambda: cifar_resnet(44), 32, 256, 12),
    "efficientnet-lite0": Contest(lambda: timm.create_model("tf_efficientnet_lite0"), 224, 32, 2),
    "resnet50": Contest(lambda: torchvision.models.resnet50(), 224, 32, 2),
    "vit_small_patch16_224": Contest(lambda: timm.create_model("vit_small_patch16_224"), 224, 32, 2),
}
CONTESTANTS = {
    "a": "the forward passes alone",
    "b": "the forward passes, and one plain product per layer, image and transformation",
    "b2": "the forward passes, and two such products",
    "d": "`measure` without chance: both scopes, intervals",
    "c": "`measure`: both scopes, chance, intervals",
    "e": "tmeasures' `NormalizedVarianceInvariance` over the same layers, rotations only; its angles are multiplied by "
    "180 and then taken for radians, so that it turns by something else than asked, at the same cost",
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
    """Contestants c and d: seconds of the images, and of set-up; images of every jackknife group come first."""
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


def tmeasures_rotations(network: nn.Module, layers: Sequence[Layer], copies: int, batches: Sequence[Tensor]) -> None:
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
    """Contestant f: equivariance within each image under a quarter turn, one pair of channels after the other."""
    quarter = es.rotations().transformations[0]
    maps: dict[str, Tensor] = {}
    by_name = {layer.name: layer for layer in layers if not layer.vector}

    def receive(name: str, features: Tensor) -> None:
        maps[name] = by_name[name].maps(features).clone()

    with reading(network, {name: layer.source for name, layer in by_name.items()}, receive):
        forward_passes(network, [with_copies(images, [quarter])])
    for of_layer in maps.values():
        still, turned = of_layer.chunk(2)
        expected = quarter.on_cells(still, None)[0]
        for one_image, others in zip(turned, expected, strict=True):
            for one in one_image:
                max(float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]) for other in others)


def contest(name: str, family: Family, rounds: int, device: str) -> Times:
    """Let the contestants take turns."""
    chosen = NETWORKS[name]
    network = chosen.build().eval().to(device)
    members = family.transformations
    images = smooth_noise(chosen.size, max(2, chosen.copies // (1 + len(members))), chosen.batches)
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


def loops_row() -> str:
    """What f costs beside d, an image and all of the set-up apart, on the CIFAR network."""
    network = NETWORKS["cifar-resnet44"].build().eval()
    layers = find_layers(network, (3, 32, 32)).measured
    images = smooth_noise(32, 16, 1)
    began = time.perf_counter()
    loops_over_pairs(network, layers, images[0][:2])
    loops = (time.perf_counter() - began) / 2
    quarter = Family("quarter", es.rotations().transformations[:1])
    ours = measure(network, quarter, 32, images, chance=False)[0] / 16
    return (
        f"f. The definition as plain loops over pairs of channels, one quarter turn, cifar-resnet44: "
        f"{1000 * loops:.0f} ms an image; d: {1000 * ours:.1f} ms, {loops / ours:.0f} times less."
    )


def row(name: str, family: Family, times: Times) -> list[str]:
    """A row of the table: milliseconds an image, and ratios of medians."""
    found = {key: median(seconds) for key, seconds in times.image.items()}
    spread = max(max(seconds) / min(seconds) for seconds in times.image.values())
    cells = [name, family.name, *(f"{1000 * found[key]:.1f}" for key in ("a", "b", "d", "c"))]
    cells += [f"{found['d'] / found['b']:.2f}", f"{found['c'] / found['b2']:.2f}", f"{found['c'] / found['a']:.2f}"]
    cells += [f"{found['e'] / found['c']:.1f}" if "e" in found else ""]
    return [*cells, f"{median(times.setup['c']):.1f}", f"{spread:.2f}"]


HEADER = [
    "network", "family", "a, ms", "b, ms", "d, ms", "c, ms", "d / b", "c / b2", "c / a", "e / c", "set-up, s", "spread",
]  # fmt: skip


def machine(device: str) -> str:
    """What the benchmark ran on."""
    info = Path("/proc/cpuinfo")
    names = [line.split(": ")[1] for line in info.read_text().splitlines() if line.startswith("model name")]
    cpu = names[0] if names else platform.processor()
    graphics = f", {torch.cuda.get_device_name()}" if device.startswith("cuda") else ""
    return f"{cpu}, {torch.get_num_threads()} thread(s){graphics}"


def versions() -> str:
    """Of everything that was timed."""
    names = ("equiscope", "torch", "torchvision", "timm", "tmeasures")
    return ", ".join(f"{name} {version(name)}" for name in names) + f", Python {platform.python_version()}"


def written(lines: list[str], networks: Sequence[str], file: Path) -> None:
    """Put the lines between the marks of a page, in place of those there but for the rows of other networks."""
    before, _, rest = file.read_text().partition(BEGIN)
    there, _, after = rest.partition(END)
    others = [line for line in there.splitlines() if line.split(" | ")[0][2:] in set(NETWORKS) - set(networks)]
    first = next(place for place, line in enumerate(lines) if line.startswith("|---")) + 1
    count = sum(line.startswith("|") for line in lines[first:])
    rows = [*lines[first : first + count], *others]
    lines[first : first + count] = sorted(rows, key=lambda row: list(NETWORKS).index(row.split(" | ")[0][2:]))
    file.write_text(before + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + after)


KEEPING = {"MALLOC_TRIM_THRESHOLD_": str(2**32), "MALLOC_MMAP_THRESHOLD_": str(2**32)}
BEGIN, END = "<!-- benchmark -->", "<!-- end of benchmark -->"


def keep_memory() -> None:
    """Start again with a C library that keeps what was freed, unless this is so."""
    if sys.platform == "linux" and not os.environ.items() >= KEEPING.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEEPING)


def main() -> None:
    """Run the contest for every network and family, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", type=Path, help="a page whose table is replaced, but for rows of other networks")
    given = parser.parse_args()
    keep_memory()
    torch.set_num_threads(given.threads)
    warnings.filterwarnings("ignore", module="torch|tmeasures")
    lines = ["| " + " | ".join(HEADER) + " |", "|---" * len(HEADER) + "|"]
    sys.stdout.write("\n".join(lines) + "\n")
    for name, family in product(given.networks, FAMILIES):
        lines.append("| " + " | ".join(row(name, family, contest(name, family, given.rounds, given.device))) + " |")
        sys.stdout.write(lines[-1] + "\n")
        sys.stdout.flush()
    told = [
        f"{date.today().isoformat()}; {machine(given.device)}; {versions()}; medians of {given.rounds} rounds of "
        f"{', '.join(f'{one.batches} batches of {one.copies} ({name})' for name, one in NETWORKS.items())} images, "
        "transformed ones included.",
        "",
        *(f"- {key}: {text}." for key, text in CONTESTANTS.items()),
        "",
        *lines,
        "",
        loops_row(),
    ]
    sys.stdout.write(told[-1] + "\n")
    if given.write:
        written(told, given.networks, given.write)


if __name__ == "__main__":
    main()
