"""The whole measurement against the definitions as slow loops, on hard maps and on trained networks."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import equiscope as es
import oracle
from equiscope.functional import loops
from equiscope.images.data import open_images
from equiscope.networks.loading import load_network

FAMILIES = {
    "rotations": es.rotations(),
    "flips": es.flips(),
    "d4": es.d4(),
    "shifts": es.shifts([1, 4, (3, 0), (-2, 5)]),
    "identity": es.identity(),
}
OPTIONS = [
    {},
    {"similarity": "cosine"},
    {"strict": True},
    {"negative": "keep"},
    {"negative": "abs"},
    {"similarity": "cosine", "strict": True, "negative": "keep"},
    {"subcell": "exact"},
    {"subcell": "exact", "strict": True},
    {"subcell": "round", "fill": "wrap"},
    {"fill": "reflect"},
]
COMPARED = ["score", "chance", "corrected", "images", "undefined", "transformations"]
INTERVAL = ["low", "high", "corrected_low", "corrected_high"]


def features(model, layers, images):
    """Each layer's features in float64, read by hooks of the test's own."""
    kept = {}
    modules = dict(model.named_modules())
    handles = [
        modules[name].register_forward_hook(lambda m, x, y, name=name: kept.__setitem__(name, y.detach().clone()))
        for name in layers
    ]
    with torch.no_grad():
        model(images)
    for handle in handles:
        handle.remove()
    return {name: np.atleast_3d(maps.double().numpy()) for name, maps in kept.items()}


def expected_scores(model, images, layers, family, options, strides):
    """What the oracle says of each layer, from features of images that the oracle transformed."""
    fill = options.get("fill", "zero")
    names = [transformation.name for transformation in family.transformations]
    still = features(model, layers, images)
    turned = {}
    for name in names:
        pixels = torch.from_numpy(oracle.on_pixels(images.double().numpy(), name, fill)).to(images)
        turned[name] = features(model, layers, pixels)
    result = {}
    for layer in layers:
        vector = strides[layer] is None
        shape = (lambda maps: maps.reshape(len(maps), -1, 1, 1)) if vector else (lambda maps: maps)
        result[layer] = oracle.layer_scores(
            shape(still[layer]),
            {name: shape(turned[name][layer]) for name in names},
            strides[layer],
            family=family.name,
            vector=vector,
            **{key: value for key, value in options.items() if key != "fill"},
        )
    return result


def assert_agree(scores, expected, tolerance=1e-4, partners=True):
    """Every row and channel that the oracle has, the measurement has, with the same numbers."""
    for layer, oracle_scores in expected.items():
        of_layer = scores.scores[scores.scores["layer"] == layer]
        table = of_layer.set_index(["transformation", "measure", "scope"])
        for key, row in oracle_scores.rows.items():
            found = table.loc[key]
            columns = COMPARED + (INTERVAL if key[2] == "dataset" else [])
            given, wanted = ([float(r[column]) for column in columns] for r in (found, row))
            np.testing.assert_allclose(given, wanted, atol=tolerance, rtol=0, err_msg=f"{layer} {key} {columns}")
        channels = scores.channels[scores.channels["layer"] == layer]
        for (transformation, scope), columns in oracle_scores.channels.items():
            rows = channels[(channels["transformation"] == transformation) & (channels["scope"] == scope)]
            for column, values in columns.items():
                given = rows[column].astype("float64").fillna(-1 if column == "partner" else np.nan).to_numpy()
                if column == "partner":
                    if partners:
                        np.testing.assert_array_equal(given, values, err_msg=f"{layer} {transformation} {scope}")
                else:
                    message = f"{layer} {transformation} {scope} {column}"
                    np.testing.assert_allclose(given, values, atol=tolerance, rtol=0, err_msg=message)
        replicates = scores.replicates[scores.replicates["layer"] == layer].set_index(
            ["transformation", "measure", "scope"]
        )
        for key, values in oracle_scores.replicates.items():
            if key in replicates.index:
                given = replicates.loc[[key], "score"].to_numpy()
                np.testing.assert_allclose(given, values, atol=tolerance, rtol=0, err_msg=f"{layer} {key}")
            else:
                assert np.isnan(values).all()


def hard_images(images=23, size=20, seed=0):
    """Images whose channels hold every trap: noise, a mean 1000 deviations away, almost constant, constant, zero."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(images, 8, size, size, generator=generator)
    smooth = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)
    noise[:, 1] = smooth[:, 1] * 0.5 + 100  # mean far from the deviation
    noise[:, 2] = 1 + 4e-6 * noise[:, 2]  # nearly constant
    noise[:, 3] = 7.7  # constant
    noise[:, 4] = 0  # zero
    noise[::3, 5] = -2.5  # constant in some images
    noise[:, 6] = -smooth[:, 0] + 0.1 * noise[:, 6]  # the negative of another
    noise[:, 7] += torch.arange(images)[:, None, None]  # differs most between images
    noise[:, 0] = smooth[:, 0]
    return noise


