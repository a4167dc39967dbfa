"""The networks that studies train."""

import pytest
import torch

from equiscope_studies.training.networks import network


@pytest.mark.parametrize(
    ("name", "size", "channels", "weights"),
    [
        ("z2cnn", 28, 1, 22326),  # 20 (9 + 1) + 6 x 20 (180 + 1) + 7 x 40 + 6 x 21
        ("cifar-resnet8", 32, 3, 75030),
        ("wide-resnet10-2", 32, 3, 303190),
        ("wide-resnet10-2-half", 32, 3, 303190),
        ("convmixer-152x6", 28, 1, 170702),
        ("vit-48x6", 28, 1, 173190),
        ("mixer-56x6", 28, 1, 171884),
    ],
)
def test_networks_are_of_their_size_and_drawn_by_the_seed(name, size, channels, weights):
    first, again, other = (network(name, channels, size, 6, seed) for seed in (0, 0, 1))
    assert sum(one.numel() for one in first.parameters()) == weights
    assert first(torch.zeros(2, channels, size, size)).shape == (2, 6)
    assert not name.endswith("-half") or first.conv1(torch.zeros(1, 3, 32, 32)).shape[2:] == (16, 16)
    states = [torch.cat([one.flatten() for one in model.parameters()]) for model in (first, again, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_residual_networks_refuse_grey_images():
    with pytest.raises(ValueError, match="images of 3 channels, and these have 1"):
        network("wide-resnet10-1", 1, 28, 6)
