"""`measure`: what it refuses, how it leaves the network, and what networks and users may do meanwhile."""

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import equiscope as es
from equiscope.functional.sampling import Gathered, identity
from equiscope.images.preprocessing import Preprocessing
from equiscope.results.columns import ADDED

IMAGES = torch.randn(12, 3, 12, 12, generator=torch.Generator().manual_seed(0))
TURN = es.rotations().transformations[0]


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 4),
    )  # fmt: skip


def own(name="own", pixels=lambda images: images, positions=lambda height, width, stride: identity(height, width)):
    """A transformation of the user's own."""
    return es.Transformation(name, pixels, positions)


def test_the_tables_are_of_every_layer_transformation_and_channel():
    scores = es.measure(network(), IMAGES, [es.flips(), es.shifts([1])])
    assert scores.layers["layer"].tolist() == ["0", "1", "2", "3", "5"]
    assert scores.families == ["flips", "shifts"] and scores.manifest["images"] == 12
    assert len(scores.scores) == 5 * (3 * 3 + 2 * 2)  # linear where positions are only permuted, and on vectors
    assert scores.scores.groupby("measure").size().to_dict() == {"invariance": 25, "equivariance": 25, "linear": 15}
    assert len(scores.channels) == (6 * 4 + 4) * 3
    assert scores.parts["part"].unique().tolist() == ["early", "middle", "late", "pool", "final"]
    assert scores.manifest["accumulators"]["passes"] == 1 and scores.manifest["options"]["batch_size"] == 256
    assert es.measure(network(), IMAGES).families == ["rotations"]


def test_the_measures_asked_for_and_no_others():
    scoring = es.Scoring(measures=["strict_invariance", "invariance"])
    scores = es.measure(network(), IMAGES, es.rotations(), scoring=scoring)
    assert set(scores.scores["measure"]) == {"invariance", "strict_invariance"}
    assert scores.channels["partner"].isna().all() and scores.orbits.empty and scores.laws.empty
    assert scores.channels["strict_invariance"].notna().any()
    scoring = es.Scoring(measures="linear")
    scores = es.measure(network(), IMAGES, [es.shifts([1, (2, 0)]), es.identity()], layers="0", scoring=scoring)
    assert set(scores.scores["measure"]) == {"linear"} and scores.scores["score"].notna().all()


@pytest.mark.filterwarnings("ignore:Layer 0 under rot90 fits best when moved")
def test_what_is_left_out_is_counted_whatever_was_read_in_part(tmp_path):
    for number in range(30):
        file = tmp_path / f"{number}.png"
        if number % 3:
            Image.effect_noise((12, 12), 50).save(file)
        else:
            file.touch()
    source = es.open_images(str(tmp_path), Preprocessing((12, 12), (0.5,) * 3, (0.5,) * 3), batch=4)
    scoring = es.Scoring(alignment="registered", registration_images=8, measures="invariance")
    manifest = es.measure(network(), source, TURN, layers="0", maps=15, scoring=scoring).manifest
    assert manifest["counts"] == {"given": 30, "read": 20, "left_out": 10, "registered_on": 8, "scored": 12}
    assert len(manifest["images_left_out"]) == 10 and manifest["images"] == 12
    assert manifest["remarks"][0].startswith("10 of 30 images could not be read")


def test_a_data_set_of_the_hub_is_measured_as_it_is():
    pixels = (255 * torch.rand(20, 12, 12, 3, generator=torch.Generator().manual_seed(0))).to(torch.uint8).numpy()
    rows = {"image": [Image.fromarray(one) for one in pixels], "label": list(range(20))}
    kinds = datasets.Features(image=datasets.Image(), label=datasets.Value("int8"))
    table = datasets.Dataset.from_dict(rows, features=kinds)
    expected = es.measure(network(), torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255, TURN, layers="0").scores
    for given in (table, table.to_iterable_dataset()):
        with pytest.warns(UserWarning, match="scaled to values from 0 to 1"):
            scores = es.measure(network(), given, TURN, layers="0")
        pd.testing.assert_frame_equal(scores.scores, expected)
        assert scores.manifest["counts"]["scored"] == 20


