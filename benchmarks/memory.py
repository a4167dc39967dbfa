"""How much memory a measurement takes beside the network itself, in processes of their own.

python benchmarks/memory.py [--networks NAME ...] [--images N]
"""

import argparse
import resource
import subprocess
import sys

import torch
from speed import FAMILIES, NETWORKS, forward_passes, smooth_noise

import equiscope as es

GIB = 2**30


def peak(name: str, images: int, what: str) -> tuple[float, float]:
    """The most memory of this process, and that of the accumulators, in GiB."""
    chosen = NETWORKS[name]
    network = chosen.build().eval()
    family = FAMILIES["rotations"]
    given = smooth_noise(chosen.size, images)
    sums = 0
    if what == "forward":
        forward_passes(network, given, family, chosen.copies)
    else:
        scores = es.measure(network, given, family, batch_size=chosen.copies, progress=False)
        sums = scores.manifest["accumulators"]["bytes"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB, sums / GIB


def main() -> None:
    """Print a table: peak of the forward passes alone, of a measurement, its accumulators, and what is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        sys.stdout.write("{} {}".format(*peak(given.one[0], given.images, given.one[1])))
        return
    sys.stdout.write(
        "| network | forward passes, GiB | measure, GiB | of it the accumulators, GiB | the rest, GiB |\n"
        "|---|---|---|---|---|\n"
    )
    for name in given.networks:
        found = {}
        for what in ("forward", "measure"):
            run = [sys.executable, __file__, "--images", str(given.images), "--one", name, what]
            found[what] = [float(one) for one in subprocess.check_output(run, text=True).split()]
        (alone, _), (whole, sums) = found["forward"], found["measure"]
        sys.stdout.write(f"| {name} | {alone:.2f} | {whole:.2f} | {sums:.2f} | {whole - alone - sums:.2f} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
