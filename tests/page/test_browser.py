"""The page in a real Chromium: clicks change what they should, nothing is asked of anywhere, no error is logged."""

import csv
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import equiscope as es
from equiscope.figures.style import Plot
from equiscope.results.columns import SCOPES
from equiscope.results.maps import Maps
from equiscope.results.rows import rows_of
from equiscope.results.scores import Scores
from example import example_scores
from example_maps import example_maps

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on the path")

HOSTILE = "<img src=x onerror=alert(1)>"
LINK = "<a href='/example'>here</a> & <b>"
LAYERS, BYTES = 100, 20_000_000
PATIENCE = 30  # seconds, on a machine that has other things to do


def scores_of(**options: Any) -> Scores:
    """Scores and maps of layers of hostile names, the first with a constant channel, and two vectors."""
    scores = example_scores([HOSTILE, LINK, "layer3"], 14, **options)
    return replace(scores, maps=example_maps(scores))


def deep() -> Scores:
    """A hundred layers, with maps of noise, which cannot be packed, as large as any."""
    scores = example_scores(LAYERS - 2, 14, shifts=(1, 3))
    kept = example_maps(example_scores(1, 14, shifts=(1, 3)))
    random = np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return random.integers(0, 256, shape, dtype=np.uint8)

    names = list(kept.transformed_images)
    like = kept.layers["layer1", "rot90"]
    maps = Maps(
        images=noise(2, 224, 224, 3),
        transformed_images={name: noise(2, 224, 224, 3) for name in names},
        transformations=kept.transformations,
        layers={
            (layer, name): replace(
                like, transformed=noise(2, 14, 16, 16), expected=noise(2, 14, 16, 16),
                transformed_pairs=noise(2, 12, 64, 64), expected_pairs=noise(2, 12, 64, 64),
                valid_pairs=np.ones((64, 64), dtype=bool),
            )
            for name in names for layer in scores.layers["layer"]
        },
    )  # fmt: skip
    return replace(scores, maps=maps)


def written(places: Path, name: str, results: Any) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plot, "png", lambda figure: b"")  # the figures for whom no script runs
        es.report(results, places / f"{name}.html")
    return places / f"{name}.html"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def scores() -> Scores:
    return scores_of(shifts=(1, 3), scopes=SCOPES, model=HOSTILE)


@pytest.fixture(scope="module")
def file(places: Path, scores: Scores) -> Path:
    return written(places, "one", scores)


@pytest.fixture(scope="module")
def unlike() -> dict[str, Scores]:
    """Two results that have no family, no alignment but the array's and not all measures in common."""
    rotated = example_scores(["layer1", "layer2"], 8, shifts=(), alignments=("array", "registered"))
    shifted = scores_of(families={}, shifts=(1, 3), measures=("invariance", "equivariance", "strict_invariance"))
    left_out = shifted.channels["layer"].eq(LINK) & shifted.channels["transformation"].eq("shift(1,1)")
    channels = shifted.channels.copy()
    channels.loc[left_out, [name for name in channels if "variance" in name]] = np.nan
    channels.loc[left_out, "partner"] = pd.NA
    assert shifted.maps is not None
    maps = {key: of for key, of in shifted.maps.layers.items() if key[0] != LINK}
    shown = replace(shifted.maps, transformations={"shifts": "shift(3,3)"}, layers=maps)
    return {"rotated": rotated, "shifted": replace(shifted, channels=channels, maps=shown)}


@pytest.fixture(scope="module")
def unlike_file(places: Path, unlike: dict[str, Scores]) -> Path:
    return written(places, "unlike", unlike)


class Browser:
    """A Chromium without a window, and what the tests ask of it."""

    def __init__(self, downloads: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--window-size=1280,900",
        ):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        self.downloads = downloads
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
            identity,
            value,
        )

    def drawn(self, chart: str, name: str) -> list[float | None]:
        """The values of a curve."""
        found: list[float | None] = self.run(
            "Array.from(document.getElementById(arguments[0]).data.find((one) => one.name === arguments[1]).y)",
            chart,
            name,
        )
        return found

    def names(self, chart: str) -> list[str]:
        found: list[str] = self.run("document.getElementById(arguments[0]).data.map((one) => one.name)", chart)
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

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses that anything was asked of, since this was last asked."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]


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


