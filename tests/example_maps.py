"""`Maps` that belong to example scores: smooth noise, each channel's map nearly that of its partner, transformed."""

import numpy as np
import pandas as pd

from equiscope.results.maps import LayerMaps, Maps
from equiscope.results.scores import Scores

PAIRS, SMALL, LARGE = 12, 16, 64


def example_maps(scores: Scores, images: int = 2, seed: int = 0) -> Maps:
    """Maps of so many images, of the first transformation of each family, or the last of the shifts."""
    random = np.random.default_rng(seed)
    families = scores.manifest["options"]["transformations"]
    shown = {family: of[-1] if of[-1].startswith("shift") else of[0] for family, of in families.items()}
    grids = scores.layers[scores.layers["height"] > 1].to_dict("records")
    return Maps(
        images=_smooth(random, images, 1, 48, 48).transpose(0, 2, 3, 1).repeat(3, axis=3),
        transformed_images={name: _smooth(random, images, 3, 48, 48).transpose(0, 2, 3, 1) for name in shown.values()},
        transformations=shown,
        layers={
            (layer["layer"], name): _of_layer(scores.channels, layer, name, images, random)
            for layer in grids for name in dict.fromkeys(shown.values())
        },
    )  # fmt: skip


def _of_layer(
    channels: pd.DataFrame, layer: dict[str, object], name: str, images: int, random: np.random.Generator
) -> LayerMaps:
    of_layer = (channels["layer"] == layer["layer"]) & (channels["transformation"] == name)
    table = channels[of_layer & (channels["scope"] == "dataset") & (channels["alignment"] == "array")]
    table = table.sort_values("channel")
    size = int(str(layer["height"]))
    partner = table["partner"].fillna(table["channel"]).to_numpy(dtype=int)
    small = _smooth(random, images, len(table), *[min(size, SMALL)] * 2)
    strongest = table.dropna(subset="partner").sort_values("equivariance", ascending=False, kind="stable")[:PAIRS]
    pairs = strongest[["channel", "partner"]].to_numpy(dtype=np.int64)
    large = _smooth(random, images, len(pairs), *[min(size, LARGE)] * 2)
    expected = small.copy()
    expected[:, partner] = _noisy(random, small)
    expected_pairs = _noisy(random, large)
    return LayerMaps(
        original=_back(name, expected),
        transformed=small,
        expected=expected,
        low=np.linspace(-2, -1, len(table), dtype=np.float32),
        high=np.linspace(1, 3, len(table), dtype=np.float32),
        valid=_valid(name, small.shape[-1]),
        own_similarity=random.uniform(-0.1, 1, (images, len(table))).astype(np.float32),
        partner_similarity=random.uniform(0.5, 1, (images, len(table))).astype(np.float32),
        pairs=pairs,
        original_pairs=_back(name, expected_pairs),
        transformed_pairs=large,
        expected_pairs=expected_pairs,
        valid_pairs=_valid(name, large.shape[-1]),
    )


def _back(name: str, expected: np.ndarray) -> np.ndarray:
    """Feature maps whose transformed ones these are, under a rotation; else the same."""
    return np.rot90(expected, -int(name[3:]) // 90, (-2, -1)).copy() if name.startswith("rot") else expected


def _valid(name: str, size: int) -> np.ndarray:
    """All positions, but for those that the content of a shift has left."""
    valid = np.ones((size, size), dtype=bool)
    if name.startswith("shift("):
        down, right = map(int, name[6:-1].split(","))
        valid[:down], valid[:, :right] = False, False
    return valid


def _smooth(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Noise whose neighbours are alike, from 0 to 255 in every map."""
    noise = random.normal(size=shape)
    for axis in (-2, -1):
        noise = noise + np.roll(noise, 1, axis)
    low, high = noise.min((-2, -1), keepdims=True), noise.max((-2, -1), keepdims=True)
    return np.round((noise - low) / (high - low) * 255).astype(np.uint8)


def _noisy(random: np.random.Generator, maps: np.ndarray) -> np.ndarray:
    return np.clip(maps + random.normal(0, 12, maps.shape), 0, 255).astype(np.uint8)
