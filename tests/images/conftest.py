"""Eleven images of a known colour, in a folder and in a data set."""

from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from PIL import Image

from colours import COLOURS, colour


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
    kinds = datasets.Features(label=datasets.Value("int64"), image=datasets.Image(), other=datasets.Image())
    for split, places in (("train", range(COLOURS)), ("validation", range(COLOURS - 1, -1, -1))):
        seen: list[dict[str, bytes] | None] = [{"bytes": files[place].read_bytes()} for place in places]
        seen[2], seen[5] = {"bytes": b"broken"}, None
        columns = {"label": list(places), "image": seen, "other": [{"bytes": b"unread"}] * COLOURS}
        root.mkdir(exist_ok=True)
        table = datasets.Dataset.from_dict(columns, features=kinds)
        table.to_parquet(root / f"{split}-00000-of-00001.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield root