@pytest.fixture
def browser(watched: Browser, file: Path) -> Browser:
    """The page of one result, newly opened."""
    watched.open(file)
    return watched


def column(scores: Scores, measure: str, value: str, transformation: str, scope: str = "dataset") -> list[Any]:
    rows = rows_of(scores.scores, scope, transformation, measure).set_index("layer").loc[list(scores.layers["layer"])]
    return [None if pd.isna(one) else pytest.approx(one, abs=6e-5) for one in rows[value]]


def test_the_shares_of_the_variance_are_what_each_measure_explains_more(browser: Browser, scores: Scores) -> None:
    chart = "shares-chart"
    names = ["stays", "swaps", "mixes", "lost", "stays", "swaps", "mixes or lost"]  # of rotations, and of shifts
    assert browser.names(chart) == names
    drawn = browser.run("document.getElementById(arguments[0]).data.map((one) => Array.from(one.y))", chart)
    for family, shares in (("rotations", drawn[:4]), ("shifts", drawn[4:])):
        before = np.zeros(5)
        for measure, share in zip(("invariance", "equivariance", "linear"), shares[:-1], strict=False):
            rows = rows_of(scores.scores, "dataset", family, measure).set_index("layer")
            explained = rows.loc[list(scores.layers["layer"]), "explained"].to_numpy()
            assert share == pytest.approx(explained - before, abs=2e-4)
            before = explained
        assert np.sum(shares, axis=0) == pytest.approx(np.ones(5), abs=2e-4)
    browser.select("transformation", "rot180")
    assert browser.names(chart) == ["stays", "swaps", "mixes", "lost"]
    assert "Hatched" not in browser.text("shares-caption")


def test_the_switches_change_what_is_drawn(browser: Browser, scores: Scores) -> None:
    chart = "layers-chart"
    assert browser.drawn(chart, "equivariance") == column(scores, "equivariance", "score", "rotations")
    assert browser.drawn(chart, "linear") == column(scores, "linear", "score", "rotations")
    chance = browser.drawn(chart, "chance level of invariance")
    assert chance == column(scores, "invariance", "chance", "rotations")
    browser.pick("estimate", "explained")
    assert browser.drawn(chart, "linear") == column(scores, "linear", "explained", "rotations")
    assert browser.names(chart) == ["invariance", "equivariance", "linear"]
    browser.pick("estimate", "in_sample")
    assert browser.drawn(chart, "equivariance") == column(scores, "equivariance", "in_sample", "rotations")
    assert "biased upward" in browser.text("layers-caption") and "No in-sample score of linear" in browser.text(
        "layers-caption"
    )
    browser.pick("scope", "image")
    assert browser.drawn(chart, "invariance") == column(scores, "invariance", "in_sample", "rotations", "image")
    assert None in browser.drawn(chart, "invariance")  # of vectors
    browser.pick("estimate", "score")
    browser.pick("measure", "invariance")
    assert browser.names(chart) == ["invariance", "chance level of invariance", "chance level"]
    browser.pick("scope", "dataset")
    browser.select("transformation", "shift(3,3)")
    assert browser.drawn(chart, "invariance") == column(scores, "invariance", "score", "shift(3,3)")
    assert browser.text("said") == "Showing invariance, all images together, score, under shift(3,3)."


def test_within_images_no_explained_share_can_be_chosen(browser: Browser) -> None:
    browser.pick("estimate", "explained")
    browser.pick("scope", "image")
    chosen = "document.querySelector('[name=estimate]:checked').value"
    assert browser.run(chosen) == "score"
    assert browser.run("document.querySelector('[name=estimate][value=explained]').disabled")
    browser.pick("scope", "dataset")
    browser.pick("estimate", "explained")
    assert browser.run(chosen) == "explained"


