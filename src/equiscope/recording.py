"""What happens to a layer's features as they pass by: they are moved, matched, and remembered as scores."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from equiscope.functional.similarity import Side, side
from equiscope.functional.transformations import Transformation
from equiscope.models.layers import Layer
from equiscope.streaming import ChannelSpread, PairMemory


class LayerRecord:
    """The memory of one layer: per transformation the pairs that belong together and, for chance, those that do not."""

    def __init__(
        self,
        layer: Layer,
        transformations: Sequence[Transformation],
        *,
        similarity: str,
        negative: str,
        strict: bool,
        chance: bool,
        groups: int,
        device: torch.device,
    ) -> None:
        def memory(sets: int) -> PairMemory:
            return PairMemory(sets, layer.channels, negative=negative, strict=strict, device=device)

        self.layer = layer
        self.similarity, self.strict, self.groups = similarity, strict, groups
        self.matched = {transformation.name: memory(groups) for transformation in transformations}
        self.mismatched = {transformation.name: memory(1) for transformation in transformations} if chance else {}
        self.spread = ChannelSpread(layer.channels, device)
        self._last: Tensor | None = None  # the maps of the image before these
        self._newest: Tensor | None = None

    def add(self, features: Tensor, images: int, start: int, chosen: Sequence[Transformation], first: bool) -> None:
        """Take in one forward pass: `images` as they are, then the same under each chosen transformation.

        `start` is the first image's place in the data set; `first` says that this is their first forward pass.
        """
        maps = self.layer.maps(features).float()
        if len(maps) != images * (1 + len(chosen)):
            raise ValueError(
                f"Layer {self.layer.name} gave features for {len(maps)} images where the network was given "
                f"{images * (1 + len(chosen))}; its first axis is not the image."
            )
        _check_finite(self.layer, maps, images, start)
        still, turned = maps[:images], maps[images:].unflatten(0, (len(chosen), images))
        if first:
            self.spread.add(side(still.flatten(-2)))
            self._newest = still[-1:].clone()
        before = self._last if self.mismatched else None
        expected = still if before is None else torch.cat([before, still])
        for transformation, these in zip(chosen, turned, strict=True):
            self._match(transformation, these, expected, still, start)

    def next_images(self) -> None:
        """Make the last of these images the one before the next."""
        self._last = self._newest

    def _match(
        self,
        transformation: Transformation,
        turned: Float[Tensor, "image channel row column"],
        still_with_last: Float[Tensor, "more channel row column"],
        still: Float[Tensor, "image channel row column"],
        start: int,
    ) -> None:
        images, lead = len(turned), len(still_with_last) - len(turned)
        matched, mismatched = self.matched[transformation.name], self.mismatched.get(transformation.name)
        groups = [(start + image) % self.groups for image in range(images)]
        pairs = images if lead else images - 1  # pairs of images that do not belong together
        action = (still_with_last, None) if self.layer.vector else transformation.on_cells(
            still_with_last, self.layer.stride
        )  # fmt: skip
        own = turned_own = None
        if self.strict and action is not None:
            turned_own = side(turned.flatten(-2), self.similarity)
            own = side(still_with_last.flatten(-2), self.similarity)
        cells = None if action is None else _valid_cells(self.layer, transformation, turned, *action)
        if cells is None or not cells[0].shape[-1]:
            matched.add_nothing(groups, _pair(turned_own, own, slice(lead, None)))
            if mismatched is not None and pairs:
                mismatched.add_nothing([0] * pairs, _pair(turned_own, own, slice(-pairs - 1, -1), -pairs))
            return
        turned_side, expected_side = (side(values, self.similarity) for values in cells)
        matched.add(turned_side, expected_side[lead:], groups, _pair(turned_own, own, slice(lead, None)))
        if mismatched is not None and pairs:
            others = slice(-pairs - 1, -1)
            mismatched.add(
                turned_side[-pairs:], expected_side[others], [0] * pairs, _pair(turned_own, own, others, -pairs)
            )


def _pair(turned: Side | None, still: Side | None, others: slice, start: int = 0) -> tuple[Side, Side] | None:
    return None if turned is None or still is None else (turned[start:], still[others])


def _valid_cells(
    layer: Layer, transformation: Transformation, turned: Tensor, expected: Tensor, valid: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Both sides' values at the valid cells, `[image, channel, cell]`."""
    if turned.shape[1:] != expected.shape[1:]:
        given, needed = (" x ".join(str(size) for size in maps.shape[1:]) for maps in (expected, turned))
        raise ValueError(
            f"Under {transformation.name}, layer {layer.name} is expected to give maps of {given} and gives {needed}; "
            "its maps must be square, or the transformation's action on cells must keep their shape."
        )
    if valid is None:
        return turned.flatten(-2), expected.flatten(-2)
    rows, columns = valid.any(1).nonzero()[:, 0], valid.any(0).nonzero()[:, 0]
    if len(rows) and int(valid.sum()) == len(rows) * len(columns) and _run(rows) and _run(columns):
        window = (..., slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        return turned[window].flatten(-2), expected[window].flatten(-2)
    chosen = valid.to(turned.device)
    return turned[..., chosen], expected[..., chosen]


def _run(places: Tensor) -> bool:
    return int(places[-1]) - int(places[0]) + 1 == len(places)


def _check_finite(layer: Layer, maps: Tensor, images: int, start: int) -> None:
    if not maps.sum().isfinite() and not maps.isfinite().all():
        bad = (~maps.flatten(1).isfinite().all(1)).nonzero()[0].item()
        raise ValueError(
            f"Layer {layer.name} gives NaN or infinity for image {start + int(bad) % images} (counted from 0); "
            "check the network's weights and the images' preprocessing."
        )
