"""Two networks, measured as figures 4 and 7 measure theirs."""

import numpy as np
import pytest
from PIL import Image

from equiscope_studies.figures import Survey, figure7

NETWORKS = """
import torch
from torch import nn

def built(channels):
    torch.manual_seed(channels)
    widths = ((3, channels), (channels, 4), (4, 4))
    layers = [nn.Sequential(nn.Conv2d(*both, 3, padding=1), nn.ReLU()) for both in widths]
    layers[0][0] = nn.Conv2d(3, channels, 3, stride=16, padding=1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))

def narrow():
    return built(4)

def wide():
    return built(8)
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Twenty-four images of noise, and a file of two networks."""
    folder = tmp_path_factory.mktemp("survey")
    (folder / "nets.py").write_text(NETWORKS)
    (folder / "noise").mkdir()
    generator = np.random.default_rng(0)
    for number in range(24):
        pixels = generator.integers(256, size=(12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 48)).save(folder / "noise" / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def survey(folder):
    """The options of a figure of both networks; they take 224 pixels, as they declare nothing."""
    models = [f"{folder / 'nets.py'}:{name}" for name in ("narrow", "wide")]
    return Survey(models=models, source="noise", images=24, shifts=[4, 16], results=folder / "results")


@pytest.fixture(scope="session")
def of_figure7(folder, survey, read):
    """The numbers and the words of Figure 7, and what its measurements left."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Layer")  # random filters on noise have no centre to be found
        return read(figure7(folder, folder / "figure7", survey))
