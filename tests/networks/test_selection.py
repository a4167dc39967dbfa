"""Which of a network's tensors are its blocks, its pooled vector, its final one, and which a name or glob means."""

from fractions import Fraction
from functools import partial

import pytest
import timm
import torch
import torchvision
import transformers
from torch import nn

from equiscope.networks.cifar_resnet import cifar_resnet
from equiscope.networks.layers import find_layers
from equiscope.networks.options import Layers
from equiscope.system.errors import OptionError


class Inside(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv, self.never = nn.Conv2d(channels, channels, 3, padding=1), nn.Linear(2, 2)

    def forward(self, maps):
        return maps + self.conv(maps)


def blocks(count):
    return nn.Sequential(*(nn.Sequential(Inside(3), nn.ReLU()) for _ in range(count)))


def names(found):
    return [layer.name for layer in found.measured]


@pytest.fixture(scope="module")
def resnet():
    return torchvision.models.resnet18()


def test_blocks_are_the_children_of_sequentials_that_are_not_leaves(resnet):
    found = find_layers(resnet, (3, 64, 64))
    assert names(found) == [f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)] + ["avgpool", "fc"]
    assert [layer.part for layer in found.measured] == ["early"] * 3 + ["middle"] * 3 + ["late"] * 2 + ["pool", "final"]
    assert [layer.stride for layer in found.measured][::2] == [(4, 4), (8, 8), (16, 16), (32, 32), None]
    assert [layer.channels for layer in found.measured][-2:] == [512, 1000]


def test_functional_pooling_is_the_input_of_the_classifier():
    found = find_layers(cifar_resnet(20), (3, 32, 32))
    assert names(found)[-2:] == ["linear:input", "linear"]
    assert [layer.part for layer in found.measured][-2:] == ["pool", "final"]


def test_functional_pooling_after_a_classifiers_own_layers():
    found = find_layers(torchvision.models.DenseNet(4, (1, 1, 1), 8), (3, 32, 32))
    assert names(found)[-2:] == ["classifier:input", "classifier"]
    assert [layer.part for layer in found.measured][-2:] == ["pool", "final"]


def test_without_blocks_all_leaves_that_yield_a_map():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    assert names(find_layers(model, (3, 9, 9))) == ["0", "1", "2", "4"]


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("layer1.*", ["layer1.0", "layer1.1"]),
        ("layer1.0", ["layer1.0"]),
        ("layer?.0.conv1", [f"layer{stage}.0.conv1" for stage in range(1, 5)]),
        ("**.conv2", [f"layer{stage}.{block}.conv2" for stage in range(1, 5) for block in range(2)]),
        ("layer4.1.relu", ["layer4.1.relu", "layer4.1.relu#1"]),
        ("layer4.1.relu#1", ["layer4.1.relu#1"]),
        (["fc", "conv1"], ["conv1", "fc"]),
    ],
)
def test_a_star_stops_at_a_dot_and_a_module_means_all_of_its_calls(resnet, pattern, matched):
    assert names(find_layers(resnet, (3, 64, 64), pattern)) == matched


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        ("layer5.*", "nearest names are"),
        ("layer1.0.con1", "layer1.0.conv1"),
        (["fc", "nothing"], "No layer matches 'nothing'"),
    ],
)
def test_a_pattern_that_matches_nothing_names_the_nearest(resnet, patterns, words):
    with pytest.raises(ValueError, match=words):
        find_layers(resnet, (3, 64, 64), patterns)


def test_a_second_name_of_a_module_is_told():
    model = blocks(2)
    model.encoder = model[0]
    with pytest.raises(OptionError, match=r"Layer 'encoder.0.conv' is another name of 0.0.conv; write that"):
        find_layers(model, (3, 8, 8), "encoder.0.conv")


def test_a_flattened_map_is_not_pooled():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 2)
    )
    parts = {layer.name: layer.part for layer in find_layers(model, (3, 8, 8)).measured}
    assert parts == {"0": "early", "1": "middle", "5:input": "pool", "5": "final"}


def test_blocks_that_give_vectors_are_measured():
    model = nn.Sequential(
        nn.Conv2d(3, 2, 3), nn.Flatten(), *(nn.Sequential(nn.LazyLinear(8), nn.ReLU()) for _ in range(2)),
        nn.Linear(8, 2),
    )  # fmt: skip
    model(torch.zeros(2, 3, 8, 8))
    assert names(find_layers(model, (3, 8, 8))) == ["0", "2", "3", "4:input", "4"]


def test_blocks_whose_positions_do_not_grow_with_the_image_are_told():
    class Latents(nn.Module):
        """Tokens of the network's own, to which the image is added."""

        def __init__(self):
            super().__init__()
            self.embed, self.own = nn.Conv2d(3, 8, 4, stride=4), nn.Parameter(torch.randn(5, 8))
            self.blocks = nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(2)))

        def forward(self, pixels):
            return self.blocks(self.own + self.embed(pixels).mean((2, 3))[:, None]).mean(1)

    with pytest.warns(UserWarning, match="None of the network's 2 blocks .*: it has several axes, and none grows"):
        found = find_layers(Latents(), (3, 16, 16))
    assert [one.name for one in found.left_out] == ["blocks.0", "blocks.1"]
    assert find_layers(Latents(), (3, 16, 16), "blocks.0").measured[0].channels == 40


