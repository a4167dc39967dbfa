"""The hub out of reach is told at once, and its library is left as it was."""

import socket

import pytest

from equiscope.system import hub
from equiscope.system.hub import within_reach

constants = pytest.importorskip("huggingface_hub.constants")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setattr(hub, "getproxies", dict)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def refused(*given):
    raise OSError(101, "Network is unreachable")


def test_out_of_reach_only_what_is_there_is_looked_for(monkeypatch):
    monkeypatch.setattr(socket, "create_connection", refused)
    with within_reach() as hindrance:
        assert hindrance == "huggingface.co cannot be reached: Network is unreachable" and constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE
    with pytest.raises(ZeroDivisionError), within_reach():
        raise ZeroDivisionError
    assert not constants.HF_HUB_OFFLINE


def test_what_only_its_library_can_tell_is_left_to_it(monkeypatch):
    monkeypatch.setattr(socket, "create_connection", refused)
    monkeypatch.setattr(hub, "getproxies", lambda: {"https": "http://proxy"})
    with within_reach() as hindrance:
        assert hindrance is None and not constants.HF_HUB_OFFLINE
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # the user's own wish
    with within_reach() as hindrance:
        assert hindrance is None
    assert constants.HF_HUB_OFFLINE
