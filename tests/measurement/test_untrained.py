"""A randomly initialised network is measured with statistics of the images, alone or as the baseline of another."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.functional.transformations import frame
from equiscope.measurement.untrained import estimated_on

IMAGES = torch.nn.functional.interpolate(
    torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(0)), scale_factor=4, mode="bicubic"
)
LAYERS = "layer3.*"

pytestmark = pytest.mark.usefixtures("unchecked")


def test_statistics_of_the_images_make_the_channels_of_late_layers_differ():
    untrained = es.load_network("cifar-resnet20", weights="random", seed=1)
    before = {name: value.clone() for name, value in untrained.model.state_dict().items()}
    as_it_is = es.measure(untrained.model, IMAGES, es.flips(), layers=LAYERS)
    found = es.measure(untrained, IMAGES, es.flips(), layers=LAYERS)
    assert (found.layers["dimension"] > 1.5 * as_it_is.layers["dimension"]).all()
    assert found.manifest["statistics_estimated_on"] == 24 and as_it_is.manifest["statistics_estimated_on"] == 0
    assert found.manifest["model"] == "cifar-resnet20" and as_it_is.manifest["model"] == "CifarResNet"
    assert found.manifest["weights"]["source"] == "random (seed 1)"
    assert all(torch.equal(value, before[name]) for name, value in untrained.model.state_dict().items())


def test_a_baseline_is_measured_as_it_would_be_alone():
    network, untrained = (es.load_network("cifar-resnet20", weights="random", seed=seed) for seed in (1, 2))
    network = replace(network, random=False)
    both = es.measure(
        network, IMAGES, es.flips(), layers=LAYERS, baseline=untrained.model, run=es.Run(name="mine"), maps=1
    )
    assert both.baseline.maps is None and both.maps is not None
    assert both.manifest["model"] == "mine" and both.baseline.manifest["model"] == "mine, randomly initialised"
    alone = es.measure(untrained, IMAGES, es.flips(), layers=LAYERS)
    assert both.baseline.scores.equals(alone.scores) and both.baseline.baseline is None
    assert both.scores.equals(es.measure(network, IMAGES, es.flips(), layers=LAYERS).scores)


def test_what_cannot_be_a_baseline_is_refused_in_a_sentence():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match="the very weights of the network"):
        es.measure(model, IMAGES, baseline=model)
    with pytest.raises(ValueError, match="A baseline needs images that can be gone over again"):
        es.measure(model, iter([IMAGES]), baseline=nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    with pytest.raises(ValueError, match="needs images that can be gone over again, to estimate"):
        estimated_on(model, iter([IMAGES]), frame((32, 32), []), 8)
