"""Moments add, whatever their origin; and huge, tiny and far-off features cost no digits."""

import pytest
import torch

from equiscope.functional.channel_maps import pools
from equiscope.functional.moments import GROUPS, Moments, Origin, products_in, scale_of
from equiscope.functional.sampling import identity


def moments_of(expected, found, origins=(None, None)):
    """Of images of both sides, image i in group i modulo 10; cross products are made here."""
    images, channels, height, width = expected.shape
    moments = Moments.empty(channels, height * width, gram=torch.float64)
    moments.expected.origin, moments.found.origin = origins
    whole = identity(height, width)
    for image in range(images):
        group = image % GROUPS
        room = (torch.empty(expected[0].numel()), torch.empty(expected[0].numel()))
        one = moments.expected.add(group, expected[image : image + 1], whole, room[0]).block
        two = moments.found.add(group, found[image : image + 1], whole, room[1], one)
        moments.own[group] += two.own
        moments.cross[group] += one.flatten(1).double() @ two.block.flatten(1).double().T
        moments.expected.gram[group] += one.flatten(1).double() @ one.flatten(1).double().T
    return moments


def sides(seed=0, images=23):
    generator = torch.Generator().manual_seed(seed)
    expected = torch.randn(images, 4, 3, 3, generator=generator)
    return expected, 0.5 * expected + torch.randn(images, 4, 3, 3, generator=generator)


def test_another_origin_changes_nothing_but_the_origin():
    expected, found = sides()
    here = moments_of(expected, found)
    other = Origin(torch.tensor([1.0, -2.0, 0.5, 3.0]), 4.0), Origin(torch.tensor([0.5, 1.0, -1.0, 2.0]), 4.0)
    there = moments_of(expected, found, other)
    there.rebased(here.expected.origin, here.found.origin)
    for (name, one), (_, two) in zip(here.tensors(), there.tensors(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_correlations_depend_on_neither_the_mean_nor_the_size_of_features(mean, factor):
    expected, found = sides()
    plain = pools(moments_of(expected, found), [range(10)])[0].own
    moved = pools(moments_of((expected + mean) * factor, (found + 2 * mean) * factor), [range(10)])[0].own
    torch.testing.assert_close(plain, moved, atol=1e-4, rtol=0)


def test_a_pool_is_the_images_of_its_groups():
    expected, found = sides()
    chosen = [0, 3, 4]
    pool = pools(moments_of(expected, found), [chosen])[0]
    some = [image for image in range(len(expected)) if image % 10 in chosen]
    one, two = (side[some].transpose(0, 1).flatten(1).double() for side in (expected, found))
    direct = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(one, two, strict=True)])
    torch.testing.assert_close(pool.own, direct, atol=1e-6, rtol=0)
    assert pool.count == len(some) * 9


def test_a_constant_channel_has_no_correlation():
    expected, found = sides()
    expected[:, 1], found[:, 2] = 3.7, 0.0
    assert pools(moments_of(expected, found), [range(10)])[0].own.isnan().tolist() == [False, True, True, False]


def test_the_scale_is_one_for_usual_features():
    assert scale_of(torch.randn(3)) == scale_of(torch.zeros(3)) == scale_of(torch.tensor([torch.nan])) == 1.0


def test_products_of_few_images_are_added_up_in_single_precision():
    assert products_in(500) == torch.float32
    assert products_in(None) == products_in(100_000) == torch.float64
