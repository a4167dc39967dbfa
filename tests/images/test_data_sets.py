"""Data sets: their splits, their rows, broken ones too, and the hub that they may be on."""

import io
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image

from colours import COLOURS, GREY, RGB, colour, everything, numbers
from equiscope.images.preprocessing import Preprocessing
from equiscope.images.sources import LeftOut, open_images
from equiscope.system import hub
from equiscope.system.errors import OptionError


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


class Hub:
    """Stands for the hub: a data set of two configurations and two splits, of which one is broken."""

    def __init__(self, fetched: Path) -> None:
        self.asked: list[object] = []
        self.cache_dir = str(fetched)
        self.builder_configs = {"plain": None, "large": None}
        self.info = SimpleNamespace(splits=None)

    def builder(self, name: str, configuration: str | None) -> "Hub":
        self.asked.append((name, configuration))
        self.config = SimpleNamespace(
            name=configuration or "plain", data_files={"train": ["hf://train"], "test": ["hf://test"]}
        )
        return self

    def load(self, name: str, configuration: str | None, *, split: str, **given: object) -> datasets.Dataset:
        self.asked.append((name, configuration, split, given))
        table = {"image": [Image.new("RGB", (4, 4), colour(number)) for number in range(3)]}
        return datasets.Dataset.from_dict(table, features=datasets.Features(image=datasets.Image()))


@pytest.fixture
def on_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    stand_in = Hub(tmp_path / "fetched")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset_builder", stand_in.builder)
    monkeypatch.setattr(datasets, "load_dataset", stand_in.load)
    monkeypatch.setattr(hub, "_hindrance", lambda address: None)
    return stand_in


def test_of_a_data_set_on_the_hub_only_the_split_is_fetched(on_hub: Hub) -> None:
    images = open_images("owner/na.me-1", RGB)
    only = {"data_files": {"test": ["hf://test"]}, "verification_mode": "no_checks"}
    assert on_hub.asked == [("owner/na.me-1", None), ("owner/na.me-1", None, "test", only)]
    assert images.choices == (
        "Of the data set 'owner/na.me-1' is read: configuration plain (of plain, large), split test (of train, test).",
    )
    on_hub.asked.clear()
    Path(on_hub.cache_dir).mkdir()  # all of it was fetched before
    images = open_images("owner/name/large:train", RGB)
    assert on_hub.asked == [("owner/name", "large"), ("owner/name", "large", "train", {})]
    assert images.choices == () and images.description["configuration"] == "large"
    assert sorted(numbers(torch.cat(list(images)))) == [0, 1, 2]


