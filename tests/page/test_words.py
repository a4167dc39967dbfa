"""The words of the page: what is measured, by which options, and what was left out."""

from typing import Any

import pytest

from equiscope.page.words import FORMULAS, left_out, listed, meaning, provenance
from equiscope.results.columns import LADDER, MEASURES
from example import example_scores
from html_reader import Page

OPTIONS: dict[str, Any] = example_scores(1).manifest["options"]


def said(measures: tuple[str, ...] = LADDER, laws: bool = True, **options: Any) -> str:
    return Page(meaning(OPTIONS | options, measures, laws=laws)).text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "S( f(Tg X)c , T′g f(X)c )"),
        ({}, "maxp S( f(Tg X)c , T′g f(X)p )"),
        ({"similarity": "cosine"}, "not less their means"),
        ({"negative": "keep"}, "keeps its sign"),
        ({"negative": "abs"}, "loses its sign"),
        ({"fill": "wrap"}, "enters at the other"),
        ({"subpixel": "exact"}, "it is left out, as undefined"),
        ({"subpixel": "round"}, "rounded to the nearest"),
        ({"intervals": False}, "95 % confidence intervalNot computed."),
        ({"intervals": True}, "jackknife over ten groups of images"),
        ({"alignment": "registered"}, "estimated from the first 64 images, which are left out of all scores"),
    ],
)
def test_the_options_are_said_in_words(options: dict[str, Any], words: str) -> None:
    assert words in said(**options)


def test_what_is_measured_has_its_formula_and_what_is_not_has_none() -> None:
    strict = Page(FORMULAS["strict_invariance"]).text
    assert strict == "S( f(Tg X)c , f(X)c )"
    assert strict in said(MEASURES) and strict not in said()
    assert "Linear equivariance" not in said(LADDER[:2]) and "ridge regression" in said()
    assert "Chance level (mismatched image pairs)" in said() and "not subtracted or divided out" in said()
    assert "stays" in said() and "Group law" in said() and "Group law" not in said(laws=False)


def test_without_shifts_nothing_is_said_of_borders_and_without_registration_nothing_of_centres() -> None:
    options = {"transformations": {"rotations": ["rot90", "rot180", "rot270"]}}
    assert "at the border" in said() and "at the border" not in said(**options)
    assert "Centre" not in said()


def test_everything_left_out_is_named_with_its_reason() -> None:
    manifest = {
        "layers_left_out": [{"layer": "<b>aux", "reason": "tokens on no declared grid"}],
        "images_left_out": [{"image": f"{number}<b>.png", "reason": "it is empty"} for number in range(203)],
    }
    html = left_out(manifest)
    layers, images = Page(html).tables
    assert layers[1:] == [["<b>aux", "tokens on no declared grid"]]
    assert len(images[1:]) == 200 and images[1] == ["0<b>.png", "it is empty"]
    assert "203 images" in html and "3 more are in the manifest." in html
    assert "No layer was left out." in left_out({}) and "No image was left out." in left_out({})


def test_the_manifest_is_listed_as_text() -> None:
    html = listed({"a": {"b": [1, "<i>", 2.5]}, "c": None, "d": [], "e": [{"x": 1}], "f": {}})
    assert Page(html).text == 'ab1, <i>, 2.5cnot givendnonee[{"x": 1}]fnone'


def test_data_weights_and_date_are_said() -> None:
    manifest = {
        "images": 1200, "data": {"source": "<photos>", "kind": "folder", "split": "test"},
        "started": "2026-03-01T09:00:00+00:00", "weights": {"source": "random (seed 0)", "sha256": "0123456789abcdef"},
        "versions": {"equiscope": "0.2.0"},
    }  # fmt: skip
    assert provenance(manifest) == {
        "Data": "1,200 images of &lt;photos&gt;, test", "Weights": "random (seed 0) (SHA-256 0123456789ab…)",
        "Date": "1 March 2026", "Version": "equiscope 0.2.0",
    }  # fmt: skip
    assert provenance({"images": 1})["Date"] == "not recorded" and provenance({"images": 1})["Data"] == "1 image"
    assert provenance({"images": 2, "data": {"source": "a/b:test", "split": "test"}})["Data"] == "2 images of a/b:test"
