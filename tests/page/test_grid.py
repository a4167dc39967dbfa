"""What is said of the centres of grids: by strides and the size of images, and by the offsets found."""

from dataclasses import replace

import pytest

from equiscope.page.grid import grid_centre
from example import example_scores


def of_size(scores, size):
    return replace(scores, manifest=scores.manifest | {"image_shape": [3, size, size]})


@pytest.mark.parametrize(("size", "told"), [(224, "at 8 <var>k</var> + 1 pixels, such as 217, 225, 233"), (225, "")])
def test_sizes_that_suit_the_strides_are_told_at_others(size, told):
    found = grid_centre(of_size(example_scores(), size))
    assert told in found and bool(found) == bool(told)


def test_the_largest_offset_is_told():
    found = grid_centre(of_size(example_scores(alignments=("array", "registered")), 225))
    assert "had to be moved by 0.56 positions (median)" in found and "<code>" in found


def test_shifts_have_no_centre():
    assert grid_centre(of_size(example_scores(families={}, shifts=(1, 2)), 224)) == ""
