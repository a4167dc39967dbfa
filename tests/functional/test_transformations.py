"""Transformations of images: their laws, what a shift does at the border, and the window that shifts move."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equiscope as es
import oracle
from equiscope.functional.affine import product
from equiscope.functional.transformations import frame, shifted, spans

INVERSES = {
    "rot90": "rot270",
    "rot180": "rot180",
    "rot270": "rot90",
    "hflip": "hflip",
    "vflip": "vflip",
    "transpose": "transpose",
    "antitranspose": "antitranspose",
}
BY_NAME = {one.name: one for one in (*es.d4().transformations, *es.identity().transformations)}


def random_images(height, width=None, seed=0):
    return torch.randn(2, 3, height, width or height, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", INVERSES)
def test_a_symmetry_is_the_oracles_and_its_inverse_undoes_it(name):
    images = random_images(5)
    changed = BY_NAME[name].on_pixels(images)
    np.testing.assert_array_equal(changed.double(), oracle.on_pixels(images.double().numpy(), name))
    assert torch.equal(BY_NAME[INVERSES[name]].on_pixels(changed), images) and not torch.equal(changed, images)


def test_a_quarter_turn_is_counter_clockwise():
    images = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert BY_NAME["rot90"].on_pixels(images).tolist() == [[[[2.0, 4.0], [1.0, 3.0]]]]


def test_the_product_is_the_second_after_the_first():
    images = random_images(4)
    for first in BY_NAME.values():
        for second in BY_NAME.values():
            both = second.on_pixels(first.on_pixels(images))
            assert torch.equal(BY_NAME[product(first, second)].on_pixels(images), both)
    assert product(es.shift(1, 2), es.shift(-1, 3)) == "shift(0,5)"
    assert product(es.shift(1, 2), es.shift(-1, -2)) == "identity"
    own = es.Transformation("rot90", torch.clone, BY_NAME["rot90"].on_positions)  # ours by name alone
    assert product(own, own) is product(es.shift(1, 0), BY_NAME["rot90"]) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(-6, 6), st.integers(-6, 6), st.sampled_from(["zero", "reflect", "wrap"]), st.integers(7, 9))
def test_a_shift_of_pixels_is_the_oracles(down, right, fill, width):
    images = random_images(7, width)
    expected = oracle.on_pixels(images.double().numpy(), f"shift({down},{right})", fill)
    np.testing.assert_array_equal(shifted(images, down, right, fill).double().numpy(), expected)
    np.testing.assert_array_equal(es.shift(down, right, fill=fill).on_pixels(images).double().numpy(), expected)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("offsets", [["2"], [(1, 2, 3)], [None], [True], [(1, float("nan"))], [float("inf")]])
def test_a_shift_is_a_number_of_pixels_or_two(offsets):
    with pytest.raises(ValueError, match="a number of pixels or a pair"):
        es.shifts(offsets)


@pytest.mark.usefixtures("unchecked")
def test_shifts_are_given_once_and_at_least_one():
    with pytest.raises(ValueError, match=r"shift\(2,2\) is given 2 times"):
        es.shifts([2, (2, 2)])
    with pytest.raises(ValueError, match="at least one shift"):
        es.shifts([])
    with pytest.raises(ValueError, match="takes a list of shifts"):
        es.shifts(3)
    assert [one.name for one in es.shifts(np.array([1, 2])).transformations] == ["shift(1,1)", "shift(2,2)"]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fill": "grey"}, "fill='grey' is not known; it is one of zero, reflect, wrap, crop"),
        ({"subpixel": "cubic"}, "subpixel='cubic' is not known; it is one of linear, exact, round"),
        ({"fill": "crop"}, "fill=crop needs size=.height, width."),
        ({"size": 12}, "size=12 is the window of fill=crop, and fill=zero was given"),
        ({"size": 0, "fill": "crop"}, "size=0 must be a whole number of pixels"),
        ({"size": "8", "fill": "crop"}, "size='8' must be a whole number of pixels"),
        ({"size": (8, 8, 8), "fill": "crop"}, "or a pair .height, width."),
    ],
)
def test_options_of_shifts_are_checked(options, words):
    for made in (lambda: es.shifts([1], **options), lambda: es.shift(1, 0, **options)):
        with pytest.raises(ValueError, match=words):
            made()


# --- the window


def test_crop_moves_a_central_window_over_what_is_there():
    images = random_images(20, 21)
    shifts = es.shifts([3, (-2, 1)], fill="crop", size=12)
    view = frame((20, 21), shifts.transformations)
    assert (view.height, view.width) == (12, 12) and spans([shifts]) == (5, 3)
    assert (view.top, view.left) == ((20 - 12 - 5) // 2 + 3, (21 - 12 - 3) // 2 + 3)
    original = view.original(images)
    assert torch.equal(original, images[..., view.top : view.top + 12, view.left : view.left + 12])
    moved = view.transformed(shifts.transformations[0], images)
    assert torch.equal(moved[..., 3:, 3:], original[..., :-3, :-3])
    assert torch.equal(moved[..., :3, :], images[..., view.top - 3 : view.top, view.left - 3 : view.left + 9])
    turned = view.transformed(BY_NAME["rot90"], images)
    assert torch.equal(turned, torch.rot90(original, 1, (-2, -1)))


def test_without_crop_the_window_is_the_whole_image():
    view = frame((9, 8), [*es.shifts([3]).transformations, BY_NAME["hflip"]])
    assert (view.top, view.left, view.height, view.width) == (0, 0, 9, 8)


@pytest.mark.parametrize(
    ("shifts", "words"),
    [
        (
            [es.shift(3, 0, fill="crop", size=18)],
            "a window of 18 x 18 and shifts over 3 pixels needs images at least 21 high",
        ),
        ([es.shift(0, -3, fill="crop", size=18)], "at least 21 wide; these are 20 x 20"),
        ([es.shift(1, 0, fill="crop", size=8), es.shift(2, 0, fill="crop", size=(8, 9))], "must share one size="),
    ],
)
def test_windows_that_do_not_fit_are_told(shifts, words):
    with pytest.raises(ValueError, match=words):
        frame((20, 20), shifts)


# --- of the user's own


def test_ones_own_is_given_a_copy_of_the_images_and_keeps_their_shape():
    images = random_images(6)
    before, view = images.clone(), frame((6, 6), [])
    in_place = es.Transformation("negative", lambda x: x.neg_(), BY_NAME["identity"].on_positions)
    assert torch.equal(view.transformed(in_place, images), -before) and torch.equal(images, before)
    for action, words in (
        (lambda x: x[..., ::2], r"makes images of shape \[2, 3, 6, 3\] of images of shape \[2, 3, 6, 6\]"),
        (lambda x: None, "of type NoneType"),
        (lambda x: 1 / 0, r"own cannot be applied to images \(ZeroDivisionError"),
    ):
        with pytest.raises(ValueError, match=words):
            view.transformed(es.Transformation("own", action, BY_NAME["identity"].on_positions), images)


def test_what_ones_own_does_to_positions_is_checked():
    for action, words in (
        (lambda *given: 1 / 0, r"own on its positions fails \(ZeroDivisionError"),
        (lambda *given: torch.zeros(1), "own must give an equiscope.Sampling of its positions, or None; got Tensor"),
    ):
        with pytest.raises(ValueError, match=words):
            es.Transformation("own", torch.clone, action).sampling(4, 4, (1, 1))
    assert es.Transformation("own", torch.clone, lambda *given: None).sampling(4, 4, (1, 1)) is None
