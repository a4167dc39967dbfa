"""Rows by their labels: of a family's two rows the one over all members, wherever it stands."""

import numpy as np
import pandas as pd
import pytest

from equiscope.results.rows import in_order, measures_in, overall, rows_of
from example import example_scores, shuffled

LABELS = ["transformation", "measure", "scope", "alignment"]


@pytest.mark.parametrize("table", ["scores", "parts", "replicates"])
def test_of_a_family_s_two_rows_the_one_over_all_members_is_kept(table: str) -> None:
    scores = example_scores(shifts=(1, 2, 4))
    by = {"scores": ["layer"], "parts": ["part"], "replicates": ["layer", "replicate"]}[table]
    for rows in (getattr(scores, table), getattr(shuffled(scores), table)):
        found = overall(rows)
        assert len(found) < len(rows) and not found.duplicated([*by, *LABELS]).any()
        assert len(found) == len(rows.drop_duplicates([*by, *LABELS]))
        left = rows.drop(found.index)
        assert not left["subpixel"].any() and set(left["transformation"]) <= {"shifts", "shift(1,1)", "shift(2,2)"}
        assert found.index.is_monotonic_increasing  # in their order


def test_an_index_that_repeats_changes_nothing() -> None:
    parts = example_scores().parts
    twice = pd.concat([parts.assign(epoch=epoch) for epoch in (1, 2)])
    assert len(overall(twice)) == 2 * len(overall(parts))


def test_one_measure_has_a_row_per_layer_and_per_part() -> None:
    scores = example_scores(scopes=("dataset", "image"), alignments=("array", "registered"))
    rows = rows_of(scores.scores, "image", "rotations", "equivariance", "registered")
    assert list(rows["layer"]) == list(scores.layers["layer"])
    assert set(rows["scope"]) == {"image"} and set(rows["alignment"]) == {"registered"}
    assert len(rows_of(scores.parts, "dataset", "shifts", "invariance")) == 5
    assert rows_of(scores.parts, "dataset", "shifts", "linear").empty


def test_measures_and_layers_come_in_their_order() -> None:
    scores = shuffled(example_scores(9))
    assert measures_in(scores.scores) == ["invariance", "equivariance", "linear"]
    assert measures_in(scores.scores.iloc[:0]) == []
    layers = in_order(scores.layers)
    assert list(layers["layer"]) == [*(f"layer{number}" for number in range(1, 10)), "pool", "final"]
    assert np.array_equal(layers.index, range(11))
