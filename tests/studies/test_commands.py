"""`figure 4`, `figure 7` and `compare` on the command line: arguments become calls, and mistakes become sentences."""

import pytest

from equiscope_studies import figures
from terminal import equiscope


@pytest.fixture
def called(monkeypatch):
    """The options that a figure is called with, in place of the figure."""
    options = {}
    for name in ("figure4", "figure7"):
        monkeypatch.setattr(figures, name, lambda *places, name=name, **given: options.update(given, name=name))
    return options


def test_the_networks_of_a_figure_are_told_by_options(called, tmp_path):
    answer = equiscope(
        "figure", "7", "--models", "a.py:f", "--models", "b", "--source", "val", "--shifts", "1-3,8", "--images", 20,
        "--weights", "b=random", "--accuracy", "a.py:f=71.5", "--results", tmp_path, "--output", tmp_path / "new",
        "--quiet",
    )  # fmt: skip
    assert answer == (0, f"{tmp_path / 'new'}\n", "")
    survey = figures.Survey(
        results=tmp_path, models=["a.py:f", "b"], source="val", images=20, shifts=[1, 2, 3, 8],
        weights={"b": "random"}, accuracy={"a.py:f": 71.5},
    )  # fmt: skip
    assert called == {
        "name": "figure7", "survey": survey, "output": tmp_path / "new", "progress": False, "force": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("figure", "3", "--models", "b"), "--models is for figures 4 and 7"),
        (("figure", "5"), "one of 2, 3, 4, 7"),
        (("figure", "7", "--shifts", "1..3"), "no list of pixels"),
        (("figure", "7", "--accuracy", "b=high"), "no accuracy in per cent"),
        (("figure", "7", "--weights", "random"), "is not MODEL=VALUE"),
        (("figure", "7", "--models", "efficientnet-lite0"), "give --source NAME"),
        (("compare", "nowhere", "elsewhere"), "nowhere is no result of equiscope"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EQUISCOPE_DATA", raising=False)
    answer = equiscope(*arguments)
    assert answer.status == 2
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
