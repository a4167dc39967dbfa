"""Where a layer turns: the centre of its own, found from the features of a few images."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from equiscope.functional.similarity import own_products, side
from equiscope.functional.statistics import defined_mean
from equiscope.functional.transformations import Transformation, about
from equiscope.measurement.layer_record import valid_cells
from equiscope.measurement.streaming import PairSums
from equiscope.networks.layers import Layer

REACH = 2  # cells, in every direction
FEWEST_IMAGES = 16
FEWEST_CELLS = 3  # along an axis, to compare moves on
MOVES = range(-REACH, REACH + 1)

Offset = tuple[float, float]  # cells down and right


@dataclass
class LayerRegistration:
    """Invariance over all images of one layer, under each transformation and each move of the expected map.

    It is Pearson's, whatever the scores' similarity: a centre is where things lie, and a mean lies nowhere.
    """

    layer: Layer
    transformations: Sequence[Transformation]
    device: torch.device
    _sums: dict[tuple[str, int, int], PairSums] = field(default_factory=dict)

    def add(self, maps: Tensor, images: int, start: int, chosen: Sequence[Transformation], first: bool) -> None:
        """Take in one forward pass: `images` as they are, then the same under each chosen transformation."""
        if self.layer.vector:
            return
        for number, transformation in enumerate(chosen, start=1):
            turned = maps[images * number : images * (number + 1)]
            for down in MOVES:
                for right in MOVES:
                    self._add_moved(transformation, turned, maps[:images], down, right)

    def next_images(self) -> None:
        """Nothing is kept from image to image."""

    def _add_moved(self, transformation: Transformation, turned: Tensor, still: Tensor, down: int, right: int) -> None:
        action = about(transformation, (down, right)).on_cells(still, self.layer.stride)
        if action is None:
            return
        cells = valid_cells(self.layer, transformation, turned, action[0], _compared(turned.shape[-2:], action[1]))
        if not cells[0][0, 0].numel():
            return
        key = (transformation.name, down, right)
        if key not in self._sums:
            self._sums[key] = PairSums(1, self.layer.channels, own=True, device=self.device)
        sides = (side(cells[0]), side(cells[1]))
        self._sums[key].product[0] += own_products(*sides).sum(0)
        self._sums[key].add(sides[0].centring, sides[1].centring, range(len(turned)))

    def offsets(self) -> dict[str, Offset | None]:
        """For each transformation the move that makes the layer most invariant; None where nothing is defined."""
        if self.layer.vector:
            return {}
        return {transformation.name: self._offset(transformation.name) for transformation in self.transformations}

    def _offset(self, name: str) -> Offset | None:
        scores = torch.full((len(MOVES), len(MOVES)), torch.nan, dtype=torch.float64)
        for (transformation, down, right), sums in self._sums.items():
            if transformation == name:
                similarity = sums.own_similarities("clip")[0]
                scores[down + REACH, right + REACH] = defined_mean(similarity)[0]
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
                f"Layer {self.layer.name} under {name} fits best when moved by ({MOVES[row]}, {MOVES[column]}) cells, "
                "the edge of the search; its own centre may lie further off.",
                stacklevel=2,
            )
        return found


def _compared(grid: Sequence[int], valid: Tensor | None) -> Tensor | None:
    """The cells to compare: those valid under every move, lest moves that leave out the border look better for it.

    On a grid too small for that, those valid under this move.
    """
    if min(grid) < FEWEST_CELLS + 2 * REACH:
        return valid
    inner = torch.zeros(*grid, dtype=torch.bool)
    inner[REACH:-REACH, REACH:-REACH] = True
    return inner if valid is None else inner & valid


def _vertex(scores: Tensor, best: int) -> float:
    """Where the parabola through the best score and its two neighbours is highest, from the best, within half a cell.

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
