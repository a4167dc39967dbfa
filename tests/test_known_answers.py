"""Networks and images whose scores are known: made for it here, or trained by others to be exactly equivariant."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import equiscope as es
from equiscope.functional.sampling import identity
from equiscope.images.preprocessing import Preprocessing
from equiscope.images.sources import open_images
from equiscope_studies.steerable_networks import isotropic_network, plain_network, steerable_network

KEEP = es.Scoring(negative="keep")


def noise(count, channels=3, size=12, seed=0):
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def in_place(name, on_pixels):
    """A transformation of pixels alone."""
    return es.Transformation(name, on_pixels, lambda height, width, stride: identity(height, width))


def layer_rows(scores, transformation, measure):
    rows = scores.scores
    return rows[(rows["transformation"] == transformation) & (rows["measure"] == measure)].set_index("layer")


def faded(count, size=25, seed=0):
    """Smooth noise that fades out towards a disc, so that a rotation takes nothing out of sight."""
    drawn = nn.functional.avg_pool2d(noise(count, 3, size + 4, seed), 5, 1)
    place = torch.linspace(-1, 1, size)
    away = ((torch.hypot(place[:, None], place) - 0.5) / 0.4).clamp(0, 1)
    return 4 * drawn * (1 + torch.cos(torch.pi * away)) / 2


class Hard(nn.Module):
    """Channels of any mean and size made of noise, most of them of little variance about a large mean."""

    def forward(self, images):
        gain = torch.tensor([1.0, 1.0, 1e-3, 1e6, 3e-6, 1e-20])
        mean = torch.tensor([0.0, 1000.0, 1.0, -1e8, 1.0, 0.0])
        return images * gain[:, None, None] + mean[:, None, None]


def test_the_identity_scores_one_on_300000_images():
    images = torch.randn(300_000, 6, 1, 1, generator=torch.Generator().manual_seed(0))
    batches = images.split(30_000)
    scores = es.measure(nn.Sequential(Hard()), batches, es.identity(), layers="0", batch_size=6000)
    assert scores.manifest["images"] == 300_000 and scores.layers["dead"].item() == 0
    columns = scores.channels[["invariance", "equivariance", "linear", "explained_equivariance", "explained_linear"]]
    np.testing.assert_allclose(columns, 1, atol=1e-6, rtol=0)
    np.testing.assert_allclose(scores.scores[["score", "explained", "held_out", "low", "high"]], 1, atol=1e-6, rtol=0)
    np.testing.assert_allclose(scores.scores["chance"].dropna(), -1 / 299_999, atol=1e-6)
    np.testing.assert_allclose(scores.laws[["composed", "direct"]], 1, atol=1e-6)


def test_the_identity_scores_one_on_maps_under_every_similarity_and_scope():
    scoring = es.Scoring(scopes=("dataset", "image"))
    for one in (scoring, es.Scoring(scopes=("dataset", "image"), similarity="cosine", negative="abs")):
        scores = es.measure(nn.Sequential(Hard()), noise(21, 6), es.identity(), layers="0", scoring=one)
        np.testing.assert_allclose(scores.channels[["invariance", "equivariance"]], 1, atol=1e-6, rtol=0)


def test_four_filters_that_rotate_into_one_another_are_an_orbit_and_obey_the_group_law():
    """Four filters, each the one before rotated by 90 degrees, hand their maps on in a circle; two such circles."""
    network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False))
    kernels = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(4))
    network[0].weight.data = torch.stack([torch.rot90(kernel, k) for k in range(4) for kernel in kernels])[:, None]
    scores = es.measure(network, noise(40, 1), es.rotations(), scoring=es.Scoring(scopes=("dataset", "image")))
    for (transformation, _), rows in scores.channels.groupby(["transformation", "scope"]):
        np.testing.assert_allclose(rows["equivariance"], 1, atol=1e-5)
        assert rows["invariance"].max() < 0.8
        turn = {"rot90": 2, "rot180": 4, "rot270": 6}[transformation]
        assert rows["partner"].tolist() == [(channel - turn) % 8 for channel in range(8)]
    for measure in ("equivariance", "linear"):
        rows = layer_rows(scores, "rotations", measure).query("scope == 'dataset'")
        np.testing.assert_allclose(rows[["score", "explained", "held_out"]], 1, atol=1e-4)
    assert scores.orbits.groupby("orbit")["channel"].apply(sorted).tolist() == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert len(scores.laws) == 9
    np.testing.assert_allclose(scores.laws[["composed", "direct"]], 1, atol=1e-4)


def test_a_permutation_of_channels_by_the_transformation_is_found():
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    shuffled = in_place("shuffled", lambda images: images[:, order])
    scores = es.measure(nn.Sequential(nn.Identity()), noise(20, 12, 4), shuffled, layers="0", scoring=KEEP)
    assert scores.channels["partner"].tolist() == order.tolist()
    moved = (order != torch.arange(12)).numpy()
    np.testing.assert_allclose(scores.channels["equivariance"], 1, atol=1e-6)
    assert scores.channels["invariance"][moved].abs().max() < 0.2


def test_a_random_mixing_of_channels_is_linear_and_not_equivariant():
    mixing, _ = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(2)))
    mixed = in_place("mixed", lambda images: torch.einsum("dc,bchw->bdhw", mixing, images))
    scores = es.measure(nn.Sequential(nn.Identity()), noise(60, 16, 6), mixed, layers="0")
    row = {name: layer_rows(scores, "mixed", name).iloc[0] for name in ("invariance", "equivariance", "linear")}
    np.testing.assert_allclose(row["linear"][["score", "explained", "held_out", "low"]].astype(float), 1, atol=1e-4)
    strongest = mixing.abs().max(1).values.mean()
    assert row["invariance"]["score"] < row["equivariance"]["score"] < strongest + 0.02 < 0.7
    assert row["equivariance"]["explained"] < 0.4


@pytest.mark.parametrize("count", [40, 400])
@pytest.mark.parametrize("channels", [4, 32, 256])
def test_sides_that_are_unrelated_score_about_nothing(channels, count):
    """Of vectors, which show a bias most: the largest of so many correlations is far from 0 on so few images."""
    generator = torch.Generator().manual_seed(channels)
    redrawn = in_place("redrawn", lambda images: torch.randn(images.shape, generator=generator))
    images = torch.randn(count, channels, 1, 1, generator=generator)
    scores = es.measure(nn.Sequential(nn.Identity()), images, redrawn, layers="0", scoring=KEEP, batch_size=2 * count)
    rows = scores.scores.set_index("measure")
    by_chance = count**-0.5  # the deviation of one correlation
    apart = 3 / channels**0.5
    # The score is the larger of two such correlations, of which the cross-fitted one deviates up to twice as much.
    assert rows["score"].between(-apart * by_chance, (0.75 + apart) * by_chance).all()
    assert rows["held_out"].max() < 0.05 and rows.loc["equivariance", "explained"] < 0.05
    expected = np.sqrt(2 * np.log(channels)) * by_chance
    assert rows.loc["equivariance", "in_sample"] > 0.6 * expected


def test_a_shift_loses_its_border_and_nothing_else():
    """A 1 x 1 network moves with its image: every valid position agrees, whatever enters at the border."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU())
    for options in ({}, {"fill": "reflect"}, {"fill": "wrap"}, {"fill": "crop", "size": (7, 6)}):
        scores = es.measure(network, noise(12), es.shifts([1, (-2, 0), (0, 3)], **options))
        np.testing.assert_allclose(scores.channels["invariance"], 1, atol=1e-5)


