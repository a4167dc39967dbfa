"""Where a layer turns: the centre of its own, found from the features of a few images."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from equiscope.functional.channel_maps import pools
from equiscope.functional.moments import Moments
from equiscope.functional.sampling import Axes, identity
from equiscope.functional.transformations import QUARTERS, Transformation
from equiscope.networks.layers import Layer

REACH = 2  # positions, in every direction
FEWEST_IMAGES = 16
FEWEST_POSITIONS = 3  # along an axis, to compare moves on
HALF_TURN = QUARTERS[1]
MOVES = range(-REACH, REACH + 1)

Offset = tuple[float, float]  # positions down and right


@dataclass
class LayerRegistration:
    """Invariance over all images of one layer, under each transformation and each move of the expected map.

    The transformations that are gone through are those that are `sought`. It is Pearson's, whatever the scores'
    similarity: a centre is where things lie, and a mean lies nowhere.
    """

    layer: Layer
    transformations: Sequence[Transformation]
    device: torch.device
    _sums: dict[tuple[str, int, int], Moments] = field(default_factory=dict)

    def add(self, maps: Tensor, places: Sequence[int], chosen: Sequence[Transformation], first: bool) -> Tensor:
        """Take in a forward pass over images as they are, then under each chosen transformation."""
        if self.layer.vector:
            return maps.sum()
        images = len(places)
        for number, transformation in enumerate(chosen, start=1):
            transformed = maps[images * number : images * (number + 1)]
            sampling = transformation.sampling(self.layer.height, self.layer.width, self.layer.stride)
            if isinstance(sampling, Axes):
                for down in MOVES:
                    for right in MOVES:
                        key = (transformation.name, down, right)
                        self._add_moved(key, sampling.moved(down, right), transformed, maps[:images])
        return maps.sum()

    def _add_moved(self, key: tuple[str, int, int], sampling: Axes, transformed: Tensor, original: Tensor) -> None:
        expected, found = _compared(sampling, original, transformed)
        if not found.numel():
            return
        positions = found.shape[-2] * found.shape[-1]
        if key not in self._sums:
            self._sums[key] = Moments.empty(self.layer.channels, positions, cross=None, device=self.device)
        moments = self._sums[key]
        whole = identity(*found.shape[-2:])
        other = moments.expected.add(0, expected, whole, expected.new_empty(expected.numel()))
        moments.found.add(0, found, whole, found.new_empty(found.numel()), own=moments.own[0], other=other)

    def offsets(self) -> dict[str, Offset | None]:
        """For each transformation the move that makes the layer most invariant; None where nothing is defined."""
        if self.layer.vector:
            return {}
        found = {one.name: self._offset(one.name) for one in sought(self.transformations)}
        return {one.name: found[one.name] if one.name in found else self._about_centre(one, found[HALF_TURN.name])
                for one in self.transformations}  # fmt: skip

    def _about_centre(self, transformation: Transformation, half_turn: Offset | None) -> Offset | None:
        """The move that takes the centre of the layer, told by a half turn, back to where it was."""
        if half_turn is None or transformation.map is None:
            return None
        stride = self.layer.stride or (1, 1)
        map = transformation.map.in_positions((float(stride[0]), float(stride[1])))
        centre = half_turn[0] / 2, half_turn[1] / 2  # a half turn takes it as far to the other side
        down, right = replace(map, move=(0.0, 0.0)).of(centre)
        return centre[0] - down, centre[1] - right

    def _offset(self, name: str) -> Offset | None:
        scores = torch.full((len(MOVES), len(MOVES)), torch.nan, dtype=torch.float64)
        for (transformation, down, right), moments in self._sums.items():
            if transformation == name:
                similarity = pools(moments, [(0,)])[0].own.clamp(min=0)
                scores[down + REACH, right + REACH] = similarity.nanmean()
        if scores.isnan().all():
            return None
        best = int(scores.nan_to_num(nan=-1.0).argmax())
        row, column = divmod(best, len(MOVES))
        found = (
            MOVES[row] + _vertex(scores[:, column], row),
            MOVES[column] + _vertex(scores[row], column),
        )
        if row in (0, len(MOVES) - 1) or column in (0, len(MOVES) - 1):
            warnings.warn(
                f"Layer {self.layer.name} under {name} fits best when moved by ({MOVES[row]}, {MOVES[column]}) "
                "positions, the edge of the search; its own centre may lie further off.",
                stacklevel=2,
            )
        return found


def sought(transformations: Sequence[Transformation]) -> list[Transformation]:
    """The transformations whose moves are searched for: those that move positions to others.

    Others act about the same centre, which a half turn tells.
    """
    found = [one for one in transformations if one.rearranges]
    asked = len(found) == len(transformations) or HALF_TURN.name in [one.name for one in found]
    return found if asked else [*found, HALF_TURN]


def _compared(sampling: Axes, original: Tensor, transformed: Tensor) -> tuple[Tensor, Tensor]:
    """Both sides at the positions to compare.

    They are the positions that are valid under every move, lest moves that leave out the border look better for it; on
    a map too small for that, those valid under this move.
    """
    height, width = sampling.size
    expected = sampling.expected(original)
    if min(height, width) < FEWEST_POSITIONS + 2 * REACH:
        return expected, sampling.found(transformed)
    inner = slice(REACH, height - REACH), slice(REACH, width - REACH)
    starts = sampling.rows.valid.start, sampling.columns.valid.start
    rows, columns = (slice(at.start - start, at.stop - start) for at, start in zip(inner, starts, strict=True))
    return expected[..., rows, columns], transformed[..., inner[0], inner[1]]


def _vertex(scores: Tensor, best: int) -> float:
    """Where the parabola through the best score and its two neighbours is highest, within half a position of the best.

    >>> round(_vertex(torch.tensor([0.0, 0.8, 1.0, 0.4, 0.0]), 2), 3)
    -0.25
    """
    if not 0 < best < len(scores) - 1:
        return 0.0
    before, here, after = scores[best - 1 : best + 2].tolist()
    bend = before - 2 * here + after
    if not bend < 0:  # flat, or a neighbour is undefined
        return 0.0
    return float(min(max((before - after) / (2 * bend), -0.5), 0.5))


def registration_count(images: int, asked: int) -> int:
    """How many of so many images to register on: as asked, but half of fewer than twice as many.

    ValueError where there are fewer than 16.
    """
    if images < FEWEST_IMAGES:
        raise ValueError(f"Registration needs at least {FEWEST_IMAGES} images, and there are {images}.")
    return min(asked, images // 2)
