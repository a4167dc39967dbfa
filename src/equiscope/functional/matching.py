"""Which channels of one side take the place of which of the other, from a few images, wherever the grids lie."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from equiscope.functional.channel_maps import CONSTANT, TIED

Maps = Float[Tensor, "image channel row column"]

REACH = 2  # positions, in every direction, that one side may be displaced by
FEWEST = 3  # positions along an axis, to compare displaced sides on
CHANNELS = 64  # evenly spaced, from which the displacement is found
MARKED = 0.02  # of the variance: a displacement that explains no more is none


def matched(expected: Maps, found: Maps) -> Int[Tensor, "channel"]:
    """For every channel the expected one that takes its place: of highest correlation, or itself where that is as high.

    The sides are displaced against one another by the few positions that make them agree best, if any do markedly: a
    layer that moves its grid, by an odd padding, would hide which channel is which.

    >>> maps = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    >>> matched(maps, maps.flip(1).roll(1, -1)).tolist()
    [3, 2, 1, 0]
    """
    one, two = _displaced(expected, found, *_displacement(expected, found))
    correlations = _correlations(one, two)
    most, partner = correlations.max(0)
    channels = torch.arange(len(partner), device=partner.device)
    return torch.where(correlations.diagonal() < most - TIED, partner, channels)


def _displacement(expected: Maps, found: Maps) -> tuple[int, int]:
    """By how many positions, down and right, the expected side is moved to agree best; none before some."""
    height, width = found.shape[-2:]
    some = torch.linspace(0, found.shape[1] - 1, min(found.shape[1], CHANNELS)).round().long().to(found.device)
    found = found.index_select(1, some)
    most = [min(REACH, max(size - FEWEST, 0)) for size in (height, width)]
    reach = [range(-far, far + 1) for far in most]
    moves = [(0, 0), *((down, right) for down in reach[0] for right in reach[1] if down or right)]
    explained = [float(_explained(*_displaced(expected, found, *move))) for move in moves]
    best = max(range(len(moves)), key=explained.__getitem__)
    return moves[best] if explained[best] > explained[0] + MARKED else moves[0]


def _explained(expected: Maps, found: Maps) -> Tensor:
    """The share of variance that the best expected channels explain, the mean over found ones."""
    return _correlations(expected, found).amax(0).clamp(min=0).square().mean()


def _displaced(expected: Tensor, found: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    """Both sides where they overlap, with the expected one moved by so many positions."""
    for axis, distance in ((-2, down), (-1, right)):
        size = found.shape[axis] - abs(distance)
        expected = expected.narrow(axis, max(-distance, 0), size)
        found = found.narrow(axis, max(distance, 0), size)
    return expected, found


def _correlations(expected: Maps, found: Maps) -> Float[Tensor, "expected found"]:
    """Of every channel with every other, over all positions of all images; 0 where either is constant."""
    units = []
    for side in (expected, found):
        values = side.transpose(0, 1).flatten(1).double()
        centred = values - values.mean(1, keepdim=True)
        norm = centred.norm(dim=1, keepdim=True)
        units.append(torch.where(norm > CONSTANT * values.norm(dim=1, keepdim=True), centred / norm, 0))
    return units[0] @ units[1].T
