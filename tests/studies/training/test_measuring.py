"""What is measured of a network that was trained, and on which images."""

import pytest
import torch

from equiscope_studies.training.labelled import Labelled
from equiscope_studies.training.measuring import Measuring, families, prepared
from equiscope_studies.training.recipe import Recipe


def labelled(name, channels, size, value):
    images = torch.full((2, channels, size, size), value, dtype=torch.uint8)
    return Labelled(name, images, torch.zeros(2, dtype=torch.int64), 6)


def test_a_shift_of_digits_brings_in_black_and_of_photographs_what_the_paper_has():
    asked = ["rotations", "shifts:1,3"]
    images, found = prepared(labelled("mnist6", 1, 28, 255), asked)
    assert images.shape == (2, 1, 34, 34)
    assert images[0, 0, 0, 0] == pytest.approx(-0.1307 / 0.3081, abs=1e-4)
    assert {(one.fill, one.size) for one in found[1].transformations} == {("crop", (28, 28))}
    images, found = prepared(labelled("mnist6", 1, 28, 255), ["rotations"])
    assert images.shape == (2, 1, 28, 28) and [family.name for family in found] == ["rotations"]
    images, found = prepared(labelled("cifar10", 3, 32, 0), asked)
    assert images.shape == (2, 3, 32, 32)
    assert {one.fill for one in found[1].transformations} == {"zero"}


def test_each_measurement_has_a_table_of_its_own(tmp_path):
    recipe = Recipe(network="z2cnn", data="mnist6-rot-eq")
    one = Measuring(on=("own", "mnist6"), images=30, transformations=("rotations",))
    others = [
        Measuring(one.on, 40, one.transformations),
        Measuring(one.on, 30, ("shifts:1",)),
        Measuring(one.on, 30, one.transformations, ("dataset",)),
    ]
    tables = [measuring.tables(recipe, tmp_path) for measuring in (one, *others)]
    assert all(list(found) == ["mnist6-rot-eq", "mnist6"] for found in tables)
    assert len({path for found in tables for path in found.values()}) == 8
    upright = Recipe(network="z2cnn", data="mnist6")
    assert list(one.tables(upright, tmp_path)) == ["mnist6"]  # whose own images these are


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="at least 20"):
        Measuring(on=("own",), images=19, transformations=("rotations",))
    with pytest.raises(ValueError, match="'pixel' is not known; it is one of dataset, image"):
        Measuring(on=("own",), images=20, transformations=("rotations",), scopes=("pixel",))
    with pytest.raises(ValueError, match="neither rotations nor flips, nor shifts"):
        families(["turns"])
