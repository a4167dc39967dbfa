"""What stays, swaps, mixes and is lost: differences of the explained shares, which add up to 1."""

from dataclasses import replace

import numpy as np
import pytest

from equiscope.results.scores import Scores
from equiscope.results.shares import REST, SHARES, divided, sentences_of, shares_of
from example import example_scores


@pytest.fixture(scope="module")
def scores() -> Scores:
    return example_scores(7)


@pytest.mark.parametrize("by", ["part", "layer"])
def test_shares_are_the_differences_of_what_is_explained(scores: Scores, by: str) -> None:
    table = scores.table(by, transformation="rotations").set_index(by)
    found = shares_of(scores, "rotations", by)
    assert list(found.index) == list(table.index) and list(found.columns) == list(SHARES)
    np.testing.assert_allclose(found["swaps"], table["equivariance_explained"] - table["invariance_explained"])
    np.testing.assert_allclose(found["lost"], 1 - table["linear_explained"])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert list(shares_of(scores, "shifts", by).columns) == ["stays", "swaps", REST]


def test_where_one_is_undefined_all_are_and_none_is_negative() -> None:
    found = divided(np.array([[0.3, 0.2], [0.29, 0.4], [0.5, np.nan]]))
    np.testing.assert_allclose(found[:, 0], [0.3, 0, 0.2, 0.5])
    assert np.isnan(found[:, 1]).all()


def test_a_sentence_a_family_reads_the_first_and_the_last_part(scores: Scores) -> None:
    rotations, shifts = sentences_of(scores)
    early, late = (shares_of(scores, "rotations").loc[part] for part in ("early", "late"))
    percent = [f"{100 * value:.0f} %" for value in [*early, *late]]
    assert rotations == (
        f"Under rotations, {percent[0]} of the variance of the early layers stays in its channel, {percent[1]} swaps "
        f"to another channel, {percent[2]} mixes over channels and {percent[3]} is lost; of the late layers "
        f"{percent[4]}, {percent[5]}, {percent[6]} and {percent[7]}."
    )
    assert shifts.startswith("Under shifts, ") and "mixes" not in shifts and shifts.count("%") == 4


def test_there_is_no_sentence_of_what_is_undefined_or_was_not_measured(scores: Scores) -> None:
    assert sentences_of(example_scores(measures=("invariance",))) == []
    assert sentences_of(replace(scores, parts=scores.parts.assign(explained=np.nan))) == []
    vectors = replace(scores, parts=scores.parts[scores.parts["part"].isin(["pool", "final"])])
    assert "of the pooled features stays" in sentences_of(vectors)[0]