def test_nothing_but_the_groups_depends_on_the_order_of_images():
    random = torch.Generator().manual_seed(1)
    classes = torch.arange(60) // 20  # sorted, as folders by class are
    images = torch.randn(60, 3, 12, 12, generator=random) + 3 * classes[:, None, None, None]
    ordered, mixed = (
        es.measure(network(), some, TURN, layers=["0", "3"]).scores.set_index(["layer", "measure"])
        for some in (images, images[torch.randperm(60, generator=random)])
    )
    pd.testing.assert_series_equal(ordered["in_sample"], mixed["in_sample"], rtol=1e-4)
    chance = [one["chance"].xs("invariance", level="measure") for one in (ordered, mixed)]
    pd.testing.assert_series_equal(*chance, rtol=1e-4)
    assert (ordered["score"] - mixed["score"]).abs().max() < 0.02


def test_few_images_have_fewer_numbers():
    one = es.measure(network(), IMAGES[:1], es.flips()).scores
    assert one["chance"].isna().all()
    assert one.query("layer == '5'")[["score", "in_sample"]].isna().all().all()  # a vector of one image
    assert one.query("layer == '0' and measure == 'equivariance'")["score"].isna().all()  # there is no other group
    assert one.query("layer == '0' and measure == 'equivariance'")["in_sample"].notna().all()
    images = torch.cat([IMAGES, IMAGES.flip(1)])
    for count, intervals in ((19, False), (20, True)):
        scoring = es.Scoring(scopes=("dataset", "image"))
        rows = es.measure(network(), images[:count], es.flips(), scoring=scoring).scores.query("score == score")
        assert rows["low"].notna().all() == rows["low"].notna().any() == intervals


def test_how_the_forward_pass_is_run_can_be_chosen():
    images = torch.nn.functional.avg_pool2d(torch.randn(24, 3, 16, 16), 3, 1, 1)
    exact, lower = (
        es.measure(network(), images, [es.rotations(), es.identity()], layers=["0", "2"], run=es.Run(precision=kind))
        for kind in ("float32", "bfloat16")
    )
    assert (exact.manifest["options"]["precision"], lower.manifest["options"]["precision"]) == ("float32", "bfloat16")
    chosen = exact.scores["measure"] != "linear"
    difference = (lower.scores["score"] - exact.scores["score"]).abs()[chosen]
    assert 0 < difference.max() < 0.01  # bfloat16 keeps three digits of a feature
    of_identity = lower.scores[lower.scores["transformation"] == "identity"]
    assert (of_identity["score"] - 1).abs().max() < 1e-6


# --- the network


def test_the_model_comes_back_as_it_was():
    model = network(1)
    model[2].eval()
    model.register_buffer("seen", torch.zeros(1))
    model[0].register_forward_hook(lambda module, given, output: model.seen.add_(1) and None)
    modes = [module.training for module in model.modules()]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    torch.manual_seed(3), np.random.seed(3)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    before = (torch.get_rng_state(), np.random.get_state()[1].copy())
    es.measure(model, IMAGES, es.flips())
    with pytest.raises(ValueError):
        es.measure(model, IMAGES * torch.nan, es.flips())
    assert [module.training for module in model.modules()] == modes
    assert [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()] == hooks
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.is_grad_enabled() and all(parameter.requires_grad for parameter in model.parameters())


def test_buffers_made_or_changed_by_a_forward_pass_are_undone():
    class Keeping(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.seen = nn.Conv2d(3, 4, 3), None
            self.register_buffer("mean", None)

        def forward(self, images):
            self.mean = images.mean()
            self.register_buffer("grid", torch.ones(2), persistent=False)
            return self.conv(images)

    model = Keeping()
    before = list(model.state_dict())
    es.measure(model, IMAGES, es.flips(), layers="conv")
    assert list(model.state_dict()) == before and model.mean is None and not hasattr(model, "grid")


def test_gradients_and_keywords_inside_a_network_do_no_harm():
    class Head(nn.Linear):
        def forward(self, vectors, scale=1.0):
            return super().forward(vectors) * scale

    class Inside(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), Head(4, 2)

        def forward(self, images):
            with torch.enable_grad():
                return self.head(self.conv(images.requires_grad_()).mean((2, 3)), scale=2.0)

    scores = es.measure(Inside(), IMAGES, es.flips())
    assert scores.layers["part"].tolist()[-1] == "final"


def test_features_may_carry_gradients_and_lie_negated_in_memory():
    class Negated(nn.Module):
        def forward(self, maps):
            return torch.complex(maps, -maps).conj().imag  # the maps again, but for a sign that is remembered

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.negated = nn.Conv2d(3, 4, 3, padding=1), Negated()

        def forward(self, images):
            with torch.enable_grad():
                return self.negated(self.convolution(images))

    scores = es.measure(Odd(), IMAGES, es.rotations(), layers=["convolution", "negated"]).scores
    one, other = (scores[scores["layer"] == name]["score"] for name in ("convolution", "negated"))
    assert one.tolist() == pytest.approx(other.tolist(), abs=1e-6)


def test_changes_in_place_after_a_layer_do_no_harm():
    class InPlace(nn.Module):
        def __init__(self, inplace):
            super().__init__()
            self.conv, self.other, self.inplace = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), inplace

        def forward(self, images):
            maps = self.conv(images)
            if self.inplace:
                maps += self.other(images)
                return maps.relu_()
            return (maps + self.other(images)).relu()

    inplace, apart = InPlace(True), InPlace(False)
    apart.load_state_dict(inplace.state_dict())
    one, other = (es.measure(model, IMAGES, es.d4(), layers="conv").scores for model in (inplace, apart))
    pd.testing.assert_frame_equal(one, other, atol=2e-6, rtol=0)


