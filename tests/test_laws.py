"""What must hold of any network, and networks whose scores are known."""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import equiscope as es

EVERYTHING = [es.d4(), es.shifts([1, (2, -1)]), es.identity()]


def random_network(seed, channels=6):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 4),
    )


def random_images(count=12, size=12, seed=0):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def channel_scores(scores, transformation):
    return scores.channels[scores.channels["transformation"] == transformation].reset_index(drop=True)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["pearson", "cosine"]), st.sampled_from(["clip", "keep", "abs"]))
def test_scores_obey_their_laws(seed, similarity, negative):
    scores = es.measure(
        random_network(seed), random_images(seed=seed), transformations=EVERYTHING, similarity=similarity,
        negative=negative,
    )  # fmt: skip
    everywhere = scores.scores.query("scope == 'image'").groupby("layer")["undefined"].max() == 0
    channels = scores.channels.dropna(subset=["invariance", "equivariance"])
    channels = channels[(channels["scope"] == "dataset") | channels["layer"].map(everywhere)]
    assert (channels["equivariance"] >= channels["invariance"] - 1e-12).all()
    values = scores.scores["score"].dropna()
    assert values.between(-1 if negative == "keep" else 0, 1).all()
    unmoved = channel_scores(scores, "identity")
    np.testing.assert_allclose(unmoved["invariance"].dropna(), 1, atol=1e-6)
    np.testing.assert_allclose(unmoved["equivariance"].dropna(), 1, atol=1e-6)
    rows = scores.scores.dropna(subset=["score", "chance"])
    usable = rows[rows["chance"] <= 0.99]
    np.testing.assert_allclose(usable["corrected"], (usable["score"] - usable["chance"]) / (1 - usable["chance"]))
    assert scores.scores.loc[scores.scores["chance"] > 0.99, "corrected"].isna().all()


def test_a_permutation_of_channels_is_found_and_invariance_is_not():
    """Four filters, each the one before turned by 90 degrees, hand their maps on in a circle."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False))
    kernel = torch.randn(3, 3, generator=torch.Generator().manual_seed(4))
    network[0].weight.data = torch.stack([torch.rot90(kernel, k) for k in range(4)])[:, None]
    scores = es.measure(network, random_images()[:, :1], transformations=es.rotations())
    for _, turned in channel_scores(scores, "rot90").groupby("scope"):
        np.testing.assert_allclose(turned["equivariance"], 1, atol=1e-5)
        assert turned["invariance"].max() < 0.5
        partners = turned["partner"].astype(int).tolist()
        assert sorted(partners) == [0, 1, 2, 3]
        assert all(partners[c] != c and partners[partners[c]] != c for c in range(4))  # one cycle of four


def test_a_shift_loses_its_border_and_nothing_else():
    """A 1 x 1 network moves with its image: every valid cell agrees, whatever enters at the border."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU())
    for fill in ("zero", "reflect", "wrap"):
        scores = es.measure(network, random_images(), transformations=es.shifts([1, -3, (0, 5)]), fill=fill)
        np.testing.assert_allclose(scores.channels["invariance"], 1, atol=1e-5)


def test_constant_channels_are_undefined_counted_and_left_out():
    class Partly(nn.Module):
        def forward(self, images):
            return torch.cat([images[:, :2], torch.full_like(images[:, :1], 0.7), torch.zeros_like(images[:, :1])], 1)

    scores = es.measure(nn.Sequential(Partly()), random_images(), transformations=es.flips(), layers="0")
    whole = scores.channels.query("scope == 'dataset' and transformation == 'hflip'")
    assert whole["invariance"].isna().tolist() == [False, False, True, True]
    assert whole["partner"].isna().tolist() == [False, False, True, True]
    assert whole["defined"].tolist() == [1, 1, 0, 0]
    row = scores.scores.query("scope == 'image' and transformation == 'flips' and measure == 'equivariance'")
    assert row["undefined"].item() == 2 * 12 * 2
    assert scores.layers["dead"].item() == 2


def test_dead_is_said_of_the_images_and_not_of_a_transformation():
    class Bordered(nn.Module):
        def forward(self, images):
            step = torch.zeros_like(images)
            step[..., :1, :] = 1
            return torch.cat([images, step], 1)

    scores = es.measure(nn.Sequential(Bordered()), random_images(), transformations=es.shifts([1]), layers="0")
    assert scores.layers["dead"].item() == 0


def test_few_images_have_fewer_numbers():
    one = es.measure(random_network(0), random_images(1), transformations=es.flips())
    assert one.scores["chance"].isna().all()
    assert one.scores.query("layer == '7'")["score"].isna().all()  # a vector of one image
    nineteen = es.measure(random_network(0), random_images(19), transformations=es.flips()).scores
    assert nineteen.query("scope == 'dataset'")["low"].isna().all()
    assert nineteen.query("scope == 'image' and score == score")["low"].notna().all()
    twenty = es.measure(random_network(0), random_images(20), transformations=es.flips()).scores
    assert twenty.query("scope == 'dataset' and score == score")["low"].notna().all()


