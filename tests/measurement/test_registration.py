"""Layers' own centres: known ones are found, and what an offset costs comes back."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.functional.transformations import about, frame, shift
from equiscope.images.data import open_images
from equiscope.networks.loading import load_network
from equiscope_studies.networks import mean_of_d4, strided_network, symmetrised


def photographs(size, count=32):
    network = load_network("efficientnet-lite0")
    preprocessing = dataclasses.replace(network.preprocessing, size=(size, size))
    return network, torch.cat(list(open_images("photographs", preprocessing, limit=count)))


def turned_half(scores, measure="invariance", scope="dataset"):
    rows = scores.scores.query("transformation == 'rot180' and measure == @measure and scope == @scope")
    return rows.pivot(index="layer", columns="alignment", values=["score", "offset_y", "offset_x"])


@pytest.mark.parametrize(("size", "least", "most"), [(224, -0.25, 0.25), (225, 0.75, 1.15)])
def test_late_blocks_of_a_trained_network_turn_about_its_training_sizes_centre(size, least, most):
    network, images = photographs(size)
    late = ["blocks.4.0", "blocks.5.0", "blocks.6.0", "global_pool"]
    scores = es.measure(
        network.model, images, transformations=es.rotations(), layers=late, alignment="registered", chance=False,
        intervals=False,
    )  # fmt: skip
    found = turned_half(scores)
    for axis in ("offset_y", "offset_x"):
        assert found[axis, "registered"].loc[late[:3]].between(least, most).all(), found
    assert (found["score", "registered"] >= found["score", "array"] - 0.02).all()
    assert np.isnan(found["offset_y", "registered"].loc["global_pool"])
    assert found["score", "registered"].loc["global_pool"] == found["score", "array"].loc["global_pool"]


def test_on_an_even_size_a_symmetric_strided_network_gets_most_of_its_loss_back():
    """Stride 2 samples pixels 0, 2, ..., so half a turn about the array's centre is off by (stride - 1) / stride."""
    network, (_, images) = symmetrised(strided_network()), photographs(224)
    scores = es.measure(network, images, transformations=es.rotations(), alignment="registered", intervals=False)
    layers = scores.layers.dropna(subset=["stride_y"]).set_index("layer")
    found = turned_half(scores).loc[layers.index]
    for axis in ("offset_y", "offset_x"):
        arithmetic = (layers["stride_y"].astype(float) - 1) / layers["stride_y"].astype(float)
        assert ((found[axis, "registered"] - arithmetic).abs() < 0.25).all(), found
    lost, left = 1 - found["score", "array"], 1 - found["score", "registered"]
    # At stride 2 to interpolate half-way between cells costs about as much as the offset did.
    assert (left < 0.5 * lost)[layers["stride_y"].astype(int) > 2].all(), found


def test_patches_turn_about_the_arrays_centre():
    torch.manual_seed(0)
    patches = nn.Conv2d(3, 12, 8, stride=8)
    patches.weight.data = mean_of_d4(patches.weight.data)
    scores = es.measure(
        nn.Sequential(patches, nn.ReLU()), photographs(96, 24)[1], transformations=es.d4(), alignment="registered"
    )
    registered = scores.scores.query("alignment == 'registered' and transformation != 'd4'")
    assert registered[["offset_y", "offset_x"]].abs().max().max() < 0.05
    assert set(scores.table(alignment="registered")["transformation"]) == {"d4"}


def test_the_images_registered_on_are_left_out_of_every_score():
    images = torch.randn(40, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU())
    both = es.measure(network, images, transformations=es.rotations(), alignment="registered")
    rest = es.measure(network, images[20:], transformations=es.rotations())
    assert both.manifest["images_registered_on"] == 20 and both.manifest["images"] == 20
    array = both.scores.query("alignment == 'array'").reset_index(drop=True)
    np.testing.assert_allclose(array["score"], rest.scores["score"], atol=2e-6)
    np.testing.assert_allclose(array["chance"], rest.scores["chance"], atol=2e-6)
    few = es.measure(network, images, transformations=es.rotations(), alignment="registered", registration_images=8)
    assert few.manifest["images_registered_on"] == 8
    with pytest.raises(ValueError, match="at least 16 images, and there are 15"):
        es.measure(network, images[:15], transformations=es.rotations(), alignment="registered")
    with pytest.raises(ValueError, match="none is to be measured"):
        es.measure(network, images, transformations=es.shifts([1]), alignment="registered")


def test_a_centre_at_the_edge_of_the_search_warns():
    class Far(nn.Module):
        def forward(self, images):
            return torch.roll(images, (1, 1), (-2, -1))

    images = torch.randn(24, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="edge of the search"):
        scores = es.measure(
            nn.Sequential(Far()), images, transformations=es.rotations(), layers="0", alignment="registered"
        )
    assert turned_half(scores)["offset_y", "registered"].item() == 2


def test_moving_after_turning_keeps_only_cells_with_a_source():
    turn = es.rotations().transformations[1]
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    values, valid = about(turn, (1, 0)).on_cells(maps, None)
    assert valid.tolist() == [[False] * 4] + [[True] * 4] * 3
    assert torch.equal(values[..., 1:, :], maps.flip(-1, -2)[..., :3, :])
    values, valid = about(shift(0, 1), (0, 1)).on_cells(maps, (1, 1))
    assert valid.tolist() == [[False, False, True, True]] * 4
    assert torch.equal(values[..., 2:], maps[..., :2])


def test_crop_moves_a_window_over_what_is_there():
    images = torch.randn(12, 3, 20, 21, generator=torch.Generator().manual_seed(0))
    shifts = es.shifts([3, (-2, 1)])
    view = frame((20, 21), (12, 12), shifts.transformations, crops=True)
    assert (view.top, view.left) == ((20 - 12 - 5) // 2 + 3, (21 - 12 - 3) // 2 + 3)
    still, moved = view.still(images), view.under(shifts.transformations[0], images)
    assert torch.equal(moved[..., 3:, 3:], still[..., :-3, :-3])
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU())
    scores = es.measure(network, images, transformations=[shifts, es.rotations()], fill="crop", size=12)
    moves = scores.channels[scores.channels["transformation"].str.startswith("shift")]
    np.testing.assert_allclose(moves["invariance"], 1, atol=1e-5)
    turned = es.measure(network, still, transformations=es.rotations()).scores
    same = scores.scores[scores.scores["transformation"].isin(turned["transformation"])]
    np.testing.assert_allclose(same["score"], turned["score"], atol=2e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fill": "crop"}, "needs size="),
        ({"fill": "crop", "size": 18}, "needs images at least 21 high"),
        ({"size": 12}, 'is the window of fill="crop"'),
        ({"alignment": "centre"}, "one of array, registered"),
        ({"registration_images": 2}, "give at least 8"),
    ],
)
def test_bad_frames_and_alignments_get_one_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        es.measure(nn.Conv2d(3, 2, 1), torch.randn(20, 3, 20, 20), transformations=es.shifts([3]), **options)
