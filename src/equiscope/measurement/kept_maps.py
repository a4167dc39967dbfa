"""Keeps the feature maps of a few images while they are measured, for the eye."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from equiscope.functional.sampling import Sampling, on_whole_map
from equiscope.functional.transformations import Family, Transformation
from equiscope.functional.within_image import CONSTANT
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


@dataclass(frozen=True)
class Partners:
    """Each channel's partner under a transformation, -1 where it has none, and the strongest pairs among them."""

    of_channels: Int[np.ndarray, "channel"]
    strongest: Int[np.ndarray, "pair 2"]


class MapKeeper:
    """Keeps one layer's feature maps as they pass by; `kept` is what has come together."""

    def __init__(self, layer: Layer, partners: Mapping[str, Partners], similarity: str) -> None:
        self.layer, self.partners, self.similarity = layer, partners, similarity  # partners by transformation
        self._batches: dict[str, list[_Batch]] = {}

    def add(self, maps: Tensor, places: Sequence[int], chosen: Sequence[Transformation], first: bool) -> None:
        """Take in images as they are, then the same under each chosen transformation."""
        original, *transformed = torch.split(maps, len(places))
        for transformation, found in zip(chosen, transformed, strict=True):
            if transformation.name not in self.partners or self.layer.vector:
                continue
            sampling = transformation.sampling(self.layer.height, self.layer.width, self.layer.stride)
            if sampling is None or not sampling.positions:
                continue
            batch = _batch(original, found, sampling, self.partners[transformation.name], self.similarity)
            self._batches.setdefault(transformation.name, []).append(batch)

    def kept(self) -> dict[str, LayerMaps]:
        """The layer's maps by transformation; none where it cannot take one."""
        return {name: _in_eight_bits(batches, self.partners[name].strongest) for name, batches in self._batches.items()}


@dataclass(frozen=True)
class _Batch:
    """What is kept of some images: `f(X)`, `f(T_g X)` and `T'_g f(X)`, and similarities."""

    small: Float[Tensor, "3 image channel row column"]
    valid: Bool[Tensor, "row column"]
    large: Float[Tensor, "3 image pair high wide"]
    valid_pairs: Bool[Tensor, "high wide"]
    own_similarity: Float[Tensor, "image channel"]
    partner_similarity: Float[Tensor, "image channel"]


def _batch(original: Tensor, found: Tensor, sampling: Sampling, partners: Partners, similarity: str) -> _Batch:
    expected, valid = on_whole_map(sampling, original)
    channel, partner = torch.from_numpy(partners.strongest).to(found.device).unbind(1)
    everywhere = torch.ones_like(valid)
    sides = ((original, everywhere), (found, valid), (expected, valid))
    pairs = ((original[:, partner], everywhere), (found[:, channel], valid), (expected[:, partner], valid))
    small = [reduced(maps, where, SMALL) for maps, where in sides]
    large = [reduced(maps, where, LARGE) for maps, where in pairs]
    at_valid, as_expected = sampling.found(found).flatten(2), sampling.expected(original).flatten(2)
    of_channels = torch.from_numpy(partners.of_channels).to(found.device)
    by_partner = similarities(at_valid, as_expected[:, of_channels.clamp(min=0)], similarity)
    return _Batch(
        torch.stack([maps for maps, _ in small]).cpu(),
        small[1][1][0].cpu(),
        torch.stack([maps for maps, _ in large]).cpu(),
        large[1][1][0].cpu(),
        similarities(at_valid, as_expected, similarity).cpu(),
        by_partner.masked_fill(of_channels < 0, torch.nan).cpu(),
    )


def similarities(
    one: Float[Tensor, "image channel position"], other: Float[Tensor, "image channel position"], similarity: str
) -> Float[Tensor, "image channel"]:
    """The similarity of two maps of each channel in each image; NaN where either is constant (cosine: zero).

    >>> similarities(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[[5.0, 7.0, 9.0]]]), "pearson").tolist()
    [[1.0]]
    """
    one, other = one.double(), other.double()
    sizes = one.norm(dim=-1), other.norm(dim=-1)
    if similarity == "pearson":
        one, other = one - one.mean(-1, keepdim=True), other - other.mean(-1, keepdim=True)
    norms = one.norm(dim=-1), other.norm(dim=-1)
    constant = (norms[0] <= CONSTANT * sizes[0]) | (norms[1] <= CONSTANT * sizes[1])
    found: Tensor = (one * other).sum(-1) / (norms[0] * norms[1])
    return found.clamp(-1, 1).masked_fill(constant, torch.nan).float()


def _in_eight_bits(batches: Sequence[_Batch], pairs: Int[np.ndarray, "pair 2"]) -> LayerMaps:
    valid, valid_pairs = batches[0].valid, batches[0].valid_pairs
    small = torch.cat([batch.small for batch in batches], dim=1)
    large = torch.cat([batch.large for batch in batches], dim=1)
    low, high = _edges(small, valid, (0, 1, 3))
    original, transformed, expected = (eight_bits(maps, low[:, None, None], high[:, None, None]) for maps in small)
    edges = [edge[..., None, None] for edge in _edges(large, valid_pairs, (0, 3))]
    original_pairs, transformed_pairs, expected_pairs = (eight_bits(maps, *edges) for maps in large)
    return LayerMaps(
        original=original,
        transformed=transformed,
        expected=expected,
        low=low.numpy(),
        high=high.numpy(),
        valid=valid.numpy(),
        own_similarity=torch.cat([batch.own_similarity for batch in batches]).numpy(),
        partner_similarity=torch.cat([batch.partner_similarity for batch in batches]).numpy(),
        pairs=pairs,
        original_pairs=original_pairs,
        transformed_pairs=transformed_pairs,
        expected_pairs=expected_pairs,
        valid_pairs=valid_pairs.numpy(),
    )


def _edges(sides: Tensor, valid: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The least and the most of `f(X)`, and of the other two sides where they are valid.

    `sides` are `[side, image, channel, row, column]`, and `over` dimensions of that with one of positions for two.
    """
    original, others = sides[:1].flatten(3), sides[1:][..., valid]
    return torch.minimum(original.amin(over), others.amin(over)), torch.maximum(original.amax(over), others.amax(over))


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
    forward: ForwardPasses, reader: Reader, plan: Plan, findings: Mapping[str, Findings], similarity: str, number: int
) -> Maps:
    """The maps of the first images, by one more forward pass: only now is it known which pairs are the strongest."""
    names = shown_of(plan.families, plan.transformations, plan.found.measured)
    chosen = [one for one in plan.transformations if one.name in names.values()]
    keepers = {
        layer.name: MapKeeper(layer, _partners(findings[layer.name], chosen), similarity)
        for layer in plan.found.measured
    }
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


def _partners(found: Findings, chosen: Sequence[Transformation]) -> dict[str, Partners]:
    """The partners of a layer's channels, by transformation."""
    partners = {}
    for one in chosen:
        columns = found.channels.get((one.name, "dataset", "array"))
        if columns is not None and "equivariance" in columns:
            of_channels = columns["partner"].astype(np.int64)
            partners[one.name] = Partners(of_channels, strongest_pairs(columns["equivariance"], of_channels))
    return partners
