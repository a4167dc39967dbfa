"""What the page's script draws: the scores as JSON, and what is large in chunks that are unpacked when looked at."""

import base64
import json
import zlib
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from equiscope.results.columns import ALIGNMENTS, PARTS, SCOPES, VALUES
from equiscope.results.maps import LayerMaps, Maps
from equiscope.results.rows import in_order, measures_in, overall
from equiscope.results.scores import Scores

_DIGITS = 4
_OF_LAYERS = ("layer", "part", "type", "channels", "height", "width", "stride_y", "dead", "dimension")
_NAMES = (
    "layer",
    "transformation",
    "scope",
    "alignment",
    "channel",
    "partner",
    "ceiling",
    "defined",
)  # of channels, no scores


def packed(content: bytes) -> str:
    """Bytes as text of few characters, which the page's script unpacks."""
    return base64.b64encode(zlib.compress(content)).decode("ascii")


class Chunks:
    """Texts of at most so many characters in all, each with its number; what does not fit is left out."""

    def __init__(self, room: int = 0) -> None:
        self.texts: list[str] = []
        self.room = room

    def add(self, content: bytes) -> int | None:
        """The number of the chunk that holds the content, packed; None where there is no room for it."""
        text = packed(content)
        if not self.takes(len(text)):
            return None
        self.texts.append(text)
        return len(self.texts) - 1

    def takes(self, characters: int) -> bool:
        """Whether there is room for so many characters, which then is taken."""
        fits = characters <= self.room
        self.room -= characters if fits else 0
        return fits


