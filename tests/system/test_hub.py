"""The hub out of reach is told at once, and its library is left as it was."""

import socket
from types import SimpleNamespace

import pytest
from huggingface_hub import errors

from equiscope.images.preprocessing import Preprocessing
from equiscope.images.sources import open_images
from equiscope.networks.loading import load_network
from equiscope.networks.weights import fetching
from equiscope.system import hub
from equiscope.system.hub import refusal, within_reach

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


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("GatedRepoError", 401, "access to it is restricted: ask for it on its page of the hub, then log in"),
        ("RepositoryNotFoundError", 401, "the hub has none of that name, or it is private: check the name"),
        ("RemoteEntryNotFoundError", 404, "the hub has no such file of it"),
        ("HfHubHTTPError", 503, r"the hub answered 503 \(Service Unavailable\): try later"),
    ],
)
def test_a_refusal_of_the_hub_is_told_and_not_its_number_alone(monkeypatch, kind, status, words):
    response = SimpleNamespace(headers={}, request=None, status_code=status)
    error = getattr(errors, kind)(f"{status} Client Error. (Request ID: 1)\n\nCannot access.", response=response)
    wrapped = OSError("There was a specific connection error")
    wrapped.__cause__ = error

    def refuse(*given, **options):
        raise wrapped

    with pytest.raises(ValueError, match=rf"the weights of x could not be fetched \({words}"), fetching("x"):
        refuse()
    monkeypatch.setattr(hub, "_hindrance", lambda address: None)
    for library, name in (("datasets", "load_dataset_builder"), ("transformers", "AutoConfig.from_pretrained")):
        pytest.importorskip(library)
        monkeypatch.setattr(f"{library}.{name}", refuse)
    with pytest.raises(ValueError, match=rf"the data set 'o/n' could not be loaded \({words}"):
        open_images("o/n", Preprocessing((4, 4), (0.0,), (1.0,)))
    with pytest.raises(ValueError, match=rf"no configuration of 'o/n' within reach \({words}"):
        load_network("transformers:o/n")
    assert refusal(OSError("disk")) is None
