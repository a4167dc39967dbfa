"""Strides from how shapes grow, exactly: ratios of small whole numbers, also of maps finer than the image."""

from fractions import Fraction

import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.networks.declared import Declared
from equiscope.networks.growth import Shapes, candidates, stride_of
from equiscope.networks.layers import find_layers
from equiscope.networks.options import Layers
from equiscope_studies.own_networks import Resized, UNet
from features import images

NOTHING = Declared((), 0)


@pytest.mark.parametrize("growth", [128, 640])
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 7, 8, 14, 16, 32, Fraction(1, 2), Fraction(1, 4), Fraction(4, 3),
                                    Fraction(3, 2), Fraction(7, 2), Fraction(3, 4)])  # fmt: skip
def test_a_stride_is_found_whatever_is_lost_to_rounding(growth, stride):
    for pixels in (64, 224):
        positions = [int((pixels + more) / stride) for more in (0, growth)]
        if Fraction(pixels) % stride == 0:
            assert stride_of(growth, positions[1] - positions[0], pixels, positions[0]) == stride


@pytest.mark.parametrize(
    ("layer", "stride"),
    [
        (nn.PixelShuffle(1), 1),
        (nn.Sequential(nn.Conv2d(3, 12, 1), nn.PixelShuffle(2)), Fraction(1, 2)),
        (nn.Upsample(scale_factor=4), Fraction(1, 4)),
        (nn.ConvTranspose2d(3, 2, 2, stride=2), Fraction(1, 2)),
        (nn.Upsample(scale_factor=0.75, mode="bilinear"), Fraction(4, 3)),
        (nn.Sequential(nn.AvgPool2d(3), nn.Upsample(scale_factor=2)), Fraction(3, 2)),
    ],
)
def test_strides_that_are_no_whole_number(layer, stride):
    (found,) = find_layers(nn.Sequential(layer), (3, 24, 24), "0").measured
    assert found.stride == (stride, stride) and found.height == 24 / stride


def test_a_shift_is_exact_at_a_stride_of_four_thirds_and_of_a_half():
    coarser = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Upsample(scale_factor=0.75, mode="bilinear"))
    finer = nn.Sequential(nn.Conv2d(3, 12, 1), nn.PixelShuffle(2))
    for model, shift in ((coarser, 4), (finer, 1)):
        moved = es.shift(shift, -shift, fill="crop", size=24)
        scores = es.measure(model, images(8, 32), moved, layers="1", progress=False)
        assert scores.table()["invariance"].item() == pytest.approx(1, abs=1e-5)
        assert not scores.scores["subpixel"].any()
    assert find_layers(Resized(), (3, 32, 32), "second").measured[0].stride == (Fraction(4, 3),) * 2


def test_a_decoder_goes_back_to_the_image_and_beyond():
    found = find_layers(UNet(beyond=True), (3, 32, 32), ["down.*", "up.*", "head.1"]).measured
    assert [layer.stride[0] for layer in found] == [1, 2, 4, 2, 1, Fraction(1, 2)]


@pytest.mark.parametrize("given", [0.5, "1/2", ".5", Fraction(1, 2), (0.5, "1/2")])
def test_a_stride_below_a_pixel_may_be_given(given):
    model = nn.Sequential(nn.Upsample(scale_factor=2))
    layers = Layers("0", strides={"0": given})
    scores = es.measure(model, images(4, 16), es.shift(1, 1), layers=layers, progress=False)
    assert scores.layers["stride_y"].item() == 0.5 and scores.table()["invariance"].item() == pytest.approx(1, abs=1e-5)


def test_a_table_of_tokens_by_tokens_is_no_map_though_only_squares_are_taken():
    shapes = Shapes((2, 4, 64, 64), (3, 4, 64, 64), large=(2, 4, 144, 144), growth=16)
    assert "as attention weights" in candidates(shapes, (32, 32), NOTHING)
    shapes = Shapes((2, 4, 8, 8), (3, 4, 8, 8), large=(2, 4, 12, 12), growth=16)
    assert [(its.columns_first, stride) for its, stride in candidates(shapes, (32, 32), NOTHING).laid] == [
        (False, (4, 4)), (True, (4, 4))
    ]  # fmt: skip


def test_rows_times_columns_follow_from_four_sizes():
    shapes = Shapes((2, 60, 8), (3, 60, 8), high=(2, 92, 8), wide=(2, 84, 8), large=(2, 132, 8), growth=16)
    (its, stride), *_ = candidates(shapes, (24, 32), NOTHING).laid
    assert its.grid == (6, 8) and stride == (4, 4) and its.tokens == 60 and torch.Size(its.grid).numel() == 48