def test_what_all_images_share_is_chance_and_what_they_do_not_is_none():
    """Images are a picture that all share and noise, in the proportion 3 to 1 of variances."""
    shared = noise(1, 3, 16, seed=5)
    images = (3**0.5 * shared + noise(200, 3, 16)) / 2
    scores = es.measure(nn.Sequential(nn.Identity()), images, es.rotations(), layers="0")
    for measure in ("invariance", "equivariance"):
        assert layer_rows(scores, "rotations", measure)["chance"].item() == pytest.approx(0.75, abs=0.03)
    alike = es.measure(nn.Sequential(nn.Identity()), images[:1].repeat(5, 1, 1, 1), es.identity(), layers="0")
    assert alike.scores["chance"].dropna().tolist() == pytest.approx([1, 1], abs=1e-6)


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1e12, 1e30])
def test_the_size_of_features_does_not_matter(factor):
    class Scaled(nn.Module):
        def forward(self, images):
            return images * factor

    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU())
    one, other = (
        es.measure(model, noise(20), [es.rotations(), es.shifts([1])], layers=name).scores
        for model, name in ((network, "1"), (nn.Sequential(*network, Scaled()), "2"))
    )
    columns = ["score", "low", "high", "in_sample", "chance", "explained", "held_out"]
    np.testing.assert_allclose(one[columns], other[columns], atol=1e-5)


