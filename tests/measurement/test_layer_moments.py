"""Moments of a layer are sums: whatever the batches, the order and the passes that they come in."""

import copy

import pytest
import torch

import equiscope as es
from equiscope.measurement.findings import findings_of, moments_of
from equiscope.measurement.layer_moments import LayerMoments, Scratch
from equiscope.measurement.plan import action
from equiscope.networks.layers import find_layers

ALL = ("invariance", "equivariance", "linear", "strict_invariance")
TRANSFORMATIONS = [*es.rotations().transformations[:2], *es.shifts([1, 4]).transformations, es.rotation(30)]
SCORINGS = {
    "default": es.Scoring(),
    "everything": es.Scoring(measures=ALL, scopes=("dataset", "image"), alignment="registered"),
    "cosine": es.Scoring(similarity="cosine", negative="abs", scopes=("dataset", "image")),
}


@pytest.fixture(scope="module")
def layers():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(8, 5), torch.nn.Linear(5, 60),
    )  # fmt: skip
    return find_layers(network, (3, 12, 12), ["0", "3", "4"]).measured


def empty(layer, scoring, **given):
    """Moments of no images yet, and the actions that they are of."""
    actions = [action(layer, one, scoring) for one in TRANSFORMATIONS]
    offsets = dict.fromkeys(["rot90", "rot180", "rot30"], (0.25, -0.5)) if scoring.alignment == "registered" else None
    return moments_of(layer, actions, scoring, Scratch(), offsets=None if layer.vector else offsets, **given), actions


def features(layer, images, seed=0, mean=0.0):
    """Of images as they are, then of each of their copies, [1 + copies, image, ...]."""
    generator = torch.Generator().manual_seed(seed)
    shape = (1 + len(TRANSFORMATIONS), images, layer.channels, layer.height, layer.width)
    return torch.randn(shape, generator=generator) + mean


def add(moments, maps, places):
    """Take in the images at some places, a group at a time."""
    for group in range(10):
        of_group = [place for place in places if place % 10 == group]
        if of_group:
            moments.add(maps[:, of_group].flatten(0, 1), of_group, TRANSFORMATIONS, first=True)


def assert_alike(one: LayerMoments, other: LayerMoments):
    """Both hold the same sums, once they have the same origins."""
    one.join(), other.rebased(one.origins())
    theirs = other.tensors()
    for name, value in one.tensors().items():
        if value.numel():
            scale = value.abs().max().clamp(min=1)
            torch.testing.assert_close(value / scale, theirs[name] / scale, atol=2e-6, rtol=0, msg=name)


@pytest.mark.parametrize("scoring", SCORINGS.values(), ids=SCORINGS)
@pytest.mark.parametrize("which", [0, 1, 2], ids=["map", "vector", "vector that waits for more images of a group"])
def test_moments_are_sums_over_images_whatever_their_order_and_origin(layers, which, scoring):
    layer = layers[which]
    maps = features(layer, 33, mean=5.0)
    maps[:, 20:] += 3  # so that the second part has another origin
    whole, _ = empty(layer, scoring)
    add(whole, maps, range(33))
    other, _ = empty(layer, scoring)
    add(other, maps, range(20, 33))
    add(other, maps, range(20))
    assert not torch.equal(whole.original.pilot, other.original.pilot)
    assert_alike(whole, other)


@pytest.mark.parametrize("scoring", SCORINGS.values(), ids=SCORINGS)
def test_a_state_is_all_that_it_takes_to_go_on(layers, scoring):
    maps = features(layers[0], 24)
    whole, actions = empty(layers[0], scoring)
    add(whole, maps, range(12))
    state = copy.deepcopy(whole.state())
    restored, _ = empty(layers[0], scoring)
    restored.restore(state)
    for moments in (whole, restored):
        add(moments, maps, range(12, 24))
    assert_alike(whole, restored)
    one, other = (findings_of(moments, actions, scoring, 24) for moments in (whole, restored))
    assert one.rows.keys() == other.rows.keys()
    for key, row in one.rows.items():
        assert row.score == pytest.approx(other.rows[key].score, abs=1e-6, nan_ok=True)


def test_copies_that_do_not_share_a_forward_pass_add_the_same(layers):
    maps = features(layers[0], 10)
    whole, _ = empty(layers[0], es.Scoring())
    apart, _ = empty(layers[0], es.Scoring())
    add(whole, maps, range(10))
    for place in range(10):
        for first, copies in ((True, [1, 2]), (False, [3, 5]), (False, [4])):
            chosen = [TRANSFORMATIONS[number - 1] for number in copies]
            apart.add(maps[[0, *copies]][:, place], [place], chosen, first=first)
    assert_alike(whole, apart)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e25])
def test_what_is_returned_is_not_finite_where_a_value_or_its_square_is_not(layers, value):
    for copy_number in (0, 2, 4):
        moments, _ = empty(layers[0], es.Scoring())
        maps = features(layers[0], 10)
        add(moments, maps, range(9))
        maps[copy_number, 9, 0, -1, -1] = value
        assert not moments.add(maps[:, 9], [9], TRANSFORMATIONS, first=True).isfinite()
