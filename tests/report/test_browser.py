"""The report in a real Chromium: clicks change what they should, nothing is asked of anywhere, no error is told."""

import csv
import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.figures.plots import Plot
from equiscope.measurement.maps import Maps
from equiscope.results.folder import write_page
from equiscope.results.scores import Scores
from equiscope_studies.networks import cornered_network

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on the path")

HOSTILE = "<img src=x onerror=alert(1)>"
LINK = "<a href='/example'>here</a> & <b>"
LAYERS, SECONDS, BYTES = 100, 3.0, 20_000_000
PATIENCE = 30  # seconds, on a machine that has other things to do


def measured(model: nn.Module, images: int = 20, size: int = 16, **options: Any) -> Scores:
    noise = torch.randn(images, 3, size, size, generator=torch.Generator().manual_seed(0))
    return es.measure(model, noise, **{"transformations": [es.rotations(), es.shifts([1, 3])], "maps": 2} | options)


def mixed() -> nn.Sequential:
    """Layers of hostile names, a stride, a dead channel, a pooling and a vector."""
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module(HOSTILE, nn.Sequential(nn.Conv2d(3, 14, 3, padding=1), nn.ReLU()))
    model.add_module(LINK, nn.Sequential(nn.Conv2d(14, 8, 3, stride=2, padding=1), nn.ReLU()))
    model.add_module("pool", nn.AdaptiveAvgPool2d(1))
    model.add_module("flat", nn.Flatten())
    model.add_module("head", nn.Linear(8, 5))
    with torch.no_grad():
        model[0][0].weight[3], model[0][0].bias[3] = 0, 0  # type: ignore[index]
    return model


def deep(scores: Scores) -> Scores:
    """A hundred layers, each with the scores of the first one, and maps as large as any."""

    def repeated(table: pd.DataFrame) -> pd.DataFrame:
        first = table[table["layer"] == scores.layers["layer"][0]]
        layers = [first.assign(layer=f"stage.block{place}.conv") for place in range(LAYERS)]
        return pd.concat(layers, ignore_index=True)

    tables = {name: repeated(getattr(scores, name)) for name in ("scores", "channels", "layers", "replicates")}
    return replace(scores, **tables, maps=of_noise(scores, list(tables["layers"]["layer"])))


