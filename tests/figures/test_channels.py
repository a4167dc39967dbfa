"""The distribution of channels: medians are those of the table of channels, dashes the layer's chance level."""

import numpy as np
import pytest

from drawn import OF_FAMILY, column, drawable, heights, labels, segments, with_layers
from equiscope.figures.channels import plot_channels
from equiscope.results.scores import Scores
from example import example_scores, shuffled


@pytest.fixture(scope="module")
def scores() -> Scores:
    return drawable()


@pytest.mark.parametrize("value", ["score", "explained"])
def test_channels_are_drawn_as_their_median_with_the_layer_s_chance(scores: Scores, value: str) -> None:
    figure = plot_channels(scores, value=value)
    rows = scores.channels[scores.channels["scope"] == "dataset"]
    for axes, (family, measures) in zip(figure.axes, OF_FAMILY.items(), strict=True):
        of_family = rows[rows["transformation"].str.startswith(family[:3])]
        for measure in measures:
            values = of_family[measure if value == "score" else f"explained_{measure}"]
            medians = values.groupby(of_family["layer"]).median().reindex(scores.layers["layer"])
            np.testing.assert_allclose(heights(axes, measure), medians)
            chance = column(scores.scores, "chance", transformation=family, measure=measure)
            for height in chance[~np.isnan(chance)]:
                assert ([height, height] in segments(axes)) == (value == "score")


def test_of_very_many_layers_there_is_a_line(scores: Scores) -> None:
    many = with_layers(scores, 200)
    assert not any(axes.get_lines()[0].get_linestyle() == "None" for axes in plot_channels(many).axes)


def test_three_measures_stand_side_by_side(scores: Scores) -> None:
    lines = {line.get_label(): line.get_xdata() for line in plot_channels(scores).axes[0].get_lines()}
    assert (lines["invariance"] < lines["equivariance"]).all() and (lines["equivariance"] < lines["linear"]).all()
    assert (lines["linear"][:-1] < lines["invariance"][1:]).all()


def test_a_measure_without_a_column_of_channels_is_left_out() -> None:
    scores = example_scores(measures=("invariance", "strict_invariance"), shifts=())
    assert "strict_invariance" in labels(plot_channels(scores).axes[0])
    assert "strict_invariance" not in labels(plot_channels(scores, value="explained").axes[0])


def test_channels_have_no_score_in_sample(scores: Scores) -> None:
    with pytest.raises(ValueError, match=r"value='in_sample' is not known; it is one of score, explained\."):
        plot_channels(scores, value="in_sample")


def test_the_order_of_rows_changes_nothing(scores: Scores) -> None:
    assert plot_channels(shuffled(scores)).png(dpi=40) == plot_channels(scores).png(dpi=40)
