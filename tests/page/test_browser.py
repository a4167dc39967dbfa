"""The page in a real Chromium: one walk through a report as a reader with a keyboard and a mouse, one on paper."""

import base64
import csv
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import equiscope as es
from equiscope.figures.style import Plot
from equiscope.results.columns import SCOPES
from equiscope.results.rows import rows_of
from equiscope.results.scores import Scores
from example import example_scores
from example_maps import example_maps

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on the path")

HOSTILE = "<img src=x onerror=alert(1)>"
LINK = "<a href='/example'>here</a> & <b>"
WIDE, LONG = 14, 40  # channels; layers of the page that is printed
PATIENCE = 30  # seconds, on a machine that has other things to do


@pytest.fixture(scope="module")
def scores() -> Scores:
    """Scores and maps of layers of hostile names, the first with a constant channel, and two vectors."""
    found = example_scores([HOSTILE, LINK, "layer3"], WIDE, shifts=(1, 3), scopes=SCOPES, model=HOSTILE)
    return replace(found, maps=example_maps(found))


@pytest.fixture(scope="module")
def other() -> Scores:
    """A deep network of long names, measured in one scope, about both centres."""
    names = [f"features.denseblock{number // 10 + 1}.denselayer{number % 10 + 1}" for number in range(LONG)]
    return example_scores(names, 8, alignments=("array", "registered"), seed=1)


class Browser:
    """A Chromium without a window, and what the tests ask of it."""

    def __init__(self, downloads: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "window-size=1400,900"):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        self.driver.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)}
        )

    def open(self, file: Path) -> None:
        self.driver.get(file.resolve().as_uri())
        self.until("document.documentElement.dataset.ready")

    def run(self, script: str, *given: Any) -> Any:
        return self.driver.execute_script(f"return {script}", *given)

    def until(self, script: str, *given: Any) -> Any:
        """The value of a script once it is true."""
        stop = time.monotonic() + PATIENCE
        while not (found := self.run(script, *given)):
            assert time.monotonic() < stop, f"never: {script}"
            time.sleep(0.05)
        return found

    def click(self, selector: str) -> None:
        """A click where the element is, by the mouse."""
        element = self.driver.find_element("css selector", selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        webdriver.ActionChains(self.driver).move_to_element(element).click().perform()

    def pick(self, group: str, value: str) -> None:
        self.click(f"input[name={group}][value={value}] + span")

    def select(self, identity: str, value: str) -> None:
        self.run(
            "((identity, value) => { const node = document.getElementById(identity); node.value = value;"
            "node.dispatchEvent(new Event('change', { bubbles: true })); })(arguments[0], arguments[1])",
            identity, value,
        )  # fmt: skip

    def press(self, *keys: str) -> None:
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def said_along(self, chart: str, count: int) -> list[list[str]]:
        """What a chart says at each of its stops, from the first to the right, by the keyboard alone."""
        self.run("document.querySelector(`#${arguments[0]} .stage`).focus()", chart)
        found = []
        for key in ["HOME"] + ["ARROW_RIGHT"] * (count - 1):
            self.press(getattr(webdriver.Keys, key))
            found.append(self.run("[...document.getElementById('tip').children].map((one) => one.textContent)"))
        return found

    def text(self, identity: str) -> str:
        found: str = self.run("document.getElementById(arguments[0]).textContent", identity)
        return found

    def rows(self, table: str) -> list[list[str]]:
        found: list[list[str]] = self.run(
            "[...document.querySelectorAll(`#${arguments[0]} tbody tr`)]"
            ".map((row) => [...row.cells].map((cell) => cell.textContent))",
            table,
        )
        return found

    def inks(self, selector: str) -> list[np.ndarray]:
        """The pixels of canvases, as arrays of red, green, blue and opacity."""
        addresses = self.run("[...document.querySelectorAll(arguments[0])].map((one) => one.toDataURL())", selector)
        return [np.asarray(Image.open(BytesIO(base64.b64decode(one.split(",")[1])))) for one in addresses]

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses that anything was asked of, since this was last asked."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def chromium(places: Path) -> Iterator[Browser]:
    browser = Browser(places)
    yield browser
    browser.driver.quit()


@pytest.fixture
def watched(chromium: Browser) -> Iterator[Browser]:
    """Whatever a test does with its pages, the console stays empty and no request leaves."""
    chromium.complaints(), chromium.requests()
    yield chromium
    assert chromium.complaints() == []
    asked = [address for address in chromium.requests() if not address.startswith(("data:", "blob:file:", "blob:null"))]
    assert asked and all(address.startswith("file:///") and address.endswith(".html") for address in asked), asked


@pytest.fixture(scope="module")
def one(places: Path, scores: Scores) -> Path:
    return written(places / "one.html", scores)


@pytest.fixture(scope="module")
def two(places: Path, scores: Scores, other: Scores) -> Path:
    return written(places / "two.html", {"first": scores, "second": other})


def written(file: Path, results: Any) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plot, "png", lambda figure: b"")  # the figures for whom no script runs
        es.report(results, file)
    return file


