"""Images from every source: the same each time, in unrelated order, as torchvision makes them, none lost in silence."""

import inspect
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
import torchvision.transforms as oracle
from PIL import Image
from torch import Tensor

from equiscope.images import data, hub
from equiscope.images.data import LeftOut, Preprocessing, open_images

RGB = Preprocessing(size=(4, 4), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
GREY = Preprocessing(size=(4, 4), mean=(0.0,), std=(1.0,))
COLOURS = 11  # images of a known colour in the folder and in each split of the data set
SHARED = Path(os.environ.get("EQUISCOPE_DATA", Path(__file__).parents[3] / "shared" / "data"))


def colour(number: int) -> tuple[int, int, int]:
    return 20 * number, 255 - 20 * number, 7 * number


def numbers(images: Tensor) -> list[int]:
    """Which colours these images have, in order."""
    return [round(red * 255 / 20) for red in images[:, 0, 0, 0].tolist()]


def everything(source: str | Path, preprocessing: Preprocessing = RGB, **options: int) -> Tensor:
    return torch.cat(list(open_images(str(source), preprocessing, **options)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven images of one colour each, in folders and under names as people have them."""
    root = tmp_path_factory.mktemp("my pictures: 2 größe 日本")
    for number in range(COLOURS):
        place = root / ("a b" if number % 2 else "ü/é 'x'") / f"no {number} ☃{('.PNG', '.png', '.Tiff')[number % 3]}"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (5, 6), colour(number)).save(place)
    (root / "notes.txt").write_text("no image")
    (root / ".hidden.png").write_text("no image either")
    return root


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Path]:
    """A data set of two splits and two image columns; of the first, row 2 is broken and row 5 is missing."""
    root = tmp_path_factory.mktemp("data") / "colours"
    files = sorted(folder.rglob("*☃*"), key=lambda file: int(file.name.split()[1]))
    kinds = datasets.Features(label=datasets.Value("int64"), seen=datasets.Image(), other=datasets.Image())
    for split, places in (("train", range(COLOURS)), ("validation", range(COLOURS - 1, -1, -1))):
        seen: list[dict[str, bytes] | None] = [{"bytes": files[place].read_bytes()} for place in places]
        seen[2], seen[5] = {"bytes": b"broken"}, None
        columns = {"label": list(places), "seen": seen, "other": [{"bytes": b"unread"}] * COLOURS}
        root.mkdir(exist_ok=True)
        table = datasets.Dataset.from_dict(columns, features=kinds)
        table.to_parquet(root / f"{split}-00000-of-00001.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield root


@pytest.fixture
def source(request: pytest.FixtureRequest) -> str:
    """A source by its kind."""
    return request.param if request.param == "photographs" else str(request.getfixturevalue(request.param))


every_source = pytest.mark.parametrize("source", ["photographs", "folder", "data_set"], indirect=True)


def packaged(patch: pytest.MonkeyPatch, root: Path, *photographs: Image.Image) -> None:
    """These photographs in place of those that scikit-image and scikit-learn ship."""
    (root / "album").mkdir()
    (root / "album" / "__init__.py").touch()
    for number, photograph in enumerate(photographs):
        photograph.save(root / "album" / f"{number}.png")
    patch.syspath_prepend(root)
    patch.setattr(data, "_PACKAGED", [("album", f"{number}.png") for number in range(len(photographs))])


@every_source
def test_a_limited_run_is_the_start_of_a_longer_one_whatever_the_batches(source: str) -> None:
    whole = everything(source, limit=9, seed=3, batch=7)
    torch.testing.assert_close(everything(source, limit=9, seed=3, batch=3), whole, rtol=0, atol=0)
    start = everything(source, limit=4, seed=3)
    torch.testing.assert_close(start, whole[: len(start)], rtol=0, atol=0)
    for other in (4, -3, 2**80):
        assert not torch.equal(everything(source, limit=4, seed=other), start)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
@every_source
def test_workers_change_nothing(source: str) -> None:
    alone, helped = (open_images(source, RGB, limit=9, batch=4, workers=workers) for workers in (0, 2))
    for expected, images in zip(alone, helped, strict=True):
        torch.testing.assert_close(images, expected, rtol=0, atol=0)
    assert helped.left_out == alone.left_out


def test_every_image_of_a_folder_comes_once_and_not_in_the_order_of_names(folder: Path) -> None:
    seen = numbers(everything(folder))
    assert sorted(seen) == list(range(COLOURS))
    assert seen not in (sorted(seen), sorted(seen)[::-1])


def test_description_is_a_manifest(folder: Path, data_set: Path) -> None:
    settings = {"size": [4, 4], "mean": [0.0] * 3, "std": [1.0] * 3, "resize": None, "interpolation": "bilinear"}
    source = open_images(str(folder), RGB, limit=5, seed=2)
    about = dict(source.description)
    fingerprint = about.pop("fingerprint")
    expected = {"kind": "folder", "source": str(folder), "split": None, "column": None, "found": COLOURS}
    assert about == expected | {"limit": 5, "seed": 2, "preprocessing": settings}
    assert len(source) == 5
    assert open_images(str(folder), RGB).description["fingerprint"] == fingerprint

    splits = [open_images(f"{data_set}:{split}", RGB).description for split in ("train", "validation")]
    assert [about["split"] for about in splits] == ["train", "validation"]
    assert {about["column"] for about in splits} == {"seen"}
    photographs = open_images("photographs", RGB).description
    assert (photographs["found"], photographs["limit"]) == (7, 48)
    assert len({fingerprint, photographs["fingerprint"], *(about["fingerprint"] for about in splits)}) == 4
    assert json.loads(json.dumps([*splits, photographs])) == [*splits, photographs]


@pytest.mark.parametrize("number", [2, 3, 7])
def test_crops_of_one_photograph_are_never_neighbours(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged(monkeypatch, tmp_path, *(Image.new("RGB", (9, 8), colour(photograph)) for photograph in range(number)))
    for seed in range(5):
        seen = numbers(everything("photographs", seed=seed))
        assert len(seen) == 48
        assert set(seen) == set(range(number))
        assert all(one != next_ for one, next_ in zip(seen, seen[1:], strict=False))


@pytest.mark.parametrize("size", [(64, 64), (32, 64)])
def test_crops_are_upright_inside_of_the_photograph_and_at_least_half_of_it(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, columns = np.mgrid[0:200, 0:250]  # red tells the column, green the row
    packaged(monkeypatch, tmp_path, Image.fromarray(np.stack([columns, rows, 0 * rows], -1).astype(np.uint8)))
    crops = everything("photographs", replace(RGB, size=size), limit=100) * 255
    width = (crops[:, 0, 5, -2] - crops[:, 0, 5, 1]) * size[1] / (size[1] - 3)
    height = (crops[:, 1, -2, 5] - crops[:, 1, 1, 5]) * size[0] / (size[0] - 3)
    torch.testing.assert_close(width / size[1], height / size[0], rtol=0.05, atol=0)  # the aspect is kept
    largest = min(200, 250 * size[0] / size[1])
    assert 0.49 * largest < height.min() < 0.55 * largest
    assert 0.95 * largest < height.max() < 1.01 * largest
    assert len(set(crops[:, 0, 0, 0].tolist())) > 40
    assert len(set(crops[:, 1, 0, 0].tolist())) > 40


def test_photographs_are_in_colour_and_sharp() -> None:
    crops = everything("photographs", replace(RGB, size=(128, 128)), limit=14)
    assert (crops.std(dim=(0, 2, 3)) > 0.1).all()
    assert ((crops.amax(1) - crops.amin(1)).mean(dim=(1, 2)) > 0.05).all()  # none is grey
    assert (crops.diff(dim=3).abs().amax(dim=(1, 2, 3)) > 0.1).all()  # none is flat


def test_photographs_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'scikit-image and scikit-learn.*: pip install "equiscope\[demo\]"'):
        open_images("photographs", RGB)


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


def test_a_long_thin_image_is_never_enlarged_as_a_whole() -> None:
    start = time.perf_counter()
    preprocessing = replace(RGB, size=(224, 224), resize=256)
    assert preprocessing(Image.new("L", (1, 50_000), 255)).min() == 1  # 256 x 12,800,000 as a whole
    assert time.perf_counter() - start < 1


def test_images_that_cannot_be_read_are_left_out_and_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "some broken"
    for number in range(5):
        root.mkdir(exist_ok=True)
        Image.new("RGB", (5, 5), colour(number)).save(root / f"good {number}.png")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    noise.save(root / "truncated.jpg")
    (root / "truncated.jpg").write_bytes((root / "truncated.jpg").read_bytes()[:-100])
    noise.save(root / "cut.png")
    (root / "cut.png").write_bytes((root / "cut.png").read_bytes()[:60])
    (root / "empty.jpeg").touch()
    (root / "text.gif").write_text("hello")
    (root / "lost.bmp").symlink_to(root / "nowhere.bmp")
    Image.fromarray(np.full((3, 3), np.nan, np.float32)).save(root / "nan.tif")
    Image.new("L", (11, 11)).save(root / "warned of.png")
    Image.new("L", (20, 20)).save(root / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    expected = {
        "truncated.jpg": "truncated",
        "cut.png": "truncated",
        "empty.jpeg": "it is empty",
        "text.gif": "it is not an image that Pillow can identify",
        "lost.bmp": "No such file or directory",
        "nan.tif": "mode F with values from nan",
        "warned of.png": "decompression bomb",
        "bomb.png": "decompression bomb",
    }
    images = open_images(str(root), RGB, batch=4)
    assert len(images) == 13
    for _ in range(2):  # a second iteration gives the same and does not double
        batches = list(images)
        assert sorted(numbers(torch.cat(batches))) == list(range(5))
        assert sorted(left.name for left in images.left_out) == sorted(expected)
        for name, reason in images.left_out:
            assert expected[name] in reason
    next(iter(images))  # abandoned
    assert len(list(images)) == len(batches)
    assert len(images.left_out) == len(expected)


def test_a_data_set_with_broken_rows(data_set: Path) -> None:
    images = open_images(f"{data_set}:train", RGB)
    assert sorted(numbers(torch.cat(list(images)))) == sorted(set(range(COLOURS)) - {2, 5})
    unread = LeftOut("row 2", "it is not an image that Pillow can identify")
    assert sorted(images.left_out) == [unread, LeftOut("row 5", "there is no image in it")]


def test_nothing_readable_is_an_error_at_the_end(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}.jpg").touch()
    images = open_images(str(tmp_path), RGB, batch=2)
    with pytest.raises(ValueError, match=r"none of the 7 images in .* could be read: \d\.jpg: it is empty$"):
        list(images)
    assert len(images.left_out) == 7


def test_folders_of_links_and_names_that_are_no_text(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    Image.new("RGB", (4, 4), colour(1)).save(tmp_path / "elsewhere" / "x.png")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "sub" / "loop").symlink_to(root)
    try:
        Path(os.fsdecode(os.fsencode(root) + b"/\xff.jpg")).touch()
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    images = open_images(str(root), RGB)
    assert len(images) == 2
    assert numbers(torch.cat(list(images))) == [1]
    assert images.left_out == [LeftOut(r"\xff.jpg", "it is empty")]


def test_a_split_is_taken_from_the_end_of_a_name(data_set: Path, tmp_path: Path) -> None:
    order = {split: numbers(everything(f"{data_set}:{split}")) for split in ("train", "validation")}
    assert numbers(everything(data_set)) == order["validation"]  # there is no test
    assert order["train"] != order["validation"]
    odd = tmp_path / "a:train"
    odd.mkdir()
    Image.new("RGB", (4, 4), colour(3)).save(odd / "x.png")
    assert numbers(everything(odd)) == [3]


@pytest.mark.parametrize(
    "source",
    [
        *("", " ", "cifar", "cifar:test", "photographs:train"),
        *("./a", "../a", "~/a", ".a/b", "a/", "/a", "/a/b", "a/b/c", "a\\b", "C:\\a"),
        *("here/b", "here/b:test"),
    ],
)
def test_a_path_that_is_not_there_is_never_looked_for_on_the_hub(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", lambda name: pytest.fail(f"asked the hub for {name}"))
    with pytest.raises(ValueError, match=r"there is no folder .*, but images are read from a folder, from a data set"):
        open_images(source, RGB)


def test_an_owner_and_a_name_are_looked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(name: str) -> None:
        asked.append(name)
        raise ConnectionError("Couldn't reach the hub.\n  Try later.")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", refuse)
    monkeypatch.setattr(hub, "_hindrance", lambda address: None)
    for source in ("owner/na.me-1", "owner/name:train"):
        with pytest.raises(
            ValueError, match=r"could not be loaded \(ConnectionError: Couldn't reach.*\): check"
        ) as error:
            open_images(source, RGB)
        assert "\n" not in str(error.value)
    assert asked == ["owner/na.me-1", "owner/name"]
    assert not datasets.are_progress_bars_disabled()


def test_messages_about_folders_and_data_sets(folder: Path, data_set: Path, tmp_path: Path) -> None:
    def message(source: str | Path) -> str:
        with pytest.raises(ValueError) as error:
            open_images(str(source), RGB)
        assert "\n" not in str(error.value)
        return str(error.value)

    (tmp_path / "nothing").mkdir()
    assert "there are no images in" in message(tmp_path / "nothing")
    file = next(folder.rglob("*.png"))
    assert f"{str(file)!r} is a file, but images are read from a folder" in message(file)
    assert "is a folder of images and has no split 'test'" in message(f"{folder}:test")
    assert message(f"{data_set}:test") == (
        f"{str(data_set)!r} has no split 'test': write {data_set}:train or {data_set}:validation"
    )
    (tmp_path / "labels").mkdir()
    datasets.Dataset.from_dict({"label": [1], "text": ["a"]}).to_parquet(tmp_path / "labels" / "train.parquet")
    assert "has no column of images, but one is needed: it has label (Value), text (Value)" in message(
        tmp_path / "labels"
    )
    (tmp_path / "corrupt").mkdir()
    (tmp_path / "corrupt" / "train.parquet").write_text("not Parquet")
    assert re.search(r"could not be loaded \(.+\): check its files", message(tmp_path / "corrupt"))


def test_a_split_without_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = datasets.Dataset.from_dict({"image": []}, features=datasets.Features(image=datasets.Image()))
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict(test=empty, train=empty))
    with pytest.raises(ValueError, match="the split 'test' of 'owner/name' is empty.*: try test, train"):
        open_images("owner/name", RGB)


def test_which_split_is_not_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict(a=None, b=None))
    with pytest.raises(ValueError, match="which split of 'o/n' to read is not clear: write o/n:a or o/n:b"):
        open_images("o/n", RGB)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"limit": 0}, "limit is 0, but it must be at least 1"),
        ({"limit": -2}, "limit is -2"),
        ({"batch": 0}, "batch is 0, but it must be at least 1"),
        ({"workers": -1}, "workers is -1, but it must be at least 0"),
        ({"seed": 1.5}, "seed is 1.5, but it must be an integer"),
    ],
)
def test_messages_about_numbers(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(open_images)("photographs", RGB, **options)  # unwrapped: the tests' type checker comes first


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


def test_waited_is_the_time_that_the_consumer_spent_in_waiting(folder: Path) -> None:
    images = open_images(str(folder), RGB, batch=4)
    start = time.perf_counter()
    for _ in images:
        time.sleep(0.1)
    assert 0 < images.waited < time.perf_counter() - start - 0.29


def test_nothing_global_changes_and_nothing_is_left_behind(folder: Path, data_set: Path, tmp_path: Path) -> None:
    # In a process of its own: the import is looked at, too, and the tests' type checker draws from the random state.
    script = """
import random, sys, warnings
from pathlib import Path
import numpy, torch, PIL.Image, PIL.ImageFile, torch.utils.data, jaxtyping, equiscope

def state():
    draws = random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist()
    files = sorted(str(file) for root in sys.argv[1:] for file in Path(root).rglob("*"))
    return draws, files, list(warnings.filters), PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES

def bars():
    return datasets.are_progress_bars_disabled(), huggingface_hub.utils.are_progress_bars_disabled()

before, modules = state(), set(sys.modules)
from equiscope.images.data import Preprocessing, open_images
assert state() == before
preprocessing = Preprocessing((4, 4), (0.0,), (1.0,))

def read(source):
    assert len(list(open_images(source, preprocessing, limit=3)))
    assert state() == before

read("photographs")
read(sys.argv[1])
assert not {"datasets", "skimage", "sklearn"} & (set(sys.modules) - modules)
import datasets, huggingface_hub, scipy.sparse  # which filters a warning of its own
before = state()
read(sys.argv[2])
assert bars() == (False, False)
datasets.disable_progress_bars()
read(sys.argv[2])
assert bars() == (True, False)
"""
    command = [sys.executable, "-W", "error", "-c", script, str(folder), str(data_set)]
    unset = ("HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS")
    cache = {"HF_DATASETS_CACHE": str(tmp_path)}
    environment = {name: value for name, value in os.environ.items() if name not in unset} | cache
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.stdout + result.stderr == ""
    assert result.returncode == 0


@pytest.mark.parametrize(
    "name, preprocessing, found, split, column",
    [
        ("imagenet-800", replace(RGB, size=(224, 224), resize=256), 800, "validation", "image"),
        ("mnist", replace(GREY, size=(28, 28)), 10_000, "test", "image"),
        ("cifar10", replace(RGB, size=(32, 32)), 10_000, "test", "img"),
    ],
)
def test_real_data_sets(name: str, preprocessing: Preprocessing, found: int, split: str, column: str) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"no {SHARED / name}: set EQUISCOPE_DATA to the folder that holds {name}")
    images = open_images(str(SHARED / name), preprocessing, limit=20, batch=8)
    about = images.description
    assert (about["found"], about["split"], about["column"]) == (found, split, column)
    batches = list(images)
    assert [len(batch) for batch in batches] == [8, 8, 4]
    assert images.left_out == []
    assert 0.05 < torch.cat(batches).std() < 0.5
