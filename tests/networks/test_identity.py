"""What a network makes of its modules and weights is known by its answer, however a machine rounds."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import equiscope as es
from equiscope.networks.identity import Answer, structure_digest
from equiscope.networks.weights import weights_digest

SHAPE = (3, 12, 12)


class Functional(nn.Module):
    """A network whose modules do not tell what it does."""

    def __init__(self, act=F.relu, kind=torch.float32, **settings):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head, self.act, self.settings = nn.Conv2d(3, 16, 3), nn.Linear(16, 5), act, settings
        self.to(kind)

    def forward(self, images):
        maps = F.pad(self.act(self.conv(images)), (1, 1, 1, 1), **self.settings)
        return {"logits": self.head(F.avg_pool2d(maps, 3).mean((2, 3))), "sizes": torch.tensor(maps.shape)}


@pytest.mark.parametrize(
    "other",
    [
        {"act": F.gelu},
        {"act": lambda maps: F.relu(maps) * 1.01},
        {"act": lambda maps: F.leaky_relu(maps, 0.01)},
        {"mode": "reflect"},
    ],
    ids=["another function", "a lambda", "a slope", "another padding"],
)
def test_networks_of_the_same_modules_and_weights_are_told_apart_by_what_they_do(other):
    one, other = Functional(), Functional(**other)
    assert weights_digest(one) == weights_digest(other) and structure_digest(one) == structure_digest(other)
    answer = Answer.of(one, SHAPE)
    assert answer.agrees(Answer.of(Functional(), SHAPE)) and not answer.agrees(Answer.of(other, SHAPE))


def test_rounding_makes_no_other_network():
    plain = Answer.of(Functional(), SHAPE)
    for kind in (torch.float64, torch.bfloat16):
        assert plain.agrees(Answer.of(Functional(kind=kind), SHAPE)), kind
    assert plain.agrees(Answer.of(Functional().to(memory_format=torch.channels_last), SHAPE))
    assert plain.sums != Answer.of(Functional(kind=torch.float64), SHAPE).sums


def test_a_network_that_is_random_after_its_layers_has_no_answer():
    class Random(Functional):
        def forward(self, images):
            return super().forward(images)["logits"] + torch.rand(1)

    repeating, random = (
        es.measure(one, torch.randn(4, *SHAPE), es.flips(), layers="conv", progress=False).manifest["answer"]
        for one in (Functional(), Random())
    )
    assert Answer.of(Functional(), SHAPE).agrees(Answer.recorded(repeating)) and random is None


def test_where_there_is_no_answer_nothing_is_told_apart_and_the_network_is_as_it_was():
    class Counting(Functional):
        def forward(self, images):
            self.calls = getattr(self, "calls", 0) + 1
            return self.head.weight * self.conv(images).mean() * torch.rand(1) * torch.nan

    network = Counting().train()
    random = torch.get_rng_state()
    assert Answer.of(network, SHAPE) is None
    assert network.training and not hasattr(network, "calls") and torch.equal(random, torch.get_rng_state())
    for silent in (nn.Conv2d(4, 4, 1), nn.Upsample(scale_factor=0.0), Functional(act=lambda maps: maps * torch.nan)):
        assert Answer.of(silent, SHAPE) is None
    assert Answer.of(Functional(), SHAPE).agrees(None)


def test_a_module_that_cannot_tell_its_settings_has_a_digest():
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    network[0].padding = 1  # which its repr does not expect, and its forward takes
    assert len(structure_digest(network)) == 64
