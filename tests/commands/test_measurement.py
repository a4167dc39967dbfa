"""A measurement of the command line: resumed, interrupted, warned of, written whole or not at all."""

import json
import os
import shutil
import warnings
from errno import ENOSPC
from pathlib import Path

import pytest
from PIL import Image

import equiscope as es
from equiscope.figures import kinds
from example import example_scores
from terminal import equiscope, network_file

OTHER = {
    "--seed": "1", "--negative": "abs", "--transformations": "shifts:1", "--subpixel": "round", "--layers": "2",
    "--limit": "2", "--precision": "bfloat16", "--std": "2,2,2",
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("inside", "undrawn")


@pytest.fixture
def measure(place, tmp_path):
    """Measures into a folder of the test's own, which is returned with the answer."""
    asked = ("measure", "my code/net.py:small", "--images", "good", "--size", "32", "--mean", "0,0,0", "--std", "1,1,1")

    def measured(*more):
        return equiscope(*asked, "--output", tmp_path / "out", *more)

    return measured


@pytest.fixture
def failing(monkeypatch):
    """Makes a measurement do something else than measure."""

    def fail(action):
        monkeypatch.setattr(es, "measure", action)

    return fail


def test_what_is_done_is_not_measured_again(measure, measurements, tmp_path):
    assert measure("--resume", "--maps", "0").status == 0
    (tmp_path / "out.checkpoint.1-of-2").touch()  # which a kill after the writing left
    answer = measure("--resume", "--maps", "0", "--memory", "3")
    assert answer == (0, "", f"Note: {tmp_path / 'out'} is done.\n")
    assert len(measurements) == 1 and os.listdir(tmp_path) == ["out"]
    assert "without maps" in measure("--resume").err


def test_what_is_done_otherwise_is_refused(measure, measurements):
    measure("--quiet")
    for option, value in OTHER.items():
        answer = measure("--resume", option, value)
        assert answer.status == 2 and "holds a result of other options, weights or data" in answer.err, option
    assert len(measurements) == 1


def test_images_of_the_same_names_sizes_and_times_are_others_and_those_of_another_folder_the_same(
    measure, measurements, tmp_path
):
    def image(folder, number, value):
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9), (value, 0, 0)).save(folder / f"{number}.bmp")
        os.utime(folder / f"{number}.bmp", (0, 0))

    one, copy = tmp_path / "one", tmp_path / "copy"
    for number in range(4):
        image(one, number, number)
    shutil.copytree(one, copy)
    asked = ("--resume", "--quiet", "--images")
    assert measure(*asked, one).status == 0 and len(measurements) == 1
    assert "is done" in measure(*asked, copy).err and len(measurements) == 1
    image(one, 2, 99)
    refused = measure(*asked, one)
    assert refused.status == 2 and "holds a result of other options, weights or data" in refused.err
    (copy / "3.bmp").unlink()
    assert measure(*asked, copy).status == 2


def test_a_network_is_known_by_what_it_is_and_not_by_its_name(measure, measurements, tmp_path):
    code = network_file(tmp_path / "code")
    text = code.read_text()
    command = ("--resume", "--maps", "0", "--quiet")
    plain = tmp_path / "code" / "net.py"
    asked = ["measure", f"{plain}:small", "--images", "good", "--size", "32", "--output", tmp_path / "out", *command]
    assert equiscope(*asked).status == 0
    assert "is done" in equiscope(*asked).err
    for change in (("nn.ReLU(),\n        nn.Adaptive", "nn.GELU(),\n        nn.Adaptive"), ("seed(0)", "seed(1)")):
        plain.write_text(text.replace(*change))
        assert equiscope(*asked).status == 2
    plain.write_text(text + "\n# a remark\n")
    assert "is done" in equiscope(*asked).err


def test_of_two_runs_into_one_folder_the_one_that_ends_later_is_refused(measure, failing, tmp_path):
    first = example_scores(seed=7)

    def measured(*given, **options):
        first.save(tmp_path / "out", force=True)  # as another run would meanwhile
        return example_scores()

    failing(measured)
    answer = measure("--quiet")
    assert answer.status == 2 and "out exists and is not empty; give another folder, or --force" in answer.err
    assert es.load(tmp_path / "out").manifest["options"]["seed"] == 7 and os.listdir(tmp_path) == ["out"]
    assert measure("--quiet", "--force").status == 0
    assert es.load(tmp_path / "out").manifest["options"]["seed"] == 0


def test_a_run_that_is_resumed_continues_from_its_checkpoint(measure, measurements, tmp_path):
    (tmp_path / "out.checkpoint").touch()
    assert measure("--resume").status == 0
    (asked,) = measurements
    assert asked["run"].resume and asked["run"].checkpoint == tmp_path / "out.checkpoint"
    assert os.listdir(tmp_path) == ["out"]


def test_an_interruption_names_the_checkpoint_where_there_is_one(measure, failing, tmp_path):
    def interrupted(*given, run, **options):
        run.checkpoint.touch()
        raise KeyboardInterrupt

    failing(interrupted)
    sentence = (
        "Error: interrupted, and no result was written; the same command with --resume goes on from "
        f"{tmp_path / 'out.checkpoint'}.\n"
    )
    assert measure() == (130, "", sentence)
    assert os.listdir(tmp_path) == ["out.checkpoint"]


def test_an_interruption_while_writing_leaves_nothing(measure, measurements, monkeypatch, tmp_path):
    def interrupted(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("equiscope.commands.measurement.write", interrupted)
    assert measure() == (130, "", "Error: interrupted, and nothing was written.\n")
    assert os.listdir(tmp_path) == []


def test_warnings_are_noted_once_and_kept(measure, failing, tmp_path):
    def warned(*given, scoring, **options):
        for _ in range(2):
            warnings.warn("Something to know.", stacklevel=1)
        return example_scores()

    failing(warned)
    answer = measure()
    assert (answer.status, answer.err) == (0, "Note: Something to know.\n")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["remarks"] == ["Something to know."]
    assert measure("--quiet", "--force").err == ""


@pytest.mark.usefixtures("measurements")
@pytest.mark.parametrize("step", ["figure", "report", "tables"])
def test_a_disk_that_is_full_is_told_and_nothing_is_left(measure, monkeypatch, tmp_path, step):
    def full(*given, **named):
        raise OSError(ENOSPC, "No space left on device")

    places = {"figure": (kinds, "headline"), "report": (es, "report"), "tables": (Path, "write_bytes")}
    monkeypatch.setattr(*places[step], full)
    message = f"Error: {tmp_path / 'out'} cannot be read or written (No space left on device); give another path, or "
    assert measure() == (2, "", f"{message}mend this one.\n")
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("measurements")
def test_a_result_that_is_there_is_replaced_and_other_files_stay(measure, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    refused = measure()
    assert refused.status == 2 and "out exists and is not empty; give another folder, or --force" in refused.err
    assert measure("--force", "--quiet").status == 0
    there = set(os.listdir(tmp_path / "out"))
    assert {"mine", "manifest.json", "figure.png", "figure.pdf", "report.html"} <= there
    assert not [name for name in there if name.startswith(".")]
