"""The metrics of other tools on networks whose answer is known."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.measurement.metrics import PAIRS
from equiscope.networks import state
from equiscope.results.columns import METRIC_COLUMNS, METRICS


def images(count=24, size=16, margin=0):
    found = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    return nn.functional.pad(found[..., margin : size - margin, margin : size - margin], [margin] * 4)


def network(rectified=True):
    torch.manual_seed(0)
    maps = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, padding_mode="circular"), nn.ReLU() if rectified else nn.Identity()
    )
    return nn.Sequential(maps, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))


def values(table):
    return table.set_index(["metric", "transformation"])["value"]


def test_the_table_has_a_row_for_each_metric_transformation_and_layer():
    model = network()
    model.train()
    table = es.metrics(model, images(), "rot90,flips", larger=images(size=18))
    assert tuple(table.columns) == METRIC_COLUMNS and tuple(dict.fromkeys(table["metric"])) == METRICS
    rows = {metric: set(its["transformation"]) for metric, its in table.groupby("metric")}
    moved = {"rot90", "hflip", "vflip"}
    assert rows["agreement"] == moved | {"rolls", "crops"} and rows["divergence"] == moved
    assert rows["lie_derivative"] == {"x", "y", "rotation", "scale"} and rows["variance_ratio"] == {"rot90", "flips"}
    layers = table[table["metric"] == "variance_ratio"].groupby("transformation")["layer"].apply(list)
    assert all(its == ["0.0", "0.1", "1", "3"] for its in layers) or len(set(map(tuple, layers))) == 1
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    assert (table["images"] == 24).all() and model.training


def test_a_network_that_does_not_mind_shifts_has_no_error_under_them():
    # With a margin of black, as far as the network sees, a shift moves nothing out of the image; of 17 pixels each has
    # its place exactly, in float32.
    given = {"images": images(size=17, margin=3), "transformations": "shifts:1,-2", "only": "agreement,lie_derivative"}
    table = values(es.metrics(network(rectified=False), **given))
    assert set(table["agreement"]) == {1.0}
    assert table["lie_derivative", "x"] < 1e-6 and table["lie_derivative", "y"] < 1e-6
    assert table["lie_derivative", "scale"] > 1e-4  # which it does mind
    # After a rectifier, differences to the next pixel do not add up to 0: the error is that of the definition.
    rectified = values(es.metrics(network(), **given))
    assert set(rectified["agreement"]) == {1.0} and rectified["lie_derivative", "x"] > 1e-4


class Ramp(nn.Module):
    """The mean over the image's right half less that over its left half, of class 0; class 1 is always 0."""

    def forward(self, images):
        half = images.shape[-1] // 2
        first = images[..., half:].mean((1, 2, 3)) - images[..., :half].mean((1, 2, 3))
        return torch.stack([first, torch.zeros_like(first)], 1)


def test_the_lie_derivative_is_the_known_one():
    def brightness(x):  # of columns, in 0..1
        return x**2

    x = torch.linspace(0, 1, 17, dtype=torch.float64)
    given = brightness(x).expand(1, 3, 17, 17)
    to_next = torch.cat([x[1:] ** 2 - x[:-1] ** 2, x[-2:-1] ** 2 - x[-1:] ** 2]) * 16 / 2
    slope = to_next[8:].mean() - to_next[:8].mean()
    p = torch.sigmoid(x[8:].square().mean() - x[:8].square().mean())
    model = nn.Sequential(Ramp()).double()
    found = values(es.metrics(model, given, only="lie_derivative", layers="0"))
    assert found["lie_derivative", "x"] == pytest.approx(float(p * (1 - p) * slope.abs()), rel=1e-5)
    assert found["lie_derivative", "y"] == 0


def test_agreement_and_divergence_of_a_network_that_turns_with_its_input():
    class Corner(nn.Module):
        def forward(self, images):
            return images[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]]  # which corner is brightest

    given = images(40, 8)
    table = values(es.metrics(nn.Sequential(Corner()), given, "rot90,rot180", only=["agreement", "divergence"]))
    outputs = given[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]].log_softmax(1)
    turned = outputs[:, [1, 3, 0, 2]]
    assert table["agreement", "rot90"] == table["agreement", "rot180"] == 0
    assert table["divergence", "rot90"] == pytest.approx(
        float((outputs.exp() * (outputs - turned)).sum(1).mean()), rel=1e-5
    )


