"""Batches: whose length is believed, and whose is not."""

import datasets
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SubsetRandomSampler, TensorDataset

from equiscope.images.batches import count_of

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
