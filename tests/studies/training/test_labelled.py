"""The data sets of the studies: which digits, rotated how, with which classes."""

import pytest
import torch

import equiscope as es
from equiscope_studies.training.labelled import DIGITS, labelled, mnist6, normalised


@pytest.fixture(scope="module")
def mnist():
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (400, 1, 6, 6), generator=generator, dtype=torch.uint8)
    return images, torch.arange(10).repeat(40)


def test_mnist6_leaves_out_the_digits_that_rotations_map_onto_one_another(mnist):
    upright = mnist6(*mnist, "mnist6", "train")
    assert len(upright) == 240
    assert upright.classes == 6
    assert torch.equal(upright.labels, torch.arange(6).repeat(40))
    assert torch.equal(upright.images[1], mnist[0][DIGITS[1]])


def test_rotated_digits_are_rotated_as_a_measurement_rotates_them_and_classes_say_so(mnist):
    upright, invariant, equivariant = (mnist6(*mnist, name, "train") for name in (
        "mnist6", "mnist6-rot-inv", "mnist6-rot-eq"
    ))  # fmt: skip
    assert torch.equal(invariant.images, equivariant.images)
    assert torch.equal(invariant.labels, upright.labels)
    assert (invariant.classes, equivariant.classes) == (6, 24)
    digit, quarters = equivariant.labels // 4, equivariant.labels % 4
    assert torch.equal(digit, upright.labels)
    assert set(quarters.tolist()) == {0, 1, 2, 3}
    actions = [lambda images: images, *(one.on_pixels for one in es.rotations().transformations)]
    for place, its in enumerate(quarters.tolist()):
        assert torch.equal(equivariant.images[place], actions[its](upright.images[place]))
    rotated, quarter = equivariant.rotated(3), (equivariant.labels + 3) % 4
    assert torch.equal(rotated.images, torch.stack([actions[3](image) for image in equivariant.images]))
    assert torch.equal(rotated.labels, digit * 4 + quarter)
    assert torch.equal(invariant.rotated(1).labels, invariant.labels)


def test_rotations_are_upfront_the_same_each_time_and_others_for_the_test_images(mnist):
    first, again, test = (mnist6(*mnist, "mnist6-rot-eq", split) for split in ("train", "train", "test"))
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.labels, test.labels)


def test_a_folder_of_the_hubs_layout_is_read_in_one_random_order(digits_folder):
    data = digits_folder
    train = labelled("mnist6", "train", data)
    assert train.images.dtype == torch.uint8
    assert train.images.shape[1:] == (1, 28, 28)
    assert torch.equal(train.first(50).images, labelled("mnist6-rot-inv", "train", data).first(50).images) is False
    assert len(train.first(50)) == 50
    whole = normalised(train.images, "mnist6")
    assert whole.dtype == torch.float32
    assert whole.min() == pytest.approx(-0.1307 / 0.3081, abs=1e-4)


def test_what_is_not_there_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="There is no folder .*mnist"):
        labelled("mnist6", "train", tmp_path)
    with pytest.raises(ValueError, match="'mnist7' is not known"):
        labelled("mnist7", "train", tmp_path)


@pytest.mark.parametrize("name", ["mnist6", "cifar10"])
def test_the_real_data(name, data):
    test = labelled(name, "test", data)
    assert tuple(test.images.shape) == {"mnist6": (5953, 1, 28, 28), "cifar10": (10000, 3, 32, 32)}[name]
