"""What a layer's moments come to: rows, columns and laws, joined over passes and saved in a checkpoint."""

import numpy as np
import pytest
import torch

import equiscope as es
from equiscope.measurement.findings import Findings, findings_of, moments_of
from equiscope.measurement.layer_moments import Scratch
from equiscope.measurement.plan import action
from equiscope.networks.layers import find_layers

ROTATIONS = es.rotations().transformations
LADDER = ["invariance", "equivariance", "linear"]


@pytest.fixture(scope="module")
def layer():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3, stride=2, padding=1))
    return find_layers(network, (3, 12, 12), "0").measured[0]


def found(layer, transformations, scoring=None, images=30, change=lambda maps: None, seed=0):
    """The findings of features of noise, of which the copies are related to the images as they are."""
    scoring = scoring or es.Scoring()
    actions = [action(layer, one, scoring) for one in transformations]
    moments = moments_of(layer, actions, scoring, Scratch())
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(images, layer.channels, layer.height, layer.width, generator=generator)
    change(maps)
    copies = [maps, *(maps.roll(number, 1) + 0.2 * maps for number in range(len(actions)))]
    for group in range(min(10, images)):
        places = list(range(group, images, 10))
        moments.add(torch.cat([copy[places] for copy in copies]), places, list(transformations), first=True)
    return findings_of(moments, actions, scoring, images)


def test_every_measure_scope_and_transformation_has_a_row_and_channels(layer):
    scoring = es.Scoring(measures=[*LADDER, "strict_invariance"], scopes=("dataset", "image"))
    its = found(layer, ROTATIONS[:2], scoring)
    names = ["rot90", "rot180"]
    expected = {(name, measure, "dataset", "array") for name in names for measure in [*LADDER, "strict_invariance"]}
    expected |= {(name, measure, "image", "array") for name in names for measure in LADDER[:2]}
    assert set(its.rows) == expected
    assert set(its.channels) == {(name, scope, "array") for name in names for scope in scoring.scopes}
    assert all(len(values) == 6 for columns in its.channels.values() for values in columns.values())
    assert "strict_invariance" in its.channels["rot90", "dataset", "array"]
    only = its.within(["image"])
    assert {key[2] for key in only.rows} == {"image"} == {
        key[1] for key in only.channels
    } and its.rows.keys() == expected


def test_what_is_left_out_on_a_layer_is_undefined_and_counted(layer):
    scoring = es.Scoring(measures=LADDER, scopes=("dataset", "image"))
    its = found(layer, es.shifts([1, 2], subpixel="exact").transformations, scoring)
    for (name, _, scope, _), row in its.rows.items():
        left_out = name == "shift(1,1)"
        assert np.isnan(row.score) == np.isnan(row.explained if scope == "dataset" else row.score) == left_out
        assert (row.images, row.transformations) == ((0, 0) if left_out else (30, 1))
        assert row.undefined == (6 * (30 if scope == "image" else 1) if left_out else 0)
    assert (its.channels["shift(1,1)", "dataset", "array"]["partner"] == -1).all()


def test_a_channel_that_is_constant_is_dead_and_an_average_is_interpolated(layer):
    def change(maps):
        maps[:, 2] = 0.5
        maps[:, 4] = 0

    its = found(layer, es.shifts([1]).transformations, change=change)
    assert its.dead == 2
    assert its.rows["shift(1,1)", "invariance", "dataset", "array"].subpixel
    assert (
        not found(layer, es.shifts([2]).transformations).rows["shift(2,2)", "invariance", "dataset", "array"].subpixel
    )


@pytest.mark.parametrize(("rank", "dimension"), [(1, 1.0), (2, 2.0), (6, 6.0)])
def test_the_dimension_is_how_many_directions_channels_vary_in(layer, rank, dimension):
    def change(maps):
        for channel in range(6):
            maps[:, channel] = maps[:, channel % rank] * (channel + 1) + 10 * channel

    its = found(layer, ROTATIONS[:1], images=60, change=change)
    assert its.dimension == pytest.approx(dimension, rel=0.02)
    no_gram = found(layer, ROTATIONS[:1], es.Scoring(measures=LADDER[:2]))
    assert np.isnan(no_gram.dimension) and np.isnan(found(layer, es.shifts([2]).transformations).dimension)


def test_laws_are_of_pairs_whose_product_is_measured_or_the_identity(layer):
    assert len({law[:3] for law in found(layer, ROTATIONS).laws}) == 9
    two = {law[:3] for law in found(layer, ROTATIONS[:2]).laws}
    assert two == {("rot90", "rot90", "rot180"), ("rot180", "rot180", "identity")}
    assert not found(layer, ROTATIONS, es.Scoring(measures=LADDER[:2])).laws
    assert not found(layer, ROTATIONS, images=1).laws


def test_intervals_are_made_of_twenty_images_on(layer):
    for images, replicates in ((19, 0), (20, 10)):
        its = found(layer, ROTATIONS[:1], images=images)
        assert all(len(row.replicates) == replicates for row in its.rows.values())
    none = found(layer, ROTATIONS[:1], es.Scoring(intervals=False))
    assert not any(len(row.replicates) for row in none.rows.values())


def test_passes_are_joined(layer):
    scoring = es.Scoring()
    one, other = found(layer, ROTATIONS[:1], scoring), found(layer, es.shifts([2]).transformations, scoring)
    for both in (one.joined(other), other.joined(one)):
        assert both.rows.keys() == one.rows.keys() | other.rows.keys()
        assert both.channels.keys() == one.channels.keys() | other.channels.keys()
        assert both.dimension == one.dimension and both.laws == one.laws


def test_a_state_holds_tensors_and_numbers_alone_and_all_of_them(layer, tmp_path):
    scoring = es.Scoring(measures=LADDER, scopes=("dataset", "image"))
    its = found(layer, [*ROTATIONS[:2], *es.shifts([1, 2], subpixel="exact").transformations], scoring)
    torch.save(its.state(), tmp_path / "state")
    again = Findings.from_state(layer, torch.load(tmp_path / "state", weights_only=True))
    assert (again.dead, again.dimension, again.laws, again.offsets) == (its.dead, its.dimension, its.laws, its.offsets)
    assert list(again.rows) == list(its.rows) and list(again.channels) == list(its.channels)
    for key, row in its.rows.items():
        for name, value in vars(row).items():
            np.testing.assert_array_equal(getattr(again.rows[key], name), value, err_msg=name)
    for key, columns in its.channels.items():
        assert list(columns) == list(again.channels[key])
        for name, values in columns.items():
            np.testing.assert_array_equal(again.channels[key][name], values, err_msg=name)
