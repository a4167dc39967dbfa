"""The figures by their numbers: what is missing or in the way is named before anything is measured."""

import pytest

from equiscope_studies.figures import Survey, figure2, figure3, figure4, figure7


def test_a_folder_that_holds_something_is_refused_before_anything_is_measured(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    survey = Survey(results=tmp_path / "results")
    for figure in (
        lambda: figure2(None, tmp_path),
        lambda: figure3(tmp_path),
        lambda: figure4(None, tmp_path, survey),
        lambda: figure7(None, tmp_path, survey),
    ):
        with pytest.raises(FileExistsError, match="exists and is not empty"):
            figure()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("missing", ["cifar10", "weights/resnet44-cifar10.safetensors"])
def test_figure_2_names_what_is_missing_before_it_measures(tmp_path, missing):
    for name in {"cifar10", "weights/resnet44-cifar10.safetensors"} - {missing}:
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(ValueError, match=f"There is no {missing} in .* is the folder that holds"):
        figure2(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_figure_2_without_data_says_how_to_give_it(tmp_path, monkeypatch):
    monkeypatch.delenv("EQUISCOPE_DATA", raising=False)
    with pytest.raises(ValueError, match="give --data DIR or EQUISCOPE_DATA"):
        figure2(None, tmp_path / "out")
    monkeypatch.setenv("EQUISCOPE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="There is no cifar10 in .*nowhere"):
        figure2(None, tmp_path / "out")


def test_weights_and_accuracies_are_of_networks_of_the_figure(tmp_path):
    survey = Survey(results=tmp_path / "results", models=["a.py:f"], source="noise", weights={"b": "random"})
    with pytest.raises(ValueError, match=r"b is given weights .* none of the networks: a.py:f"):
        figure7(None, tmp_path / "out", survey)
