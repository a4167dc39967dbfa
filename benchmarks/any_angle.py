"""A steerable network beside plain ones of equal size: their equivariance at every layer, and their Lie derivative.

The steerable network is exactly equivariant to rotations by 45 degrees, but for interpolation; the plain ones have as
many channels and random filters, sharp or smooth. Images are of CIFAR-10, faded out towards a disc, so that a rotation
takes nothing out of sight. Outputs are scaled to deviation 1 over images, as the Lie derivative depends on their scale.

    python benchmarks/any_angle.py ../shared/data/cifar10:test
"""

import sys

import torch
from torch import Tensor, nn

import equiscope as es
from equiscope_studies.steerable_networks import plain_network, steerable_network

IMAGES = 60
LOOK = es.Preprocessing(size=(32, 32), mean=(0.5,) * 3, std=(0.25,) * 3)
LAYERS = ["layer1", "layer2", "layer3", "orientation", "pool"]


def faded(images: Tensor) -> Tensor:
    """Images less their mean, that fade out between 0.7 and 1 of the distance from the centre to a side."""
    height, width = images.shape[-2:]
    down, right = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    away = ((torch.hypot(down, right) - 0.7) / 0.3).clamp(0, 1)
    return (images - images.mean((2, 3), keepdim=True)) * (1 + torch.cos(torch.pi * away)) / 2


def scaled(network: nn.Sequential, images: Tensor) -> nn.Sequential:
    """The network with outputs of mean 0 and deviation 1 over the images."""
    last = network[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        outputs = network(images)
        deviation = outputs.std(0)
        last.weight.div_(deviation[:, None])
        last.bias.copy_(-outputs.mean(0) / deviation)
    return network


def main() -> None:
    """Print both tables."""
    images = faded(torch.cat(list(es.open_images(sys.argv[1], LOOK, limit=IMAGES))))
    networks = {
        "steerable": steerable_network(), "plain": plain_network(), "plain, smooth": plain_network(width=1.6),
    }  # fmt: skip
    scoring = es.Scoring(measures=["invariance", "equivariance"])
    show("equivariance under 45 degrees (ceiling)", *LAYERS, "Lie derivative, rotation")
    for name, network in networks.items():
        network = scaled(network, images)
        scores = es.measure(network, images, es.rotation(45), layers=LAYERS, scoring=scoring).scores
        rows = scores[scores["measure"] == "equivariance"].set_index("layer").loc[LAYERS]
        error = es.metrics(network, images, "rot90", only=["lie_derivative"]).set_index("transformation")["value"]
        cells = [f"{row.score:.3f} ({row.ceiling:.3f})" for row in rows.itertuples()]
        show(name, *cells, f"{error['rotation']:.4f}")


def show(*cells: str) -> None:
    """A row of a table."""
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
