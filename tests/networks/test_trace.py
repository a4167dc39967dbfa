"""What shapes alone tell: strides from how the grid grows, and what networks of one input size leave open."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from equiscope.networks.layers import find_layers
from equiscope.networks.options import Layers


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
    (layer,) = find_layers(nn.Sequential(module), (3, size, size), "0").measured
    assert layer.stride == stride


def test_inception_has_strides_that_ratios_do_not_tell():
    model = torchvision.models.inception_v3(weights=None, init_weights=False)
    layer = find_layers(model, (3, 299, 299), "Mixed_5b").measured[0]
    assert (layer.height, layer.stride) == (35, (8, 8))


class OneSize(nn.Module):
    """A network of 32 pixels, whose feature maps may be of any size all the same."""

    def __init__(self, kernel):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 2, kernel, stride=4), nn.Linear(2 * 8 * 8, 5)

    def forward(self, images):
        if images.shape[-1] != 32:
            raise RuntimeError("32 pixels only")
        return self.head(nn.functional.interpolate(self.conv(images), size=(8, 8)).flatten(1))


def test_a_network_of_one_size_takes_whole_ratios_and_leaves_the_others_open():
    assert find_layers(OneSize(4), (3, 32, 32), "conv").measured[0].stride == (4, 4)
    assert find_layers(OneSize(7), (3, 32, 32), "conv").measured[0].stride is None
    for stride in (4, (4, 4)):
        options = Layers("conv", strides={"con*": stride})
        assert find_layers(OneSize(7), (3, 32, 32), options).measured[0].stride == (4, 4)


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
        find_layers(timm.create_model(name), (3, size, size))
    assert f"fails on images of 3 x {size} x {size}" in str(raised.value) and "\n" not in str(raised.value)
    assert str(raised.value).endswith("give images of the channels and the size that it takes.")


def test_a_network_that_resizes_its_images_has_one_size_inside():
    found = find_layers(timm.create_model("crossvit_tiny_240", depth=([1, 1, 0],)), (3, 240, 240))
    grids = {
        (layer.layout.grid, layer.layout.before)
        for layer in found.measured
        if "blocks." in layer.name and not layer.vector
    }
    assert grids == {((20, 20), 1), ((14, 14), 1)}


def test_a_network_of_windows_grows_to_twice_its_size():
    found = find_layers(timm.create_model("halonet_h1"), (3, 256, 256))
    assert not found.left_out and [layer.stride for layer in found.measured if not layer.vector][1] == (4, 4)


class Untouched(nn.Module):
    """A module that no image passes by, blank or not."""

    def forward(self, maps):
        assert maps.is_meta
        return maps


def test_shapes_are_found_without_values_and_leave_the_network_alone():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.Dropout(), Untouched())
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    (*_, layer) = find_layers(model, (3, 33, 33)).measured
    assert (layer.name, layer.height, layer.stride) == ("3", 16, (2, 2)) and model.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_a_network_that_needs_values_is_run_on_a_blank_image():
    class Branches(nn.Module):
        def forward(self, maps):
            return maps[:, :, ::2, ::2] if float(maps.sum()) == 0 else maps

    (layer,) = find_layers(nn.Sequential(Branches()), (3, 16, 16), "0").measured
    assert (layer.height, layer.stride) == (8, (2, 2))
