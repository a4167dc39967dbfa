"""Agreement and divergence of a network's answers, and the random views that they are of."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from equiscope.functional.outputs import agreement, cropped, divergence, rolled


def test_divergence_is_scipy_s():
    one, other = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    p, q = softmax(one.numpy(), 1), softmax(other.numpy(), 1)
    np.testing.assert_allclose(divergence(one, other), entropy(p, q, axis=1), rtol=1e-5)
    assert divergence(one, one).abs().max() == 0


def test_divergence_stays_finite_where_a_probability_is_almost_0():
    assert divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 1000.0]])).item() == pytest.approx(
        499.3068, abs=1e-3
    )


def test_agreement_is_of_the_first_class_whatever_is_added():
    outputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    assert agreement(outputs, 3 * outputs + 1).tolist() == [1.0] * 6
    assert agreement(outputs, -outputs).sum() == 0


def test_crops_and_rolls_are_those_of_each_image():
    images = torch.arange(2 * 3 * 5 * 6.0).view(2, 3, 5, 6)
    offsets = torch.tensor([[1, 2], [0, 3]])
    windows = cropped(images, offsets, (4, 3))
    assert torch.equal(windows[0], images[0, :, 1:5, 2:5]) and torch.equal(windows[1], images[1, :, :4, 3:])
    moved = rolled(images, offsets)
    assert moved[0, :, 1, 2].tolist() == images[0, :, 0, 0].tolist()
    assert torch.equal(moved[1], images[1].roll(3, -1))
