"""Folders of images: every file is read, left out with its reason, or passed over, however it is named and linked."""

import builtins
import importlib
import json
import os
import socket
from pathlib import Path

import pytest
import torch
from PIL import Image

from colours import COLOURS, RGB, colour, everything, numbers
from equiscope.figures.style import Plot
from equiscope.images import folders
from equiscope.images.sources import LeftOut, open_images

HEIC = b"\x00\x00\x00\x1cftypheic\x00\x00\x00\x00mif1heic"


def image(path: Path, number: int, kind: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), colour(number)).save(path, kind)
    return path


def test_every_image_of_a_folder_comes_once_and_not_in_the_order_of_names(folder: Path) -> None:
    seen = numbers(everything(folder))
    assert sorted(seen) == list(range(COLOURS))
    assert seen not in (sorted(seen), sorted(seen)[::-1])


def test_files_are_images_by_their_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("photo", "scan.jpeg_large", "IMG_1.JPG.bak", "0001.blob", "a.txt")
    for number, name in enumerate(names):
        image(tmp_path / name, number, "PNG")
    image(tmp_path / "misnamed.jpg", 5, "TIFF")
    for name in ("one.HEIC", "two.heic", "three.jpg", "four"):
        (tmp_path / name).write_bytes(HEIC)
    (tmp_path / "text.gif").write_text("hello")
    for name in ("Thumbs.db", "labels.csv", "movie.mp4"):
        (tmp_path / name).write_bytes(b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomavc1")
    (tmp_path / ".DS_Store").touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    images = open_images(str(tmp_path), RGB)
    assert sorted(numbers(torch.cat(list(images)))) == list(range(6))
    heic = "it is HEIC, which the package pillow-heif reads: pip install pillow-heif"
    assert sorted(images.left_out) == [
        *(LeftOut(name, heic) for name in ("four", "one.HEIC")),
        LeftOut("text.gif", "it is not an image that Pillow can identify"),
        *(LeftOut(name, heic) for name in ("three.jpg", "two.heic")),
    ]
    assert images.description["passed_over"] == {"no_image": 3, "hidden": 1, "results": []}
    assert images.choices == ("3 files passed over as no images: Thumbs.db, labels.csv, movie.mp4.",)
    assert images.losses[0].startswith("5 of 11 images could not be read and were left out: ")


def test_heic_is_read_where_its_package_is_there(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    photo = Image.new("RGB", (64, 48), colour(3))
    exif = photo.getexif()
    exif[0x0112] = 6
    pillow_heif.from_pillow(photo).save(tmp_path / "photo.jpg", exif=exif.tobytes(), quality=100)
    registered = dict(Image.OPEN)
    assert numbers(everything(tmp_path)) == [3]
    assert registered == Image.OPEN


def test_what_is_no_file_is_named_or_passed_over_and_never_opened(tmp_path: Path) -> None:
    image(tmp_path / "photo.png", 1)
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "loop.png").symlink_to("loop.png")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(tmp_path / "socket.tif"))
        images = open_images(str(tmp_path), RGB)
        assert numbers(torch.cat(list(images))) == [1]
    left_out = dict(images.left_out)
    assert left_out.pop("loop.png").startswith("Too many levels of symbolic links")
    assert left_out == {
        "device.jpg": "it is a device, not a file",
        "pipe.png": "it is a named pipe, not a file",
        "socket.tif": "it is a socket, not a file",
    }
    assert images.choices == ("1 file passed over as no image: pipe.",)


def result(place: Path) -> None:
    """A folder as a measurement leaves it."""
    image(place / "figure.png", 9)
    (place / "manifest.json").write_text(json.dumps({"format": 2, "versions": {"equiscope": "0.2"}}))
    (place / "scores.parquet").write_bytes(b"PAR1")


def test_what_this_program_wrote_is_never_read(tmp_path: Path) -> None:
    image(tmp_path / "photo.png", 1)
    result(tmp_path / "out" / "lite0")
    image(tmp_path / "out" / "lite0" / "more" / "plot.png", 9)
    image(tmp_path / "web" / "icon.png", 2)
    (tmp_path / "web" / "manifest.json").write_text('{"icons": ["icon.png"]}')  # of something else
    Plot(figsize=(1, 1)).save(tmp_path / "drawn.png")
    images = open_images(str(tmp_path), RGB)
    assert sorted(numbers(torch.cat(list(images)))) == [1, 2]
    assert images.left_out == [LeftOut("drawn.png", "it is a figure that equiscope drew")]
    assert images.choices[0] == "Results of equiscope are not read as images: out/lite0."
    result(tmp_path)  # written with --force into the folder of photographs
    assert open_images(str(tmp_path), RGB).description["found"] == 3
    result(tmp_path / "alone")
    with pytest.raises(ValueError, match=r"no images in .*; results of equiscope in \."):
        open_images(str(tmp_path / "alone"), RGB)


@pytest.mark.parametrize("backwards", [False, True])
def test_names_do_not_depend_on_the_order_in_which_links_are_listed(
    backwards: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, away = tmp_path / "root", tmp_path / "away"
    image(root / "z" / "own.png", 1)
    image(away / "all.png", 2)
    image(away / "part" / "some.png", 3)
    for link, target in (("a", root / "z"), ("b", away / "part"), ("c", away), ("d", away), ("up", root)):
        (root / link).symlink_to(target)
    (root / "z" / "back").symlink_to(root)
    listed = folders._entries
    monkeypatch.setattr(folders, "_entries", lambda place: sorted(listed(place), key=str, reverse=backwards))
    assert folders.listing(str(root)).images == ["c/all.png", "c/part/some.png", "z/own.png"]


def test_what_cannot_be_looked_into_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `lost+found` at the root of a disk, and files of someone else's."""
    for number, name in enumerate(("own.png", "theirs", "lost+found/1.png")):
        image(tmp_path / name, number, "PNG")
    listed, opened = folders._entries, open

    def entries(place: str) -> object:
        if place.endswith("lost+found"):
            raise PermissionError(13, "Permission denied", place)
        return listed(place)

    def refuse(path: object, *given: object, **named: object) -> object:
        if str(path).endswith("theirs"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *given, **named)

    monkeypatch.setattr(folders, "_entries", entries)
    monkeypatch.setattr(builtins, "open", refuse)
    images = open_images(str(tmp_path), RGB)
    assert numbers(torch.cat(list(images))) == [0]
    assert images.left_out == [LeftOut("theirs", "Permission denied")]
    told = "lost+found (Permission denied)"
    assert images.choices == (f"1 folder could not be listed: {told}.",)
    assert images.description["passed_over"] == {"no_image": 0, "hidden": 0, "results": [], "unlisted": [told]}


def test_several_pages_or_frames_are_said(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (4, 4), colour(number)) for number in range(3)]
    for name in ("scan.tif", "moving.gif", "moving.webp", "moving.png"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    image(tmp_path / "still.png", 4)
    images = open_images(str(tmp_path), RGB)
    assert len(list(images)[0]) == 5
    (told,) = images.losses
    assert told.startswith("Of 4 images with several pages or frames the first was read: ")
    assert all(f"{name} (3)" in told for name in ("scan.tif", "moving.gif", "moving.webp", "moving.png"))


def test_names_that_are_no_text(tmp_path: Path) -> None:
    image(tmp_path / "x.png", 1)
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")).touch()
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    images = open_images(str(tmp_path), RGB)
    assert numbers(torch.cat(list(images))) == [1]
    assert images.left_out == [LeftOut(r"\xff.jpg", "it is empty")]
