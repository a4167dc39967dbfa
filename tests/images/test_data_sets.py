"""Data sets: their splits, their rows, broken ones too, and the hub that they may be on."""

import socket
from dataclasses import replace
from pathlib import Path

import datasets
import huggingface_hub
import pytest
import torch
from PIL import Image

from colours import COLOURS, GREY, RGB, colour, everything, numbers
from equiscope.images.preprocessing import Preprocessing
from equiscope.images.sources import LeftOut, open_images
from equiscope.system import hub


def test_a_data_set_with_broken_rows(data_set: Path) -> None:
    images = open_images(f"{data_set}:train", RGB)
    assert sorted(numbers(torch.cat(list(images)))) == sorted(set(range(COLOURS)) - {2, 5})
    unread = LeftOut("row 2", "it is not an image that Pillow can identify")
    assert sorted(images.left_out) == [unread, LeftOut("row 5", "there is no image in it")]


def test_a_split_is_taken_from_the_end_of_a_name(data_set: Path, tmp_path: Path) -> None:
    order = {split: numbers(everything(f"{data_set}:{split}")) for split in ("train", "validation")}
    assert numbers(everything(data_set)) == order["validation"]  # there is no test
    assert order["train"] != order["validation"]
    odd = tmp_path / "a:train"
    odd.mkdir()
    Image.new("RGB", (4, 4), colour(3)).save(odd / "x.png")
    assert numbers(everything(odd)) == [3]


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


def refused(*given: object) -> None:
    raise OSError(101, "Network is unreachable")


def test_a_hub_out_of_reach_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hub, "getproxies", dict)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "create_connection", refused)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"could not be loaded \(huggingface\.co cannot be reached: Network"):
        open_images("nobody/no-such-set", RGB)


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
    "name, preprocessing, found, split, column",
    [
        ("imagenet-800", replace(RGB, size=(224, 224), resize=256), 800, "validation", "image"),
        ("mnist", replace(GREY, size=(28, 28)), 10_000, "test", "image"),
        ("cifar10", replace(RGB, size=(32, 32)), 10_000, "test", "img"),
    ],
)
def test_real_data_sets(
    data: Path, name: str, preprocessing: Preprocessing, found: int, split: str, column: str
) -> None:
    images = open_images(str(data / name), preprocessing, limit=20, batch=8)
    about = images.description
    assert (about["found"], about["split"], about["column"]) == (found, split, column)
    batches = list(images)
    assert [len(batch) for batch in batches] == [8, 8, 4]
    assert images.left_out == []
    assert 0.05 < torch.cat(batches).std() < 0.5
