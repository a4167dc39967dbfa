"""Maps that were kept come back as they were saved."""

from pathlib import Path

import numpy as np
import pytest

from equiscope.results.maps import Maps
from example import example_scores
from example_maps import example_maps


def test_they_come_back_as_they_were_saved_without_pickles(tmp_path: Path) -> None:
    saved = example_maps(example_scores(2))
    saved.save(tmp_path / "maps.npz")
    found = Maps.load(tmp_path / "maps.npz")
    assert found.transformations == saved.transformations and list(found.layers) == list(saved.layers)
    assert np.array_equal(found.images, saved.images)
    assert found.transformed_images.keys() == saved.transformed_images.keys()
    for name, images in saved.transformed_images.items():
        assert np.array_equal(found.transformed_images[name], images)
    for key, of_layer in saved.layers.items():
        for name, values in vars(of_layer).items():
            assert np.array_equal(getattr(found.layers[key], name), values) and values.dtype != object


def test_half_a_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    example_maps(example_scores(2)).save(tmp_path / "maps.npz")
    (tmp_path / "half.npz").write_bytes((tmp_path / "maps.npz").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"half\.npz cannot be read as maps"):
        Maps.load(tmp_path / "half.npz")
