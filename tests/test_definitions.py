"""Every number of a measurement beside the definitions in plain float64 (`oracle.py`), on hard and trained maps."""

import numpy as np
import pytest
import torch
from torch import nn

import equiscope as es
import oracle
from agreement import INTERVALS, KEYS, assert_agree, features, said_by_oracle
from equiscope.images.sources import open_images
from equiscope.networks.loading import load_network

ALL = ("invariance", "equivariance", "linear", "strict_invariance")
BOTH = ("dataset", "image")
TURNS = es.Family("turns", es.rotations().transformations[:2])
OFFSETS = [1, (-2, 3)]

# Options of the scores and of the shifts.
OPTIONS = [
    {},
    {"similarity": "cosine"},
    {"negative": "keep", "scopes": BOTH},
    {"negative": "abs", "scopes": BOTH, "measures": ALL},
    {"similarity": "cosine", "negative": "keep", "scopes": BOTH, "measures": (ALL[0], ALL[1], ALL[3])},
    {"similarity": "cosine", "negative": "abs", "measures": ALL[3], "scopes": "dataset"},
    {"measures": ("equivariance",), "scopes": "image", "intervals": False},
    {"subpixel": "exact", "measures": ALL, "scopes": BOTH},
    {"subpixel": "round", "fill": "wrap"},
    {"fill": "reflect", "scopes": "image"},
]


def hard_images(images=23, size=9, seed=0):
    """Images whose channels hold every trap: noise, a mean 1000 deviations away, almost constant, constant, zero."""
    noise = torch.randn(images, 8, size, size, generator=torch.Generator().manual_seed(seed))
    smooth = nn.functional.avg_pool2d(noise, 5, 1, 2)
    noise[:, 1] = smooth[:, 1] * 5 + 1000
    noise[:, 2] = 1 + 4e-6 * noise[:, 2]
    noise[:, 3] = 7.7
    noise[:, 4] = 0
    noise[::3, 5] = -2.5  # constant in some images
    noise[:, 6] = -smooth[:, 0] + 0.1 * noise[:, 6]  # the negative of another
    noise[:, 7] += torch.arange(images)[:, None, None]  # differs most between images
    noise[:, 0] = smooth[:, 0]
    return noise


class Hard(nn.Module):
    """Layers that hand their images on: at stride 1, at stride 3, on a grid of 2 x 2, and as a vector."""

    def __init__(self):
        super().__init__()
        self.same, self.third = nn.Identity(), nn.MaxPool2d(3, ceil_mode=True)
        self.tiny, self.pool = nn.MaxPool2d(4), nn.AdaptiveAvgPool2d(1)

    def forward(self, images):
        images = self.same(images)
        self.third(images), self.tiny(images)
        return self.pool(images).flatten(1)


HARD = {"same": (1, 1), "third": (3, 3), "tiny": (4, 4), "pool": None}
SMALL = {"0": (1, 1), "2": (2, 2), "3": None, "5": None}


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 6, 3, stride=2, padding=1), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(6, 4),
    )  # fmt: skip


def smooth_images(count, height=9, width=None, seed=1):
    noise = torch.randn(count, 3, height, width or height, generator=torch.Generator().manual_seed(seed))
    return nn.functional.avg_pool2d(noise, 3, 1, 1)


def measured(model, images, strides, families, options):
    return es.measure(model, images, families, layers=list(strides), scoring=es.Scoring(**options))


def of_shifts(options):
    return {name: options[name] for name in ("fill", "subpixel") if name in options}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_agrees_on_hard_maps(options):
    families = [TURNS, es.shifts(OFFSETS, **of_shifts(options))]
    scoring = {name: value for name, value in options.items() if name not in of_shifts(options)}
    scores = measured(Hard(), hard_images(), HARD, families, scoring)
    named = {name: (value,) if isinstance(value, str) and name in ("scopes", "measures") else value
             for name, value in options.items()}  # fmt: skip
    expected = said_by_oracle(Hard(), hard_images(), HARD, families, **named)
    assert_agree(scores, expected, partners=options.get("similarity") != "cosine")  # of which many are alike


@pytest.mark.parametrize("count", [1, 2, 7, 10, 15, 19, 20, 31])
def test_agrees_on_few_images_and_empty_groups(count):
    scores = measured(small_network(), smooth_images(count), SMALL, [es.flips()], {"scopes": BOTH})
    assert_agree(scores, said_by_oracle(small_network(), smooth_images(count), SMALL, [es.flips()], scopes=BOTH))


@pytest.mark.parametrize("family", [es.d4(), es.identity()], ids=lambda family: family.name)
def test_agrees_under_all_symmetries_and_on_how_they_compose(family):
    strides = {"0": (1, 1), "5": None}
    scores = measured(small_network(), smooth_images(22), strides, [family], {})
    assert_agree(scores, said_by_oracle(small_network(), smooth_images(22), strides, [family]))
    assert len(scores.laws) == (2 * 49 if family.name == "d4" else 2)


