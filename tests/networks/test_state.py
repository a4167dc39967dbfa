"""A network comes back as it was: modes, weights, attributes of all kinds, hooks, random state; also after an error."""

import collections
import copy
import types

import numpy as np
import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.networks.state import left_as_found
from features import images


class Adapted(nn.Linear):
    """A layer with low-rank weights beside its own, merged in evaluation as `loralib` does."""

    def __init__(self, size):
        super().__init__(size, size)
        self.down, self.up = nn.Parameter(torch.randn(2, size)), nn.Parameter(torch.randn(size, 2))
        self.merged = False

    def train(self, mode=True):
        super().train(mode)
        if mode == self.merged:
            self.weight.data += (-1 if mode else 1) * (self.up @ self.down)
            self.merged = not mode
        return self

    def forward(self, maps):
        maps = maps.movedim(1, -1)
        given = super().forward(maps) if self.merged else super().forward(maps) + maps @ self.down.T @ self.up.T
        return given.movedim(-1, 1)


class FirstBatch(nn.Module):
    """A layer whose scale is set by the first batch that it sees."""

    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))
        self.register_buffer("ready", torch.tensor(False))

    def forward(self, maps):
        if not self.ready:
            self.scale.data = 1 / (maps.std((0, 2, 3), keepdim=True)[0] + 1e-6)
            self.ready.fill_(True)
        return maps * self.scale


class Slotted:
    __slots__ = ("count",)

    def __init__(self):
        self.count = 0


class Remembering(nn.Module):
    """A layer that keeps all kinds of things between passes."""

    passes = 0
    of_class = {}

    def __init__(self):
        super().__init__()
        self.calls, self.last, self.array = 0, torch.zeros(2), np.zeros(2)
        self.listed, self.mapping, self.queue = [], {"inner": {"count": 0}}, collections.deque(maxlen=3)
        self.set, self.object, self.slotted = {1}, types.SimpleNamespace(count=0, seen=[]), Slotted()
        self.draws, self.torch_draws = np.random.default_rng(0), torch.Generator()
        self.frozen = nn.Parameter(torch.zeros(1))
        self.register_buffer("total", torch.zeros(()), persistent=False)

    def forward(self, maps):
        self.calls += 1
        type(self).passes += 1
        type(self).of_class["last"] = self.calls
        self.listed.append(maps.shape)
        self.mapping["inner"]["count"] += 1
        self.mapping["new"] = maps
        self.queue.append(self.calls)
        self.set.add(self.calls + 1)
        self.object.count += 1
        self.object.seen.append(1)
        self.slotted.count += 1
        self.array += 1
        self.frozen.requires_grad_(False)
        self.last = maps[0, 0, 0].detach() if self.calls > 1 else self.last.add_(1)
        self.hidden = "new"
        self.total = self.total + self.draws.random() + torch.rand((), generator=self.torch_draws)
        return maps

    def held(self):
        return copy.deepcopy(
            [
                self.calls, type(self).passes, type(self).of_class, self.listed, self.mapping, list(self.queue),
                self.set, vars(self.object), self.slotted.count, self.array.tolist(), self.last.tolist(),
                float(self.total), sorted(vars(self)), self.draws.bit_generator.state,
                self.torch_draws.get_state().tolist(), self.training, self.frozen.requires_grad,
            ]
        )  # fmt: skip


def state_of(model):
    return [
        {name: tensor.detach().clone() for name, tensor in model.state_dict().items()},
        [(module.training, len(module._forward_hooks)) for module in model.modules()],
        [module.held() for module in model.modules() if isinstance(module, Remembering)],
        [torch.get_rng_state(), torch.tensor(np.random.get_state()[1].tolist())],  # Python's is drawn from by beartype
    ]


def assert_as_it_was(model, before):
    now = state_of(model)
    assert now[0].keys() == before[0].keys() and now[1:3] == before[1:3]
    assert all(torch.equal(tensor, before[0][name]) for name, tensor in now[0].items())
    assert all(map(torch.equal, now[3], before[3]))