def test_what_the_hub_refuses_is_told_by_its_innermost_cause(on_hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> None:
        try:
            raise PermissionError(13, "Permission denied", "/cache/of data.lock")
        except OSError as error:
            raise datasets.exceptions.DatasetGenerationError("An error occurred\nwhile generating") from error

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(ValueError) as error:
        open_images("o/n:train", RGB)
    assert str(error.value) == "the data set 'o/n' could not be loaded (/cache/of data.lock: Permission denied)"

    def absent(*given: object) -> None:
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'o/n' doesn't exist on the Hub.")

    monkeypatch.setattr(datasets, "load_dataset_builder", absent)
    with pytest.raises(
        ValueError, match=r"doesn't exist on the Hub\): check its name; where it is private or gated, log"
    ):
        open_images("o/n:train", RGB)
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


def coloured(*given: int, **others: object) -> datasets.Dataset:
    """A data set of images of these colours, and of other columns."""
    images = [Image.new("RGB", (4, 4), colour(number)) for number in given]
    features = datasets.Features(image=datasets.Image()) | {
        name: datasets.Image() if name.endswith("image") else datasets.Value("int64") for name in others
    }
    return datasets.Dataset.from_dict({"image": images, **others}, features=datasets.Features(features))


def seen(source: object, **options: object) -> list[int]:
    """Which colours the images have, sorted."""
    return sorted(numbers(torch.cat(list(open_images(source, RGB, **options)))))


CARD = """---
configs:
- config_name: small
  data_files: [{split: train, path: few.parquet}, {split: test, path: no.parquet}]
- config_name: large
  data_files: [{split: train, path: many.parquet}]
---
"""


@pytest.mark.usefixtures("data_set")  # whose cache is a temporary one
def test_configurations_of_a_folder(tmp_path: Path) -> None:
    coloured(1, 2).to_parquet(tmp_path / "few.parquet")
    coloured(3, 4, 5).to_parquet(tmp_path / "many.parquet")
    (tmp_path / "no.parquet").write_text("broken, and not asked for")
    (tmp_path / "README.md").write_text(CARD)
    assert seen(f"{tmp_path}/small:train") == [1, 2]
    assert seen(f"{tmp_path}/large") == [3, 4, 5]
    either = f"write {tmp_path}/small or {tmp_path}/large"
    with pytest.raises(ValueError, match=f"which configuration of '{tmp_path}' to read is not clear: {either}"):
        open_images(str(tmp_path), RGB)
    with pytest.raises(ValueError, match="there is no folder '.*/medium'"):
        open_images(f"{tmp_path}/medium", RGB)
    with pytest.raises(ValueError) as error:
        open_images(f"{tmp_path}/small:test", RGB)
    assert str(error.value).startswith(f"{tmp_path}/no.parquet cannot be read (Parquet magic bytes not found")


@pytest.mark.usefixtures("data_set")
def test_only_the_split_and_the_column_are_read_wherever_the_folder_lies(tmp_path: Path) -> None:
    folder = tmp_path / "[a] * b?"
    (folder / "data").mkdir(parents=True)
    coloured(1, 2).to_parquet(folder / "data" / "train-00000-of-00002.parquet")
    coloured(3).to_parquet(folder / "data" / "train-00001-of-00002.parquet")
    (folder / "data" / "test-00000-of-00001.parquet").write_bytes(b"PAR1 is all there is")
    os.mkfifo(folder / "data" / "validation-00000-of-00001.parquet")
    images = open_images(f"{folder}:train", RGB)
    assert sorted(numbers(torch.cat(list(images)))) == [1, 2, 3]
    with pytest.raises(ValueError, match="validation-00000-of-00001.parquet cannot be read .it is a named pipe"):
        open_images(f"{folder}:validation", RGB)


@pytest.mark.usefixtures("data_set")
def test_files_that_were_replaced_are_read_anew(tmp_path: Path) -> None:
    for suffix in ("parquet", "arrow"):
        file = tmp_path / suffix / f"train.{suffix}"
        file.parent.mkdir()
        for number in (1, 2):
            table = coloured(number)
            if suffix == "parquet":
                table.to_parquet(file)
            else:
                with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.data.schema) as writer:
                    writer.write(table.data.table)
            os.utime(file, (1, 1))  # the time is the same, the size most likely too
            assert seen(str(file.parent)) == [number]


def test_what_save_to_disk_wrote_is_read(tmp_path: Path) -> None:
    coloured(1, 2).save_to_disk(tmp_path / "one")
    assert seen(str(tmp_path / "one")) == [1, 2]
    with pytest.raises(ValueError, match="'.*one' is a single split, as it was saved: write it without :test"):
        open_images(f"{tmp_path}/one:test", RGB)
    datasets.DatasetDict(train=coloured(1, 2, 3), test=coloured(4)).save_to_disk(tmp_path / "two")
    next((tmp_path / "two" / "test").glob("*.arrow")).write_text("broken")
    assert seen(f"{tmp_path}/two:train") == [1, 2, 3]
    with pytest.raises(ValueError, match=r"'.*two' could not be loaded \(.*Arrow"):
        open_images(str(tmp_path / "two"), RGB)


