"""From rows of layers to tables: families, parts and intervals are means of rows and of their replicates."""

from dataclasses import replace

import numpy as np
import pytest

import equiscope as es
from equiscope.functional.statistics import jackknife_half_width
from equiscope.measurement.findings import Findings, Row
from equiscope.measurement.scored import mean_row, remarks_on, scored
from equiscope.networks.features import Source
from equiscope.networks.layers import Layer
from equiscope.networks.layout import Layout
from equiscope.results.columns import TABLES

nan = np.nan


def row(score=0.5, *, explained=0.3, held_out=0.3, undefined=1, subpixel=False, by_image=False, spread=0.1, groups=10):
    numbers = np.arange(groups, dtype=float)
    wave = spread * np.cos(numbers + 10 * score)
    replicates = np.column_stack([numbers, score + wave, np.full(groups, nan) if by_image else explained + wave])
    there = int(score == score)
    return Row(
        score, score + 0.05, 0.1, explained, held_out, 30 * there, undefined, there, subpixel, by_image, replicates
    )


def layer(name, part="early", index=0):
    source, grid = Source(name), (6, 6)
    return Layer(name, source, "Conv2d", index, part, 4, Layout(kind="map", grid=grid, before=0, after=0), (2, 2))


def findings(name, rows, part="early", index=0):
    channels = {
        (key[0], key[2], key[3]): {
            "partner": np.array([1, 0, -1, 3]), "defined": np.array([1, 1, 0, 1]),
            "invariance": np.array([0.1, 0.2, nan, 0.3]),
        }
        for key in rows
    }  # fmt: skip
    return Findings(layer(name, part, index), dead=1, dimension=2.5, rows=rows, channels=channels)


def manifest(families):
    return {
        "model": "M",
        "images": 30,
        "options": {"transformations": {one.name: [t.name for t in one.transformations] for one in families}},
    }


def table_of(all_findings, families, scoring=None, images=30):
    return scored(all_findings, families, images, scoring or es.Scoring(), manifest(families))


def rows_of(names, measure="invariance", scope="dataset", **given):
    return {(name, measure, scope, "array"): row(0.2 + 0.1 * place, **given) for place, name in enumerate(names)}


ROTATIONS = [one.name for one in es.rotations().transformations]


def test_tables_have_the_columns_that_are_promised():
    scores = table_of([findings("a", rows_of(ROTATIONS))], [es.rotations()])
    for name, columns in TABLES.items():
        assert tuple(getattr(scores, name).columns) == columns, name
    assert scores.layers.iloc[0][["dead", "dimension", "stride_y", "channels"]].tolist() == [1, 2.5, 2.0, 4]
    partners = scores.channels[scores.channels["transformation"] == "rot90"]["partner"]
    assert str(partners.dtype) == "Int64" and partners.isna().tolist() == [False, False, True, False]


def test_a_family_is_the_mean_of_its_members_and_of_their_replicates():
    rows = rows_of(ROTATIONS)
    scores = table_of([findings("a", rows)], [es.rotations(), es.identity()])
    of_family = scores.scores.set_index("transformation").loc["rotations"]
    members = list(rows.values())
    for column in ("score", "in_sample", "chance", "explained", "held_out"):
        assert of_family[column] == pytest.approx(np.mean([getattr(one, column) for one in members]))
    assert (of_family["undefined"], of_family["transformations"], of_family["images"]) == (3, 3, 30)
    thetas = np.mean([one.replicates[:, 1] for one in members], axis=0)
    half = float(jackknife_half_width(thetas))
    assert of_family["low"] == pytest.approx(max(0, 0.3 - half)) and of_family["high"] == pytest.approx(0.3 + half)
    replicates = scores.replicates[scores.replicates["transformation"] == "rotations"]
    np.testing.assert_allclose(replicates["score"], thetas)
    assert replicates["replicate"].tolist() == list(range(10))


def test_a_family_has_a_row_over_whole_shifts_where_some_are_interpolated():
    shifts = es.shifts([1, 2, 4])
    names = [one.name for one in shifts.transformations]
    rows = rows_of(names)
    first = (names[0], "invariance", "dataset", "array")
    rows[first] = replace(rows[first], subpixel=True)
    scores = table_of([findings("a", rows)], [shifts])
    of_family = scores.scores[scores.scores["transformation"] == "shifts"].set_index("subpixel")
    assert of_family.loc[True, "score"] == pytest.approx(0.3) and of_family.loc[True, "transformations"] == 3
    assert of_family.loc[False, "score"] == pytest.approx(0.35) and of_family.loc[False, "transformations"] == 2
    assert scores.table()["invariance"].tolist() == [pytest.approx(0.3)]
    for changed in (True, False):  # all of one kind: one row
        alike = {key: replace(one, subpixel=changed) for key, one in rows.items()}
        table = table_of([findings("a", alike)], [shifts]).scores
        assert table[table["transformation"] == "shifts"]["subpixel"].tolist() == [changed]


def test_a_transformation_alone_is_its_own_family():
    alone = es.rotations().transformations[0]
    scores = table_of([findings("a", rows_of(["rot90"]))], [es.Family("rot90", (alone,))])
    assert len(scores.scores) == 1