def network():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Adapted(4), FirstBatch(4), Remembering(), nn.Dropout(), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip
    model[1].eval()  # frozen, in a network that trains
    return model


def measured(model):
    es.measure(model, images(6, 16), es.flips())


def interrupted(model):
    class Stop:
        def advance(self, count):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        es.measure(model, images(6, 16), es.flips(), progress=Stop())


def interrupted_inside(model):
    class Stopping(nn.ReLU):
        most = 2

        def forward(self, maps):
            if len(maps) > self.most:
                raise KeyboardInterrupt
            return super().forward(maps)

    model[6].__class__ = Stopping
    for Stopping.most, use in (  # while layers are found, and while images are gone over
        (2, measured),
        (3, lambda model: es.metrics(model, images(6, 16), es.flips(), progress=False)),
    ):
        with pytest.raises(KeyboardInterrupt):
            use(model)
    model[6].__class__ = nn.ReLU


def failing(model):
    with pytest.raises(ValueError, match="NaN, infinity"):
        es.measure(model, images(6, 16) * torch.nan, es.flips())


def updated(model):
    from equiscope.integrations.torchmetrics import EquivarianceMetric

    EquivarianceMetric(es.flips()).update(model, images(6, 16))


@pytest.mark.filterwarnings("ignore:The network changes")
@pytest.mark.parametrize(
    "use",
    [
        measured,
        interrupted,
        interrupted_inside,
        failing,
        updated,
        lambda model: es.find_layers(model, (3, 16, 16)),
        lambda model: es.metrics(model, images(6, 16), es.flips(), progress=False),
        lambda model: es.estimate(model, images(4, 16), es.flips()),
        lambda model: es.scores_at(model, images(6, 16), 1, es.flips(), log=lambda *logged: None),
    ],
    ids=[
        "measure",
        "Ctrl-C",
        "Ctrl-C inside",
        "an error",
        "a metric",
        "find_layers",
        "metrics",
        "estimate",
        "scores_at",
    ],
)
def test_a_network_comes_back_as_it_was(use):
    model = network()
    before = state_of(model)
    use(model)
    assert_as_it_was(model, before)
    weight = model[2].weight
    model(images(2, 16)).sum().backward()  # which merged weights refuse
    assert weight is model[2].weight and weight.grad is not None


def test_what_a_pass_changes_is_named():
    model = network()
    with left_as_found(model) as before:
        model(images(2, 16))
        changed = {change.name: change.weights for change in before.changes()}
    assert changed["3.scale"] and changed["3.ready"] and changed["4.total"] and not changed["4.calls"]
    assert {"4.listed", "4.mapping['inner']['count']", "4.object.count", "4.passes"} <= changed.keys()


@pytest.mark.filterwarnings("ignore:The network changes")
def test_a_pending_backward_pass_is_not_disturbed():
    model = network()
    loss = model(images(2, 16)).square().sum()
    measured(model.eval())
    loss.backward()
    assert model[0].weight.grad is not None


def test_hooks_of_others_and_what_they_keep_are_as_before():
    model, seen = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), []
    model[0].register_forward_hook(lambda module, given, output: seen.append(output.device.type))
    hooks = [dict(module._forward_hooks) for module in model.modules()]
    with left_as_found(model):
        model(images(2, 16))
        model[1].register_forward_hook(lambda *given: None)
        assert seen == ["cpu"]
    assert seen == [] and [dict(module._forward_hooks) for module in model.modules()] == hooks


def test_hooks_of_all_modules_are_not_called_where_they_only_look():
    seen = []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(module))
    try:
        es.measure(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), images(6, 16), es.flips(), progress=False)
    finally:
        handle.remove()
    assert len(seen) <= 6  # in two passes, that see what the network answers and whether they matter
