"""Transformations: their laws, what a shift does at the border, and the window that it moves."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equiscope as es
import oracle
from equiscope.functional.transformations import frame, product, shift, shifted, spans

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
def test_a_shift_of_positions_is_the_oracles(down, right, stride, subpixel):
    maps = random_maps(5, 6)
    expected, valid = oracle.on_positions(maps.double().numpy(), f"shift({down},{right})", stride, subpixel)
    sampling = shift(down, right, subpixel=subpixel).sampling(5, 6, stride)
    if sampling is None:
        assert subpixel == "exact" and not valid.any()
        return
    assert sampling.positions == valid.sum()
    places = torch.arange(30.0).view(1, 1, 5, 6)
    assert sampling.found(places).flatten().long().tolist() == np.flatnonzero(valid).tolist()
    np.testing.assert_allclose(sampling.expected(maps).flatten(2).numpy(), expected[..., valid], atol=1e-6)


@pytest.mark.parametrize("name", INVERSES)
def test_positions_go_where_pixels_go(name):
    maps = random_maps(4)
    sampling = BY_NAME[name].sampling(4, 4, None)
    assert sampling.permutes and not sampling.interpolated
    assert torch.equal(sampling.expected(maps), BY_NAME[name].on_pixels(maps))
    assert torch.equal(sampling.inverse.expected(BY_NAME[name].on_pixels(maps)), maps)


def test_products_are_what_doing_one_after_the_other_gives():
    images = random_maps(4)
    for first in BY_NAME.values():
        for second in BY_NAME.values():
            both = product(first, second)
            after = second.on_pixels(first.on_pixels(images))
            assert torch.equal(after, images if both == "identity" else BY_NAME[both].on_pixels(images))
    assert product(BY_NAME["rot90"], shift(1, 1)) is None
    assert product(shift(1, -2), shift(-1, 2)) == "identity"


def test_a_user_may_call_a_transformation_of_their_own_by_a_known_name_and_it_has_no_products():
    mine = es.Transformation("rot90", torch.neg, lambda height, width, stride: None)
    assert product(mine, BY_NAME["rot90"]) is None


def test_a_shift_that_crops_moves_the_window_the_other_way():
    shifts = es.shifts([2, (-1, 0)], fill="crop", size=5).transformations
    images = random_maps(9)
    view = frame((9, 9), shifts)
    original = view.original(images)
    assert original.shape[-2:] == (5, 5)
    moved = view.transformed(shifts[0], images)
    assert torch.equal(moved[..., 2:, 2:], original[..., :-2, :-2])  # and what enters is no zero, but the picture
    assert spans([es.Family("shifts", shifts)]) == (3, 2)
    with pytest.raises(ValueError, match="needs images at least 8 high"):
        frame((7, 7), shifts)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fill": "grey"}, "fill='grey' is not known; it is one of zero, reflect, wrap, crop."),
        ({"subpixel": "cubic"}, "subpixel='cubic' is not known; it is one of linear, exact, round."),
        ({"fill": "crop"}, r"fill=crop needs size=\(height, width\)"),
        ({"size": 5}, "size=5 is the window of fill=crop, and fill=zero was given."),
        ({"fill": "crop", "size": (0, 4)}, "must be a whole number of pixels, or a pair"),
    ],
)
def test_options_of_a_shift_are_checked(options, words):
    with pytest.raises(ValueError, match=words):
        es.shifts([1], **options)


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
