"""What is lost and what it costs: ranks within sets of networks, and a page that says no more than they do."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from equiscope_studies.figures import figure_lost
from equiscope_studies.survey.lost import answer, relations, within_sets
from equiscope_studies.survey.ranks import spearman


def test_one_set_is_spearmans_rho_and_sets_apart_are_not_ranked_together():
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((2, 7))
    rho, p = within_sets(x, y, np.zeros(7))
    exact = spearman(x, y)
    assert rho == pytest.approx(exact.rho) and p == pytest.approx(exact.p, abs=0.01)
    # in each set the ranks are reversed, though over both one rises with the other
    sets = np.repeat(["small", "large"], 4)
    x = np.array([0.0, 1, 2, 3, 10, 11, 12, 13])
    y = np.array([3.0, 2, 1, 0, 13, 12, 11, 10])
    assert within_sets(x, y, sets)[0] == pytest.approx(-1) and spearman(x, y).rho > 0
    assert np.isnan(within_sets(np.ones(8), y, sets)).all()


@pytest.fixture(scope="module")
def measured(of_figure7, survey, tmp_path_factory):
    """Four networks' measurements (two networks' twice), and accuracies that fall with what is lost."""
    results = tmp_path_factory.mktemp("lost") / "results"
    for number, name in enumerate(("narrow", "wide", "narrow", "wide")):
        home = results / f"{number}-{name}"
        shutil.copytree(survey.results / f"nets.py-{name}", home)
        file = home / "rotations" / "manifest.json"
        manifest = json.loads(file.read_text())
        manifest["study"]["network"] = home.name
        file.write_text(json.dumps(manifest))
        accuracy = [0.8, *[0.4 + 0.1 * number] * 3]
        (home / "rotated.json").write_text(json.dumps({"accuracy": accuracy, "images": 9, "on": "noise"}))
    return replace(survey, results=results, models=None)


def test_the_page_says_what_four_networks_show(measured, read, folder, tmp_path):
    table, words = read(figure_lost(folder, tmp_path / "lost", measured))
    assert set(table["network"]) == {"0-narrow", "1-wide", "2-narrow", "3-wide"}
    assert table["cost"].unique() == pytest.approx([0.5, 0.375, 0.25, 0.125])
    assert "rotation: inconclusive** (n = 4" in words and "--results RESULTS" in words
    assert str(measured.results) not in words


def test_of_too_few_networks_or_unlabelled_images_the_cause_is_told(measured, survey, folder, tmp_path):
    with pytest.raises(ValueError, match="holds 2 networks .* needs three; figure 7 measures them"):
        figure_lost(folder, tmp_path / "lost", replace(survey, models=None))
    with pytest.raises(ValueError, match="other is not measured under rotations"):
        figure_lost(folder, tmp_path / "lost", replace(measured, models=["other"]))


def test_a_clear_relation_holds_and_a_reversed_one_fails():
    import pandas as pd

    rows = [
        {"network": str(number), "set": number % 2, "part": part, "lost": number, "cost": number}
        for number in range(12)
        for part in ("early", "late")
    ]
    table = pd.DataFrame(rows)
    assert "predicts the accuracy lost under rotation: holds** (n = 12, rho 1.00" in answer(relations(table))
    assert ": fails** (n = 12, rho -1.00" in answer(relations(table.assign(cost=-table["cost"])))
