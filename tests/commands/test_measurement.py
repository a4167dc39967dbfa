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
from equiscope.figures import kinds, style
from example import example_scores
from terminal import equiscope, network_file

OTHER = {
    "--seed": "1", "--negative": "abs", "--transformations": "shifts:1", "--subpixel": "round", "--layers": "2",
    "--limit": "2", "--precision": "bfloat16", "--std": "2,2,2",
}  # fmt: skip
# The same network by its modules and weights, which does other things with them.
DOUBLED = """class Doubled(nn.Sequential):
    def forward(self, images):
        return super().forward(2 * images)

Doubled.__module__, Doubled.__qualname__ = nn.Sequential.__module__, nn.Sequential.__qualname__

def small():
    torch.manual_seed(0)
    return Doubled("""
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
        assert answer.status == 2 and "of other options, weights or data" in answer.err, option
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
    assert refused.status == 2 and "of other options, weights or data" in refused.err
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
    for change in (
        ("nn.ReLU(),\n        nn.Adaptive", "nn.GELU(),\n        nn.Adaptive"),
        ("seed(0)", "seed(1)"),
        ("def small():\n    torch.manual_seed(0)\n    return nn.Sequential(", DOUBLED),
    ):
        plain.write_text(text.replace(*change))
        assert equiscope(*asked).status == 2
    plain.write_text(text + "\n# a remark\n")
    assert "is done" in equiscope(*asked).err


def test_of_two_runs_into_one_folder_the_later_is_refused_at_its_start(measure, failing, tmp_path):
    answers = []

    def measured(*given, **options):
        answers.extend(measure(*more) for more in ((), ("--force",), ("--resume",)))  # as another run would meanwhile
        return example_scores()

    failing(measured)
    assert measure("--quiet").status == 0 and os.listdir(tmp_path) == ["out"]
    for answer in answers:
        assert answer.status == 2
        assert f"will write to {tmp_path / 'out'} (process {os.getpid()} on " in answer.err, answer
    assert measure("--quiet", "--force").status == 0 and len(answers) == 6


def test_what_is_measured_is_not_lost_where_the_folder_was_taken_meanwhile(measure, failing, tmp_path):
    first = example_scores(seed=7)

    def measured(*given, **options):
        for name in ("out", "out-2"):
            first.save(tmp_path / name, force=True)  # by a program that tells nobody that it will
        return example_scores()

    failing(measured)
    answer = measure("--quiet")
    assert (answer.status, answer.out) == (0, f"{tmp_path / 'out-3'}\n")
    assert f"out was taken meanwhile, so the result is in {tmp_path / 'out-3'}." in answer.err
    assert sorted(os.listdir(tmp_path)) == ["out", "out-2", "out-3"]
    for name, seed in (("out", 7), ("out-2", 7), ("out-3", 0)):
        assert es.load(tmp_path / name).manifest["options"]["seed"] == seed
    assert measure("--quiet", "--force").out == f"{tmp_path / 'out'}\n"


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
def test_results_among_the_photographs_are_not_measured_with_them(measurements, place, tmp_path, monkeypatch):
    """What a run writes into its own folder of images is none of the next one's."""
    photos = shutil.copytree(place / "good", tmp_path / "photos")
    network_file(tmp_path / "code")
    monkeypatch.chdir(photos)
    monkeypatch.setattr(kinds, "headline", Plot)
    asked = ("measure", "../code/net.py:small", "--images", ".", "--size", "32")
    for more in ((), ("--force",), ("--output", "other"), ("--output", ".", "--force"), ("--output", ".", "--force")):
        answer = equiscope(*asked, *more)
        assert answer.status == 0, answer.err
    assert [one["images"] for one in measurements] == [3] * 5
    assert "Note: Results of equiscope are not read as images: ., other, out/" in answer.err
    Plot().save(photos / "drawn by hand")
    assert equiscope(*asked, "--output", "last").status == 0 and measurements[-1]["images"] == 3
    manifest = json.loads((photos / "last" / "manifest.json").read_text())
    assert manifest["data"]["passed_over"] == {
        "no_image": 1,
        "hidden": 0,
        "results": [".", "other", "out/net.py-small"],
    }


class Plot(style.Plot):
    """The smallest of figures."""

    def __init__(self, *given):
        super().__init__(figsize=(1, 1))


def test_a_result_that_is_there_is_replaced_and_other_files_stay(measure, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    refused = measure()
    assert refused.status == 2 and "out exists and is not empty; give another folder, or --force" in refused.err
    assert measure("--force", "--quiet").status == 0
    there = set(os.listdir(tmp_path / "out"))
    assert {"mine", "manifest.json", "figure.png", "figure.pdf", "report.html"} <= there
    assert not [name for name in there if name.startswith(".")]
