"""The table of several networks' scores, and its readings."""

import pytest

from equiscope_studies.survey.scores import Reading, numbers, of_families, readings

KEYS = ["network", "part", "transformation", "measure", "scope", "variant"]


def test_every_part_of_every_network_has_one_row_a_reading(of_figure7):
    table, _ = of_figure7
    assert not table.duplicated(KEYS).any()
    families = of_families(table)
    assert set(families["transformation"]) == {"shifts", "rotations"}
    assert set(families.loc[families["group"] == "rotation", "measure"]) == {"invariance", "equivariance", "linear"}
    assert families["chance"].notna().any() and "corrected" not in table
    assert table.attrs["recipe"]["images that registered centres are found on, and rotations are not scored on"] == 12


def test_a_reading_is_of_one_border_or_centre_and_one_scope(of_figure7):
    table, _ = of_figure7
    found = list(readings(table))
    assert len(found) == len(set(found)) == 8
    rows = Reading("translation", "zero", "dataset").of(table, measure="equivariance", part="early")
    assert len(rows) == 2 and set(rows["variant"]) == {"zero"}


def test_networks_measured_on_other_images_are_never_in_one_table(of_figure7, survey, tmp_path):
    import json
    import shutil

    shutil.copytree(survey.results, tmp_path / "results")
    for file in (tmp_path / "results" / "nets.py-wide").glob("*/manifest.json"):
        manifest = json.loads(file.read_text())
        file.write_text(json.dumps(manifest | {"data": manifest["data"] | {"fingerprint": "other"}}))
    with pytest.raises(ValueError, match="measured on different images"):
        numbers(survey.models, tmp_path / "results")
