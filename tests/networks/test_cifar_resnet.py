"""The residual networks for CIFAR have the depths and the parameters of the paper."""

import pytest

from equiscope.networks.cifar_resnet import cifar_resnet


@pytest.mark.parametrize("depth", [2, 18, 21])
def test_a_depth_that_makes_no_stages(depth):
    with pytest.raises(ValueError, match=f"depth is {depth}, but three stages of n blocks need 6 n"):
        cifar_resnet(depth)


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_parameters_are_as_many_as_in_the_papers_table_6(depth, millions):
    found = sum(weights.numel() for weights in cifar_resnet(depth).parameters()) / 1e6
    assert found == pytest.approx(millions, abs=0.05 if depth == 110 else 0.006)
