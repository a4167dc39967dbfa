"""The variance ratio: the definition in NumPy, batch by batch, and what is constant."""

import numpy as np
import torch

from equiscope.functional.variance_ratio import Spread


def ratio_of(features, sizes=(3, 4)):
    spread = Spread()
    for part in torch.split(features, list(sizes), 1):
        spread.add(part)
    return spread.ratio()


def test_the_ratio_is_the_definition_however_images_come():
    features = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(0)) + 100
    values = features.double().numpy()
    expected = values.std(0, ddof=1).mean(0) / values.std(1, ddof=1).mean(0)
    np.testing.assert_allclose(ratio_of(features), expected, rtol=1e-5)
    np.testing.assert_allclose(ratio_of(features, (1, 6)), expected, rtol=1e-5)


def test_units_that_never_change_and_units_that_always_do():
    of_images = torch.randn(7, generator=torch.Generator().manual_seed(0)).expand(4, 7)
    of_transformations = torch.arange(4.0)[:, None].expand(4, 7)
    features = torch.stack([of_images, of_transformations, torch.ones(4, 7)], -1)
    assert ratio_of(features).tolist() == [0.0, float("inf"), 1.0]


def test_one_image_has_no_ratio():
    assert ratio_of(torch.randn(4, 1, 3), (1,)).isnan().all()


def test_without_a_group_it_is_that_of_the_other_images():
    features = torch.randn(4, 25, 5, generator=torch.Generator().manual_seed(0)) + 100
    spread = Spread()
    for part in torch.split(features, [7, 18], 1):
        spread.add(part)
    others = [features[:, torch.arange(25) % 10 != group] for group in range(10)]
    expected = [ratio_of(some, (some.shape[1],)).mean() for some in others]
    torch.testing.assert_close(spread.left_out(), torch.stack(expected), rtol=1e-5, atol=0)
    few = Spread()
    few.add(features[:, :3])
    assert len(few.left_out()) == 3