def test_intervals_and_chance_can_be_left_out_and_change_no_score():
    images = random_images(20)
    full = es.measure(random_network(0), images, transformations=es.flips())
    bare = es.measure(random_network(0), images, transformations=es.flips(), chance=False, intervals=False)
    np.testing.assert_allclose(full.scores["score"], bare.scores["score"], atol=2e-6)
    assert bare.scores[["low", "high", "chance", "corrected"]].isna().all().all()


def test_intervals_hold_the_score_of_all_images_about_as_often_as_they_say():
    """Correlated noise whose true correlation is known: 95 % intervals hold it in most of 40 data sets."""

    class Noisy(nn.Module):
        def forward(self, images):
            return images

    noise_of_images = torch.Generator().manual_seed(5)
    negative = es.Transformation("noise", lambda x: x * 0.6 + 0.8 * torch.randn(x.shape, generator=noise_of_images),
                                 lambda maps, stride: (maps, None))  # fmt: skip
    held = []
    for seed in range(40):
        images = random_images(30, 8, seed=seed)
        scores = es.measure(nn.Sequential(Noisy()), images, transformations=negative, layers="0").scores
        rows = scores.query("measure == 'invariance'").set_index("scope")
        held.append([row["low"] <= 0.6 <= row["high"] for _, row in rows.loc[["dataset", "image"]].iterrows()])
    assert (np.mean(held, axis=0) > 0.8).all()


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1e12, 1e30])
def test_the_size_of_features_does_not_matter(factor):
    images = random_images()
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU())
    larger = nn.Sequential(*network, scaled_by(factor))
    one = es.measure(network, images, transformations=es.rotations(), layers="1").scores
    other = es.measure(larger, images, transformations=es.rotations(), layers="2").scores
    columns = ["score", "low", "high", "chance", "corrected"]
    np.testing.assert_allclose(one[columns], other[columns], atol=1e-5)


def scaled_by(factor):
    class Scaled(nn.Module):
        def forward(self, images):
            return images * factor

    return Scaled()


def test_chance_is_the_score_of_neighbours_that_do_not_belong_together():
    images = random_images(9)
    network = random_network(3)
    chance = es.measure(network, images, transformations=es.flips()).scores

    turned = es.Transformation(
        "hflip",
        lambda x: images[1:].flip(-1),
        lambda maps, stride: (maps.flip(-1), None),
    )
    direct = es.measure(network, images[:-1], transformations=turned, batch_size=100).scores
    wanted = chance[chance["transformation"] == "hflip"]["chance"]
    np.testing.assert_allclose(direct["score"], wanted, atol=1e-5)


def test_the_model_comes_back_as_it_was():
    network = random_network(1)
    network[2].eval()
    network.register_buffer("seen", torch.zeros(1))
    network[0].register_forward_hook(lambda module, given, output: network.seen.add_(1) and None)
    modes = [module.training for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules()]
    torch.manual_seed(3), np.random.seed(3)
    before = (torch.get_rng_state(), random.getstate()[1][:3], np.random.get_state()[1].copy())
    es.measure(network, random_images(), transformations=es.flips())
    assert [module.training for module in network.modules()] == modes
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()] == hooks
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[2]).all()
    with pytest.raises(ValueError):
        es.measure(network, random_images() * torch.nan, transformations=es.flips())
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()] == hooks
    assert torch.is_grad_enabled() and all(parameter.requires_grad for parameter in network.parameters())


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

    network = Keeping()
    before = list(network.state_dict())
    es.measure(network, random_images(), transformations=es.flips(), layers="conv")
    assert list(network.state_dict()) == before and network.mean is None and not hasattr(network, "grid")


def test_transformations_of_the_users_own_may_change_what_they_are_given():
    images, network = random_images(), random_network(2)
    flipped = es.Transformation("negative", lambda x: x.neg_(), lambda maps, stride: (maps.neg_(), None))
    alone = es.measure(network, images, transformations=es.rotations()).scores
    both = es.measure(network, images, transformations=[flipped, es.rotations()]).scores
    both = both[both["transformation"] != "negative"].reset_index(drop=True)
    np.testing.assert_allclose(alone["score"], both["score"], atol=2e-6)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda maps, stride: (maps, torch.ones(3, 3, dtype=torch.bool)), "must be booleans of shape"),
        (lambda maps, stride: 1 / 0, "cannot be measured: ZeroDivisionError"),
        (lambda maps, stride: (maps[..., 1:, :], None), "is expected to give maps of"),
    ],
)
def test_a_wrong_action_on_cells_is_told(action, words):
    wrong = es.Transformation("wrong", lambda images: images, action)
    with pytest.raises(ValueError, match=words):
        es.measure(random_network(0), random_images(), transformations=wrong)


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

    scores = es.measure(Inside(), random_images(), transformations=es.flips())
    assert scores.layers["part"].tolist()[-1] == "final"


