"""Samplings: where positions get their values from, by rows and columns and from anywhere."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equiscope.functional.sampling import Along, Axes, Gathered, identity, rearranged


@settings(max_examples=40, deadline=None)
@given(st.floats(-4, 4), st.floats(-4, 4))
def test_moving_a_ramp_by_part_of_a_position_is_exact(down, right):
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    sampling = identity(6, 7).moved(down, right)
    values = sampling.expected((2 * rows - 3 * columns)[None, None])
    there = [sampling.found(axis[None, None]) for axis in (rows, columns)]
    torch.testing.assert_close(values, 2 * (there[0] - down) - 3 * (there[1] - right), atol=1e-4, rtol=0)


@settings(max_examples=40, deadline=None)
@given(st.booleans(), st.booleans(), st.booleans(), st.sampled_from([(0, 0), (1, -2), (0.5, 0), (-0.25, 1.75)]))
def test_axes_and_gathered_are_the_same_action(transposed, up, left, offset):
    """The general sampling, made of where a map of places comes from, gives what the strided one does."""
    axes = rearranged(5, 5, transposed=transposed, up=up, left=left).moved(*offset)
    places = torch.arange(25.0).view(1, 1, 5, 5)
    valid = torch.zeros(25, dtype=torch.bool)
    valid[axes.found(places).flatten().long()] = True
    corners = torch.eye(25).view(25, 1, 5, 5)  # one map for every source: its weights at all valid positions
    weights = axes.expected(corners).reshape(25, -1)
    gathered = Gathered(torch.arange(25)[:, None].expand(25, axes.positions), valid.view(5, 5), weights)
    maps = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(gathered.expected(maps).flatten(2), axes.expected(maps).flatten(2))
    torch.testing.assert_close(gathered.found(maps).flatten(2), axes.found(maps).flatten(2))
    assert gathered.positions == axes.positions


def test_a_permutation_is_told_and_undone():
    order = torch.tensor([[2, 0, 3, 1]])
    gathered = Gathered(order, torch.ones(2, 2, dtype=torch.bool))
    maps = torch.randn(1, 1, 2, 2)
    assert gathered.permutes and not gathered.interpolated
    assert torch.equal(gathered.inverse.expected(gathered.expected(maps).view(1, 1, 2, 2)).view(1, 1, 2, 2), maps)
    assert not Gathered(torch.tensor([[0, 0, 1, 2]]), torch.ones(2, 2, dtype=torch.bool)).permutes
    assert not Axes(Along(4, 1, 1), Along(4)).permutes  # which loses a row


def test_no_position_is_valid_where_all_is_moved_out():
    sampling = Axes(Along(3, 1, -3), Along(3))
    assert sampling.positions == 0
    assert sampling.expected(torch.ones(1, 1, 3, 3)).numel() == 0 == sampling.found(torch.ones(1, 1, 3, 3)).numel()


def test_rounding_of_a_stride_costs_no_position():
    assert identity(4, 4).moved(3 * (1 / 3), 0).positions == 12


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"source": torch.tensor([[0, 1]]), "valid": torch.ones(1, 3, dtype=torch.bool)}, "3 valid positions"),
        ({"source": torch.tensor([[0, 5]]), "valid": torch.ones(1, 2, dtype=torch.bool)}, "lies outside"),
        ({"source": torch.tensor([[0], [0]]), "valid": torch.ones(1, 1, dtype=torch.bool)}, "needs their weights"),
    ],
)
def test_a_sampling_that_does_not_fit_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        Gathered(**given)


def test_a_grid_that_is_not_square_is_not_transposed():
    with pytest.raises(ValueError, match="2 x 3 positions is not square"):
        rearranged(2, 3, transposed=True)