@pytest.mark.parametrize("measures", [None, ALL], ids=str)
def test_agrees_between_positions_and_on_the_ceiling(measures):
    """Rotations by any angle, of which some compose, scalings, parts of a pixel, a shear that moves all."""
    families = [
        es.Family("turns", (es.rotation(30), es.rotation(60), es.rotation(90), es.rotation(300))),
        es.scalings([2, 1.25, 0.5], fill="reflect"), es.shifts([0.5, (1, -1.5)]),
        es.Family("shear", (es.affine([[1, 0.25, 1], [0, 1, 0]]),)),
    ]  # fmt: skip
    options = {} if measures is None else {"measures": measures}
    for family in families if measures is None else families[:1]:
        fill = {"fill": family.transformations[0].fill}
        scores = measured(small_network(), smooth_images(22), SMALL, [family], options)
        assert_agree(scores, said_by_oracle(small_network(), smooth_images(22), SMALL, [family], **fill, **options))
        of_maps = scores.scores.query("layer == '0' and subpixel and measure != 'strict_invariance'")
        assert of_maps["ceiling"].between(0.1, 0.999).all() and not of_maps.empty
        if family.name == "turns" and measures:
            pairs = scores.laws[["first", "second", "product"]].apply(tuple, axis=1)
            assert {("rot30", "rot60", "rot90"), ("rot60", "rot300", "identity")} <= set(pairs)


def test_agrees_on_images_that_are_not_square():
    strides, images = {"0": (1, 1), "2": (2, 2)}, smooth_images(21, 13, 8)
    families = [es.flips(), es.shifts([(0, 3), (2, -2)])]
    scores = measured(small_network(), images, strides, families, {})
    assert_agree(scores, said_by_oracle(small_network(), images, strides, families))


@pytest.mark.filterwarnings("ignore:.*the edge of the search")
def test_agrees_about_the_layers_own_centres():
    """The oracle is told the offsets that were found."""
    images = smooth_images(34)
    options = {"measures": ALL, "scopes": BOTH}
    registered = options | {"alignment": "registered", "registration_images": 10}
    scores = measured(small_network(), images, SMALL, [TURNS], registered)
    rows = scores.scores.query("alignment == 'registered' and transformation != 'turns'").dropna(subset="offset_y")
    offsets = {
        layer: {name: tuple(of[["offset_y", "offset_x"]].iloc[0]) for name, of in of_layer.groupby("transformation")}
        for layer, of_layer in rows.groupby("layer")
    }
    assert list(offsets) == ["0", "2"] and len(set(offsets["2"].values())) == 2
    maps = {name: SMALL[name] for name in offsets}
    expected = said_by_oracle(small_network(), images[10:], maps, [TURNS], offsets=offsets, **options)
    assert_agree(scores, expected, alignment="registered")
    assert_agree(scores, said_by_oracle(small_network(), images[10:], SMALL, [TURNS], **options))


def test_agrees_on_a_window_that_is_moved_over_larger_images():
    images, network = smooth_images(21, 14, 15), small_network()
    scores = measured(network, images, {"0": (1, 1)}, [es.shifts([2, (-1, 1)], fill="crop", size=9)], {})
    top, left = (14 - 9 - 3) // 2 + 2, (15 - 9 - 2) // 2 + 2  # central in what the shifts span, -1..2 and 0..2
    seen = {
        name: features(network, ["0"], images[..., top - down : top - down + 9, left - right : left - right + 9])["0"]
        for name, (down, right) in {"still": (0, 0), "shift(2,2)": (2, 2), "shift(-1,1)": (-1, 1)}.items()
    }
    still = seen.pop("still")
    families = {"shifts": list(seen)}
    assert_agree(scores, {"0": oracle.layer_scores(still, seen, (1, 1), families=families)})


def test_agrees_on_the_parts_of_a_network():
    images, families = smooth_images(20), [es.shifts([1, 2])]
    scores = measured(small_network(), images, SMALL, families, {"negative": "keep", "scopes": BOTH})
    said = said_by_oracle(small_network(), images, SMALL, families, negative="keep", scopes=BOTH)
    for part, layers in scores.layers.groupby("part")["layer"]:
        rows, _ = oracle.part_rows([said[layer] for layer in layers], negative="keep")
        of_part = scores.parts[scores.parts["part"] == part].set_index(KEYS)
        assert set(of_part.index) == set(rows)
        for key, row in rows.items():
            bootstrapped = INTERVALS if key[1:3] == ("invariance", "image") else ()
            columns = [name for name in row if name not in bootstrapped]
            found, wanted = of_part.loc[key][columns].to_numpy(float), [row[name] for name in columns]
            np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=0, err_msg=f"{part} {key} {columns}")


@pytest.mark.parametrize(
    ("family", "strides"),
    [
        (es.Family("turns", es.rotations().transformations[:2]), {"layer3.2": (4, 4), "linear": None}),
        (es.shifts([4, (3, 0)]), {"layer2.0": (2, 2), "linear": None}),
    ],
    ids=lambda given: getattr(given, "name", ""),
)
def test_agrees_on_a_network_trained_on_cifar(data, family, strides):
    network = load_network("cifar-resnet20", weights=str(data / "weights" / "resnet20-cifar10.safetensors"))
    images = torch.cat(list(open_images(str(data / "cifar10"), network.preprocessing, limit=44)))
    scores = measured(network.model, images, strides, [family], {})
    assert_agree(scores, said_by_oracle(network.model, images, strides, [family]), partners=False)
