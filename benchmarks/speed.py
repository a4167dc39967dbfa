"""What a measurement costs beside the least that it could cost: forward passes, and the products of the definition.

All contestants take turns in one process, round by round, on the same images. Their cost is that of the images alone:
finding the layers before is not in it, and making scores afterwards is timed apart, in the last round.

With one thread it is processor time, which other programs on the machine disturb less; with several, time by the clock.

On Linux the C library is told to keep the memory that was freed. Else each of the network's large features may be given
new pages, or not, by the turns that the process has taken before: that moves every contestant by up to a third.

    python benchmarks/speed.py [--networks NAME ...] [--families NAME ...] [--rounds N] [--threads N] [--device DEVICE]
        [--write FILE]
"""

import argparse
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from statistics import median

import timm
import torch
import torchvision
from torch import Tensor, nn

import equiscope as es
from equiscope.measurement.options import Scoring
from equiscope.measurement.plan import Action, Plan, planned
from equiscope.networks.cifar_resnet import cifar_resnet
from equiscope.networks.features import reading
from equiscope.system.progress import Progress

FAMILIES = {one.name: one for one in (es.rotations(), es.shifts([1, 2, 4, 8]))}
CONTESTANTS = {
    "a": "the forward passes alone",
    "b": "the forward passes, and one plain product per layer, image and transformation, and one per layer and image "
    "where the definition needs the Gram matrix",
    "d": "`measure` with all that it does by default: three measures, chance levels, intervals",
}


@dataclass(frozen=True)
class Contest:
    """A network, and how its images come."""

    build: Callable[[], nn.Module]
    size: int = 224  # pixels, both ways
    copies: int = 32  # images in a forward pass, transformed ones included
    images: int = 40


NETWORKS = {
    "cifar-resnet44": Contest(lambda: cifar_resnet(44), 32, 256, 640),
    "efficientnet-lite0": Contest(lambda: timm.create_model("tf_efficientnet_lite0")),
    "resnet50": Contest(lambda: torchvision.models.resnet50()),
    "vit_small_patch16_224": Contest(lambda: timm.create_model("vit_small_patch16_224")),
    "regnet_y_400mf": Contest(lambda: torchvision.models.regnet_y_400mf()),
    "resnet34": Contest(lambda: torchvision.models.resnet34()),
    "mobilenetv3_small_100": Contest(lambda: timm.create_model("mobilenetv3_small_100")),
    "convnext_atto": Contest(lambda: timm.create_model("convnext_atto")),
    "densenet121": Contest(lambda: torchvision.models.densenet121()),
}


@dataclass
class Times:
    """Seconds an image of every round, by contestant, and seconds after the last image of `d`."""

    image: dict[str, list[float]] = field(default_factory=lambda: {key: [] for key in CONTESTANTS})
    after: float = 0.0


def smooth_noise(size: int, images: int) -> Tensor:
    """Noise in which neighbours are alike, as in photographs."""
    noise = torch.randn(images, 3, size, size, generator=torch.Generator().manual_seed(0))
    smooth = nn.functional.avg_pool2d(noise, 5, stride=1, padding=2)
    return smooth / smooth.std()


def forward_passes(network: nn.Module, images: Tensor, family: es.Family, copies: int) -> None:
    """Contestant a."""
    some = copies // (1 + len(family.transformations))
    with torch.no_grad():
        for batch in torch.split(images, some):
            network(torch.cat([batch, *(one.on_pixels(batch) for one in family.transformations)]))


def floor(network: nn.Module, plan: Plan, images: Tensor, family: es.Family, copies: int) -> None:
    """Contestant b: plain products of all channels with all channels, in whichever of two ways is faster."""
    actions = {layer.name: plan.of_layer(layer) for layer in plan.found.measured}

    def receive(name: str, features: Tensor) -> None:
        its = actions[name]
        original, *found = its[0].layer.maps(features).flatten(2).chunk(1 + len(its))
        for one, maps in zip(its, found, strict=True):
            _multiply(maps, original, one)
        if "linear" in its[0].measures:
            _multiply(original, original, its[0])

    with reading(network, {layer.name: layer.source for layer in plan.found.measured}, receive):
        forward_passes(network, images, family, copies)


