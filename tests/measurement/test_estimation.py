"""An estimate is of the layers, the memory and about the time of a measurement, and uses nothing up."""

import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.measurement.estimation import Estimate


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, stride=2))


def images(count=24):
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.filterwarnings("ignore:.*the edge of the search")
@pytest.mark.parametrize("options", [{}, {"scopes": ("dataset", "image")}, {"alignment": "registered"}], ids=str)
def test_an_estimate_is_of_what_is_measured_then(options):
    families, scoring = [es.rotations(), es.shifts([1])], es.Scoring(**options, registration_images=8)
    estimate = es.estimate(network(), images(), families, layers=["0", "2"], scoring=scoring)
    assert [layer.name for layer in estimate.layers.measured] == ["0", "2"] and estimate.images == 24
    scores = es.measure(network(), images(), families, layers=["0", "2"], scoring=scoring)
    assert scores.manifest["accumulators"] == {"bytes": estimate.budget.bytes, "passes": 1}
    assert estimate.seconds_per_image > 0 and estimate.seconds_apart > 0
    assert "2 layers, 4 transformations. About " in estimate.told() and "for 24 images:" in estimate.told()


def test_passes_are_counted_and_only_the_first_is_tried():
    lean = es.Run(memory=1e-4)
    estimate = es.estimate(network(), images(), es.shifts([1, 2, 3]), layers="0", run=lean)
    assert len(estimate.budget.passes) == 3 and "in 3 passes over the images" in estimate.told()


def test_an_estimate_leaves_images_and_network_as_they_are():
    batches, model = iter([images(4)]), network().train()
    with pytest.raises(ValueError, match="An estimate would use up these images"):
        es.estimate(model, batches, es.rotations())
    assert len(next(batches)) == 4
    es.estimate(model, [images(4)], es.rotations())
    assert model.training and not any(module._forward_hooks for module in model.modules())


def test_what_cannot_be_measured_cannot_be_estimated():
    with pytest.raises(ValueError, match="No layer matches 'blocks'"):
        es.estimate(network(), images(), layers="blocks")
    with pytest.raises(ValueError, match="memory=1e-06 GiB is too little"):
        es.estimate(network(), images(), run=es.Run(memory=1e-6))


@pytest.mark.parametrize(
    ("images", "seconds", "words"),
    [
        (None, 0.02, "About 20 ms an image, and 3 s apart from the images."),
        (100, 0.02, "About 5 s for 100 images: 20 ms an image."),
        (50_000, 0.02, "About 17 min for 50000 images"),
        (500_000, 0.1, "About 13.9 h for 500000 images: 100 ms an image."),
    ],
)
def test_it_is_told_in_sentences(images, seconds, words):
    plain = es.estimate(network(), torch.randn(4, 3, 12, 12), layers="0")
    assert words in Estimate(plain.layers, plain.budget, images, seconds, 3.0).told()
