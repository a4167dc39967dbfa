"""`figure`, `study` and `audit` on the command line: arguments become calls, and mistakes become sentences."""

from pathlib import Path

import pytest

from equiscope_studies import audit, figures
from equiscope_studies.commands import by_model_of, pairs_of, percents_of, pixels_of
from equiscope_studies.training import runs
from equiscope_studies.training import study as training_study
from equiscope_studies.training.executors import Processes
from terminal import equiscope


@pytest.fixture
def called(monkeypatch):
    """What a figure, a study or an audit is called with, in place of it."""
    calls = []

    def instead(module, name, result=None):
        def call(*given, **named):
            calls.append((name, given, named))
            return given[0] if result is None and given else result

        monkeypatch.setattr(module, name, call)

    for number in (2, 3, 4, 7):
        instead(figures, f"figure{number}")
    instead(training_study, "study", [])
    instead(audit, "audit")
    return calls


def test_figures_get_their_arguments(called):
    equiscope("figure", "2", "--data", "data", "--images", "7", "--seed", "1", "--output", "two", "--force", "--quiet")
    answer = equiscope("figure", "3")
    assert called == [
        ("figure2", (Path("data"),), {"images": 7, "seed": 1, "output": Path("two"), "progress": False, "force": True}),
        ("figure3", (), {"seed": 0, "output": Path("out/figure3"), "progress": True, "force": False}),
    ]
    assert answer.out == "Figure: out/figure3/figure.png\nIn words: out/figure3/page.md\n"


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
    expected = {"survey": survey, "output": tmp_path / "new", "progress": False, "force": False}
    assert called == [("figure7", (None,), expected)]


def test_a_study_gets_its_arguments(called):
    answer = equiscope(
        "study", "data", "--preset", "paper", "--data", "sets", "--seeds", 2, "--epochs", 3, "--limit", 10,
        "--measure-every", 1, "--set", "learning_rate=0.05", "--set", "shifts=1,2", "--device", "cuda", "--workers", 2,
        "--tensorboard", "--results", "kept", "--output", "new", "--draw-only", "--force", "--quiet",
    )  # fmt: skip
    assert answer == (0, "", "")
    ((_, given, named),) = called
    work = named.pop("work")
    assert given == ("data", Path("new")) and isinstance(work.executor, Processes)
    assert work.progress is False and work.tell is None
    assert named.pop("command").startswith("equiscope study data --preset paper")
    assert named == {
        "preset": "paper", "place": runs.Place(Path("kept"), Path("sets"), "cuda", tensorboard=True),
        "draw_only": True, "force": True,
        "changes": {
            "seeds": 2, "epochs": 3, "limit": 10, "measure_every": 1, "learning_rate": 0.05, "shifts": (1, 2),
        },
    }  # fmt: skip


def test_runs_that_failed_are_named_and_an_interruption_says_how_to_go_on(monkeypatch, tmp_path):
    def study(name, folder, **named):
        folder.mkdir()
        (folder / "page.md").touch()
        named["work"].say("One is done.")
        return ["the first: it broke"]

    monkeypatch.setattr(training_study, "study", study)
    answer = equiscope("study", "capacity", "--output", tmp_path / "new")
    assert answer.status == 1 and answer.err == "One is done.\nFailed: the first: it broke\n"
    assert answer.out == f"Figure: {tmp_path / 'new' / 'figure.png'}\nIn words: {tmp_path / 'new' / 'page.md'}\n"

    def interrupted(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(training_study, "study", interrupted)
    sentence = "Error: interrupted; the same command goes on from what is finished.\n"
    assert equiscope("study", "capacity") == (130, "", sentence)


def test_an_audit_gets_its_arguments(called):
    assert equiscope("audit", "--limit", 3, "--seed", 1, "--force") == (0, "In words: out/audit/page.md\n", "")
    expected = {"limit": 3, "seed": 1, "progress": True, "force": True}
    assert called == [("audit", (Path("out/audit"),), expected)]


def test_texts_have_their_meaning():
    assert pixels_of("1-3,8") == [1, 2, 3, 8] and pixels_of(None) is None
    assert by_model_of("--weights", ["a=b=c"]) == {"a=b": "c"} and by_model_of("--weights", None) == {}
    assert percents_of(["a=71.5"]) == {"a": 71.5}
    assert pairs_of("--set", ["a=b=c"]) == {"a": "b=c"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("figure", "3", "--models", "b"), "--models is for figures 4 and 7"),
        (("figure", "5"), "one of 2, 3, 4, 7"),
        (("figure", "7", "--shifts", "1..3"), "no list of pixels"),
        (("figure", "7", "--accuracy", "b=high"), "no accuracy in per cent"),
        (("figure", "7", "--weights", "random"), "is not MODEL=VALUE"),
        (("figure", "7", "--models", "efficientnet-lite0"), "give --source NAME"),
        (("study", "data", "--set", "rate"), "--set 'rate' is not KEY=VALUE."),
        (("study", "data", "--cluster-option", "a=1"), "give --cluster slurm"),
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
