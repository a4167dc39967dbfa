"""What goes wrong when one reads the features of other people's networks, each case on a real architecture."""

import copy
from functools import partial

import numpy as np
import pytest
import timm
import torch
import torchvision
import transformers
from torch import nn

import equiscope as es
from equiscope.networks.features import called, left_as_found, reading
from equiscope.networks.loading import load_network

QUARTER = es.rotations().transformations[0]
measure = partial(es.measure, chance=False, intervals=False)


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def images(count, size, channels=3):
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(count, channels, 8, 8, generator=generator)
    return nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")


def names(layers):
    return [layer.name for layer in layers]


def features(model, layers, batch):
    """What the layers' sources give in a forward pass, copied at once."""
    read = {}
    with left_as_found(model), reading(model, {layer.name: layer.source for layer in layers},
                                       lambda name, tensor: read.__setitem__(name, tensor.clone())):  # fmt: skip
        called(model, batch)
    return read


class Cloned(nn.Module):
    """A module whose output nobody else can change."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, maps):
        return self.inner(maps).clone()


@pytest.mark.parametrize("build", [torchvision.models.resnet18, torchvision.models.resnext50_32x4d])
def test_outputs_that_are_changed_in_place_later(build):
    model = build(weights=None)
    safe = copy.deepcopy(model)
    for module in safe.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    for stage in (safe.layer1, safe.layer2):
        for block in stage:
            block.bn2 = Cloned(block.bn2)
    named = ["layer1.0.bn2", "layer2.0.bn2", "layer2.1.bn2"]
    batch = images(4, 64)
    found = measure(model, batch, transformations=QUARTER, layers=named).table()["equivariance"]
    expected = measure(safe, batch, transformations=QUARTER, layers=named).table()["equivariance"]
    assert np.allclose(found, expected, atol=1e-6, rtol=0)
    kept = {}
    handle = model.layer1[0].bn2.register_forward_hook(lambda *taken: kept.__setitem__("map", taken[2]))
    (layer,) = es.find_layers(model, (3, 64, 64), "layer1.0.bn2").measured
    true = features(model, [layer], batch)["layer1.0.bn2"]
    handle.remove()
    assert not torch.equal(kept["map"], true)  # a reference would have been wrong


def test_a_module_called_several_times_is_several_layers():
    found = es.find_layers(torchvision.models.resnet18(), (3, 64, 64), "layer1.0.relu")
    assert names(found.measured) == ["layer1.0.relu", "layer1.0.relu#1"]
    first, second = features(torchvision.models.resnet18(), found.measured, images(2, 64)).values()
    assert first.shape == second.shape and not torch.equal(first, second)


@pytest.mark.parametrize(
    ("build", "module"),
    [
        (partial(torchvision.models.googlenet, weights=None, init_weights=False, aux_logits=True), "aux1"),
        (partial(timm.create_model, "vit_tiny_patch16_224"), "blocks.0.attn.attn_drop"),
    ],
)
def test_a_module_that_is_never_called_is_no_layer_and_is_said_to_be_none(build, module):
    model, size = build(), 224
    assert module not in names(es.find_layers(model, (3, size, size)).measured)
    with pytest.raises(ValueError, match=f"'{module}' is a module that the network never calls"):
        es.find_layers(model, (3, size, size), module)


def test_the_fast_path_of_a_transformer_encoder_skips_its_modules():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
            self.patches, self.encoder = nn.Conv2d(3, 16, 8, stride=8), nn.TransformerEncoder(layer, 2)
            self.head = nn.Linear(16, 5)

        def forward(self, pixels):
            return self.head(self.encoder(self.patches(pixels).flatten(2).mT).mean(1))

    model, shape = Encoder(), (3, 32, 32)
    found = es.find_layers(model, shape)
    assert names(found.measured) == ["encoder.layers.0", "encoder.layers.1", "head:input", "head"]
    assert {layer.layout.grid for layer in found.measured[:2]} == {(4, 4)}
    with pytest.raises(ValueError, match="'encoder.layers.0.self_attn.out_proj' is a module that the network never"):
        es.find_layers(model, shape, "encoder.layers.0.self_attn.out_proj")
    assert measure(model, images(4, 32), transformations=QUARTER).table()["equivariance"].notna().all()


def test_a_tuple_gives_its_map_and_leaves_the_class_token_beside_it():
    found = es.find_layers(timm.create_model("pit_ti_224"), (3, 224, 224))
    maps = [layer for layer in found.measured if not layer.vector]
    assert names(maps) == ["transformers.0[0]", "transformers.1[0]", "transformers.2[0]"]
    assert [layer.stride for layer in maps] == [(8, 8), (16, 16), (32, 32)]  # 27 cells, as it declares
    assert "gives a map beside this vector" in found.left_out[0].reason


def test_several_maps_are_named_and_never_the_first_taken_in_silence():
    found = es.find_layers(timm.create_model("coat_tiny"), (3, 224, 224))
    assert {layer.reason for layer in found.left_out if layer.name.startswith("parallel_blocks.0")} == {
        "parallel_blocks.0 gives several maps; name this one to have it measured"
    }
    assert len({layer.part for layer in found.measured if not layer.vector}) == 3  # parts are of what is measured


def test_a_dict_that_the_network_returns():
    model = torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    found = es.find_layers(model, (3, 64, 64), "classifier")
    assert names(found.measured) == ["classifier"] and found.measured[0].stride == (8, 8)
    assert "final" not in {layer.part for layer in es.find_layers(model, (3, 64, 64)).measured}


def small_swin():
    config = transformers.SwinConfig(image_size=64, window_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4])
    return transformers.AutoModelForImageClassification.from_config(config)


def test_a_model_output_and_keyword_inputs():
    model = small_swin()
    found = es.find_layers(model, (3, 64, 64))
    blocks = [f"swin.encoder.layers.{stage}.blocks.{block}[0]" for stage in range(2) for block in range(2)]
    assert names(found.measured) == [*blocks, "classifier:input", "classifier"]  # a stage gives two maps: its blocks
    scores = measure(model, images(4, 64), transformations=[QUARTER, es.shift(4, 4)])
    assert scores.table()["equivariance"].notna().all()


def test_channels_last_and_windows_on_the_batch_axis():
    model = timm.create_model("swin_tiny_patch4_window7_224")
    found = es.find_layers(
        model, (3, 224, 224), ["layers.*.blocks.*", "layers.0.blocks.0.attn", "layers.0.blocks.0.norm1"]
    )
    (attention,) = found.left_out
    assert attention.name == "layers.0.blocks.0.attn"
    assert "its first axis is not the image: shape 128 x 49 x 96 for 2 images" in attention.reason
    blocks = [layer for layer in found.measured if layer.type == "SwinTransformerBlock"]
    assert len(blocks) == 12 and {layer.layout.kind for layer in blocks} == {"nhwc"}
    assert [layer.stride for layer in blocks[::2]] == [(4, 4), (8, 8), (16, 16), (16, 16), (16, 16), (32, 32)]
    tensor = features(model, blocks[:1], images(2, 224))[blocks[0].name]
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
def test_class_distillation_and_register_tokens_are_dropped_and_cells_stay_in_place(name, size, prefix, arguments):
    model = timm.create_model(name, **arguments)
    height, width = size if isinstance(size, tuple) else (size, size)
    batch = nn.functional.interpolate(images(2, 32), size=(height, width))
    (layer,) = es.find_layers(model, (3, height, width), "blocks.3").measured
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
    maps = [layer for layer in es.find_layers(model, (3, 70, 70)).measured if not layer.vector]
    assert {(layer.layout.grid, layer.layout.before) for layer in maps} == {((5, 5), 5)}


def test_functional_pooling_is_the_input_of_the_classifier():
    found = es.find_layers(torchvision.models.densenet121(), (3, 64, 64))
    assert names(found.measured)[-2:] == ["classifier:input", "classifier"]
    assert [layer.part for layer in found.measured][-2:] == ["pool", "final"]


@pytest.mark.parametrize("wrap", [nn.DataParallel, partial(torch.compile, backend="eager")])
def test_wrapped_models_have_the_names_and_scores_of_the_model_inside(wrap):
    model, batch = torchvision.models.resnet18(weights=None).eval(), images(4, 32)
    wrapped = wrap(model)
    wrapped(batch)  # a hook that is added after a compiled model's first call never fires
    found = measure(wrapped, batch, transformations=QUARTER)
    assert found.scores["score"].equals(measure(model, batch, transformations=QUARTER).scores["score"])
    assert list(found.layers["layer"])[:2] == ["layer1.0", "layer1.1"]


def test_a_model_in_training_mode_is_measured_in_evaluation_mode_and_given_back():
    model = timm.create_model("resnet18")
    assert model.training
    model.layer2.eval()
    state, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    random = torch.get_rng_state()
    found = measure(model, images(4, 64), transformations=QUARTER).scores
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert found.equals(measure(model.eval(), images(4, 64), transformations=QUARTER).scores)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("vit_tiny_patch16_224", 96, r"Input height \(96\) doesn't match model \(224\)"),
        ("gmlp_ti16_224", 96, r"Input height \(96\) doesn't match model \(224\)"),
        ("swin_tiny_patch4_window7_224", 96, r"Input height \(96\) doesn't match model \(224\)"),
        ("maxvit_pico_rw_256", 100, "fails on images of 3 x 100 x 100"),
    ],
)
def test_a_network_of_one_size_says_which(name, size, said):
    with pytest.raises(ValueError, match=said) as raised:
        es.find_layers(timm.create_model(name), (3, size, size))
    assert f"fails on images of 3 x {size} x {size}" in str(raised.value) and "\n" not in str(raised.value)
    assert str(raised.value).endswith("give images of the channels and the size that it takes.")


@pytest.mark.parametrize(
    ("name", "inner", "size"), [("mobilevit_xxs", "stages.2.1.transformer.0.attn.q_norm", 256),
                                ("xcit_nano_12_p8_224", "blocks.0.attn.attn_drop", 224)],
)  # fmt: skip
def test_tensors_of_four_axes_that_are_no_maps(name, inner, size):
    model = timm.create_model(name)
    found = es.find_layers(model, (3, size, size))
    assert inner not in names(found.measured) and sum(not layer.vector for layer in found.measured) > 3
    layer = next(iter(es.find_layers(model, (3, size, size), [inner, "head**"]).left_out), None)
    if name.startswith("mobilevit"):
        assert layer and layer.name == inner and "not the image" in layer.reason
    else:  # channels by channels: it does not grow with the image
        (attention,) = (one for one in es.find_layers(model, (3, size, size), inner).measured)
        assert attention.vector


def test_branches_that_begin_at_zero_are_constant_and_no_error():
    model = timm.create_model("resnet18")
    scores = measure(
        model, images(4, 64), transformations=[QUARTER, es.shift(4, 4)], layers=["layer1.*", "layer*.*.bn2"]
    )
    dead = scores.layers.set_index("layer")["dead"]
    assert dead["layer1.0.bn2"] == 64 and dead["layer1.0"] == 0
    of_branch = scores.scores[scores.scores["layer"] == "layer1.0.bn2"]
    assert of_branch["score"].isna().all() and (of_branch["undefined"] > 0).all()
    assert scores.table().set_index("layer").loc["layer1.0", "equivariance"].notna().all()


@pytest.mark.parametrize("channels", [1, 4])
def test_networks_of_other_than_three_channels(channels):
    model = timm.create_model("resnet18", in_chans=channels)
    scores = measure(model, images(4, 64, channels), transformations=QUARTER)
    assert scores.manifest["image_shape"] == [channels, 64, 64] and scores.table()["equivariance"].notna().any()
    with pytest.raises(ValueError, match="fails on images of 3 x 64 x 64.*give images of the channels"):
        measure(model, images(4, 64), transformations=QUARTER)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_measured_in_float32(dtype):
    model = torchvision.models.squeezenet1_1(weights=None)
    full = measure(model, images(4, 64), transformations=[es.identity(), QUARTER]).table()
    half = measure(model.to(dtype), images(4, 64), transformations=[es.identity(), QUARTER]).table()
    assert (half["equivariance"] - full["equivariance"]).abs().max() < 0.1
    assert np.allclose(half[half["transformation"] == "identity"]["invariance"].dropna(), 1, atol=1e-6)


def test_a_model_without_parameters():
    model = nn.Sequential(nn.AvgPool2d(2), nn.ReLU())
    table = measure(model, images(4, 16), transformations=QUARTER).table()
    assert list(table["layer"]) == ["0", "1"] and np.allclose(table["invariance"], 1, atol=1e-5)


def test_a_network_that_resizes_its_images_has_one_size_inside():
    found = es.find_layers(timm.create_model("crossvit_tiny_240"), (3, 240, 240))
    grids = {
        (layer.layout.grid, layer.layout.before)
        for layer in found.measured
        if "blocks." in layer.name and not layer.vector
    }
    assert grids == {((20, 20), 1), ((14, 14), 1)}


def test_a_network_of_windows_grows_to_twice_its_size():
    found = es.find_layers(timm.create_model("halonet_h1"), (3, 256, 256))
    assert not found.left_out and [layer.stride for layer in found.measured if not layer.vector][1] == (4, 4)


def test_preprocessing_differs_by_the_tag_of_the_weights():
    with torch.device("meta"):
        old, new = (load_network(f"torchvision:resnext101_32x8d.{tag}", weights="random").preprocessing
                    for tag in ("IMAGENET1K_V1", "IMAGENET1K_V2"))  # fmt: skip
        inception, half = (load_network(f"timm:vit_base_patch16_224.{tag}", weights="random").preprocessing
                           for tag in ("augreg_in21k_ft_in1k", "mae"))  # fmt: skip
    assert (old.resize, new.resize) == (256, 232) and inception.mean != half.mean
