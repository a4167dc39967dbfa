"""On an accelerator: every tensor where the features are, and nothing that makes the accelerator wait at a layer.

There is none where these tests run. Tensors without values stand for one: they know their device, refuse to be mixed
with tensors of another, and refuse to say what they hold, which is what an accelerator would have to be waited for.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import equiscope as es
from equiscope.measurement.layer_record import layer_records
from equiscope.measurement.recording import Recorder
from equiscope.networks.layers import find_layers


@pytest.fixture(scope="module")
def layers():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(32, 5)
    )
    return find_layers(network, (3, 12, 12), ["0", "3"]).measured


@pytest.mark.parametrize("similarity", ["pearson", "cosine"])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("negative", ["clip", "abs"])
def test_every_tensor_of_a_layer_is_where_its_features_are(layers, similarity, strict, negative, monkeypatch):
    made = torch.tensor

    def on_cpu(values, **options):
        assert "device" not in options, "a copy to an accelerator, which waits for it"
        return made(values, **options)

    monkeypatch.setattr(torch, "tensor", on_cpu)
    members = [*es.rotations().transformations, *es.shifts([1, 4]).transformations]
    place = torch.device("cuda:0")
    with FakeTensorMode():
        centre = dict.fromkeys(["rot90", "rot180", "rot270"], (0.25, -0.5))
        records = layer_records(
            layers, members, similarity=similarity, negative=negative, strict=strict, chance=True, groups=10,
            device=place, offsets=dict.fromkeys((layer.name for layer in layers), centre),
        )  # fmt: skip
        recorder = Recorder(records)
        for start in (0, 3):
            recorder.expect(3, members, first=True)
            for layer in layers:
                features = torch.empty(18, layer.channels, *([12, 12] if not layer.vector else []), device=place)
                recorder.receive(layer.name, features)
            assert {sizes.device for sizes in recorder._sizes.values()} == {place}
            recorder.next_images()
            assert recorder.images == start + 3
        for record in records.values():
            for memory in [*record.matched.values(), *record.mismatched.values()]:
                assert memory.sums.product.device == place
                assert {found.best.device for found in memory._held} == {place}
                assert memory.sums.count.device == torch.device("cpu")
