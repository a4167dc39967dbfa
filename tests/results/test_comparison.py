"""Results compared: scores as they are, and differences whose intervals are those of the units that both share."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import equiscope as es
from equiscope.functional.statistics import resample_counts
from equiscope.results.comparison import compare

DATA = {"fingerprint": "abc", "split": None, "column": None, "seed": 0, "left_out": 0}


def result(channels, *, images=30, data=DATA, transformations=None):
    torch.manual_seed(channels)
    layers = [
        nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU()) for a, b in ((3, channels), (channels, 5), (5, 5))
    ]
    model = nn.Sequential(nn.Sequential(*layers), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4))
    pixels = torch.randn(images, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    scores = es.measure(model, pixels, transformations=transformations or es.rotations())
    more = {"data": data} if data else {}
    return replace(scores, manifest=scores.manifest | {"model": f"of {channels}"} | more)


@pytest.fixture(scope="module")
def both():
    return {"narrow": result(4), "wide": result(8)}


def one(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    (row,) = table.to_dict("records")
    return row


def units(scores, part, scope):
    """Each layer's replicates of the part, `[layer, unit]`."""
    layers = scores.layers.loc[scores.layers["part"] == part, "layer"]
    wanted = {"transformation": "rotations", "measure": "equivariance", "scope": scope, "alignment": "array"}
    rows = scores.replicates[(scores.replicates[list(wanted)] == list(wanted.values())).all(axis=1)]
    return np.stack([rows.loc[rows["layer"] == layer, "score"].to_numpy() for layer in layers])


@pytest.mark.parametrize("part", ["early", "final"])
def test_the_difference_over_all_images_is_jackknifed_by_group(both, part):
    row = one(compare(both), what="difference", part=part, scope="dataset", measure="equivariance",
              transformation="rotations")  # fmt: skip
    theta = [units(both["wide"], part, "dataset")[:, g].mean() - units(both["narrow"], part, "dataset")[:, g].mean()
             for g in range(10)]  # fmt: skip
    half = stats.t.ppf(0.975, 9) * np.sqrt(9 / 10 * sum((one - np.mean(theta)) ** 2 for one in theta))
    assert (row["result"], row["less"]) == ("wide", "narrow")
    assert (row["low"], row["high"]) == pytest.approx((row["score"] - half, row["score"] + half))
    assert row["corrected_low"] < row["corrected"] < row["corrected_high"]


def test_the_difference_within_images_is_bootstrapped_in_pairs(both):
    row = one(compare(both), what="difference", part="early", scope="image", measure="equivariance",
              transformation="rotations")  # fmt: skip
    difference = units(both["wide"], "early", "image").mean(0) - units(both["narrow"], "early", "image").mean(0)
    drawn = [np.repeat(difference, count.astype(int)).mean() for count in resample_counts(30, 0)]
    assert (row["low"], row["high"]) == pytest.approx(np.quantile(drawn, [0.025, 0.975]))
    assert row["score"] == pytest.approx(difference.mean())
    own = [one(compare(both), what="score", result=name, part="early", scope="image", measure="equivariance",
               transformation="rotations") for name in both]  # fmt: skip
    assert row["score"] == pytest.approx(own[1]["score"] - own[0]["score"])


def test_no_difference_where_images_are_not_known_to_be_the_same(both):
    others = {
        "unknown": result(4, data=None),
        "of other images": result(4, data=DATA | {"fingerprint": "def"}),
        "of fewer": result(4, images=24),
    }
    for other in others.values():
        assert set(compare({"one": both["wide"], "other": other})["what"]) == {"score"}


def test_what_cannot_be_compared_is_refused_in_a_sentence(both):
    with pytest.raises(ValueError, match="1 result cannot be compared; give two at least"):
        compare({"one": both["wide"]})
    with pytest.raises(ValueError, match="no transformation or family in common"):
        compare({"one": both["wide"], "other": result(4, transformations=es.flips())})


def test_of_images_that_nothing_is_known_of_there_is_no_difference():
    unknown = {name: result(channels, data=None) for name, channels in (("narrow", 4), ("wide", 8))}
    assert all(scores.manifest["data"] for scores in unknown.values())
    assert set(compare(unknown)["what"]) == {"score"}


def test_groups_that_are_not_the_same_have_no_interval_of_a_difference(both):
    few = both["wide"].replicates
    few = few[(few["scope"] == "image") | (few["unit"] < 5)]
    table = compare({"narrow": both["narrow"], "few": replace(both["wide"], replicates=few)})
    table = table[table["what"] == "difference"].set_index("scope")
    assert table.loc["dataset", ["score"]].notna().all(axis=None)
    assert table.loc["dataset", ["low", "corrected_high"]].isna().all(axis=None)
    assert table.loc["image", "low"].notna().any()
