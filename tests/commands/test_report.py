"""`equiscope report`: the report of one result again, or of several."""

from pathlib import Path
from shutil import copytree

import pytest

import equiscope as es
from equiscope.commands.report import shortest_names
from example import example_scores
from terminal import equiscope


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A saved result, and the place that it is in."""
    monkeypatch.chdir(tmp_path)
    example_scores(layers=2).save(tmp_path / "out" / "net")
    return tmp_path / "out" / "net"


def test_the_report_is_made_again(folder):
    es.report(es.load(folder), folder / "report.html")
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    assert equiscope("report", folder) == (0, f"Report: {folder / 'report.html'}\n", "")
    assert (folder / "report.html").read_bytes() == before


def test_several_results_are_in_one_report_under_names_that_differ(folder, tmp_path, monkeypatch):
    reported = {}
    monkeypatch.setattr(es, "report", lambda results, file: reported.update(names=list(results), file=file))
    other = copytree(folder, tmp_path / "second" / folder.name)
    assert equiscope("report", folder, other, "--output", "both.html", "--quiet") == (0, "both.html\n", "")
    assert reported == {"names": ["out/net", "second/net"], "file": Path("both.html")}
    assert equiscope("report", folder, other).out == "Report: report.html\n"
    assert reported["file"] == Path("report.html")


def test_names_are_as_short_as_they_may_be(tmp_path):
    assert shortest_names([tmp_path / "a"]) == ["a"]
    assert shortest_names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["nowhere"], "nowhere is no result of equiscope: there is no such folder."),
        (["runs/limit=200"], "runs/limit=200 is no result of equiscope: it has no manifest.json."),
        (["out", "out"], "out is given more than once; give every result once."),
    ],
)
def test_what_is_no_result_has_no_report(folder, tmp_path, given, message):
    (tmp_path / "runs" / "limit=200").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    assert equiscope("report", *given) == (2, "", f"Error: {message}\n")
    assert sorted(tmp_path.rglob("*")) == before
