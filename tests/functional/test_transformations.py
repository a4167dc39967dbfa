"""Transformations: their laws, and what a shift does at the border and between cells."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equiscope as es
import oracle
from equiscope.functional.transformations import moved, shift, shifted

INVERSES = {
    "rot90": "rot270",
    "rot180": "rot180",
    "rot270": "rot90",
    "hflip": "hflip",
    "vflip": "vflip",
    "transpose": "transpose",
    "antitranspose": "antitranspose",
}
BY_NAME = {transformation.name: transformation for transformation in es.d4().transformations}


def random_maps(height, width=None, seed=0):
    return torch.randn(2, 3, height, width or height, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", INVERSES)
def test_a_symmetry_and_its_inverse_leave_nothing_changed(name):
    images = random_maps(5)
    back = BY_NAME[INVERSES[name]].on_pixels(BY_NAME[name].on_pixels(images))
    assert torch.equal(back, images)
    assert not torch.equal(BY_NAME[name].on_pixels(images), images)


def test_a_quarter_turn_is_counter_clockwise():
    images = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert BY_NAME["rot90"].on_pixels(images).tolist() == [[[[2.0, 4.0], [1.0, 3.0]]]]


@settings(max_examples=60, deadline=None)
@given(st.integers(-6, 6), st.integers(-6, 6), st.sampled_from(["zero", "reflect", "wrap"]), st.integers(7, 9))
def test_a_shift_of_pixels_is_the_oracles(down, right, fill, width):
    images = random_maps(7, width)
    expected = oracle.on_pixels(images.double().numpy(), f"shift({down},{right})", fill)
    np.testing.assert_array_equal(shifted(images, down, right, fill).double().numpy(), expected)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(-12, 12),
    st.integers(-12, 12),
    st.sampled_from([(1, 1), (2, 2), (3, 3), (4, 2), (7, 5)]),
    st.sampled_from(["linear", "exact", "round"]),
)
def test_a_shift_of_cells_is_the_oracles(down, right, stride, subcell):
    maps = random_maps(5, 6)
    expected, valid = oracle.on_cells(maps.double().numpy(), f"shift({down},{right})", stride, subcell)
    action = shift(down, right, subcell=subcell).on_cells(maps, stride)
    if action is None:
        assert subcell == "exact" and not valid.any()
        return
    values, cells = action
    cells = torch.ones(5, 6, dtype=torch.bool) if cells is None else cells
    np.testing.assert_array_equal(cells.numpy(), valid)
    np.testing.assert_allclose(values[..., cells].numpy(), expected[..., valid], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.floats(-4, 4), st.floats(-4, 4))
def test_moving_a_ramp_by_part_of_a_cell_is_exact(down, right):
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    ramp = (2 * rows - 3 * columns)[None, None]
    values, valid = moved(ramp, down, right)
    valid = torch.ones(6, 7, dtype=torch.bool) if valid is None else valid
    expected = 2 * (rows - down) - 3 * (columns - right)
    torch.testing.assert_close(values[0, 0][valid], expected[valid], atol=1e-4, rtol=0)


@pytest.mark.parametrize("offsets", [[1.5], ["2"], [(1, 2, 3)], [None], [True], [(1, 0.5)]])
def test_a_shift_is_whole_pixels(offsets):
    with pytest.raises(ValueError, match="whole number of pixels or a pair"):
        es.shifts(offsets)


def test_shifts_are_given_once_and_at_least_one():
    with pytest.raises(ValueError, match=r"shift\(2,2\) is given 2 times"):
        es.shifts([2, (2, 2)])
    with pytest.raises(ValueError, match="at least one shift"):
        es.shifts([])
    assert [t.name for t in es.shifts(np.array([1, 2])).transformations] == ["shift(1,1)", "shift(2,2)"]
