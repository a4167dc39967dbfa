"""`Maps`: feature maps of a few images, of the transformed image and as expected, kept to be looked at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

_OF_LAYER = (
    "original", "transformed", "expected", "low", "high", "valid", "own_similarity", "partner_similarity", "pairs",
    "original_pairs", "transformed_pairs", "expected_pairs", "valid_pairs",
)  # fmt: skip


@dataclass(frozen=True)
class LayerMaps:
    """A layer's feature maps of a few images under one transformation: `f(X)`, `f(T_g X)`, and `T'_g f(X)`, expected.

    All channels' maps are small; 8 bits go from `low` to `high`, the least and the most of a channel's maps of all
    images. The strongest pairs, the channels and their partners of highest equivariance, are large; 8 bits go from the
    least to the most of the three maps of a pair of one image. Positions that are not `valid` show nothing.

    The similarities of `f(T_g X)` and `T'_g f(X)` are of each image alone, over its valid positions at full size; NaN
    where a channel is constant there, or has no partner.
    """

    original: UInt8[np.ndarray, "image channel row column"]  # f(X)
    transformed: UInt8[np.ndarray, "image channel row column"]  # f(T_g X)
    expected: UInt8[np.ndarray, "image channel row column"]
    low: Float[np.ndarray, "channel"]
    high: Float[np.ndarray, "channel"]
    valid: Bool[np.ndarray, "row column"]
    own_similarity: Float[np.ndarray, "image channel"]  # of each channel with itself
    partner_similarity: Float[np.ndarray, "image channel"]  # with its partner over all images of the measurement
    pairs: Int[np.ndarray, "pair 2"]  # a channel, and its partner
    original_pairs: UInt8[np.ndarray, "image pair high wide"]  # of the partner
    transformed_pairs: UInt8[np.ndarray, "image pair high wide"]  # of the channel
    expected_pairs: UInt8[np.ndarray, "image pair high wide"]  # of the partner
    valid_pairs: Bool[np.ndarray, "high wide"]


@dataclass(frozen=True)
class Maps:
    """What was kept while measuring: images as seen, and for one transformation of each family the layers' maps."""

    images: UInt8[np.ndarray, "image row column colour"]
    transformed_images: dict[str, UInt8[np.ndarray, "image row column colour"]]  # by transformation
    transformations: dict[str, str]  # the one that is shown, by family
    layers: dict[tuple[str, str], LayerMaps]  # by layer and transformation

    def save(self, file: Path) -> None:
        """Write an `.npz` file that NumPy reads without pickles."""
        arrays: dict[str, Any] = {
            "images": self.images,
            "families": np.array(list(self.transformations), dtype=np.str_),
            "transformations": np.array(list(self.transformations.values()), dtype=np.str_),
            "layers": np.array(list(self.layers), dtype=np.str_).reshape(-1, 2),  # each a layer and a transformation
        }
        arrays |= {f"transformed_images/{name}": pixels for name, pixels in self.transformed_images.items()}
        for place, of_layer in enumerate(self.layers.values()):
            arrays |= {f"{place}/{name}": getattr(of_layer, name) for name in _OF_LAYER}
        with open(file, "wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, file: Path) -> "Maps":
        """The maps of a file that `save` wrote. ValueError where it is none."""
        try:
            with open(file, "rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                names = [str(name) for name in arrays["transformations"]]
                return cls(
                    images=arrays["images"],
                    transformed_images={name: arrays[f"transformed_images/{name}"] for name in dict.fromkeys(names)},
                    transformations=dict(zip(map(str, arrays["families"]), names, strict=True)),
                    layers={
                        (str(layer), str(name)): LayerMaps(**{key: arrays[f"{place}/{key}"] for key in _OF_LAYER})
                        for place, (layer, name) in enumerate(arrays["layers"])
                    },
                )
        except Exception as error:  # a damaged archive may raise anything
            raise ValueError(f"{file} cannot be read as maps ({type(error).__name__}: {error}).") from error