def test_whole_shifts_are_shown_alone_on_request(browser: Browser, scores: Scores) -> None:
    browser.select("transformation", "shifts")
    every = browser.drawn("layers-chart", "invariance")
    browser.pick("shifts", "whole")
    whole = browser.drawn("layers-chart", "invariance")
    assert whole[0] == every[0] and whole[1] is None  # of stride 1 and of stride 2
    assert "not a whole number of positions" in browser.text("layers-caption")
    browser.select("transformation", "rotations")
    assert browser.drawn("layers-chart", "invariance") == column(scores, "invariance", "score", "rotations")


def test_the_interval_is_drawn_about_the_score(browser: Browser, scores: Scores) -> None:
    bars = "document.getElementById('layers-chart').data.find((one) => one.name === 'equivariance').error_y"
    for estimate, low, high in (("score", "low", "high"), ("explained", "explained_low", "explained_high")):
        browser.pick("estimate", estimate)
        drawn = browser.run(bars)
        rows = rows_of(scores.scores, "dataset", "rotations", "equivariance")
        assert list(drawn["array"]) == pytest.approx((rows[high] - rows[estimate]).tolist(), abs=2e-4)
        assert list(drawn["arrayminus"]) == pytest.approx((rows[estimate] - rows[low]).tolist(), abs=2e-4)
    browser.pick("estimate", "in_sample")
    assert browser.run(bars)["visible"] is False


def test_the_heat_map_is_layers_by_transformations(browser: Browser, scores: Scores) -> None:
    members = ["rot90", "rot180", "rot270", "shift(1,1)", "shift(3,3)"]
    assert browser.names("heat-chart") == ["invariance", "equivariance", "linear"]
    found = browser.run("document.getElementById('heat-chart').data.map((one) => one.z)")
    for measure, heat in zip(("invariance", "equivariance", "linear"), found, strict=True):
        measured = members[:3] if measure == "linear" else members
        assert list(heat) == [column(scores, measure, "score", member) for member in measured]


def channels(scores: Scores, layer: str, transformation: str, scope: str = "dataset") -> pd.DataFrame:
    found = scores.channels.set_index(["layer", "transformation", "scope"]).loc[(layer, transformation, scope)]
    return found.sort_values("equivariance", ascending=False, kind="stable")


def test_a_click_on_a_layer_shows_its_channels_sorted_with_their_partners(browser: Browser, scores: Scores) -> None:
    browser.click("#strip button[data-layer='1']")
    browser.until("document.documentElement.dataset.layer === '1'")
    expected = channels(scores, LINK, "rot90")
    rows = browser.rows("channels-table")
    assert [int(row[0]) for row in rows] == expected["channel"].tolist()
    assert [row[2] for row in rows] == ["–" if pd.isna(one) else str(one) for one in expected["partner"]]
    for place, measure in ((1, "equivariance"), (3, "invariance"), (4, "linear"), (5, "chance_equivariance")):
        assert [row[place] for row in rows] == [
            f"{value:.3f}".replace("-", "−") for value in expected[measure].round(4)
        ]
    assert browser.drawn("channels-chart", "linear") == pytest.approx(expected["linear"].tolist(), abs=6e-5)
    assert browser.text("layer-name") == LINK
    assert browser.run("document.querySelector('#strip [aria-pressed=true]').dataset.layer") == "1"
    assert browser.run("[...document.querySelectorAll('#layers-table .chosen th')].map((one) => one.textContent)") == [
        LINK
    ]
    browser.select("member", "shift(3,3)")
    browser.until("document.querySelector('#channels-table strong').textContent.includes('shift(3,3)')")
    expected = channels(scores, LINK, "shift(3,3)")
    assert [int(row[0]) for row in browser.rows("channels-table")] == expected["channel"].tolist()
    assert "linear" not in browser.names("channels-chart")  # which was not measured
    browser.click("#strip button[data-layer='4']")  # a vector
    browser.until("document.documentElement.dataset.layer === '4'")
    assert "no grid" in browser.text("partners-about")
    assert browser.run("document.getElementById('partners-shown').hidden")


def test_the_channels_show_what_they_explain(browser: Browser, scores: Scores) -> None:
    browser.pick("estimate", "explained")
    browser.until("document.querySelector('#channels-table strong').textContent.includes('shares explained')")
    table = channels(scores, HOSTILE, "rot90").sort_values("explained_equivariance", ascending=False, kind="stable")
    drawn = [one for one in browser.drawn("channels-chart", "equivariance") if one is not None]
    assert drawn == pytest.approx(table["explained_equivariance"].dropna().tolist(), abs=6e-5)


