"""The title, the legend and the small print: true, complete, and no longer than the page."""

from dataclasses import replace

import pytest

from drawn import drawable, words
from equiscope.figures.layers import plot_layers
from equiscope.results.scores import Scores
from example import example_scores


@pytest.fixture(scope="module")
def scores() -> Scores:
    return drawable()


def test_the_small_print_says_what_is_shown(scores: Scores) -> None:
    assert words(plot_layers(scores)) == (
        "example, 24 images scope dataset (over all images); similarity pearson; fill zero; "
        "bars: 95 % confidence intervals; chance level: of mismatched image pairs; "
        "ceiling: what interpolation leaves of features transformed and transformed back"
    )
    assert "ceiling" not in words(plot_layers(scores, transformation="rotations"))
    assert "scope image (within each image, then averaged)" in words(plot_layers(scores, "image"))
    assert "fill" not in words(plot_layers(scores, transformation="rotations"))
    assert "chance" not in words(plot_layers(scores, measure="linear", transformation="rotations"))
    explained = words(plot_layers(scores, value="explained"))
    assert "explained: share of a channel's variance, on held-out images" in explained and "chance" not in explained
    in_sample = words(plot_layers(scores, value="in_sample"))
    assert "biased upward" in in_sample and "confidence" not in in_sample


def test_options_that_are_not_the_default_are_said() -> None:
    scores = example_scores(intervals=False, images=1)
    options = scores.manifest["options"] | {"negative": "keep", "similarity": "cosine"}
    text = words(plot_layers(replace(scores, manifest=scores.manifest | {"options": options})))
    assert "example, 1 image " in text and "negative correlations: keep" in text and "similarity cosine" in text
    assert "confidence" not in text


def test_a_long_title_keeps_the_number_of_images(scores: Scores) -> None:
    long = replace(scores, manifest=scores.manifest | {"model": "a/very/long/name" * 20})
    title = plot_layers(long).texts[0].get_text()
    assert len(title) <= 70 and title.endswith("…, 24 images")
