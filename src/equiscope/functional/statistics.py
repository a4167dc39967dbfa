"""Means that leave the undefined out, and 95 % confidence intervals."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 1000  # of the bootstrap
LEVEL = 0.95
LEAST_IMAGES = 20  # for an interval

Array = NDArray[np.float64]


def mean_of_defined(values: Array, axis: int = 0) -> Array:
    """The mean along an axis of what is not NaN; NaN where nothing is left.

    >>> mean_of_defined(np.array([[1.0, np.nan], [3.0, np.nan]])).tolist()
    [2.0, nan]
    """
    defined = ~np.isnan(values)
    count = defined.sum(axis)
    total = np.where(defined, values, 0.0).sum(axis)
    return np.asarray(np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0))


def resample_counts(images: int, seed: int) -> Array:
    """How often each bootstrap resample takes each image, `[resample, image]`."""
    generator = np.random.default_rng(seed)
    drawn = generator.integers(images, size=(RESAMPLES, images))
    counts = np.zeros((RESAMPLES, images))
    np.add.at(counts, (np.arange(RESAMPLES)[:, None], drawn), 1)
    return counts


def resampled_means(scores: Array, counts: Array) -> Array:
    """The mean of each row's defined scores in every resample: `[row, image]` -> `[row, resample]`."""
    defined = ~np.isnan(scores)
    total = np.where(defined, scores, 0.0) @ counts.T
    weight = defined.astype(np.float64) @ counts.T
    return np.asarray(np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0))


def percentile_interval(resampled: Array) -> tuple[Array, Array]:
    """The middle 95 % of each row's resampled means."""
    low, high = np.full(len(resampled), np.nan), np.full(len(resampled), np.nan)
    for row, values in enumerate(resampled):
        values = values[~np.isnan(values)]
        if values.size:
            low[row], high[row] = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return low, high


def jackknife_half_width(left_out: Array) -> Array:
    """Half the width of the delete-a-group jackknife's 95 % interval, from `[..., group left out]`.

    `t(.975, G - 1) sqrt((G - 1)/G sum_k (theta_k - mean)^2)` for G groups; NaN where a group's estimate is, and for
    fewer than two groups.

    >>> round(float(jackknife_half_width(np.array([0.4, 0.6]))), 3)
    1.271
    """
    groups = left_out.shape[-1]
    if groups < 2:
        return np.full(left_out.shape[:-1], np.nan)
    spread = ((left_out - left_out.mean(-1, keepdims=True)) ** 2).sum(-1)
    return np.asarray(stats.t.ppf((1 + LEVEL) / 2, groups - 1) * np.sqrt((groups - 1) / groups * spread))
