"""`equiscope metrics`: the table, on the terminal, as JSON and as a file."""

import json
from pathlib import Path

import pandas as pd
import pytest

import equiscope as es
from equiscope.results.columns import METRIC_COLUMNS, METRICS
from example import example_scores
from terminal import equiscope

SMALL = ("metrics", "my code/net.py:small", "--images", "pictures", "--size", "32")
pytestmark = pytest.mark.usefixtures("inside")


def test_the_table_is_shown_and_written(tmp_path):
    answer = equiscope(*SMALL, "--transformations", "hflip,shifts:1", "--layers", "2", "--output", tmp_path / "x.csv")
    assert answer.status == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].split()[:4] == ["metric", "transformation", "layer", "value"]
    written = pd.read_csv(tmp_path / "x.csv")
    assert tuple(written.columns) == METRIC_COLUMNS and len(lines) == 1 + len(written)
    for line, row in zip(lines[1:], written.itertuples(), strict=True):
        assert f"{row.value:.4f}" in line.split() and row.transformation in line.split()
    assert set(written["transformation"]) == {"hflip", "shift(1,1)", "rolls", "crops", "x", "y", "rotation", "scale",
                                              "shifts"}  # fmt: skip
    assert "6 of 12 images could not be read, such as broken" in answer.err


def test_options_arrive(monkeypatch):
    asked = []

    def metrics(model, images, families, **options):
        asked.append(options | {"families": families, "size": next(iter(images)).shape[-1]})
        asked[-1]["larger"] = next(iter(options["larger"])).shape[-1]
        return pd.DataFrame([["agreement", "hflip", None, 0.5, None, None, 3]], columns=list(METRIC_COLUMNS))

    monkeypatch.setattr(es, "metrics", metrics)
    answer = equiscope(
        *SMALL[:-1], "28", "--limit", "3", "--only", "agreement", "divergence", "--batch-size", "4", "--device", "cpu",
        "--seed", "5", "--json",
    )  # fmt: skip
    (found,) = asked
    assert json.loads(answer.out)[0]["low"] is None and answer.status == 0
    assert (found["size"], found["larger"], found["only"]) == (28, 32, ("agreement", "divergence"))
    assert (found["batch_size"], found["device"], found["seed"]) == (4, "cpu", 5)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("x.txt", "--output 'x.txt' is no .csv or .parquet"),
        ("my code/net.py/x.csv", "net.py is a file, and a folder is needed there"),
    ],
)
def test_where_no_table_can_be_written_is_told_before_anything_is_measured(output, words, monkeypatch):
    monkeypatch.setattr(es, "metrics", lambda *given, **named: pytest.fail("it was measured"))
    answer = equiscope(*SMALL, "--output", output)
    assert answer.status == 2 and words in answer.err and not Path(output).exists()


@pytest.fixture
def result(inside):
    """A result of the command line, of few images."""
    asked = ("my code/net.py:small", "--images", "good", "--size", "32", "--transformations", "hflip", "--maps", "0")
    answer = equiscope("measure", *asked, "--layers", "2", "--output", "out/mine", "--force", "--quiet")
    assert answer.status == 0, answer.err
    return Path("out/mine")


def test_of_a_result_its_network_is_measured_on_its_images_once(result, monkeypatch):
    assert es.load(result).metrics is None
    first = equiscope("metrics", result, "--only", "divergence", "--json")
    assert first.status == 0, first.err
    kept = es.load(result).metrics
    assert list(kept["metric"]) == ["divergence"] and list(kept["transformation"]) == ["hflip"]
    assert "Other tools’ measures" in (result / "report.html").read_text()

    every = equiscope("metrics", result)
    assert every.status == 0, every.err
    scores = es.load(result)
    assert tuple(dict.fromkeys(scores.metrics["metric"])) == METRICS
    ratios = scores.metrics[scores.metrics["metric"] == "variance_ratio"]
    assert list(ratios["layer"]) == list(scores.layers["layer"]) and (scores.metrics["images"] == 3).all()
    given = ("metrics", "my code/net.py:small", "--images", "good", "--size", "32", "--transformations", "hflip")
    alone = equiscope(*given, "--layers", "2", "--json")
    assert json.loads(alone.out) == json.loads(scores.metrics.to_json(orient="records", double_precision=15))

    monkeypatch.setattr(es, "metrics", None)  # what is there is shown, not measured again
    again = equiscope("metrics", result, "--only", "divergence", "--json")
    assert again.status == 0 and again.out == first.out


def test_a_result_of_other_images_or_without_a_command_is_refused(result, tmp_path):
    asked = equiscope("metrics", result, "--limit", "2")
    assert asked.status == 2 and "out/mine is a result" in asked.err and "leave out --images and --limit" in asked.err

    (Path("good") / "another.png").write_bytes(next(Path("good").glob("*.png")).read_bytes())
    other = equiscope("metrics", result)
    (Path("good") / "another.png").unlink()
    assert other.status == 2 and "other images" in other.err and not (result / "metrics.parquet").exists()

    none = equiscope("metrics", tmp_path)
    assert none.status == 2 and "is no result of equiscope: it has no manifest.json" in none.err
    example_scores().save(tmp_path / "python")
    handed = equiscope("metrics", tmp_path / "python")
    assert handed.status == 2 and "measured in Python" in handed.err
