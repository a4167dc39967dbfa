"""Rank correlations over few networks: exact p-values, and intervals."""

from itertools import permutations
from math import factorial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
MOST_ENUMERATED = 8  # networks; of more, so many orders are drawn
ORDERS = 100_000
NORMAL = 1.96


class Correlation(NamedTuple):
    """Spearman's rho, its two-sided permutation p-value, and the least that this could be for so many networks."""

    rho: float
    p: float
    least_p: float


def spearman(x: Shaped[np.ndarray, "network"], y: Shaped[np.ndarray, "network"], seed: int = 0) -> Correlation:
    """Spearman's rank correlation of `x` and `y`, with its exact p-value: ties share their mean rank.

    The p-value is the part of all orders of `y` whose rho is at least as far from 0; of more than 8 values, of 100,000
    orders drawn by the seed and the one at hand. NaN where one side is all equal, or has a NaN.

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0]))
    Correlation(rho=0.5, p=1.0, least_p=0.3333333333333333)
    """
    count = len(x)
    least = 2 / factorial(count)
    if np.isnan(x).any() or np.isnan(y).any() or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(np.nan, np.nan, least)
    first, second = (stats.rankdata(values) - (count + 1) / 2 for values in (x, y))
    length = np.sqrt((first @ first) * (second @ second))
    rho = float(first @ second / length)
    if count <= MOST_ENUMERATED:
        orders = np.array(list(permutations(second)))
    else:
        generator = np.random.default_rng(seed)
        orders = np.vstack([second, generator.permuted(np.tile(second, (ORDERS, 1)), axis=1)])
    extreme = np.abs(orders @ first / length) >= abs(rho) - 1e-9
    return Correlation(rho, float(extreme.mean()), least)


def swap(count: int) -> tuple[float, float]:
    """By how much rho moves, at least and at most, as two networks of neighbouring accuracy change places.

    Their ranks of score may be 1 to `count - 1` apart: `12 apart / (count (count^2 - 1))`.

    >>> [round(change, 3) for change in swap(6)]
    [0.057, 0.286]
    """
    one = 12 / (count * (count**2 - 1))
    return one, one * (count - 1)


def interval_over_networks(rho: float, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of rho where networks are drawn at random, after Bonett and Wright (2000).

    Fisher's transform of rho has the standard error `sqrt((1 + rho^2 / 2) / (count - 3))`. NaN of fewer than four
    networks, and where all ranks agree: the formula would give an interval of no width.

    >>> [round(end, 2) for end in interval_over_networks(0.6, 6)]
    [-0.49, 0.96]
    """
    if count < 4 or not abs(rho) < 1:
        return np.nan, np.nan
    half = NORMAL * _spread(rho) / np.sqrt(count - 3)
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return float(low), float(high)


def rhos(scores: Float[np.ndarray, "draw network"], accuracy: Float[np.ndarray, "network"]) -> Array:
    """Spearman's rho of every row with the accuracies."""
    ranks = stats.rankdata(scores, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    ours = stats.rankdata(accuracy)
    ours -= ours.mean()
    length = np.sqrt((ranks**2).sum(1) * (ours @ ours))
    return np.asarray(np.divide(ranks @ ours, length, out=np.full(len(ranks), np.nan), where=length > 0))


def networks_needed(rho: float, level: float = 0.05, power: float = 0.8) -> int:
    """How many networks tell this rho from 0 at a two-sided level with that probability, by the same standard error.

    >>> [networks_needed(rho) for rho in (0.9, 0.7, 0.5)]
    [9, 16, 33]
    """
    both = float(stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power))
    return int(np.ceil(3 + (both * _spread(rho) / np.arctanh(rho)) ** 2))


def _spread(rho: float) -> float:
    """The standard error of Fisher's transform of a rank correlation, times the root of the networks less three."""
    return float(np.sqrt(1 + rho**2 / 2))
