"""`report`: the page in a file, whole or not at all, whatever lies there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import equiscope as es
from equiscope.figures.style import Plot
from equiscope.page import write
from example import example_scores


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plot, "png", lambda figure: b"")


@pytest.mark.parametrize(
    "before",
    ["", "import equiscope.page", "import equiscope.page.write, equiscope.page.words", "from equiscope import report"],
)
def test_it_is_a_function_whatever_was_imported_before(before: str) -> None:
    script = f"{before}\nimport equiscope\nassert equiscope.report.__name__ == 'report' and callable(equiscope.report)"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert "report" in es.__all__ and "report" in dir(es)


def test_one_result_or_several_by_name_are_one_file(tmp_path: Path) -> None:
    one = example_scores(2, shifts=(), model="one network")
    es.report(one, tmp_path / "new" / "one.html")
    es.report({"first": one, "second": example_scores(2, shifts=())}, str(tmp_path / "two.html"))
    assert "<h1>How equivariant is one network?</h1>" in (tmp_path / "new" / "one.html").read_text(encoding="utf-8")
    assert "<dt>Result</dt><dd>second</dd>" in (tmp_path / "two.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "one.html", "two.html"]


def test_a_path_may_be_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    es.report(example_scores(1, shifts=()), "~/report.html")
    assert (tmp_path / "report.html").is_file()


def test_what_is_there_is_replaced_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("the old page")

    def interrupted(*paths: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            es.report(example_scores(1, shifts=()), file)
    assert file.read_text() == "the old page" and list(tmp_path.iterdir()) == [file]
    es.report(example_scores(1, shifts=()), file)
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>") and list(tmp_path.iterdir()) == [file]


def test_a_page_goes_through_a_link_to_where_it_leads(tmp_path: Path) -> None:
    there = tmp_path / "there.html"
    there.write_text("old")
    (tmp_path / "link.html").symlink_to(there)
    es.report(example_scores(1, shifts=()), tmp_path / "link.html")
    assert (tmp_path / "link.html").is_symlink() and there.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_what_cannot_be_written_is_refused_before_the_page_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(write, "document", lambda scores: pytest.fail("the page was made"))
    scores = example_scores(1, shifts=())
    with pytest.raises(IsADirectoryError, match="is a folder, and a file is needed; give its name"):
        es.report(scores, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file is a file, and a folder is needed there"):
        es.report(scores, tmp_path / "file" / "report.html")
    with pytest.raises(ValueError, match="There is no result to report"):
        es.report({}, tmp_path / "report.html")


def test_names_that_are_not_text_are_written(tmp_path: Path) -> None:
    es.report(example_scores(1, shifts=(), model=os.fsdecode(b"caf\xe9")), tmp_path / "report.html")
    assert "caf&#56553;" in (tmp_path / "report.html").read_text(encoding="utf-8")
