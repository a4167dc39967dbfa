import psutil
import pytest
import torch

from equiscope.system.memory import free_for_each, free_memory
from equiscope.system.processes import Processes


@pytest.mark.parametrize(("bound", "left"), [("3000\n", 2000), ("500", 0), ("max\n", None), (None, None)])
def test_a_containers_bound_counts_where_there_is_one(bound, left, tmp_path):
    files = tmp_path / "max", tmp_path / "current"
    if bound is not None:
        files[0].write_text(bound)
    files[1].write_text("1000")
    found = free_memory(torch.device("cpu"), ((str(files[0]), str(files[1])),))
    if left is not None:
        assert found == left
    else:
        assert 0 < found < psutil.virtual_memory().total


def test_several_processes_share_what_the_one_with_least_has(monkeypatch):
    monkeypatch.setattr("equiscope.system.memory.free_memory", lambda device: 900)
    monkeypatch.setattr(Processes, "gathered", lambda self, value: [value, 700])
    assert free_for_each(Processes(0, 2), torch.device("cpu")) == 350
    assert free_for_each(Processes(0, 2), torch.device("cuda")) == 700
    monkeypatch.setattr(Processes, "gathered", lambda self, value: [value, None])
    assert free_for_each(Processes(0, 2), torch.device("cpu")) is None


def test_of_other_devices_nothing_is_known():
    assert free_memory(torch.device("meta")) is None