def of_layers(scores: Scores, measure: str, value: str, transformation: str, scope: str = "dataset") -> list[float]:
    rows = rows_of(scores.scores, scope, transformation, measure).set_index("layer").loc[list(scores.layers["layer"])]
    found: list[float] = rows[value].tolist()
    return found


def close_to(values: Any) -> Any:
    """Equal to three digits, as they are shown."""
    return pytest.approx(list(values), abs=6e-4, nan_ok=True)


def numbers(lines: list[str]) -> list[float]:
    """The number at the end of each line; NaN for a dash."""
    return [float(line.split()[-1].replace("–", "nan")) for line in lines]


def test_a_walk_through_the_report(watched: Browser, one: Path, scores: Scores, places: Path) -> None:
    watched.open(one)
    layers = list(scores.layers["layer"])

    # The picture: what each measure explains more, at every layer, read by the keyboard.
    explained = [
        of_layers(scores, measure, "explained", "rotations") for measure in ("invariance", "equivariance", "linear")
    ]
    shares = np.diff(explained, axis=0, prepend=0, append=1)
    for place, (name, family, *said) in enumerate(watched.said_along("shares-chart", len(layers))):
        assert (name, family) == (layers[place], "under rotations")
        assert [line.split()[0] for line in said] == ["stays", "swaps", "mixes", "lost"]
        assert [float(line.split()[1]) for line in said] == pytest.approx(100 * shares[:, place], abs=0.06)
    watched.press(webdriver.Keys.ARROW_DOWN)
    assert "rest (linear not measured)" in watched.text("tip") and "under shifts" in watched.text("tip")
    assert "rest (linear not measured)" in watched.text("shares-keys")
    watched.press(webdriver.Keys.HOME, webdriver.Keys.ARROW_RIGHT, webdriver.Keys.ENTER)  # chooses the second layer
    watched.until("document.documentElement.dataset.layer === '1'")
    assert watched.run("document.activeElement.dataset.layer") == "1" and watched.text("layer-name") == LINK

    # Scores: held out first, the literal ones one click away; scopes, shifts and single transformations.
    def scores_said(measure: str) -> list[float]:
        at = watched.said_along("layers-chart", len(layers))
        return numbers([next((line for line in lines if line.startswith(measure)), "–") for lines in at])

    assert scores_said("equivariance") == close_to(of_layers(scores, "equivariance", "score", "rotations"))
    watched.pick("estimate", "in_sample")
    assert scores_said("equivariance") == close_to(of_layers(scores, "equivariance", "in_sample", "rotations"))
    assert "biased upward" in watched.text("layers-caption") and "No in-sample score of linear" in watched.text(
        "layers-caption"
    )
    watched.pick("estimate", "explained")
    watched.pick("scope", "image")  # within images no share is explained
    assert watched.run("document.querySelector('[name=estimate]:checked').value") == "score"
    assert scores_said("invariance") == close_to(of_layers(scores, "invariance", "score", "rotations", "image"))
    watched.pick("scope", "dataset")
    watched.select("transformation", "shifts")
    watched.pick("shifts", "whole")
    assert np.isnan(scores_said("invariance")[1]) and "not a whole number of positions" in watched.text(
        "layers-caption"
    )
    watched.pick("shifts", "all")
    watched.select("transformation", "rotations")

    # Names are text; tables sort and are downloaded with all columns.
    assert watched.run("document.querySelectorAll('img[src=x], [onerror], svg a, b b').length") == 0
    head = "#layers-table thead tr:last-child th:nth-child(1) button"
    watched.click(head)
    expected = scores.table(transformation="rotations")
    assert [row[0] for row in watched.rows("layers-table")] == expected.sort_values("invariance", ascending=False)[
        "layer"
    ].tolist()
    watched.click("#layers-table .csv")
    saved = places / "img-src-x-onerror-alert-1--layers-rotations-dataset.csv"
    stop = time.monotonic() + PATIENCE
    while not saved.exists():
        assert time.monotonic() < stop, list(places.iterdir())
        time.sleep(0.05)
    rows = (
        pd.DataFrame(csv.DictReader(StringIO(saved.read_text(encoding="utf-8"), newline="")))
        .set_index("layer")
        .loc[layers]
    )
    for name in (
        "invariance",
        "linear",
        "equivariance_chance",
        "linear_explained",
        "equivariance_in_sample",
        "linear_high",
    ):
        assert rows[name].astype(float).tolist() == pytest.approx(expected[name].tolist(), abs=6e-5)

    # All that can be used has a name.
    unnamed = watched.run(
        "[...document.querySelectorAll('button, select, input, .stage')].filter((one) => one.checkVisibility() &&"
        "!(one.textContent.trim() || one.ariaLabel || one.labels?.length)).map((one) => one.outerHTML)"
    )
    assert unnamed == []


