"""Where the time of a measurement goes: how much of it in each of our loops, and how much around them.

    python benchmarks/time_spent.py [NETWORK] [--threads N]

Milliseconds an image with its shifted copies, without chance, over the batches of `speed.py` after a first one.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from speed import FAMILIES, NETWORKS, keep_memory, smooth_noise

import equiscope as es
from equiscope.functional import loops
from equiscope.measurement.recording import Recorder
from equiscope.measurement.streaming import ImageMemory, PairSums

PARTS = {
    "all that is ours": (Recorder, "receive"),
    "looking for NaN": (torch.linalg, "vector_norm"),
    "small layers": (loops, "_pair"),
    "centring": (loops, "_centre"),
    "products": (torch, "bmm"),
    "own products": (loops, "_multiply_own"),
    "sums and matches": (loops, "reduce"),
    "joining sums": (PairSums, "join"),
    "joining scores": (ImageMemory, "add"),
}


def timed(function: Callable[..., Any], name: str, seconds: dict[str, float]) -> Callable[..., Any]:
    """The function, which adds up how long it takes."""

    def run(*given: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*given, **options)
        finally:
            seconds[name] += time.perf_counter() - began

    return run


def main() -> None:
    """Measure once, and print the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", default="cifar-resnet44", choices=NETWORKS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    keep_memory()
    torch.set_num_threads(given.threads)
    chosen, shifts = NETWORKS[given.network], FAMILIES[0]
    images = smooth_noise(chosen.size, max(2, chosen.copies // (1 + len(shifts.transformations))), 1 + chosen.batches)
    seconds: dict[str, float] = defaultdict(float)
    for name, (owner, function) in PARTS.items():
        setattr(owner, function, timed(getattr(owner, function), name, seconds))

    def counted() -> Iterator[torch.Tensor]:
        yield images[0]
        seconds.clear()
        began = time.perf_counter()
        yield from images[1:]
        seconds["measure"] = time.perf_counter() - began
        found.update(seconds)

    found: dict[str, float] = {}
    es.measure(chosen.build().eval(), counted(), transformations=shifts, batch_size=chosen.copies, chance=False)
    for name in found:
        sys.stdout.write(f"{name:18} {1000 * found[name] / sum(map(len, images[1:])):7.2f}\n")


if __name__ == "__main__":
    main()
