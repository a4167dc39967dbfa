"""Other people's networks measured: what goes wrong with real architectures goes right here."""

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
from features import images

QUARTER = es.rotations().transformations[0]
measure = partial(es.measure, scoring=es.Scoring(measures=["invariance", "equivariance"], intervals=False))


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_outputs_that_are_changed_in_place_later():
    model, batch = torchvision.models.resnet18(weights=None), images(4, 32)
    safe = copy.deepcopy(model)
    for module in safe.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    for block in safe.layer1:
        block.bn2 = nn.Sequential(block.bn2)
    names = ["layer1.0.bn2", "layer1.1.bn2"]
    found, expected = (measure(one, batch, QUARTER, layers=names).table()["equivariance"] for one in (model, safe))
    assert np.allclose(found, expected, atol=1e-6, rtol=0)


def test_a_model_output_and_keyword_inputs():
    config = transformers.SwinConfig(image_size=64, window_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4])
    model = transformers.AutoModelForImageClassification.from_config(config)
    table = measure(model, images(4, 64), [QUARTER, es.shift(4, 4)]).table()
    assert len(table["layer"].unique()) == 6 and table["equivariance"].notna().all()


@pytest.mark.parametrize("wrap", [nn.DataParallel, partial(torch.compile, backend="eager")])
def test_wrapped_models_have_the_names_and_scores_of_the_model_inside(wrap):
    model, batch = torchvision.models.resnet18(weights=None).eval(), images(4, 32)
    wrapped = wrap(model)
    wrapped(batch)  # a hook that is added after a compiled model's first call never fires
    found = measure(wrapped, batch, QUARTER)
    assert found.scores["score"].equals(measure(model, batch, QUARTER).scores["score"])
    assert list(found.layers["layer"])[:2] == ["layer1.0", "layer1.1"]


def test_a_model_in_training_mode_is_measured_in_evaluation_mode_and_given_back():
    model = timm.create_model("resnet18")
    assert model.training
    model.layer2.eval()
    state, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    random = torch.get_rng_state()
    found = measure(model, images(4, 32), QUARTER).scores
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert found.equals(measure(model.eval(), images(4, 32), QUARTER).scores)


def test_branches_that_begin_at_zero_are_constant_and_no_error():
    model = timm.create_model("resnet18")
    scores = measure(model, images(4, 64), [QUARTER, es.shift(4, 4)], layers=["layer1.*", "layer*.*.bn2"])
    dead = scores.layers.set_index("layer")["dead"]
    assert dead["layer1.0.bn2"] == 64 and dead["layer1.0"] == 0
    of_branch = scores.scores[scores.scores["layer"] == "layer1.0.bn2"]
    assert of_branch["score"].isna().all() and (of_branch["undefined"] > 0).all()
    assert scores.table().set_index("layer").loc["layer1.0", "equivariance"].notna().all()


@pytest.mark.parametrize("channels", [1, 4])
def test_networks_of_other_than_three_channels(channels):
    model = timm.create_model("resnet18", in_chans=channels)
    scores = measure(model, images(4, 32, channels), QUARTER)
    assert scores.manifest["image_shape"] == [channels, 32, 32] and scores.table()["equivariance"].notna().any()
    with pytest.raises(ValueError, match="fails on images of 3 x 32 x 32.*give images of the channels"):
        measure(model, images(4, 32), QUARTER)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_measured_in_float32(dtype):
    model = torchvision.models.squeezenet1_1(weights=None)
    full = measure(model, images(4, 64), [es.identity(), QUARTER]).table()
    half = measure(model.to(dtype), images(4, 64), [es.identity(), QUARTER]).table()
    assert (half["equivariance"] - full["equivariance"]).abs().max() < 0.1
    assert np.allclose(half[half["transformation"] == "identity"]["invariance"].dropna(), 1, atol=1e-6)


def test_a_model_without_parameters():
    model = nn.Sequential(nn.AvgPool2d(2), nn.ReLU())
    table = measure(model, images(4, 16), QUARTER).table()
    assert list(table["layer"]) == ["0", "1"] and np.allclose(table["invariance"], 1, atol=1e-5)


def test_a_stride_that_shapes_leave_open_is_asked_for_where_a_shift_needs_it():
    class OneSize(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 2, 7, stride=4), nn.Linear(2 * 8 * 8, 5)

        def forward(self, pixels):
            if pixels.shape[-1] != 32:
                raise RuntimeError("32 pixels only")
            return self.head(nn.functional.interpolate(self.conv(pixels), size=(8, 8)).flatten(1))

    model, batch = OneSize(), images(6, 32)
    assert measure(model, batch, es.rotations(), layers="conv").layers["stride_y"].isna().all()
    with pytest.raises(ValueError, match="stride of layer conv .* needs it; give it with strides="):
        measure(model, batch, es.shifts([1]), layers="conv")
    scores = measure(model, batch, es.shifts([1]), layers=es.Layers("conv", strides={"con*": 4}))
    assert scores.layers["stride_y"].item() == 4
