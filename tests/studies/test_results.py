"""The folder that a figure or a study leaves: whole or absent, and the same of the same numbers."""

import os

import pytest

from equiscope_studies import known_answers
from equiscope_studies.results import save

FILES = ["data.parquet", "figure.pdf", "figure.png", "page.md"]


@pytest.fixture(scope="module")
def picture(of_figure3):
    return known_answers.picture(of_figure3[0])


def test_force_replaces_our_files_and_leaves_others(tmp_path, of_figure3, picture):
    table, page = of_figure3
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "page.md").write_text("old")
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        save(tmp_path, table, picture, page)
    save(tmp_path, table, picture, page, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*FILES, "notes.txt"])
    assert (tmp_path / "page.md").read_text() == page


def test_a_failure_half_way_leaves_nothing_behind(tmp_path, monkeypatch, of_figure3, picture):
    table, page = of_figure3
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
    with pytest.raises(OSError, match="the disk is full"):
        save(tmp_path / "figure3", table, picture, page)
    assert list(tmp_path.iterdir()) == []


def test_the_same_numbers_make_the_same_files(tmp_path, of_figure3):
    table, page = of_figure3
    one, two = (save(tmp_path / name, table, known_answers.picture(table), page) for name in ("one", "two"))
    for file in FILES:
        assert (one / file).read_bytes() == (two / file).read_bytes(), file
