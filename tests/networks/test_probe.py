"""What a small probe tells of a network: randomness, dependence on the batch, on earlier passes, hooks, types."""

import re
import warnings

import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.networks.layers import find_layers
from equiscope.networks.probe import probed
from features import images

OF_BATCH = {"track_running_stats": False}


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, maps):
        return self.function(self, maps)


def counted(module, maps):
    module.calls = getattr(module, "calls", 0) + 1
    return maps


def carried(module, maps):
    before = getattr(module, "last", torch.zeros(()))
    module.last = maps.mean()
    return maps + before


def initialised(module, maps):
    if not hasattr(module, "scale"):
        module.register_buffer("scale", torch.ones(()))
    if module.scale == 1:
        module.scale.copy_(maps.std() + 2)
    return maps / module.scale


DOUBTFUL = {
    "dropout left on": (lambda _, maps: nn.functional.dropout(maps, 0.2), "random in evaluation mode"),
    "noise": (lambda _, maps: maps + torch.randn_like(maps), "random in evaluation mode"),
    "statistics of the batch": (nn.BatchNorm2d(4, **OF_BATCH), "other images of its batch, from layer 1 on"),
    "the batch's largest value": (lambda _, maps: maps / maps.amax(), "other images of its batch, from layer 1 on"),
    "carried from pass to pass": (carried, r"changes itself in every pass \(1.last\)"),
    "set by the first batch": (initialised, r"when it runs \(1.scale\), and an image's features depend on"),
}


def network(second):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), second if isinstance(second, nn.Module) else Lambda(second), nn.ReLU())


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_makes_scores_doubtful_is_warned_of(name):
    second, told = DOUBTFUL[name]
    model = network(second)
    if name == "set by the first batch":
        model[1].register_buffer("scale", torch.ones(()))
    with pytest.warns(UserWarning, match=told) as warned:
        scores = es.measure(model, images(6, 16), es.identity())
    assert len(warned) == 1 and scores.manifest["remarks"][0] == str(warned[0].message)
    assert str(warned[0].message).count(".") <= 8 and "\n" not in str(warned[0].message)


@pytest.mark.parametrize(
    "second", [nn.BatchNorm2d(4), nn.Dropout(), nn.InstanceNorm2d(4), nn.GroupNorm(2, 4), nn.Identity(), counted]
)
def test_nothing_is_said_of_networks_that_keep_still(second):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert es.measure(network(second), images(6, 16), es.flips()).manifest["remarks"] == []
        es.measure(network(second), images(1, 16), es.flips())


def test_what_cannot_be_put_back_is_told_beforehand():
    model = network(lambda module, maps: maps + 0 * next(module.numbers))
    model[1].numbers = iter(range(10**6))
    with pytest.warns(UserWarning, match=r"holds an iterator \(1.numbers\), whose place cannot be put back"):
        es.measure(model, images(6, 16), es.flips())


@pytest.mark.parametrize(
    "use",
    [
        lambda model: find_layers(model, (3, 16, 16)),
        lambda model: es.metrics(model, images(24, 16), es.flips(), only="agreement", progress=False),
        lambda model: es.estimate_statistics(model, images(6, 16)),
    ],
    ids=["find_layers", "metrics", "estimate_statistics"],
)
def test_it_is_told_by_whatever_runs_the_network(use):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    model[0].numbers = iter(range(10**6))
    with pytest.warns(UserWarning, match=r"holds an iterator \(0.numbers\), whose place cannot be put back") as warned:
        use(model.eval())
    assert len(warned) == 1


@pytest.mark.filterwarnings("ignore:The order of the positions of 0 is supposed")  # which randomness hides
def test_metrics_of_networks_that_are_random_are_warned_of():
    model = nn.Sequential(network(lambda _, maps: nn.functional.dropout(maps, 0.2)), nn.Flatten(), nn.Linear(784, 2))
    with pytest.warns(UserWarning, match="random in evaluation mode"):
        es.metrics(model, images(24, 16), es.flips(), only="agreement", progress=False)


def test_hooks_that_only_look_are_not_called_and_others_are():
    seen, model = [], network(nn.Identity())
    found = find_layers(model, (3, 16, 16)).measured
    plain = es.measure(model, images(6, 16), es.flips()).scores
    handle = model[0].register_forward_hook(lambda module, given, output: seen.append(output.device.type))
    model.eval()
    with torch.no_grad():
        assert not probed(model, images(2, 16), found).hooks_matter
    assert es.measure(model, images(6, 16), es.flips()).scores.equals(plain) and seen == []
    handle.remove()
    model[0].register_forward_hook(lambda module, given, output: output * torch.arange(14.0))
    with torch.no_grad():
        assert probed(model, images(2, 16), found).hooks_matter
    assert not es.measure(model, images(6, 16), es.flips()).scores.equals(plain)


def test_the_networks_own_output_is_looked_at():
    class Logs(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, maps):
            return self.conv(maps).mean((1, 2, 3)).sub(100).log()

    with pytest.raises(ValueError, match="The network's own output is NaN for image 0") as raised:
        es.measure(Logs(), images(6, 16), es.flips(), layers="conv")
    assert "though the layers measured are finite" in str(raised.value)
    pair = Lambda(lambda module, maps: {"a": maps, "b": maps.sub(1e9).sqrt()})
    with pytest.raises(ValueError, match=re.escape("output at ['b'] is NaN")):
        es.measure(nn.Sequential(nn.Conv2d(3, 4, 3), pair), images(6, 16), es.flips(), layers="0")
