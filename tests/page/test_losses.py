"""Where it is lost, on the page: the rows of `Scores.losses`, and nothing where no layer was measured alone."""

import pytest

from drawn import drawable, with_alone
from equiscope.figures.style import Plot
from equiscope.page.losses import losses_section
from html_reader import Page


def test_the_table_is_that_of_the_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plot, "png", lambda figure: b"")
    scores = with_alone(drawable())
    html = losses_section(scores)
    (table,) = Page(html).tables
    found = scores.losses()
    assert html.count("<figure") == 1 and len(table) == 1 + len(found)
    for row, of in zip(table[1:], found.to_dict("records"), strict=True):
        assert row[:4] == [of["layer"], of["part"], of["transformation"], of["measure"]]
        assert [row[4], *row[6:]] == [f"{of[name]:.3f}" for name in ("loses", "alone", "explained")]
    assert losses_section(drawable()) == ""