def test_a_layer_its_channels_and_their_partners(watched: Browser, one: Path, scores: Scores) -> None:
    watched.open(one)
    assert scores.maps is not None
    kept = scores.maps.layers[HOSTILE, "rot90"]
    table = scores.channels.query("layer == @HOSTILE and transformation == 'rot90' and scope == 'dataset'")
    table = table.sort_values("equivariance", ascending=False, kind="stable")

    # Channels: a table from the strongest, and curves that only fall.
    assert [int(row[0]) for row in watched.rows("channels-table")] == table["channel"].tolist()
    for measure in ("invariance", "equivariance", "linear"):
        said = watched.said_along("channels-chart", WIDE - 1)  # one channel is constant
        rank = [line for line, *_ in said]
        assert all(re.fullmatch(rf"rank {place + 1}: {measure} \.?[\d.]+", line) for place, line in enumerate(rank))
        values = [float(line.split()[-1]) for line in rank]
        assert values == sorted(values, reverse=True)
        assert values == pytest.approx(sorted(table[measure].dropna(), reverse=True), abs=6e-4)
        watched.press(webdriver.Keys.ARROW_DOWN)

    # Partners: f(X), T'_g f(X) and f(T_g X) side by side, each pair with its correlation here and over all.
    place = next(number for number, (channel, partner) in enumerate(kept.pairs) if channel != partner)
    chosen, partner = kept.pairs[place]
    watched.click(f".pair[data-channel='{chosen}']")
    assert watched.run("document.getElementById('channel-maps').dataset.partner") == str(partner)
    over_all = float(table.set_index("channel")["equivariance"][chosen])
    assert f"this image {kept.partner_similarity[0, chosen]:.2f}, all {over_all:.2f}" in watched.run(
        "document.querySelector('.pair[aria-pressed=true]').textContent"
    )
    assert (
        f"correlation {kept.partner_similarity[0, chosen]:.2f} on this image, {over_all:.2f} over all"
        in watched.text("channel-why")
    )
    assert f"correlation {kept.own_similarity[0, chosen]:.2f} on this image" in watched.text("channel-why")
    drawn = watched.inks("#channel-maps canvas")
    sides = [getattr(kept, f"{side}_pairs")[0, place] for side in ("original", "expected", "transformed")]
    assert len(drawn) == 3 and len(watched.inks(".pair canvas")) == 36
    for ink, side in zip(drawn, sides, strict=True):
        bright = ink[..., :3] @ np.array([0.299, 0.587, 0.114])  # the brighter the higher
        assert np.corrcoef(bright.ravel(), side.ravel())[0, 1] > 0.98 and ink[..., 3].min() == 255
    watched.click("#image label:nth-child(2) span")
    watched.until("document.querySelector('#channel-maps img').alt === 'Image 2'")
    assert f"correlation {kept.partner_similarity[1, chosen]:.2f} on this image" in watched.text("channel-why")

    # Under a shift, positions without a counterpart are blank, but in f(X) itself.
    watched.select("member", "shift(3,3)")
    watched.until("document.querySelectorAll('#channel-maps img')[1].alt.includes('shift(3,3)')")
    original, expected, _ = (ink[..., 3] for ink in watched.inks(".pair canvas")[:3])
    assert (original == 255).all() and (expected[:3] == 0).all() and (expected[3:, 3:] == 255).all()
    watched.select("member", "rot180")
    watched.until("document.getElementById('partners-shown').hidden")
    assert "rot90 and shift(3,3)" in watched.text("partners-about")

    # Orbits and the group law.
    assert watched.run("document.querySelector('.orbit p').textContent") == "0 → 1 → 2 → 3 → 0"
    assert len(watched.inks(".orbit canvas")) == 4
    laws = scores.laws[scores.laws["layer"] == HOSTILE]
    assert [float(row[3]) for row in watched.rows("laws-table")] == pytest.approx(laws["composed"].tolist(), abs=6e-4)