def test_constant_channels_are_undefined_counted_and_left_out():
    class Partly(nn.Module):
        def forward(self, images):
            return torch.cat([images[:, :2], torch.full_like(images[:, :1], 0.7), torch.zeros_like(images[:, :1])], 1)

    scoring = es.Scoring(scopes=("dataset", "image"))
    scores = es.measure(nn.Sequential(Partly()), noise(12), es.flips(), layers="0", scoring=scoring)
    whole = scores.channels.query("scope == 'dataset' and transformation == 'hflip'")
    for column in ("invariance", "equivariance", "linear", "explained_linear", "chance_invariance", "partner"):
        assert whole[column].isna().tolist() == [False, False, True, True], column
    assert whole["defined"].tolist() == [1, 1, 0, 0]
    row = scores.scores.query("scope == 'image' and transformation == 'flips' and measure == 'equivariance'")
    assert row["undefined"].item() == 2 * 12 * 2
    assert scores.layers["dead"].item() == 2 and scores.layers["dimension"].item() == pytest.approx(2, abs=0.1)


def test_dead_is_said_of_the_images_and_not_of_a_transformation():
    class Bordered(nn.Module):
        def forward(self, images):
            step = torch.zeros_like(images)
            step[..., :1, :] = 1
            return torch.cat([images, step], 1)

    scores = es.measure(nn.Sequential(Bordered()), noise(12), es.shifts([1]), layers="0")
    assert scores.layers["dead"].item() == 0


# --- trained by others


