"""Channels that take each other's place are found, also on grids that are displaced."""

import torch

from equiscope.functional.matching import matched


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_permutation_is_found_under_a_displacement_and_noise():
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    given = maps(6, 9, 10, 8)
    for displacement in ((0, 0), (1, -2), (2, 2)):
        found = given[:, order].roll(displacement, (-2, -1)) + 0.5 * maps(6, 9, 10, 8, seed=2)
        assert matched(given, found).tolist() == order.tolist()


def test_a_channel_that_is_as_good_as_the_best_or_constant_stays():
    given = maps(4, 3, 5, 5)
    alike = torch.cat([given[:, :1], 2 * given[:, :1], torch.ones(4, 1, 5, 5), given[:, 1:]], 1)
    assert matched(alike, alike).tolist() == [0, 1, 2, 3, 4]
    vectors = maps(20, 4, 1, 1)
    assert matched(vectors, vectors.flip(1)).tolist() == [3, 2, 1, 0]
