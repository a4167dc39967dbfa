"""The data that the page's script draws are those of the tables."""

import base64
import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from equiscope.page.data import Chunks, channels_data, maps_data, result_data
from equiscope.results.columns import VALUES
from equiscope.results.rows import rows_of
from equiscope.results.scores import Scores
from example import example_scores, shuffled
from example_maps import example_maps

SCOPES, ALIGNMENTS = ("dataset", "image"), ("array", "registered")


@pytest.fixture(scope="module")
def scores() -> Scores:
    return example_scores(3, scopes=SCOPES, alignments=ALIGNMENTS)


def data_of(scores: Scores, room: int = 10**6) -> tuple[dict[str, Any], Chunks]:
    chunks = Chunks(room)
    return result_data("name", scores) | {"channels": channels_data(scores, chunks)}, chunks


def content(chunks: Chunks, number: int) -> bytes:
    return zlib.decompress(base64.b64decode(chunks.texts[number]))


def test_the_scores_are_those_of_the_tables(scores: Scores) -> None:
    data, _ = data_of(scores)
    assert [layer["layer"] for layer in data["layers"]] == ["layer1", "layer2", "layer3", "pool", "final"]
    assert data["layers"][3]["stride_y"] is None and data["layers"][0]["dimension"] == 6.0
    assert data["measures"] == ["invariance", "equivariance", "linear"]
    assert (data["scopes"], data["alignments"]) == (list(SCOPES), list(ALIGNMENTS))
    for by, table in (("layer", scores.scores), ("part", scores.parts)):
        names = data["parts"] if by == "part" else [layer["layer"] for layer in data["layers"]]
        keys = ["scope", "transformation", "measure", "alignment"]
        for scope, transformation, measure, alignment in table[keys].drop_duplicates().itertuples(index=False):
            drawn = data[f"by_{by}"]["all"][alignment][scope][measure][transformation]
            rows = rows_of(table, scope, transformation, measure, alignment).set_index(by).loc[names]
            for value in VALUES:
                expected = [None if pd.isna(one) else pytest.approx(one, abs=6e-5) for one in rows[value]]
                assert drawn[value] == expected
            assert drawn["undefined"] == rows["undefined"].tolist()


def test_the_baseline_s_scores_stand_beside() -> None:
    scores, untrained = example_scores(3), example_scores(3, seed=1)
    assert data_of(scores)[0]["baseline"] is None
    beside = data_of(replace(scores, baseline=untrained))[0]["baseline"]
    assert beside == data_of(untrained)[0]["by_layer"]


def test_whole_shifts_stand_apart_where_some_are_interpolated() -> None:
    scores = example_scores(3, shifts=(1, 2))  # strides 1, 2 and 4
    of_layers = data_of(scores)[0]["by_layer"]
    assert of_layers["interpolated"] == ["shift(1,1)", "shift(2,2)", "shifts"]
    every, whole = (of_layers[kind]["array"]["dataset"]["invariance"] for kind in ("all", "whole"))
    assert whole["shifts"]["score"][0] == every["shifts"]["score"][0]
    assert whole["shifts"]["score"][1] == every["shift(2,2)"]["score"][1] != every["shifts"]["score"][1]
    assert whole["shifts"]["score"][2] is None and every["shifts"]["score"][2] is not None
    assert "rot90" not in whole and "rotations" not in whole
    assert data_of(example_scores(3, shifts=()))[0]["by_layer"]["interpolated"] == []


