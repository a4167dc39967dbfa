"""What the ceiling costs: processor time of an image under rotations by 45 degrees, measured with and without it.

An image's time is what a measurement of more images takes longer than one of few, so that finding layers and making
scores are not in it. Both take turns; medians of the rounds.

    python benchmarks/ceiling.py [--networks NAME ...] [--rounds N] [--images N]
"""

import argparse
import sys
import time
from statistics import median
from unittest.mock import patch

import torch
from speed import NETWORKS, keep_memory, smooth_noise
from torch import Tensor, nn

import equiscope as es
from equiscope.measurement.layer_moments import Ceiling

FEW = 20  # images of the shorter measurement
SCORING = es.Scoring(measures=["invariance", "equivariance"], intervals=False)


def seconds(network: nn.Module, images: Tensor, copies: int, *, ceiling: bool) -> float:
    """The processor time of a measurement."""
    with patch.object(Ceiling, "of", Ceiling.of if ceiling else lambda *_: None):
        started = time.process_time()
        es.measure(network, images, es.rotations(every=45), scoring=SCORING, batch_size=copies, progress=False)
        return time.process_time() - started


def main() -> None:
    """Print a row a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["cifar-resnet44", "efficientnet-lite0"], choices=NETWORKS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=60)
    given = parser.parse_args()
    keep_memory()
    sys.stdout.write("| network | without the ceiling, ms | with it, ms | more |\n|---|---|---|---|\n")
    for name in given.networks:
        chosen = NETWORKS[name]
        network, images = chosen.build().eval(), smooth_noise(chosen.size, given.images)
        found: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(given.rounds):
            for ceiling, times in found.items():
                short, long = (seconds(network, images[:count], chosen.copies, ceiling=ceiling)
                               for count in (FEW, len(images)))  # fmt: skip
                times.append((long - short) / (len(images) - FEW))
        without, with_it = (1000 * median(times) for times in found.values())
        sys.stdout.write(f"| {name} | {without:.1f} | {with_it:.1f} | {with_it / without - 1:.0%} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
