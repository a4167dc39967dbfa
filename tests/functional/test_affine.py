"""Rotations by any angle, scalings and affine maps: the oracle's on pixels and on positions, and how they compose."""

import numpy as np
import pytest
import torch

import equiscope as es
import oracle
from equiscope.functional.affine import product
from equiscope.functional.warped import RoundTrip, Warped, round_trip

MAPS = [
    es.rotation(30), es.rotation(222.5, fill="reflect"), es.scaling(1.25), es.scaling(2), es.scaling(3),
    es.scaling(0.5, fill="reflect"), es.scaling(0.4), es.affine([[1, 0.25, 2], [0, 1.1, -1.5]]),
]  # fmt: skip


def random_maps(height, width):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(9, 9), (8, 11)], ids=str)
@pytest.mark.parametrize("one", MAPS, ids=lambda one: one.name)
def test_images_and_positions_are_the_oracles(one, size):
    maps, stride = random_maps(*size), (2, 3)
    wanted = oracle.on_pixels(maps.double().numpy(), one.name, one.fill)
    np.testing.assert_allclose(one.on_pixels(maps), wanted, atol=2e-5)
    expected, valid = oracle.on_positions(maps.double().numpy(), one.name, stride)
    sampling = one.sampling(*size, stride)
    assert sampling.positions == valid.sum() and torch.equal(sampling.valid, torch.from_numpy(valid))
    np.testing.assert_allclose(sampling.expected(maps)[:, :, 0], expected[..., valid], atol=2e-5)
    np.testing.assert_array_equal(sampling.found(maps)[:, :, 0], maps.numpy()[..., valid])
    assert sampling.interpolated == oracle.is_interpolated(one.name, stride, "linear", size)
    trip = round_trip(sampling)
    assert (trip is None) == (not sampling.interpolated)
    if trip is not None:
        returned = oracle.round_trip(maps.double().numpy(), one.name, stride)
        there = ~np.isnan(returned).any((0, 1))
        np.testing.assert_allclose(trip.expected(maps)[:, :, 0], returned[..., there], atol=2e-5)
        np.testing.assert_array_equal(trip.found(maps)[:, :, 0], maps.numpy()[..., there])


@pytest.mark.parametrize("fill", ["zero", "reflect", "wrap"])
def test_shifts_by_parts_of_a_pixel_are_the_oracles(fill):
    images = random_maps(8, 9)
    for one in es.shifts([0.5, (-1.25, 2)], fill=fill).transformations:
        wanted = oracle.on_pixels(images.double().numpy(), one.name, fill)
        np.testing.assert_allclose(one.on_pixels(images), wanted, atol=2e-5)


@pytest.mark.parametrize("offset", [(1, 1), (-2, 1), (3, -4), (5, 3), (0.5, -7)], ids=str)
def test_a_shift_there_and_back_is_the_oracles_and_that_of_any_sampling(offset):
    maps, stride, one = random_maps(8, 9), (2, 3), es.shift(*offset)
    sampling = one.sampling(8, 9, stride)
    trip, general = round_trip(sampling), RoundTrip(sampling)
    returned = oracle.round_trip(maps.double().numpy(), one.name, stride)
    there = ~np.isnan(returned).any((0, 1))
    assert trip.positions == general.positions == there.sum()
    for its in (trip, general):
        np.testing.assert_allclose(its.expected(maps).flatten(2), returned[..., there], atol=2e-5)
        np.testing.assert_array_equal(its.found(maps).flatten(2), maps.numpy()[..., there])


def test_a_quarter_turn_by_an_affine_map_is_the_exact_one():
    maps, exact = random_maps(7, 7), es.rotation(90)
    turned = es.affine([[0, -1], [1, 0]])
    torch.testing.assert_close(turned.on_pixels(maps), exact.on_pixels(maps), atol=2e-5, rtol=0)
    sampling = turned.sampling(7, 7, None)
    wanted = exact.sampling(7, 7, None).expected(maps).flatten(2)
    assert sampling.permutes and torch.equal(sampling.expected(maps)[:, :, 0], wanted)


def test_whole_scalings_interpolate_nothing_where_the_grid_has_such_positions():
    maps = random_maps(7, 7)
    twice = es.scaling(2).sampling(7, 7, None)
    assert (twice.interpolated, twice.positions) == (False, 9) and es.scaling(2).sampling(8, 8, None).interpolated
    assert torch.equal(twice.expected(maps)[:, :, 0].unflatten(2, (3, 3)), maps[:, :, 2:5, 2:5])


def test_every_angle_has_the_same_positions():
    valid = [one.sampling(12, 12, None).valid for one in es.rotations(every=24).transformations if "rot" in one.name]
    place = torch.arange(12) - 5.5
    assert all(torch.equal(one, torch.hypot(place[:, None], place) <= 5.5) for one in valid)


def test_products_have_the_names_of_what_they_are():
    turn, twice = es.rotation, es.scaling(2)
    assert product(turn(15), turn(30)) == "rot45" and product(turn(300), turn(60)) == "identity"
    assert product(turn(60), turn(30)) == "rot90" and product(turn(90), turn(15)) == "rot105"
    assert product(twice, es.scaling(0.75)) == "scaling(1.5)" and product(twice, es.scaling(0.5)) == "identity"
    assert product(turn(15), es.flips().transformations[0]) is None is product(twice, es.shift(1, 1))
    assert product(es.shift(0.5, 1), es.shift(0.25, -1)) == "shift(0.75,0)"


def test_a_map_is_moved_about_another_centre():
    sampling = Warped((5, 5), es.rotation(30).map).moved(0.5, -1)
    maps = random_maps(5, 5)
    name = "affine(0.866025403784,-0.5,0.5,0.866025403784)"
    expected, valid = oracle.on_positions(maps.double().numpy(), name, None, offset=(0.5, -1))
    np.testing.assert_allclose(sampling.expected(maps)[:, :, 0], expected[..., valid], atol=1e-4)
    assert isinstance(RoundTrip(sampling).inverse, RoundTrip)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda: es.rotations(every=7), "must divide 360"),
        (lambda: es.rotation(float("nan")), "angle must be a number"),
        (lambda: es.scaling(0), "a factor above 0"),
        (lambda: es.scalings([]), "at least one factor"),
        (lambda: es.scalings([2, 2.0]), "each once"),
        (lambda: es.affine([[1, 2], [2, 4]]), "onto a line"),
        (lambda: es.affine([[1, 2, 3], [4, 5]]), "two rows of two or three"),
        (lambda: es.rotation(30, fill="wrap"), "is for shifts"),
        (lambda: es.shift(0.5, 0, fill="crop", size=8), "by whole pixels"),
    ],
)
def test_what_is_no_map_is_refused(asked, told):
    with pytest.raises(ValueError, match=told):
        asked()