def test_a_channel_without_a_score_comes_last_and_has_no_partner(browser: Browser) -> None:
    assert browser.rows("channels-table")[-1][:3] == ["13", "–", "–"]
    browser.run(
        "[...document.querySelectorAll('#channels-table tbody button')].find((b) => b.textContent === '13').click()"
    )
    assert browser.text("channel-name") == "Channel 13 is undefined and has no partner"
    assert "it is constant, of the transformed image or of the image" in browser.text("channel-why")
    browser.click(".pair")
    assert "partner" in browser.text("channel-name") and browser.text("channel-why").startswith("Linear 0.")


def inks(browser: Browser, selector: str) -> list[np.ndarray]:
    """What some canvases show, as red, green, blue and opacity."""
    found = browser.run(
        "[...document.querySelectorAll(arguments[0])].map((canvas) => [canvas.height, canvas.width,"
        "[...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]])",
        selector,
    )
    return [np.array(pixels).reshape(height, width, 4) for height, width, pixels in found]


def choose_channel(browser: Browser, channel: int) -> None:
    browser.run(
        "((channel) => { const node = document.getElementById('channel-number'); node.value = channel;"
        "node.dispatchEvent(new Event('change')); })(arguments[0])",
        channel,
    )


def test_a_chosen_channel_shows_its_partner_s_map(browser: Browser, scores: Scores) -> None:
    assert scores.maps is not None
    kept = scores.maps.layers[HOSTILE, "rot90"]
    choose_channel(browser, 2)
    assert browser.run("Object.assign({}, document.getElementById('channel-maps').dataset)") == {
        "channel": "2", "partner": "3",
    }  # fmt: skip
    assert browser.text("channel-name") == "Channel 2 matches its partner, channel 3"
    transformed, expected = inks(browser, "#channel-maps canvas")[:2]
    assert transformed.shape == (16, 16, 4)

    def value(maps: np.ndarray, which: int) -> np.ndarray:
        return kept.low[which] + maps[0, which] / 255 * (kept.high[which] - kept.low[which])

    both = [value(kept.transformed, 2), value(kept.expected, 3)]
    for ink, values in zip((transformed, expected), both, strict=True):  # the brighter the higher, on one scale
        bright = ink[..., :3] @ np.array([0.299, 0.587, 0.114])
        assert np.corrcoef(bright.ravel(), values.ravel())[0, 1] > 0.95
        assert ink[..., 3].min() == 255
    assert len(browser.run("[...document.querySelectorAll('#pictures img')].filter((one) => one.naturalWidth)")) == 2
    browser.click("#channel-partner")
    assert browser.text("channel-name") == "Channel 3 matches its partner, channel 0"
    choose_channel(browser, 5)
    assert browser.text("channel-name") == "Channel 5 is its own partner"


def test_the_strongest_pairs_are_shown_and_chosen_by_a_click(browser: Browser, scores: Scores) -> None:
    assert scores.maps is not None
    kept = scores.maps.layers[HOSTILE, "rot90"]
    shown = browser.run("[...document.querySelectorAll('.pair')].map((one) => Number(one.dataset.channel))")
    assert shown == kept.pairs[:, 0].tolist() and len(shown) == 12
    drawn = inks(browser, ".pair canvas")
    assert len(drawn) == 24 and all(ink.shape == (32, 32, 4) for ink in drawn)
    for place, side in enumerate((kept.transformed_pairs, kept.expected_pairs)):
        low, high = (side[0, 5] == edge for edge in (0, 255))
        assert low.any() and (drawn[10 + place][low][:, :3] == [68, 1, 84]).all()
        assert high.any() and (drawn[10 + place][high][:, :3] == [253, 231, 37]).all()
    browser.click(f".pair[data-channel='{shown[5]}']")
    assert browser.run("document.getElementById('channel-maps').dataset.channel") == str(shown[5])
    browser.click("#image label:nth-child(2) span")
    browser.until("document.querySelector('#pictures img').alt === 'Image 2'")
    assert any((one != other).any() for one, other in zip(drawn, inks(browser, ".pair canvas"), strict=True))