@pytest.mark.usefixtures("data_set")
def test_of_several_columns_one_is_asked_for_or_says_that_it_is_the_image(tmp_path: Path) -> None:
    table = coloured(1, 2, mask_image=[Image.new("RGB", (4, 4), colour(9))] * 2, label=[1, 2])
    table.select_columns(["mask_image", "image", "label"]).to_parquet(tmp_path / "train.parquet")
    images = open_images(str(tmp_path), RGB)
    assert images.choices == (f"Of the data set '{tmp_path}' is read: column image (of mask_image, image).",)
    assert seen(str(tmp_path)) == [1, 2] and seen(str(tmp_path), column="mask_image") == [9, 9]
    assert open_images(str(tmp_path), RGB, column="image").choices == ()
    for column, why in (("label", "holds no images"), ("depth", "is not there")):
        with pytest.raises(OptionError, match=f"column='{column}' {why} in the data set .* mask_image, image"):
            open_images(str(tmp_path), RGB, column=column)
    table.rename_column("image", "first_image").to_parquet(tmp_path / "train.parquet")
    with pytest.raises(OptionError, match="several columns of images .* name one, as in column=first_image"):
        open_images(str(tmp_path), RGB)


@pytest.mark.usefixtures("data_set")
def test_columns_of_bytes_hold_images_by_their_content(tmp_path: Path) -> None:
    encoded = io.BytesIO()
    Image.new("RGB", (4, 4), colour(5)).save(encoded, "PNG")
    table = pa.table({"key": [b"0", b"1"], "picture": [None, encoded.getvalue()]})  # as pandas and others write them
    parquet.write_table(table, tmp_path / "train.parquet")
    assert seen(str(tmp_path)) == [5]


@pytest.mark.usefixtures("data_set")
def test_a_folder_of_images_with_tables_of_something_else(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "both")
    datasets.Dataset.from_dict({"label": [1]}).to_parquet(tmp_path / "both" / "labels.parquet")
    images = open_images(str(tmp_path / "both"), RGB)
    assert (images.description["kind"], images.description["found"]) == ("folder", COLOURS)
    assert images.choices == ("2 files passed over as no images: labels.parquet, notes.txt.",)
    coloured(1).to_parquet(tmp_path / "both" / "labels.parquet")
    images = open_images(str(tmp_path / "both"), RGB)
    assert images.description["kind"] == "data set"
    assert images.choices[0].startswith(f"{COLOURS} files passed over beside the data set: a b/no 1")


@pytest.mark.usefixtures("data_set")
def test_tables_beside_a_data_set_are_passed_over_and_parts_that_are_missing_said(tmp_path: Path) -> None:
    coloured(1, 2).to_parquet(tmp_path / "photos-00001-of-00003.parquet")
    (tmp_path / "compared").mkdir()
    for name in ("labels", "compared/data"):  # the latter is what `equiscope compare` writes
        datasets.Dataset.from_dict({"score": [0.5]}).to_parquet(tmp_path / f"{name}.parquet")
    images = open_images(str(tmp_path), RGB)
    assert sorted(numbers(torch.cat(list(images)))) == [1, 2]
    assert images.choices == (
        "Of the 3 files of the split train, 1 is there.",
        "2 files passed over beside the data set: compared/data.parquet, labels.parquet.",
    )
    assert images.description["passed_over"]["no_image"] == 2


@pytest.mark.usefixtures("data_set")
def test_a_cache_that_cannot_be_written_is_told_with_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coloured(1).to_parquet(tmp_path / "train.parquet")
    (tmp_path / "cache").touch()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    told = "cache/equiscope cannot be written to .Not a directory.*: set HF_DATASETS_CACHE to another folder"
    with pytest.raises(ValueError, match=told):
        open_images(str(tmp_path), RGB)


@pytest.mark.usefixtures("data_set")
def test_a_split_without_rows_and_one_that_is_not_clear(tmp_path: Path) -> None:
    for split in ("first", "second"):
        (tmp_path / "data").mkdir(exist_ok=True)
        coloured().to_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=f"which split of .* is not clear: write {tmp_path}:first or {tmp_path}:sec"):
        open_images(str(tmp_path), RGB)
    with pytest.raises(ValueError, match="the split 'second' of .* is empty.*: try first, second"):
        open_images(f"{tmp_path}:second", RGB)


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
