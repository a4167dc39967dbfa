"""`equiscope plot`: the files are what the functions draw, and mistakes are sentences."""

from functools import wraps
from types import SimpleNamespace

import pytest

from equiscope.figures.kinds import KINDS
from equiscope.results.folder import load
from example import example_scores
from terminal import equiscope


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two saved results of networks of different names."""
    folder = tmp_path_factory.mktemp("plots")
    for seed, name in enumerate(("one", "other")):
        example_scores(layers=3, model=name, seed=seed).save(folder / name)
    return folder


@pytest.fixture
def drawn(monkeypatch):
    """The options that a figure is drawn with, in place of the figure, by its kind."""
    options = {}
    for kind, function in KINDS.items():

        @wraps(function)
        def draw(results, kind=kind, **given):
            options[kind] = given | {"results": results if isinstance(results, dict) else str(results)}
            return SimpleNamespace(save=lambda path: [path])

        monkeypatch.setitem(KINDS, kind, draw)
    return options


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("comparison", "explained", "alone")])
def test_options_arrive(drawn, saved, kind):
    answer = equiscope(
        "plot", saved / "one", "--kind", kind, "--transformation", "rotations", "--measure", "equivariance",
        "--value", "in_sample", "--scope", "image", "--alignment", "registered", "--output", "x.pdf",
    )  # fmt: skip
    assert answer == (0, "x.pdf\n", "")
    assert drawn[kind].pop("results") == str(load(saved / "one"))
    assert drawn[kind] == {
        "transformation": "rotations", "measure": "equivariance", "value": "in_sample", "scope": "image",
        "alignment": "registered", "caption": True,
    }  # fmt: skip


def test_options_of_one_kind_arrive(drawn, saved):
    assert equiscope("plot", saved / "one", saved / "other", "--kind", "comparison", "--by", "depth").status == 0
    assert drawn["comparison"].pop("by") == "depth" and list(drawn["comparison"]["results"]) == ["one", "other"]
    command = ("plot", saved / "one", "--kind", "transformations", "--layers", "a", "--layers", "b", "--heatmap")
    assert equiscope(*command, "--no-caption").status == 0
    drawn["transformations"].pop("results")
    assert drawn["transformations"] == {"layers": ("a", "b"), "heatmap": True, "caption": False}
    assert equiscope("plot", saved / "one", "--kind", "explained").status == 0
    assert drawn["explained"].keys() == {"caption", "results"}
    for options, kind in (((), "explained"), (("--scope", "image"), "layers")):
        drawn.clear()
        assert equiscope("plot", saved / "one", *options).status == 0 and list(drawn) == [kind]


def test_the_command_writes_what_the_function_draws(saved):
    file = saved / "parts.pdf"
    assert equiscope("plot", saved / "one", "--kind", "parts", "--output", file) == (0, f"{file}\n", "")
    assert file.read_bytes() == KINDS["parts"](load(saved / "one")).pdf()


def test_by_default_a_drawing_goes_to_the_result_as_pdf_and_png(saved):
    written = [saved / f"one/transformations.{kind}" for kind in ("pdf", "png")]
    command = ("plot", saved / "one", "--kind", "transformations", "--layers", "layer1", "--heatmap", "--no-caption")
    assert equiscope(*command) == (0, "".join(f"{file}\n" for file in written), "")
    again = equiscope(*command)
    assert again.status == 2 and "transformations.pdf exists; give another --output, or --force" in again.err
    assert equiscope(*command, "--force").status == 0


@pytest.mark.parametrize(
    ("options", "words"),
    {
        "a kind": (["--kind", "pie"], "--kind 'pie' is not known; it is one of explained, alone, layers, parts,"),
        "folders": (["other"], "--kind explained draws one folder, and 2 are given; give --kind comparison."),
        "one to compare": (["--kind", "comparison"], "1 result cannot be compared; give two at least."),
        "twice": (["one", "--kind", "comparison"], "A folder is given twice; give each once."),
        "no result": (["nowhere", "--kind", "comparison"], "nowhere is no result of equiscope"),
        "a scope": (["--scope", "cells"], "--scope 'cells' is not known; it is one of dataset, image."),
        "a measure": (["--measure", "x"], "--measure 'x' is not known; it is one of invariance, equivariance, linear"),
        "a value": (["--value", "corrected"], "--value 'corrected' is not known; it is one of score, explained,"),
        "a transformation": (["--transformation", "rot45"], "--transformation 'rot45' is not known; it is one of rot"),
        "an alignment": (["--alignment", "registered"], "--alignment 'registered' was not measured"),
        "a layer": (
            ["--kind", "transformations", "--layers", "x", "--output", "x.pdf"],
            "--layers 'x' was not measured; there is layer1",
        ),
        "of one kind": (["--layers", "x"], "--layers is for --kind transformations, not for explained."),
        "of many kinds": (["--kind", "explained", "--scope", "image"], "--scope is for --kind layers, parts, "),
        "a way": (["other", "--kind", "comparison", "--by", "size"], "--by 'size' is not known; it is one of part, d"),
        "a folder": (["--output", "."], "'.' is a folder, and a figure is a file; give a name such as figure.pdf."),
        "a picture": (["--output", "x.svg"], "A figure is written as .pdf or .png, or both, but not as .svg: x.svg."),
    }.values(),
)
def test_a_mistake_is_told_in_one_sentence_and_nothing_is_written(saved, monkeypatch, options, words):
    monkeypatch.chdir(saved)
    before = sorted(saved.rglob("*"))
    answer = equiscope("plot", "one", *options)
    assert (answer.status, answer.out) == (2, "") and answer.err.startswith(f"Error: {words}"), answer.err
    assert answer.err.count("\n") == 1 and sorted(saved.rglob("*")) == before
