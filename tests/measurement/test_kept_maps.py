"""Maps that are kept are what the network gives, in 8 bits, of the channels and partners that the scores name."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import equiscope as es
from equiscope.functional.sampling import identity
from equiscope.measurement.kept_maps import PAIRS, pictures, shown_of, similarities
from equiscope.networks.layers import find_layers
from equiscope.results.maps import Maps

IMAGES = torch.randn(12, 3, 24, 24, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1), nn.Conv2d(20, 6, 3, stride=2, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 3),
    ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def scores() -> es.Scores:
    return es.measure(network(), IMAGES, transformations=[es.rotations(), es.shifts([1, 4])], maps=2)


def maps_of(scores: es.Scores) -> Maps:
    assert scores.maps is not None
    return scores.maps


def dequantised(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return low[:, None, None] + values / 255 * (high - low)[:, None, None]


def test_all_channels_are_the_means_of_what_the_network_gives(scores: es.Scores) -> None:
    kept = maps_of(scores).layers["0", "rot90"]
    assert kept.transformed.shape == kept.expected.shape == (2, 20, 16, 16)
    assert kept.valid.all()
    with torch.no_grad():
        turned = network()[0](torch.rot90(IMAGES[:2], 1, (-2, -1)))
        original = network()[0](IMAGES[:2])
        expected = torch.rot90(original, 1, (-2, -1))
    step = (kept.high - kept.low).max() / 255
    for saved, maps in ((kept.original, original), (kept.transformed, turned), (kept.expected, expected)):
        for row, column in ((0, 0), (3, 7), (15, 15)):  # 24 positions on 16: areas of 1 or 2
            rows = slice(row * 24 // 16, -(-(row + 1) * 24 // 16))
            columns = slice(column * 24 // 16, -(-(column + 1) * 24 // 16))
            mean = maps[..., rows, columns].mean((-2, -1)).numpy()
            found = np.stack([dequantised(one, kept.low, kept.high)[:, row, column] for one in saved])
            assert np.abs(found - mean).max() <= step


def test_the_pairs_are_the_strongest_whole_and_on_one_scale(scores: es.Scores) -> None:
    kept = maps_of(scores).layers["0", "rot90"]
    table = scores.channels.query("layer == '0' and transformation == 'rot90' and scope == 'dataset'")
    strongest = table.sort_values("equivariance", ascending=False).head(PAIRS)
    assert kept.pairs.tolist() == strongest[["channel", "partner"]].to_numpy(dtype=int).tolist()
    assert kept.transformed_pairs.shape == (2, PAIRS, 24, 24)
    with torch.no_grad():
        turned = network()[0](torch.rot90(IMAGES[:2], 1, (-2, -1)))
        original = network()[0](IMAGES[:2])
        expected = torch.rot90(original, 1, (-2, -1))
    for image in range(2):
        for pair, (channel, partner) in enumerate(kept.pairs):
            sides = torch.stack((original[image, partner], turned[image, channel], expected[image, partner]))
            scaled = ((sides - sides.min()) / (sides.max() - sides.min()) * 255).round().numpy()
            found = [getattr(kept, f"{side}_pairs")[image, pair] for side in ("original", "transformed", "expected")]
            assert np.abs(np.stack(found) - scaled).max() <= 1


def test_the_similarities_are_those_of_each_image_alone(scores: es.Scores) -> None:
    table = scores.channels.query("layer == '1' and transformation == 'rot90' and scope == 'dataset'")
    partner = table.sort_values("channel")["partner"].to_numpy(dtype=int)
    kept = maps_of(scores).layers["1", "rot90"]
    with torch.no_grad():
        turned = network()[:2](torch.rot90(IMAGES[:2], 1, (-2, -1))).flatten(2).numpy()
        expected = torch.rot90(network()[:2](IMAGES[:2]), 1, (-2, -1)).flatten(2).numpy()
    for image in range(2):
        both = np.corrcoef(expected[image], turned[image])[:6, 6:]
        assert kept.own_similarity[image] == pytest.approx(both.diagonal(), abs=1e-5)
        assert kept.partner_similarity[image] == pytest.approx(both[partner, range(6)], abs=1e-5)


def test_what_is_constant_has_no_similarity() -> None:
    one, ramp = torch.ones(1, 1, 4), torch.arange(4.0).reshape(1, 1, 4)
    assert similarities(one, ramp, "pearson").isnan().all()
    assert similarities(one, ramp, "cosine").item() == pytest.approx(6 / np.sqrt(4 * 14))


def test_under_a_shift_positions_without_a_source_are_not_valid(scores: es.Scores) -> None:
    kept = maps_of(scores).layers["0", "shift(4,4)"]
    assert not kept.valid_pairs[:4].any() and not kept.valid_pairs[:, :4].any() and kept.valid_pairs[4:, 4:].all()
    inside = kept.transformed_pairs[..., 6:-1, 6:-1], kept.expected_pairs[..., 6:-1, 6:-1]  # where no border is felt
    assert np.array_equal(*inside)


def test_one_transformation_of_each_family_is_shown_and_vectors_are_not(scores: es.Scores) -> None:
    kept = maps_of(scores)
    assert kept.transformations == {"rotations": "rot90", "shifts": "shift(4,4)"}
    assert set(kept.layers) == {(layer, name) for layer in "01" for name in ("rot90", "shift(4,4)")}
    layers = find_layers(network(), (3, 24, 24), "1").measured
    families = [es.shifts([4, 23, 6]), es.flips(), es.d4()]  # 23 pixels are 11.5 positions, and leave none of 12
    members = [member for family in families for member in family.transformations]
    assert shown_of(families, members, layers) == {"shifts": "shift(6,6)", "flips": "hflip", "d4": "rot90"}


def test_keeping_maps_changes_no_score(scores: es.Scores) -> None:
    plain = es.measure(network(), IMAGES, transformations=[es.rotations(), es.shifts([1, 4])])
    assert plain.maps is None
    assert plain.scores.equals(scores.scores) and plain.channels.equals(scores.channels)


@pytest.mark.parametrize(
    ("images", "kept"),
    [
        (IMAGES, 3),
        (DataLoader(TensorDataset(IMAGES), batch_size=2), 3),  # read again
        (iter(IMAGES.split(2)), 2),  # which cannot be: the first batch
        (IMAGES[:1], 1),
    ],
)
@pytest.mark.filterwarnings("ignore:maps=3. of images that cannot be gone over again")
def test_the_first_images_are_kept_whatever_holds_them(images: object, kept: int) -> None:
    scores = es.measure(network(), images, transformations=es.rotations(), layers="0", maps=3)  # type: ignore[arg-type]
    maps = maps_of(scores)
    assert maps.images.shape == (kept, 24, 24, 3) and maps.transformed_images["rot90"].shape == maps.images.shape
    assert np.array_equal(maps.transformed_images["rot90"], np.rot90(maps.images, 1, (1, 2)))
    assert np.array_equal(maps.images, pictures(IMAGES[:kept]))


def test_images_look_as_they_did_before_they_were_normalised() -> None:
    pixels = torch.arange(3 * 8 * 8).reshape(1, 3, 8, 8) / 191
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    normalised = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    seen = (pixels * 255).round().permute(0, 2, 3, 1).numpy()
    assert np.abs(pictures(normalised, mean, std) - seen).max() <= 1
    stretched = pictures(normalised)
    assert stretched.min() == 0 and stretched.max() == 255
    assert pictures(torch.randn(1, 5, 400, 200)).shape == (1, 256, 128, 1)  # neither grey nor colours: their mean


@pytest.mark.parametrize("maps", [-1, True])
def test_what_is_no_number_of_images_is_refused(maps: object) -> None:
    with pytest.raises(ValueError, match="is not usable: give a number of images, 0 or more"):
        es.measure(network(), IMAGES, transformations=es.rotations(), maps=maps)  # type: ignore[arg-type]


def test_a_user_s_own_transformation_cannot_change_what_is_kept() -> None:
    def on_pixels(images: Tensor) -> Tensor:
        return images.mul_(-1)  # in place

    negative = es.Transformation("negative", on_pixels, lambda height, width, stride: identity(height, width))
    maps = maps_of(es.measure(network(), IMAGES, transformations=[negative, es.rotations()], layers="0", maps=1))
    both = es.measure(network(), IMAGES, transformations=es.rotations(), layers="0", maps=1)
    assert np.array_equal(maps.layers["0", "rot90"].transformed, maps_of(both).layers["0", "rot90"].transformed)
