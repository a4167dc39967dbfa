"""`equiscope metrics`: the table, on the terminal, as JSON and as a file."""

import json
from pathlib import Path

import pandas as pd
import pytest

import equiscope as es
from equiscope.results.columns import METRIC_COLUMNS
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


def test_a_file_of_another_kind_is_refused_before_anything_is_measured():
    answer = equiscope(*SMALL, "--output", "x.txt")
    assert answer.status == 2 and "--output 'x.txt' is no .csv or .parquet" in answer.err and not Path("x.txt").exists()