def test_a_registered_family_needs_all_of_its_members():
    rows = rows_of(ROTATIONS) | {("rot90", "invariance", "dataset", "registered"): row(0.9)}
    its = findings("a", rows)
    its.offsets = {"rot90": (0.5, -0.25)}
    scores = table_of([its], [es.rotations()], es.Scoring(alignment="registered"))
    registered = scores.scores[scores.scores["alignment"] == "registered"]
    assert registered["transformation"].tolist() == ["rot90"]
    assert registered[["offset_y", "offset_x"]].to_numpy().tolist() == [[0.5, -0.25]]
    assert scores.scores[scores.scores["alignment"] == "array"]["offset_y"].isna().all()


def test_a_part_is_the_mean_of_its_layers():
    shifts = es.shifts([1, 2])
    names = [one.name for one in shifts.transformations]
    one, other = rows_of(names), rows_of(names)
    for name in names:  # interpolated on one layer alone
        other[name, "invariance", "dataset", "array"] = row(0.8, subpixel=True)
    parts = table_of(
        [findings("a", one), findings("b", other, index=1), findings("c", one, "final", 2)], [shifts]
    ).parts
    of_family = parts[(parts["transformation"] == "shifts") & (parts["part"] == "early")].set_index("subpixel")
    assert of_family.loc[True, ["layers", "transformations"]].tolist() == [2, 2]
    assert of_family.loc[True, "score"] == pytest.approx((0.25 + 0.8) / 2)
    assert of_family.loc[False, "layers"] == 1 and of_family.loc[False, "score"] == pytest.approx(0.25)
    assert parts["part"].unique().tolist() == ["early", "final"]


def test_a_layer_where_nothing_is_defined_is_not_counted():
    undefined = row(nan, explained=nan, held_out=nan, undefined=4, groups=0)
    rows = {("rot90", "invariance", "dataset", "array"): undefined}
    alone = es.Family("rot90", es.rotations().transformations[:1])
    parts = table_of([findings("a", rows_of(["rot90"])), findings("b", rows, index=1)], [alone]).parts.iloc[0]
    assert parts["layers"] == 1 and parts["score"] == pytest.approx(0.2) and parts["undefined"] == 5
    assert mean_row([undefined, row(0.4)], subpixel=False).score == 0.4


@pytest.mark.parametrize(
    ("options", "score", "spread", "low", "high"),
    [
        ({}, 0.5, 0.0, 0.5, 0.5),
        ({}, 0.5, 1.0, 0.0, 1.0),  # cut
        ({"negative": "keep"}, -0.5, 1.0, -1.0, 1.0),
        ({"intervals": False}, 0.5, 0.1, nan, nan),
    ],
)
def test_intervals_are_cut_to_the_scores_range(options, score, spread, low, high):
    alone = es.Family("rot90", es.rotations().transformations[:1])
    rows = {("rot90", "invariance", "dataset", "array"): row(score, spread=spread)}
    found = table_of([findings("a", rows)], [alone], es.Scoring(**options)).scores.iloc[0]
    np.testing.assert_allclose(found[["low", "high"]].astype(float), [low, high])
    if spread > 0 and options.get("intervals", True):
        assert 0 <= found["explained_low"] <= found["explained_high"] <= 1
    few = table_of([findings("a", rows)], [alone], images=19).scores.iloc[0]
    assert np.isnan([few["low"], few["high"], few["explained_low"]]).all()


def test_scores_of_images_are_resampled():
    rows = {("rot90", "invariance", "image", "array"): row(0.5, by_image=True, explained=nan, groups=40)}
    alone = es.Family("rot90", es.rotations().transformations[:1])
    scoring = es.Scoring(scopes="image")
    one, same, other = (
        table_of([findings("a", rows)], [alone], replace(scoring, seed=seed)).scores.iloc[0] for seed in (0, 0, 1)
    )
    assert one["low"] < 0.5 < one["high"] and one["high"] - one["low"] < 0.1
    assert (one["low"], one["high"]) == (same["low"], same["high"]) != (other["low"], other["high"])
    assert np.isnan(one["explained_low"])


def test_scores_of_images_that_are_undefined_in_some_layers_are_means_of_the_others():
    whole, part = (row(score, by_image=True, explained=nan, groups=4, spread=0) for score in (0.2, 0.6))
    part.replicates[[0, 1], 1] = nan
    together = mean_row([whole, part], subpixel=False)
    np.testing.assert_allclose(together.replicates[:, 1], [0.2, 0.2, 0.4, 0.4])
    assert together.score == pytest.approx(0.3) and together.images == 4


def test_only_the_scopes_asked_for_have_rows():
    rows = rows_of(ROTATIONS) | rows_of(ROTATIONS, scope="image", by_image=True)
    scores = table_of([findings("a", rows)], [es.rotations()], es.Scoring(scopes="image"))
    for table in (scores.scores, scores.parts, scores.channels, scores.replicates):
        assert set(table["scope"]) == {"image"}


def test_too_few_images_for_the_linear_measure_are_remarked_on():
    settled = {("rot90", "linear", "dataset", "array"): row(0.5, explained=0.3, held_out=0.25)}
    unsettled = {("rot90", "linear", "dataset", "array"): row(0.5, explained=0.3, held_out=0.1)}
    alone = es.Family("rot90", es.rotations().transformations[:1])
    assert remarks_on(table_of([findings("a", settled)], [alone])) == []
    (remark,) = remarks_on(table_of([findings("a", settled), findings("b", unsettled, index=1)], [alone]))
    assert "needs more images on b: " in remark and "\n" not in remark