def test_networks_may_change_their_images_and_return_no_tensor():
    class Odd(nn.Module):
        def __init__(self, then):
            super().__init__()
            self.conv, self.then = nn.Conv2d(3, 4, 3), then

        def forward(self, images):
            return self.then(self.conv(images.mul_(2)))

    images = IMAGES.clone()
    for then in (lambda maps: None, lambda maps: {"maps": maps}, lambda maps: (maps, "text")):
        scores = es.measure(Odd(then), images, es.rotations(), layers="conv").scores
        assert scores["score"].notna().any() and torch.equal(images, IMAGES)


def test_a_module_called_twice_is_two_layers():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu, self.mix = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, images):
            return self.relu(self.mix(self.relu(self.conv(images))))

    torch.manual_seed(0)
    scores = es.measure(Shared(), IMAGES, es.flips(), layers="relu")
    assert scores.layers["layer"].tolist() == ["relu", "relu#1"]
    second = es.measure(Shared(), IMAGES, es.flips(), layers="relu#1")
    assert second.layers["layer"].tolist() == ["relu#1"]
    assert scores.scores.groupby("layer")["score"].mean().nunique() == 2


@pytest.mark.filterwarnings("ignore:.*the edge of the search")
def test_values_that_are_not_finite_are_told_with_their_image():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False))
    for place, value in ((0, torch.nan), (11, torch.inf), (7, 1e30)):  # whose square is too large
        images = IMAGES.clone()
        images[place, 1, 5, 5] = value
        for size in (None, 3):
            with pytest.raises(
                ValueError, match=f"Layer 0 gives NaN, infinity or .* for image {place} .counted from 0"
            ):
                es.measure(model, images, es.rotations(), batch_size=size)
    images = torch.cat([IMAGES, IMAGES])
    images[20] = torch.nan
    scoring = es.Scoring(alignment="registered", registration_images=8)
    with pytest.raises(ValueError, match="for image 20 "):  # counted from the first of all
        es.measure(model, images, es.rotations(), scoring=scoring)


