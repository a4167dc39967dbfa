"""Networks of timm and torchvision: preprocessing as they declare it, weights as they fetched them."""

import hashlib
from urllib.error import URLError

import pytest
import timm
import torch
import torchvision

from equiscope.networks.catalogue import CATALOGUE
from equiscope.networks.loading import load_network

ADVICE = "pass weights=FILE or weights=random"


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


def test_preprocessing_differs_by_the_tag_of_the_weights():
    with torch.device("meta"):
        old, new = (load_network(f"torchvision:resnext101_32x8d.{tag}", weights="random").preprocessing
                    for tag in ("IMAGENET1K_V1", "IMAGENET1K_V2"))  # fmt: skip
        inception, half = (load_network(f"timm:vit_base_patch16_224.{tag}", weights="random").preprocessing
                           for tag in ("augreg_in21k_ft_in1k", "mae"))  # fmt: skip
    assert (old.resize, new.resize) == (256, 232) and inception.mean != half.mean


def test_what_is_assumed_is_said():
    assert load_network("timm:resnet18", weights="random").remarks == (
        "The preprocessing is that of the weights timm:resnet18.a1_in1k.",
    )
    assert load_network("torchvision:resnet18.IMAGENET1K_V1", weights="random").remarks == ()
    (squash,) = load_network("timm:dm_nfnet_f0.dm_in1k", weights="random").remarks
    assert "crops by 'squash'" in squash


def test_weights_that_cannot_be_fetched_say_what_to_do(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("timm:resnet18", "torchvision:resnet18", "inception_v3.IMAGENET1K_V1"):
        with pytest.raises(ValueError, match=f"could not be fetched .*: {ADVICE}"):
            load_network(name)


def test_weights_that_torchvision_fetched_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    file.parent.mkdir(parents=True)
    torch.save(torchvision.models.squeezenet1_1().state_dict(), file)
    network = load_network("torchvision:squeezenet1_1")
    source, digest = "torchvision:squeezenet1_1.IMAGENET1K_V1", hashlib.sha256(file.read_bytes()).hexdigest()
    assert network.weights == {"source": source, "file": file.name, "sha256": digest}
