"""Data sets handed over as objects: pictures and tensors, whole and as streams, and what is refused."""

import re

import datasets
import pytest
import torch
from PIL import Image

from colours import RGB, colour, numbers
from equiscope.images.batches import count_of, from_place, opened, same_again
from equiscope.images.hugging_face import DECLARED, UNDECLARED, adopted
from equiscope.images.preprocessing import Preprocessing, SizeError
from equiscope.images.sources import open_images

IMAGE = datasets.Features(image=datasets.Image())


def nothing() -> None:
    """No preprocessing is declared."""


def pictures(*given: object, column: str = "image", **others: list[object]) -> datasets.Dataset:
    """Of colours by number, or of bytes."""
    images = [Image.new("RGB", (4, 6), colour(one)) if isinstance(one, int) else {"bytes": one} for one in given]
    kinds = datasets.Features({column: datasets.Image()})
    table = datasets.Dataset.from_dict({column: images}, features=kinds)
    return table.add_column("label", [str(number) for number in range(len(given))])


def seen(images: object) -> list[int]:
    return [number for batch in opened(images)[1] for number in numbers(batch)]


def test_pictures_are_scaled_and_keep_their_order() -> None:
    table = pictures(3, 1, b"broken", 2)
    with pytest.warns(UserWarning, match="scaled to values from 0 to 1 and not normalised"):
        images = adopted(table, nothing)
    assert opened(images)[0] == (3, 6, 4) and count_of(images) == 4 and same_again(images)
    assert seen(images) == [3, 1, 2] == seen(images)
    assert numbers(torch.cat(list(from_place(images, 3)))) == [2]
    assert [one.name for one in images.left_out] == ["row 2"]
    with pytest.warns(UserWarning, match=re.escape(UNDECLARED)):
        turned = adopted(table.select([1, 0]), nothing)
    assert seen(turned) == [1, 3]


def test_pictures_are_preprocessed_as_the_network_declares() -> None:
    with pytest.warns(UserWarning, match=DECLARED.format(height=2, width=3).split(";")[0]):
        images = adopted(pictures(1), lambda: Preprocessing((2, 3), (0.5,), (0.5,)))
    assert opened(images)[0] == (1, 2, 3)


def test_pictures_of_several_sizes_are_refused() -> None:
    table = datasets.Dataset.from_dict({"image": [Image.new("L", (4, size)) for size in (4, 5)]}, features=IMAGE)
    with pytest.warns(UserWarning, match=re.escape(UNDECLARED)):
        images = adopted(table, nothing)
    with pytest.raises(SizeError, match=r"one is 5 x 4, the first 4 x 4; es.open_images.dataset, preprocessing."):
        list(opened(images)[1])


def as_tensors(row: dict[str, object]) -> dict[str, object]:
    return {
        "pixel_values": [torch.full((3, 4, 4), 20 * int(label) / 255) for label in row["label"]],
        "label": row["label"],
    }


def test_tensors_are_given_as_they_are() -> None:
    images = adopted(pictures(5, 6).with_transform(as_tensors), nothing)
    assert count_of(images) == 2 and seen(images) == [0, 1]
    arrays = datasets.Dataset.from_dict(
        {"x": torch.rand(3, 1, 4, 4).numpy()}, features=datasets.Features(x=datasets.Array3D((1, 4, 4), "float32"))
    )
    assert opened(adopted(arrays, nothing))[0] == (1, 4, 4)


def test_streams_are_read_as_they_come() -> None:
    stream = pictures(3, b"broken", 2).to_iterable_dataset()
    with pytest.warns(UserWarning, match=re.escape(UNDECLARED)):
        images = adopted(stream, nothing)
    assert count_of(images) is None
    assert seen(images) == [3, 2] == seen(images)
    assert [one.name for one in images.left_out] == ["row 1"]
    assert images.losses[0].startswith("1 of 3 images could not be read")

    def rows() -> object:
        for number in (4, 1):
            yield {"picture": Image.new("RGB", (4, 4), colour(number)), "label": number}

    with pytest.warns(UserWarning, match=re.escape(UNDECLARED)):
        assert seen(adopted(datasets.IterableDataset.from_generator(rows), nothing)) == [4, 1]
    tensors = pictures(5, 6).to_iterable_dataset().map(as_tensors, batched=True, remove_columns=["image"])
    assert seen(adopted(tensors, nothing)) == [0, 1]


def test_several_splits_and_rows_without_an_image_are_refused() -> None:
    for kind in (datasets.DatasetDict, datasets.IterableDatasetDict):
        with pytest.raises(ValueError, match=rf"A {kind.__name__} holds splits \(a, b\), .* as in dataset\['a'\]"):
            adopted(kind(a=None, b=None), nothing)
    words = "hold no picture and no tensor .* but label .str"
    for table in (
        datasets.Dataset.from_dict({"label": ["a"]}),
        datasets.Dataset.from_dict({"label": ["a"]}).to_iterable_dataset(),
    ):
        with pytest.raises(ValueError, match=words):
            opened(adopted(table, nothing))
    both = {name: [Image.new("RGB", (4, 4), colour(1))] for name in ("image", "mask")}
    kinds = datasets.Features(image=datasets.Image(), mask=datasets.Image())
    two = datasets.Dataset.from_dict(both, features=kinds)
    with pytest.warns(UserWarning) as warned:
        assert seen(adopted(two, nothing)) == [1]
    assert str(warned[0].message) == "Of the data set is read: column image (of image, mask)."
    with pytest.raises(ValueError, match="several columns of images .first, mask.; give it with one of them"):
        adopted(two.rename_column("image", "first"), nothing)


def test_the_reader_of_folders_takes_them_too() -> None:
    table = pictures(*range(5))
    images = open_images(table, RGB, limit=3, seed=1)
    assert len(set(numbers(torch.cat(list(images))))) == 3 == len(images)
    assert images.description["source"] == "Dataset" and images.description["column"] == "image"
    stream = open_images(table.to_iterable_dataset(), RGB, limit=3)
    assert numbers(torch.cat(list(stream))) == [0, 1, 2] and stream.description["column"] == "image"
