"""Batches: whose length is believed, and whose is not; and which of the tensors of a batch are its images."""

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SubsetRandomSampler, TensorDataset

from equiscope.images.batches import count_of, opened

IMAGES = torch.zeros(64, 1, 2, 2)
DATASET = TensorDataset(IMAGES)


class Batches:
    """A loader of someone's own, whose length is its batches."""

    def __len__(self) -> int:
        return 8

    def __iter__(self):
        return iter(IMAGES.split(8))


class Shard(DataLoader):
    """A loader that gives one process's part, and knows the Dataset of all."""

    def __iter__(self):
        return iter(list(super().__iter__())[::2])


class Stream(IterableDataset):
    def __len__(self) -> int:
        return 64

    def __iter__(self):
        return iter(IMAGES)


class OfBatches(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, place: int) -> torch.Tensor:
        return IMAGES[8 * place : 8 * place + 8]


class Unknown(Dataset):
    def __getitem__(self, place: int) -> torch.Tensor:
        return IMAGES[place]


COUNTS = {
    "a tensor": (IMAGES, 64),
    "a Dataset": (DATASET, 64),
    "a loader": (DataLoader(DATASET, batch_size=7), 64),
    "a loader of rows": (DataLoader(datasets.Dataset.from_dict({"x": [1.0] * 9}).with_format("torch")), 9),
    "a loader that shuffles": (DataLoader(DATASET, batch_size=7, shuffle=True), 64),
    "a loader of some": (DataLoader(DATASET, sampler=SubsetRandomSampler(range(9))), None),
    "a loader that draws": (DataLoader(DATASET, sampler=RandomSampler(DATASET, replacement=True)), None),
    "a loader that draws few": (DataLoader(DATASET, sampler=RandomSampler(DATASET, num_samples=3)), None),
    "a loader that drops": (DataLoader(DATASET, batch_size=7, drop_last=True), None),
    "a loader that chooses": (DataLoader(DATASET, collate_fn=lambda rows: rows[0][0][None]), None),
    "a loader of batches": (DataLoader(OfBatches(), batch_size=None), None),
    "a loader of a part": (Shard(DATASET, batch_size=8), None),
    "a loader of a stream": (DataLoader(Stream()), None),
    "a loader of one's own": (Batches(), None),
    "a stream": (Stream(), None),
    "a Dataset of no length": (Unknown(), None),
    "a list of batches": (list(IMAGES.split(8)), None),
}


@pytest.mark.parametrize("name", COUNTS)
def test_a_length_is_believed_where_it_is_of_images(name):
    images, count = COUNTS[name]
    assert count_of(images) == count


PICTURES, MASKS, LABELS = torch.rand(6, 3, 8, 8), torch.rand(6, 1, 8, 8), torch.arange(6)


def loader(*tensors):
    return DataLoader(TensorDataset(*tensors), batch_size=4)


@pytest.mark.parametrize(
    "batches", [loader(PICTURES, LABELS), [{"label": LABELS, "image": PICTURES}], loader(PICTURES)]
)
def test_labels_are_dropped(batches):
    shape, found = opened(batches)
    assert shape == (3, 8, 8) and torch.equal(torch.cat(list(found)), PICTURES)


@pytest.mark.parametrize(
    ("batches", "first"),
    [
        (loader(PICTURES, MASKS), "batch[0] of shape [4, 3, 8, 8] and batch[1] of shape [4, 1, 8, 8]"),
        (loader(PICTURES, PICTURES.flip(-1), LABELS), "batch[0] of shape [4, 3, 8, 8] and batch[1] of shape"),
        (
            [[[PICTURES, PICTURES.flip(-1)], LABELS, ["names"] * 6]],
            "batch[0][0] of shape [6, 3, 8, 8] and batch[0][1] of",
        ),
        ([{"image": PICTURES, "mask": MASKS}], "batch['image'] of shape [6, 3, 8, 8] and batch['mask'] of shape"),
    ],
    ids=["an image and a mask", "two views", "two views in a list", "a dict"],
)
def test_of_several_one_is_to_be_chosen(batches, first):
    with pytest.raises(ValueError, match="Choose one, as") as raised:
        opened(batches)
    assert f"this one holds {first}" in str(raised.value)
    chosen = str(raised.value).partition("as (")[2].partition(")")[0]
    assert torch.equal(torch.cat(list(opened(eval(f"({chosen})", {"images": batches}))[1])), PICTURES)


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (PICTURES[0], r"this one holds a tensor of shape \[3, 8, 8\]\.$"),
        (
            np.zeros((8, 8, 3)),
            r"a NumPy array of shape \[8, 8, 3\]; give torch.from_numpy of it, its axes in that order",
        ),
        ({"image": np.zeros((6, 8, 8, 3), np.uint8), "label": LABELS}, r"a NumPy array of shape \[6, 8, 8, 3\]; give"),
        ([Image.new("L", (8, 8))], "holds a picture; es.open_images reads pictures"),
        (PICTURES.to(torch.uint8), "normalised floating-point tensors; these are torch.uint8"),
    ],
    ids=["one image", "an array", "arrays and labels", "pictures", "bytes"],
)
def test_batches_of_something_else_are_told_with_what_to_do(batch, words):
    with pytest.raises(ValueError, match=words):
        opened([batch])
