"""`equiscope measure`: what it prints, what its folder holds, and that its options arrive."""

import json
import re
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

import equiscope as es
from equiscope.measurement.options import Run, Scoring
from equiscope.networks.loading import load_network
from equiscope.networks.options import Layers
from equiscope.results.columns import TABLES
from equiscope.results.shares import sentences_of
from terminal import equiscope

WHITE = ("--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25")
SMALL = ("measure", "my code/net.py:small", "--images", "pictures", "--size", "32")
pytestmark = pytest.mark.usefixtures("inside")


def manifest(folder):
    return json.loads((Path(folder) / "manifest.json").read_text())


def names(families):
    return {family.name: [one.name for one in family.transformations] for family in families}


# --- a whole measurement


@pytest.fixture(scope="module")
def measured(place):
    """The answer of a whole measurement, and where its folder is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        moved = ("--transformations", "rotations", "--transformations", "shifts:2,3:-1")
        return place / "out" / "net.py-small", equiscope(*SMALL, *moved)


def test_the_folder_is_the_contract(measured):
    folder, answer = measured
    assert answer.status == 0, answer.err
    found = {file: tuple(pd.read_parquet(folder / f"{file}.parquet").columns) for file in TABLES}
    assert found == TABLES
    others = {"manifest.json", "figure.png", "figure.pdf", "report.html", "maps.npz", "orbits.parquet"}
    assert {file.name for file in folder.iterdir()} == others | {f"{file}.parquet" for file in TABLES}
    scores = pd.read_parquet(folder / "scores.parquet")
    assert set(scores["transformation"]) == {
        "rot90", "rot180", "rot270", "shift(2,2)", "shift(3,-1)", "rotations", "shifts",
    }  # fmt: skip
    assert not (folder.parent / "net.py-small.checkpoint").exists()


def test_what_is_printed_is_whole_plain_and_the_scores(measured):
    folder, answer = measured
    assert "\x1b" not in answer.out + answer.err
    assert answer.out.startswith(f"{es.load(folder)}\n")
    assert answer.out.startswith("my code/net.py:small: 6 images, 6 layers")
    read = "\n".join(sentences_of(es.load(folder)))
    assert answer.out.endswith(f"Figure: out/net.py-small/figure.png\nReport: out/net.py-small/report.html\n\n{read}\n")
    parts = es.load(folder).parts
    row = parts[(parts["transformation"] == "shifts") & (parts["measure"] == "equivariance")].iloc[0]
    lines = [line.split() for line in answer.out.splitlines()]
    assert ["shifts", "equivariance", row["part"], f"{row['score']:.2f}"] in [line[:4] for line in lines]
    header = next(line for line in answer.out.splitlines() if line.startswith("transformation"))
    assert re.split(r"\s{2,}", header)[3:] == ["score", "95 % interval", "chance", "ceiling", "explained"]


def test_broken_images_are_counted_and_named(measured):
    folder, answer = measured
    broken = [f"broken{number}.png" for number in range(6)]
    (line,) = [line for line in answer.err.splitlines() if "left out" in line]
    assert line.startswith("Note: 6 of 12 images could not be read and were left out: broken")
    assert sum(name in line for name in broken) == 5 and line.endswith("; and 1 more, which the manifest names.")
    found = manifest(folder)
    assert sorted(image["image"] for image in found["images_left_out"]) == broken
    assert all("not an image" in image["reason"] for image in found["images_left_out"])
    assert (found["images"], found["data"]["found"]) == (6, 12)
    assert found["counts"] == {"given": 12, "read": 6, "left_out": 6, "registered_on": 0, "scored": 6}


def test_the_manifest_says_how_to_do_it_again(measured):
    folder, answer = measured
    found = manifest(folder)
    assert (found["format"], found["model"]) == (2, "my code/net.py:small")
    assert found["command"] == (
        "equiscope measure 'my code/net.py:small' --images pictures --size 32 "
        "--transformations rotations --transformations shifts:2,3:-1"
    )
    assert found["weights"]["source"] == "as my code/net.py:small returns it" and len(found["weights"]["sha256"]) == 64
    assert found["preprocessing"]["size"] == [32, 32]
    assert found["versions"]["torch"] == version("torch")
    assert "declares no preprocessing" in found["remarks"][0] and "needs more images" in found["remarks"][2]
    assert len(found["remarks"]) == 3 and all(f"Note: {one}" in answer.err.splitlines() for one in found["remarks"])
    assert found["options"]["transformations"]["shifts"] == ["shift(2,2)", "shift(3,-1)"]


@pytest.mark.usefixtures("undrawn")
def test_a_baseline_is_measured_and_written_too_under_the_name_that_was_given():
    asked = ("measure", "timm:resnet10t", "--weights", "weights.pth", "--images", "good", "--size", "32", "--maps", "0")
    torch.save(load_network("timm:resnet10t", weights="random", seed=5).model.state_dict(), "weights.pth")
    answer = equiscope(*asked, "--baseline", "--name", "mine", "--layers", "layer*", "--output", "both", "--quiet")
    assert answer.status == 0, answer.err
    both, other = manifest("both"), manifest("both/baseline")
    assert (both["model"], other["model"]) == ("mine", "mine, randomly initialised")
    assert (both["statistics_estimated_on"], other["statistics_estimated_on"]) == (0, 3)
    assert other["weights"]["source"] == "random (seed 0)" and both["weights"]["file"] == "weights.pth"
    assert other["data"] == both["data"] and other["command"] == both["command"]
    refused = equiscope(*asked[:2], "--weights", "random", "--baseline", "--output", "again")
    assert refused.status == 2 and "measures one network twice" in refused.err


@pytest.mark.usefixtures("undrawn")
def test_layers_that_are_left_out_are_a_line_on_the_terminal():
    network = ("measure", "my code/net.py:of_windows", "--images", "good", "--size", "32")
    answer = equiscope(*network, "--layers", "?", "--maps", "0", "--no-intervals", "--output", "windows")
    (line,) = [line for line in answer.err.splitlines() if "left out" in line]
    assert line.startswith("Note: 1 layer is left out: 1 (its first axis is not the image: shape")
    assert es.load("windows").manifest["layers_left_out"][0]["reason"] in line  # word for word, whatever a layer's name


@pytest.mark.usefixtures("undrawn")
def test_without_maps_there_is_no_file_of_them():
    answer = equiscope(*SMALL, "--maps", "0", "--output", "bare", "--transformations", "flips", "--quiet")
    assert (answer.status, answer.out) == (0, "bare\n")
    assert not {"maps.npz", "orbits.parquet"} & {file.name for file in Path("bare").iterdir()}


@pytest.mark.usefixtures("undrawn")
def test_a_measurement_in_a_window_of_larger_images():
    arguments = ("--transformations", "shifts:2,-1", "--fill", "crop", "--layers", "6", "--maps", "0", "--quiet")
    assert equiscope(*SMALL, *arguments, "--output", "window").status == 0
    found = manifest("window")
    assert found["options"]["fill"] == "crop" and found["options"]["size"] == [32, 32]
    assert found["preprocessing"]["size"] == [35, 35]


def test_a_dry_run_shows_layers_memory_and_time_and_writes_nothing():
    answer = equiscope(*SMALL, *WHITE, "--dry-run", "--output", "dry")
    assert answer.status == 0 and answer.err == ""
    lines = answer.out.splitlines()
    assert lines[0].split() == ["layer", "part", "type", "channels", "grid", "stride"]
    assert lines[6].split()[:2] == ["6", "final"]
    assert "GiB" in answer.out or "MiB" in answer.out
    assert not Path("dry").exists()


# --- what a measurement is asked for


@pytest.mark.usefixtures("undrawn")
def test_options_arrive(measurements):
    torch.save(load_network("my code/net.py:small").model.state_dict(), "weights.pth")
    answer = equiscope(
        *SMALL[:-2], *WHITE, "--transformations", "shifts:1", "--transformations", "flips", "--measures",
        "invariance,linear", "--measure", "equivariance", "--scopes", "image,dataset", "--negative", "abs",
        "--fill", "wrap", "--subpixel", "exact", "--alignment", "registered", "--registration-images", "9",
        "--stride", "2=2", "--layout", "6=vector", "--layers", "2", "--layers", "6", "--no-intervals",
        "--batch-size", "4", "--seed", "3", "--limit", "8", "--size", "24", "--weights", "weights.pth", "--device",
        "cpu", "--memory", "0.5", "--precision", "bfloat16", "--checkpoint-every", "7", "--maps", "1", "--output",
        "told", "--quiet",
    )  # fmt: skip
    assert (answer.status, answer.out, answer.err) == (0, "told\n", "")
    (asked,) = measurements
    (shift,) = asked["transformations"][0].transformations
    assert names(asked["transformations"]) == names([es.shifts([1]), es.flips()])
    assert (shift.fill, shift.size, shift.subpixel) == ("wrap", None, "exact")
    assert asked["scoring"] == Scoring(
        ("invariance", "linear", "equivariance"), ("image", "dataset"), "pearson", "abs", "registered", 9, False, 3
    )
    assert asked["run"] == Run(
        "bfloat16", 0.5, checkpoint=Path.cwd() / "told.checkpoint", checkpoint_every=7, keep_checkpoint=True
    )
    assert asked["layers"] == Layers(("2", "6"), strides={"2": 2}, layouts={"6": "vector"})
    alone = {name: asked[name] for name in ("batch_size", "device", "maps", "progress")}
    assert alone == {"batch_size": 4, "device": "cpu", "maps": 1, "progress": False}
    found = manifest("told")
    told = {"limit": 8, "workers": 0, "size": 24, "weights": "weights.pth", "images": "pictures", "maps": 1}
    assert {name: found["options"][name] for name in told} == told
    assert found["preprocessing"]["mean"] == [0.5] * 3 and found["preprocessing"]["std"] == [0.25] * 3
    assert found["weights"]["file"] == "weights.pth" and len(found["weights"]["sha256"]) == 64


@pytest.mark.usefixtures("undrawn")
def test_what_is_not_given_is_the_library_s_default(measurements):
    assert equiscope(*SMALL, "--output", "plain").status == 0
    (asked,) = measurements
    assert names(asked["transformations"]) == names([es.rotations()])
    assert (asked["scoring"], asked["layers"]) == (Scoring(), Layers())
    assert asked["run"] == Run(
        checkpoint=Path.cwd() / "plain.checkpoint", keep_checkpoint=True, checkpoint_if_longer=15
    )


@pytest.mark.usefixtures("undrawn")
def test_json_is_alone_on_stdout(measurements):
    measure = ("measure", "my code/net.py:talkative", *SMALL[2:], "--scopes", "dataset,image")
    answer = equiscope(*measure, "--json", "--output", "as json")
    records = json.loads(answer.out)
    table = es.load("as json").table()
    assert len(records) == 2 * len(table)
    assert list(records[0]) == [*table.columns, "scope"]
    assert [record["equivariance"] for record in records[: len(table)]] == pytest.approx(list(table["equivariance"]))
    assert [record["scope"] for record in records] == ["dataset"] * len(table) + ["image"] * len(table)
    assert records[-1]["part"] == "final" and records[-1]["invariance"] is None  # a vector, within one image
    assert "Report: as json/report.html" in answer.err.splitlines()
    assert equiscope(*measure, "--output", "as json").status == 2
    again = equiscope(*measure, "--output", "as json", "--force", "--json", "--quiet")
    assert (again.status, json.loads(again.out), again.err) == (0, records, "a word from the network\n")


@pytest.mark.usefixtures("undrawn", "measurements")
def test_scores_are_logged_when_they_are_written(monkeypatch):
    from contextlib import nullcontext

    heard = []
    loggers = SimpleNamespace(
        logger_named=lambda text: heard.append(f"checked {text}"),
        logger=lambda text, name: nullcontext((text, name)),
        log_scores=lambda scores, logger: heard.append((len(scores.layers), logger, Path("logged").is_dir())),
    )
    monkeypatch.setitem(__import__("sys").modules, "equiscope.integrations.loggers", loggers)
    assert equiscope(*SMALL, "--output", "logged", "--quiet", "--log", "tensorboard:logs").status == 0
    assert heard == ["checked tensorboard:logs", (6, ("tensorboard:logs", "logged"), True)]
