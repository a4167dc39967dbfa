"""Rank correlations: what scipy says of them, and an interval that holds the truth as often as it says."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from equiscope_studies.survey.ranks import interval_over_networks, spearman, swap


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([3.0, 1.0, 2.0], [70.0, 60.0, 80.0]),
        ([0.1, 0.4, 0.3, 0.9, 0.6, 0.7], [70.0, 71.0, 72.0, 73.0, 74.0, 75.0]),
        ([0.1, 0.1, 0.3, 0.9, 0.6], [70.0, 71.0, 72.0, 72.0, 74.0]),
    ],
    ids=["three", "six", "ties"],
)
def test_rho_and_its_exact_p_are_scipys(x, y):
    found = spearman(np.array(x), np.array(y))
    by_scipy = stats.permutation_test(
        (x,), lambda x: stats.spearmanr(x, y).statistic, permutation_type="pairings", n_resamples=np.inf
    )
    assert found.rho == pytest.approx(by_scipy.statistic)
    assert found.p == pytest.approx(np.mean(np.abs(by_scipy.null_distribution) >= abs(by_scipy.statistic) - 1e-9))


def test_of_many_networks_p_is_drawn_and_nothing_is_told_of_equal_scores():
    x = np.arange(12.0)
    assert spearman(x, x).p < 1e-3
    assert spearman(x, x[::-1]).rho == -1
    assert np.isnan(spearman(np.ones(5), np.arange(5.0)).rho)


def test_a_swap_moves_rho_as_far_as_it_says():
    y = np.arange(6.0)
    moved = []
    for place, _ in pairwise(range(6)):
        swapped = y.copy()
        swapped[[place, place + 1]] = swapped[[place + 1, place]]
        for x in (y, np.array([0.0, 5, 1, 2, 3, 4])):
            moved.append(abs(spearman(x, y).rho - spearman(x, swapped).rho))
    assert (min(moved), max(moved)) == pytest.approx(swap(6))


def test_the_interval_over_networks_holds_the_truth_of_normal_samples():
    generator = np.random.default_rng(0)
    truth = 6 / np.pi * np.arcsin(0.7 / 2)  # Spearman's rho of a bivariate normal whose correlation is .7
    held = []
    for _ in range(2000):
        x, noise = generator.standard_normal((2, 8))
        rho = stats.spearmanr(x, 0.7 * x + np.sqrt(1 - 0.49) * noise).statistic
        low, high = interval_over_networks(rho, 8)
        if not np.isnan(low):
            held.append(low <= truth <= high)
    assert 0.93 <= np.mean(held) <= 0.99
    assert np.isnan(interval_over_networks(1.0, 8)).all() and np.isnan(interval_over_networks(0.5, 3)).all()
