"""The derivative of a network's features along a direction."""

import pytest
import torch
from torch import nn

from equiscope.networks.derivative import derivative_of
from equiscope.networks.features import Source


@pytest.fixture
def inputs():
    images, direction = torch.randn(2, 3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return images, direction


def test_of_a_linear_network_it_is_the_network_without_its_bias(inputs):
    images, direction = inputs
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5))
    features, derivative = derivative_of(network, images, direction, Source("2"))
    torch.testing.assert_close(features, network(images).detach())
    torch.testing.assert_close(derivative, (network(direction) - network(torch.zeros_like(direction))).detach())


def test_of_attention_and_in_place_operations_it_is_the_difference(inputs):
    images, direction = (one.double() for one in inputs)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    network = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU(inplace=True), nn.Flatten(2), nn.Linear(4, 8), layer)
    network = network.double().eval()
    _, derivative = derivative_of(network, images, direction, Source("4"))
    step = 1e-6
    with torch.no_grad():
        expected = (network(images + step * direction) - network(images - step * direction)) / (2 * step)
    torch.testing.assert_close(derivative, expected, atol=1e-6, rtol=1e-5)
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_layer_that_does_not_depend_on_the_images_has_none(inputs):
    class Constant(nn.Module):
        def forward(self, images):
            return torch.ones(len(images), 2)

    assert derivative_of(nn.Sequential(Constant()), *inputs, Source("0"))[1].abs().max() == 0
