"""Keeps the feature maps of a few images while they are measured, for the eye."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from equiscope.functional.sampling import Sampling
from equiscope.functional.transformations import Family, Transformation
from equiscope.images.batches import same_again
from equiscope.measurement.findings import Findings
from equiscope.measurement.passes import ForwardPasses, in_order
from equiscope.measurement.plan import Plan
from equiscope.measurement.reader import Reader
from equiscope.networks.layers import Layer
from equiscope.results.maps import LayerMaps, Maps
from equiscope.system.progress import Silent

PAIRS = 12  # of a layer, kept large
SMALL, LARGE, PICTURE = 16, 64, 256  # cells or pixels along the longer side, at most
QUARTER_TURN = "rot90"


class MapKeeper:
    """Keeps one layer's maps as they pass by; `kept` is what has come together."""

    def __init__(self, layer: Layer, pairs: Mapping[str, Int[np.ndarray, "pair 2"]]) -> None:
        self.layer, self.pairs = layer, pairs  # by transformation
        self._taken: dict[str, list[tuple[Tensor, ...]]] = {}

    def add(self, maps: Tensor, places: Sequence[int], chosen: Sequence[Transformation], first: bool) -> None:
        """Take in images as they are, then the same under each chosen transformation."""
        original, *transformed = torch.split(maps, len(places))
        for transformation, found in zip(chosen, transformed, strict=True):
            if transformation.name not in self.pairs or self.layer.vector:
                continue
            sampling = transformation.sampling(self.layer.height, self.layer.width, self.layer.stride)
            if sampling is None or not sampling.positions:
                continue
            expected, valid = on_whole_map(sampling, original)
            taken = self._reduced(found, expected, valid, self.pairs[transformation.name])
            self._taken.setdefault(transformation.name, []).append(taken)

    def _reduced(
        self, turned: Tensor, expected: Tensor, valid: Tensor, pairs: Int[np.ndarray, "pair 2"]
    ) -> tuple[Tensor, ...]:
        own, partner = torch.from_numpy(pairs).to(turned.device).unbind(1)
        small = (reduced(side, valid, SMALL) for side in (turned, expected))
        large = (reduced(side, valid, LARGE) for side in (turned[:, own], expected[:, partner]))
        return tuple(part.cpu() for (maps, cells) in (*small, *large) for part in (maps, cells))

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
        transformed=eight_bits(turned, *edges),
        expected=eight_bits(expected, *edges),
        low=low.numpy(),
        high=high.numpy(),
        valid=valid[0].numpy(),
        pairs=pairs,
        transformed_pairs=eight_bits(own, least, most),
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
    sampling = transformation.sampling(layer.height, layer.width, layer.stride)
    return sampling is not None and sampling.positions > 0


def on_whole_map(sampling: Sampling, maps: Tensor) -> tuple[Tensor, Tensor]:
    """`T'_g f(X)` on the whole map, 0 where it is not valid, and 1.0 where it is: `[row, column]`."""
    height, width = sampling.size
    places = torch.arange(float(height * width), device=maps.device).view(1, 1, height, width)
    at = sampling.found(places).flatten().long()
    whole = maps.new_zeros(*maps.shape[:2], height * width)
    whole[..., at] = sampling.expected(maps).flatten(2)
    valid = maps.new_zeros(height * width)
    valid[at] = 1
    return whole.view(*maps.shape[:2], height, width), valid.view(height, width)


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


def kept_maps(
    forward: ForwardPasses, reader: Reader, plan: Plan, findings: Mapping[str, Findings], number: int
) -> Maps:
    """The maps of the first images, by one more forward pass: only now is it known which pairs are the strongest."""
    names = shown_of(plan.families, plan.transformations, plan.found.measured)
    chosen = [one for one in plan.transformations if one.name in names.values()]
    keepers = {layer.name: MapKeeper(layer, _pairs(findings[layer.name], chosen)) for layer in plan.found.measured}
    images = reader.first_images(number)
    if len(images) < number and not same_again(reader.images):
        warnings.warn(
            f"maps={number}: of images that cannot be gone over again only the first batch's are kept, {len(images)}.",
            stacklevel=3,
        )
    forward(in_order([images], forward.images_at_once(chosen)), chosen, keepers, Silent())
    told = getattr(reader.images, "description", None)  # an `ImageSource`'s; others may call anything so
    look = told.get("preprocessing") if isinstance(told, Mapping) else None
    scale = {name: look.get(name) if isinstance(look, Mapping) else None for name in ("mean", "std")}
    return Maps(
        images=pictures(plan.frame.original(images), **scale),
        transformed_images={one.name: pictures(plan.frame.transformed(one, images), **scale) for one in chosen},
        transformations=names,
        layers={
            (name, transformation): of_layer
            for name, keeper in keepers.items()
            for transformation, of_layer in keeper.kept().items()
        },
    )


def _pairs(found: Findings, chosen: Sequence[Transformation]) -> dict[str, Int[np.ndarray, "pair 2"]]:
    """The strongest pairs of a layer, by transformation."""
    pairs = {}
    for one in chosen:
        columns = found.channels.get((one.name, "dataset", "array"))
        if columns is not None and "equivariance" in columns:
            pairs[one.name] = strongest_pairs(columns["equivariance"], columns["partner"])
    return pairs