def test_changes_in_place_after_a_layer_do_no_harm():
    torch.manual_seed(0)

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

    inplace = InPlace(True)
    apart = InPlace(False)
    apart.load_state_dict(inplace.state_dict())
    one, other = (
        es.measure(m, random_images(), transformations=es.d4(), layers="conv").scores for m in (inplace, apart)
    )
    pd.testing.assert_frame_equal(one, other, atol=2e-6, rtol=0)


def test_a_module_called_twice_is_two_layers():
    torch.manual_seed(0)

    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu, self.mix = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, images):
            return self.relu(self.mix(self.relu(self.conv(images))))

    scores = es.measure(Shared(), random_images(), transformations=es.flips(), layers="relu")
    assert scores.layers["layer"].tolist() == ["relu", "relu#1"]
    second = es.measure(Shared(), random_images(), transformations=es.flips(), layers="relu#1")
    assert second.layers["layer"].tolist() == ["relu#1"]
    assert scores.scores.groupby("layer")["score"].mean().nunique() == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"similarity": "cka"}, "one of pearson, cosine"),
        ({"negative": "drop"}, "one of clip, keep, abs"),
        ({"fill": "grey"}, "one of zero, reflect, wrap"),
        ({"subcell": "cubic"}, "one of linear, exact, round"),
        ({"transformations": []}, "No transformation"),
        ({"transformations": [es.flips(), es.flips()]}, "flips is given 2 times"),
        ({"transformations": ["rot90"]}, "'rot90' is no transformation"),
        ({"transformations": es.Family("none", ())}, "is no transformation"),
        ({"device": "meta"}, "'meta' is not there"),
        ({"transformations": es.shifts([12])}, "out of sight"),
        ({"images": torch.randn(4, 3, 12, 10)}, "crop them to 10 x 10"),
        ({"images": torch.randn(3, 12, 12)}, "[image, channel, height, width]"),
        ({"images": torch.zeros(4, 3, 12, 12, dtype=torch.uint8)}, "uint8"),
        ({"images": torch.randn(0, 3, 12, 12)}, "no images"),
        ({"images": [torch.randn(2, 3, 12, 12), torch.randn(2, 3, 14, 14)]}, "image 2 has shape"),
        ({"images": torch.randn(4, 1, 12, 12)}, "The network fails on images of 1 x 12 x 12"),
        ({"images": torch.full((4, 3, 12, 12), torch.nan)}, "NaN, infinity or values too large to square for image 0"),
        ({"layers": "conv*"}, "No layer matches 'conv*'"),
        ({"device": "cuda:7"}, "'cuda:7' is not there"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_bad_input_gets_one_sentence(options, words):
    given = {"images": random_images(), "transformations": es.rotations(), **options}
    with pytest.raises(ValueError) as caught:
        es.measure(random_network(0), given.pop("images"), **given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_features_may_be_of_usual_and_of_odd_sizes_at_once_but_not_of_any():
    torch.manual_seed(0)
    network = nn.Conv2d(3, 4, 3, padding=1, bias=False)
    images = torch.randn(24, 3, 12, 12)
    usual = es.measure(network, images, transformations=es.rotations()).scores["undefined"].sum()
    images[:4] *= 1e-25  # that the scale is found from
    assert es.measure(network, images, transformations=es.rotations()).scores["undefined"].sum() == usual
    images[:4] *= 1e-10
    with pytest.raises(ValueError, match="values too large to square for image 4"):
        es.measure(network, images, transformations=es.rotations(), batch_size=16)


def test_a_data_set_may_call_anything_its_description():
    class Named(torch.utils.data.TensorDataset):
        description = "my images"

        def __getitem__(self, place):
            return super().__getitem__(place)[0]

    images = Named(torch.randn(6, 3, 12, 12))
    scores = es.measure(nn.Conv2d(3, 4, 3, padding=1), images, transformations=es.rotations(), maps=1)
    assert scores.maps.images.shape[0] == 1


def test_an_estimate_uses_up_no_images():
    batches = iter([torch.randn(4, 3, 12, 12)])
    with pytest.raises(ValueError, match="An estimate would use up these images"):
        es.estimate(nn.Conv2d(3, 4, 3), batches, transformations=es.rotations())
    assert len(next(batches)) == 4
