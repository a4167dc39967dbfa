"""Figure 2 of a smaller network on few images."""

import os
from pathlib import Path

import pytest

from equiscope_studies.figures import figure2
from equiscope_studies.mean_activation import numbers

DATA = Path(os.environ.get("EQUISCOPE_DATA", Path(__file__).parents[4] / "shared" / "data"))
SMALLER = numbers.Settings(network="cifar-resnet20", weights="weights/resnet20-cifar10.safetensors")


@pytest.fixture(scope="session")
def of_figure2(tmp_path_factory, read):
    if not (DATA / SMALLER.weights).exists():
        pytest.skip("needs CIFAR-10 and the weights of ResNet-20: set EQUISCOPE_DATA")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbers, "SETTINGS", SMALLER)
        return read(figure2(DATA, tmp_path_factory.mktemp("figures") / "new" / "figure2", images=24))
