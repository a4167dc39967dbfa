"""Results compared: scores as they are, and differences whose intervals are those of the units that both share."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from equiscope.functional.statistics import resample_counts
from equiscope.results.columns import VALUES
from equiscope.results.comparison import LABELS, compare, loaded
from equiscope.results.scores import Scores
from example import example_scores, shuffled

FLIPS = {"flips": ["hflip", "vflip"]}


def result(channels, *, images=30, data=None, **options):
    scores = example_scores(channels=channels, images=images, scopes=("dataset", "image"), seed=channels, **options)
    manifest = scores.manifest | {"model": f"of {channels}", "data": {**DATA, **(data or {})}}
    return replace(scores, manifest=manifest | {"options": manifest["options"] | {"seed": 0}})


DATA = {"fingerprint": "abc", "fingerprint_in_order": "abc0", "fingerprint_of": "files"}


@pytest.fixture(scope="module")
def both():
    return {"narrow": result(4), "wide": result(8)}


def one(table, **wanted):
    for column, value in (
        {"transformation": "rotations", "measure": "equivariance", "scope": "dataset"} | wanted
    ).items():
        table = table[table[column] == value]
    (row,) = table.to_dict("records")
    return row


def units(scores, part, scope="dataset", value="score", **wanted):
    """Each layer's replicates of the part over all members, `[layer, unit]`."""
    layers = scores.layers.loc[scores.layers["part"] == part, "layer"]
    wanted = {"transformation": "rotations", "measure": "equivariance", "scope": scope, "alignment": "array"} | wanted
    rows = scores.replicates[(scores.replicates[list(wanted)] == list(wanted.values())).all(axis=1)]
    found = []
    for layer in layers:
        of_layer = rows[rows["layer"] == layer]
        found.append(of_layer[of_layer["subpixel"] == of_layer["subpixel"].max()].sort_values("replicate")[value])
    return np.stack(found)


@pytest.mark.parametrize("value", ["score", "explained"])
@pytest.mark.parametrize(
    ("part", "more"),
    [
        ("early", {}),
        ("final", {"measure": "linear"}),
        ("early", {"transformation": "shifts"}),  # of which some layers have two rows
    ],
)
def test_the_difference_over_all_images_is_jackknifed_by_group(both, part, value, more):
    row = one(compare(both), what="difference", part=part, **more)
    wide, narrow = (units(both[name], part, value=value, **more) for name in ("wide", "narrow"))
    theta = [wide[:, group].mean() - narrow[:, group].mean() for group in range(10)]
    half = stats.t.ppf(0.975, 9) * np.sqrt(9 / 10 * sum((one - np.mean(theta)) ** 2 for one in theta))
    assert (row["result"], row["less"]) == ("wide", "narrow")
    low, high = ("low", "high") if value == "score" else ("explained_low", "explained_high")
    assert (row[low], row[high]) == pytest.approx((row[value] - half, row[value] + half))


def test_the_difference_of_invariance_within_images_is_bootstrapped_in_pairs(both):
    wanted = {"part": "early", "scope": "image", "measure": "invariance"}
    row = one(compare(both), what="difference", **wanted)
    wide, narrow = (units(both[name], "early", "image", measure="invariance").mean(0) for name in ("wide", "narrow"))
    drawn = [np.repeat(wide - narrow, count.astype(int)).mean() for count in resample_counts(30, 0)]
    assert (row["low"], row["high"]) == pytest.approx(np.quantile(drawn, [0.025, 0.975]))
    assert np.isnan(row["explained"]) and np.isnan(row["explained_low"])


def test_the_difference_of_equivariance_within_images_is_jackknifed_by_group(both):
    row = one(compare(both), what="difference", part="early", scope="image")
    wide, narrow = (units(both[name], "early", "image").mean(0) for name in ("wide", "narrow"))
    theta = wide - narrow
    half = stats.t.ppf(0.975, 9) * np.sqrt(9 / 10 * np.square(theta - theta.mean()).sum())
    assert (row["low"], row["high"]) == pytest.approx((row["score"] - half, row["score"] + half))


def test_every_value_is_that_of_the_part_or_the_difference_of_both(both):
    table = compare(both)
    index = ["part", *LABELS]
    own = {}
    for name, scores in both.items():
        rows = table[(table["what"] == "score") & (table["result"] == name)].set_index(index)
        parts = scores.parts.sort_values("subpixel", kind="stable").drop_duplicates(index, keep="last").set_index(index)
        assert set(rows.index) == set(parts.index[parts.index.get_level_values("transformation").isin(scores.families)])
        pd.testing.assert_frame_equal(rows[list(VALUES)], parts.loc[rows.index, list(VALUES)])
        own[name] = rows
    differences = table[table["what"] == "difference"].set_index(index)
    assert len(differences) == len(own["wide"])
    for value in ("score", "in_sample", "chance", "explained", "held_out"):
        expected = own["wide"][value] - own["narrow"][value]
        np.testing.assert_allclose(differences[value], expected.loc[differences.index], atol=1e-12)


