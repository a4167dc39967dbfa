"""The command line end to end: what it prints, what it writes, and that its options arrive."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from shutil import copytree

import pandas as pd
import pytest
import torch

import equiscope as es
from equiscope.functional.matching import NEGATIVES
from equiscope.functional.similarity import SIMILARITIES
from equiscope.functional.transformations import FILLS, SUBCELLS
from equiscope.networks.catalogue import CATALOGUE
from equiscope.networks.loading import load_network
from equiscope_studies import figures
from terminal import equiscope, network_file, pictures

SCORE = ["score", "low", "high", "chance", "corrected", "corrected_low", "corrected_high"]
COUNTS = ["images", "undefined", "transformations"]
OFFSET = ["offset_y", "offset_x"]
CONTRACT = {
    "scores": ["layer", "part", "transformation", "measure", "scope", "alignment", *SCORE, *COUNTS, *OFFSET],
    "parts": ["part", "layers", "transformation", "measure", "scope", "alignment", *SCORE, *COUNTS],
    "replicates": ["layer", "transformation", "measure", "scope", "alignment", "unit", "score"],
    "channels": [
        "layer", "transformation", "channel", "scope", "alignment",
        "invariance", "equivariance", "partner", "chance_invariance", "chance_equivariance", "defined",
    ],
    "layers": ["layer", "index", "part", "type", "channels", "height", "width", "stride_y", "stride_x", "dead"],
}  # fmt: skip
BROKEN = [f"broken{number}.png" for number in range(6)]
WHITE = ("--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a network and pictures, in a path with a space in it."""
    folder = tmp_path_factory.mktemp("a place")
    network_file(folder / "my code")
    pictures(folder / "pictures", good=6, broken=BROKEN)
    return folder


