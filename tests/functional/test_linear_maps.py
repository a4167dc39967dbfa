"""The linear rung: mixing is undone, wide and thin layers are exact, and laws hold where maps compose."""

import pytest
import torch

from equiscope.functional import ridge
from equiscope.functional.channel_maps import BestChannels
from equiscope.functional.linear_maps import laws, linear_maps
from equiscope.functional.ridge import Grams, Regression
from functional.test_moments import moments_of


def regression_of(expected, found):
    moments = moments_of(expected, found)
    best = BestChannels(moments, range(10), centred=True, negative="clip", intervals=False, halves=True)
    return Regression(best, Grams.of(best))


def explained(regression):
    maps = linear_maps([regression])[0]
    square = torch.ones(len(regression.inverse), dtype=torch.float64)
    return [one.scores(square)[1] for one in (maps.ninths, maps.halves) if one is not None]


def random_maps(images, channels, size=3, seed=0):
    return torch.randn(images, channels, size, size, generator=torch.Generator().manual_seed(seed))


def mixed(maps, seed=1):
    mix = torch.linalg.qr(torch.randn(maps.shape[1], maps.shape[1], generator=torch.Generator().manual_seed(seed)))[0]
    return torch.einsum("cd,ndhw->nchw", mix, maps), mix


def test_mixed_channels_are_unmixed():
    expected = random_maps(60, 12)
    ninths, halves = explained(regression_of(expected, mixed(expected)[0]))
    assert ninths.min() > 0.99 and halves.min() > 0.98


def test_noise_is_not_explained():
    ninths = explained(regression_of(random_maps(40, 30), random_maps(40, 30, seed=5)))[0]
    assert -0.05 < ninths.mean() < 0.02


@pytest.mark.parametrize("images", [30, 400])
def test_single_precision_and_directions_change_nothing(images, monkeypatch):
    """Vectors of few images span fewer dimensions than they have channels, of many images as many."""
    expected = random_maps(images, 80, 1)
    found = 0.6 * mixed(expected)[0] + 0.4 * expected + 0.5 * random_maps(images, 80, 1, seed=7)
    narrow = regression_of(expected, found)
    assert (narrow.grams.directions is None) == (images == 400)
    one = torch.stack(explained(narrow))
    monkeypatch.setattr(ridge, "SMALL", 1000)
    monkeypatch.setattr(ridge, "SINGLE", 10)
    other = torch.stack(explained(regression_of(expected, found)))
    torch.testing.assert_close(one.nanmean(1), other.nanmean(1), atol=1e-4, rtol=0)


def test_the_gain_that_chooses_a_penalty_is_that_of_its_predictions():
    expected = random_maps(50, 10)
    regression = regression_of(expected, mixed(expected)[0] + random_maps(50, 10, seed=3))
    fitted = regression.fitted([k for k in range(10) if k != 4])
    choosing = regression.to_choose_by(fitted, [4])
    for penalty in ridge.PENALTIES:
        gain = choosing.gain(penalty, regression.grams.direct[4])
        num, var = regression.predicted(fitted, penalty, [4])
        torch.testing.assert_close(gain, (2 * num - var).sum(), atol=1e-8, rtol=1e-8)


def test_a_wide_layer_has_the_predictions_of_all_channels(monkeypatch):
    """Its penalty is chosen on some channels; sums over groups are exact, and each group's variance nearly."""
    expected = random_maps(60, 48)
    regression = regression_of(expected, 0.5 * mixed(expected)[0] + random_maps(60, 48, seed=3))
    fitted = regression.fitted(range(5))
    num, var = regression.predicted(fitted, 0.1, range(5, 10))
    maps = linear_maps([regression])[0]
    monkeypatch.setattr(ridge, "SINGLE", 16)
    monkeypatch.setattr(ridge, "SOME", 24)
    num_of_wide, var_of_wide = regression.predicted(fitted, 0.1, range(5, 10))
    torch.testing.assert_close(num_of_wide, num)
    torch.testing.assert_close(var_of_wide.sum(0), var.sum(0))
    torch.testing.assert_close(var_of_wide.sum(1), var.sum(1), rtol=0.1, atol=0)
    square = torch.ones(48, dtype=torch.float64)
    one, other = (its.ninths.scores(square)[1] for its in (linear_maps([regression])[0], maps))
    assert float(one.mean()) == pytest.approx(float(other.mean()), abs=0.005)


def test_transformations_regressed_together_have_the_maps_that_they_have_alone():
    expected = random_maps(60, 12)
    sides = [mixed(expected, seed)[0] + random_maps(60, 12, seed=seed) * seed / 2 for seed in (1, 2, 3)]
    alone = [regression_of(expected, found) for found in sides]
    together = linear_maps([Regression(one.best, alone[0].grams) for one in alone])
    for one, its in zip(alone, together, strict=True):
        torch.testing.assert_close(its.ninths.num, linear_maps([one])[0].ninths.num)


@pytest.mark.parametrize("wrong", [1.01, 1e10])
def test_a_correlation_matrix_that_rounding_has_broken_is_repaired(wrong):
    matrix = torch.full((3, 3), 1.0)
    matrix[0, 1] = matrix[1, 0] = wrong  # its least eigenvalue is below -penalty
    weights = ridge.Correlations(torch.ones(3), matrix).regressed(1e-3, torch.ones(3, 1))
    assert weights.isfinite().all() and (wrong > 2 or float(weights.sum()) == pytest.approx(1, abs=0.02))


def test_a_channel_that_varies_in_one_group_alone_predicts_nothing_elsewhere(monkeypatch):
    """In float32 its products in the other groups are rounding, which no scale may make large."""
    monkeypatch.setattr(ridge, "SINGLE", 10)
    expected = random_maps(60, 24)
    without, alone = expected.clone(), expected.clone()
    without[:, 0] = 0
    found = mixed(without)[0]
    alone[:, 0] *= 1e-5
    alone[3::10, 0] *= 1e5
    shares = [explained(regression_of(one, found))[0][1:] for one in (without, alone)]
    torch.testing.assert_close(*shares, atol=0.1, rtol=0)


def test_a_channel_far_smaller_than_others_loses_nothing():
    expected = random_maps(60, 12)
    found = mixed(expected)[0]
    plain = explained(regression_of(expected, found))[0]
    found[:, 3] *= 1e-12
    expected[:, 5] *= 1e-9
    torch.testing.assert_close(explained(regression_of(expected, found))[0], plain, atol=1e-4, rtol=0)


def test_maps_in_succession_predict_what_both_do():
    """Channels are mixed by a matrix of order four, so that twice is the product and four times the identity."""
    expected = random_maps(60, 8)
    turn = torch.zeros(8, 8)
    turn[torch.arange(8), torch.tensor([1, 2, 3, 0, 5, 6, 7, 4])] = 1
    basis = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(2)))[0]
    maps = {}
    for times, name in enumerate(("once", "twice", "thrice"), start=1):
        power = basis.T @ torch.linalg.matrix_power(turn, times) @ basis
        regression = regression_of(expected, torch.einsum("cd,ndhw->nchw", power, expected))
        maps[name] = linear_maps([regression])[0]
    products = [("once", "once", "twice"), ("once", "twice", "thrice"), ("once", "thrice", "identity")]
    assert min(laws(maps, products, torch.arange(8)).values()) > 0.98
    assert laws(maps, [("once", "once", "thrice")], torch.arange(8)).popitem()[1] < 0.5
