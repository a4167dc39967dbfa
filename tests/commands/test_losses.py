"""`equiscope losses`: the table of `Scores.losses`, on the terminal and as JSON."""

import json

import pytest

from drawn import drawable, with_alone
from equiscope.results.folder import load
from terminal import equiscope


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("losses") / "result"
    with_alone(drawable()).save(folder)
    return folder


def test_the_table_is_shown_and_given_as_json(saved):
    expected = load(saved).losses("rotations")
    shown = equiscope("losses", saved, "--transformation", "rotations")
    assert shown.status == 0
    lines = [line for line in shown.out.splitlines() if "rotations" in line]
    assert [line.split()[2] for line in lines] == [layer.split()[0] for layer in expected["layer"]]
    assert f"{expected['loses'].iloc[0]:.3f}" in lines[0]
    rows = json.loads(equiscope("losses", saved, "--json").out)
    assert {row["transformation"] for row in rows} == {"rotations", "shifts"} and set(rows[0]) == set(expected.columns)


def test_a_result_without_layers_alone_is_a_sentence(tmp_path):
    drawable().save(tmp_path / "result")
    answer = equiscope("losses", tmp_path / "result")
    assert answer.status == 2 and "The layers were not measured alone; measure with --measures" in answer.err
