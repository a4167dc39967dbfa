"""Accuracy on labelled photographs, upright and turned: of a network that says which corner is bright."""

import datasets
import numpy as np
import pytest
import torch
from torch import nn

import equiscope as es
from equiscope_studies.survey.top1 import NoLabels, accuracies, labelled

PREPROCESSING = es.Preprocessing(size=(8, 8), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@pytest.fixture(scope="module")
def corners(tmp_path_factory):
    """Twelve images, one corner of each bright: the label is which, row by row."""
    labels = [number % 4 for number in range(12)]
    images = []
    for label in labels:
        pixels = np.zeros((8, 8, 3), dtype=np.uint8)
        pixels[4 * (label // 2) :, 4 * (label % 2) :][:4, :4] = 255
        images.append(pixels)
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list("abcd"))})
    folder = tmp_path_factory.mktemp("corners")
    datasets.Dataset.from_dict({"image": images, "label": labels}, features=kinds).to_parquet(
        str(folder / "test-00000-of-00001.parquet")
    )
    return str(folder)


def network(*, background: int = 0, classes: int = 4) -> es.Network:
    class Corner(nn.Module):
        def forward(self, images):
            quarters = nn.functional.adaptive_avg_pool2d(images.mean(1, keepdim=True), 2).flatten(1)[:, :classes]
            return torch.cat([torch.full((len(images), background), 9.0), quarters], 1)

    return es.Network(
        name="corner", model=Corner().eval(), preprocessing=PREPROCESSING, weights={}, layers=None, pool=None,
        entry=None, remarks=(),
    )  # fmt: skip


@pytest.mark.parametrize("background", [0, 1], ids=["its classes", "a background first"])
def test_a_turned_corner_is_another_class(corners, background):
    photographs = labelled(f"{corners}:test", "DATA/corners:test", PREPROCESSING)
    assert photographs.named == "DATA/corners:test" and photographs.classes == 4
    found = accuracies(network(background=background), photographs, None, turns=(0, 1, 2, 3, 4))
    assert found == [1, 0, 0, 0, 1]
    assert accuracies(network(background=background), photographs, None, images=3) == [1]


def test_other_classes_and_no_labels_are_told(corners, tmp_path):
    photographs = labelled(f"{corners}:test", "corners:test", PREPROCESSING)
    with pytest.raises(NoLabels, match="corners:test has 4 classes, and corner has not"):
        accuracies(network(classes=2), photographs, None)
    datasets.load_dataset(corners)["test"][0]["image"].save(tmp_path / "one.png")
    with pytest.raises(NoLabels, match="these has no labels"):
        labelled(str(tmp_path), "these", PREPROCESSING)
