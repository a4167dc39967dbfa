"""The loss is one less what is explained, and has the gradient that it says."""

import pytest
import torch

import equiscope as es
from equiscope.functional.loss import equivariance_loss
from equiscope.functional.sampling import identity


def random_features(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_it_is_one_less_what_a_measurement_says_is_explained():
    """Of features that a layer gives for images and for images rotated; of the best channel, with a small softness."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 6, 3, padding=1, bias=False))
    network[0].weight.data = torch.rand(6, 1, 3, 3)  # so that no correlation is negative
    kernel = torch.rand(3, 3)
    network[0].weight.data[:4, 0] = torch.stack([torch.rot90(kernel, k) for k in range(4)])
    images = torch.randn(12, 1, 9, 9)
    explained = es.measure(network, images, "rot90").scores.set_index("measure")
    with torch.no_grad():
        features, rotated = network(images), network(torch.rot90(images, 1, (-2, -1)))
    invariance = es.functional.equivariance_loss(features, rotated, "rot90", measure="invariance")
    assert float(invariance) == pytest.approx(1 - explained["explained"]["invariance"], abs=1e-4)
    sharp = es.functional.equivariance_loss(features, rotated, es.rotations().transformations[0], softness=1e-4)
    in_sample = es.measure(network, images, "rot90").channels
    assert in_sample["partner"].head(4).tolist() == [3, 0, 1, 2]
    assert float(sharp) == pytest.approx(1 - explained["explained"]["equivariance"], abs=0.02)


@pytest.mark.parametrize("measure", ["invariance", "equivariance"])
@pytest.mark.parametrize(("name", "stride"), [("rot90", None), ("shift(1,-2)", (2, 2)), ("shift(1,1)", (1, 1))])
def test_its_gradient_is_that_of_its_value(measure, name, stride):
    sides = [random_features(3, 4, 5, 5, seed=seed).requires_grad_() for seed in (0, 1)]
    assert torch.autograd.gradcheck(
        lambda one, two: equivariance_loss(one, two, name, measure=measure, stride=stride), sides
    )


def test_vectors_have_a_loss_and_constant_channels_none():
    vectors = random_features(8, 5)
    permuted = vectors.flip(1)
    assert float(equivariance_loss(vectors, permuted, "rot90", softness=1e-3)) == pytest.approx(0, abs=1e-6)
    assert float(equivariance_loss(vectors, permuted, "rot90", measure="invariance")) > 0.5
    some = vectors.clone()
    some[:, 0] = 3
    assert float(equivariance_loss(some, some, "hflip", softness=1e-3)) == pytest.approx(0, abs=1e-6)
    nothing = torch.ones(8, 5, requires_grad=True)
    loss = equivariance_loss(nothing, nothing, "hflip")
    loss.backward()
    assert loss.isnan() and nothing.grad.abs().sum() == 0


def test_it_can_be_made_smaller():
    """Two filters become each other's mirror image."""
    images = random_features(20, 1, 8, 8).float()
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 2, 3)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        loss = equivariance_loss(network(images), network(images.flip(-1)), "hflip")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]


def test_what_is_no_pair_of_features_or_no_transformation_is_refused():
    maps = torch.randn(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"one shape.*\[2, 3, 4, 4\] and \[2, 3, 4\]"):
        equivariance_loss(maps, maps[..., 0], "rot90")
    with pytest.raises(ValueError, match="of one transformation"):
        equivariance_loss(maps, maps, "rotations")
    with pytest.raises(ValueError, match="needs the layer's stride"):
        equivariance_loss(maps, maps, "shift(1,1)")
    left_out = es.Transformation("none", torch.neg, lambda height, width, stride: None)
    with pytest.raises(ValueError, match="none is left out"):
        equivariance_loss(maps, maps, left_out)
    own = es.Transformation("own", torch.neg, lambda height, width, stride: identity(height, width))
    assert float(equivariance_loss(maps, maps, own, measure="invariance")) == pytest.approx(0, abs=1e-6)