def test_what_load_network_returns_is_measured_at_its_layers_and_comes_back():
    loaded = es.load_network("cifar-resnet20", weights="random")
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    table = es.metrics(loaded, images(4, 32), "hflip", only="variance_ratio,divergence")
    found = es.find_layers(loaded.model, (3, 32, 32), loaded.with_layers(es.Layers())).measured
    layers = [layer.name for layer in found]
    assert list(table.loc[table["metric"] == "variance_ratio", "layer"]) == layers
    plain = es.metrics(loaded.model, images(4, 32), "hflip", only="divergence")
    assert not np.allclose(plain["value"], table["value"][table["metric"] == "divergence"])  # statistics not estimated
    assert all(torch.equal(value, before[name]) for name, value in loaded.model.state_dict().items())


class Counted(nn.Module):
    """Counts its passes, and would grow by each."""

    def __init__(self):
        super().__init__()
        self.passes = 0

    def forward(self, images):
        self.passes += 1
        return images


def test_a_network_comes_back_as_it_was_after_all_passes_and_is_not_copied_for_each(monkeypatch):
    copies = []

    class Snapshot(state.Snapshot):
        def __init__(self, model):
            copies.append(model)
            super().__init__(model)

    monkeypatch.setattr(state, "Snapshot", Snapshot)
    model, counts = nn.Sequential(Counted(), *network()), []
    for size in (2, 30):
        copies.clear()
        es.metrics(model, images(30), "rot90", batch_size=size, larger=images(30, 20))
        counts.append(len(copies))
    assert model[0].passes == 0 and counts[0] == counts[1]


def test_the_table_is_the_same_however_images_come():
    given, larger = images(21), images(21, 20)
    one, other = (
        es.metrics(network(), given, "rot90", larger=larger, batch_size=size, seed=3) for size in (64, 5)
    )  # fmt: skip
    pd.testing.assert_frame_equal(one, other, rtol=1e-4)
    seeded = es.metrics(network(), given, "rot90", larger=larger, only="agreement", seed=4)
    assert not np.allclose(values(seeded)["agreement", "crops"], values(one)["agreement", "crops"]) or PAIRS == 0


def test_few_images_have_no_interval():
    table = es.metrics(network(), images(19), "rot90", only="divergence,variance_ratio")
    assert table[["low", "high"]].isna().all().all()


class Untold(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()


class Opaque(nn.Module):
    def forward(self, images):
        return Untold.apply(images)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"only": "variance"}, "only='variance' is not known; it is one of agreement"),
        ({"larger": images(size=16)}, "larger=images of 16 x 16 leave no room for crops of 16 x 16; give .* 18 x 18"),
        ({"model": nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())}, "no final vector or map of classes"),
        ({"model": nn.Sequential(Opaque(), *network())}, "cannot be differentiated in forward mode .* only='agreement"),
        ({"images": torch.randn(2, 4, 16, 16)}, "fails on images of"),
        ({"seed": -1}, "seed=-1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"images": torch.randn(2, 3, 16, 12)}, "rot90 needs square images"),
    ],
)
def test_what_cannot_be_measured_is_a_sentence(given, words):
    with pytest.raises(ValueError, match=words):
        es.metrics(**{"model": network(), "images": images(), "transformations": "rot90"} | given)


class Segments(nn.Module):
    """A class for every pixel, from a grid of half the size."""

    def __init__(self, classes=4):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 6, 2, stride=2), nn.ConvTranspose2d(6, classes, 2, stride=2)

    def forward(self, given):
        return {"out": self.up(self.down(given).relu())}


def test_of_an_output_map_agreement_is_that_of_its_valid_positions():
    torch.manual_seed(0)
    model = Segments()
    with torch.no_grad():
        plain = model(images())["out"]
        rotated = model(torch.rot90(images(), 1, (-2, -1)))["out"]
        shifted = model(torch.roll(images(), (2, 2), (-2, -1)))["out"]
    same = [
        torch.rot90(plain, 1, (-2, -1)).argmax(1) == rotated.argmax(1),
        (plain.roll((2, 2), (-2, -1)).argmax(1) == shifted.argmax(1))[:, 2:, 2:],
    ]
    table = es.metrics(model, images(), "rot90,shifts:2", larger=images(size=18))
    assert set(table["metric"]) == {"agreement", "divergence", "variance_ratio"}
    found = table[table["metric"] == "agreement"].set_index("transformation")["value"]
    assert found["rot90"] == pytest.approx(float(same[0].float().mean()), abs=1e-4) and found["rot90"] < 1
    assert found["shift(2,2)"] == pytest.approx(1) == float(same[1].float().mean())
    with pytest.raises(ValueError, match="lie_derivative' is of a final vector|lie_derivative is of a final vector"):
        es.metrics(model, images(), only="lie_derivative")
    with pytest.raises(ValueError, match="no final vector or map of classes"):
        es.metrics(Segments(classes=1), images(), only="agreement")
