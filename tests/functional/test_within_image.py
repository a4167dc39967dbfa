"""The `image` scope's sums: what an image adds, beside correlations of each image by NumPy."""

import numpy as np
import pytest
import torch

from equiscope.functional.within_image import OfImages, WithinImage, clipped, within_scores


def sides(images=7, channels=4, positions=12, seed=0):
    random = np.random.default_rng(seed)
    expected = random.standard_normal((images, channels, positions))
    return expected, 0.5 * expected[:, ::-1] + random.standard_normal(expected.shape)


def sums_of(expected, found, *, similarity="pearson", negative="clip", at_once=1, pilot=0.0):
    channels, positions = expected.shape[1:]
    sums = WithinImage(channels, positions, similarity=similarity, negative=negative)
    for group in range(10):
        chosen = [image for image in range(len(expected)) if image % 10 == group]
        for start in range(0, len(chosen), at_once):
            some = chosen[start : start + at_once]
            blocks = [torch.from_numpy(side[some].swapaxes(0, 1) - pilot).float() for side in (expected, found)]
            sums.add(group, *blocks, (torch.full((channels,), pilot).double(),) * 2)
            sums.of_images.places.extend(some)
    return sums


@pytest.mark.parametrize("negative", ["clip", "keep", "abs"])
def test_of_every_image_all_correlations_are_summed(negative):
    expected, found = sides()
    sums = sums_of(expected, found, negative=negative, pilot=2.0)
    channels = expected.shape[1]
    every = np.array([np.corrcoef(one, two)[:channels, channels:] for one, two in zip(expected, found, strict=True)])
    np.testing.assert_allclose(sums.similarity.sum(0), every.sum(0), atol=1e-5)
    assert (sums.pairs.sum(0) == 7).all() and sums.undefined == 0

    def score(values):
        return clipped(torch.tensor(values), negative).numpy()

    own = score(np.diagonal(every, axis1=1, axis2=2))
    best = score((np.abs(every) if negative == "abs" else every).max(1))
    state = sums.of_images.state()
    order = state["places"].argsort()
    np.testing.assert_allclose(state["invariance"][order], own.mean(1), atol=1e-6)
    np.testing.assert_allclose(state["in_sample"][order], best.mean(1), atol=1e-6)
    scores = within_scores(sums, list(range(7)))
    np.testing.assert_allclose(scores.invariance, own.mean(0), atol=1e-6)
    np.testing.assert_allclose(scores.in_sample, best.mean(0), atol=1e-6)


def test_images_may_be_taken_in_together_and_joined_from_several_states():
    expected, found = sides(25)
    found[3, 1] = 5.0  # constant in one image
    found[:, 2] = 0.0  # in all
    one, other = sums_of(expected, found), sums_of(expected, found, at_once=3)
    for (name, value), (_, theirs) in zip(one.tensors(), other.tensors(), strict=True):
        torch.testing.assert_close(value, theirs, msg=name)
    assert one.undefined == other.undefined == 25 + 1
    parts = [sums_of(expected[:20], found[:20]), sums_of(np.roll(expected[20:], 0), found[20:])]
    joined = OfImages.joined([part.of_images.state() for part in parts])
    assert joined.state()["invariance"].sort().values.allclose(one.of_images.state()["invariance"].sort().values)
    again = OfImages.from_state(one.of_images.state())
    assert again.places == one.of_images.places and again.state()["in_sample"].equal(one.of_images.state()["in_sample"])
    scores = within_scores(one, list(range(10)))
    assert scores.defined.tolist() == [25, 24, 0, 25] and scores.partner[2] == -1
    assert scores.invariance.isnan().tolist() == [False, False, True, False]


def test_on_fewer_than_nine_positions_nothing_is_defined():
    expected, found = sides(5, positions=8)
    sums = sums_of(expected, found)
    assert not sums.measurable and sums.undefined == 5 * 4
    assert sums_of(*sides(5, positions=9)).measurable


def test_cosine_takes_no_mean_off():
    expected, found = sides()
    expected, found = expected + 3, found - 1
    sums = sums_of(expected, found, similarity="cosine", negative="keep", pilot=3.0)
    unit = [side / np.linalg.norm(side, axis=-1, keepdims=True) for side in (expected, found)]
    np.testing.assert_allclose(sums.similarity.sum(0), np.einsum("ipx,icx->pc", *unit), atol=1e-5)


def test_of_one_group_there_is_no_other_to_choose_a_partner_on():
    scores = within_scores(sums_of(*sides(1)), [0])
    assert scores.equivariance.isnan().all() and scores.invariance.isfinite().all()
    assert scores.chance_invariance.isnan().all()


@pytest.mark.parametrize(
    ("negative", "score"), [("clip", [0.0, 0.25, 1.0]), ("keep", [-0.5, 0.25, 1.0]), ("abs", [0.5, 0.25, 1.0])]
)
def test_negative_similarities_are_clipped_kept_or_lose_their_sign(negative, score):
    assert clipped(torch.tensor([-0.5, 0.25, 1.5]), negative).tolist() == score
