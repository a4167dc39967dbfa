"""Means that leave the undefined out, the bootstrap and the jackknife."""

import numpy as np
from scipy import stats

from equiscope.functional.statistics import (
    jackknife_half_width,
    mean_of_defined,
    percentile_interval,
    resample_counts,
    resampled_means,
)


def test_the_undefined_is_left_out_of_means():
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(mean_of_defined(values, 1), [2.0, np.nan])


def test_the_jackknife_of_a_mean_is_its_t_interval():
    values = np.random.default_rng(0).normal(size=10)
    without = (values.sum() - values) / 9
    expected = stats.t.ppf(0.975, 9) * values.std(ddof=1) / np.sqrt(10)
    np.testing.assert_allclose(jackknife_half_width(without), expected)
    assert np.isnan(jackknife_half_width(np.array([0.5])))


def test_the_bootstrap_of_a_mean_is_about_its_normal_interval():
    scores = np.random.default_rng(1).normal(size=(1, 200))
    low, high = percentile_interval(resampled_means(scores, resample_counts(200, seed=0)))
    half = 1.96 * scores.std() / np.sqrt(200)
    np.testing.assert_allclose([low[0], high[0]], [scores.mean() - half, scores.mean() + half], atol=0.03)
    again = percentile_interval(resampled_means(scores, resample_counts(200, seed=0)))
    np.testing.assert_array_equal(again, (low, high))
