"""Layers: what is told of each that is measured, and why the others are left out."""

import pytest
import timm
import torchvision
from torch import nn

from equiscope.networks.layers import LARGEST_VECTOR, find_layers
from equiscope.networks.options import Layers


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


def test_parts_follow_the_whole_list_when_a_few_are_picked():
    model = blocks(6)
    whole = {layer.name: layer.part for layer in find_layers(model, (3, 8, 8)).measured}
    picked = find_layers(model, (3, 8, 8), ["4", "0.0.conv", "3.1"]).measured
    assert {layer.name: layer.part for layer in picked} == {"0.0.conv": "early", "3.1": "middle", "4": whole["4"]}


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

    assert names(find_layers(Many(), (3, 9, 9), "one")) == ["one['maps0']"]
    with pytest.raises(ValueError, match=r"two\['maps0'\]: its module gives several maps; name this one"):
        find_layers(Many(), (3, 9, 9), "two")
    assert names(find_layers(Many(), (3, 9, 9), "two['maps1']")) == ["two['maps1']"]


def test_a_tuple_gives_its_map_and_leaves_the_class_token_beside_it():
    found = find_layers(timm.create_model("pit_ti_224", depth=[1, 1, 1]), (3, 224, 224))
    maps = [layer for layer in found.measured if not layer.vector]
    assert [layer.name for layer in maps] == ["transformers.0[0]", "transformers.1[0]", "transformers.2[0]"]
    assert [layer.stride for layer in maps] == [(8, 8), (16, 16), (32, 32)]  # 27 positions, as it declares
    assert "gives a map beside this vector" in found.left_out[0].reason


def test_a_dict_that_the_network_returns():
    model = torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    found = find_layers(model, (3, 64, 64), "classifier")
    assert names(found) == ["classifier"] and found.measured[0].stride == (8, 8)
    (final,) = (layer for layer in find_layers(model, (3, 64, 64)).measured if layer.part == "final")
    assert (final.height, final.width) == (64, 64)  # of a dense output, a map


def test_a_very_long_vector_is_measured_where_it_is_named():
    model = nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Conv2d(3, LARGEST_VECTOR // 64 + 1, 1), nn.Flatten())
    found = find_layers(model, (3, 8, 8))
    assert "2" not in names(found) and "name it to have it measured" in found.left_out[0].reason
    assert find_layers(model, (3, 8, 8), "2").measured[0].channels == LARGEST_VECTOR + 64


@pytest.mark.parametrize("layers", ["1", ["1"], Layers("1"), Layers(["1"])])
def test_a_name_a_list_and_the_options_mean_the_same(layers):
    assert find_layers(blocks(2), (3, 8, 8), layers) == find_layers(blocks(2), (3, 8, 8), "1")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(3, 8), (3, 0, 8), (3.0, 8, 8), None])
def test_a_shape_that_is_none(shape):
    with pytest.raises(ValueError, match=r"is \(channels, height, width\), all at least 1; .* is not"):
        find_layers(blocks(1), shape)


def test_layers_that_cannot_be_measured_are_told_where_there_are_no_others():
    with pytest.raises(ValueError, match=r"None of the layers can be measured \(0: its first axis is not the image"):
        find_layers(nn.Sequential(nn.Flatten(0, 1)), (3, 8, 8), "0")
