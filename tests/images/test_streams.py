"""Streams of pictures, in whatever form they come: each is read, or named with its reason."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import equiscope as es
from colours import RGB, colour, numbers
from equiscope.images.batches import count_of, opened, same_again
from equiscope.images.sources import open_images
from equiscope.system.errors import OptionError

SHOWN = [4, 0, 3, 1, 2]


def picture(number: int) -> Image.Image:
    return Image.new("RGB", (6, 5), colour(number))


def content(number: int, kind: str = "PNG") -> bytes:
    stream = BytesIO()
    picture(number).save(stream, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return stream.getvalue()


def rows(column: str = "image") -> datasets.Dataset:
    kinds = datasets.Features({column: datasets.Image(), "label": datasets.Value("string")})
    return datasets.Dataset.from_dict({column: list(map(picture, SHOWN)), "label": list("abcde")}, features=kinds)


def of_web_data_set(number: int) -> dict[str, object]:
    """A row as WebDataset gives it: named, and its parts by the suffixes of their files."""
    suffix, kind = ("png", "PNG") if number % 2 else ("webp", "WEBP")
    return {"__key__": f"shard/{number}", "__url__": "a.tar", suffix: content(number, kind), "cls": b"7"}


class Loader:
    """What is gone over in the old way, by numbers."""

    def __getitem__(self, place: int) -> tuple[Image.Image, int]:
        return picture(SHOWN[place]), 1


STREAMS = {
    "a streaming data set": lambda: rows().to_iterable_dataset(),
    "one with a column of another name": lambda: rows("scan").to_iterable_dataset(),
    "one that was mapped, so that its columns are unknown": lambda: (
        rows().to_iterable_dataset().map(lambda row: row | {"more": 1})
    ),
    "one in NumPy's format": lambda: rows().to_iterable_dataset().with_format("numpy"),
    "a generator of pictures": lambda: (picture(number) for number in SHOWN),
    "of contents": lambda: map(content, SHOWN),
    "of pictures and labels": lambda: ((picture(number), 3) for number in SHOWN),
    "of a WebDataset": lambda: map(of_web_data_set, SHOWN),
    "decoded": lambda: ({"jpg": picture(number), "json": {"a": 1}} for number in SHOWN),
    "of pixels": lambda: (np.asarray(picture(number)) for number in SHOWN),
    "of pixels and labels": lambda: ({"jpg": np.asarray(picture(number)), "cls": 1} for number in SHOWN),
    "with masks": lambda: ((picture(number), np.zeros((5, 6), np.uint8)) for number in SHOWN),
    "a list": lambda: list(map(picture, SHOWN)),
    "by numbers": Loader,
}


@pytest.mark.parametrize("kind", STREAMS)
def test_whatever_gives_pictures_is_read_in_its_own_order(kind: str) -> None:
    images = open_images(STREAMS[kind](), RGB, batch=2)
    assert count_of(images) is None
    assert opened(images)[0] == (3, 4, 4)
    once = isinstance(STREAMS[kind](), Iterator)
    assert (iter(images) is images) == once != same_again(images)
    images = open_images(STREAMS[kind](), RGB, batch=2)
    assert [len(batch) for batch in images] == [2, 2, 1]
    assert numbers(torch.cat(list(open_images(STREAMS[kind](), RGB, limit=3)))) == SHOWN[:3]
    assert list(images) == [] if once else numbers(torch.cat(list(images))) == SHOWN
    assert images.left_out == images.losses == [] and json.loads(json.dumps(images.description)) == images.description


def test_paths_are_read_and_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOTS", str(tmp_path))
    picture(7).save(tmp_path / "a.png")
    images = open_images(iter(["$SHOTS/a.png", tmp_path / "a.png", tmp_path / "none.png"]), RGB)
    assert numbers(torch.cat(list(images))) == [7, 7]
    assert images.left_out == [(str(tmp_path / "none.png"), "No such file or directory")]


def test_rows_that_cannot_be_read_are_counted_and_named() -> None:
    broken = [{"__key__": "x", "png": b"no image"}, {"__key__": "y", "txt": b"words"}, {"png": None}]
    images = open_images([of_web_data_set(1), *broken, of_web_data_set(2)], RGB)
    for _ in range(2):
        assert numbers(torch.cat(list(images))) == [1, 2]
        assert images.left_out == [
            ("x", "it is not an image that Pillow can identify"), ("y", "there is no image in it"),
            ("row 3", "there is no image in it"),
        ]  # fmt: skip
        assert images.losses[0].startswith("3 of 5 images could not be read and were left out: x (it is")
    with pytest.raises(ValueError, match=r"none of the 2 images in list could be read: row 0: it is not an image"):
        list(open_images([b"no", b"neither"], RGB))


def test_which_column_is_read_is_told_or_asked_for() -> None:
    def both(one: str, other: str) -> list[dict[str, Image.Image]]:
        return [{one: picture(1), other: picture(2)}] * 2

    preferred = open_images(both("mask", "image"), RGB)
    assert numbers(torch.cat(list(preferred))) == [2, 2]
    assert list(preferred.choices) == ["Of the stream is read: column image (of mask, image)."]
    assert numbers(torch.cat(list(open_images(both("mask", "image"), RGB, column="mask")))) == [1, 1]
    with pytest.raises(OptionError, match=r"several columns of images \(left, right\): name one, as in column=left"):
        list(open_images(both("left", "right"), RGB))
    with pytest.raises(OptionError, match=r"column='depth' is not there .*: columns with images are left, right"):
        list(open_images(both("left", "right"), RGB, column="depth"))
    with pytest.raises(OptionError, match="column='label' holds no images in the data set 'IterableDataset'"):
        open_images(rows().to_iterable_dataset(), RGB, column="label")


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (
            iter([torch.zeros(3, 4, 4)]),
            r"row 0 of the stream is of type Tensor, float32 of shape \[3, 4, 4\], but pictures are needed",
        ),
        (
            iter([np.zeros((4, 4, 3))]),
            r"of type ndarray, float64 of shape \[4, 4, 3\], .* as arrays of uint8 \[height,",
        ),
        (iter([5]), "row 0 of the stream is no picture, but of type int"),
        (torch.zeros(2, 3, 4, 4), "an object of type Tensor was given"),
        (7, "an object of type int was given"),
        (datasets.IterableDatasetDict(a=None, b=None), r"holds splits \(a, b\), and one of them is needed"),
    ],
)
def test_what_is_no_stream_of_pictures_is_refused(stream: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        list(open_images(stream, RGB))


@pytest.mark.filterwarnings("ignore:.*the edge of the search")
def test_a_stream_is_measured_and_where_it_must_be_read_twice_and_cannot_be_that_is_said(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())

    def measured(images: object, **more: object) -> es.Scores:
        return es.measure(network, open_images(images, RGB, batch=7), "rot90", layers="1", **more)

    shades = [Image.linear_gradient("L").rotate(17 * number) for number in range(24)]
    registered = {"scoring": es.Scoring(alignment="registered", registration_images=8)}
    broken = [*shades[:3], b"", *shades[3:]]
    for more in ({}, registered):
        again, once = measured(broken, **more), measured(iter(broken), **more)
        assert again.scores.equals(once.scores) and again.manifest["data"]["fingerprint"]
        left_out = [{"image": "row 3", "reason": "it is empty"}]
        assert once.manifest["images_left_out"] == left_out
        assert once.manifest["counts"]["given"] == 25 and once.manifest["counts"]["read"] == 24
    needed = "needs images that can be gone over again"
    for given in (
        {"run": es.Run(checkpoint=tmp_path / "state")},
        {"baseline": nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())},
    ):
        with pytest.raises(ValueError, match=needed):
            measured(iter(shades), **given)
