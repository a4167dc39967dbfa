"""Several results side by side: each line is its own result's table."""

from dataclasses import replace

import numpy as np
import pytest

from drawn import OF_FAMILY, column, drawable, heights, undefined_at, words
from equiscope.figures.comparison import plot_comparison
from equiscope.results.scores import Scores
from example import example_scores, shuffled


@pytest.fixture(scope="module")
def scores() -> Scores:
    return drawable()


def with_families(scores: Scores, families: dict[str, list[str]]) -> Scores:
    options = scores.manifest["options"] | {"transformations": families}
    return replace(scores, manifest=scores.manifest | {"options": options})


@pytest.mark.parametrize("value", ["score", "explained"])
@pytest.mark.parametrize("by", ["part", "depth"])
def test_results_side_by_side_are_their_tables(scores: Scores, by: str, value: str) -> None:
    results = {"one": scores, "other": undefined_at(scores, "relu")}
    figure = plot_comparison(results, by=by, value=value)
    kinds = [(family, measure) for family, measures in OF_FAMILY.items() for measure in measures]
    assert [axes.get_title("left") for axes in figure.axes] == [f"{family}: {measure}" for family, measure in kinds]
    for axes, (family, measure) in zip(figure.axes, kinds, strict=True):
        for name, of_name in results.items():
            table = of_name.parts if by == "part" else of_name.scores
            expected = column(table, value, transformation=family, measure=measure)
            drawn = heights(axes, name)
            np.testing.assert_array_equal(drawn, expected[: len(drawn)])
            assert len(drawn) == (5 if by == "part" else 4)  # pool and final stand apart
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["one", "other", *(["chance level"] if value == "score" else []), "ceiling"]
    assert "2 results, 24 images each" in words(figure)


def test_only_measures_that_all_results_have_are_drawn(scores: Scores) -> None:
    few = example_scores(list(scores.layers["layer"][:4]), measures=("invariance", "equivariance"))
    titles = [axes.get_title("left") for axes in plot_comparison({"a": scores, "b": few}).axes]
    assert titles == [f"{family}: {one}" for family in OF_FAMILY for one in ("invariance", "equivariance")]


def test_what_holds_for_some_results_alone_names_them(scores: Scores) -> None:
    other = example_scores(images=100)
    figure = plot_comparison({"a": scores, "b": replace(other, manifest=other.manifest | {"options": (
        other.manifest["options"] | {"similarity": "cosine"})})})  # fmt: skip
    text = words(figure).replace("\n", " ")
    assert "2 results, 24 to 100 images" in text
    assert "similarity pearson (a)" in text and "similarity cosine (b)" in text


def test_only_families_of_the_same_transformations_are_compared(scores: Scores) -> None:
    families = scores.manifest["options"]["transformations"]
    other = with_families(scores, families | {"shifts": ["shift(1,1)", "shift(4,4)"]})
    assert len(plot_comparison({"a": scores, "b": other}).axes) == 3
    with pytest.raises(ValueError, match=r"transformation='shifts' is not known; it is one of rotations\."):
        plot_comparison({"a": scores, "b": other}, transformation="shifts")
    with pytest.raises(ValueError, match=r"^1 result cannot be compared; give two at least\.$"):
        plot_comparison({"a": scores})
    other = with_families(scores, {"flips": ["hflip"]})
    with pytest.raises(ValueError, match=r"or family in common .*: a has rotations \(rot90, .*; b has"):
        plot_comparison({"a": scores, "b": other})


def test_an_alignment_that_no_family_has_in_all_results_is_refused() -> None:
    registered = example_scores(alignments=("array", "registered"))
    with pytest.raises(ValueError, match=r"alignment='registered' was not measured; there is array\."):
        plot_comparison({"a": registered, "b": example_scores()}, alignment="registered")
    families = {"flips": ["hflip", "vflip"]}, {"half turns": ["rot180"]}
    others = [example_scores(families=of, alignments=("array", "registered")) for of in families]
    with pytest.raises(ValueError, match=r"No family has alignment='registered' in all of the results\."):
        plot_comparison(dict(zip("ab", others, strict=True)), alignment="registered")  # which shifts never have


def test_an_unknown_order_is_refused_in_a_sentence(scores: Scores) -> None:
    with pytest.raises(ValueError, match=r"by='layer' is not known; it is one of part, depth\."):
        plot_comparison({"a": scores, "b": scores}, by="layer")


@pytest.mark.parametrize("by", ["part", "depth"])
def test_the_order_of_rows_changes_nothing(scores: Scores, by: str) -> None:
    mixed = {"a": shuffled(scores), "b": shuffled(scores, 1)}
    assert plot_comparison(mixed, by=by).png(dpi=40) == plot_comparison({"a": scores, "b": scores}, by=by).png(dpi=40)
