"""Shapes are found within bounds: what a larger image costs is foreseen, and not tried where it is too much."""

import pytest
import torch
from torch import nn

from equiscope.networks import blank_passes
from equiscope.networks.layers import find_layers
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
    ("layer", "most"), [(Columns(), 64 + 128), (Table(), 2**30), (Lstm(), 64 + 640)], ids=["scan", "table", "LSTM"]
)
def test_what_would_take_too_much_is_not_tried(layer, most):
    RUN.clear()
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), layer, nn.Conv2d(4, 4, 4, stride=4))
    found = find_layers(model, (3, 128, 128), ["0", "1", "2"]).measured
    assert [layer.stride for layer in found] == [(2, 2), (2, 2), (8, 8)]
    assert 0 < max(RUN) <= most


def test_a_pass_that_takes_more_than_foreseen_is_stopped(monkeypatch):
    monkeypatch.setattr(blank_passes, "MOST_OPERATIONS", 1000)

    class Growing(nn.Module):
        def forward(self, maps):
            for _ in range(0 if maps.shape[-1] < 20 else 10**9):
                RUN.append(1)
                maps = maps + 1
            return maps

    RUN.clear()
    (layer,) = find_layers(nn.Sequential(Growing()), (3, 16, 16), "0").measured
    assert layer.stride == (1, 1) and len(RUN) < 10**4


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
