"""What is explained from the image on and of the layer alone: every mark is a number of the table."""

import numpy as np
import pytest

from drawn import column, drawable, heights, labels, with_alone
from equiscope.figures.alone import plot_alone
from equiscope.results.scores import Scores
from example import shuffled

RUNGS = {"rotations": "linear", "shifts": "equivariance"}
LABELS = {"from the image": "", "layer alone": "alone_"}


@pytest.fixture(scope="module")
def scores() -> Scores:
    return with_alone(drawable())


def test_both_lines_of_every_family_are_the_table_s(scores: Scores) -> None:
    figure = plot_alone(scores)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["rotations, linear", "shifts, equivariance"]
    for axes, (family, rung) in zip(figure.axes, RUNGS.items(), strict=True):
        assert labels(axes) == list(LABELS)
        for label, before in LABELS.items():
            row = {"transformation": family, "measure": f"{before}{rung}"}
            np.testing.assert_array_equal(heights(axes, label), column(scores.scores, "explained", **row))
        assert np.isnan(heights(axes, "layer alone")[-1])  # a gap
    of_one = plot_alone(scores, "rot90", measure="invariance").axes[0]
    row = {"transformation": "rot90", "measure": "alone_invariance"}
    np.testing.assert_array_equal(heights(of_one, "layer alone"), column(scores.scores, "explained", **row))


def test_the_order_of_rows_changes_nothing(scores: Scores) -> None:
    assert plot_alone(shuffled(scores)).png(dpi=40) == plot_alone(scores).png(dpi=40)


def test_what_cannot_be_drawn_is_told(scores: Scores) -> None:
    with pytest.raises(ValueError, match="The layers were not measured alone"):
        plot_alone(drawable())
    with pytest.raises(ValueError, match="measure='accuracy' is not known; it is one of invariance, equivariance"):
        plot_alone(scores, measure="accuracy")
