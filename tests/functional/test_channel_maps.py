"""Best channels: ties, blocks, and partners that are chosen on other images than they are scored on."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equiscope.functional.channel_maps import BestChannels, cross_fitted, first_of_largest
from functional.test_moments import moments_of


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(0, 10))
def test_the_first_of_the_largest_is_found_in_blocks(columns, seed):
    values = torch.randint(0, 5, (7, columns), generator=torch.Generator().manual_seed(seed)).float()
    found = first_of_largest(values, torch.full((7,), 0.5))
    assert found.tolist() == [row.index(max(row)) for row in values.tolist()]


def best_of(expected, found, **options):
    kind = {"centred": True, "negative": "clip", "intervals": True, "halves": True} | options
    return BestChannels(moments_of(expected, found), range(10), **kind)


def test_a_permutation_of_channels_is_found_on_every_choice_of_groups():
    expected = torch.randn(30, 70, 2, 2, generator=torch.Generator().manual_seed(1))  # more channels than a block
    order = torch.randperm(70, generator=torch.Generator().manual_seed(2))
    best = best_of(expected, 3 * expected[:, order] + 1)
    assert len(best.pools) == 1 + 10 + 45 + 6
    for fit in map(best.fit, best.pools):
        assert torch.equal(fit.partner, order)
        torch.testing.assert_close(fit.slope, torch.full_like(fit.slope, 3), atol=1e-4, rtol=0)
    score, explained = cross_fitted(best)
    torch.testing.assert_close(score, torch.ones_like(score), atol=1e-5, rtol=0)
    torch.testing.assert_close(explained, torch.ones_like(score), atol=1e-4, rtol=0)


def test_equal_channels_are_tied_and_the_lowest_wins():
    expected = torch.randn(20, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    expected[:, 2] = expected[:, 1]
    assert best_of(expected, expected.clone()).fit(()).partner.tolist() == [0, 1, 1]


def test_a_partner_of_opposite_sign_is_one_only_where_signs_do_not_matter():
    expected = torch.randn(40, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    found = -expected[:, [1, 0]]
    assert cross_fitted(best_of(expected, found))[0].max() < 0.2
    both = best_of(expected, found, negative="abs")
    torch.testing.assert_close(cross_fitted(both)[0], torch.ones(2, dtype=torch.float64), atol=1e-5, rtol=0)


def test_noise_scores_about_nothing_where_its_maximum_does_not():
    generator = torch.Generator().manual_seed(3)
    expected, found = (torch.randn(40, 64, 1, 1, generator=generator) for _ in range(2))
    best = best_of(expected, found)
    assert best.in_sample().mean() > 0.3
    assert abs(float(cross_fitted(best)[0].mean())) < 0.05


def test_a_channel_that_is_constant_is_nobodys_partner():
    expected = torch.randn(20, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    expected[:, 1] = 2.0
    best = best_of(expected, expected.clone())
    assert best.defined.tolist() == [True, False, True]
    assert all(1 not in fit.partner[[0, 2]].tolist() for fit in map(best.fit, best.pools))
