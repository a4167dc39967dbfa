"""Without JavaScript the page has the figures and the tables, which say what the results say."""

import pandas as pd
import pytest

from equiscope.figures.style import Plot
from equiscope.page.tables import laws_section, scope_section
from equiscope.results.rows import rows_of
from equiscope.results.scores import Scores
from example import example_scores, shuffled
from html_reader import Page


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plot, "png", lambda figure: b"")


@pytest.fixture(scope="module")
def scores() -> Scores:
    return shuffled(example_scores(3, scopes=("dataset", "image")))


def text(number: float) -> str:
    return "–" if pd.isna(number) else f"{number:.3f}".replace("-", "−")


COLUMNS = {
    "invariance": ["score", "95 % interval", "chance", "ceiling", "explained", "explained ceiling"],
    "equivariance": ["score", "95 % interval", "in sample", "chance", "ceiling", "explained", "explained ceiling"],
    "linear": ["score", "95 % interval", "ceiling", "explained", "explained ceiling", "held out"],
}


def columns(measure: str, rows: pd.DataFrame) -> list[str]:
    interpolated = bool((rows["ceiling"] < 1).any())
    names = [name for name in COLUMNS[measure] if not name.endswith("ceiling") or interpolated]
    return names + ["undefined"] * bool(rows["undefined"].any())


def test_the_tables_are_the_tables(scores: Scores) -> None:
    found = Page(scope_section(scores, "dataset", "here")).tables
    assert len(found) == 4  # by part and by layer, of two families
    order = {
        "part": ["early", "middle", "late", "pool", "final"],
        "layer": ["layer1", "layer2", "layer3", "pool", "final"],
    }
    for place, (by, table, about) in enumerate((("part", scores.parts, 2), ("layer", scores.scores, 3))):
        for family, drawn in zip(("rotations", "shifts"), found[2 * place :], strict=False):
            measures = ["invariance", "equivariance"] + ["linear"] * (family == "rotations")
            of_measures = [rows_of(table, "dataset", family, measure).set_index(by) for measure in measures]
            names = [columns(measure, rows) for measure, rows in zip(measures, of_measures, strict=True)]
            assert drawn[0][about:] == measures and drawn[1] == [name for of in names for name in of]
            assert [row[0] for row in drawn[2:]] == order[by]
            start = about
            for rows, shown in zip(of_measures, names, strict=True):
                for column, name in enumerate(shown, start):
                    for row in drawn[2:]:
                        of = rows.loc[row[0]]
                        expected = {
                            "95 % interval": f"{text(of['low'])} to {text(of['high'])}",
                            "undefined": f"{of['undefined']}",
                        }.get(name) or text(of[name.replace(" ", "_")])
                        assert row[column] == expected
                start += len(shown)
    assert found[2][2][1:3] == ["early", "6 × 32 × 32"] and found[0][2][1] == "1"


def test_within_images_no_variance_is_explained_and_vectors_are_undefined(scores: Scores) -> None:
    html = scope_section(scores, "image", "here")
    found = Page(html)
    assert not any("explained" in row for table in found.tables for row in table)
    assert found.tables[2][-1][3:5] == ["–", "–"] and '<abbr title="undefined">–</abbr>' in html
    assert html.count("<figure") == 1 and scope_section(scores, "dataset", "here").count("<figure") == 2


def test_without_the_measures_that_it_needs_there_is_no_figure_of_shares() -> None:
    html = scope_section(example_scores(2, measures=("strict_invariance",)), "dataset", "here")
    assert html.count("<figure") == 1 and "strict invariance" in html


def test_names_are_text() -> None:
    names = ["<b>&", '"quoted"']
    html = scope_section(example_scores(names, families={"<i>": ["rot90"]}, shifts=()), "dataset", "here")
    assert "<b>" not in html and "<i>" not in html and Page(html).tables[1][2][0] == "<b>&"


def test_the_group_law_is_the_mean_over_pairs(scores: Scores) -> None:
    (table,) = Page(laws_section(scores, "here")).tables
    means = scores.laws.groupby("layer")[["composed", "direct"]].mean()
    assert [row[0] for row in table[1:]] == ["layer1", "layer2", "layer3", "pool", "final"]
    for layer, pairs, *values in table[1:]:
        assert pairs == "9" and values == [text(one) for one in means.loc[layer]]
