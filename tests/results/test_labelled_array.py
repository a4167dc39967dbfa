"""Scores in pandas and in xarray: the tables as they are, and the same numbers under the same labels."""

import json
import math
import sys
from itertools import product

import numpy as np
import pandas as pd
import pytest

from equiscope.results.columns import TABLES
from equiscope.results.folder import manifest_text
from equiscope.results.labelled_array import AXES, OF_LAYERS
from equiscope.results.rows import overall
from example import example_scores, shuffled

xarray = pytest.importorskip("xarray")


@pytest.fixture(scope="module")
def scores():
    """Under two families, of which one has no rows about a layer's own centre, nor of the measure linear."""
    return example_scores(3, 4, alignments=("array", "registered"))


def test_pandas_has_the_tables_as_they_are(scores):
    tables = scores.to_pandas()
    assert list(tables) == list(TABLES)
    assert all(tables[name] is getattr(scores, name) for name in tables)


def test_every_row_over_all_members_is_in_the_array_and_nothing_else(scores):
    array = scores.to_xarray()
    assert array["score"].dims == AXES
    rows = overall(scores.scores).set_index(list(AXES))
    assert set(array.data_vars) == set(rows.columns) - {"part"}
    labels = [array[axis].to_numpy().tolist() for axis in AXES]
    assert len(rows) < math.prod(len(these) for these in labels)  # shifts are not registered
    found = 0
    for place in product(*labels):
        there = {name: value.item() for name, value in array.sel(dict(zip(AXES, place, strict=True))).data_vars.items()}
        if place in rows.index:
            expected = rows.loc[place]
            assert all(np.array_equal(there[name], expected[name], equal_nan=True) for name in there)
            found += 1
        else:
            assert all(math.isnan(value) for value in there.values())
    assert found == len(rows)


def test_the_order_of_rows_changes_no_number(scores):
    array, mixed = scores.to_xarray(), shuffled(scores).to_xarray()
    assert mixed["layer"].to_numpy().tolist() == scores.layers["layer"].tolist()
    assert mixed.sel({axis: array[axis] for axis in AXES}).identical(array)


def test_what_is_known_of_layers_is_in_coordinates_and_the_manifest_in_json(scores):
    array = scores.to_xarray()
    told = array["layer"].to_dataframe()[list(OF_LAYERS)].astype({"stride_y": "Int64", "stride_x": "Int64"})
    pd.testing.assert_frame_equal(
        told.reset_index(), scores.layers.drop(columns="layer").assign(layer=told.index)[["layer", *OF_LAYERS]],
        check_dtype=False, check_index_type=False, check_names=False,
    )  # fmt: skip
    early = array["score"].where(array["part"] == "early", drop=True)
    assert early["layer"].to_numpy().tolist() == scores.layers.loc[scores.layers["part"] == "early", "layer"].tolist()
    assert json.loads(array.attrs["manifest"]) == json.loads(manifest_text(scores))


def test_without_xarray_one_sentence_says_what_to_install(scores, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r'^to_xarray\(\) needs the package xarray: pip install "equiscope'):
        scores.to_xarray()
