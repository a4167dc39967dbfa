"""Names along the axes: letter for letter, none over another, and all on the page."""

from dataclasses import replace
from itertools import combinations

import pytest
from matplotlib.text import Text

from drawn import drawable, with_layers
from equiscope.figures.layers import plot_layers
from equiscope.figures.panels import arranged, grid_of_panels, shortened
from equiscope.results.scores import Scores


@pytest.fixture(scope="module")
def scores() -> Scores:
    return drawable()


def test_names_are_drawn_letter_for_letter(scores: Scores) -> None:
    figure = plot_layers(replace(scores, manifest=scores.manifest | {"model": "$net_1$"}))
    names = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert names == ["$x_1$", "relu", "<b>conv_2</b>", "…ng_name_of_a_block_with_$_in_it", "pool", "final"]
    texts = figure.findobj(Text)
    assert not any(text.get_parse_math() for text in texts if "$" in text.get_text())
    assert "$net_1$, 24 images" in [text.get_text() for text in texts]


@pytest.mark.parametrize("layers", [0, 20, 60, 200])
def test_names_do_not_overlap_and_stay_on_the_page(scores: Scores, layers: int) -> None:
    figure = plot_layers(with_layers(scores, layers))
    figure.draw_without_rendering()
    page = figure.bbox
    names = [label.get_window_extent() for label in figure.axes[-1].get_xticklabels()]
    above = [text.get_window_extent() for text in figure.axes[0].texts]
    assert 6 <= len(names) <= 46
    legend = figure.legends[0].get_window_extent()
    lines = [text.get_window_extent() for text in figure.texts]
    for boxes in (names, [*above, legend, *lines]):
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)


@pytest.mark.parametrize(
    ("lines", "kinds", "columns"),
    [
        (["ab", "cd"], list("abcd"), 2),
        (["ab", "c"], ["a", "b", "c", None], 2),
        (["a"], ["a"], 1),
        (["abcd", "ef"], list("abcdef"), 2),
        (["abc"], list("abc"), 3),
    ],
)
def test_a_family_begins_a_line_of_panels(lines: list[str], kinds: list[str | None], columns: int) -> None:
    assert arranged(lines) == (kinds, columns)
    _, panels = grid_of_panels(kinds, 1.0, columns)
    assert len(panels) == sum(kind is not None for kind in kinds)


def test_of_a_long_name_the_end_is_kept() -> None:
    assert shortened("a" * 40 + ".conv", 10) == "…aaaa.conv" and shortened("conv", 10) == "conv"
