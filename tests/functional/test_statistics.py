"""Means of what is defined, the bootstrap and the jackknife."""

import numpy as np
import pytest
from scipy import stats

from equiscope.functional.statistics import (
    jackknife_half_width,
    mean_of_defined,
    percentile_interval,
    resample_counts,
    resampled_means,
)

nan = np.nan


@pytest.mark.parametrize(
    ("values", "axis", "mean"),
    [
        ([1.0, nan, 3.0], 0, 2.0),
        ([nan, nan], 0, nan),
        ([[1.0, nan], [nan, 3.0]], 1, [1.0, 3.0]),
        ([[1.0, nan], [5.0, nan]], 0, [3.0, nan]),
    ],
)
def test_a_mean_leaves_out_what_is_not_defined(values, axis, mean):
    np.testing.assert_array_equal(mean_of_defined(np.array(values), axis), mean)


def test_the_jackknife_of_a_mean_is_its_t_interval():
    """Of ten groups of one number each, leaving one out in turn gives the standard error of the mean."""
    values = np.random.default_rng(0).standard_normal(10)
    without = np.array([np.delete(values, group).mean() for group in range(10)])
    half = jackknife_half_width(np.stack([without, without + 1]))
    expected = stats.t.ppf(0.975, 9) * values.std(ddof=1) / np.sqrt(10)
    np.testing.assert_allclose(half, expected)


def test_of_one_group_or_of_undefined_ones_there_is_no_interval():
    assert np.isnan(jackknife_half_width(np.array([0.5]))) and np.isnan(jackknife_half_width(np.array([0.5, nan])))


def test_every_resample_draws_as_many_images_as_there_are_and_a_seed_draws_the_same():
    counts = resample_counts(30, 3)
    assert counts.shape == (1000, 30) and (counts.sum(1) == 30).all()
    np.testing.assert_array_equal(counts, resample_counts(30, 3))
    assert (counts != resample_counts(30, 4)).any() and abs(counts.mean(0) - 1).max() < 0.15


def test_the_bootstrap_of_a_mean_is_about_its_normal_interval():
    values = np.random.default_rng(1).standard_normal(400)
    scores = np.stack([values, np.where(np.arange(400) % 2, nan, values), np.full(400, nan)])
    low, high = percentile_interval(resampled_means(scores, resample_counts(400, 0)))
    for row in range(2):
        there = scores[row][~np.isnan(scores[row])]
        half = 1.96 * there.std() / np.sqrt(len(there))
        np.testing.assert_allclose([low[row], high[row]], [there.mean() - half, there.mean() + half], atol=0.15 * half)
    assert np.isnan([low[2], high[2]]).all()
