"""The metrics of `equiscope.metrics` beside those of the tools that define them, on the same images.

    python benchmarks/other_tools.py TOOLS IMAGES [--limit N] [--few N]

TOOLS is a folder with checkouts of `antialiased-cnns` (github.com/adobe), `lie-deriv` (github.com/ngruver) and
`tmeasures` (github.com/facundoq), whose own functions are called. IMAGES is a folder of images. The network is
EfficientNet-Lite0. The Lie derivative and the variance ratio are of the first `--few` images.
"""

import argparse
import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import equiscope as es

LAYERS = ("blocks.0.0", "blocks.2.1", "blocks.4.2", "blocks.6.0", "global_pool", "classifier")


class OnCpu:
    """Labels, which antialiased-cnns moves to a GPU and does not use."""

    def cuda(self, *_: Any, **__: Any) -> "OnCpu":
        """Itself."""
        return self


def consistency(tools: Path, model: nn.Module, larger: Tensor) -> float:
    """What `main.py --evaluate-shift` of antialiased-cnns prints, as a share; each image has crops of its own."""
    sys.path.insert(0, str(tools / "antialiased-cnns"))
    sys.argv = [sys.argv[0]]
    program = importlib.import_module("main")
    np.random.seed(0)
    options = SimpleNamespace(epochs_shift=5, gpu=None, print_freq=10**9)
    return float(program.validate_shift([(image[None], OnCpu()) for image in larger], model, options)) / 100


def local_errors(tools: Path, model: nn.Module, images: Tensor) -> dict[str, float]:
    """The mean of lie-deriv's errors of the class probabilities, by movement."""
    sys.path.insert(0, str(tools / "lie-deriv"))
    program = importlib.import_module("lee.lie_derivs")

    def probabilities(some: Tensor) -> Tensor:
        shares: Tensor = model(some).softmax(-1)
        return shares

    derivatives: dict[str, Callable[[Tensor], Tensor]] = {
        "x": lambda some: program.translation_lie_deriv(probabilities, some, axis="x"),
        "y": lambda some: program.translation_lie_deriv(probabilities, some, axis="y"),
        "rotation": lambda some: program.rotation_lie_deriv(probabilities, some),
        "scale": lambda some: program.scale_lie_deriv(probabilities, some),
    }
    return {
        name: float(torch.cat([derivative(some).detach().abs().mean(-1) for some in torch.split(images, 4)]).mean())
        for name, derivative in derivatives.items()
    }


def variance_ratios(tools: Path, model: nn.Module, images: Tensor) -> dict[str, float]:
    """The mean over units of tmeasures' `NormalizedVarianceInvariance` under rotations, by layer."""
    sys.path.insert(0, str(tools / "tmeasures"))
    tmeasures = importlib.import_module("tmeasures.pytorch")

    modules = dict(model.named_modules())
    activations = tmeasures.ActivationsModule(model, {name: modules[name] for name in LAYERS})
    transformations = [member.on_pixels for member in (*es.identity().transformations, *es.rotations().transformations)]
    options = tmeasures.PyTorchMeasureOptions(batch_size=4, num_workers=0, verbose=False)
    measured = tmeasures.NormalizedVarianceInvariance().eval(list(images), transformations, activations, options)
    return {name: float(ratios.mean()) for name, ratios in zip(LAYERS, measured.layers, strict=True)}


def tell(line: str) -> None:
    """A line of the table, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Print a line for each number: what it is, ours, theirs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tools", type=Path)
    parser.add_argument("images")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--few", type=int, default=40)
    given = parser.parse_args()
    network = es.load_network("efficientnet-lite0")
    model = network.model.requires_grad_(False)
    wider = replace(network.preprocessing, size=(256, 256), resize=256)
    images, larger = (
        torch.cat(list(es.open_images(given.images, one, limit=given.limit))) for one in (network.preprocessing, wider)
    )
    few = images[: given.few]
    lie = es.metrics(model, few, only="lie_derivative").set_index("transformation")["value"]
    for name, theirs in local_errors(given.tools, model, few).items():
        tell(f"Lie derivative, {name} {lie[name]:.5f} {theirs:.5f}")
    ratios = es.metrics(model, few, only="variance_ratio", layers=LAYERS).set_index("layer")["value"]
    for name, theirs in variance_ratios(given.tools, model, few).items():
        tell(f"variance ratio, {name} {ratios[name]:.5f} {theirs:.5f}")
    crops = es.metrics(model, images, larger=larger, only="agreement").set_index("transformation")["value"]["crops"]
    tell(f"crops {crops:.4f} {consistency(given.tools, model, larger):.4f}")


if __name__ == "__main__":
    main()
