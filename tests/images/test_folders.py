"""Folders of images: every file once, whatever its name and however it is linked."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from colours import COLOURS, RGB, colour, everything, numbers
from equiscope.images.sources import LeftOut, open_images


def test_every_image_of_a_folder_comes_once_and_not_in_the_order_of_names(folder: Path) -> None:
    seen = numbers(everything(folder))
    assert sorted(seen) == list(range(COLOURS))
    assert seen not in (sorted(seen), sorted(seen)[::-1])


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
