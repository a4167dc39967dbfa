"""The pictures of a study draw its scores, their seeds, and their chance levels."""

import pandas as pd
import pytest

from equiscope_studies.training.effects import effects, in_sentences
from equiscope_studies.training.picture import panels_of, picture, picture_of_effects, picture_of_epochs
from equiscope_studies.training.scores import meanwhile
from equiscope_studies.training.study import STUDIES

STUDY = STUDIES["data"]


@pytest.fixture(scope="module")
def table(done):
    """Three seeds of what one was."""
    one = pd.read_parquet(done / "scores.parquet")
    return pd.concat([one.assign(seed=seed, score=one["score"] + 0.01 * seed) for seed in range(3)], ignore_index=True)


def test_panels_are_of_scopes_and_of_what_is_explained(table):
    lines = panels_of(table)
    assert [[(panel.value, panel.scope, panel.on) for panel in line] for line in lines] == [
        [(value, scope, on) for on in ("own images", "upright")]
        for value, scope in (("score", "dataset"), ("score", "image"), ("explained", "dataset"))
    ]
    (line,) = panels_of(table[table["on"] == "upright"])
    assert len(line) == 3  # side by side


def test_means_seeds_intervals_and_chance_levels_are_drawn(table):
    axes = picture(STUDY, table).axes
    assert [one.get_ylabel() for one in axes[::2]] == [
        "score, scope dataset", "score, scope image", "explained, scope dataset"
    ]  # fmt: skip
    first = axes[0]
    rows = table[(table["on"] == "own images") & (table["scope"] == "dataset") & table["layer"].notna()]
    mean = rows[(rows["condition"] == "mnist6") & (rows["measure"] == "equivariance")].groupby("layer", sort=False)
    drawn = [line.get_ydata() for line in first.get_lines() if line.get_marker() == "s"]
    assert drawn[0].tolist() == pytest.approx(mean["score"].mean().tolist(), nan_ok=True)
    assert all(one.collections for one in axes[:2])  # of three seeds, intervals
    dots = [line for line in first.get_lines() if line.get_marker() == "."]
    assert len(dots) == 3 * 3 * 2  # conditions, seeds, measures


def test_effects_are_drawn_filled_where_they_are_none_of_chance(table):
    table = table.assign(
        score=table["score"] + 0.2 * (table["condition"] == "mnist6-rot-inv") * (table["part"] == "pool")
    )
    found = effects(STUDY, table)
    assert found.groupby("condition")["part"].count().to_dict() == {"mnist6-rot-inv": 3, "mnist6-rot-eq": 3}
    (axes,) = picture_of_effects(STUDY, found).axes
    dots = {line.get_ydata()[0]: line for line in axes.get_lines() if line.get_marker() == "o"}
    assert sorted(dots) == sorted(found["value"])
    for value, differs in zip(found["value"], found["differs"], strict=True):
        assert (dots[value].get_markerfacecolor() != "white") == differs
    told = in_sentences(STUDY, found, "MNIST6")
    assert told.startswith("Under rotations, compared with MNIST6, equivariance is higher with Rot-Inv (")


def test_scores_by_epoch_have_a_panel_a_condition(done, toy):
    assert meanwhile(STUDY, STUDY.presets["small"].recipes(), done / "runs").empty  # those of other recipes
    recipes = STUDY.presets["small"].changed(toy).recipes()
    found = meanwhile(STUDY, recipes, done / "runs")
    figure = picture_of_epochs(STUDY, found)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["MNIST6", "Rot-Inv", "Rot-Eq"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["early", "", ""]
    for axes in figure.axes:
        areas = [area.get_paths()[0].get_extents() for area in axes.collections]
        assert len(areas) == 4 and max(area.ymax for area in areas) == pytest.approx(1)
