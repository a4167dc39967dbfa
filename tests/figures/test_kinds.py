"""What holds for every figure: words on the page, files that are text, options refused in a sentence."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import pytest
from matplotlib.text import Text

import equiscope as es
from drawn import drawable, undefined_at, with_alone, with_layers
from equiscope.figures.alone import plot_alone
from equiscope.figures.comparison import plot_comparison
from equiscope.figures.kinds import KINDS
from equiscope.figures.style import ONE_COLUMN, TWO_COLUMNS, Plot, drawing
from equiscope.figures.transformations import plot_transformations
from equiscope.results.scores import Scores

OF_ONE: dict[str, Callable[..., Plot]] = {kind: draw for kind, draw in KINDS.items() if kind != "comparison"} | {
    "alone": lambda scores, *given, **named: plot_alone(with_alone(scores), *given, **named),
    "heat map": lambda scores, *given, **named: plot_transformations(scores, *given, **named, heatmap=True),
}
ALL = OF_ONE | {
    f"comparison by {by}": lambda scores, *given, by=by, **named: plot_comparison(
        {"$a_1$": scores, "b": scores}, *given, **named, by=by
    )
    for by in ("part", "depth")
}
# Those whose scope, measure and value vary.
OF_VALUES = {kind: draw for kind, draw in ALL.items() if kind not in ("explained", "alone")}


@pytest.fixture(scope="module")
def scores() -> Scores:
    return drawable()


def test_every_kind_is_a_public_function_of_its_name() -> None:
    assert all(draw is getattr(es, f"plot_{kind}") for kind, draw in KINDS.items())
    assert {f"plot_{kind}" for kind in KINDS} | {"plot_epochs"} == {
        name for name in dir(es) if name.startswith("plot_")
    }


@pytest.mark.parametrize("draw", OF_VALUES.values(), ids=OF_VALUES)
def test_an_unknown_option_is_refused_with_the_known_ones(scores: Scores, draw: Callable[..., Plot]) -> None:
    with pytest.raises(ValueError, match=r"scope='cells' is not known; it is one of dataset, image\."):
        draw(scores, "cells")
    with pytest.raises(ValueError, match=r"measure='accuracy' is not known; it is one of invariance, equivariance, "):
        draw(scores, measure="accuracy")
    with pytest.raises(ValueError, match=r"value='corrected' is not known; it is one of score, explained"):
        draw(scores, value="corrected")


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_what_was_not_measured_is_refused_with_what_was(scores: Scores, draw: Callable[..., Plot]) -> None:
    with pytest.raises(ValueError, match=r"transformation='rot45' is not known; .*rotations.*shifts"):
        draw(scores, transformation="rot45")
    with pytest.raises(ValueError, match=r"alignment='registered' was not measured"):
        draw(scores, alignment="registered")


STRANGE = {
    "many layers": lambda scores: with_layers(scores, 100),
    "one layer": lambda scores: replace(scores, layers=scores.layers.tail(1)),
    "nothing defined": lambda scores: undefined_at(scores, *scores.layers["layer"]),
    "a long name": lambda scores: replace(scores, manifest=scores.manifest | {"model": "a/very/long/name" * 20}),
}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("kind", ALL)
def test_all_words_are_on_the_page_and_do_not_overlap(
    scores: Scores, kind: str, strange: Callable[[Scores], Scores]
) -> None:
    figure = ALL[kind](strange(scores))
    assert figure.get_figwidth() in (ONE_COLUMN, TWO_COLUMNS)
    with drawing():  # else the numbers along the axes come in the letters of the default style
        figure.draw_without_rendering()
        page = figure.bbox
        everything = [axes.get_tightbbox() for axes in figure.axes]
        everything += [one.get_window_extent() for one in [*figure.texts, *figure.legends]]
        for box in everything:
            assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
        for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]:
            low, high = sorted(axis.get_view_interval())
            labels = [
                tick.label1.get_window_extent()
                for tick in axis.get_major_ticks()
                if low <= tick.get_loc() <= high and tick.label1.get_visible() and tick.label1.get_text()
            ]
            assert not any(one.overlaps(other) for one, other in combinations(labels, 2))
        outside = [*figure.texts, *figure.legends]
        titles = [axes.title for axes in figure.axes] + [axes.xaxis.label for axes in figure.axes]
        lines = [one.get_window_extent() for one in [*outside, *titles] if not isinstance(one, Text) or one.get_text()]
        assert not any(one.overlaps(other) for one, other in combinations(lines, 2))


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_a_paper_s_own_caption_takes_the_place_of_ours(scores: Scores, draw: Callable[..., Plot]) -> None:
    bare, whole = draw(scores, caption=False), draw(scores)
    assert whole.texts and not bare.texts and bare.get_figheight() < whole.get_figheight()


@pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
def test_a_file_holds_text_as_text_letter_for_letter_and_the_same_bytes(
    scores: Scores, draw: Callable[..., Plot]
) -> None:
    figure = draw(scores, transformation="rotations")
    assert not any(text.get_parse_math() for text in figure.findobj(Text) if "$" in text.get_text())
    first = figure.pdf()
    assert b"/CIDFontType2" in first and b"/FontFile2" in first and b"/Type3" not in first
    assert b"CreationDate" not in first
    assert figure.png().startswith(b"\x89PNG")
    assert figure.pdf() == first == draw(scores, transformation="rotations").pdf(), (
        "the same file, whatever was written in between"
    )


def test_drawing_needs_no_pyplot_and_measuring_no_matplotlib() -> None:
    program = """
import sys, torch, equiscope
scores = equiscope.measure(torch.nn.Conv2d(3, 2, 3), torch.randn(4, 3, 8, 8), transformations=equiscope.flips())
assert "matplotlib" not in sys.modules
assert {"load", "plot_layers", "plot_parts"} <= set(dir(equiscope))
equiscope.plot_layers(scores).png()
equiscope.plot_parts(scores).png()
assert "matplotlib.pyplot" not in sys.modules
try:
    equiscope.plot_nothing
except AttributeError as error:
    assert "plot_nothing" in str(error)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_the_gallery_shows_what_its_own_lines_write() -> None:
    page = Path(__file__).parents[2] / "docs" / "gallery.md"
    text = page.read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```(?:sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    written = re.findall(r"docs/gallery/([\w-]+)", blocks)
    assert re.findall(r"\(gallery/([\w-]+)\.png\)", text) == written
    assert {file.name for file in (page.parent / "gallery").iterdir()} == {
        "make.py", *(f"{name}.{kind}" for name, kind in product(written, ("pdf", "png")))
    }  # fmt: skip
