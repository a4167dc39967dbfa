"""The page of a comparison says what its table says."""

import pandas as pd

from equiscope.commands.comparison_page import PAIRED, UNPAIRED, page

NAN = float("nan")


def row(what, part, score, low, high, result="one", less=None):
    labels = {"transformation": "rotations", "measure": "invariance", "scope": "dataset", "alignment": "array"}
    return labels | {
        "what": what, "part": part, "result": result, "less": less, "score": score, "low": low, "high": high,
    }  # fmt: skip


SCORES = [row("score", "early", 0.5, 0.4, 0.6), row("score", "final", 0.25, NAN, NAN), row("score", "pool", *3 * [NAN])]
DIFFERENCES = [
    row("difference", "early", -0.25, -0.3, -0.2, "two", "one"),
    row("difference", "late", 0.1, -0.1, 0.3, "two", "one"),
    row("difference", "pool", 0.1, NAN, NAN, "two", "one"),
]


def test_scores_have_their_intervals_and_what_is_undefined_a_dash():
    text = page(pd.DataFrame(SCORES), "equiscope compare one two")
    (line,) = [line for line in text.splitlines() if line.startswith("| rotations")]
    assert line == "| rotations, invariance, dataset, array | one | 0.50 (0.40 to 0.60) | – | – | – | 0.25 |"
    assert UNPAIRED in text and "## Differences" not in text and "`equiscope compare one two`" in text


def test_differences_have_signs_and_are_bold_where_an_interval_excludes_zero():
    text = page(pd.DataFrame(SCORES + DIFFERENCES), "")
    *_, line = [line for line in text.splitlines() if line.startswith("| rotations")]
    assert line.startswith("| rotations, invariance, dataset, array | two less one | **-0.250 (-0.300 to -0.200)** |")
    assert line.endswith("| – | +0.100 (-0.100 to +0.300) | +0.100 | – |")
    assert PAIRED in text and "## Differences" in text
