"""Shapes are found within bounds: what a larger image costs is foreseen, and not tried where it is too much."""

import re
import warnings

import pytest
import torch
from torch import nn

from equiscope.networks import blank_passes
from equiscope.networks.layers import find_layers
from equiscope.networks.probe import probed
from features import images

RUN = []  # what passed by; of the module, so that nobody puts it back


class Columns(nn.Module):
    """A recurrent layer over the columns of a map, in plain Python."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(4, 4)

    def forward(self, maps):
        RUN.append(maps.shape[-1])
        rows = maps.permute(0, 2, 3, 1).flatten(0, 1)
        state, states = rows.new_zeros(len(rows), 4), []
        for column in rows.unbind(1):
            for _ in range(10):
                state = self.cell(column, state)
            states.append(state)
        return torch.stack(states, 1).unflatten(0, (len(maps), -1)).permute(0, 3, 1, 2)


class Table(nn.Module):
    """A layer with a table of positions by positions, on the CPU whatever the device."""

    def forward(self, maps):
        positions = torch.arange(maps[0, 0].numel())
        table = (positions[:, None] - positions).float()
        RUN.append(table.nbytes)
        return maps + table.mean().item()


class Lstm(nn.Module):
    """The same by PyTorch's own."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 4, batch_first=True)

    def forward(self, maps):
        RUN.append(maps.shape[-1])
        rows = maps.permute(0, 2, 3, 1).flatten(0, 1)
        return self.lstm(rows)[0].unflatten(0, (len(maps), -1)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("layer", "most", "told"),
    [(Columns(), 64 + 128, False), (Table(), 2**30, True), (Lstm(), 64 + 640, False)],
    ids=["scan", "table", "LSTM"],
)
def test_what_would_take_too_much_is_not_tried_and_told(layer, most, told):
    RUN.clear()
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), layer, nn.Conv2d(4, 4, 4, stride=4))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = find_layers(model, (3, 128, 128), ["0", "1", "2"]).measured
    assert [layer.stride for layer in found] == [(2, 2), (2, 2), (8, 8)]
    assert 0 < max(RUN) <= most
    assert ["Larger images take too much" in str(one.message) for one in warned] == [True] * told


def test_a_pass_that_takes_more_than_foreseen_is_stopped(monkeypatch):
    monkeypatch.setattr(blank_passes, "MOST_OPERATIONS", 1000)

    class Growing(nn.Module):
        def forward(self, maps):
            for _ in range(0 if maps.shape[-1] < 20 else 10**9):
                RUN.append(1)
                maps = maps + 1
            return maps

    RUN.clear()
    with pytest.warns(UserWarning, match="Larger images take too much time or memory to be tried"):
        (layer,) = find_layers(nn.Sequential(Growing()), (3, 16, 16), "0").measured
    assert layer.stride == (1, 1) and len(RUN) < 10**4


class Slow(nn.Module):
    """Tokens in the order of the image, each pass of which takes as long as a large network's."""

    def __init__(self, seconds):
        super().__init__()
        self.embed, self.norm = nn.Conv2d(3, 4, 4, stride=4), nn.LayerNorm(4)
        self.seconds = seconds

    def forward(self, pixels):
        RUN.append(tuple(pixels.shape))
        TIME[0] += self.seconds * pixels.numel() / (2 * 3 * 32 * 32)
        return self.norm(self.embed(pixels).flatten(2).mT)


TIME = [0.0]


@pytest.mark.parametrize(("seconds", "told"), [(1, False), (20, True), (100, True)])
def test_what_takes_longer_than_a_minute_is_not_tried_and_told(seconds, told, monkeypatch):
    for clock in ("monotonic", "process_time"):
        monkeypatch.setattr(f"equiscope.networks.allowance.{clock}", lambda: TIME[0])
    model = Slow(seconds)
    model.patch_size = 4
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        (layer,) = find_layers(model, (3, 32, 32), "norm").measured
    assert layer.layout.grid == (8, 8) and layer.stride == (4, 4)
    sentences = [str(one.message) for one in warned]
    if told:
        assert len(sentences) == 2 and "Larger images take too much time" in sentences[0]
        assert re.search("norm is supposed .* not confirmed: to change 9 patches .* too long", sentences[1])
    else:
        assert sentences == []
    RUN.clear()
    remarks = probed(model, images(2, 32), [layer]).remarks
    assert len(RUN) == {1: 4, 20: 3, 100: 2}[seconds]
    assert [f"takes {seconds} s, and so it was not tried whether" in one for one in remarks] == [True] * told


def test_what_other_programs_take_in_one_pass_stops_no_other(monkeypatch):
    for clock in ("monotonic", "process_time"):
        monkeypatch.setattr(f"equiscope.networks.allowance.{clock}", lambda: TIME[0])

    class OfOneSize(nn.Module):
        def forward(self, maps):
            TIME[0] += 4.0 if len(maps) == 3 and maps.is_meta else 0.05
            assert maps.shape[-1] == 56
            return maps

    model = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), OfOneSize())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (layer,) = find_layers(model, (3, 224, 224), "1").measured
    assert layer.layout.grid == (56, 56) and layer.stride == (4, 4)


def test_values_on_a_blank_image_leave_nothing_behind():
    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.zeros(()))

        def forward(self, maps):
            if self.scale.detach() == 0:
                self.scale.data += 1e6
            return maps * self.scale

    model = nn.Sequential(First())
    find_layers(model, (3, 16, 16))
    assert model[0].scale.item() == 0
    model.eval()(images(2, 16))
    assert model[0].scale.item() == 1e6