def result_data(name: str, scores: Scores) -> dict[str, Any]:
    """One result's scores, without those of its channels and without its maps."""
    manifest = scores.manifest
    layers = in_order(scores.layers)
    measured = set(scores.scores["scope"])
    parts = [part for part in PARTS if part in set(scores.parts["part"])]
    alignments = set(scores.scores["alignment"])
    families = manifest["options"]["transformations"]
    return {
        "name": name,
        "model": str(manifest["model"]),
        "images": manifest["images"],
        "families": {family: list(members) for family, members in families.items()},
        "measures": measures_in(scores.scores),
        "scopes": [scope for scope in SCOPES if scope in measured],
        "alignments": [alignment for alignment in ALIGNMENTS if alignment in alignments],
        "layers": [
            {key: _plain(row[key]) for key in _OF_LAYERS} for row in layers.to_dict("records")
        ],
        "parts": parts,
        "by_layer": _by_shifts(scores.scores, "layer", list(layers["layer"])),
        "by_part": _by_shifts(scores.parts, "part", parts),
        "baseline": scores.baseline and _by_shifts(scores.baseline.scores, "layer", list(layers["layer"])),
        "orbits": _orbits(scores.orbits),
        "laws": _laws(scores.laws, [member for members in families.values() for member in members]),
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    return round(value, _DIGITS) if isinstance(value, float) else value.item() if hasattr(value, "item") else value


def _by_shifts(table: pd.DataFrame, by: str, names: list[str]) -> dict[str, Any]:
    """The scores over all transformations and layers; where some were interpolated, those over the others alone too."""
    some = table["transformation"].isin(table.loc[table["subpixel"], "transformation"])
    return {
        "all": _by_keys(overall(table), by, names),
        "whole": _by_keys(table[some & ~table["subpixel"]], by, names),
        "interpolated": sorted(set(table.loc[some, "transformation"])),
    }


def _by_keys(table: pd.DataFrame, by: str, names: list[str]) -> dict[str, Any]:
    """The scores as columns in the order of `names`: by alignment, scope, measure and transformation."""
    found: dict[str, Any] = {}
    for key, rows in table.groupby(["alignment", "scope", "measure", "transformation"], sort=False):
        alignment, scope, measure, transformation = map(str, key)
        place = found.setdefault(alignment, {}).setdefault(scope, {}).setdefault(measure, {})
        ordered = rows.set_index(by).reindex(names)
        columns = {value: rounded(ordered[value].to_numpy(np.float64)) for value in VALUES}
        place[transformation] = columns | {"undefined": [int(count) for count in ordered["undefined"].fillna(0)]}
    return found


def rounded(values: NDArray[np.float64]) -> list[float | None]:
    """Values of a few digits; an undefined one is None.

    >>> rounded(np.array([0.123456, np.nan]))
    [0.1235, None]
    """
    return [None if np.isnan(value) else round(float(value), _DIGITS) for value in values]


def channels_data(scores: Scores, chunks: Chunks) -> dict[str, list[int | None]]:
    """For each scope, the number of each layer's chunk, as far as there is room: channels by transformation."""
    blocks = dict(iter(scores.channels.groupby(["scope", "layer"], sort=False)))
    layers = list(in_order(scores.layers)["layer"])
    return {
        scope: [
            chunks.add(_channel_json(blocks[scope, layer])) if (scope, layer) in blocks else None for layer in layers
        ]
        for scope in SCOPES
    }


def _channel_json(rows: pd.DataFrame) -> bytes:
    """A layer's channels; a column that has no value under a transformation is left out there."""
    columns = [name for name in rows.columns if name not in _NAMES]
    found: dict[str, Any] = {}
    for key, of in rows.groupby(["alignment", "transformation"], sort=False):
        alignment, name = map(str, key)
        of = of.sort_values("channel")
        partner = [None if pd.isna(one) else int(one) for one in of["partner"]]
        values = {column: of[column].to_numpy(dtype=np.float64) for column in columns}
        there = {column: rounded(numbers) for column, numbers in values.items() if not np.isnan(numbers).all()}
        found.setdefault(alignment, {})[name] = {"partner": partner} | there
    return as_json(found)


def _orbits(orbits: pd.DataFrame) -> dict[str, dict[str, list[list[int]]]]:
    """The orbits of channels, by alignment and layer."""
    found: dict[str, dict[str, list[list[int]]]] = {}
    for key, rows in orbits.groupby(["alignment", "layer", "orbit"], sort=False):
        alignment, layer, _ = map(str, key)
        found.setdefault(alignment, {}).setdefault(layer, []).append([int(one) for one in rows["channel"]])
    return found


def _laws(laws: pd.DataFrame, transformations: list[str]) -> dict[str, dict[str, list[Any]]]:
    """The group law, by layer: its columns, in the order of the transformations."""
    places = {name: place for place, name in enumerate(transformations)}
    ordered = laws.sort_values(["first", "second"], key=lambda names: names.map(places))
    return {
        str(layer): {name: list(rows[name]) for name in ("first", "second", "product")}
        | {name: rounded(rows[name].to_numpy(np.float64)) for name in ("composed", "direct")}
        for layer, rows in ordered.groupby("layer", sort=False)
    }


def maps_data(maps: Maps | None, chunks: Chunks) -> dict[str, Any] | None:
    """A result's maps, image by image as far as there is room: the strongest pairs first, then all channels."""
    if maps is None:
        return None
    layers = {key: _about(of_layer) for key, of_layer in maps.layers.items()}
    shown: list[dict[str, Any]] = []
    for image in range(len(maps.images)):
        transformed = {name: _png(pixels[image]) for name, pixels in maps.transformed_images.items()}
        original = _png(maps.images[image])
        if not chunks.takes(sum(map(len, [original, *transformed.values()]))):
            break
        shown.append({"original": original, "transformed": transformed})
        for kind, content in (("large", _pairs_of), ("small", _channels_of)):
            for name in maps.transformed_images:
                for key in (key for key in maps.layers if key[1] == name):
                    layers[key][kind].append(chunks.add(content(maps.layers[key], image)))
    by_layer: dict[str, dict[str, Any]] = {}
    for (layer, name), about in layers.items():
        by_layer.setdefault(layer, {})[name] = about
    return {
        "images": shown,
        "kept": len(maps.images),
        "transformations": maps.transformations,
        "layers": by_layer,
    }


def _about(of_layer: LayerMaps) -> dict[str, Any]:
    return {
        "size": list(of_layer.transformed.shape[-2:]),
        "pair_size": list(of_layer.transformed_pairs.shape[-2:]),
        "pairs": of_layer.pairs.tolist(),
        "large": [],
        "small": [],
    }


def _pairs_of(of_layer: LayerMaps, image: int) -> bytes:
    """One image's strongest pairs: similarities, valid positions, `f(X)`, `f(T_g X)`, `T'_g f(X)`."""
    sides = (of_layer.original_pairs, of_layer.transformed_pairs, of_layer.expected_pairs)
    similarity = of_layer.partner_similarity[image, of_layer.pairs[:, 0]]
    return _joined([similarity], [of_layer.valid_pairs, *(side[image] for side in sides)])


def _channels_of(of_layer: LayerMaps, image: int) -> bytes:
    """One image's small maps: the channels' least, most and similarities, valid positions, and the same three sides."""
    numbers = (of_layer.low, of_layer.high, of_layer.own_similarity[image], of_layer.partner_similarity[image])
    sides = (of_layer.original, of_layer.transformed, of_layer.expected)
    return _joined(numbers, [of_layer.valid, *(side[image] for side in sides)])


def _joined(numbers: Iterable[NDArray[Any]], maps: Iterable[NDArray[Any]]) -> bytes:
    parts = [one.astype("<f4") for one in numbers] + [one.astype(np.uint8) for one in maps]
    return b"".join(part.tobytes() for part in parts)


def _png(pixels: NDArray[np.uint8]) -> str:
    stream = BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def as_json(value: Any) -> bytes:
    """The value as strict JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
