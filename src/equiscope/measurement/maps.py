"""`Maps`: a few images and what the layers made of them, turned and expected, kept for the eye."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from equiscope.functional.transformations import Family, Transformation
from equiscope.measurement.layer_record import check_shapes
from equiscope.networks.layers import Layer

PAIRS = 12  # of a layer, kept large
SMALL, LARGE, PICTURE = 16, 64, 256  # cells or pixels along the longer side, at most
QUARTER_TURN = "rot90"
_OF_LAYER = (
    "turned", "expected", "low", "high", "valid", "pairs", "turned_pairs", "expected_pairs", "valid_pairs",
)  # fmt: skip


@dataclass(frozen=True)
class LayerMaps:
    """A layer's maps of a few images under one transformation: `f(T_g X)`, turned, and `T'_g f(X)`, expected.

    All channels' maps are small; 8 bits go from `low` to `high`, the least and the most of a channel's both maps of
    all images. The strongest pairs, the channels and their partners of highest equivariance, are large; 8 bits go
    from the least to the most of both maps of a pair of one image. Cells that are not `valid` show nothing.
    """

    turned: UInt8[np.ndarray, "image channel row column"]
    expected: UInt8[np.ndarray, "image channel row column"]
    low: Float[np.ndarray, "channel"]
    high: Float[np.ndarray, "channel"]
    valid: Bool[np.ndarray, "row column"]
    pairs: Int[np.ndarray, "pair 2"]  # a channel, and its partner
    turned_pairs: UInt8[np.ndarray, "image pair high wide"]  # of the channel
    expected_pairs: UInt8[np.ndarray, "image pair high wide"]  # of the partner
    valid_pairs: Bool[np.ndarray, "high wide"]


@dataclass(frozen=True)
class Maps:
    """What was kept while measuring: images as seen, and for one transformation of each family the layers' maps."""

    images: UInt8[np.ndarray, "image row column colour"]
    turned_images: dict[str, UInt8[np.ndarray, "image row column colour"]]  # by transformation
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
        arrays |= {f"turned_images/{name}": pixels for name, pixels in self.turned_images.items()}
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
                    turned_images={name: arrays[f"turned_images/{name}"] for name in dict.fromkeys(names)},
                    transformations=dict(zip(map(str, arrays["families"]), names, strict=True)),
                    layers={
                        (str(layer), str(name)): LayerMaps(**{key: arrays[f"{place}/{key}"] for key in _OF_LAYER})
                        for place, (layer, name) in enumerate(arrays["layers"])
                    },
                )
        except Exception as error:  # a damaged archive may raise anything
            raise ValueError(f"{file} cannot be read as maps ({type(error).__name__}: {error}).") from error


class MapKeeper:
    """Keeps one layer's maps as they pass by, as a recorder's record does; `kept` is what has come together."""

    def __init__(self, layer: Layer, pairs: Mapping[str, Int[np.ndarray, "pair 2"]]) -> None:
        self.layer, self.pairs = layer, pairs  # by transformation
        self._taken: dict[str, list[tuple[Tensor, ...]]] = {}

    def add(self, maps: Tensor, images: int, start: int, chosen: Sequence[Transformation], first: bool) -> None:
        """Take in `images` as they are, then the same under each chosen transformation."""
        still, *turned = torch.split(maps, images)
        for transformation, of_turned in zip(chosen, turned, strict=True):
            if transformation.name not in self.pairs or self.layer.vector:
                continue
            action = transformation.on_cells(still.clone(), self.layer.stride)
            if action is None:
                continue
            expected, valid = action
            check_shapes(self.layer, transformation, of_turned, expected)
            cells = torch.ones(expected.shape[-2:]) if valid is None else valid.float()
            if cells.any():
                taken = self._reduced(of_turned, expected, cells.to(maps), self.pairs[transformation.name])
                self._taken.setdefault(transformation.name, []).append(taken)

    def _reduced(
        self, turned: Tensor, expected: Tensor, valid: Tensor, pairs: Int[np.ndarray, "pair 2"]
    ) -> tuple[Tensor, ...]:
        own, partner = torch.from_numpy(pairs).to(turned.device).unbind(1)
        small = (reduced(side, valid, SMALL) for side in (turned, expected))
        large = (reduced(side, valid, LARGE) for side in (turned[:, own], expected[:, partner]))
        return tuple(part.cpu() for (maps, cells) in (*small, *large) for part in (maps, cells))

    def next_images(self) -> None:
        """Leave these images for the next ones."""

    def kept(self) -> dict[str, LayerMaps]:
        """The layer's maps by transformation; none where it cannot take one."""
        return {name: _in_eight_bits(taken, self.pairs[name]) for name, taken in self._taken.items()}


def _in_eight_bits(taken: Sequence[tuple[Tensor, ...]], pairs: Int[np.ndarray, "pair 2"]) -> LayerMaps:
    turned, _, expected, valid, own, _, partner, valid_pairs = (torch.cat(parts) for parts in zip(*taken, strict=True))
    both = torch.stack((turned, expected))[..., valid[0]]
    low, high = both.amin((0, 1, 3)), both.amax((0, 1, 3))
    of_pairs = torch.stack((own, partner))[..., valid_pairs[0]]
    least, most = (edge[..., None, None] for edge in (of_pairs.amin((0, -1)), of_pairs.amax((0, -1))))
    edges = low[:, None, None], high[:, None, None]
    return LayerMaps(
        turned=eight_bits(turned, *edges),
        expected=eight_bits(expected, *edges),
        low=low.numpy(),
        high=high.numpy(),
        valid=valid[0].numpy(),
        pairs=pairs,
        turned_pairs=eight_bits(own, least, most),
        expected_pairs=eight_bits(partner, least, most),
        valid_pairs=valid_pairs[0].numpy(),
    )


def reduced(maps: Tensor, valid: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Maps of at most so many cells along a side, each the mean of the valid cells in its area, and which have any.

    >>> maps, valid = reduced(torch.tensor([[[[1.0, 3.0, 5.0, 9.0]]]]), torch.tensor([[1.0, 1.0, 1.0, 0.0]]), 2)
    >>> maps.tolist(), valid.tolist()
    ([[[[2.0, 5.0]]]], [[[True, True]]])
    """
    height, width = maps.shape[-2:]
    scale = min(1.0, most / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    weight = nn.functional.adaptive_avg_pool2d(valid[None, None], size)
    mean = nn.functional.adaptive_avg_pool2d(maps * valid, size) / weight.clamp(min=1e-12)
    return mean, weight[0] > 0


def eight_bits(values: Tensor, low: Tensor, high: Tensor) -> UInt8[np.ndarray, "*shape"]:
    """Values from `low` to `high` as whole numbers from 0 to 255; what is constant is 0.

    >>> eight_bits(torch.tensor([1.0, 2.0, 3.0]), torch.tensor(1.0), torch.tensor(3.0)).tolist()
    [0, 128, 255]
    """
    span = (high - low).clamp(min=1e-30)
    scaled: UInt8[np.ndarray, "*shape"] = ((values - low) / span * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    return scaled


def pictures(
    images: Float[Tensor, "image channel height width"],
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> UInt8[np.ndarray, "image row column colour"]:
    """Normalised images as they looked, in 8 bits; colours are three or one.

    `mean` and `std` are what they were normalised by; without them each image goes from its least to its most.
    """
    pixels = images.float().cpu()
    if mean and std and len(mean) == len(std) == images.shape[1]:
        pixels = pixels * torch.tensor(std)[:, None, None] + torch.tensor(mean)[:, None, None]
        low, high = torch.zeros(len(pixels), 1, 1, 1), torch.ones(len(pixels), 1, 1, 1)
    else:
        low, high = pixels.amin((1, 2, 3), keepdim=True), pixels.amax((1, 2, 3), keepdim=True)
    if pixels.shape[1] not in (1, 3):
        pixels = pixels.mean(1, keepdim=True)
    pixels, _ = reduced(pixels, torch.ones(pixels.shape[-2:]), PICTURE)
    return eight_bits(pixels, low, high).transpose(0, 2, 3, 1)


def shown_of(
    families: Sequence[Family], transformations: Sequence[Transformation], layers: Sequence[Layer]
) -> dict[str, str]:
    """For each family the one of the transformations that is shown.

    It is the quarter turn, or else the largest shift that all layers can take, or else the family's first.
    """
    by_name = {transformation.name: transformation for transformation in transformations}
    with_grid = [layer for layer in layers if not layer.vector]
    return {
        family.name: _shown([by_name[member.name] for member in family.transformations], with_grid)
        for family in families
    }


def _shown(members: Sequence[Transformation], layers: Sequence[Layer]) -> str:
    names = [member.name for member in members]
    if QUARTER_TURN in names:
        return QUARTER_TURN
    moving = [member for member in members if member.offset is not None]
    moving.sort(key=lambda member: sum(map(abs, member.offset or ())), reverse=True)
    for member in moving:
        if all(_can_take(layer, member) for layer in layers):
            return member.name
    return moving[-1].name if moving else names[0]


def _can_take(layer: Layer, transformation: Transformation) -> bool:
    action = transformation.on_cells(torch.zeros(1, 1, layer.height, layer.width), layer.stride)
    return action is not None and (action[1] is None or bool(action[1].any()))


def strongest_pairs(
    equivariance: Float[np.ndarray, "channel"], partner: Int[np.ndarray, "channel"]
) -> Int[np.ndarray, "pair 2"]:
    """The channels of highest equivariance with their partners, strongest first.

    >>> strongest_pairs(np.array([0.5, np.nan, 0.9]), np.array([2, -1, 0])).tolist()
    [[2, 0], [0, 2]]
    """
    order = np.argsort(-equivariance, kind="stable")  # NaN comes last
    chosen = order[~np.isnan(equivariance[order]) & (partner[order] >= 0)][:PAIRS]
    return np.stack([chosen, partner[chosen]], axis=1).astype(np.int64)
