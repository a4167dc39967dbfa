"""Figure 7: its picture draws the scores with their chance levels, and its page tells them."""

import numpy as np

from equiscope_studies.survey.architectures import picture
from equiscope_studies.survey.scores import Reading

PARTS = ["early", "middle", "late", "pool", "final"]


def test_panels_are_of_borders_and_centres_in_both_scopes_and_of_what_is_explained(of_figure7, survey):
    table, _ = of_figure7
    panels = picture(table).axes
    assert [axes.get_title(loc="left") for axes in panels[:4]] == [
        "translation, zero", "translation, crop", "rotation, array", "rotation, registered"
    ]  # fmt: skip
    rows = [axes.get_ylabel() for axes in panels[::4]]
    assert rows == ["score, scope dataset", "score, scope image", "explained, scope dataset"]
    drawn = list(panels[2].get_lines())
    labels = [line.get_label() for line in drawn]
    for network in survey.models:
        found = Reading("rotation", "array", "dataset").of(table, measure="equivariance", network=network)
        expected = found.set_index("part")["score"].reindex(PARTS).to_numpy()
        its = drawn[labels.index(network) :][:2]  # no line joins maps and vectors
        values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in its])
        assert np.array_equal(values, expected, equal_nan=True)
    assert len(panels[10].get_lines()) == 2 * 3 * len(survey.models)  # linear too, of what is explained


def test_the_page_has_scores_with_their_chance_levels_and_names_no_folder(of_figure7, folder, survey):
    table, words = of_figure7
    row = Reading("translation", "zero", "dataset").of(
        table, measure="equivariance", part="early", network=survey.models[1]
    ).iloc[0]  # fmt: skip
    assert f"{row['score']:.2f} ({row['low']:.2f} to {row['high']:.2f}), {row['chance']:.2f} |" in words
    assert "corrected" not in words and "inconclusive" in words
    assert str(folder) not in words.replace(survey.models[0], "").replace(survey.models[1], "")
    assert "--shifts 4,16" in words and "<summary>Shares of variance explained</summary>" in words