def test_under_a_shift_positions_without_a_counterpart_are_left_blank(browser: Browser) -> None:
    browser.select("member", "shift(3,3)")
    browser.until("document.querySelectorAll('#pictures img')[1].alt.includes('shift(3,3)')")
    opacity = inks(browser, ".pair canvas")[0][..., 3]
    assert (opacity[:3] == 0).all() and (opacity[:, :3] == 0).all() and (opacity[3:, 3:] == 255).all()
    browser.select("member", "rot180")
    browser.until("document.getElementById('partners-shown').hidden")
    assert "rot90 and shift(3,3)" in browser.text("partners-about")


def test_orbits_under_rotations_are_shown(browser: Browser) -> None:
    assert browser.run("document.querySelector('.orbit p').textContent") == "0 → 1 → 2 → 3 → 0"
    assert "1 orbit of four, 0 of two, and 9 channels that stay themselves" in browser.text("orbits-about")
    assert len(inks(browser, ".orbit canvas")) == 4
    browser.click(".orbit button:nth-child(2)")
    assert browser.text("channel-name") == "Channel 1 matches its partner, channel 2"


def test_the_group_law_of_the_chosen_layer_is_a_table(browser: Browser, scores: Scores) -> None:
    laws = scores.laws[scores.laws["layer"] == LINK]
    browser.click("#strip button[data-layer='1']")
    browser.until("document.documentElement.dataset.layer === '1'")
    rows = browser.rows("laws-table")
    assert [row[:3] for row in rows] == laws[["first", "second", "product"]].to_numpy().tolist()
    assert [float(row[3]) for row in rows] == pytest.approx(laws["composed"].tolist(), abs=6e-4)
    assert [float(row[4]) for row in rows] == pytest.approx(laws["direct"].tolist(), abs=6e-4)


def test_a_click_on_a_column_sorts(browser: Browser, scores: Scores) -> None:
    head = "#layers-table th:nth-child(6) button"
    assert browser.run("document.querySelector(arguments[0]).textContent", head) == "invariance"
    for direction, descending in (("descending", True), ("ascending", False)):
        browser.click(head)
        assert browser.run("document.querySelector(arguments[0]).parentNode.ariaSort", head) == direction
        expected = scores.table(transformation="rotations").sort_values("invariance", ascending=not descending)
        assert [row[0] for row in browser.rows("layers-table")] == expected["layer"].tolist()


def test_a_table_downloads_as_csv(browser: Browser, scores: Scores, places: Path) -> None:
    browser.click("#layers-table .csv")
    saved = places / "img-src-x-onerror-alert-1--layers-rotations-dataset.csv"
    stop = time.monotonic() + PATIENCE
    while not saved.exists():
        assert time.monotonic() < stop, list(places.iterdir())
        time.sleep(0.05)
    rows = list(csv.DictReader(StringIO(saved.read_text(encoding="utf-8"), newline="")))
    expected = scores.table(transformation="rotations")
    assert [row["layer"] for row in rows] == [HOSTILE, LINK, "layer3", "pool", "final"]
    for name in (
        "invariance",
        "linear",
        "equivariance_chance",
        "linear_explained",
        "equivariance_in_sample",
        "linear_high",
    ):
        assert [float(row[name]) for row in rows] == pytest.approx(expected[name].tolist(), abs=6e-5)


def test_the_theme_changes_page_and_charts(browser: Browser) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    line = "document.getElementById('layers-chart').data[0].line.color"
    share = "document.getElementById('shares-chart').data[0].marker.color"
    look = f"[{paper}, {line}, {share}, document.getElementById('theme').textContent]"
    before = browser.run(look)
    browser.click("#theme")
    after = browser.run(look)
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert {before[-1], after[-1]} == {"Dark", "Light"}
    browser.click("#theme")
    assert browser.run(look) == before


