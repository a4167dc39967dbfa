"""From moments to scores, beside the oracle's; of known sides, and of sides that are hard to tell apart."""

import numpy as np
import pytest
import torch

import oracle
from equiscope.functional.estimates import Options, best_channels, estimates
from equiscope.functional.linear_maps import linear_maps
from equiscope.functional.moments import Origin
from equiscope.functional.ridge import Grams, Regression
from samples import moments_of, related

MEASURES = ("invariance", "equivariance", "linear")


def estimated(moments, **options):
    """All measures of these moments."""
    options = Options(**options)
    best = best_channels(moments, options, linear=options.similarity == "pearson")
    maps = None
    if best is not None and options.similarity == "pearson" and moments.expected.gram is not None:
        maps = linear_maps([Regression(best, Grams.of(best))])[0]
    return estimates(moments, options, best, maps)


def assert_agree(moments, expected, found, *, tolerance=1e-6, partners=True, **options):
    """The estimates of moments are the oracle's of the samples."""
    ours = estimated(moments, **options)
    maps = {"original": expected[:, :, None], "transformed": {"identity": found[:, :, None]}}
    theirs = oracle.layer_scores(*maps.values(), None, vector=True, **options)
    channels = theirs.channels["identity", "dataset"]
    if partners:
        assert ours.partner.tolist() == channels["partner"].tolist()
    for measure, estimate in ours.measures.items():
        row = theirs.rows["identity", measure, "dataset", False]
        for column in ("score", "in_sample", "chance", "explained", "held_out", "undefined"):
            value = pytest.approx(row[column], abs=tolerance, nan_ok=True)
            assert getattr(estimate, column) == value, (measure, column)
        columns = {measure: estimate.channels, f"explained_{measure}": estimate.explained_channels}
        if measure != "linear":
            columns[f"chance_{measure}"] = estimate.chance_channels
        for column, values in columns.items():
            np.testing.assert_allclose(values, channels[column], atol=tolerance, rtol=0, err_msg=column)
        replicates = theirs.replicates["identity", measure, "dataset", False]
        if estimate.replicates:
            _, scores, shares = zip(*estimate.replicates, strict=True)
            np.testing.assert_allclose(scores, replicates["score"], atol=tolerance, err_msg=measure)
            np.testing.assert_allclose(shares, replicates["explained"], atol=tolerance, err_msg=measure)
        else:
            assert np.isnan(replicates["score"]).all()


@pytest.mark.parametrize("negative", ["clip", "keep", "abs"])
@pytest.mark.parametrize("similarity", ["pearson", "cosine"])
@pytest.mark.parametrize(
    ("images", "channels", "positions"), [(23, 6, 5), (44, 3, 1), (9, 4, 2), (30, 1, 4), (1, 3, 9)]
)
def test_estimates_are_the_oracles(images, channels, positions, similarity, negative):
    expected, found = related(images, channels, positions, seed=images)
    found = -found if negative == "abs" else found
    intervals = images >= 20
    moments = moments_of(expected, found)
    assert_agree(moments, expected, found, similarity=similarity, negative=negative, intervals=intervals)


@pytest.mark.parametrize("count", [20, 25])
def test_hard_channels_are_the_oracles(count):
    """Constant on a side, in all groups but one, or everywhere; near constant; alike; of huge means."""
    expected, found = related(count, 8, 4, seed=count)
    expected[:, 1] = 3.0
    found[:, 2] = 0
    expected[np.arange(count) % 10 != 4, 3] = 1.5  # varies in one group alone
    expected[np.arange(count) % 10 != 7, 4] = found[np.arange(count) % 10 != 7, 4] = -2.0
    expected[:, 5] = 1 + 3e-6 * expected[:, 5]
    expected[:, 6] = expected[:, 0]  # which of the two is the partner is told by their order
    expected[:, 7] = 1e3 + expected[:, 7]
    for negative in ("clip", "abs"):
        assert_agree(moments_of(expected, found), expected, found, negative=negative, intervals=True, tolerance=1e-4)


@pytest.mark.parametrize(
    ("images", "channels", "positions", "noise"),
    [(40, 80, 1, 0.5), (24, 70, 6, 0.5), (40, 330, 1, 0.2)],
    ids=["spanned by images", "of full rank", "in single precision"],
)
def test_the_linear_measure_of_wide_layers_is_the_oracles(images, channels, positions, noise):
    """Of many channels, regressions are on the directions that they span, and in single precision."""
    expected, found = related(images, channels, positions, noise=noise, mixing=3.0)
    moments = moments_of(expected, found)
    ours = estimated(moments, intervals=False).measures["linear"]
    maps = expected[:, :, None], {"identity": found[:, :, None]}
    theirs = oracle.layer_scores(*maps, None, vector=True, intervals=False)
    row = theirs.rows["identity", "linear", "dataset", False]
    tolerance = 2e-3 if channels > 320 else 1e-4
    for column in ("score", "explained", "held_out"):
        assert getattr(ours, column) == pytest.approx(row[column], abs=tolerance), column
    assert ours.score > theirs.rows["identity", "equivariance", "dataset", False]["score"]


def test_sums_in_float32_and_other_origins_move_no_score():
    expected, found = related(33, 5, 6)
    exact = estimated(moments_of(expected, found))
    moments = moments_of(expected, found, products=torch.float32)
    zero = Origin(torch.zeros(5))
    moments.expected.origin, moments.found.origin = zero, zero
    moments.rebased(Origin(torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0]), 4.0), Origin(torch.full((5,), -1.0), 0.5))
    other = estimated(moments)
    for measure in MEASURES:
        one, two = exact.measures[measure], other.measures[measure]
        for column in ("score", "in_sample", "chance", "explained", "held_out"):
            assert getattr(one, column) == pytest.approx(getattr(two, column), abs=2e-6, nan_ok=True)
        np.testing.assert_allclose(one.replicates, two.replicates, atol=1e-5)


def test_without_products_there_is_invariance_alone():
    expected, found = related(22, 4, 3)
    moments = moments_of(expected, found, gram=False)
    moments.cross = None
    ours = estimated(moments)
    assert list(ours.measures) == ["invariance"] and len(ours.measures["invariance"].replicates) == 10
    whole = estimated(moments_of(expected, found)).measures["invariance"]
    assert ours.measures["invariance"].score == pytest.approx(whole.score)


def test_of_no_images_and_of_one_group_little_is_defined():
    expected, found = related(1, 3, 6)
    nothing = estimated(moments_of(expected[:0], found[:0]))
    assert all(np.isnan(estimate.score) and estimate.undefined == 3 for estimate in nothing.measures.values())
    one = estimated(moments_of(expected, found))
    assert not np.isnan(one.measures["equivariance"].in_sample)
    for measure in ("equivariance", "linear"):
        assert np.isnan(one.measures[measure].score) and np.isnan(one.measures[measure].explained)
    assert not np.isnan(one.measures["invariance"].score) and np.isnan(one.measures["invariance"].chance)
