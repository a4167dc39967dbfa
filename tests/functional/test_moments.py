"""Moments add, whatever their origin; and huge, tiny and far-off features cost no digits."""

import numpy as np
import pytest
import torch

from equiscope.functional.channel_maps import pools
from equiscope.functional.moments import GROUPS, Moments, Origin, Side, products_in, scale_of
from equiscope.functional.sampling import identity
from samples import moments_of as of_samples
from samples import related


def moments_of(expected, found, origins=(None, None)):
    """Of images of both sides, image i in group i modulo 10; cross products are made here."""
    images, channels, height, width = expected.shape
    moments = Moments.empty(channels, height * width, gram=torch.float64)
    moments.expected.origin, moments.found.origin = origins
    whole = identity(height, width)
    for image in range(images):
        group = image % GROUPS
        room = (torch.empty(expected[0].numel()), torch.empty(expected[0].numel()))
        one = moments.expected.add(group, expected[image : image + 1], whole, room[0])
        two = moments.found.add(group, found[image : image + 1], whole, room[1], own=moments.own[group], other=one)
        moments.cross[group] += one.flatten(1).double() @ two.flatten(1).double().T
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


def side_of(values, *, parts=1, scale=None):
    """A side of images `[image, channel, row, column]`, taken in a few at a time; each is a group of its own."""
    side = Side(values.shape[1], values.shape[2] * values.shape[3])
    whole = identity(*values.shape[2:])
    for group, image in enumerate(values):
        for some in image[None].expand(parts, -1, -1, -1).split(1):
            side.add(group, some, whole, torch.empty(some.numel()), scale=scale)
    return side


@pytest.mark.parametrize(("mean", "factor"), [(0.0, 1.0), (-3e4, 1.0), (0.0, 1e-18), (-3e4, 1e15)])
def test_a_side_sums_values_squares_and_maps_less_its_origin(mean, factor):
    values = (mean + torch.randn(5, 3, 4, 6, generator=torch.Generator().manual_seed(0))) * factor
    side = side_of(values)
    origin = side.origin
    exact = (values.double() - origin.pilot.double()[:, None, None]) * origin.scale
    tolerance = {"rtol": 1e-6, "atol": 1e-5 * float(exact.abs().max())}
    torch.testing.assert_close(side.total[:5], exact.sum((2, 3)), **tolerance)
    torch.testing.assert_close(
        side.square[:5], exact.square().sum((2, 3)), rtol=1e-5, atol=1e-5 * float(exact.square().max())
    )
    torch.testing.assert_close(side.maps, exact.sum(0).flatten(1), **tolerance)
    assert side.count.tolist() == [24.0] * 5 + [0.0] * 5
    torch.testing.assert_close(origin.pilot, values[:1].mean((0, 2, 3)))
    assert exact.square().max() > 1e-24


def test_moments_with_another_origin_are_the_same_moments():
    expected, found = related(23, 4, 5)
    moments = of_samples(expected, found)
    one, two = np.array([1.0, -2.0, 0.5, 8.0]), np.array([-1.0, 0.0, 0.25, 3.0])
    zero = Origin(torch.zeros(4))
    moments.expected.origin, moments.found.origin = zero, zero
    moments.rebased(Origin(torch.tensor(one).float(), 4.0), Origin(torch.tensor(two).float(), 0.5))
    theirs = of_samples((expected - one[:, None]) * 4, (found - two[:, None]) * 0.5)
    for (name, value), (_, other) in zip(moments.tensors(), theirs.tensors(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-10, atol=1e-9, msg=name)


def test_a_shared_side_is_rebased_once_and_an_empty_one_only_takes_the_origin():
    expected, found = related(12, 3, 4)
    shared, other = of_samples(expected, found), of_samples(expected, found)
    zero = Origin(torch.zeros(3))
    for moments in (shared, other):
        moments.expected.origin = moments.found.origin = zero
    origins = Origin(torch.ones(3)), Origin(torch.full((3,), 2.0))
    other.rebased(*origins)
    shared.rebased(*origins, shared=True)
    assert shared.expected.origin is zero and torch.equal(
        shared.expected.total, of_samples(expected, found).expected.total
    )
    shared.expected.rebased(origins[0])
    for (name, value), (_, theirs) in zip(shared.tensors(), other.tensors(), strict=True):
        torch.testing.assert_close(value, theirs, msg=name)
    empty = Moments.empty(3, 4)
    empty.rebased(*origins)
    assert empty.found.origin is origins[1] and not empty.found.total.any() and not empty.own.any()


@pytest.mark.parametrize("largest", [0.0, 1.0, 2.0**-30, 2.0**30, 3e-38, 1e-12, 1e12, 3e38, float("inf"), float("nan")])
def test_features_are_scaled_only_where_their_squares_would_not_do(largest):
    maps = torch.tensor([largest, largest / 8])
    scale = scale_of(maps)
    usual = largest == 0 or not np.isfinite(largest) or 2.0**-30 <= largest <= 2.0**30
    assert (scale == 1) == usual and np.log2(scale).is_integer()
    if not usual:
        assert 2.0**-31 <= largest * scale <= 2.0**31


def test_a_channel_that_is_not_finite_at_first_has_no_pilot():
    maps = torch.tensor([[[[1.0, 3.0]], [[torch.nan, 2.0]], [[torch.inf, 2.0]]]])
    assert Origin.of(maps).pilot.tolist() == [2.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("images", "kind"), [(1, torch.float32), (2560, torch.float32), (2561, torch.float64), (None, torch.float64)]
)
def test_products_of_many_images_are_summed_in_float64(images, kind):
    assert products_in(images) == kind