def test_features_of_usual_and_of_odd_sizes_may_be_mixed():
    """What the scale is found from, the first images, need not be as large as the others."""
    model = nn.Conv2d(3, 4, 3, padding=1, bias=False)
    images = torch.randn(24, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    images[::10] *= 1e-25
    rows = es.measure(model, images, es.rotations(), batch_size=8).scores
    assert rows["score"].notna().all() and rows["undefined"].sum() == 0
    images[::10] *= 1e-10  # but neither of any size
    with pytest.raises(ValueError, match="values too large to square for image 1 "):
        es.measure(model, images, es.rotations(), batch_size=8)


def test_a_data_set_may_call_anything_its_description():
    class Named(torch.utils.data.TensorDataset):
        description = "my images"

        def __getitem__(self, place):
            return super().__getitem__(place)[0]

    scores = es.measure(nn.Conv2d(3, 4, 3, padding=1), Named(X), es.rotations(), maps=1)
    assert len(scores.maps.images) == 1


# --- transformations of the user's own


def test_transformations_of_the_users_own_may_change_what_they_are_given():
    negative = own("negative", pixels=lambda x: x.neg_())
    alone = es.measure(network(), IMAGES, es.rotations()).scores
    both = es.measure(network(), IMAGES, [negative, es.rotations()]).scores
    both = both[both["transformation"] != "negative"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, both, atol=2e-6, rtol=0)


def quarter_as_gathered(height, width, stride):
    places = torch.rot90(torch.arange(height * width).view(height, width), 1)
    return Gathered(places.reshape(1, -1), torch.ones(height, width, dtype=torch.bool))


def half_a_position_as_gathered(height, width, stride):
    places = torch.arange(height * width).view(height, width)
    source = torch.stack([places[:-1].flatten(), places[1:].flatten()])
    valid = torch.ones(height, width, dtype=torch.bool)
    valid[0] = False
    return Gathered(source, valid, torch.full(source.shape, 0.5))


@pytest.mark.parametrize(
    ("built_in", "gathered"), [(TURN, quarter_as_gathered), (es.shift(1, 0), half_a_position_as_gathered)]
)
def test_a_sampling_of_the_users_own_scores_as_the_one_built_in(built_in, gathered):
    """But for the ceiling between positions, which takes an inverse that a list of places does not tell."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU())
    images = torch.cat([IMAGES, IMAGES.flip(1)])
    scoring = es.Scoring(scopes=("dataset", "image"))
    theirs = es.Transformation(built_in.name, built_in.on_pixels, gathered)
    one, other = (es.measure(model, images, each, layers="1", scoring=scoring) for each in (built_in, theirs))
    assert other.scores["ceiling"].isna().all() == other.scores["subpixel"].any()
    without = list(ADDED) if other.scores["subpixel"].any() else []
    for table in ("scores", "channels"):
        tables = (getattr(its, table).drop(columns=without, errors="ignore") for its in (one, other))
        pd.testing.assert_frame_equal(*tables, atol=2e-6, rtol=0)


# --- what is refused

X = IMAGES[:6]


def gathered(source, valid, weight=None):
    return lambda height, width, stride: Gathered(torch.tensor(source), torch.tensor(valid), weight)


# What is given to `measure` in place of a network, six images and rotations, and words of the answer; more stand in
# tests/test_bad_input.py.
REFUSED = {
    "images of another depth": (lambda: {"images": X[:, :1]}, ["The network fails on images of 1 x 12 x 12"]),
    "images not square": (lambda: {"images": X[..., :9]}, ["rot90", "12 x 9", "crop them to 9 x 9"]),
    "sources too few": (
        lambda: {"transformations": own(positions=gathered([[0]], [[True] * 2]))}, ["[neighbour, 2]", "[1, 1]"],
    ),
    "sources outside": (
        lambda: {"transformations": own(positions=gathered([[0, 2]], [[True] * 2]))}, ["outside", "2 positions"],
    ),
    "neighbours without weights": (
        lambda: {"transformations": own(positions=gathered([[0], [0]], [[True]]))}, ["2 neighbours", "weights"],
    ),
    "weights of another shape": (
        lambda: {"transformations": own(positions=gathered([[0]], [[True]], torch.ones(2, 1)))}, ["[2, 1]", "[1, 1]"],
    ),
    "shift out of sight": (lambda: {"transformations": es.shifts([12])}, ["shift(12,12)", "out of sight"]),
    "shift without a stride": (
        lambda: {"model": nn.Sequential(nn.AdaptiveAvgPool2d(5)), "transformations": es.shifts([1]), "layers": "0"},
        ["stride of layer 0", "strides={'0': PIXELS}"],
    ),
    "window too large": (
        lambda: {"transformations": es.shifts([1], fill="crop", size=12)}, ["window of 12 x 12", "at least 13 high"],
    ),
    "two windows": (
        lambda: {"transformations": [es.shift(1, 0, fill="crop", size=8), es.shift(0, 1, fill="crop", size=9)]},
        ["share one size=", "(8, 8) and (9, 9)"],
    ),
    "layer unknown": (lambda: {"layers": "conv*"}, ["No layer matches 'conv*'"]),
    "batch size 0": (lambda: {"batch_size": 0}, ["batch_size=0", "positive number of images"]),
    "maps negative": (lambda: {"maps": -1}, ["maps=-1", "0 or more"]),
    "maps True": (lambda: {"maps": True}, ["maps=True", "0 or more"]),
    "device absent": (lambda: {"device": "cuda:7"}, ["'cuda:7' is not there"]),
    "device meta": (lambda: {"device": "meta"}, ["'meta' is not there"]),
    "several passes over a stream": (
        lambda: {"run": es.Run(memory=5e-5), "images": iter([X])}, ["memory=", "can be gone over again"],
    ),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("given", "words"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_told_in_one_sentence_and_changes_nothing(tmp_path, monkeypatch, given, words):
    monkeypatch.chdir(tmp_path)
    model, images = network().train(), X.clone()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError) as refusal:
        es.measure(**{"model": model, "images": X, "transformations": es.rotations()} | given())
    sentence = str(refusal.value)
    assert "\n" not in sentence and all(word in sentence for word in words), sentence
    assert model.training and all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.equal(X, images) and not list(tmp_path.iterdir())
