"""The options of all figures, checked against what was measured."""

import pytest

from equiscope.figures.selection import Selection, members
from example import example_scores


def test_what_is_selected_is_in_the_tables() -> None:
    scores = example_scores(scopes=("dataset", "image"), alignments=("array", "registered"))
    assert Selection().families(scores) == ["rotations", "shifts"]
    assert Selection(alignment="registered").families(scores) == ["rotations"]
    assert Selection(transformation="shift(1,1)").families(scores) == ["shift(1,1)"]
    assert Selection().measures(scores, ["shifts"]) == ["invariance", "equivariance"]
    assert Selection().measures(scores, ["rotations"]) == ["invariance", "equivariance", "linear"]
    assert Selection(scope="image").measures(scores, ["rotations"]) == ["invariance", "equivariance"]
    assert Selection(measure="linear").families(scores) == ["rotations"]
    assert Selection(measure="linear").measures(scores, ["shifts"]) == []
    assert Selection(value="in_sample").measures(scores, ["rotations"]) == ["invariance", "equivariance"]
    assert members(scores, "rotations") == ["rot90", "rot180", "rot270"] and members(scores, "rot90") == ["rot90"]


def test_a_value_that_no_measure_has_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"value='in_sample' is not defined for the measures of this result\."):
        Selection(value="in_sample").families(example_scores(measures=("linear",), shifts=()))


def test_chance_is_drawn_of_scores_that_have_it() -> None:
    scores = example_scores()
    assert Selection().has_chance(scores, ["rotations"]) and not Selection("dataset", value="explained").has_chance(
        scores, ["rotations"]
    )
    assert not Selection(measure="linear").has_chance(scores, ["rotations"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scope": "cells"}, "scope='cells' is not known; it is one of dataset, image."),
        ({"measure": "accuracy"}, "measure='accuracy' is not known; it is one of invariance, equivariance, linear, "),
        ({"value": "corrected"}, "value='corrected' is not known; it is one of score, explained, in_sample."),
        ({"alignment": "x"}, "alignment='x' is not known; it is one of array, registered."),
        ({"alignment": "registered"}, "alignment='registered' was not measured; there is array."),
        ({"scope": "image"}, "scope='image' was not measured; there is dataset."),
        ({"measure": "strict_invariance"}, "measure='strict_invariance' was not measured; there is invariance, "),
        ({"transformation": "rot45"}, "transformation='rot45' is not known; it is one of rotations, shifts, rot90, "),
        ({"scope": "image", "value": "explained"}, "value=explained is not defined within images; give scope=dataset."),
        ({"measure": "linear", "value": "in_sample"}, "value=in_sample is not defined for measure=linear."),
    ],
)
def test_what_is_unknown_or_was_not_measured_is_refused_in_a_sentence(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        Selection(**options).families(example_scores())
    assert str(refusal.value).startswith(sentence)
