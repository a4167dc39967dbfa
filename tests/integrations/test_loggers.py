"""A result in loggers: the same names and numbers in each, read back from what the logger wrote."""

import json
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.integrations.loggers import KINDS, log_scores, logger
from equiscope.results.rows import overall
from terminal import equiscope, network_file, pictures


@pytest.fixture(scope="module")
def scores():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    scoring = es.Scoring(alignment="registered", registration_images=16)
    return es.measure(
        model, torch.randn(40, 3, 12, 12), [es.rotations(), es.shifts([1, 2])], scoring=scoring, layers=["0", "4"]
    )


@pytest.fixture(scope="module")
def values(scores):
    """What is logged, by name, told by a function."""
    heard = {}
    es.log_scores(scores, lambda name, value, step: heard.update({name: (value, step)}), step=7)
    assert {step for _, step in heard.values()} == {7}
    return {name: value for name, (value, _) in heard.items()}


def test_every_defined_score_of_a_part_is_logged_under_the_name_that_training_has(scores, values):
    parts = overall(scores.parts[scores.parts["transformation"].isin(["rotations", "shifts"])])
    assert len(values) == parts[["score", "explained"]].notna().to_numpy().sum()
    table = scores.table(by="part", transformation="rotations").set_index("part")
    assert values["equivariance/rotations/dataset/early"] == table.loc["early", "equivariance"]
    assert values["explained/invariance/rotations/dataset/early"] == table.loc["early", "invariance_explained"]
    own = scores.table(by="part", transformation="rotations", alignment="registered").set_index("part")
    assert values["equivariance/rotations/dataset/early/registered"] == own.loc["early", "equivariance"]
    shifts = scores.table(by="part", transformation="shifts").set_index("part")
    assert values["invariance/shifts/dataset/early"] == shifts.loc["early", "invariance"]  # interpolated members, too


def read_back(folder):
    """What TensorBoard's files hold: scalars by name, pictures and texts."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    names = events.Tags()
    scalars = {name: [(one.step, one.value) for one in events.Scalars(name)] for name in names["scalars"]}
    texts = {name: events.Tensors(name)[0].tensor_proto.string_val[0].decode() for name in names["tensors"]}
    return scalars, {name: events.Images(name)[0].encoded_image_string for name in names["images"]}, texts


def test_tensorboard_has_scores_figure_and_manifest(scores, values, tmp_path):
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        es.log_scores(scores, writer, step=7)
    scalars, images, texts = read_back(tmp_path)
    assert scalars == {name: [(7, pytest.approx(value, abs=1e-7))] for name, value in values.items()}
    assert images["equiscope/figure"].startswith(b"\x89PNG")
    (text,) = texts.values()
    assert json.loads(text.removeprefix("```json").removesuffix("```"))["options"]["similarity"] == "pearson"


def test_weights_and_biases_has_scores_figure_table_and_configuration(scores, values, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    for name, value in {"WANDB_MODE": "offline", "WANDB_CACHE_DIR": "cache", "WANDB_CONFIG_DIR": "config"}.items():
        monkeypatch.setenv(name, value)
    with logger("wandb:tests", "a result") as run:
        log_scores(scores, run, step=7)
        run.log({}, step=7, commit=True)  # which a user's loop does with its next step
        summary, config, files = dict(run.summary), run.config.as_dict(), Path(run.dir)
    assert {name: summary[name] for name in values} == values and summary["_step"] == 7
    assert config["equiscope"]["options"]["transformations"]["shifts"] == ["shift(1,1)", "shift(2,2)"]
    (table,) = files.rglob("*.table.json")
    told = json.loads(table.read_text())
    assert told["columns"] == list(scores.scores.columns) and len(told["data"]) == len(scores.scores)
    assert [row[told["columns"].index("score")] for row in told["data"]] == pytest.approx(
        scores.scores["score"].tolist(), nan_ok=True
    )
    (picture,) = files.rglob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_is_no_logger_is_refused(scores):
    with pytest.raises(ValueError, match="Scores cannot be logged to a value of type int; give a SummaryWriter"):
        log_scores(scores, 3)


class OnlyHere:
    """Finds a package in the working folder alone, as where it is not installed."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, path=None, target=None):
        return PathFinder.find_spec(name, [str(Path.cwd())]) if name == self.name else None


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_named_like_a_logger_is_none(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / kind).mkdir()
    monkeypatch.delitem(sys.modules, kind, raising=False)
    monkeypatch.setattr(sys, "meta_path", [OnlyHere(kind), *sys.meta_path])
    assert find_spec(kind) is not None
    network_file(tmp_path / "code")
    pictures(tmp_path / "pictures", good=3)
    answer = equiscope("measure", "code/net.py:small", "--images", "pictures", "--size", "32", "--log", f"{kind}:mine")
    assert answer.status == 2
    assert f"--log '{kind}:mine' needs the package {kind}: pip install 'equiscope[{kind}]'." in answer.err


def test_the_command_line_logs_what_it_has_written(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.chdir(tmp_path)
    network_file(tmp_path / "code")
    pictures(tmp_path / "pictures", good=3)
    command = ("measure", "code/net.py:small", "--images", "pictures", "--size", "32", "--quiet", "--layers", "0")
    assert equiscope(*command, "--output", "out", "--log", "tensorboard:logs/one").status == 0
    scalars, images, _ = read_back(tmp_path / "logs" / "one")
    parts = es.load("out").table(by="part").set_index("part")
    assert scalars["invariance/rotations/dataset/early"][0][1] == pytest.approx(parts.loc["early", "invariance"])
    assert list(images) == ["equiscope/figure"]
