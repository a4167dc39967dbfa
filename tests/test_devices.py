"""On an accelerator: every tensor where the features are, and nothing that makes the accelerator wait at a layer.

There is none where these tests run. Tensors without values stand for one: they know their device, refuse to be mixed
with tensors of another, and refuse to say what they hold, which is what an accelerator would have to be waited for.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

import equiscope as es
from equiscope.functional.moments import Origin
from equiscope.functional.warped import RoundTrip
from equiscope.measurement.findings import moments_of
from equiscope.measurement.layer_moments import Scratch
from equiscope.measurement.plan import action
from equiscope.networks.layers import find_layers

PLACE = torch.device("cuda:0")


@pytest.fixture(scope="module")
def layers():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(32, 5)
    )
    return find_layers(network, (3, 12, 12), ["0", "3"]).measured


SCORINGS = {
    "default": es.Scoring(),
    "everything": es.Scoring(
        measures=("invariance", "equivariance", "linear", "strict_invariance"), scopes=("dataset", "image")
    ),
    "cosine": es.Scoring(similarity="cosine", negative="abs", scopes=("dataset", "image")),
}


@pytest.fixture
def real_geometry(monkeypatch):
    """Positions are counted, which fake tensors cannot be; they lie on the CPU."""
    for name in ("_kept", "window"):
        made = getattr(RoundTrip, name).func

        def real(trip, made=made):
            with unset_fake_temporarily():
                return made(trip)

        monkeypatch.setattr(RoundTrip, name, property(real))


@pytest.mark.usefixtures("real_geometry")
@pytest.mark.parametrize("scoring", SCORINGS.values(), ids=SCORINGS)
def test_every_tensor_of_a_layer_is_where_its_features_are(layers, scoring, monkeypatch):
    monkeypatch.setattr(torch, "tensor", lambda *given, **options: pytest.fail("a copy that is waited for"))
    members = [*es.rotations().transformations, *es.shifts([1, 4]).transformations]
    offsets = dict.fromkeys(["rot90", "rot180", "rot270"], (0.25, -0.5))
    with FakeTensorMode(allow_non_fake_inputs=True):
        for layer in layers:
            actions = [action(layer, one, scoring) for one in members]
            moments = moments_of(
                layer, actions, scoring, Scratch(), products=torch.float32, device=PLACE,
                offsets=None if layer.vector else offsets,
            )  # fmt: skip
            for side in moments.sides().values():  # found from the first batch, which is waited for
                side.origin = Origin(torch.zeros(layer.channels, device=PLACE))
            for group in (3, 4):
                size = (12, 12) if not layer.vector else (1, 1)
                maps = torch.empty(3 * (1 + len(members)), layer.channels, *size, device=PLACE)
                squares = moments.add(maps, [group, group + 10, group + 20], members, group == 3)
                assert squares.device == PLACE
            moments.join()
            assert {value.device for value in moments.tensors().values()} == {PLACE}