def test_channels_are_packed_by_scope_and_layer(scores: Scores) -> None:
    data, chunks = data_of(scores)
    first = json.loads(content(chunks, data["channels"]["dataset"][0]))
    for alignment in ALIGNMENTS:
        found = first[alignment]["rot90"]
        keys = {"layer": "layer1", "transformation": "rot90", "scope": "dataset", "alignment": alignment}
        rows = scores.channels[(scores.channels[list(keys)] == pd.Series(keys)).all(axis=1)]
        assert found["partner"] == [1, 2, 3, 0, 4, None]
        for column in ("invariance", "equivariance", "linear", "explained_linear", "chance_equivariance"):
            expected = [None if pd.isna(one) else pytest.approx(one, abs=6e-5) for one in rows[column]]
            assert found[column] == expected
    assert "linear" not in first["array"]["shift(1,1)"]  # not measured
    assert "invariance" not in json.loads(content(chunks, data["channels"]["image"][3]))["array"]["rot90"]  # undefined


def test_channels_beyond_the_room_are_left_out(scores: Scores) -> None:
    data, chunks = data_of(scores, room=2000)
    assert None in data["channels"]["dataset"] and sum(map(len, chunks.texts)) <= 2000
    assert data_of(example_scores(3))[0]["channels"]["image"] == [None] * 5  # nor are those of a scope not measured


def test_the_order_of_rows_does_not_matter(scores: Scores) -> None:
    (one, packed), (other, repacked) = data_of(scores), data_of(shuffled(scores))
    assert list(one["laws"]["layer1"]["first"]) == ["rot90"] * 3 + ["rot180"] * 3 + ["rot270"] * 3
    assert one == other
    for layer in range(5):
        first, second = (
            json.loads(content(chunks, data["channels"]["dataset"][layer]))
            for data, chunks in ((one, packed), (other, repacked))
        )
        assert first == second


def test_orbits_and_laws_are_those_of_the_tables(scores: Scores) -> None:
    data, _ = data_of(scores)
    assert data["orbits"]["array"]["layer1"] == [[0, 1, 2, 3], [4]]
    laws = scores.laws[scores.laws["layer"] == "layer2"]
    assert data["laws"]["layer2"]["product"] == laws["product"].tolist()
    assert data["laws"]["layer2"]["composed"] == pytest.approx(laws["composed"].tolist(), abs=6e-5)
    assert data_of(example_scores(2, measures=("invariance", "equivariance")))[0]["laws"] == {}


def test_maps_are_packed_image_by_image_as_far_as_there_is_room(scores: Scores) -> None:
    maps = example_maps(scores)
    chunks = Chunks(10**7)
    data = maps_data(maps, chunks)
    assert data is not None and len(data["images"]) == data["kept"] == 2
    kept, about = maps.layers["layer1", "rot90"], data["layers"]["layer1"]["rot90"]
    assert about["pairs"] == kept.pairs.tolist() and about["size"] == [16, 16]
    large = content(chunks, about["large"][1])
    sides = [getattr(kept, f"{side}_pairs")[1] for side in ("original", "transformed", "expected")]
    numbers_end = 4 * len(kept.pairs)
    similarity = kept.partner_similarity[1, kept.pairs[:, 0]]
    assert np.array_equal(np.frombuffer(large[:numbers_end], "<f4"), similarity)
    assert large[numbers_end:] == b"".join(part.tobytes() for part in (kept.valid_pairs, *sides))
    small = content(chunks, about["small"][0])
    numbers = (kept.low, kept.high, kept.own_similarity[0], kept.partner_similarity[0])
    maps_of_channels = (kept.valid, kept.original[0], kept.transformed[0], kept.expected[0])
    assert small == b"".join(part.tobytes() for part in (*numbers, *maps_of_channels))
    for room in (15_000, 0):
        chunks = Chunks(room)
        less = maps_data(maps, chunks)
        assert less is not None and less["kept"] == 2
        numbers = [one for of in less["layers"]["layer1"].values() for kind in ("large", "small") for one in of[kind]]
        assert len(less["images"]) < 2 or None in numbers
    assert less["images"] == [] and maps_data(None, chunks) is None
    grey = {name: pixels[..., :1] for name, pixels in maps.transformed_images.items()}
    assert maps_data(replace(maps, images=maps.images[..., :1], transformed_images=grey), Chunks()) is not None