def test_one_scope_is_selected(both):
    assert set(compare(both)["scope"]) == {"dataset", "image"}
    table = compare(both, scope="image")
    assert set(table["scope"]) == {"image"} and set(table["what"]) == {"score", "difference"}
    with pytest.raises(ValueError, match=r"scope='cells' is not known; it is one of dataset, image\."):
        compare(both, scope="cells")


def test_the_order_of_rows_changes_nothing(both):
    mixed = compare({name: shuffled(scores, seed) for seed, (name, scores) in enumerate(both.items())})
    keys = ["what", "result", "part", *LABELS]
    expected = compare(both)
    pd.testing.assert_frame_equal(
        mixed.sort_values(keys, ignore_index=True), expected.sort_values(keys, ignore_index=True)
    )


def test_no_difference_where_images_are_not_known_to_be_the_same(both):
    unread = result(4)
    unread.manifest["images_left_out"] = [{"image": "a.png", "reason": "it is empty"}]
    others = {
        "of other images": result(4, data={"fingerprint": "def"}),
        "of the pixels of images": result(4, data={"fingerprint_of": "pixels"}),
        "of fewer": result(4, images=24),
        "of images of which one could not be read": unread,
    }
    for other in others.values():
        assert set(compare({"one": both["wide"], "other": other})["what"]) == {"score"}


def test_images_of_one_content_are_the_same_whatever_their_names_and_paired_only_in_one_order(both):
    def differences(**data):
        table = compare({"one": both["wide"], "other": result(4, data=data)})
        return table[table["what"] == "difference"]

    renamed = differences(source="elsewhere", seed=3, split="train", found=99)
    pd.testing.assert_frame_equal(renamed, differences())
    assert renamed["low"].notna().any()
    shuffled_before = differences(fingerprint_in_order="other")
    pd.testing.assert_series_equal(shuffled_before["score"], renamed["score"])
    assert shuffled_before[["low", "high", "explained_low", "explained_high"]].isna().all(axis=None)


def test_of_images_that_nothing_is_known_of_there_is_no_difference():
    unknown = {name: result(channels, data={"fingerprint": None}) for name, channels in (("narrow", 4), ("wide", 8))}
    assert set(compare(unknown)["what"]) == {"score"}


def test_what_cannot_be_compared_is_refused_in_a_sentence(both):
    with pytest.raises(ValueError, match="1 result cannot be compared; give two at least"):
        compare({"one": both["wide"]})
    with pytest.raises(ValueError, match="no transformation or family in common"):
        compare({"one": both["wide"], "other": result(4, families=FLIPS, shifts=())})


def test_groups_that_are_not_the_same_have_no_interval_of_a_difference(both):
    few = both["wide"].replicates
    few = few[((few["scope"] == "image") & (few["measure"] == "invariance")) | (few["replicate"] < 5)]
    table = compare({"narrow": both["narrow"], "few": replace(both["wide"], replicates=few)})
    table = table[table["what"] == "difference"].set_index("scope")
    assert table.loc["dataset", ["score"]].notna().all(axis=None)
    assert table.loc["dataset", ["low", "explained_high"]].isna().all(axis=None)
    assert table.loc["image", "low"].notna().any()


def test_without_intervals_differences_have_none(both):
    table = compare({"one": result(4, intervals=False), "other": result(8, intervals=False)})
    differences = table[table["what"] == "difference"]
    assert len(differences) and differences[["low", "high", "explained_low"]].isna().all(axis=None)


def test_folders_are_named_by_their_networks_or_by_themselves(both, tmp_path):
    for name, scores in both.items():
        scores.save(tmp_path / name)
    both["wide"].save(tmp_path / "again")
    assert list(loaded([tmp_path / "narrow", tmp_path / "wide"])) == ["of 4", "of 8"]
    folders = [tmp_path / "wide", tmp_path / "again"]
    found = loaded(folders)
    assert list(found) == list(map(str, folders)) and all(isinstance(one, Scores) for one in found.values())
    with pytest.raises(ValueError, match="A folder is given twice; give each once"):
        loaded([tmp_path / "wide", tmp_path / "wide"])
    pd.testing.assert_frame_equal(compare(folders), compare(found))
