"""A result at a glance: the rows of the parts, as text in columns and as HTML."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from equiscope.results.scores import Scores
from equiscope.results.shares import SHARES, shares_of
from equiscope.results.summary import bars_text, heading, part_table
from example import example_scores, shuffled


@pytest.fixture(scope="module")
def scores() -> Scores:
    return example_scores(shifts=(1, 2), scopes=("dataset", "image"), model="a <network>")


def test_every_number_is_that_of_its_part(scores: Scores) -> None:
    table = part_table(scores)
    assert list(table.columns) == [
        "transformation", "measure", "part", "score", "95 % interval", "chance", "ceiling", "explained"
    ]  # fmt: skip
    assert "ceiling" not in part_table(example_scores(shifts=())).columns, "it costs nothing there"
    assert len(table) == 25  # three measures under rotations, two under shifts, in five parts
    for row in table.to_dict("records"):
        wide = scores.table("part", transformation=row["transformation"]).set_index("part").loc[row["part"]]
        measure = row["measure"]
        assert float(row["score"]) == pytest.approx(wide[measure], abs=0.005)
        low, high = map(float, row["95 % interval"].split(" to "))
        assert (low, high) == pytest.approx((wide[f"{measure}_low"], wide[f"{measure}_high"]), abs=0.005)
        for value in ("ceiling", "explained"):
            assert float(row[value]) == pytest.approx(wide[f"{measure}_{value}"], abs=0.005)
        assert (row["chance"] == "–") == (measure == "linear")


def test_the_order_of_rows_changes_nothing(scores: Scores) -> None:
    pd.testing.assert_frame_equal(part_table(shuffled(scores)), part_table(scores))


def test_the_text_is_the_table_in_columns_a_paragraph_per_scope(scores: Scores) -> None:
    first, bars, dataset, image = str(scores).split("\n\n")
    assert first == heading(scores) == "a <network>: 24 images, 6 layers"
    assert dataset.startswith("Scores over all images (scope: dataset)\n")
    assert image.startswith("Scores within each image, then averaged (scope: image)\n")
    lines = dataset.split("\n")[1:]
    cells = [re.split(r" {2,}", line) for line in lines]
    assert cells == [list(part_table(scores).columns), *part_table(scores).to_numpy().tolist()]
    assert len({line.index(cell[1]) for line, cell in zip(lines, cells, strict=True)}) == 1


def test_a_bar_a_part_shows_the_shares_and_the_baseline_below(scores: Scores) -> None:
    lines = bars_text(scores).split("\n")
    assert len(lines) == 1 + 2 * 5 + 1 and lines[-1] == "██ stays   ▓▓ swaps   ▒▒ mixes   ░░ lost"
    row = shares_of(scores, "rotations").loc["early"]
    bar = next(line for line in lines if line.startswith("rotations")).split()
    assert bar[3:] == [f"{row[share]:.2f}" for share in SHARES]
    assert len(bar[2]) == 30 and abs(bar[2].count("█") - 30 * row["stays"]) <= 1
    both = bars_text(replace(scores, baseline=example_scores(seed=3, shifts=())))
    assert [line.split()[0] for line in both.split("\n")[1:8]] == [
        "rotations", "middle", "late", "pool", "final", "randomly", "initialised"
    ]  # fmt: skip
    assert bars_text(example_scores(measures=("invariance",))) == ""


def test_alignments_are_named_where_there_are_two() -> None:
    table = part_table(example_scores(alignments=("array", "registered")))
    assert set(table["alignment"]) == {"array", "registered"}


def test_zero_has_no_minus_sign_and_undefined_is_a_dash(scores: Scores) -> None:
    parts = scores.parts.assign(chance=-0.001, low=float("nan"))
    table = part_table(replace(scores, parts=parts))
    assert set(table["chance"]) == {"0.00"} and set(table["95 % interval"]) == {"–"}


def test_a_notebook_shows_it_as_html(scores: Scores) -> None:
    html = scores._repr_html_()
    assert "a &lt;network&gt;" in html and html.count("<table") == 3
    assert html.count("<td>rotations</td>") == len(part_table(scores).query("transformation == 'rotations'")) + 11
    assert repr(scores) == "<Scores of a <network>: 24 images, 6 layers, rotations, shifts>"
