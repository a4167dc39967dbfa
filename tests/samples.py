"""Moments of samples that are at hand, in float64 and by NumPy."""

import numpy as np
import torch

from equiscope.functional.moments import GROUPS, Moments


def moments_of(expected, found, *, gram=True, products=torch.float64):
    """The moments of two sides `[image, channel, position]`; the group of an image is its place modulo 10."""
    images, channels, positions = found.shape
    moments = Moments.empty(channels, positions, cross=products, gram=products if gram else None)
    for image in range(images):
        group = image % GROUPS
        for side, values in ((moments.expected, expected[image]), (moments.found, found[image])):
            side.count[group] += positions
            side.total[group] += torch.from_numpy(values.sum(1))
            side.square[group] += torch.from_numpy((values**2).sum(1))
            side.maps += torch.from_numpy(values)
        one, two = expected[image], found[image]
        moments.own[group] += torch.from_numpy((one * two).sum(1))
        moments.cross[group] += torch.from_numpy(one @ two.T)
        if gram:
            moments.expected.gram[group] += torch.from_numpy(one @ one.T)
    return moments


def related(images, channels, positions, *, seed=0, mixing=0.6, noise=0.7):
    """Two sides of which the found one is, channel by channel, another of the expected ones, mixed, and noise."""
    random = np.random.default_rng(seed)
    common = random.standard_normal((images, channels, 1))
    expected = random.standard_normal((images, channels, positions)) + common
    matrix = (
        np.eye(channels)[random.permutation(channels)] + mixing * random.standard_normal((channels,) * 2) / channels
    )
    found = np.einsum("dc,icp->idp", matrix, expected) + noise * random.standard_normal(expected.shape)
    return expected, found
