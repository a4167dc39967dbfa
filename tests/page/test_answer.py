"""The answer at the top: sentences and small bars say what the shares are."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from equiscope.page.answer import LOST, answer, sentences
from equiscope.results.shares import REST, shares_of
from example import example_scores, shuffled
from html_reader import Page


def said(rows: list[list[float]], names: str = "abcde", top: str = LOST, ends: float = np.nan) -> list[str]:
    columns = ["stays", "swaps", *["mixes"][: top == LOST], top]
    frame = pd.DataFrame(rows, index=list(names)[: len(rows)], columns=columns)
    interval = pd.DataFrame({"low": frame[top] - ends, "high": frame[top] + ends}, index=frame.index)
    return [Page(sentence).text.replace("\u00a0", " ") for sentence in sentences(frame, interval)]


def test_the_sentences_say_where_the_largest_share_lies_and_where_least_and_most_is_lost() -> None:
    rows = [[0.8, 0.1, 0.05, 0.05], [0.6, 0.1, 0.1, 0.2], [0.2, 0.1, 0.5, 0.2], [0.1, 0.0, 0.2, 0.7]]
    assert said(rows, ends=0.02) == [
        "The largest share of the variance stays in 2 of 4 layers (a to b), mixes in 1 (c) and is lost in 1 (d).",
        "Least is lost in a (5 %, 95 % confidence interval 3 to 7 %), and most in d (70 %, 68 to 72 %).",
        "Channels swap most in a (10 %) and mix most in c (50 %).",
    ]


def test_the_sentences_hold_where_little_is_known() -> None:
    undefined = [np.nan] * 4
    assert said([[0.8, 0.1, 0.05, 0.05], undefined])[:2] == [
        "The largest share of the variance stays in a. 1 of 2 layers is undefined.",
        "Of its variance, 5 % is lost.",
    ]
    assert said([undefined]) == ["Undefined: every channel is constant, or there are too few images."]
    rest = said([[0.8, 0.05, 0.15], [0.7, 0.0, 0.3], [0.1, 0.0, 0.9]], top=REST)
    assert rest[0].endswith("stays in 2 of 3 layers (a to b) and belongs to the rest (linear not measured) in 1 (c).")
    assert rest[1] == "The rest (linear not measured) is smallest in a (15 %), and largest in c (90 %)."
    assert rest[2] == "Channels swap most in a (5 %)."
    assert said([[0.8, 0.001, 0.05, 0.149]])[2] == "Channels hardly swap anywhere and mix most in a (5 %)."
    alternating = said([[0.8, 0.1, 0.05, 0.05], [0.1, 0.1, 0.1, 0.7]] * 5, names="abcdefghij")
    assert alternating[0].startswith("The largest share of the variance stays in 5 of 10 layers (among them a) and")


def test_every_family_of_every_result_has_a_card_and_names_are_text() -> None:
    scores = shuffled(example_scores(3))
    page = Page(answer({"one": scores, "<b>two": example_scores(2, shifts=())}))
    heads = [row[2:] for table in page.tables for row in table[:1]]
    assert heads == [["stays", "swaps", "mixes", "lost"]] * 2 + [["stays", "swaps", "rest"]]
    assert "<b>two, under rotations" in page.text and "rest (linear not measured): not divided further" in page.text
    assert [row[0] for row in page.tables[0][1:]] == ["early", "middle", "late", "pool", "final"]
    assert "of 3 feature maps" in page.text or "in every feature map" in page.text
    alone = Page(answer({"one": example_scores(1, measures=("invariance",))}))
    assert "need invariance and equivariance, over all images" in alone.text and not alone.tables


def test_the_bars_are_the_shares_of_the_parts_and_a_baseline_stands_below() -> None:
    scores, untrained = example_scores(3, shifts=()), example_scores(3, shifts=(), seed=1)
    html = answer({"one": replace(scores, baseline=untrained)})
    (table,) = Page(html).tables
    assert table[6] == ["randomly initialised"]
    for of, rows in ((scores, table[1:6]), (untrained, table[7:])):
        for row, (part, shares) in zip(rows, shares_of(of, "rotations").iterrows(), strict=True):
            assert row == [part, "", *(f"{100 * share:.0f}\u00a0%" for share in shares)]
    widths = np.array(re.findall(r'width="([\d.]+)%" height="100%"', html), dtype=float).reshape(-1, 4)
    assert widths == pytest.approx(
        100 * np.vstack([shares_of(of, "rotations") for of in (scores, untrained)]), abs=0.01
    )
