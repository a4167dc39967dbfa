"""What a metric remembers: a state comes back from tensors, and a network is known by its content."""

import copy

import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.integrations.metric_memory import Measured, Seen, header_of, packed, unpacked
from equiscope.measurement.options import Scoring
from equiscope.measurement.plan import families_of, planned
from equiscope.networks.options import Layers

CPU = torch.device("cpu")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_a_state_comes_back_from_tensors_and_large_ones_are_not_copied():
    values = torch.arange(3.0)
    state = {"images": 3, "moments": {"tensor": {"a": values, "scale": 2.0**-50}, "b": {"tensor": torch.ones(0)}}}
    tensors = packed(state, CPU)
    assert tensors[1] is values and header_of(tensors)["images"] == 3
    found = unpacked([tensor.clone() for tensor in tensors])
    assert found["images"] == 3 and found["moments"]["tensor"]["scale"] == 2.0**-50
    assert torch.equal(found["moments"]["tensor"]["a"], values) and found["moments"]["b"]["tensor"].shape == (0,)
    assert header_of([]) == {}


def mirrored(network):
    """Kernels of the same sums, in place."""
    network[0].weight.data = network[0].weight.data.flip(-1)


def moved(network):
    network[1].running_mean += 0.5


def in_double(network):
    network.double()


def with_another_module(network):
    """Without weights of its own."""
    network.append(nn.ReLU())


@pytest.mark.parametrize("change", [mirrored, moved, in_double, with_another_module])
def test_a_network_is_still_the_same_while_its_values_are(network, change):
    seen = Seen.of(network)
    network[0].weight.data = network[0].weight.data.clone()
    assert seen.is_still(network) and not seen.is_still(copy.deepcopy(network))
    change(network)
    assert not seen.is_still(network)


def test_a_memory_is_of_one_network(network):
    plan = planned(network, (3, 8, 8), families_of(es.rotations()), Layers(), Scoring())
    measured = Measured("Sequential", "12ab", "56ef", None, (3, 8, 8), plan, {"rot90": "78"})
    header = measured.identity()
    assert measured.made(header) and not measured.made({})
    measured.check_same(header)
    with pytest.raises(ValueError, match="weights are not those that the images before were measured with"):
        measured.check_same(header | {"weights": "34cd"})
    with pytest.raises(ValueError, match="other modules than the one that the images before"):
        measured.check_same(header | {"structure": "90ab"})
    with pytest.raises(ValueError, match=r"The transformation rot90 is another one .* of the same name; reset"):
        measured.check_same(header | {"transformations": {"rot90": "79"}})
    with pytest.raises(ValueError, match=r"other layers .*: none in place of 7 \(Linear\); reset"):
        measured.check_same(header | {"layers": [*header["layers"], "7 (Linear)"]})
