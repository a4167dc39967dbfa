"""Layers' own centres: known ones are found, and what an offset costs comes back."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.images.sources import open_images
from equiscope.measurement.registration import registration_count
from equiscope.networks.loading import load_network
from equiscope_studies.networks import mean_of_d4, strided_network, symmetrised

HALF_TURN = es.rotations().transformations[1]
INVARIANCE = {"measures": "invariance", "intervals": False}


def registered(model, images, transformations=HALF_TURN, *, registration_images=64, layers=None, **scoring):
    chosen = es.Scoring(alignment="registered", registration_images=registration_images, **scoring)
    return es.measure(model, images, transformations, layers=layers, scoring=chosen)


def half_turn(scores, scope="dataset"):
    rows = scores.scores[(scores.scores["transformation"] == "rot180") & (scores.scores["measure"] == "invariance")]
    rows = rows[rows["scope"] == scope]
    return rows.pivot(index="layer", columns="alignment", values=["score", "offset_y", "offset_x"])


def smooth_images(count, size, seed=0):
    coarse = torch.randn(count, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")


@pytest.mark.parametrize(("size", "least", "most"), [(224, -0.25, 0.25), (225, 0.75, 1.15)])
def test_late_blocks_of_a_trained_network_turn_about_its_training_sizes_centre(size, least, most):
    network = load_network("efficientnet-lite0")
    preprocessing = dataclasses.replace(network.preprocessing, size=(size, size))
    images = torch.cat(list(open_images("photographs", preprocessing, limit=20)))
    late = ["blocks.5.0", "blocks.6.0", "global_pool"]
    found = half_turn(registered(network.model, images, layers=late, **INVARIANCE))
    for axis in ("offset_y", "offset_x"):
        assert found[axis, "registered"].loc[late[:2]].between(least, most).all(), found
    assert (found["score", "registered"] >= found["score", "array"] - 0.02).loc[late[:2]].all()


def test_on_an_even_size_a_symmetric_strided_network_gets_most_of_its_loss_back():
    """Stride 2 samples pixels 0, 2, ..., so half a turn about the array's centre is off by (stride - 1) / stride."""
    network = symmetrised(strided_network((8, 16, 32, 64)))
    scores = registered(network, smooth_images(32, 128), **INVARIANCE)
    strides = scores.layers.dropna(subset=["stride_y"]).set_index("layer")["stride_y"].astype(float)
    found = half_turn(scores).loc[strides.index]
    for axis in ("offset_y", "offset_x"):
        assert ((found[axis, "registered"] - (strides - 1) / strides).abs() < 0.25).all(), found
    lost, left = 1 - found["score", "array"], 1 - found["score", "registered"]
    # At stride 2 to interpolate half-way between positions costs about as much as the offset did.
    assert (left < 0.5 * lost)[strides > 2].all(), found


def test_a_rotation_by_any_angle_is_about_the_centre_that_a_half_turn_tells():
    """Features half a position down: a rotation about their centre is one about the grid's, and a move."""

    class HalfDown(nn.Module):
        def forward(self, images):
            return (images + images.roll(1, -2)) / 2

    network = nn.Sequential(nn.AvgPool2d(3, 1, 1), HalfDown())
    found = registered(network, smooth_images(24, 40), [es.rotation(30)], layers="1", **INVARIANCE).scores
    scores = found.set_index("alignment")
    expected = 0.5 * (1 - np.cos(np.pi / 6)), -0.5 * np.sin(np.pi / 6)
    np.testing.assert_allclose(scores.loc["registered", ["offset_y", "offset_x"]].astype(float), expected, atol=0.05)
    lost = 1 - scores["score"]
    assert lost["registered"] < 0.5 * lost["array"] and set(found["transformation"]) == {"rot30"}


def test_patches_turn_about_the_arrays_centre():
    torch.manual_seed(0)
    patches = nn.Conv2d(3, 12, 8, stride=8)
    patches.weight.data = mean_of_d4(patches.weight.data)
    scores = registered(nn.Sequential(patches, nn.ReLU()), smooth_images(24, 96), es.d4(), **INVARIANCE)
    rows = scores.scores.query("alignment == 'registered' and transformation != 'd4'")
    assert rows[["offset_y", "offset_x"]].abs().max().max() < 0.05
    assert set(scores.table(alignment="registered")["transformation"]) == {"d4"}


def test_the_images_registered_on_are_left_out_of_every_score():
    images = torch.randn(40, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU())
    both = registered(network, images)
    rest = es.measure(network, images[20:], HALF_TURN)
    assert both.manifest["images_registered_on"] == 20 and both.manifest["images"] == 20
    array = both.scores.query("alignment == 'array'").reset_index(drop=True)
    columns = ["score", "low", "high", "chance", "explained"]
    np.testing.assert_allclose(array[columns], rest.scores[columns], atol=2e-6)
    few = registered(network, images, registration_images=8, intervals=False)
    assert few.manifest["images_registered_on"] == 8 and few.manifest["images"] == 32


def test_vectors_have_no_centre_and_shifts_move_none():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = smooth_images(24, 16)
    scores = registered(network, images, [HALF_TURN, es.shift(1, 0), es.identity()], layers=["0", "2"], **INVARIANCE)
    rows = scores.scores[scores.scores["alignment"] == "registered"].set_index(["layer", "transformation"])
    assert list(rows.index) == [("0", "rot180"), ("2", "rot180")] and len(scores.scores) == 6 + 2
    offsets = rows[["offset_y", "offset_x"]]
    assert offsets.loc["0"].notna().all().all() and offsets.loc["2"].isna().all().all()
    found = half_turn(scores)["score"].loc["2"]
    assert found["registered"] == found["array"]


class Moved(nn.Module):
    def __init__(self, *pixels):
        super().__init__()
        self.pixels = pixels

    def forward(self, images):
        return torch.roll(images, self.pixels, (-2, -1))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_centre_that_is_moved_along_one_axis_is_found_along_it(axis):
    """What a layer moves by a position, an image turned by half a turn has moved the other way: two positions apart."""
    halved = nn.Sequential(nn.AvgPool2d(2), Moved(*(1 - axis, axis)))
    images = torch.randn(24, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="Layer 1 under rot180 fits best when moved by .*, the edge of the search"):
        found = half_turn(registered(halved, images, layers="1", **INVARIANCE))
    offsets = [found[name, "registered"].item() for name in ("offset_y", "offset_x")]
    assert offsets[axis] == 2 and abs(offsets[1 - axis]) < 0.1
    assert found["score", "registered"].item() > 0.99 > 0.5 > found["score", "array"].item()


@pytest.mark.parametrize(("images", "asked", "count"), [(16, 64, 8), (100, 64, 50), (128, 64, 64), (1000, 8, 8)])
def test_half_of_few_images_are_registered_on(images, asked, count):
    assert registration_count(images, asked) == count


def test_of_fewer_than_sixteen_images_none_are_registered_on():
    with pytest.raises(ValueError, match="at least 16 images, and there are 15"):
        registration_count(15, 64)
