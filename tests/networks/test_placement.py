"""Where a network runs."""

import pytest
import torch

from equiscope.networks import placement
from equiscope.networks.placement import placed

NETWORK = torch.nn.Linear(1, 1)


def test_auto_is_where_the_network_is_without_an_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with placed(NETWORK, "auto") as place:
        assert place == torch.device("cpu")


def test_auto_is_the_accelerator_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    asked = []
    monkeypatch.setattr(placement, "available_device", lambda device: asked.append(device) or torch.device("cpu"))
    with placed(NETWORK, "auto"):
        assert asked == ["cuda"]


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="'cuda:99' is not there; this machine has cpu"), placed(NETWORK, "cuda:99"):
        pass