def test_charts_keep_their_height_and_follow_the_width_of_the_window(browser: Browser) -> None:
    first = "document.querySelector('#layers-chart svg').clientWidth"
    heights = "Array.from(document.querySelectorAll('.chart'), (one) => one.offsetHeight)"
    width, before = browser.run(first), browser.run(heights)
    size = browser.driver.get_window_size()
    try:
        browser.driver.set_window_size(size["width"] - 200, size["height"])
        browser.until(f"{first} < arguments[0] - 150", width)
        assert browser.run(heights) == before and max(before) > 300
    finally:
        browser.driver.set_window_size(size["width"], size["height"])
    browser.until(f"{first} === arguments[0]", width)


def test_names_are_text_and_nothing_else(browser: Browser) -> None:
    assert browser.run("document.querySelector('h1').textContent") == f"How equivariant is {HOSTILE}?"
    assert browser.run("document.querySelectorAll('img[src=x], [onerror]').length") == 0
    assert (
        browser.run("[...document.querySelectorAll('a, svg a')].filter((a) => /example/.test(a.outerHTML)).length") == 0
    )
    for chart in ("shares-chart", "layers-chart"):
        ticks = browser.run(
            "[...document.querySelectorAll(`#${arguments[0]} .xtick text`)].map((one) => one.textContent)", chart
        )
        assert ticks[0] in HOSTILE or ticks[0][1:] in HOSTILE  # perhaps cut
    browser.click("#strip button[data-layer='1']")
    browser.until("document.documentElement.dataset.layer === '1'")
    assert browser.run("document.querySelectorAll('b b, .js-plotly-plot b').length") == 0


def test_the_keyboard_reaches_everything(browser: Browser) -> None:
    keys = webdriver.Keys
    browser.run("document.querySelector('#strip [tabindex=\"0\"]').focus()")
    webdriver.ActionChains(browser.driver).send_keys(keys.ARROW_RIGHT, keys.ENTER).perform()
    browser.until("document.documentElement.dataset.layer === '1'")
    assert browser.run("document.activeElement.dataset.layer") == "1"
    browser.run("document.querySelector('input[name=measure]:checked').focus()")
    webdriver.ActionChains(browser.driver).send_keys(keys.ARROW_RIGHT).perform()
    assert browser.names("layers-chart") == ["invariance", "chance level of invariance", "chance level"]
    browser.click("#channels-table thead th:first-child button")  # sorts
    browser.run("document.querySelectorAll('#channels-table tbody th button')[2].focus()")
    webdriver.ActionChains(browser.driver).send_keys(keys.ENTER).perform()
    assert browser.run("document.activeElement.textContent") == "2"  # and focus and order stay
    assert browser.run("document.querySelector('#channels-table .chosen th').textContent") == "2"
    unnamed = browser.run(
        "[...document.querySelectorAll('button, select, input')].filter((one) => one.checkVisibility() &&"
        "!(one.textContent.trim() || one.ariaLabel || one.labels?.length)).map((one) => one.outerHTML)"
    )
    assert unnamed == []
    figures = browser.run("[...document.querySelectorAll('figure')].filter((one) => one.querySelector('.chart'))")
    assert all(figure.get_attribute("aria-label") for figure in figures if figure.is_displayed())


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_juts_out_of_a_narrow_page(browser: Browser, width: int) -> None:
    browser.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        browser.driver.refresh()
        browser.until("document.documentElement.dataset.ready")
        assert browser.run("document.documentElement.scrollWidth") <= width
        for chart in ("shares-chart", "layers-chart"):
            right = browser.run("document.getElementById(arguments[0]).getBoundingClientRect().right", chart)
            assert right <= width
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_several_results_are_side_by_side(watched: Browser, scores: Scores, places: Path) -> None:
    other = example_scores(4, 8, seed=1)
    watched.open(written(places, "several", {"first": scores, "second": other}))
    assert watched.run("[...document.querySelectorAll('.result')].map((one) => one.hidden)") == [False, True]
    watched.pick("measure", "equivariance")
    assert watched.drawn("depth-chart", "second: equivariance") == column(other, "equivariance", "score", "rotations")
    assert watched.drawn("depth-chart", "first: equivariance") == column(scores, "equivariance", "score", "rotations")
    assert "first: equivariance" in watched.names("parts-chart")
    watched.click("#compared input[value='0']")
    assert watched.names("depth-chart") == ["second: equivariance"]
    watched.pick("scope", "image")
    watched.select("result", "1")  # of which only all images together were measured
    watched.until("document.getElementById('layer-name').textContent === 'layer1'")
    assert watched.drawn("layers-chart", "equivariance") == column(other, "equivariance", "score", "rotations")
    assert watched.run("document.getElementById('field-scope').hidden")
    assert watched.run("[...document.querySelectorAll('.result')].map((one) => one.hidden)") == [True, False]


