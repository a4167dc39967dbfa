"""What the oracle says of a network's layers, and whether a measurement says the same."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

import equiscope as es
import oracle

TOLERANCE = 1e-4
COLUMNS = ["score", "in_sample", "chance", "ceiling", "explained", "explained_ceiling", "held_out", "undefined"]
OF_DEFINED = ["images", "transformations"]
INTERVALS = ["low", "high", "explained_low", "explained_high"]
KEYS = ["transformation", "measure", "scope", "subpixel"]

Key = tuple[str, str, str, bool]
Strides = dict[str, tuple[int, int] | None]  # of the layers that are compared; None: a vector


def features(model: nn.Module, layers: Sequence[str], images: Tensor) -> dict[str, np.ndarray]:
    """Each module's output in float64, [image, channel, h, w], read by hooks of the test's own."""
    kept, modules = {}, dict(model.named_modules())

    def keep(name):
        return lambda module, given, output: kept.__setitem__(name, output.detach().clone())

    handles = [modules[name].register_forward_hook(keep(name)) for name in layers]
    with torch.no_grad():
        model.eval()(images)
    for handle in handles:
        handle.remove()
    return {name: maps.reshape(*maps.shape[:2], *(maps.shape[2:] or (1, 1))).double().numpy()
            for name, maps in kept.items()}  # fmt: skip


def said_by_oracle(
    model: nn.Module,
    images: Tensor,
    strides: Strides,
    families: Sequence[es.Family],
    *,
    fill: str = "zero",
    offsets: dict[str, dict[str, tuple[float, float]]] | None = None,
    **options: Any,
) -> dict[str, oracle.LayerScores]:
    """What the oracle says of each layer, from features of images that the oracle transformed."""
    members = {family.name: [one.name for one in family.transformations] for family in families}
    names = list(dict.fromkeys(name for of_family in members.values() for name in of_family))
    original = features(model, list(strides), images)
    pixels = {name: torch.from_numpy(oracle.on_pixels(images.double().numpy(), name, fill)) for name in names}
    transformed = {name: features(model, list(strides), pixels[name].to(images)) for name in names}
    return {
        layer: oracle.layer_scores(
            original[layer],
            {name: transformed[name][layer] for name in names},
            stride,
            families={name: of_family for name, of_family in members.items() if of_family != [name]},
            vector=stride is None,
            offsets=None if offsets is None or stride is None else offsets[layer],
            **options,
        )
        for layer, stride in strides.items()
    }


def assert_agree(
    scores: es.Scores,
    expected: dict[str, oracle.LayerScores],
    *,
    alignment: str = "array",
    tolerance: float = TOLERANCE,
    partners: bool = True,
) -> None:
    """Every row, channel, replicate and law of either is the other's, with the same numbers."""
    for layer, its in expected.items():
        rows = _of(scores.scores, layer, alignment).set_index(KEYS)
        wanted = _by_row(its.rows, alignment)
        assert set(rows.index) == set(wanted), layer
        for key, row in wanted.items():
            columns = COLUMNS + (OF_DEFINED if row["score"] == row["score"] else [])
            columns += [] if key[1:3] == ("invariance", "image") else INTERVALS  # a bootstrap
            _close(rows.loc[key][columns], [row[one] for one in columns], tolerance, f"{layer} {key} {columns}")
        measures = {key[1:3] for key in wanted}
        _assert_channels(_of(scores.channels, layer, alignment), its, measures, tolerance, partners)
        _assert_replicates(_of(scores.replicates, layer, alignment), _by_row(its.replicates, alignment), layer,
                           tolerance)  # fmt: skip
        if alignment == "array":
            _assert_laws(scores, its, layer, tolerance)


def _by_row(of_oracle: dict[Key, Any], alignment: str) -> dict[Key, Any]:
    """The oracle's rows as the tables have them: strict invariance is of the data set, and moves no map."""
    found: dict[Key, Any] = {}
    for (name, measure, scope, subpixel), row in of_oracle.items():
        if measure != "strict_invariance":
            found[name, measure, scope, subpixel] = row
        elif scope == "dataset" and alignment == "array":
            found.setdefault((name, measure, scope, False), row)  # the first is that over all members
    return found


def _of(table: pd.DataFrame, layer: str, alignment: str) -> pd.DataFrame:
    return table[(table["layer"] == layer) & (table["alignment"] == alignment)]


def _close(found: Any, expected: Any, tolerance: float, told: str) -> None:
    found, expected = np.array(found, dtype=float), np.array(expected, dtype=float)
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0, err_msg=told)


def _assert_channels(
    channels: pd.DataFrame, its: oracle.LayerScores, measures: set[tuple[str, str]], tolerance: float, partners: bool
) -> None:
    for (transformation, scope), columns in its.channels.items():
        rows = channels[(channels["transformation"] == transformation) & (channels["scope"] == scope)]
        for column, values in columns.items():
            measure = "equivariance" if column == "partner" else column.split("_", 1)[-1]
            if (
                column not in ("defined", "ceiling")
                and (column if "strict" in column else measure, scope) not in measures
            ):
                continue
            told = f"{rows['layer'].iloc[0]} {transformation} {scope} {column}"
            if column != "partner":
                _close(rows[column], values, tolerance, told)
            elif partners:
                _close(rows[column].astype("float64").fillna(-1), values, 0, told)


def _assert_replicates(replicates: pd.DataFrame, wanted: dict[Key, Any], layer: str, tolerance: float) -> None:
    there = replicates.set_index(KEYS).sort_index()
    for key, columns in wanted.items():
        for column, values in columns.items():
            if key in there.index:
                _close(there.loc[[key], column], values, tolerance, f"{layer} {key} {column}")
            else:
                assert np.isnan(values).all(), (layer, key, column)


def _assert_laws(scores: es.Scores, its: oracle.LayerScores, layer: str, tolerance: float) -> None:
    known = [*oracle.SOURCES, *(name for name, *_ in its.rows if name.startswith("rot"))]
    laws = scores.laws[(scores.laws["layer"] == layer) & scores.laws["first"].isin(known)]
    laws = laws.set_index(["first", "second"])
    assert set(laws.index) == set(its.laws), layer
    for pair, law in its.laws.items():
        assert laws.loc[pair, "product"] == law["product"], (layer, pair)
        values = [law["composed"], law["direct"]]
        _close(laws.loc[pair, ["composed", "direct"]], values, tolerance, f"law {layer} {pair}")
    dimension = scores.layers.set_index("layer")["dimension"][layer]
    if its.dimension == its.dimension and any(key[0] in oracle.SOURCES for key in its.rows):
        _close(dimension / its.dimension, 1, 1e-3, f"dimension {layer}")