@pytest.mark.filterwarnings("ignore:None of the network")
def test_a_block_whose_modules_are_called_one_by_one_is_said_to_be():
    found = find_layers(torch.fx.symbolic_trace(nn.Sequential(blocks(2))), (3, 8, 8))
    assert {one.reason for one in found.left_out} == {"the network calls modules inside it, and not the block itself"}
    assert names(found) == ["0.0.0.conv", "0.0.1", "0.1.0.conv", "0.1.1"]


def test_a_network_that_yields_its_maps_one_by_one_is_gone_through():
    class Stages(nn.Module):
        def __init__(self):
            super().__init__()
            self.stages = blocks(3)

        def forward(self, maps):
            for stage in self.stages:
                maps = stage(maps)
                yield maps

    assert names(find_layers(Stages(), (3, 8, 8))) == ["stages.0", "stages.1", "stages.2"]


def test_a_module_that_is_never_called_is_said_to_be():
    with pytest.raises(ValueError, match=r"'0.0.never' is a module that the network never calls"):
        find_layers(blocks(2), (3, 8, 8), "0.0.never")


@pytest.mark.parametrize(
    ("build", "module"),
    [
        (partial(torchvision.models.googlenet, weights=None, init_weights=False, aux_logits=True), "aux1"),
        (partial(timm.create_model, "vit_tiny_patch16_224", img_size=64, depth=3), "blocks.0.attn.attn_drop"),
    ],
)
def test_a_module_that_is_never_called_is_no_layer_and_is_said_to_be_none(build, module):
    model, size = build(), 64
    assert module not in names(find_layers(model, (3, size, size)))
    with pytest.raises(ValueError, match=f"'{module}' is a module that the network never calls"):
        find_layers(model, (3, size, size), module)


def test_the_pool_that_is_named_is_taken():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 2))
    parts = {layer.name: layer.part for layer in find_layers(model, (3, 9, 9), Layers(pool="3")).measured}
    assert parts == {"0": "early", "3": "pool", "4": "final"}
    with pytest.raises(OptionError, match="pool='0' is no module of the network that gives a vector"):
        find_layers(model, (3, 9, 9), Layers(pool="0"))


def test_the_networks_own_globs_stand_in_place_of_its_blocks(resnet):
    found = find_layers(resnet, (3, 64, 64), Layers(default=["layer1.*", "conv1"]))
    assert names(found) == ["conv1", "layer1.0", "layer1.1", "avgpool", "fc"]


@pytest.mark.parametrize(("option", "value", "spelled"), [("strides", 2, "--stride"), ("layouts", "nhwc", "--layout")])
def test_an_option_for_no_layer_is_told_by_its_name(resnet, option, value, spelled):
    with pytest.raises(
        OptionError, match=f"No layer matches {option}='layer9'; the nearest names are layer"
    ) as refusal:
        find_layers(resnet, (3, 64, 64), Layers(**{option: {"layer9": value}}))
    assert f"No layer matches {spelled} 'layer9'" in refusal.value.on_command_line()


def test_blocks_inside_a_block_that_gives_several_maps():
    found = find_layers(timm.create_model("coat_tiny", img_size=64, parallel_depth=2), (3, 64, 64))
    assert {layer.reason for layer in found.left_out if layer.name.startswith("parallel_blocks.0")} == {
        "its module gives several maps; name this one to have it measured"
    }
    assert len({layer.part for layer in found.measured if not layer.vector}) == 3  # parts are of what is measured


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_wrapped_and_compiled_models_have_the_names_of_the_model_inside(wrap):
    assert names(find_layers(wrap(blocks(2)), (3, 8, 8))) == ["0", "1"]


def _lraspp():
    return torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=5)


def _segformer():
    shape = {"hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4, "num_attention_heads": [1, 1, 2, 2]}
    config = transformers.SegformerConfig(**shape, decoder_hidden_size=8, num_labels=6)
    return transformers.SegformerForSemanticSegmentation(config)


class Depth(nn.Module):
    """A depth of every pixel, from a grid of half the size; one more output is coarse."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ConvTranspose2d(8, 1, 2, stride=2)

    def forward(self, images):
        maps = self.down(images).relu()
        return {"out": self.up(maps), "aux": maps[:, :1]}


def _twice_as_large():
    body = nn.Sequential(*(nn.Sequential(Inside(8), nn.ReLU()) for _ in range(2)))
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), body, nn.Conv2d(8, 12, 3, padding=1), nn.PixelShuffle(2))


@pytest.mark.parametrize(
    ("build", "name", "channels", "stride"),
    [
        (_lraspp, ".output['out']", 5, 1),
        (_segformer, "decode_head.classifier", 6, 4),
        (Depth, "up", 1, 1),
        (_twice_as_large, "3", 3, Fraction(1, 2)),
    ],
)
def test_the_output_map_of_a_network_for_dense_outputs_is_the_final_layer(build, name, channels, stride):
    torch.manual_seed(0)
    found = find_layers(build(), (3, 64, 64)).measured
    final = [layer for layer in found if layer.part == "final"]
    assert [(layer.name, layer.channels, layer.stride) for layer in final] == [(name, channels, (stride, stride))]
    assert found[-1] is final[0] and not final[0].vector and len(found) > 1


def test_a_network_without_a_head_that_gives_its_last_map_has_no_final_layer():
    model = timm.create_model("resnet10t", num_classes=0, global_pool="")
    assert "final" not in {layer.part for layer in find_layers(model, (3, 64, 64)).measured}
