"""How long one wide layer takes after the last image: linear maps, intervals and tables under three rotations.

python benchmarks/wide.py [--channels N] [--images N] [--threads N]
"""

import argparse
import sys
import time

import torch
from torch import nn

import equiscope as es
from equiscope.system.progress import Progress


class Last(Progress):
    """When the last batch of images was done: by the clock, and in processor time."""

    marks = (0.0, 0.0)

    def advance(self, images: int) -> None:
        """Note the time."""
        self.marks = time.perf_counter(), time.process_time()


def main() -> None:
    """Print the seconds of a random convolution's features of noise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=2048)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(given.threads)
    network = nn.Sequential(nn.Conv2d(3, given.channels, 7, stride=2, padding=3), nn.ReLU())
    last = Last()
    es.measure(network, torch.rand(given.images, 3, 14, 14), es.rotations(), layers=["1"], progress=last)
    by_clock, of_processor = time.perf_counter() - last.marks[0], time.process_time() - last.marks[1]
    sys.stdout.write(
        f"{given.channels} channels, {given.images} images, {given.threads} threads: {by_clock:.1f} s after the last "
        f"image by the clock, {of_processor:.1f} s of the processor\n"
    )


if __name__ == "__main__":
    main()
