"""Matching: ties, undefined channels, and signs."""

import pytest
import torch

from equiscope.functional.matching import matches, strongest
from equiscope.functional.similarity import side

nan = float("nan")


def test_ties_go_to_the_lowest_channel_and_undefined_channels_to_nobody():
    product = torch.tensor([[[2.0, 2.0, 9.0], [-1.0, -2.0, 9.0], [1.0, 1.0, 1.0]]])
    found = matches(product, torch.tensor([[2.0, 2.0, nan]]), torch.tensor([[1.0, 1.0, nan]]))
    assert found.partner.tolist() == [[0, 0, -1]]
    assert found.equivariance.nan_to_num(nan=-9).tolist() == [[1.0, 0.0, -9.0]]
    assert found.invariance.nan_to_num(nan=-9).tolist() == [[1.0, 0.0, -9.0]]


def test_nothing_defined_on_the_other_side_leaves_nothing():
    found = matches(torch.ones(1, 2, 2), torch.ones(1, 2), torch.tensor([[nan, nan]]))
    assert found.equivariance.isnan().all() and found.partner.tolist() == [[-1, -1]]


@pytest.mark.parametrize(
    ("negative", "equivariance", "partner"), [("clip", 0.0, 1), ("keep", -0.25, 1), ("abs", 0.5, 0)]
)
def test_the_partner_is_chosen_before_clipping_and_after_the_absolute_value(negative, equivariance, partner):
    product = torch.tensor([[[-0.5, -0.25], [-0.5, -0.25]]])
    found = matches(product, torch.ones(1, 2), torch.ones(1, 2), negative)
    assert found.equivariance[0, 0] == equivariance
    assert found.partner[0, 0] == partner


@pytest.mark.parametrize(("mean", "deviation"), [(0, 1), (1000, 1), (1, 4e-6), (-3e4, 30)])
def test_a_side_keeps_its_digits_far_from_zero(mean, deviation):
    maps = mean + deviation * torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    exact = maps.double().flatten(-2)
    centred = exact - exact.mean(-1, keepdim=True)
    found = side(maps)
    centring = found.centring
    mean = centring.found[:, :2].double().sum(1)
    torch.testing.assert_close(mean, exact.mean(-1), rtol=1e-9, atol=1e-7 * deviation)
    torch.testing.assert_close(found.values.double() / deviation, centred / deviation, atol=1e-6, rtol=0)
    unit = centred / centred.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(found.values.double() * centring.inverse.double()[..., None], unit, atol=1e-6, rtol=0)


def test_float_noise_on_a_bias_is_a_constant_and_a_faint_signal_is_not():
    noise = torch.randn(1, 2, 64, generator=torch.Generator().manual_seed(2))
    maps = torch.stack([0.3 + 5e-8 * noise[:, 0], 0.3 + 3e-6 * noise[:, 1]], dim=1)
    assert side(maps).centring.inverse.eq(0).tolist() == [[True, False]]


@pytest.mark.parametrize("channels", [1, 17, 48, 64, 67, 128, 320])
def test_the_strongest_is_the_first_largest_for_any_number_of_channels(channels):
    similarity = torch.randint(0, 9, (3, 50, channels), generator=torch.Generator().manual_seed(3)).float()
    similarity[0, :7] = -torch.inf
    best, place = strongest(similarity)
    assert best.equal(similarity.amax(-1))
    first = (similarity == best[..., None]).int().cumsum(-1).eq(0).sum(-1)
    assert place.equal(first)
