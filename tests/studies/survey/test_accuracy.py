"""Figure 4: what a correlation and its p are, and what two networks can show."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from equiscope_studies.figures import figure4, figure7
from equiscope_studies.survey import measuring
from equiscope_studies.survey.accuracy import numbers


def test_accuracies_on_different_images_are_never_in_one_rho():
    table = pd.DataFrame(
        {"network": ["a", "b"], "accuracy": [70.0, 90.0], "accuracy_on": ["ImageNet, published", "CIFAR-10, measured"]}
    )
    with pytest.raises(ValueError, match="not on the same images"):
        numbers(table)


def test_the_page_names_no_folder_and_says_what_two_networks_show(of_figure7, folder, survey, read, tmp_path):
    accuracy = dict(zip(survey.models, (50.0, 60.0), strict=True))
    table, words = read(figure4(folder, tmp_path / "figure4", replace(survey, accuracy=accuracy)))
    assert "Rho of two networks is 1 or -1" in words
    assert "**Translation equivariance goes with accuracy: inconclusive** (n = 2)" in words
    assert words.index("goes with accuracy: ") < words.index("figure.png") < words.index("<details")
    assert str(folder) not in words.replace(survey.models[0], "").replace(survey.models[1], "")
    assert set(table["rho"].dropna()) <= {-1.0, 1.0}
    keys = ["group", "variant", "measure", "scope", "part"]
    assert not table.duplicated(keys).any()
    measures = {"invariance", "equivariance", "linear", "lost"}
    assert set(table["measure"]) == set(table.loc[table["group"] == "rotation", "measure"]) == measures
    of_linear = table[table["measure"] == "linear"]
    assert set(table[table["measure"] == "lost"]["scope"]) == {"dataset"} == set(of_linear["scope"])


def test_an_accuracy_that_is_not_known_is_asked_for(of_figure7, folder, survey, tmp_path):
    with pytest.raises(ValueError, match="accuracy of .* is not known"):
        figure4(folder, tmp_path / "other", survey)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer")
def test_the_papers_six_run_with_random_weights(folder, survey, tmp_path):
    six = measuring.SETTINGS.models
    asked = replace(
        survey, models=None, results=tmp_path / "results", images=20, shifts=[8], weights=dict.fromkeys(six, "random")
    )
    figure7(folder, tmp_path / "figure7", asked)
    table = pd.read_parquet(tmp_path / "figure7" / "data.parquet")
    assert set(table["network"]) == set(six)
    assert set(table["kind"]) == {"CNN", "ViT", "Mixer"}
    figure4(folder, tmp_path / "figure4", asked)
    assert json.loads((tmp_path / "results" / six[0] / "rotations" / "manifest.json").read_text())["images"] == 10
