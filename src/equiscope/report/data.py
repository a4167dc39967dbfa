"""What the page's script draws: the scores as JSON, and what is large in chunks that are unpacked when looked at."""

import base64
import json
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from equiscope.measurement.maps import LayerMaps, Maps
from equiscope.results.scores import MEASURES, SCOPES, VALUES, Scores

MOST_OF_CHANNELS = 3_000_000  # characters; scores of channels beyond are in channels.parquet alone
_DIGITS = 4
_OF_LAYERS = ("layer", "part", "type", "channels", "height", "width", "stride_y", "dead")


class Chunks:
    """Texts of at most so many characters in all, each with its number; what does not fit is left out."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.room = 0

    def add(self, content: bytes) -> int | None:
        """The number of the chunk that holds the content, packed; None where there is no room for it."""
        text = base64.b64encode(zlib.compress(content)).decode("ascii")
        if not self.takes(len(text)):
            return None
        self.texts.append(text)
        return len(self.texts) - 1

    def takes(self, characters: int) -> bool:
        """Whether there is room for so many characters, which then is taken."""
        fits = characters <= self.room
        self.room -= characters if fits else 0
        return fits


def result_data(name: str, scores: Scores, chunks: Chunks) -> dict[str, Any]:
    """One result's scores, without its maps; its channels go into chunks as far as there is room."""
    layers = scores.layers
    manifest = scores.manifest
    transformations = manifest["options"]["transformations"]
    return {
        "name": name,
        "model": str(manifest["model"]),
        "images": manifest["images"],
        "families": {family: list(members) for family, members in transformations.items()},
        "alignments": list(dict.fromkeys(scores.scores["alignment"])),
        "strict": bool(manifest["options"]["strict"]),
        "layers": [
            {key: _plain(row[key]) for key in _OF_LAYERS} for row in layers.to_dict("records")
        ],
        "parts": list(dict.fromkeys(scores.parts["part"])),
        "by_layer": _by_keys(scores.scores, "layer", list(layers["layer"])),
        "by_part": _by_keys(scores.parts, "part", list(dict.fromkeys(scores.parts["part"]))),
        "channels": _channels(scores, chunks),
        "orbits": _orbits(scores),
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return None if pd.isna(value) else value.item() if isinstance(value, np.generic) else value


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


def _channels(scores: Scores, chunks: Chunks) -> dict[str, list[int | None]]:
    """For each scope, the number of each layer's chunk: its channels by alignment and transformation."""
    blocks = dict(iter(scores.channels.groupby(["scope", "layer"], sort=False)))
    return {
        scope: [
            chunks.add(_channel_json(blocks[scope, layer])) if (scope, layer) in blocks else None
            for layer in scores.layers["layer"]
        ]
        for scope in SCOPES
    }


def _channel_json(rows: pd.DataFrame) -> bytes:
    columns = (*MEASURES, *(f"chance_{measure}" for measure in MEASURES))
    found: dict[str, Any] = {}
    for key, of in rows.groupby(["alignment", "transformation"], sort=False):
        alignment, name = map(str, key)
        partner = [None if pd.isna(one) else int(one) for one in of["partner"]]
        values = {column: rounded(of[column].to_numpy(dtype=np.float64)) for column in columns}
        found.setdefault(alignment, {})[name] = {"partner": partner} | values
    return json.dumps(found, separators=(",", ":"), allow_nan=False).encode()


def _orbits(scores: Scores) -> dict[str, dict[str, list[list[int]]]]:
    """The families of channels, by alignment and layer."""
    found: dict[str, dict[str, list[list[int]]]] = {}
    for key, rows in scores.orbits.groupby(["alignment", "layer", "orbit"], sort=False):
        alignment, layer, _ = map(str, key)
        found.setdefault(alignment, {}).setdefault(layer, []).append([int(one) for one in rows["channel"]])
    return found


def maps_data(maps: Maps | None, chunks: Chunks) -> dict[str, Any] | None:
    """A result's maps, image by image as far as there is room: the strongest pairs first, then all channels."""
    if maps is None:
        return None
    layers = {key: _about(of_layer) for key, of_layer in maps.layers.items()}
    shown: list[dict[str, Any]] = []
    for image in range(len(maps.images)):
        pictures = {"still": _png(maps.images[image])} | {
            name: _png(pixels[image]) for name, pixels in maps.turned_images.items()
        }
        if not chunks.takes(sum(map(len, pictures.values()))):
            break
        shown.append(pictures)
        for kind, content in (("large", _pairs_of), ("small", _channels_of)):
            for name in maps.turned_images:
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
        "size": list(of_layer.turned.shape[-2:]),
        "pair_size": list(of_layer.turned_pairs.shape[-2:]),
        "pairs": of_layer.pairs.tolist(),
        "large": [],
        "small": [],
    }


def _pairs_of(of_layer: LayerMaps, image: int) -> bytes:
    """One image's strongest pairs: valid cells, turned, expected."""
    parts = (of_layer.valid_pairs, of_layer.turned_pairs[image], of_layer.expected_pairs[image])
    return b"".join(part.astype(np.uint8).tobytes() for part in parts)


def _channels_of(of_layer: LayerMaps, image: int) -> bytes:
    """One image's small maps: the channels' least and most, valid cells, turned, expected."""
    edges = b"".join(edge.astype("<f4").tobytes() for edge in (of_layer.low, of_layer.high))
    parts = (of_layer.valid, of_layer.turned[image], of_layer.expected[image])
    return edges + b"".join(part.astype(np.uint8).tobytes() for part in parts)


def _png(pixels: NDArray[np.uint8]) -> str:
    stream = BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def as_script(value: Any) -> str:
    r"""JSON that may stand in a script element, whatever its texts hold.

    >>> as_script({"layer": "</script>"})
    '{"layer":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