def test_results_of_unlike_families_do_not_mix(watched: Browser, unlike: dict[str, Scores], unlike_file: Path) -> None:
    watched.open(unlike_file)
    assert watched.names("shares-chart") == ["stays", "swaps", "mixes", "lost"]
    watched.select("result", "1")
    watched.until("document.getElementById('member').value === 'shift(3,3)'")
    assert watched.names("shares-chart") == ["stays", "swaps", "mixes or lost"]
    watched.pick("measure", "strict_invariance")
    strict = watched.drawn("layers-chart", "strict invariance")
    assert strict == column(unlike["shifted"], "strict_invariance", "score", "shifts")
    watched.pick("measure", "equivariance")
    where = watched.driver.find_element("css selector", "#heat-chart .nsewdrag")
    watched.run("arguments[0].scrollIntoView({block: 'center'})", where)
    width, height = where.size["width"], where.size["height"]  # 5 layers by 2 transformations
    pointer = webdriver.ActionChains(watched.driver)
    pointer.move_to_element_with_offset(where, -int(0.45 * width), -height // 4).click().perform()
    watched.until("document.querySelector('#channels-table strong').textContent.includes('shift(1,1)')")
    assert watched.run("document.getElementById('member').value") == "shift(1,1)"
    expected = channels(unlike["shifted"], HOSTILE, "shift(1,1)")
    assert [int(row[0]) for row in watched.rows("channels-table")] == expected["channel"].tolist()


def test_the_alignment_switch_says_what_is_shown(
    watched: Browser, unlike: dict[str, Scores], unlike_file: Path
) -> None:
    watched.open(unlike_file)
    watched.pick("alignment", "registered")
    for alignment in ("registered", "array"):
        assert watched.run("document.querySelector('[name=alignment]:checked').value") == alignment
        rows = rows_of(unlike["rotated"].scores, "dataset", "rotations", "invariance", alignment)
        assert watched.drawn("layers-chart", "invariance") == pytest.approx(rows["score"].tolist(), abs=6e-5)
        watched.select("result", "1")
        assert watched.run("document.getElementById('field-alignment').hidden")
        watched.select("result", "0")


def test_a_layer_that_leaves_a_shift_out_says_so(watched: Browser, unlike_file: Path) -> None:
    watched.open(unlike_file)
    watched.select("result", "1")
    watched.click("#strip button[data-layer='1']")
    watched.until("document.documentElement.dataset.layer === '1'")
    assert watched.text("partners-about").startswith("This layer has no maps under shift(3,3): a shift that is not")
    watched.select("member", "shift(1,1)")
    watched.until("document.querySelector('#channels-table strong').textContent.includes('shift(1,1)')")
    assert {row[1] for row in watched.rows("channels-table")} == {"–"}


def test_without_scripts_there_are_figures_and_tables(watched: Browser, file: Path) -> None:
    watched.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        watched.driver.get(file.resolve().as_uri())
        found = watched.driver.find_elements("css selector", "noscript table, noscript h2")
        assert any(one.is_displayed() for one in found)
        assert not watched.driver.find_element("css selector", "#app").is_displayed()
    finally:
        watched.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_hundred_layers_weigh_under_20_mb(watched: Browser, places: Path) -> None:
    file = written(places, "deep", {"deep": deep()})
    assert file.stat().st_size < BYTES
    watched.open(file)
    assert len(watched.run("[...document.querySelectorAll('#strip button')]")) == LAYERS
    assert len(watched.run("[...document.querySelectorAll('.pair')]")) == 12
