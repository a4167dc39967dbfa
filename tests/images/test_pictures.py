"""What images are is their content: not their names, sizes or times, and not the order in which they are read."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from colours import RGB, colour
from equiscope.images.sources import ImageSource, open_images
from equiscope.system.provenance import Contents


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images and one that is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(6):
        Image.new("RGB", (5, 5), colour(number)).save(folder / f"{number}.bmp")
    (folder / "6.bmp").write_bytes(b"BM, and no more")
    return folder


def read(folder: Path, **options: int) -> ImageSource:
    source = open_images(str(folder), RGB, **options)
    list(source)
    return source


def test_what_was_read_is_what_is_there(folder: Path) -> None:
    source = read(folder, batch=2)
    assert source.contents_read() == source.contents_now() == read(folder, batch=7).contents_read()
    assert source.contents_read().count == 7 and len(source.left_out) == 1
    unread = open_images(str(folder), RGB)
    assert unread.contents_read() == Contents() and unread.contents_now() == source.contents_now()
    parts = source.contents_read(0, 3) + source.contents_read(3)
    assert parts == source.contents_read()
    again = open_images(str(folder), RGB, batch=1)
    list(again.part(2, 4))
    assert again.contents_read() == source.contents_read(2, 4)


def test_names_and_times_tell_nothing(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    for number in range(7):
        os.utime(copy / f"{number}.bmp", (number, number))
        (copy / f"{number}.bmp").rename(copy / f"z{9 - number}.bmp")  # in another order
    found, renamed = read(folder).contents_read(), read(copy).contents_read()
    assert found.together == renamed.together and found.in_order != renamed.in_order


def test_an_image_of_the_same_name_size_and_time_is_another_one(folder: Path) -> None:
    found = read(folder).contents_read()
    size, times = (folder / "3.bmp").stat().st_size, (1, 1)
    os.utime(folder / "3.bmp", times)
    Image.new("RGB", (5, 5), colour(9)).save(folder / "3.bmp")
    os.utime(folder / "3.bmp", times)
    assert (folder / "3.bmp").stat().st_size == size
    assert read(folder).contents_read().together != found.together


def test_an_image_that_cannot_be_read_counts_by_its_bytes(folder: Path) -> None:
    found = read(folder).contents_read()
    (folder / "6.bmp").write_bytes(b"BM, and no else")
    assert read(folder).contents_read().together != found.together


def test_crops_are_told_apart_by_their_place_and_orders_by_their_seed() -> None:
    one, again, other = (open_images("photographs", RGB, limit=4, seed=seed).contents_now() for seed in (0, 0, 1))
    assert one == again and one.together != other.together


def test_what_is_no_file_is_never_opened(folder: Path) -> None:
    os.remove(folder / "6.bmp")
    os.mkfifo(folder / "6.bmp")
    assert read(folder).contents_read() == open_images(str(folder), RGB).contents_now()
