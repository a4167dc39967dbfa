"""The page stands alone, keeps to its own scripts, and takes nothing of the user's for markup."""

import base64
import hashlib
import json
import re
import zlib
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from equiscope.figures.style import MEASURE_LOOKS, Plot, series_look
from equiscope.page import document as documents
from equiscope.page.document import document
from equiscope.results.scores import Scores
from equiscope.results.shares import COLOURS, MEANINGS
from example import example_scores
from example_maps import example_maps
from html_reader import Page

EVIL = '<script>alert("&amp;")</script>'


@pytest.fixture(scope="module")
def scores() -> Scores:
    found = example_scores([EVIL, "layer2"], scopes=("dataset", "image"), shifts=(1, 2), model=EVIL)
    more = {
        "weights": f"/home/{EVIL}",
        "layers_left_out": [{"layer": f"aux{EVIL}", "reason": "tokens on no declared grid"}],
        "images_left_out": [{"image": f"{number}{EVIL}.png", "reason": "it is empty"} for number in range(203)],
    }
    return replace(found, manifest=found.manifest | more, maps=example_maps(found))


@pytest.fixture(scope="module")
def html(scores: Scores) -> str:
    return document(scores)


def data_of(html: str) -> dict[str, Any]:
    packed = next(text for given, text in Page(html).scripts if given.get("id") == "data")
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return found


def test_it_asks_for_nothing(html: str) -> None:
    found = Page(html)
    assert not {"link", "iframe", "object", "video", "base"} & {tag for tag, _ in found.elements}
    fetched = [
        given[name] for _, given in found.elements for name in ("src", "srcset", "poster", "data") if name in given
    ]
    assert len(fetched) == 3 and all(address.startswith("data:image/png;base64,") for address in fetched)
    links = [(tag, given["href"]) for tag, given in found.elements if "href" in given]
    assert links == [("a", "#details"), ("a", "https://doi.org/10.1109/CVPRW59228.2023.00512")]
    assert not re.search(r"url\((?!#hatch)|@import", re.findall(r"<style>(.*?)</style>", html, re.DOTALL)[0])
    assert not any(name.startswith("on") or name == "style" for _, given in found.elements for name in given)


def test_only_our_scripts_may_run(html: str) -> None:
    found = Page(html)
    policy = next(given["content"] for _, given in found.elements if "http-equiv" in given)
    assert policy.startswith("default-src 'none'; ") and "'unsafe-inline'" not in policy.split("script-src")[1]
    run = [text for given, text in found.scripts if "type" not in given]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert re.findall(r"'sha256-([^']+)'", policy) == digests and len(run) == 1
    assert "<!--" not in "".join(run)  # which a browser reads as something else


def test_maps_beyond_the_room_are_not_in_the_page(monkeypatch: pytest.MonkeyPatch, scores: Scores, html: str) -> None:
    assert len(data_of(html)["results"][0]["maps"]["images"]) == 2
    monkeypatch.setattr(Plot, "png", lambda figure: b"")
    monkeypatch.setattr(documents, "MOST_OF_MAPS", 0)
    assert data_of(document(scores))["results"][0]["maps"]["images"] == []
    assert data_of(document(replace(scores, maps=None)))["results"][0]["maps"] is None


def test_colours_and_marks_are_those_of_the_figures(html: str) -> None:
    for measure, look in MEASURE_LOOKS.items():
        assert f"--{measure}:color-mix(in oklab,{look.colour},white var(--lift))" in html
        assert data_of(html)["looks"]["measures"][measure]["marker"] == look.marker
    drawable = set(re.findall(r'^  "?(.)"?: \(r\) =>', html, re.MULTILINE))
    assert {look.marker for look in (*MEASURE_LOOKS.values(), *map(series_look, range(70)))} == drawable
    assert all(f"--{name}:{colour};" in html for name, colour in COLOURS.items())
    assert data_of(html)["words"]["shares"] == MEANINGS


def test_channels_beyond_the_room_are_not_in_the_page(monkeypatch: pytest.MonkeyPatch, scores: Scores) -> None:
    monkeypatch.setattr(Plot, "png", lambda figure: b"")
    assert None not in data_of(document(scores))["results"][0]["channels"]["dataset"]
    monkeypatch.setattr(documents, "MOST", 0)
    assert set(data_of(document(scores))["results"][0]["channels"]["dataset"]) == {None}


def test_several_results_share_a_page(monkeypatch: pytest.MonkeyPatch, scores: Scores) -> None:
    monkeypatch.setattr(Plot, "png", lambda figure: b"")
    found = Page(document({"one": scores, EVIL: replace(scores, maps=None)}))
    identities = [given["id"] for _, given in found.elements if "id" in given]
    assert len(set(identities)) == len(identities) and {"result-0", "result-1"} <= set(identities)
    assert found.text.count("What was measured") == 2
    assert "How equivariant are they?" in found.text and f"Result{EVIL}" in found.text


def test_what_comes_from_the_user_is_text(html: str) -> None:
    found = Page(html)
    assert EVIL not in html and all("type" in given for given, text in found.scripts if "alert" in text)
    assert found.text.count(EVIL) > 200
    assert f"How equivariant is {EVIL}?" in found.text and f"/home/{EVIL}" in found.text


def test_it_is_a_page_for_everyone(html: str) -> None:
    found = Page(html)
    headings = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h\d", tag)]
    assert headings.count(1) == 1 and headings[0] == 1
    assert all(after <= before + 1 for before, after in zip(headings, headings[1:], strict=False))
    assert all(given["alt"] for tag, given in found.elements if tag == "img")
    identities = Counter(given["id"] for _, given in found.elements if "id" in given)
    assert set(identities.values()) == {1}
    assert all(given["aria-labelledby"] in identities for tag, given in found.elements if tag == "section")
    assert "prefers-color-scheme: dark" in html and "width=device-width" in html


def test_it_says_what_was_measured_in_each_scope_and_what_was_left_out(html: str, scores: Scores) -> None:
    text = Page(html).text
    assert "scope dataset" in text and "scope image" in text and "Group law" in text
    assert "tokens on no declared grid" in text and "3 more are in the manifest." in text
    assert "Layers4" in text and "Data24 images of example" in text and f"Weights/home/{EVIL}" in text
    one = example_scores(2, measures=("invariance",))
    assert (
        "scope image" not in Page(document(one)).text
        and "Group law" not in Page(document(one)).text.split("Tables")[-1]
    )