@pytest.fixture(autouse=True)
def inside(place, monkeypatch):
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def measured(place):
    """The answer of a whole measurement, and where its folder is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return place / "out" / "net.py-small", equiscope(
            "measure", "my code/net.py:small", "--images", "pictures", "--size", "32",
            "--transformations", "rotations", "--transformations", "shifts:2,3:-1",
        )  # fmt: skip


def manifest(folder):
    return json.loads((Path(folder) / "manifest.json").read_text())


def test_the_folder_is_the_contract(measured):
    folder, answer = measured
    assert answer.status == 0
    tables = {file: list(pd.read_parquet(folder / f"{file}.parquet").columns) for file in CONTRACT}
    assert tables == CONTRACT
    others = {"manifest.json", "figure.png", "report.html", "maps.npz", "orbits.parquet"}
    assert {file.name for file in folder.iterdir()} == others | {f"{file}.parquet" for file in CONTRACT}
    scores = pd.read_parquet(folder / "scores.parquet")
    assert list(scores["transformation"].unique()) == [
        "rot90", "rot180", "rot270", "shift(2,2)", "shift(3,-1)", "rotations", "shifts",
    ]  # fmt: skip


def test_what_is_printed_is_whole_plain_and_the_scores(measured):
    folder, answer = measured
    assert "\x1b" not in answer.out + answer.err
    assert answer.out.startswith("my code/net.py:small: 6 images, 6 layers, ")
    assert answer.out.endswith("Figure: out/net.py-small/figure.png\nReport: out/net.py-small/report.html\n")
    parts = es.load(folder).parts
    row = parts[(parts["transformation"] == "shifts") & (parts["measure"] == "equivariance")].iloc[0]
    lines = [line.split() for line in answer.out.splitlines()]
    assert ["shifts", "equivariance", row["part"], f"{row['score']:.2f}"] in [line[:4] for line in lines]
    assert sum(line[:1] == ["shifts"] for line in lines) == 2 * 2 * parts["part"].nunique()  # scopes, measures


def test_broken_images_are_counted_and_named(measured):
    folder, answer = measured
    (line,) = [line for line in answer.err.splitlines() if "left out" in line]
    assert line.startswith("Note: 6 of 12 images could not be read and were left out: broken")
    assert sum(name in line for name in BROKEN) == 5 and line.endswith("; and 1 more, which manifest.json names.")
    found = manifest(folder)
    assert sorted(image["image"] for image in found["images_left_out"]) == BROKEN
    assert all("not an image" in image["reason"] for image in found["images_left_out"])
    assert (found["images"], found["data"]["found"], found["data"]["left_out"]) == (6, 12, 6)


def test_the_manifest_says_how_to_do_it_again(measured):
    folder, answer = measured
    found = manifest(folder)
    assert found["model"] == "my code/net.py:small"
    assert found["command"] == (
        "equiscope measure 'my code/net.py:small' --images pictures --size 32 "
        "--transformations rotations --transformations shifts:2,3:-1"
    )
    assert found["weights"] == {"source": "as my code/net.py:small returns it"}
    assert found["preprocessing"]["size"] == [32, 32]
    assert found["versions"]["torch"] == version("torch")
    assert len(found["remarks"]) == 1 and f"Note: {found['remarks'][0]}" in answer.err.splitlines()
    assert found["options"]["transformations"]["shifts"] == ["shift(2,2)", "shift(3,-1)"]


def test_options_arrive():
    torch.save(load_network("my code/net.py:small").model.state_dict(), "weights.pth")
    told = {
        "similarity": "cosine", "strict": True, "negative": "abs", "fill": "wrap", "subcell": "exact",
        "strides": {"2": 2}, "layers": ["2", "6"], "chance": False, "intervals": False, "batch_size": 4, "seed": 3,
        "limit": 8, "workers": 0, "size": 24, "weights": "weights.pth", "images": "pictures", "device": "cpu",
    }  # fmt: skip
    answer = equiscope(
        "measure", "my code/net.py:small", "--images", "pictures", *WHITE, "--transformations", "shifts:1",
        "--similarity", "cosine", "--strict", "--negative", "abs", "--fill", "wrap", "--subcell", "exact",
        "--stride", "2=2", "--layers", "2", "--layers", "6", "--no-chance", "--no-intervals", "--batch-size", "4",
        "--seed", "3", "--limit", "8", "--size", "24", "--weights", "weights.pth", "--device", "cpu",
        "--output", "told", "--quiet",
    )  # fmt: skip
    assert (answer.status, answer.out, answer.err) == (0, "told\n", "")
    found = manifest("told")
    assert {name: found["options"][name] for name in told} == told
    assert found["preprocessing"]["mean"] == [0.5] * 3 and found["preprocessing"]["std"] == [0.25] * 3
    assert found["weights"]["file"] == "weights.pth" and len(found["weights"]["sha256"]) == 64
    scores = es.load("told").scores
    assert list(scores["layer"].unique()) == ["2", "6"]
    assert scores["chance"].isna().all() and scores["low"].isna().all()
    assert scores[scores["layer"] == "2"]["score"].isna().all()  # 1 pixel is half a cell, left out by "exact"


def test_the_report_is_made_again_or_of_several(measured, tmp_path):
    folder, _ = measured
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    assert equiscope("report", folder).out == f"Report: {folder / 'report.html'}\n"
    assert (folder / "report.html").read_bytes() == before
    other = copytree(folder, tmp_path / "second" / folder.name)
    answer = equiscope("report", folder, other, "--output", tmp_path / "new" / "both.html", "--quiet")
    assert (answer.status, answer.out) == (0, f"{tmp_path / 'new' / 'both.html'}\n")
    html = (tmp_path / "new" / "both.html").read_text(encoding="utf-8")
    assert f"out/{folder.name}" in html and f"second/{folder.name}" in html


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["nowhere"], "nowhere is no result of equiscope: there is no such folder."),
        (["pictures"], "pictures is no result of equiscope: it has no manifest.json."),
        (["pictures", "pictures"], "pictures is given more than once; give every result once."),
    ],
)
def test_what_is_no_result_has_no_report(given, message):
    answer = equiscope("report", *given)
    assert (answer.status, answer.out, answer.err) == (2, "", f"Error: {message}\n")


def test_without_maps_there_is_no_file_of_them():
    answer = equiscope(
        "measure", "my code/net.py:small", "--images", "pictures", "--size", "32", "--maps", "0", "--output", "bare",
        "--transformations", "flips", "--quiet",
    )  # fmt: skip
    assert answer.status == 0
    assert not {"maps.npz", "orbits.parquet"} & {file.name for file in Path("bare").iterdir()}
    refused = equiscope("measure", "my code/net.py:small", "--images", "pictures", "--maps", "-1", "--output", "no")
    assert refused.status == 2 and "--maps -1 is no number of images" in refused.err


def test_json_is_alone_on_stdout():
    measure = ("measure", "my code/net.py:talkative", "--images", "pictures", "--size", "32", "--limit", "8")
    answer = equiscope(*measure, "--json", "--output", "as json")
    records = json.loads(answer.out)
    table = es.load("as json").table()
    assert len(records) == 2 * len(table)
    assert list(records[0]) == [*table.columns, "scope"]
    assert [record["equivariance"] for record in records[: len(table)]] == pytest.approx(list(table["equivariance"]))
    assert [record["scope"] for record in records] == ["dataset"] * len(table) + ["image"] * len(table)
    assert records[-1]["layer"] == "6" and records[-1]["invariance"] is None  # a vector, within one image
    assert "Report: as json/report.html" in answer.err.splitlines()
    assert equiscope(*measure, "--output", "as json").status == 2
    again = equiscope(*measure, "--output", "as json", "--force", "--json", "--quiet")
    assert (again.status, json.loads(again.out), again.err) == (0, records, "a word from the network\n")


def test_layers_are_listed():
    answer = equiscope("layers", "my code/net.py:small", "--size", "32", *WHITE)
    assert (answer.status, answer.err) == (0, "")
    lines = [line.split() for line in answer.out.splitlines()]
    assert lines[0] == ["layer", "part", "type", "channels", "grid", "stride"]
    assert lines[3] == ["2", "middle", "Conv2d", "6", "16", "x", "16", "2"]
    assert lines[-1] == ["6", "final", "Linear", "5", "vector", "–"]


def test_layers_left_out_are_listed_with_the_reason():
    arguments = ("layers", "my code/net.py:of_windows", "--layers", "?", "--size", "32", *WHITE)
    lines = equiscope(*arguments).out.splitlines()
    assert [line.split()[0] for line in lines if line] == ["layer", "0", "2", "left", "1"]
    assert "first axis is not the image" in lines[-1]
    found = json.loads(equiscope(*arguments, "--json").out)
    assert [layer["layer"] for layer in found["layers"]] == ["0", "2"]
    assert found["layers"][0] == {
        "layer": "0", "part": "early", "type": "Conv2d", "channels": 4,
        "height": 32, "width": 32, "stride_y": 1, "stride_x": 1,
    }  # fmt: skip
    (left_out,) = found["layers_left_out"]
    assert left_out["layer"] == "1" and "first axis is not the image" in left_out["reason"]


def test_models_are_listed():
    names = [line.split()[0] for line in equiscope("models").out.splitlines()[1:]]
    assert names == list(CATALOGUE)
    records = json.loads(equiscope("models", "--json").out)
    assert [record["name"] for record in records] == names
    assert records[0]["layers"] == ["layer*.*"]


def test_figures_get_their_arguments(monkeypatch):
    calls = []
    monkeypatch.setattr(figures, "figure2", lambda *given, **named: calls.append((given, named)))
    monkeypatch.setattr(figures, "figure3", lambda *given, **named: calls.append((given, named)))
    equiscope("figure", "2", "--data", "data", "--images", "7", "--seed", "1", "--output", "two", "--force", "--quiet")
    answer = equiscope("figure", "3")
    assert calls == [
        ((Path("data"),), {"images": 7, "seed": 1, "output": Path("two"), "progress": False, "force": True}),
        ((), {"seed": 0, "output": Path("out/figure3"), "progress": True, "force": False}),
    ]
    assert answer.out == "Figure: out/figure3/figure.png\nIn words: out/figure3/page.md\n"


@pytest.mark.parametrize("command", [(), ("measure",), ("layers",), ("models",), ("figure",)])
def test_help_begins_with_examples(command):
    answer = equiscope(*command, "--help")
    assert answer.status == 0
    assert f"    equiscope {' '.join(command)}" in answer.out


def test_help_lists_every_choice():
    words = equiscope("measure", "--help").out.replace("│", " ").split()
    for choice in {*SIMILARITIES, *NEGATIVES, *FILLS, *SUBCELLS}:
        assert any(word.strip(".,:;") == choice for word in words), choice


def test_no_arguments_show_the_help():
    assert equiscope() == equiscope("--help")


def test_the_version_is_the_installed_one():
    assert equiscope("--version") == (0, f"equiscope {version('equiscope')}\n", "")


def test_another_process_gives_the_same_answer():
    mistake = ["measure", "my code/net.py:large"]
    process = subprocess.run([sys.executable, "-m", "equiscope", *mistake], capture_output=True, text=True)
    assert (process.returncode, process.stdout, process.stderr) == equiscope(*mistake)
    assert process.stderr.startswith("Error: no function 'large'") and process.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        (KeyboardInterrupt(), 130, ["nothing was written"]),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), 2, ["memory", "--batch-size"]),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."), 2, ["--batch-size"]),
        (MemoryError(), 2, ["--batch-size"]),
        (ZeroDivisionError("division\nby zero"), 1, ["ZeroDivisionError: division by zero", "EQUISCOPE_TRACEBACK=1"]),
    ],
)
def test_what_no_argument_caused_is_a_sentence_too(monkeypatch, raised, status, words):
    def broken(*given, **named):
        raise raised

    monkeypatch.setattr(es, "measure", broken)
    answer = equiscope(
        "measure", "my code/net.py:small", "--images", "pictures", *WHITE, "--size", "32", "--output", "x"
    )
    assert answer.status == status
    assert answer.err.startswith("Error: ") and answer.err.count("\n") == 1 and answer.out == ""
    assert all(word in answer.err for word in words)
    assert not Path("x").exists()
    if status == 1:
        monkeypatch.setenv("EQUISCOPE_TRACEBACK", "1")
        with pytest.raises(type(raised)):
            equiscope("measure", "my code/net.py:small", "--images", "pictures", "--output", "x")
