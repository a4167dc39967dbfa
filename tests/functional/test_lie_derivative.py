"""How images begin to change: against the resampled image, and where the answer is known."""

import numpy as np
import pytest
import torch

from equiscope.functional.lie_derivative import VELOCITIES, local_error, tangent


def resampled(row, moved):
    """A row of pixels, mirrored beyond its end, at its own places moved by a part of a pixel."""
    last = len(row) - 1
    places = (torch.linspace(-1, 1, len(row)) + 1) / 2 * last  # in float32, where some are rounded down
    found = []
    for number, place in enumerate(places.tolist()):
        pixel = int(np.floor(place))
        following = pixel + 1 if pixel < last else last - 1
        weight = number - pixel + moved
        found.append((1 - weight) * row[pixel] + weight * row[following])
    return np.array(found)


@pytest.mark.parametrize(("movement", "axis"), [("x", -1), ("y", -2)])
@pytest.mark.parametrize("size", [9, 11, 224])
def test_a_translation_is_that_of_the_resampled_image(movement, axis, size):
    images = torch.randn(1, 2, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    half, step = (size - 1) / 2, 1e-6
    rows = images.movedim(axis, -1)[0, 0, :3].numpy()
    expected = [(resampled(row, step * half) - resampled(row, -step * half)) / (2 * step) for row in rows]
    found = tangent(images, movement).movedim(axis, -1)[0, 0, :3]
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-6, atol=1e-6)


def test_movements_of_a_ramp_are_those_of_its_coordinates():
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 9, dtype=torch.float64)] * 2, indexing="ij")
    inside = (..., slice(0, -1), slice(0, -1))  # the last row and column look at their mirror image
    for ramp, along in ((x, 0), (y, 1)):
        for movement, velocity in VELOCITIES.items():
            found = tangent(ramp.expand(1, 1, 9, 9), movement)[0, 0]
            torch.testing.assert_close(found[inside], velocity(x, y)[along][inside])


def test_a_constant_image_does_not_change_and_one_of_one_pixel_neither():
    for movement in VELOCITIES:
        assert tangent(torch.ones(1, 2, 4, 3), movement).abs().max() == 0
        assert tangent(torch.ones(1, 1, 1, 1), movement).abs().max() == 0


def test_the_error_is_that_of_the_softmax_s_derivative():
    outputs, derivative = torch.randn(2, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    step = 1e-6
    found = ((outputs + step * derivative).softmax(1) - (outputs - step * derivative).softmax(1)) / (2 * step)
    torch.testing.assert_close(local_error(outputs, derivative), found.abs().mean(1), rtol=1e-6, atol=1e-9)
    assert local_error(outputs, torch.ones_like(outputs)).max() < 1e-12  # what is added to all changes nothing
