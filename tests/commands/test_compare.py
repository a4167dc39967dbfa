"""`equiscope compare`: a folder with a figure, a table and a page, whole or absent."""

from types import SimpleNamespace

import pandas as pd
import pytest

import equiscope as es
from example import example_scores
from terminal import equiscope


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Two saved results, and the place that they are in."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("one", "other")):
        example_scores(layers=2, model=name, seed=seed).save(tmp_path / name)
    return tmp_path


def test_the_folder_has_the_figure_the_numbers_and_the_page(saved):
    answer = equiscope("compare", "one", "other")
    assert answer == (0, "Figure: out/comparison/figure.png\nIn words: out/comparison/page.md\n", "")
    folder = saved / "out" / "comparison"
    assert {file.name for file in folder.iterdir()} == {"figure.png", "figure.pdf", "data.parquet", "page.md"}
    expected = es.compare({name: es.load(name) for name in ("one", "other")})
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "data.parquet"), expected)
    page = (folder / "page.md").read_text()
    assert "# Results compared" in page and "- command: `equiscope compare one other`" in page


def test_a_scope_is_chosen_for_table_and_figure(saved, monkeypatch):
    for seed, name in enumerate(("one", "other")):
        example_scores(layers=2, model=name, seed=seed, scopes=("dataset", "image")).save(saved / name, force=True)
    drawn = []
    figure = SimpleNamespace(save=lambda path: path.with_suffix(".png").write_text("a figure"))
    monkeypatch.setattr(es, "plot_comparison", lambda results, scope: drawn.append(scope) or figure, raising=False)
    assert equiscope("compare", "one", "other", "--scope", "image").status == 0
    assert set(pd.read_parquet(saved / "out" / "comparison" / "data.parquet")["scope"]) == {"image"}
    assert drawn == ["image"]
    refused = equiscope("compare", "one", "other", "--scope", "layer")
    assert refused.status == 2 and "--scope 'layer' is not known; it is one of dataset, image" in refused.err


@pytest.mark.usefixtures("undrawn")
def test_a_folder_of_files_is_written_to_by_force_alone(saved):
    command = ("compare", "one", "other", "--output", "both", "--quiet")
    assert equiscope(*command) == (0, "both\n", "")
    refused = equiscope(*command)
    assert refused.status == 2 and "both exists and is not empty; give another folder, or --force" in refused.err
    assert equiscope(*command, "--force").status == 0


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (["nowhere", "one"], "nowhere is no result of equiscope: there is no such folder."),
        (["one"], "1 result cannot be compared; give two at least."),
        (["one", "one"], "A folder is given twice; give each once."),
    ],
)
def test_what_cannot_be_compared_is_told_and_nothing_is_written(saved, folders, words):
    before = sorted(saved.rglob("*"))
    assert equiscope("compare", *folders) == (2, "", f"Error: {words}\n")
    assert sorted(saved.rglob("*")) == before
