"""The packaged photographs: random crops, upright, in colour, and never two of one photograph in a row."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from colours import RGB, colour, everything, numbers
from equiscope.images import photographs
from equiscope.images.sources import open_images


def packaged(patch: pytest.MonkeyPatch, root: Path, *pictures: Image.Image) -> None:
    """These photographs in place of those that scikit-image and scikit-learn ship."""
    (root / "album").mkdir()
    (root / "album" / "__init__.py").touch()
    for number, picture in enumerate(pictures):
        picture.save(root / "album" / f"{number}.png")
    patch.syspath_prepend(root)
    patch.setattr(photographs, "_PACKAGED", [("album", f"{number}.png") for number in range(len(pictures))])


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
