"""Layers: which there are, their order, parts, strides and names, and what is said where there are none."""

import pytest
import torch
import torchvision
from torch import nn

import equiscope as es
from equiscope.networks.cifar_resnet import cifar_resnet


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


def test_blocks_are_the_children_of_sequentials_that_are_not_leaves():
    found = es.find_layers(torchvision.models.resnet18(), (3, 64, 64))
    assert names(found) == [f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)] + ["avgpool", "fc"]
    assert [layer.part for layer in found.measured] == ["early"] * 3 + ["middle"] * 3 + ["late"] * 2 + ["pool", "final"]
    assert [layer.stride for layer in found.measured][::2] == [(4, 4), (8, 8), (16, 16), (32, 32), None]
    assert [layer.channels for layer in found.measured][-2:] == [512, 1000]


@pytest.mark.parametrize(("count", "parts"), [(3, [1, 1, 1]), (4, [2, 1, 1]), (5, [2, 2, 1]), (7, [3, 2, 2])])
def test_maps_are_divided_evenly_and_the_earlier_parts_take_the_remainder(count, parts):
    found = es.find_layers(blocks(count), (3, 8, 8))
    assert [[layer.part for layer in found.measured].count(part) for part in ("early", "middle", "late")] == parts


def test_parts_follow_the_whole_list_when_a_few_are_picked():
    model = blocks(6)
    whole = {layer.name: layer.part for layer in es.find_layers(model, (3, 8, 8)).measured}
    picked = es.find_layers(model, (3, 8, 8), ["4", "0.0.conv", "3.1"]).measured
    assert {layer.name: layer.part for layer in picked} == {"0.0.conv": "early", "3.1": "middle", "4": whole["4"]}


def test_functional_pooling_is_the_input_of_the_classifier():
    found = es.find_layers(cifar_resnet(20), (3, 32, 32))
    assert names(found)[-2:] == ["linear:input", "linear"]
    assert [layer.part for layer in found.measured][-2:] == ["pool", "final"]


def test_without_blocks_all_leaves_that_yield_a_map():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    assert names(es.find_layers(model, (3, 9, 9))) == ["0", "1", "2", "4"]


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
def test_a_star_stops_at_a_dot_and_a_module_means_all_of_its_calls(pattern, matched):
    assert names(es.find_layers(torchvision.models.resnet18(), (3, 64, 64), pattern)) == matched


@pytest.mark.parametrize(
    ("module", "size", "stride"),
    [
        (nn.Conv2d(3, 4, 3, padding=1), 33, (1, 1)),
        (nn.Conv2d(3, 4, 7, stride=2, padding=3), 225, (2, 2)),
        (nn.Conv2d(3, 4, 16, stride=16), 224, (16, 16)),
        (nn.Conv2d(3, 4, 3, stride=(2, 3)), 50, (2, 3)),
        (nn.MaxPool2d(10), 20, (10, 10)),
        (nn.Conv2d(3, 4, 14, stride=14), 224, (14, 14)),
        (nn.Upsample(scale_factor=1, mode="nearest"), 24, (1, 1)),
    ],
)
def test_strides_come_from_how_the_grid_grows(module, size, stride):
    (layer,) = es.find_layers(nn.Sequential(module), (3, size, size), "0").measured
    assert layer.stride == stride


def test_inception_and_the_seven_layer_network_have_strides_that_ratios_do_not_tell():
    model = torchvision.models.inception_v3(weights=None, init_weights=False)
    layer = es.find_layers(model, (3, 299, 299), "Mixed_5b").measured[0]
    assert (layer.height, layer.stride) == (35, (8, 8))


def test_a_network_of_one_size_takes_whole_ratios_and_asks_for_the_others():
    class OneSize(nn.Module):
        def __init__(self, kernel):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 2, kernel, stride=4), nn.Linear(2 * 8 * 8, 5)

        def forward(self, images):
            if images.shape[-1] != 32:
                raise RuntimeError("32 pixels only")
            maps = self.conv(images)
            return self.head(nn.functional.interpolate(maps, size=(8, 8)).flatten(1))

    images = torch.randn(6, 3, 32, 32)
    whole, broken = OneSize(4), OneSize(7)
    assert es.find_layers(whole, (3, 32, 32), "conv").measured[0].stride == (4, 4)
    es.measure(broken, images, transformations=es.rotations(), layers="conv")
    with pytest.raises(ValueError, match="stride of layer conv .* needs it; give it with strides="):
        es.measure(broken, images, transformations=es.shifts([1]), layers="conv")
    scores = es.measure(broken, images, transformations=es.shifts([1]), layers="conv", strides={"con*": 4})
    assert scores.layers["stride_y"].item() == 4
    assert es.measure(broken, images, transformations=es.rotations(), layers="conv").layers["stride_y"].isna().all()


def test_tuples_and_dicts_give_their_one_map_and_several_are_named():
    class Many(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.one, self.two = nn.Conv2d(3, 4, 3), Packed(1), Packed(2)

        def forward(self, images):
            maps = self.conv(images)
            return self.two(self.one(maps)["maps0"])["maps1"].mean((-2, -1))

    class Packed(nn.Module):
        def __init__(self, count):
            super().__init__()
            self.count = count

        def forward(self, maps):
            return {f"maps{index}": maps + index for index in range(self.count)} | {"loss": None}

    assert names(es.find_layers(Many(), (3, 9, 9), "one")) == ["one['maps0']"]
    with pytest.raises(ValueError, match=r"two gives several maps; name this one"):
        es.find_layers(Many(), (3, 9, 9), "two")
    assert names(es.find_layers(Many(), (3, 9, 9), "two['maps1']")) == ["two['maps1']"]


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        ("layer5.*", "nearest names are"),
        ("layer1.0.con1", "layer1.0.conv1"),
        (["fc", "nothing"], "No layer matches 'nothing'"),
    ],
)
def test_a_pattern_that_matches_nothing_names_the_nearest(patterns, words):
    with pytest.raises(ValueError, match=words):
        es.find_layers(torchvision.models.resnet18(), (3, 64, 64), patterns)


def test_a_module_that_is_never_called_is_said_to_be():
    with pytest.raises(ValueError, match=r"'0.0.never' is a module that the network never calls"):
        es.find_layers(blocks(2), (3, 8, 8), "0.0.never")


def test_wrapped_and_compiled_models_have_the_names_of_the_model_inside():
    model = blocks(2)
    assert names(es.find_layers(nn.DataParallel(model), (3, 8, 8))) == ["0", "1"]
    compiled = torch.compile(model)
    assert names(es.find_layers(compiled, (3, 8, 8))) == ["0", "1"]
    images = torch.randn(5, 3, 8, 8)
    scores = es.measure(compiled, images, transformations=es.flips()).scores
    assert scores["score"].equals(es.measure(model, images, transformations=es.flips()).scores["score"])
