"""Wide residual networks."""

import pytest

from equiscope_studies.training.wide_resnet import wide_resnet


@pytest.mark.parametrize(("depth", "width", "millions"), [(40, 1, 0.6), (40, 4, 8.9), (16, 8, 11.0)])
def test_sizes_are_those_of_the_papers_table_4(depth, width, millions):
    weights = sum(one.numel() for one in wide_resnet(depth, width).parameters())
    assert round(weights / 1e6, 1) == millions


@pytest.mark.parametrize(("depth", "width"), [(41, 1), (4, 1), (10, 0)])
def test_what_is_none_is_refused(depth, width):
    with pytest.raises(ValueError, match="6 n \\+ 4 layers"):
        wide_resnet(depth, width)