def _multiply(one: Tensor, other: Tensor, action: Action) -> None:
    assert action.sampling is not None
    positions = action.sampling.positions
    one, other = one[..., :positions], other[..., :positions]
    if one.shape[1] > 4 * positions:  # few positions of many channels: all images in one product
        torch.mm(one.transpose(0, 1).flatten(1), other.transpose(0, 1).flatten(1).T)
    else:
        torch.bmm(one, other.mT)


def clock() -> float:
    """Seconds: of the processor, where one thread computes, else by the clock."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


class Enough(Exception):
    """Raised after the last image of a round whose scores are not wanted."""


class Marks(Progress):
    """When the first and the last batch of images were done."""

    def __init__(self, last: int | None) -> None:
        self.times: list[float] = []
        self.images: list[int] = []
        self._last = last  # image, after which a round ends

    def advance(self, images: int) -> None:
        """Note the time."""
        self.times.append(clock())
        self.images.append(images)
        if self._last is not None and sum(self.images) >= self._last:
            raise Enough


def contest(name: str, family: es.Family, rounds: int, device: str) -> Times:
    """Let all contestants measure a network, round by round."""
    chosen = NETWORKS.get(name) or Contest(partial(timm.create_model, name))
    torch.manual_seed(0)
    network = chosen.build().eval().to(device)
    images = smooth_noise(chosen.size, chosen.images)
    plan = planned(network, (3, chosen.size, chosen.size), [family], None, Scoring())
    times = Times()
    on_device = images.to(device)

    def timed(key: str, run: Callable[[], None]) -> None:
        began = clock()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        times.image[key].append((clock() - began) / len(images))

    forward_passes(network, on_device[:1], family, chosen.copies)
    for number in range(rounds):
        timed("a", lambda: forward_passes(network, on_device, family, chosen.copies))
        timed("b", lambda: floor(network, plan, on_device, family, chosen.copies))
        marks = Marks(len(images) if number < rounds - 1 else None)
        with suppress(Enough):
            es.measure(network, images, family, batch_size=chosen.copies, progress=marks)
            times.after = clock() - marks.times[-1]
        times.image["d"].append((marks.times[-1] - marks.times[0]) / sum(marks.images[1:]))
    return times


HEADER = ["network", "family", "a, ms", "b, ms", "d, ms", "d / b", "after the last image, s", "spread"]


def row(name: str, family: es.Family, times: Times) -> list[str]:
    """A row of the table: milliseconds an image, and the median of the rounds' ratios."""
    found = {key: median(seconds) for key, seconds in times.image.items()}
    ratio = median(d / b for d, b in zip(times.image["d"], times.image["b"], strict=True))
    spread = max(max(seconds) / min(seconds) for seconds in times.image.values())
    cells = [name, family.name, *(f"{1000 * found[key]:.1f}" for key in ("a", "b", "d"))]
    return [*cells, f"{ratio:.2f}", f"{times.after:.1f}", f"{spread:.2f}"]


def machine(device: str) -> str:
    """What the benchmark ran on."""
    graphics = f", {torch.cuda.get_device_name()}" if device.startswith("cuda") else ""
    return f"{os.cpu_count()} CPU cores ({platform.machine()}), {torch.get_num_threads()} thread(s){graphics}"


def versions() -> str:
    """Of everything that was timed."""
    names = ("equiscope", "torch", "torchvision", "timm")
    return ", ".join(f"{name} {version(name)}" for name in names) + f", Python {platform.python_version()}"


def written(lines: Sequence[str], file: Path) -> None:
    """Put the lines between the marks of a page."""
    before, _, rest = file.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
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
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), help="of these, or of timm")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", type=Path, help="a page whose table is replaced")
    given = parser.parse_args()
    keep_memory()
    warnings.filterwarnings("ignore", module="torch")
    header = ["threads", *HEADER]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    sys.stdout.write("\n".join(lines) + "\n")
    for threads, name, chosen in product(given.threads, given.networks, given.families):
        torch.set_num_threads(threads)
        family = FAMILIES[chosen]
        cells = [str(threads), *row(name, family, contest(name, family, given.rounds, given.device))]
        lines.append("| " + " | ".join(cells) + " |")
        sys.stdout.write(lines[-1] + "\n")
        sys.stdout.flush()
    told = [
        f"{date.today().isoformat()}; {machine(given.device)}; {versions()}; medians of {given.rounds} rounds.",
        "",
        *(f"- {key}: {text}." for key, text in CONTESTANTS.items()),
        "",
        *lines,
    ]
    if given.write:
        written(told, given.write)


if __name__ == "__main__":
    main()
