"""Equivariant networks beside plain ones of equal size: ranked by the scores of every layer, and by the Lie derivative.

The equivariant ones are steerable networks, equivariant to rotations by 45 degrees but for interpolation (the project's
own, and escnn's `C8`) or to all rotations (escnn's `SO(2)`, whose channels rotate as vectors do: a linear map matches
them); those of escnn only where it is installed. The plain ones have as many channels and random filters. Images are of
CIFAR-10, faded out towards a disc, so that a rotation takes nothing out of sight.

The Lie derivative is that of the outputs, scaled to deviation 1 over images. It is compared once more where the
equivariant network sees the images' fine details (the image less its blur) and the plain one the blur.

    python benchmarks/any_angle.py ../shared/data/cifar10:test
"""

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

import equiscope as es
from equiscope_studies.escnn_networks import EscnnNetwork
from equiscope_studies.steerable_networks import Seeing, plain_network, steerable_network

IMAGES, SEEDS, BLUR = 60, range(5), 1.5
LOOK = es.Preprocessing(size=(32, 32), mean=(0.5,) * 3, std=(0.25,) * 3)
LAYERS = ("layer1", "layer2", "layer3")
NETWORKS: dict[str, tuple[Callable[[int], nn.Module], str]] = {  # and the measure that its channels ask for
    "steerable": (lambda seed: steerable_network(seed=seed), "equivariance"),
    "plain": (lambda seed: plain_network(seed=seed), "equivariance"),
}
PAIRS = [("steerable", "plain")]
if importlib.util.find_spec("escnn") is not None:
    NETWORKS |= {
        "escnn, C8": (lambda seed: EscnnNetwork("C8", seed=seed), "equivariance"),
        "escnn, SO(2)": (lambda seed: EscnnNetwork("SO(2)", seed=seed), "linear"),
        "escnn, none": (lambda seed: EscnnNetwork("none", seed=seed), "linear"),
    }
    PAIRS += [("escnn, C8", "escnn, none"), ("escnn, SO(2)", "escnn, none")]


def faded(images: Tensor) -> Tensor:
    """Images less their mean, that fade out between 0.7 and 1 of the distance from the centre to a side."""
    height, width = images.shape[-2:]
    down, right = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    away = ((torch.hypot(down, right) - 0.7) / 0.3).clamp(0, 1)
    return (images - images.mean((2, 3), keepdim=True)) * (1 + torch.cos(torch.pi * away)) / 2


@torch.no_grad()
def scaled(network: nn.Module, images: Tensor) -> nn.Module:
    """The network with outputs of mean 0 and deviation 1 over the images."""
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    outputs = network(images)
    last.weight.div_(outputs.std(0)[:, None])
    last.bias.copy_((last.bias - outputs.mean(0)) / outputs.std(0))
    return network


def by_layer(network: nn.Module, images: Tensor, angle: int, measure: str) -> list[str]:
    """The score of every layer and of the outputs, with its ceiling."""
    measures = ["invariance", "equivariance", "linear"]
    scoring = es.Scoring(measures=measures[: measures.index(measure) + 1])
    layers = [*LAYERS, "head"]
    scores = es.measure(network, images, es.rotation(angle), layers=layers, scoring=scoring, progress=False).scores
    rows = scores[scores["measure"] == measure].set_index("layer").loc[layers]
    return [f"{row.score:.3f} ({row.ceiling:.3f})" for row in rows.itertuples()]


def of_outputs(network: nn.Module, images: Tensor) -> tuple[float, float]:
    """The share of the outputs' variance that a rotation by 45 degrees changes, and their Lie derivative."""
    network = scaled(network, images)
    scoring = es.Scoring(measures=["invariance"], intervals=False)
    found = es.measure(network, images, es.rotation(45), layers=".output", scoring=scoring, progress=False).scores
    errors = es.metrics(network, images, "rot90", only=["lie_derivative"], progress=False)
    return 1 - float(found["explained"].iloc[0]), float(errors.set_index("transformation")["value"]["rotation"])


def derivatives(images: Tensor, seen: Mapping[bool, Callable[[nn.Module], nn.Module]]) -> list[Sequence[str]]:
    """A row a pair: what is changed and the Lie derivative, means over seeds, and how often each ranks them right."""
    rows: list[Sequence[str]] = []
    found: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    for names in PAIRS:
        for name, equivariant in zip(names, (True, False), strict=True):
            if (name, equivariant) not in found:
                build = NETWORKS[name][0]
                found[name, equivariant] = [of_outputs(seen[equivariant](build(seed)), images) for seed in SEEDS]
        one, other = (torch.tensor(found[key]) for key in zip(names, (True, False), strict=True))
        right = (one < other).sum(0).tolist()
        cells = [f"{a:.3f}, {b:.3f}" for a, b in zip(one.mean(0).tolist(), other.mean(0).tolist(), strict=True)]
        rows.append([" and ".join(names), cells[0], str(right[0]), cells[1], str(right[1])])
    return rows


def show(*cells: str) -> None:
    """A row of a table."""
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


def main() -> None:
    """Print all tables."""
    images = faded(torch.cat(list(es.open_images(sys.argv[1], LOOK, limit=IMAGES))))
    show("network", "angle", "measure", *LAYERS, "outputs")
    for name, (build, measure) in NETWORKS.items():
        for angle in (45, 30):
            for one in dict.fromkeys(("equivariance", measure)):
                show(name, str(angle), one, *by_layer(build(0), images, angle, one))
    alike = {True: lambda network: network, False: lambda network: network}
    apart = {
        True: lambda network: Seeing(network, BLUR, fine=True),
        False: lambda network: Seeing(network, BLUR, fine=False),
    }
    for what, seen in (("the same images", alike), ("fine details; blurred images", apart)):
        show(what, "changed", "seeds ranked right", "Lie derivative", "seeds ranked right")
        for row in derivatives(images, seen):
            show(*row)


if __name__ == "__main__":
    main()