class Hard(nn.Module):
    """Layers that hand their images on: at stride 1, at strides 2 and 3, on a grid of 2 x 2, and as a vector."""

    def __init__(self):
        super().__init__()
        self.same = nn.Identity()
        self.halved = nn.MaxPool2d(2, ceil_mode=True)
        self.third = nn.MaxPool2d(3, ceil_mode=True)
        self.tiny = nn.MaxPool2d(10)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, images):
        images = self.same(images)
        self.halved(images), self.third(images), self.tiny(images)
        return self.pool(images).flatten(1)


HARD_STRIDES = {"same": (1, 1), "halved": (2, 2), "third": (3, 3), "tiny": (10, 10), "pool": None}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("family", ["rotations", "shifts"])
def test_agrees_with_the_definitions_on_hard_maps(family, options):
    images = hard_images()
    layers = list(HARD_STRIDES)
    scores = es.measure(Hard(), images, transformations=FAMILIES[family], layers=layers, batch_size=9, **options)
    expected = expected_scores(Hard(), images, layers, FAMILIES[family], options, HARD_STRIDES)
    assert_agree(scores, expected, partners=options.get("similarity") != "cosine")


@pytest.mark.parametrize("options", [{}, {"similarity": "cosine", "strict": True}, {"negative": "abs"}], ids=str)
@pytest.mark.parametrize("family", ["rotations", "shifts"])
@pytest.mark.parametrize("way", ["of large layers", "of accelerators"])
def test_the_ways_of_large_layers_and_of_accelerators_agree_as_well(way, family, options, monkeypatch):
    if way == "of large layers":
        monkeypatch.setattr(loops, "FEW_CHANNELS", 0)
    else:
        monkeypatch.setattr(loops, "used_for", lambda values: False)
    test_agrees_with_the_definitions_on_hard_maps(family, options)


@pytest.mark.parametrize("family", ["flips", "d4", "identity"])
def test_agrees_on_the_other_families_and_few_images(family):
    images = hard_images(images=5, size=21)
    layers = list(HARD_STRIDES)
    scores = es.measure(Hard(), images, transformations=FAMILIES[family], layers=layers)
    assert_agree(scores, expected_scores(Hard(), images, layers, FAMILIES[family], {}, HARD_STRIDES))


def test_agrees_on_images_that_are_not_square():
    images = hard_images(size=24)[..., :17]
    families = [es.flips(), FAMILIES["shifts"]]
    layers = list(HARD_STRIDES)[:3]
    scores = es.measure(Hard(), images, transformations=families, layers=layers)
    for family in families:
        assert_agree(scores, expected_scores(Hard(), images, layers, family, {}, HARD_STRIDES))


