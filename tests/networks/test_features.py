"""Features are read as they pass by, whatever becomes of them later, and the network is left as it was found."""

import copy
import random

import numpy as np
import pytest
import torch
import torchvision
import transformers
from torch import nn

from equiscope.networks.features import called, reading, unwrapped
from equiscope.networks.layers import find_layers
from equiscope.networks.state import left_as_found
from features import features, images


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
    batch = images(4, 32)
    layers = find_layers(model, (3, 32, 32), ["layer1.0.bn2", "layer2.0.bn2", "layer2.1.bn2"]).measured
    kept = {}
    found = features(model, layers, batch)
    with torch.no_grad():
        model.eval().layer1[0].bn2.register_forward_hook(lambda *taken: kept.__setitem__("map", taken[2]))
        model(batch)
    expected = features(safe, layers, batch)
    assert found.keys() == expected.keys() and len(found) == 3
    assert all(torch.allclose(found[name], expected[name], atol=1e-5) for name in found)
    assert not torch.equal(kept["map"], found["layer1.0.bn2"])  # a reference would have been wrong


def test_a_module_called_several_times_is_several_layers():
    model = torchvision.models.resnet18()
    found = find_layers(model, (3, 64, 64), "layer1.0.relu").measured
    assert [layer.name for layer in found] == ["layer1.0.relu", "layer1.0.relu#1"]
    first, second = features(model, found, images(2, 64)).values()
    assert first.shape == second.shape and not torch.equal(first, second)


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
    found = find_layers(model, shape).measured
    assert [layer.name for layer in found] == ["encoder.layers.0", "encoder.layers.1", "head:input", "head"]
    assert {layer.layout.grid for layer in found[:2]} == {(4, 4)}
    with pytest.raises(ValueError, match="'encoder.layers.0.self_attn.out_proj' is a module that the network never"):
        find_layers(model, shape, "encoder.layers.0.self_attn.out_proj")
    assert features(model, found, images(4, 32)).keys() == {layer.name for layer in found}


def test_a_model_output_and_keyword_inputs():
    config = transformers.SwinConfig(image_size=64, window_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4])
    model = transformers.AutoModelForImageClassification.from_config(config)
    found = find_layers(model, (3, 64, 64)).measured
    blocks = [f"swin.encoder.layers.{stage}.blocks.{block}[0]" for stage in range(2) for block in range(2)]
    # A stage gives two maps, and so gives way to its blocks.
    assert [layer.name for layer in found] == [*blocks, "classifier:input", "classifier"]
    read = features(model, found, images(4, 64))
    assert {len(tensor) for tensor in read.values()} == {4} and read.keys() == {layer.name for layer in found}


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_the_module_inside_a_wrapper(wrap):
    model = nn.Sequential(nn.ReLU())
    assert unwrapped(wrap(model)) is model and unwrapped(model) is model


def state_of(model):
    modes = [module.training for module in model.modules()]
    draws = torch.get_rng_state(), np.random.get_state()[1]
    return [*model.state_dict().values(), *draws[:1]], [modes, draws[1].tolist(), list(model.state_dict())]


class Restless(nn.Module):
    """A module that changes its buffers and draws from every random state."""

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(1))

    def forward(self, maps):
        self.count += 1
        self.register_buffer("last", maps.mean())
        return maps + torch.rand(1) + np.random.rand() + random.random()


def test_modes_buffers_and_random_states_are_put_back():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(Restless()), nn.Dropout())
    model[2].eval()
    tensors, others = state_of(model)
    drawn = random.getstate()
    with left_as_found(model):
        assert not any(module.training for module in model.modules()) and not torch.is_grad_enabled()
        model(images(2, 8))
        assert model[2][0].count.item() == 1
    assert random.getstate() == drawn
    after, others_after = state_of(model)
    assert others_after == others and all(map(torch.equal, after, tensors)) and torch.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), left_as_found(model):
        model(images(2, 8))
        raise ZeroDivisionError
    assert all(map(torch.equal, state_of(model)[0], tensors))


def test_hooks_are_removed_also_after_an_error():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    sources = {layer.name: layer.source for layer in find_layers(model, (3, 8, 8)).measured}

    def receive(layer, tensor):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), reading(model, sources, receive):
        called(model, images(2, 8))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
