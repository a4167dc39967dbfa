"""What stays, swaps, mixes and is lost: the areas' borders are the explained shares of the table."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from drawn import OF_FAMILY, column, drawable, heights, segments, undefined_at, words
from equiscope.figures.explained import plot_explained
from equiscope.results.scores import Scores
from equiscope.results.shares import COLOURS, MEANINGS, SHARES
from example import example_scores, shuffled


@pytest.fixture(scope="module")
def scores() -> Scores:
    return drawable()


def areas(axes: Axes) -> list[np.ndarray]:
    """The corners of every area, run by run, from the lowest share to the highest."""
    return [area.get_paths()[0].vertices for area in axes.collections if area.get_label().startswith("_")
            and len(area.get_paths()) == 1 and len(area.get_paths()[0].vertices) > 5]  # fmt: skip


def spans(axes: Axes, place: float) -> list[tuple[float, float]]:
    """Where each area begins and ends at a layer's place, from the lowest up."""
    found = []
    for corners in areas(axes):
        at = corners[np.isclose(corners[:, 0], place), 1]
        if len(at):
            found.append((at.min(), at.max()))
    return sorted(found)


def test_the_borders_are_the_explained_shares(scores: Scores) -> None:
    figure = plot_explained(scores)
    for axes, (family, measures) in zip(figure.axes, OF_FAMILY.items(), strict=True):
        shares = [column(scores.scores, "explained", transformation=family, measure=one) for one in measures]
        for measure, share in zip(measures, shares, strict=True):
            np.testing.assert_allclose(heights(axes, f"_{measure}"), share)
        places = next(line for line in axes.get_lines() if line.get_label() == "_invariance").get_xdata()
        for number, place in enumerate(places):
            borders = [0.0, *(share[number] for share in shares), 1.0]
            np.testing.assert_allclose(spans(axes, place), np.stack([borders[:-1], borders[1:]], axis=1))
        drawn = segments(axes)
        for measure in measures:
            row = {"transformation": family, "measure": measure}
            ends = [column(scores.scores, end, **row) for end in ("explained_low", "explained_high")]
            assert all([low, high] in drawn for low, high in zip(*ends, strict=True))


def test_the_legend_names_the_shares_and_what_was_not_measured(scores: Scores) -> None:
    figure = plot_explained(scores)
    legend = figure.legends[0]
    names = [text.get_text() for text in legend.get_texts()]
    names.remove("ceiling")  # of the shifts, which are interpolated
    looks = dict(zip(names, legend.get_patches(), strict=True))
    assert set(looks) == set(MEANINGS.values())
    assert all(looks[MEANINGS[one]].get_facecolor()[:3] == to_rgb(COLOURS[one]) for one in SHARES)
    only = plot_explained(scores, "shifts")
    shares = {MEANINGS[one] for one in ("stays", "swaps", "rest")}
    assert {text.get_text() for text in only.legends[0].get_texts()} == shares | {"ceiling"}
    rotated = plot_explained(scores, "rotations").legends[0]
    assert "ceiling" not in [text.get_text() for text in rotated.get_texts()]
    assert [axes.get_title("left") for axes in figure.axes] == ["rotations", "shifts"]


def test_parts_are_named_and_no_area_leads_from_a_map_to_a_vector(scores: Scores) -> None:
    axes = plot_explained(scores).axes[0]
    assert [text.get_text() for text in axes.texts] == ["early", "middle", "late", "pool", "final"]
    starts = sorted({round(float(corners[:, 0].min()), 6) for corners in areas(axes)})
    assert len(starts) == 3  # the maps, the pooled features, the final vector


def test_an_undefined_layer_is_a_gap(scores: Scores) -> None:
    undefined = undefined_at(scores, "<b>conv_2</b>")
    axes = plot_explained(undefined).axes[0]
    places = next(line for line in axes.get_lines() if line.get_label() == "_linear").get_xdata()
    assert spans(axes, places[2]) == [] and len(spans(axes, places[3])) == 4
    assert np.isnan(heights(axes, "_linear")).tolist() == [False, False, True, False, False, False]
    assert "gaps: undefined" in words(plot_explained(undefined))
    nothing = undefined_at(scores, *scores.layers["layer"])
    assert "undefined everywhere" in [text.get_text() for text in plot_explained(nothing).axes[0].texts]


def test_where_one_border_alone_is_undefined_the_layer_is_a_gap(scores: Scores) -> None:
    table = scores.scores.copy()
    table.loc[(table["layer"] == "relu") & (table["measure"] == "linear"), "explained"] = np.nan
    axes = plot_explained(replace(scores, scores=table)).axes[0]
    assert all(np.isnan(heights(axes, f"_{measure}")[1]) for measure in OF_FAMILY["rotations"])


def test_without_intervals_none_are_drawn_nor_named() -> None:
    figure = plot_explained(example_scores(intervals=False))
    assert "confidence" not in words(figure) and "confidence" in words(plot_explained(example_scores()))


def test_a_single_layer_is_an_area_too(scores: Scores) -> None:
    figure = plot_explained(replace(scores, layers=scores.layers.tail(1)))
    assert len(areas(figure.axes[0])) == 4


def test_without_both_of_the_first_measures_it_is_refused_in_a_sentence() -> None:
    scores = example_scores(measures=("invariance",), shifts=())
    with pytest.raises(
        ValueError, match="need the measures invariance and equivariance, and of rotations there is only"
    ):
        plot_explained(scores)
    with pytest.raises(ValueError, match=r"transformation='rot45' is not known"):
        plot_explained(example_scores(), "rot45")


def test_the_order_of_rows_changes_nothing(scores: Scores) -> None:
    assert plot_explained(shuffled(scores)).png(dpi=40) == plot_explained(scores).png(dpi=40)


def test_a_baseline_is_a_second_column_on_the_same_layers(scores: Scores) -> None:
    other = example_scores(list(scores.layers["layer"][:-2]), scopes=("dataset", "image"), seed=5)
    figure = plot_explained(replace(scores, baseline=other))
    assert [axes.get_title("left") for axes in figure.axes] == [
        "rotations", "rotations, randomly initialised", "shifts", "shifts, randomly initialised",
    ]  # fmt: skip
    for axes, family in zip(figure.axes[1::2], OF_FAMILY, strict=True):
        share = column(other.scores, "explained", transformation=family, measure="equivariance")
        np.testing.assert_allclose(heights(axes, "_equivariance"), share)
    assert plot_explained(scores, baseline=other).png(dpi=40) == figure.png(dpi=40)
    with pytest.raises(ValueError, match="other layers than the network"):
        plot_explained(scores, baseline=example_scores(2))
