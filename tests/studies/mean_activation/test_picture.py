"""The picture of Figure 2 draws its numbers."""

import numpy as np

from equiscope_studies.mean_activation import numbers
from equiscope_studies.mean_activation.picture import picture


def test_every_reading_has_a_panel_of_both_similarities_and_their_chance(of_figure2):
    table, _ = of_figure2
    panels = {axes.get_title(loc="left"): axes for axes in picture(table).axes if axes.get_title(loc="left")}
    assert list(panels) == [f"{m}, {s}" for s in ("dataset", "image") for m in numbers.MEASURES]
    for measure, scope in numbers.READINGS:
        drawn = {line.get_label(): line.get_ydata() for line in panels[f"{measure}, {scope}"].get_lines()}
        for similarity, word in numbers.SIMILARITIES.items():
            rows = numbers.of_blocks(table, measure, scope, similarity)
            assert np.array_equal(drawn[word], rows["value"])
            assert (f"chance of {word}" in drawn) == (not measure.startswith("in-sample"))
