"""Networks of the user's own code: run where it lies, and nothing of it left behind."""

import sys

import safetensors.torch
import torch
from torch import nn

from equiscope.networks.loading import load_network

SMALL = """
import torch
def small():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten())
"""


def test_a_file_runs_in_its_folder_and_leaves_nothing(tmp_path):
    load_network("torch.nn:Identity")  # which imports what loading needs
    path, modules = list(sys.path), set(sys.modules)
    for channels in (4, 5):  # two files of one name, and two siblings of one name
        folder = tmp_path / f"my networks {channels}"
        folder.mkdir()
        (folder / "width.py").write_text(f"CHANNELS = {channels}\n")
        (folder / "net.py").write_text(
            "from dataclasses import dataclass\nimport torch, width\n"
            "@dataclass\nclass Size:\n    side: 'int' = 3\n"
            "def net():\n    import width\n    return torch.nn.Conv2d(3, width.CHANNELS, Size().side)\n"
        )
        network = load_network(f"{folder / 'net.py'}:net")
        assert network.model.weight.shape == (channels, 3, 3, 3)
        assert sorted(file.name for file in folder.iterdir()) == ["net.py", "width.py"]  # no bytecode
    assert sys.path == path and "width" not in sys.modules
    assert {name.partition("_")[0] for name in set(sys.modules) - modules} <= {"net"}
    assert network.weights == {"source": f"as {folder / 'net.py'}:net returns it"}
    assert network.layers is network.pool is network.entry is None


def test_a_file_is_assumed_to_be_for_imagenet_unless_told(tmp_path):
    (tmp_path / "net.py").write_text(SMALL)
    name = f"{tmp_path / 'net.py'}:small"
    plain, sized, told = (
        load_network(name),
        load_network(name, size=32),
        load_network(name, size=28, mean=(0.5,), std=(0.5,)),
    )
    assert plain.preprocessing.size == (224, 224) and plain.preprocessing.mean == (0.485, 0.456, 0.406)
    assert "declares no preprocessing: assumed an input of 224 x 224 pixels, ImageNet's mean" in plain.remarks[0]
    assert sized.preprocessing.size == (32, 32) and "pixels" not in sized.remarks[0]
    assert told.preprocessing.mean == (0.5,) and told.remarks == ()


def test_a_file_takes_weights_and_wrappers_are_seen_through(tmp_path):
    (tmp_path / "net.py").write_text(SMALL + "def wrapped():\n    return torch.nn.DataParallel(small())\n")
    weight, bias = torch.ones(4, 3, 3, 3), torch.zeros(4)
    safetensors.torch.save_file({"0.weight": weight, "0.bias": bias}, tmp_path / "w.safetensors")
    network = load_network(f"{tmp_path / 'net.py'}:wrapped", weights=str(tmp_path / "w.safetensors"))
    assert torch.equal(network.model.module[0].weight, weight) and network.weights["source"] == "file"
    assert load_network(f"{tmp_path / 'net.py'}:small", weights="random", seed=5).weights["source"] == "random (seed 5)"


def test_a_function_of_a_package():
    assert isinstance(load_network("torch.nn:Identity").model, nn.Identity)