class Normalised(nn.Module):
    """Five convolutions without padding; layer norm over all of an image and ReLU after each."""

    def __init__(self, channels, rotations, bias):
        super().__init__()
        widths = (1, *[channels] * 5)
        self.convs = nn.ModuleList(nn.Conv2d(*pair, 5, bias=bias) for pair in zip(widths, widths[1:], strict=False))
        self.relus = nn.ModuleList(nn.ReLU() for _ in self.convs)
        self.rotations, self.fc = rotations, nn.Linear(channels // rotations, 10)

    def forward(self, images):
        for conv, relu in zip(self.convs, self.relus, strict=True):
            images = conv(images)
            images = relu(nn.functional.layer_norm(images, images.shape[1:]))
        return self.fc(images.unflatten(1, (-1, self.rotations)).mean((2, 3, 4)))


def digits(data, count):
    preprocessing = Preprocessing(size=(28, 28), mean=(0.1307,), std=(0.3081,))
    return torch.cat(list(open_images(str(data / "mnist"), preprocessing, limit=count)))


def of_uva(data, name, *shape):
    network = Normalised(*shape)
    network.load_state_dict(load_file(data / "weights" / f"{name}.safetensors"))
    return network


def test_a_trained_network_that_is_equivariant_to_quarter_turns_is_found_to_be(data):
    network, images = of_uva(data, "uva-gcnn-c4-mnist", 64, 4, False), digits(data, 40)
    scores = es.measure(network, images, es.rotations(), layers=["relus.*", "fc"])
    for measure in ("equivariance", "linear"):
        np.testing.assert_allclose(layer_rows(scores, "rotations", measure)["score"], 1, atol=5e-4)
    np.testing.assert_allclose(layer_rows(scores, "rotations", "invariance")["score"]["fc"], 1, atol=5e-4)
    assert layer_rows(scores, "rotations", "invariance")["score"]["relus.2"] < 0.8
    np.testing.assert_allclose(scores.laws[["composed", "direct"]], 1, atol=5e-4)
    orbits = scores.orbits[scores.orbits["layer"] != "fc"]
    alive = scores.channels.query("layer != 'fc' and transformation == 'rot90'")["defined"].sum()
    assert len(orbits) == alive > 250 and (orbits.groupby(["layer", "orbit"]).size() == 4).all()
    plain = es.measure(of_uva(data, "uva-cnn-mnist", 32, 1, True), images, es.rotations(), layers=["relus.*", "fc"])
    assert layer_rows(plain, "rotations", "equivariance")["score"].max() < 0.75
    assert layer_rows(plain, "rotations", "linear")["score"].max() < 0.95
    assert len(plain.orbits) < 20 and plain.laws["composed"].median() < 0.8


def test_radially_symmetric_filters_are_invariant_at_any_angle_up_to_interpolation():
    chosen = [es.rotation(30), es.rotation(205), es.rotation(90)]
    layers = ["layer1", "layer2"]
    scoring = es.Scoring(measures=["invariance"])
    scores = es.measure(isotropic_network(layers=2), faded(12), chosen, layers=layers, scoring=scoring).scores
    assert (scores["score"] > scores["ceiling"] - 0.003).all() and scores["ceiling"].between(0.97, 1).all()
    plain = es.measure(plain_network(layers=2), faded(12), chosen, layers=layers, scoring=scoring).scores
    assert (plain["score"] < plain["ceiling"] - 0.1).all()


def test_a_steerable_network_is_equivariant_at_the_ceiling_and_a_plain_one_is_not():
    """Eight orientations: each channel hands its map to the next under 45 degrees; their maximum stays itself."""
    layers, images = ["layer1", "layer2", "orientation"], faded(20)
    scoring = es.Scoring(measures=["invariance", "equivariance"])
    rows = {}
    for name, network in (("steerable", steerable_network(layers=2)), ("plain", plain_network(layers=2))):
        found = es.measure(network, images, es.rotation(45), layers=layers, scoring=scoring)
        rows[name] = layer_rows(found, "rot45", "equivariance")
        if name == "steerable":
            channels = found.channels.set_index("layer").loc["layer2"]
            orientation, partner = channels["channel"] % 8, channels["partner"] % 8
            assert ((orientation - partner) % 8 == 1).all()
            stays = layer_rows(found, "rot45", "invariance")["score"]
            assert stays["orientation"] > 0.98 and stays["layer2"] < 0.9
    assert (rows["steerable"]["score"] > rows["steerable"]["ceiling"] - 0.01).all()
    assert (rows["plain"]["score"] < rows["steerable"]["score"] - 0.1).all()


def test_the_maps_of_a_steerable_network_compose():
    network, turns = steerable_network(layers=1), es.Family("turns", tuple(map(es.rotation, (45, 90, 135))))
    scoring = es.Scoring(measures=["invariance", "equivariance", "linear"])
    laws = es.measure(network, faded(20), turns, layers="layer1", scoring=scoring).laws
    assert set(zip(laws["first"], laws["second"], laws["product"], strict=True)) == {
        ("rot45", "rot45", "rot90"), ("rot45", "rot90", "rot135"), ("rot90", "rot45", "rot135"),
    }  # fmt: skip
    assert (laws["composed"] > 0.95).all()
