"""How features lie: tokens row by row, channels first or last, and tensors of four axes that are no feature maps."""

import pytest
import timm
import torch
import transformers
from torch import nn

from equiscope.networks.layers import find_layers
from equiscope.networks.options import Layers
from features import features, images


def test_channels_last_and_windows_on_the_batch_axis():
    small = {"img_size": 64, "window_size": 4, "embed_dim": 24, "num_heads": (1, 2, 4, 8), "depths": (1, 1, 2, 1)}
    model = timm.create_model("swin_tiny_patch4_window7_224", **small)
    found = find_layers(model, (3, 64, 64), ["layers.*.blocks.*", "layers.0.blocks.0.attn", "layers.0.blocks.0.norm1"])
    (attention,) = found.left_out
    assert attention.name == "layers.0.blocks.0.attn"
    assert "its first axis is not the image: shape 32 x 16 x 24 for 2 images" in attention.reason
    blocks = [layer for layer in found.measured if layer.type == "SwinTransformerBlock"]
    assert len(blocks) == 5 and {layer.layout.kind for layer in blocks} == {"nhwc"}
    assert [layer.stride for layer in blocks] == [(4, 4), (8, 8), (16, 16), (16, 16), (32, 32)]
    tensor = features(model, blocks[:1], images(2, 64))[blocks[0].name]
    maps = blocks[0].maps(tensor)
    assert torch.equal(maps[1, :, 5, 9], tensor[1, 5, 9])


@pytest.mark.parametrize(
    ("name", "size", "prefix", "arguments"),
    [
        ("vit_tiny_patch16_224", 224, 1, {}),
        ("deit_tiny_distilled_patch16_224", 224, 2, {}),
        ("vit_tiny_patch16_224", 224, 5, {"reg_tokens": 4, "dynamic_img_size": True}),
        ("vit_tiny_patch16_224", 224, 4, {"reg_tokens": 4, "class_token": False, "global_pool": "avg"}),
        ("vit_tiny_patch16_224", (96, 160), 1, {"dynamic_img_size": True}),
    ],
)
def test_class_distillation_and_register_tokens_are_dropped_and_positions_stay_in_place(name, size, prefix, arguments):
    model = timm.create_model(name, depth=4, embed_dim=48, **arguments)
    height, width = size if isinstance(size, tuple) else (size, size)
    batch = nn.functional.interpolate(images(2, 32), size=(height, width))
    (layer,) = find_layers(model, (3, height, width), "blocks.3").measured
    rows, columns = height // 16, width // 16
    assert layer.layout.grid == (rows, columns) and layer.layout.before == prefix and layer.stride == (16, 16)
    tokens = features(model, [layer], batch)["blocks.3"]
    assert tokens.shape[1] == rows * columns + prefix
    maps = layer.maps(tokens)
    for row, column in [(0, 0), (1, 3), (rows - 1, columns - 1)]:
        assert torch.equal(maps[1, :, row, column], tokens[1, prefix + row * columns + column])


def test_registers_of_transformers():
    config = transformers.Dinov2WithRegistersConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=70, patch_size=14, num_register_tokens=4
    )
    model = transformers.AutoModelForImageClassification.from_config(config)
    maps = [layer for layer in find_layers(model, (3, 70, 70)).measured if not layer.vector]
    assert {(layer.layout.grid, layer.layout.before) for layer in maps} == {((5, 5), 5)}


@pytest.mark.parametrize(
    ("name", "inner", "arguments", "size"), [("mobilevit_xxs", "stages.2.1.transformer.0.attn.q_norm", {}, 64),
                                ("xcit_nano_12_p8_224", "blocks.0.attn.attn_drop", {"depth": 4}, 64)],
)  # fmt: skip
def test_tensors_of_four_axes_that_are_no_maps(name, inner, arguments, size):
    model = timm.create_model(name, **arguments)
    found = find_layers(model, (3, size, size))
    assert (
        inner not in [layer.name for layer in found.measured] and sum(not layer.vector for layer in found.measured) > 3
    )
    named = find_layers(model, (3, size, size), [inner, "head**"])
    if name.startswith("mobilevit"):
        (layer,) = named.left_out
        assert layer.name == inner and "not the image" in layer.reason
    else:  # channels by channels: it does not grow with the image
        (attention,) = (layer for layer in named.measured if layer.name == inner)
        assert attention.vector


class Packed(nn.Module):
    """Tokens that no shape tells of: one before the positions and one after them; here and there alike, if `mixed`."""

    def __init__(self, *, mixed=False):
        super().__init__()
        self.mixed = mixed

    def forward(self, pixels):
        if pixels.shape[-1] != 12:
            raise RuntimeError("12 pixels only")
        tokens = pixels.unfold(2, 3, 3).unfold(3, 3, 3).mean((-2, -1)).flatten(2).mT
        tokens = tokens.mean(1, keepdim=True) * torch.linspace(1, 2, 16)[:, None] if self.mixed else tokens
        return nn.functional.pad(tokens, (0, 0, 1, 1))


def test_a_layout_that_is_given_goes_before_what_is_found():
    shape = (3, 12, 12)
    with pytest.raises(ValueError, match=r"tokens on no declared grid: shape 2 x 18 x 3; give its layout \(layouts="):
        find_layers(nn.Sequential(Packed(mixed=True)), shape, "0")
    model, batch = nn.Sequential(Packed()), images(2, 12)
    for layers in ("0", Layers("0", layouts={"0": "tokens:4x4+1+1"})):
        (layer,) = find_layers(model, shape, layers).measured
        assert (layer.height, layer.width, layer.channels, layer.stride) == (4, 4, 3, (3, 3))
        maps = layer.maps(features(model, [layer], batch)["0"])
        assert torch.allclose(maps, nn.functional.avg_pool2d(batch, 3), atol=1e-6)
    (vector,) = find_layers(model, shape, Layers("0", layouts={"*": "vector"})).measured
    assert vector.vector and vector.channels == 54


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nchw", "Layout 'nchw' has four axes; the features have shape 2 x 18 x 3"),
        ("tokens:3x3", "Layout 'tokens:3x3' has 9 tokens; the features have shape 2 x 18 x 3"),
    ],
)
def test_a_layout_that_does_not_fit_is_told(text, words):
    with pytest.raises(ValueError, match=words):
        find_layers(nn.Sequential(Packed()), (3, 12, 12), Layers("0", layouts={"0": text}))


def test_channels_that_may_come_first_or_last_are_told_by_a_change_or_asked_for():
    class OneSize(nn.Module):
        def __init__(self, *, mixed=False):
            super().__init__()
            self.mixed = mixed

        def forward(self, pixels):
            if pixels.shape[-1] != 6:
                raise RuntimeError("6 pixels only")
            maps = nn.functional.pad(pixels, (0, 0, 0, 0, 0, 3))
            return maps.mean((1, 2, 3), keepdim=True) + torch.zeros(6, 6, 6) if self.mixed else maps

    with pytest.raises(ValueError, match=r"channels may come first or last: shape 2 x 6 x 6 x 6; .*, nchw or nhwc"):
        find_layers(nn.Sequential(OneSize(mixed=True)), (3, 6, 6), "0")
    (layer,) = find_layers(nn.Sequential(OneSize()), (3, 6, 6), "0").measured
    assert layer.layout.kind == "map" and layer.stride == (1, 1)
    (layer,) = find_layers(nn.Sequential(OneSize()), (3, 6, 6), Layers("0", layouts={"0": "nhwc"})).measured
    assert layer.layout.kind == "nhwc" and layer.stride == (1, 1)
