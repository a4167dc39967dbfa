"""Images from every source: the same each time, in unrelated order, none lost in silence."""

import inspect
import json
import os
import re
import subprocess
import sys
from itertools import count
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from colours import COLOURS, RGB, colour, everything, numbers
from equiscope.images import sources
from equiscope.images.sources import open_images
from equiscope.system.errors import OptionError


@pytest.fixture
def source(request: pytest.FixtureRequest) -> str:
    """A source by its kind."""
    return request.param if request.param == "photographs" else str(request.getfixturevalue(request.param))


every_source = pytest.mark.parametrize("source", ["photographs", "folder", "data_set"], indirect=True)


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


def test_description_is_a_manifest(folder: Path, data_set: Path) -> None:
    settings = {"size": [4, 4], "mean": [0.0] * 3, "std": [1.0] * 3, "resize": None, "interpolation": "bilinear"}
    source = open_images(str(folder), RGB, limit=5, seed=2)
    about = dict(source.description)
    passed_over = {"no_image": 1, "hidden": 1, "results": []}
    expected = {"kind": "folder", "source": str(folder), "found": COLOURS, "passed_over": passed_over}
    expected |= {"configuration": None, "split": None, "column": None}
    assert about == expected | {"limit": 5, "seed": 2, "preprocessing": settings}
    assert len(source) == 5

    splits = [open_images(f"{data_set}:{split}", RGB).description for split in ("train", "validation")]
    assert [about["split"] for about in splits] == ["train", "validation"]
    assert {about["column"] for about in splits} == {"image"}
    photographs = open_images("photographs", RGB).description
    assert (photographs["found"], photographs["limit"]) == (7, 48)
    assert json.loads(json.dumps([*splits, photographs])) == [*splits, photographs]


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


def test_nothing_readable_is_an_error_at_the_end(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}.jpg").touch()
    images = open_images(str(tmp_path), RGB, batch=2)
    with pytest.raises(ValueError, match=r"none of the 7 images in .* could be read: \d\.jpg: it is empty$"):
        list(images)
    assert len(images.left_out) == 7


@pytest.mark.parametrize(
    "source",
    [
        *("", " ", "cifar", "cifar:test", "photographs:train"),
        *("./a", "../a", "~/a", ".a/b", "a/", "/a", "/a/b", "a/b/c/d", "a\\b", "C:\\a"),
        *("here/b", "here/b:test", "here/b/c"),
    ],
)
def test_a_path_that_is_not_there_is_never_looked_for_on_the_hub(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "README.md").write_text("of something else")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *name: pytest.fail(f"asked the hub for {name}"))
    with pytest.raises(ValueError, match=r"there is no folder .*, but images are read from a folder, from a data set"):
        open_images(source, RGB)


def test_messages_about_folders_and_data_sets(folder: Path, data_set: Path, tmp_path: Path) -> None:
    def message(source: str | Path) -> str:
        with pytest.raises(ValueError) as error:
            open_images(str(source), RGB)
        assert "\n" not in str(error.value)
        return str(error.value)

    (tmp_path / "nothing").mkdir()
    assert "there are no images in" in message(tmp_path / "nothing")
    (tmp_path / "nothing" / "photos.tar.gz").write_bytes(b"\x1f\x8b")
    assert message(tmp_path / "nothing").endswith("are needed: unpack photos.tar.gz")
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
    assert re.search("corrupt/train.parquet cannot be read .Parquet magic bytes not", message(tmp_path / "corrupt"))
    for source in (str(folder), "photographs"):
        with pytest.raises(OptionError, match="column='image' is not there, as .* has no columns"):
            open_images(source, RGB, column="image")


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
    with pytest.raises(OptionError, match=message):
        inspect.unwrap(open_images)("photographs", RGB, **options)  # unwrapped: the tests' type checker comes first


def test_waited_is_the_time_that_the_consumer_spent_in_waiting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count()  # every look at it takes a second
    monkeypatch.setattr(sources, "perf_counter", lambda: next(clock))
    images = open_images(str(folder), RGB, batch=4)
    for _ in images:
        for _ in range(100):  # what the consumer does meanwhile
            next(clock)
    assert images.waited == 4  # for three batches, and to hear that there are no more


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
from equiscope.images.preprocessing import Preprocessing
from equiscope.images.sources import open_images
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
