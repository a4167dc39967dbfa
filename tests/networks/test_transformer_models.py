"""Networks of transformers: read like any other, with the preprocessing that their processors declare."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
import transformers
from torch import nn

from equiscope.networks.layers import find_layers
from equiscope.networks.loading import load_network

ADVICE = "pass weights=FILE or weights=random"


NARROW = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
SMALL_TRANSFORMERS = {  # configuration, its arguments, and of the maps: their number, layout and last stride
    "ViT": ({"image_size": 64, "patch_size": 8, **NARROW}, 3, "tokens", 8),
    "Dinov2": ({"image_size": 70, "patch_size": 14, **NARROW}, 3, "tokens", 14),
    "CLIP": ({"vision_config": {"image_size": 64, "patch_size": 8, **NARROW},
              "text_config": {"vocab_size": 99, "bos_token_id": 1, "eos_token_id": 2, **NARROW}}, 3, "tokens", 8),
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
    found = find_layers(network.model, shape)
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
    with pytest.raises(ValueError, match=f"weights of transformers:.*net could not be fetched .*: {ADVICE}"):
        load_network(f"transformers:{tmp_path / 'net'}")
    transformers.BertConfig(num_hidden_layers=1).save_pretrained(tmp_path / "text")
    with pytest.raises(ValueError, match="BertModel, which takes no images"), torch.device("meta"):
        load_network(f"transformers:{tmp_path / 'text'}", weights="random")
