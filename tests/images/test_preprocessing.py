"""Preprocessing: pixels as torchvision makes them, of pictures of every mode, upright."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms as oracle
from PIL import Image

from colours import GREY, RGB, everything
from equiscope.images.preprocessing import Preprocessing


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest", "lanczos"])
@pytest.mark.parametrize("size, resize", [((64, 64), 73), ((64, 64), None), ((33, 50), 51), ((320, 320), 330)])
def test_pixels_are_those_of_torchvision(
    interpolation: str, size: tuple[int, int], resize: int | None, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    photograph = Image.fromarray(noise).resize((123, 97), Image.Resampling.BICUBIC)
    photograph.save(tmp_path / "photograph.png")
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = oracle.Compose(
        [
            oracle.Resize(resize or max(size), oracle.InterpolationMode(interpolation), antialias=True),
            oracle.CenterCrop(size),
            oracle.ToTensor(),
            oracle.Normalize(mean, std),
        ]
    )(photograph)
    images = everything(tmp_path, Preprocessing(size, mean, std, resize, interpolation))
    assert (images.dtype, images.shape) == (torch.float32, (1, 3, *size))
    differ = (images[0] - expected).abs() * 255 * torch.tensor(std)[:, None, None]  # in levels
    # Where a value lies half way between two levels it may fall to either side, in each of the two passes of resizing.
    assert differ.max() < 2.01
    assert (differ > 0.01).float().mean() < 0.005


def ramp(mode: str, numpy: str, white: float) -> Image.Image:
    """Black on the left, a fifth, half of white, white on the right; each a quarter of the image."""
    values = np.repeat(np.array([0, 0.2, 0.5, 1]) * white, 4)[None].repeat(16, 0)
    image = Image.fromarray(values.round().astype(numpy) if numpy != "f4" else values.astype(numpy))
    assert image.mode == mode
    return image


def palette(**info: bytes) -> Image.Image:
    """Four colours by number, from left to right."""
    image = Image.new("P", (16, 16))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 110, 120, 130])
    image.putdata([column // 4 for _ in range(16) for column in range(16)])
    image.info |= info
    return image


PALETTE = [(10, 20, 30), (40, 50, 60), (70, 80, 90), (110, 120, 130)]
SHADES = [(0, 0, 0), (51, 51, 51), (128, 128, 128), (255, 255, 255)]
ONE = [(200, 100, 50)] * 4
MODES = {  # an image of 16 x 16, and its four columns in RGB
    "1": (
        ramp("L", "u1", 255).point(lambda value: 255 * (value > 100), "1"),
        [SHADES[0], SHADES[0], SHADES[3], SHADES[3]],
    ),
    "L": (ramp("L", "u1", 255), SHADES),
    "LA": (ramp("L", "u1", 255).convert("LA"), SHADES),
    "La": (Image.new("La", (16, 16), (50, 100)), [(127, 127, 127)] * 4),
    "P": (palette(), PALETTE),
    "P with transparency": (palette(transparency=b"\x00\x80\xff\x00"), PALETTE),
    "PA": (palette().convert("PA"), PALETTE),
    "RGB": (Image.new("RGB", (16, 16), ONE[0]), ONE),
    "RGBA": (Image.new("RGBA", (16, 16), (*ONE[0], 3)), ONE),
    "RGBa": (Image.new("RGBa", (16, 16), (100, 50, 25, 128)), [(199, 99, 49)] * 4),
    "RGBX": (Image.new("RGBX", (16, 16), (*ONE[0], 0)), ONE),
    "CMYK": (Image.new("CMYK", (16, 16), (55, 155, 205, 0)), ONE),
    "YCbCr": (Image.new("RGB", (16, 16), ONE[0]).convert("YCbCr"), ONE),
    "HSV": (Image.new("RGB", (16, 16), ONE[0]).convert("HSV"), ONE),
    "I;16": (ramp("I;16", "u2", 65535), SHADES),
    "I;16B": (ramp("I;16B", ">u2", 65535), SHADES),
    "I of 8 bits": (ramp("I", "i4", 255), SHADES),
    "I of 16 bits": (ramp("I", "i4", 65535), SHADES),
    "F to 1": (ramp("F", "f4", 1), SHADES),
    "F to 255": (ramp("F", "f4", 255), SHADES),
    "F to 65535": (ramp("F", "f4", 65535), SHADES),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_rgb_and_grey(mode: str) -> None:
    image, columns = MODES[mode]
    before = image.tobytes()
    expected = torch.tensor(columns).T / 255  # [channel, width]
    rgb = replace(RGB, interpolation="nearest")(image)
    torch.testing.assert_close(rgb, expected[:, None].expand(3, 4, 4), rtol=0, atol=2.5 / 255)
    luminance = torch.tensor([0.299, 0.587, 0.114]) @ expected
    grey = replace(GREY, interpolation="nearest")(image)
    torch.testing.assert_close(grey, luminance[None, None].expand(1, 4, 4), rtol=0, atol=2.5 / 255)
    assert image.tobytes() == before


@pytest.mark.parametrize("values", [[-1.0, 5.0], [0.0, 1e6], [0.0, float("nan")], [0.0, float("inf")]])
def test_values_without_a_known_white_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="mode F with values from .* must lie between 0 and 65535"):
        RGB(Image.fromarray(np.array([values], dtype=np.float32)))


def test_sixteen_bit_files_are_read(tmp_path: Path) -> None:
    for suffix in ("png", "tiff"):
        ramp("I;16", "u2", 65535).save(tmp_path / f"grey.{suffix}")
    images = everything(tmp_path, replace(RGB, interpolation="nearest"))
    torch.testing.assert_close(images[:, :, 0], (torch.tensor(SHADES).T / 255).expand(2, 3, 4), rtol=0, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright_by_their_exif_orientation(orientation: int, tmp_path: Path) -> None:
    corner = np.zeros((2, 2), np.uint8)
    corner[0, 0] = 255  # upright, the light is in the upper left corner
    stored = {1: corner, 2: corner[:, ::-1], 3: corner[::-1, ::-1], 4: corner[::-1], 5: corner.T}
    stored |= {6: np.rot90(corner), 7: np.rot90(corner, 2).T, 8: np.rot90(corner, -1)}
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored[orientation].copy()).save(tmp_path / "turned.png", exif=exif)
    [image] = everything(tmp_path, replace(GREY, size=(2, 2)))
    assert image.tolist() == [[[1, 0], [0, 0]]]


def test_a_long_thin_image_is_never_enlarged_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    resize, made = Image.Image.resize, []

    def counted(image: Image.Image, *given: object, **named: object) -> Image.Image:
        made.append(resize(image, *given, **named))
        return made[-1]

    monkeypatch.setattr(Image.Image, "resize", counted)
    preprocessing = replace(RGB, size=(224, 224), resize=256)
    assert preprocessing(Image.new("L", (1, 50_000), 255)).min() == 1  # 256 x 12,800,000 as a whole
    assert [image.size for image in made] == [(224, 224)]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"mean": (0.5, 0.5), "std": (1.0,)}, "mean has 2 values and std 1, but both need one value a channel"),
        ({"mean": (0.5,) * 4, "std": (1.0,) * 4}, "mean has 4 values and std 4"),
        ({"std": (1.0, 0.0, 1.0)}, "every value must be positive"),
        ({"size": (0, 4)}, r"size is \(0, 4\)"),
        ({"resize": 3}, "resize is 3.*give at least 4, or None"),
        ({"interpolation": "cubic"}, "no interpolation 'cubic': choose from bilinear, bicubic, nearest, lanczos"),
    ],
)
def test_messages_about_preprocessing(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(RGB, **settings)
