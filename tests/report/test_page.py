"""The page: it stands alone, says what the tables say, and takes nothing of the user's for markup."""

import base64
import hashlib
import json
import re
import zlib
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.figures.plots import Plot
from equiscope.report import page as pages
from equiscope.report.page import page
from equiscope.results.scores import Scores

EVIL = '<script>alert("&amp;")</script>'
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """The page as a browser reads it: elements, text, tables as rows of cells; elements left open are an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self.scripts: list[tuple[dict[str, str], str]] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "script":
            self.scripts.append((self.elements[-1][1], ""))
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        if "script" in self._open:
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
            return
        self.text += data
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="module")
def scores() -> Scores:
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module(EVIL, nn.Conv2d(3, 4, 3, padding=1))
    model.add_module("pool", nn.AdaptiveAvgPool2d(1))
    model.add_module("flat", nn.Flatten())
    model.add_module("head", nn.Linear(4, 3))
    found = es.measure(model, torch.randn(24, 3, 12, 12), transformations=[es.rotations(), es.shift(1, 2)], maps=2)
    more = {
        "model": EVIL,
        "weights": f"/home/{EVIL}",
        "layers_left_out": [{"layer": f"aux{EVIL}", "reason": "tokens on no declared grid"}],
        "images_left_out": [{"image": f"{number}{EVIL}.png", "reason": "it is empty"} for number in range(203)],
    }
    return replace(found, manifest=found.manifest | more)


@pytest.fixture(scope="module")
def html(scores: Scores) -> str:
    return page(scores)


def test_it_asks_for_nothing(html: str) -> None:
    found = Page(html)
    assert not {"link", "iframe", "object", "video", "base"} & {tag for tag, _ in found.elements}
    fetched = [
        given[name] for _, given in found.elements for name in ("src", "srcset", "poster", "data") if name in given
    ]
    assert fetched and all(address.startswith("data:image/png;base64,") for address in fetched)
    links = [(tag, given["href"]) for tag, given in found.elements if "href" in given]
    assert links == [("a", "#about"), ("a", "https://doi.org/10.1109/CVPRW59228.2023.00512")]
    assert not re.search(r"url\(|@import", re.findall(r"<style>(.*?)</style>", html, re.DOTALL)[0])
    assert not any(name.startswith("on") or name == "style" for _, given in found.elements for name in given)


def test_only_our_scripts_may_run(html: str) -> None:
    found = Page(html)
    policy = next(given["content"] for _, given in found.elements if "http-equiv" in given)
    assert policy.startswith("default-src 'none'; ") and "'unsafe-inline'" not in policy.split("script-src")[1]
    run = [text for given, text in found.scripts if "type" not in given]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert re.findall(r"'sha256-([^']+)'", policy) == digests and len(run) == 2
    assert "<!--" not in "".join(run)  # which a browser reads as something else


def data_of(html: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(text for given, text in Page(html).scripts if given.get("id") == "data"))
    return found


def chunk_of(html: str, number: int) -> bytes:
    text = next(text for given, text in Page(html).scripts if given.get("id") == f"chunk-{number}")
    return zlib.decompress(base64.b64decode(text))


def test_the_data_are_the_tables(scores: Scores, html: str) -> None:
    (result,) = data_of(html)["results"]
    assert [layer["layer"] for layer in result["layers"]] == list(scores.layers["layer"])
    for by, source in (("by_layer", scores.scores), ("by_part", scores.parts)):
        for key, rows in source.groupby(["alignment", "scope", "measure", "transformation"], sort=False):
            alignment, scope, measure, transformation = key
            drawn = result[by][alignment][scope][measure][transformation]
            for column in ("score", "low", "high", "chance", "corrected", "corrected_low", "corrected_high"):
                expected = [None if value != value else pytest.approx(value, abs=6e-5) for value in rows[column]]
                assert drawn[column] == expected
    first = json.loads(chunk_of(html, result["channels"]["dataset"][0]))["array"]["rot90"]
    rows = scores.channels[
        (scores.channels["layer"] == EVIL)
        & (scores.channels["transformation"] == "rot90")
        & (scores.channels["scope"] == "dataset")
    ]
    assert first["partner"] == rows["partner"].tolist()
    assert first["equivariance"] == pytest.approx(rows["equivariance"].tolist(), abs=6e-5)


def test_the_maps_are_in_the_page_and_beyond_the_room_are_not(
    monkeypatch: pytest.MonkeyPatch, scores: Scores, html: str
) -> None:
    maps = data_of(html)["results"][0]["maps"]
    assert scores.maps is not None and len(maps["images"]) == 2
    kept, about = scores.maps.layers[EVIL, "rot90"], maps["layers"][EVIL]["rot90"]
    assert about["pairs"] == kept.pairs.tolist()
    large = chunk_of(html, about["large"][1])
    assert large == kept.valid_pairs.tobytes() + kept.turned_pairs[1].tobytes() + kept.expected_pairs[1].tobytes()
    small = chunk_of(html, about["small"][0])
    assert small[:16] == kept.low.astype("<f4").tobytes()
    assert small.endswith(kept.turned[0].tobytes() + kept.expected[0].tobytes())
    monkeypatch.setattr(pages, "MOST_OF_MAPS", 5000)
    monkeypatch.setattr(Plot, "png", lambda figure: b"")
    less = data_of(page(scores))["results"][0]["maps"]
    numbers = [number for of in less["layers"][EVIL].values() for kind in ("large", "small") for number in of[kind]]
    assert len(less["images"]) < 2 or None in numbers
    monkeypatch.setattr(pages, "MOST_OF_MAPS", 0)
    assert data_of(page(scores))["results"][0]["maps"]["images"] == []
    assert data_of(page(replace(scores, maps=None)))["results"][0]["maps"] is None


def test_several_results_share_a_page(monkeypatch: pytest.MonkeyPatch, scores: Scores) -> None:
    monkeypatch.setattr(Plot, "png", lambda figure: b"")
    found = Page(page({"one": scores, EVIL: replace(scores, maps=None)}))
    identities = [given["id"] for _, given in found.elements if "id" in given]
    assert len(set(identities)) == len(identities) and {"result-0", "result-1"} <= set(identities)
    assert found.text.count("What was measured") == 2


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


def test_the_tables_are_the_tables(scores: Scores, html: str) -> None:
    tables = Page(html).tables
    place = 0
    for scope in ("dataset", "image"):
        for by, table, about in (("part", scores.parts, 2), ("layer", scores.scores, 4)):
            for family in ("rotations", "shift(1,2)"):
                rows = tables[place][2:]  # below two lines of heads
                place += 1
                expected = scores.table(by, scope, family)
                assert [row[0] for row in rows] == list(expected[by])
                for row, (_, numbers) in zip(rows, expected.iterrows(), strict=True):
                    assert len(row) == about + 10
                    for first, measure in ((about, "invariance"), (about + 5, "equivariance")):
                        names = [measure, f"{measure}_chance", f"{measure}_corrected"]
                        drawn = [row[first], row[first + 2], row[first + 3]]
                        assert drawn == [_text(numbers[name]) for name in names]
                    undefined = table[
                        (table[by] == row[0]) & (table["scope"] == scope) & (table["transformation"] == family)
                    ]["undefined"].tolist()
                    assert [int(row[about + 4]), int(row[about + 9])] == undefined
    assert html.count('<abbr title="undefined">–</abbr>') > 10


def _text(number: float) -> str:
    return "–" if number != number else f"{number:.3f}".replace("-", "−")


def test_everything_left_out_is_named_with_its_reason(scores: Scores, html: str) -> None:
    layers, images = Page(html).tables[-2:]
    assert layers[1:] == [[f"aux{EVIL}", "tokens on no declared grid"]]
    assert len(images[1:]) == 200 and images[1] == [f"0{EVIL}.png", "it is empty"]
    assert "3 more are in the manifest." in html
    nothing = scores.manifest | {"layers_left_out": [], "images_left_out": []}
    assert "No layer was left out." in page(replace(scores, manifest=nothing))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"similarity": "cosine"}, "not less their means"),
        ({"strict": True}, "S( f(Tg X)c , f(X)c )"),
        ({}, "S( f(Tg X)c , T′g f(X)c )"),
        ({"negative": "abs"}, "loses its sign"),
        ({"fill": "wrap"}, "enters at the other"),
        ({"subcell": "exact"}, "is left out, as undefined"),
        ({"chance": False}, "ChanceNot measured."),
        ({"intervals": False}, "95 % intervalNot made."),
    ],
)
def test_the_options_are_said_in_words(
    monkeypatch: pytest.MonkeyPatch, scores: Scores, options: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(Plot, "png", lambda figure: b"")  # only words here
    manifest = scores.manifest | {"options": scores.manifest["options"] | options}
    assert said in Page(page(replace(scores, manifest=manifest))).text


def test_without_shifts_nothing_is_said_of_borders(scores: Scores) -> None:
    options = scores.manifest["options"] | {"transformations": {"rotations": ["rot90", "rot180", "rot270"]}}
    found = Page(page(replace(scores, manifest=scores.manifest | {"options": options})))
    assert "at the border" not in found.text
