"""Samplings of maps: the oracle's, and the same whichever way they are written."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equiscope as es
import oracle
from equiscope.functional.sampling import Along, Axes, Gathered, identity, rearranged
from equiscope.functional.transformations import about, shift

SYMMETRIES = {one.name: one for one in (*es.d4().transformations, *es.identity().transformations)}
STRIDES = [(1, 1), (2, 2), (3, 3), (4, 2), (7, 5)]


def random_maps(height, width, seed=0):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


def assert_samples(sampling, maps, expected, valid):
    """Both sides at the valid positions are the oracle's, and so is what is told of them."""
    assert sampling.size == maps.shape[-2:] and sampling.positions == valid.sum()
    rows, columns = np.flatnonzero(valid.any(1)), np.flatnonzero(valid.any(0))
    assert valid.sum() == len(rows) * len(columns)
    at = np.ix_(range(len(maps)), range(maps.shape[1]), rows, columns)
    if sampling.positions:
        np.testing.assert_allclose(sampling.expected(maps), expected[at], atol=1e-6)
        np.testing.assert_array_equal(sampling.found(maps), maps.numpy()[at])


@pytest.mark.parametrize("name", SYMMETRIES)
def test_symmetries_of_positions_are_the_oracles_and_can_be_undone(name):
    maps = random_maps(5, 5)
    sampling = SYMMETRIES[name].sampling(5, 5, None)
    assert_samples(sampling, maps, *oracle.on_positions(maps.numpy(), name, None))
    assert sampling.permutes and not sampling.interpolated
    assert torch.equal(sampling.inverse.expected(sampling.expected(maps)), maps)
    assert torch.equal(sampling.expected(sampling.inverse.expected(maps)), maps)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(-12, 12), st.integers(-12, 12), st.sampled_from(STRIDES), st.sampled_from(["linear", "exact", "round"])
)
def test_shifts_of_positions_are_the_oracles(down, right, stride, subpixel):
    maps = random_maps(5, 6)
    expected, valid = oracle.on_positions(maps.double().numpy(), f"shift({down},{right})", stride, subpixel)
    sampling = shift(down, right, subpixel=subpixel).sampling(5, 6, stride)
    if sampling is None:
        assert subpixel == "exact" and not valid.any()
        return
    assert_samples(sampling, maps, expected, valid)
    assert sampling.interpolated == oracle.is_interpolated(f"shift({down},{right})", stride, subpixel)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(SYMMETRIES)), st.floats(-3, 3), st.floats(-3, 3))
def test_maps_that_are_moved_afterwards_are_the_oracles(name, down, right):
    down, right = round(down, 3), round(right, 3)
    maps = random_maps(5, 5)
    expected, valid = oracle.on_positions(maps.double().numpy(), name, None, offset=(down, right))
    assert_samples(about(SYMMETRIES[name], (down, right)).sampling(5, 5, None), maps, expected, valid)


@settings(max_examples=20, deadline=None)
@given(st.floats(-4, 4), st.floats(-4, 4))
def test_moving_a_ramp_by_part_of_a_position_is_exact(down, right):
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    ramp = (2 * rows - 3 * columns)[None, None]
    sampling = identity(6, 7).moved(down, right)
    moved = (2 * (rows - down) - 3 * (columns - right))[None, None]
    torch.testing.assert_close(sampling.expected(ramp), sampling.found(moved), atol=1e-4, rtol=0)


def test_a_fraction_that_is_rounding_costs_no_position():
    """One third of three positions is one."""
    step = Along(4, 1, -(1 / 3) * 3 - 1e-13)
    assert step.valid == range(1, 4) and step.weight == 0


def test_a_shift_by_more_than_the_map_leaves_no_position():
    sampling = shift(9, 0).sampling(4, 4, (2, 2))
    assert sampling.positions == 0 and not sampling.permutes and sampling.expected(random_maps(4, 4)).numel() == 0


def test_only_square_maps_are_transposed():
    with pytest.raises(ValueError, match="a map of 3 x 4 positions is not square"):
        rearranged(3, 4, transposed=True)
    assert rearranged(3, 4, up=True, left=True).permutes


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
    assert gathered.positions == axes.positions and gathered.size == axes.size
    assert isinstance(gathered, es.Sampling) and isinstance(axes, es.Sampling)


def test_what_is_a_sampling_is_told_without_computing_anything_of_it():
    class Own:
        """A sampling of a user's, whose members are not to be looked at."""

        size = positions = permutes = interpolated = inverse = window = property(lambda self: 1 / 0)

        def __init__(self):
            self.expected = self.found = torch.neg

    class Derived(es.Sampling):
        pass

    assert isinstance(Own(), es.Sampling) and not isinstance(torch.zeros(2), es.Sampling)
    assert isinstance(Derived(), es.Sampling) and not isinstance(Own(), Derived)


def test_a_permutation_is_told_and_undone():
    order = torch.tensor([[2, 0, 3, 1]])
    gathered = Gathered(order, torch.ones(2, 2, dtype=torch.bool))
    maps = torch.randn(1, 1, 2, 2)
    assert gathered.permutes and not gathered.interpolated
    assert torch.equal(gathered.inverse.expected(gathered.expected(maps).view(1, 1, 2, 2)).view(1, 1, 2, 2), maps)
    assert not Gathered(torch.tensor([[0, 0, 1, 2]]), torch.ones(2, 2, dtype=torch.bool)).permutes
    assert not Axes(Along(4, 1, 1), Along(4)).permutes  # which loses a row


def test_a_gathered_sampling_weighs_its_neighbours():
    maps = torch.tensor([[[[1.0, 2.0, 5.0]]]])
    sampling = Gathered(
        torch.tensor([[0, 1], [1, 2]]), torch.tensor([[True, False, True]]), torch.tensor([[0.25, 1.0], [0.75, 2.0]])
    )
    assert sampling.expected(maps).tolist() == [[[[1.75, 12.0]]]] and sampling.found(maps).tolist() == [[[[1.0, 5.0]]]]
    assert sampling.interpolated and not sampling.permutes
    twice = Gathered(torch.tensor([[0, 0]]), torch.ones(1, 2, dtype=torch.bool))
    assert not twice.permutes and not twice.interpolated


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
