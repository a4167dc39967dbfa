"""The page of a study follows from its numbers."""

import json

import pandas as pd
import pytest

from equiscope_studies.training.page import page
from equiscope_studies.training.study import STUDIES

STUDY = STUDIES["data"]


@pytest.fixture(scope="module")
def words(done):
    """The page of three seeds of what one was, each higher by a hundredth."""
    one = pd.read_parquet(done / "scores.parquet")
    seeds = [one.assign(seed=seed, run=one["run"] + str(seed), score=one["score"] + 0.01 * seed) for seed in range(3)]
    recipe = json.loads((done / "recipe.json").read_text())["made"]
    return page(STUDY, pd.concat(seeds, ignore_index=True), recipe, 9, epochs=False)


def test_three_seeds_have_intervals(words):
    assert " ± 0.025" in words  # t(.975, 2) .01 / sqrt(3)
    assert "| Rot-Inv | 3 |" in words
    assert "bars are 95 % t-intervals over them" in words


def test_every_claim_has_its_verdict_in_both_scopes_and_nothing_is_corrected(words):
    assert all(f"| {claim.says} | own images |" in words for claim in STUDY.claims)
    assert "| claim | measured on | dataset | image |" in words
    assert "is inconclusive otherwise" in words and "orrected for chance" not in words and "raw" not in words


def test_scores_stand_beside_their_chance_levels_and_what_they_explain(words):
    assert "after the comma, the chance level" in words
    assert "## Shares of variance explained" in words and "rotations, own images, dataset, linear" in words