def of_noise(scores: Scores, layers: list[str]) -> Maps:
    """Maps of noise, which cannot be packed."""
    assert scores.maps is not None
    generator = np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return generator.integers(0, 256, shape, dtype=np.uint8)

    kept = scores.maps.layers[HOSTILE, "rot90"]
    names = list(scores.maps.turned_images)
    return replace(
        scores.maps,
        images=noise(2, 224, 224, 3),
        turned_images={name: noise(2, 224, 224, 3) for name in names},
        layers={
            (layer, name): replace(
                kept, turned=noise(2, 14, 16, 16), expected=noise(2, 14, 16, 16),
                turned_pairs=noise(2, 12, 64, 64), expected_pairs=noise(2, 12, 64, 64),
                valid_pairs=np.ones((64, 64), dtype=bool),
            )
            for name in names for layer in layers
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def scores() -> Scores:
    found = measured(mixed())
    return replace(found, manifest=found.manifest | {"model": HOSTILE})


@pytest.fixture(scope="module")
def file(places: Path, scores: Scores) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plot, "png", lambda figure: b"")  # the figures for whom no script runs
        write_page({"one": scores}, places / "one.html")
    return places / "one.html"


class Browser:
    """A Chromium without a window, and what the tests ask of it."""

    def __init__(self, downloads: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
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
def browser(chromium: Browser, file: Path) -> Iterator[Browser]:
    """The page newly opened; whatever a test does with it, the console stays empty and no request leaves."""
    chromium.complaints(), chromium.requests()
    chromium.open(file)
    yield chromium
    assert chromium.complaints() == []
    asked = [address for address in chromium.requests() if not address.startswith(("data:", "blob:file:", "blob:null"))]
    assert all(address.startswith("file:///") and address.endswith(".html") for address in asked), asked


def column(scores: Scores, measure: str, value: str, transformation: str, scope: str = "dataset") -> list[Any]:
    rows = scores.scores[
        (scores.scores["measure"] == measure)
        & (scores.scores["scope"] == scope)
        & (scores.scores["transformation"] == transformation)
    ]
    return [None if value != value else pytest.approx(value, abs=6e-5) for value in rows[value]]


def test_the_switches_change_what_is_drawn(browser: Browser, scores: Scores) -> None:
    chart = "layers-chart"
    assert browser.drawn(chart, "equivariance") == column(scores, "equivariance", "score", "rotations")
    assert browser.drawn(chart, "chance of invariance") == column(scores, "invariance", "chance", "rotations")
    browser.pick("scope", "image")
    assert browser.drawn(chart, "invariance") == column(scores, "invariance", "score", "rotations", "image")
    assert None in browser.drawn(chart, "invariance")  # of vectors
    browser.pick("value", "corrected")
    assert browser.drawn(chart, "equivariance") == column(scores, "equivariance", "corrected", "rotations", "image")
    browser.pick("measure", "invariance")
    assert browser.names(chart) == ["invariance"]
    browser.pick("scope", "dataset")
    browser.select("transformation", "shift(3,3)")
    assert browser.drawn(chart, "invariance") == column(scores, "invariance", "corrected", "shift(3,3)")
    said = browser.run("document.getElementById('said').textContent")
    assert said == "Showing invariance, all images together, corrected for chance, under shift(3,3)."
    assert "corrected" in browser.run("document.getElementById('layers-formula').textContent")


def test_the_interval_is_drawn_about_the_score(browser: Browser, scores: Scores) -> None:
    bars = browser.run(
        "document.getElementById('layers-chart').data.find((one) => one.name === 'equivariance').error_y"
    )
    rows = scores.table(transformation="rotations")
    assert list(bars["array"]) == pytest.approx((rows["equivariance_high"] - rows["equivariance"]).tolist(), abs=2e-4)
    assert list(bars["arrayminus"]) == pytest.approx(
        (rows["equivariance"] - rows["equivariance_low"]).tolist(), abs=2e-4
    )


def test_the_heat_map_is_layers_by_transformations(browser: Browser, scores: Scores) -> None:
    browser.pick("measure", "equivariance")
    (heat,) = browser.run("document.getElementById('heat-chart').data.map((one) => one.z)")
    members = ["rot90", "rot180", "rot270", "shift(1,1)", "shift(3,3)"]
    assert list(heat) == [column(scores, "equivariance", "score", member) for member in members]
    browser.pick("measure", "both")
    assert len(browser.names("heat-chart")) == 2


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
    assert [row[1] for row in rows] == [f"{value:.3f}" for value in expected["equivariance"]]
    drawn = [value for value in browser.drawn("channels-chart", "equivariance")]
    assert drawn == pytest.approx(expected["equivariance"].tolist(), abs=6e-5)
    assert browser.run("document.getElementById('layer-name').textContent") == LINK
    assert browser.run("document.querySelector('#strip [aria-pressed=true]').dataset.layer") == "1"
    assert browser.run("[...document.querySelectorAll('#layers-table .chosen th')].map((one) => one.textContent)") == [
        LINK
    ]
    browser.select("member", "shift(3,3)")
    browser.until("document.querySelector('#channels-table strong').textContent.includes('shift(3,3)')")
    assert [int(row[0]) for row in browser.rows("channels-table")] == channels(scores, LINK, "shift(3,3)")[
        "channel"
    ].tolist()
    browser.click("#strip button[data-layer='3']")  # a vector
    browser.until("document.documentElement.dataset.layer === '3'")
    assert "no grid" in browser.run("document.getElementById('partners-about').textContent")
    assert browser.run("document.getElementById('partners-shown').hidden")


def test_a_channel_without_a_score_comes_last_and_has_no_partner(browser: Browser) -> None:
    assert browser.rows("channels-table")[-1][:3] == ["3", "–", "–"]
    browser.run(
        "[...document.querySelectorAll('#channels-table tbody button')].find((b) => b.textContent === '3').click()"
    )
    assert browser.text("channel-name") == "Channel 3 has no partner: it is undefined"
    assert "its map is constant or has too few valid cells, or no channel's" in browser.text("channel-why")
    browser.click(".pair")
    assert "becomes" in browser.text("channel-name") and browser.run("document.getElementById('channel-why').hidden")


def inks(browser: Browser, selector: str) -> list[np.ndarray]:
    """What some canvases show, as red, green, blue and opacity."""
    found = browser.run(
        "[...document.querySelectorAll(arguments[0])].map((canvas) => [canvas.height, canvas.width,"
        "[...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]])",
        selector,
    )
    return [np.array(pixels).reshape(height, width, 4) for height, width, pixels in found]


def test_a_chosen_channel_shows_its_partner_s_map(browser: Browser, scores: Scores) -> None:
    assert scores.maps is not None
    kept = scores.maps.layers[HOSTILE, "rot90"]
    table = channels(scores, HOSTILE, "rot90")
    channel = int(table["channel"].iloc[4])
    partner = int(table["partner"].iloc[4])
    browser.run(
        "((channel) => { const node = document.getElementById('channel-number'); node.value = channel;"
        "node.dispatchEvent(new Event('change')); })(arguments[0])",
        channel,
    )
    assert browser.run("Object.assign({}, document.getElementById('channel-maps').dataset)") == {
        "channel": str(channel), "partner": str(partner),
    }  # fmt: skip
    turned, expected = inks(browser, "#channel-maps canvas")[:2]
    assert turned.shape == (16, 16, 4)

    def value(maps: np.ndarray, which: int) -> np.ndarray:
        return kept.low[which] + maps[0, which] / 255 * (kept.high[which] - kept.low[which])

    both = [value(kept.turned, channel), value(kept.expected, partner)]
    for ink, values in zip((turned, expected), both, strict=True):  # the brighter the higher, on one scale
        bright = ink[..., :3] @ np.array([0.299, 0.587, 0.114])
        assert np.corrcoef(bright.ravel(), values.ravel())[0, 1] > 0.95
        assert ink[..., 3].min() == 255
    assert len(browser.run("[...document.querySelectorAll('#pictures img')].filter((one) => one.naturalWidth)")) == 2


def test_the_strongest_pairs_are_shown_and_chosen_by_a_click(browser: Browser, scores: Scores) -> None:
    assert scores.maps is not None
    kept = scores.maps.layers[HOSTILE, "rot90"]
    shown = browser.run("[...document.querySelectorAll('.pair')].map((one) => Number(one.dataset.channel))")
    assert shown == kept.pairs[:, 0].tolist() and len(shown) == 12
    drawn = inks(browser, ".pair canvas")
    assert len(drawn) == 24 and all(ink.shape == (16, 16, 4) for ink in drawn)
    for place, side in enumerate((kept.turned_pairs, kept.expected_pairs)):
        low, high = (side[0, 5] == edge for edge in (0, 255))
        if low.any():
            assert (drawn[10 + place][low][:, :3] == [68, 1, 84]).all()
        if high.any():
            assert (drawn[10 + place][high][:, :3] == [253, 231, 37]).all()
    browser.click(f".pair[data-channel='{shown[5]}']")
    assert browser.run("document.getElementById('channel-maps').dataset.channel") == str(shown[5])
    browser.click("#image label:nth-child(2) span")
    browser.until("document.querySelector('#pictures img').alt === 'Image 2'")
    assert any((one != other).any() for one, other in zip(drawn, inks(browser, ".pair canvas"), strict=True))


def test_under_a_shift_cells_without_a_counterpart_are_left_blank(browser: Browser) -> None:
    browser.select("member", "shift(3,3)")
    browser.until("document.querySelectorAll('#pictures img')[1].alt.includes('shift(3,3)')")
    opacity = inks(browser, ".pair canvas")[0][..., 3]
    assert (opacity[:3] == 0).all() and (opacity[:, :3] == 0).all() and (opacity[3:, 3:] == 255).all()
    browser.select("member", "rot180")
    browser.until("document.getElementById('partners-shown').hidden")
    assert "rot90 and shift(3,3)" in browser.run("document.getElementById('partners-about').textContent")


def test_a_click_on_a_column_sorts(browser: Browser, scores: Scores) -> None:
    head = "#layers-table th:nth-child(5) button"
    assert "invariance" in browser.run("document.querySelector(arguments[0]).textContent", head)
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
    assert [row["layer"] for row in rows] == [HOSTILE, LINK, "pool", "head"]
    for name in ("invariance", "equivariance", "equivariance_chance", "invariance_corrected", "equivariance_high"):
        assert [float(row[name]) for row in rows] == pytest.approx(expected[name].tolist(), abs=6e-5)


def test_the_theme_changes_page_and_charts(browser: Browser) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    line = "document.getElementById('layers-chart').data[0].line.color"
    before, curve, label = browser.run(f"[{paper}, {line}, document.getElementById('theme').textContent]")
    browser.click("#theme")
    after, other, now = browser.run(f"[{paper}, {line}, document.getElementById('theme').textContent]")
    assert before != after and curve != other and {label, now} == {"Dark", "Light"}
    browser.click("#theme")
    assert browser.run(f"[{paper}, {line}]") == [before, curve]


def test_charts_keep_their_height_and_follow_the_width_of_the_window(browser: Browser) -> None:
    first = "document.querySelector('#layers-chart svg').clientWidth"
    heights = "Array.from(document.querySelectorAll('.chart'), (one) => one.offsetHeight)"
    width, before = browser.run(first), browser.run(heights)
    size = browser.driver.get_window_size()
    try:
        browser.driver.set_window_size(size["width"] - 250, size["height"])
        browser.until(f"{first} < arguments[0] - 200", width)
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
    ticks = browser.run("[...document.querySelectorAll('#layers-chart .xtick text')].map((one) => one.textContent)")
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
    assert browser.names("layers-chart") == ["equivariance", "chance of equivariance"]
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
        wide = browser.run("document.getElementById('layers-chart').getBoundingClientRect().right")
        assert wide <= width
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_families_under_quarter_turns_are_shown(browser: Browser, places: Path, quick: Callable[..., Path]) -> None:
    browser.open(quick("turning", turning=measured(cornered_network())))
    assert browser.run("document.querySelector('.orbit p').textContent") == "0 → 3 → 2 → 1 → 0"
    assert "1 family of four" in browser.run("document.getElementById('orbits-about').textContent")
    browser.click(".orbit button:nth-child(2)")
    assert browser.run("document.getElementById('channel-name').textContent") == "Channel 3 becomes channel 2"
    turned, expected = inks(browser, "#channel-maps canvas")[:2]
    assert np.abs(turned.astype(int) - expected).max() <= 8  # the same map, but for rounding


@pytest.fixture
def quick(places: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    def written(name: str, **results: Scores) -> Path:
        monkeypatch.setattr(Plot, "png", lambda figure: b"")
        write_page(results, places / f"{name}.html")
        return places / f"{name}.html"

    return written


def test_several_results_are_side_by_side(browser: Browser, scores: Scores, quick: Callable[..., Path]) -> None:
    other = measured(cornered_network())
    browser.open(quick("several", first=scores, second=other))
    assert browser.run("[...document.querySelectorAll('.result')].map((one) => one.hidden)") == [False, True]
    browser.pick("measure", "equivariance")
    assert browser.drawn("depth-chart", "second: equivariance") == column(other, "equivariance", "score", "rotations")
    assert browser.drawn("depth-chart", "first: equivariance") == column(scores, "equivariance", "score", "rotations")
    assert "first: equivariance" in browser.names("parts-chart")
    browser.click("#compared input[value='0']")
    assert browser.names("depth-chart") == ["second: equivariance"]
    browser.select("result", "1")
    browser.until("document.getElementById('layer-name').textContent === 'layer1'")
    assert browser.drawn("layers-chart", "equivariance") == column(other, "equivariance", "score", "rotations")
    assert browser.run("[...document.querySelectorAll('.result')].map((one) => one.hidden)") == [True, False]


@pytest.fixture(scope="module")
def unlike() -> dict[str, Scores]:
    """Two results that have no family and no alignment but the array's in common."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # noise has its centre anywhere
        turned = measured(cornered_network(), transformations=[es.rotations()], alignment="registered", chance=False)
    shifted = measured(mixed(), transformations=[es.shifts([1, 3])], subcell="exact", chance=False)
    return {"turned": turned, "shifted": shifted}


@pytest.fixture(scope="module")
def unlike_file(places: Path, unlike: dict[str, Scores]) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plot, "png", lambda figure: b"")
        write_page(unlike, places / "unlike.html")
    return places / "unlike.html"


def test_results_of_unlike_families_do_not_mix(browser: Browser, unlike: dict[str, Scores], unlike_file: Path) -> None:
    browser.open(unlike_file)
    browser.select("result", "1")
    browser.until("document.getElementById('member').value === 'shift(1,1)'")
    browser.pick("measure", "equivariance")
    where = browser.driver.find_element("css selector", "#heat-chart .nsewdrag")
    browser.run("arguments[0].scrollIntoView({block: 'center'})", where)
    width, height = where.size["width"], where.size["height"]  # 4 layers by 2 transformations
    pointer = webdriver.ActionChains(browser.driver)
    pointer.move_to_element_with_offset(where, -int(0.45 * width), height // 4).click().perform()
    browser.until("document.querySelector('#channels-table strong').textContent.includes('shift(3,3)')")
    assert browser.run("document.getElementById('member').value") == "shift(3,3)"
    assert [int(row[0]) for row in browser.rows("channels-table")] == channels(
        unlike["shifted"], HOSTILE, "shift(3,3)"
    )["channel"].tolist()


def test_the_alignment_switch_says_what_is_shown(
    browser: Browser, unlike: dict[str, Scores], unlike_file: Path
) -> None:
    browser.open(unlike_file)
    browser.pick("alignment", "registered")
    first = unlike["turned"].scores.query("scope == 'dataset' and transformation == 'rotations'")
    for alignment in ("registered", "array"):
        assert browser.run("document.querySelector('[name=alignment]:checked').value") == alignment
        rows = first[(first["alignment"] == alignment) & (first["measure"] == "invariance")]
        assert browser.drawn("layers-chart", "invariance") == pytest.approx(rows["score"].tolist(), abs=6e-5)
        browser.select("result", "1")
        browser.select("result", "0")


def test_a_layer_that_leaves_a_shift_out_says_so(browser: Browser, unlike_file: Path) -> None:
    browser.open(unlike_file)
    browser.select("result", "1")
    browser.click("#strip button[data-layer='1']")
    browser.until("document.documentElement.dataset.layer === '1'")
    assert {row[1] for row in browser.rows("channels-table")} == {"–"}
    assert browser.text("partners-about").startswith("This layer has no maps under shift(1,1): a shift by part of")


def test_without_scripts_there_are_figures_and_tables(browser: Browser, file: Path) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.driver.get(file.resolve().as_uri())
        found = browser.driver.find_elements("css selector", "noscript table, noscript h2")
        assert any(one.is_displayed() for one in found)
        assert not browser.driver.find_element("css selector", "#app").is_displayed()
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_hundred_layers_load_in_three_seconds_and_weigh_under_20_mb(
    browser: Browser, scores: Scores, places: Path
) -> None:
    file = places / "deep.html"
    write_page({"deep": deep(scores)}, file)
    assert file.stat().st_size < BYTES
    # In seconds of the page's own thread, so that other programs on the machine do not count.
    browser.driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    browser.open(file)
    told = browser.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    spent = {one["name"]: one["value"] for one in told}
    assert 0 < spent["TaskDuration"] < SECONDS
    assert len(browser.run("[...document.querySelectorAll('#strip button')]")) == LAYERS