@pytest.mark.parametrize(("family", "options"), [("rotations", {}), ("shifts", {"negative": "keep"})])
def test_agrees_on_a_trained_cifar_network(data, family, options):
    network = load_network("cifar-resnet20", weights=str(data / "weights" / "resnet20-cifar10.safetensors"))
    images = torch.cat(list(open_images(str(data / "cifar10"), network.preprocessing, limit=24)))
    strides = {"conv1": (1, 1), "layer1.2": (1, 1), "layer2.0": (2, 2), "layer3.2": (4, 4), "linear": None}
    scores = es.measure(network.model, images, transformations=FAMILIES[family], layers=list(strides), **options)
    expected = expected_scores(network.model, images, list(strides), FAMILIES[family], options, strides)
    assert_agree(scores, expected, partners=False)


def test_agrees_on_a_trained_imagenet_network():
    network = load_network("efficientnet-lite0")
    images = torch.cat(list(open_images("photographs", network.preprocessing, limit=6)))
    strides = {"blocks.2.1": (8, 8), "blocks.4.0": (16, 16), "blocks.6.0": (32, 32), "global_pool": None}
    for family in (es.rotations(), es.shifts([8, 5])):
        scores = es.measure(network.model, images, transformations=family, layers=list(strides))
        expected = expected_scores(network.model, images, list(strides), family, {}, strides)
        assert_agree(scores, expected, partners=False)


def test_batches_that_do_not_divide_change_nothing():
    model = nn.Sequential(nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(12, 6, 3), nn.Flatten())
    images, families = hard_images(), [es.rotations(), es.shifts([1, 2, (0, -3)])]
    one, *others = (
        es.measure(model, images, transformations=families, layers=["0", "1", "2"], batch_size=size)
        for size in (1000, 1, 3, 7, 50)
    )
    for other in others:
        for name in ("scores", "parts", "channels", "replicates"):
            pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), atol=2e-6, rtol=0)


def test_what_holds_the_images_does_not_matter():
    model, images = nn.Conv2d(8, 4, 3), hard_images()
    labelled = torch.utils.data.TensorDataset(images, torch.arange(len(images)))
    sources = [
        labelled,
        torch.utils.data.DataLoader(labelled, batch_size=5),
        [images[:4], images[4:5], images[5:]],
        ({"pixel_values": some, "labels": torch.zeros(len(some))} for some in images.split(6)),
    ]
    one = es.measure(model, images, transformations=es.flips(), layers="**")
    for source in sources:
        other = es.measure(model, source, transformations=es.flips(), layers="**")
        pd.testing.assert_frame_equal(one.scores, other.scores, atol=2e-6, rtol=0)


def test_a_forward_pass_in_bfloat16_is_recorded_and_all_else_stays_in_float32():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
    images = torch.nn.functional.avg_pool2d(torch.randn(24, 3, 16, 16), 3, 1, 1)
    options = {"transformations": [es.rotations(), es.identity()], "layers": ["0", "2"]}
    exact = es.measure(network, images, **options)
    lower = es.measure(network, images, **options, precision="bfloat16")
    assert (exact.manifest["options"]["precision"], lower.manifest["options"]["precision"]) == ("float32", "bfloat16")
    difference = (lower.scores["score"] - exact.scores["score"]).abs()
    assert 0 < difference.max() < 0.01  # bfloat16 keeps three digits of a feature
    of_identity = lower.scores[lower.scores["transformation"] == "identity"]
    assert (of_identity["score"] - 1).abs().max() < 1e-6
    with pytest.raises(ValueError, match="precision='half' is not known"):
        es.measure(network, images, **options, precision="half")


@pytest.mark.parametrize("channels", [725, 728])
@pytest.mark.parametrize("intervals", [True, False])
def test_bands_of_a_wide_layer_need_not_be_even(channels, intervals):
    torch.manual_seed(0)
    network = nn.Conv2d(3, channels, 3, padding=1)
    images = torch.randn(21, 3, 6, 6)
    options = {"transformations": es.identity(), "layers": "**", "intervals": intervals}
    scores = es.measure(nn.Sequential(network), images, **options).scores
    assert (scores["score"] - 1).abs().max() < 1e-6
    assert (scores["chance"] < 0.9).all()
