"""`equiscope models`: the catalogue as a table or as JSON."""

import json

from equiscope.networks.catalogue import CATALOGUE
from terminal import equiscope


def test_models_are_listed():
    answer = equiscope("models")
    lines = answer.out.splitlines()
    assert (answer.status, answer.err) == (0, "") and lines[0].split() == ["model", "top-1", "%", "weights"]
    assert [line.split()[0] for line in lines[1:]] == list(CATALOGUE)
    assert lines[1].rstrip().endswith("yours: --weights FILE")


def test_models_are_listed_as_json():
    records = json.loads(equiscope("models", "--json").out)
    assert [record["name"] for record in records] == list(CATALOGUE)
    assert records[0]["layers"] == ["layer*.*"]
