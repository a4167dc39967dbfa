"""What is measured once is not measured again, half of it is, and what cannot be measured is refused."""

import json
from dataclasses import replace

import datasets
import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.networks.catalogue import Entry
from equiscope_studies.figures import figure7
from equiscope_studies.survey import measuring
from equiscope_studies.survey.kept import kept
from equiscope_studies.survey.measuring import Surveyed, asked, measurements

pytestmark = pytest.mark.filterwarnings("ignore:Layer")  # random filters on noise have no centre to be found


def test_three_measurements_leave_a_folder_each_and_a_broken_one_is_made_again(of_figure7, folder, survey, monkeypatch):
    home = folder / "results" / "nets.py-narrow"
    assert sorted(path.name for path in home.iterdir()) == [
        "accuracy.json", "rotations", "shifts-crop", "shifts-zero"
    ]  # fmt: skip
    wanted = asked(survey.models, folder, "noise", images=24, seed=0, shifts=survey.shifts)
    times = {path.parent.name: path.stat().st_mtime_ns for path in home.glob("*/manifest.json")}
    (home / "shifts-crop" / "manifest.json").unlink()  # as a broken run leaves it
    measuring.measured(Surveyed(survey.models[0]), wanted, survey.results, data=folder)
    again = {path.parent.name: path.stat().st_mtime_ns for path in home.glob("*/manifest.json")}
    assert {name for name in times if times[name] != again[name]} == {"shifts-crop"}

    def never(*_, **__):
        raise AssertionError("a finished network is loaded again")

    monkeypatch.setattr(es, "load_network", never, raising=False)
    measuring.measured(Surveyed(survey.models[0]), wanted, survey.results, data=folder)


def test_other_options_and_older_results_are_refused(of_figure7, folder, survey, tmp_path):
    with pytest.raises(ValueError, match=r"other options \(shifts \[4, 16\]; asked for now: shifts \[8\]\)"):
        figure7(folder, tmp_path / "other", replace(survey, shifts=[8]))
    older = tmp_path / "results" / "nets.py-narrow" / "rotations"
    older.mkdir(parents=True)
    (older / "manifest.json").write_text(json.dumps({"format": 1, "model": "narrow"}))
    with pytest.raises(ValueError, match="written by an older equiscope .* measure again"):
        figure7(folder, tmp_path / "other", replace(survey, results=tmp_path / "results"))


def test_shifts_own_what_enters_at_the_border():
    large, small = measurements([1, 8], (224, 224)), measurements([1, 8], (32, 32))
    assert list(large) == ["shifts-zero", "shifts-crop", "rotations"]
    assert list(small) == ["shifts-zero", "shifts-reflect", "rotations"]
    assert {one.fill for one in large["shifts-zero"].transformations} == {"zero"}
    assert {(one.fill, one.size) for one in large["shifts-crop"].transformations} == {("crop", (224, 224))}


def test_images_and_weights_of_a_home_folder_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert asked(["x"], None, "~/set:test", images=2, seed=0, shifts=None).source == f"{tmp_path}/set:test"
    given = []
    monkeypatch.setattr(measuring, "network_of", lambda name, weights, seed: given.append(weights) or 1 / 0)
    wanted = asked(["x"], None, "noise", images=2, seed=0, shifts=None)
    with pytest.raises(ZeroDivisionError):
        measuring.measured(Surveyed("x", weights="~/x.pth"), wanted, tmp_path / "results")
    assert given == [f"{tmp_path}/x.pth"]


def test_manifests_tell_of_weights_images_and_what_was_asked(of_figure7, folder, survey):
    scores = kept(survey.results / "nets.py-wide" / "rotations")
    manifest = scores.manifest
    assert manifest["model"] == survey.models[1] and manifest["counts"]["given"] == 24
    assert manifest["study"]["input"] == [224, 224] and manifest["study"]["shifts"] is None
    assert manifest["images_registered_on"] == 12 and manifest["options"]["scopes"] == ["dataset", "image"]


def network(entry=None, classes=10):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, classes)).eval()
    preprocessing = es.Preprocessing(size=(28, 28), mean=(0.5,), std=(0.5,))
    return es.Network("linear", model, preprocessing, {}, None, None, entry, ())


def test_accuracy_is_published_or_measured_on_all_labelled_images(digits_folder):
    wanted = asked(["linear"], digits_folder, "mnist:test", images=5, seed=0, shifts=[1])
    published = measuring.published_or_measured(network(Entry("linear", "", (), "", top1=71.5)), wanted, None)
    assert published["top1"] == 71.5 and published["on"] == "ImageNet, published"
    found = measuring.published_or_measured(network(), wanted, None)
    rows = datasets.load_dataset(str(digits_folder / "mnist"), split="test")
    one = network()
    guessed = [int(one.model(one.preprocessing(row["image"])[None]).argmax()) for row in rows]
    right = sum(guess == row["label"] for guess, row in zip(guessed, rows, strict=True))
    assert found["top1"] == pytest.approx(100 * right / len(rows)) and found["on"] == "DATA/mnist:test, measured"


def test_why_there_is_no_accuracy(digits_folder, folder):
    wanted = asked(["linear"], digits_folder, "mnist:test", images=5, seed=0, shifts=[1])
    assert (
        "has 10 classes, and linear has not"
        in measuring.published_or_measured(network(classes=3), wanted, None)["reason"]
    )
    wanted = asked(["linear"], folder, "noise", images=5, seed=0, shifts=[1])
    assert measuring.published_or_measured(network(), wanted, None)["reason"] == "DATA/noise has no labels"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"models": ["cifar-resnet20", "cifar-resnet20"]}, "given 2 times"),
        ({"models": ["efficientnet-lite0"]}, "The images to measure on are not given"),
        ({"models": ["cifar-resnet20"], "shifts": [0, 1]}, "at least 1"),
        ({"models": ["cifar-resnet20"]}, "The CIFAR networks need CIFAR-10"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(options, sentence, survey, tmp_path, monkeypatch):
    monkeypatch.delenv("EQUISCOPE_DATA", raising=False)
    with pytest.raises(ValueError, match=sentence):
        figure7(None, tmp_path / "out", replace(survey, **{"source": None, "shifts": None} | options))
