"""The page of a study follows from its numbers."""

import json

import pandas as pd
import pytest

from equiscope_studies.training.page import by_epochs, page
from equiscope_studies.training.scores import meanwhile
from equiscope_studies.training.study import STUDIES

STUDY = STUDIES["data"]


@pytest.fixture(scope="module")
def words(done):
    """The page of three seeds of what one was, each higher by a hundredth."""
    one = pd.read_parquet(done / "scores.parquet")
    seeds = [one.assign(seed=seed, run=one["run"] + str(seed), score=one["score"] + 0.01 * seed) for seed in range(3)]
    recipe = json.loads((done / "recipe.json").read_text())["made"]
    return page(STUDY, pd.concat(seeds, ignore_index=True), recipe, 9)


def test_three_seeds_have_intervals(words):
    assert " ± 0.025" in words  # t(.975, 2) .01 / sqrt(3)
    assert "| Rot-Inv | 3 |" in words
    assert "bars are 95 % t-intervals over them" in words


def test_the_page_begins_with_what_answers_its_title(words):
    title, answer, picture = words.split("\n\n")[:3]
    assert title == f"# {STUDY.question}"
    assert answer.startswith("Under rotations, compared with MNIST6, ")
    assert "claims of the paper, each of one difference in one part," in answer
    assert picture == "![The effect of each condition](effects.png)"


def test_claims_are_told_part_by_part_and_long_tables_are_folded(words):
    rows = [line for line in words.splitlines() if line.startswith("| no difference between the three data sets in")]
    assert rows[0].count("|") == 5 and rows[0].startswith(
        "| no difference between the three data sets in early | ± 0.1 |"
    )
    assert words.count("<details") == words.count("</details>") == 5
    assert words.index("## The claims") < words.index("<details")
    assert "<summary>Every claim in every reading</summary>" in words


def test_scores_stand_beside_their_chance_levels_and_what_they_explain(words):
    assert "after the comma, the chance level" in words
    assert (
        "<summary>Shares of variance explained</summary>" in words and "rotations, own images, dataset, linear" in words
    )


def test_what_training_does_to_what_is_lost_stands_in_words(done, toy):
    by_epoch = meanwhile(STUDY, STUDY.presets["small"].changed(toy).recipes(), done / "runs")
    linear = by_epoch["measure"] == "linear"
    by_epoch.loc[linear, "explained"] = 0.25 + 0.5 * by_epoch.loc[linear, "epoch"]
    _, told, table = by_epochs(STUDY, by_epoch)
    assert (
        "1 seed. What is lost, with random weights and estimated statistics of normalisation and after epoch 1" in told
    )
    assert "| Rot-Inv | 0.75 to 0.25 |" in table