def test_several_results_are_side_by_side(watched: Browser, two: Path, scores: Scores, other: Scores) -> None:
    watched.open(two)
    assert watched.run("[...document.querySelectorAll('.answer h3')].map((one) => one.textContent)") == [
        f"{name}, under {family}" for family in ("rotations", "shifts") for name in ("first", "second")
    ]
    watched.pick("measure", "equivariance")
    said = [line for _, line, *_ in watched.said_along("depth-chart", 5)]
    assert numbers(said) == close_to(of_layers(scores, "equivariance", "score", "rotations"))
    watched.click("#compared input[value='0']")
    said = [line for _, line, *_ in watched.said_along("depth-chart", 2)]
    assert numbers(said) == close_to(of_layers(other, "equivariance", "score", "rotations")[:2])
    watched.pick("scope", "image")
    watched.select("result", "1")  # of which only all images together were measured
    watched.until("document.getElementById('layer-name').textContent.startsWith('features')")
    assert watched.run("document.getElementById('field-scope').hidden")
    assert watched.run("[...document.querySelectorAll('.result')].map((one) => one.hidden)") == [True, False]
    watched.pick("alignment", "registered")
    rows = rows_of(other.scores, "dataset", "rotations", "equivariance", "registered").set_index("layer")["score"]
    assert numbers(watched.said_along("layers-chart", 1)[0][1:2]) == close_to([rows[other.layers["layer"][0]]])


JUTS = """[...document.querySelectorAll('main *')]
    .filter((one) => one.checkVisibility() && !one.closest('.hidden, pre'))
    .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map((one) => [one.parentNode.id, one.tagName, one.getBoundingClientRect().right, one.textContent.slice(0, 30)])"""


@pytest.mark.parametrize(("width", "paper"), [(1400, False), (800, False), (360, False), (703, True), (725, True)])
def test_nothing_is_cut(watched: Browser, two: Path, width: int, paper: bool) -> None:
    """On a screen, and within the margins of A4 (703 pixels) and letter; on paper nothing scrolls either."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    watched.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    watched.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print" if paper else "screen"})
    watched.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": paper})
    try:
        watched.open(two)
        watched.select("result", "1")
        if paper:
            watched.run("dispatchEvent(new Event('beforeprint'))")
        assert watched.run("document.documentElement.scrollWidth") <= width
        if paper or width == 1400:
            assert watched.run(JUTS) == []
        names = watched.run(
            "[...document.querySelectorAll('#strip button')].filter((one) => one.scrollWidth > one.clientWidth).length"
        )
        assert names == 0
    finally:
        watched.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        watched.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": False})
        watched.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_without_scripts_there_are_the_answer_figures_and_tables(watched: Browser, one: Path) -> None:
    watched.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        watched.driver.get(one.resolve().as_uri())
        found = watched.driver.find_elements("css selector", "noscript table, .answer")
        assert len(found) > 2 and all(one.is_displayed() for one in found)
        assert not watched.driver.find_element("css selector", "#app").is_displayed()
    finally:
        watched.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
