"""Which positions of a tensor answer to which place of the image: what shapes do not tell of an order, a change tells.

Small patches of an image of noise are changed one at a time. The position that stands for a patch answers to it more
than to the other patches, also where every position answers to all of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from equiscope.networks.allowance import Allowance, Stopwatch
from equiscope.networks.features import Source, called, reading
from equiscope.networks.growth import Candidates, Laid
from equiscope.networks.layout import Grid, Layout, orders, token_of_position
from equiscope.networks.state import left_as_found

# Where patches lie, as shares of the height and the width: none the other's mirror image, none at a corner, which many
# an order leaves where it is. Two more are the last before the middle of all patches, row by row, and the first after.
_PLACES = ((0.1, 0.35), (0.2, 0.8), (0.35, 0.1), (0.4, 0.6), (0.65, 0.3), (0.75, 0.9), (0.9, 0.55))
_PIXELS_AT_ONCE = 10 * 224**2  # of the images in a forward pass
_TELLING = 0.1  # of what a position could single a patch out by, above chance; less is no answer
_AGREES = 0.7  # of what the best positions single patches out by; an order that is wrong leaves few in their place
_SURE = 0.9  # no other order is tried then
_TIED = 0.05
_CLEAR, _ASTRAY = 0.5, 0.25  # a patch that a position singles out so clearly, and its own one not by this much of it
_SLIGHT = 0.05  # part of a pixel's value; it makes no token be chosen in place of another
CHOSEN = "its tokens are chosen by their values: small changes of some patches of the image reach none of them"
_BY_ITSELF = 0.01  # of what a patch changes, what may change without one
_APART = 0.15  # of rows and columns from columns and rows; a table of tokens by tokens has both alike


@dataclass(frozen=True)
class Patches:
    """Squares of an image, by their upper left corners."""

    image: Grid
    side: int
    corners: tuple[Grid, ...]

    def positions(self, grid: Grid) -> list[Grid]:
        """The position of a grid over the image in which each patch has its centre."""
        return [
            tuple(  # type: ignore[misc]  # of two
                min(int((corner + self.side / 2) * count / pixels), count - 1)
                for corner, count, pixels in zip(corners, grid, self.image, strict=True)
            )
            for corners in self.corners
        ]


def patches_of(image: Grid, side: int) -> Patches:
    """Patches of so many pixels, on a grid of them, all different."""
    rows, columns = max(image[0] // side, 1), max(image[1] // side, 1)
    places = [(int(rows * down), int(columns * right)) for down, right in _PLACES]
    places += [(max(rows // 2 - 1, 0), columns - 1), (rows // 2, 0)]
    return Patches(image, side, tuple((row * side, column * side) for row, column in dict.fromkeys(places)))


Answers = Mapping[tuple[int, int], Tensor]  # [patch, position], by the axes that hold images and channels


def answers(
    model: nn.Module,
    image_shape: tuple[int, int, int],
    sources: Mapping[str, tuple[Source, Sequence[Laid]]],
    patches: Patches,
    allowance: Allowance,
) -> dict[str, Answers] | None:
    """How much the positions of tensors change with each patch: squares, summed over channels.

    A tensor is missing where the network fails or is random, or gives it not for every image; it has no answers where
    its tokens are chosen by their values. None where all patches would take longer than is allowed, by how long the
    first takes.
    """
    listener = _Listener(sources)
    wanted = {name: source for name, (source, _) in sources.items()}
    try:
        with left_as_found(model), reading(model, wanted, listener.receive):
            for batch in _changed(model, image_shape, patches):
                watch, listener.slight = Stopwatch(), batch.slight
                called(model, batch.images)
                if not allowance.allows(watch.seconds / len(batch.images) * batch.later):
                    return None
    except Exception:  # noqa: BLE001 -- whatever a network raises, it raises again where it is measured
        return {}
    return listener.of_all(len(patches.corners))


class _Listener:
    """Takes in how much the positions of tensors change."""

    def __init__(self, sources: Mapping[str, tuple[Source, Sequence[Laid]]]) -> None:
        self._axes = {name: {_axes(its) for its, _ in laid} for name, (_, laid) in sources.items()}
        self._tokens = {name for name, (_, laid) in sources.items() if laid[0][0].kind == "tokens"}
        self._found: dict[str, dict[tuple[int, int], list[Tensor]]] = {name: {} for name in sources}
        self._silent: dict[str, list[bool]] = {name: [] for name in sources}  # by slight changes
        self.slight = False

    def receive(self, name: str, features: Tensor) -> None:
        if not features.is_floating_point():
            return
        for axes in self._axes[name]:
            its = features.movedim(axes[0], 0)
            its = its.flatten(1, -3) if its.ndim > 4 else its
            squares = (its[1:].float() - its[:1].float()).square().sum(axes[1]).flatten(1)
            by_itself, *by_patch = squares.sum(1).tolist()
            if self.slight:
                off = bool((its[:1] == 0).all(axes[1]).any())  # a position of zeros, as behind a ReLU, is silent too
                self._silent[name] = [] if off else [one <= by_itself for one in by_patch]
            elif by_itself <= _BY_ITSELF * sum(by_patch) / len(by_patch):  # else the network is random
                self._found[name].setdefault(axes, []).append(squares[1:].cpu())

    def of_all(self, count: int) -> dict[str, Answers]:
        """The answers of those tensors that have some to each of so many patches; none where tokens are chosen."""
        found: dict[str, Answers] = {}
        for name, by_axes in self._found.items():
            joined = {axes: torch.cat(parts) for axes, parts in by_axes.items()}
            if joined and all(len(one) == count for one in joined.values()):
                silent = self._silent[name]
                chosen = name in self._tokens and not all(silent) and 3 * sum(silent) >= max(len(silent), 1)
                found[name] = {} if chosen else joined
        return found


def _axes(its: Layout) -> tuple[int, int]:
    """The axis of the images, and that of the channels once the images are on the first."""
    if its.kind == "tokens":
        return its.image_axis, 1 if its.channels_first else 2
    return its.image_axis, 3 if its.kind == "nhwc" else 1


class _Batch(NamedTuple):
    """The image as it is, twice, and with patches changed, one at a time."""

    images: Tensor
    later: int  # how many images come in later batches
    slight: bool = False  # the changes are small, and of parts of the patches


def _changed(model: nn.Module, image_shape: tuple[int, int, int], patches: Patches) -> Iterator[_Batch]:
    """Batches of changes; the first is of one patch, to see how long that takes, the last of slight ones."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, *image_shape, generator=generator)
    parameter = next((one for one in model.parameters() if one.is_floating_point()), None)
    changed, slightly = [], []
    for top, left in patches.corners:
        other, nearly = image.clone(), image.clone()
        window = other[..., top : top + patches.side, left : left + patches.side]
        window.copy_(2 * torch.randn(window.shape, generator=generator))
        changed.append(other)
        half = max(1, patches.side // 2)
        nearly[..., top : top + half, left : left + half] *= 1 + _SLIGHT
        slightly.append(nearly)
    at_once = max(1, _PIXELS_AT_ONCE // (image_shape[1] * image_shape[2]) - 2)
    groups = [changed[:1], *(changed[first : first + at_once] for first in range(1, len(changed), at_once))]
    groups.append(slightly[:at_once])
    for place, group in enumerate(groups):
        batch = torch.cat([image, image, *group])
        later = sum(2 + len(other) for other in groups[place + 1 :])
        placed = batch if parameter is None else batch.to(parameter.device, parameter.dtype)
        yield _Batch(placed, later, slight=place == len(groups) - 1)


@dataclass(frozen=True)
class Verdict:
    """What a tensor's answers say of its layout: which one it is, or that it is none of the candidates."""

    laid: Laid | None
    reason: str = ""


def verdict(candidates: Candidates, of_tensor: Answers, patches: Patches) -> Verdict | None:
    """The candidate that agrees with how a tensor answers, of tokens in whatever order; None where they say nothing."""
    if not of_tensor:
        return Verdict(None, CHOSEN)
    shares = {axes: _shares(squares) for axes, squares in of_tensor.items()}

    def agreement(its: Layout) -> float | None:
        return _agreement(its, shares[_axes(its)], patches)

    laid = list(candidates.laid)
    first = agreement(laid[0][0])
    found = [first, *(agreement(its) for its, _ in laid[1:])]
    if max((one for one in found if one is not None), default=0.0) < _SURE:
        rolled = [(other, stride) for its, stride in laid if its.kind == "tokens" for other in orders(its)[1:]]
        laid, found = laid + rolled, found + [agreement(its) for its, _ in rolled]
    best = max((one for one in found if one is not None), default=-1.0)
    tied = [one for one, its in zip(laid, found, strict=True) if its is not None and its >= best - _TIED]
    if tied and tied[0][0].kind != "tokens":
        across = [one for one, (its, _) in zip(found, laid, strict=True) if one is not None and its != tied[0][0]]
        if best - max(across, default=0.0) >= _APART:
            return Verdict(tied[0])
    elif tied and best >= _AGREES:
        likely = tied[0] in candidates.laid[: max(candidates.declared, 1)]
        same = len({tuple(token_of_position(its).tolist()) for its, _ in tied}) == 1
        return Verdict(tied[0]) if likely or same else None
    return None if first is None else Verdict(None)


def _shares(squares: Tensor) -> tuple[Tensor, list[int]] | None:
    """Of each position's answers, those to each patch that is answered, and which these are.

    A patch that all answer to more than to others counts no more than these. None where an answer is not finite.
    """
    totals = squares.sum(1, keepdim=True)
    if not torch.isfinite(totals).all():
        return None
    answered = totals.flatten().nonzero().flatten().tolist()  # others reach none: tokens are left out on the way
    shares = squares[answered] / totals[answered]
    return shares / shares.sum(0).clamp_min(torch.finfo(shares.dtype).tiny), answered


def _agreement(its: Layout, found: tuple[Tensor, list[int]] | None, patches: Patches) -> float | None:
    """How far the positions that stand for the patches single them out: 0 by chance, 1 as well as any position does.

    It is 0 as well where a patch is clearly singled out, but not by its own position.
    None where no position singles out a patch, or there are no three to be told apart.
    """
    shares, answered = found if found is not None else (torch.empty(0), [])
    positions = patches.positions(its.grid)
    cells = [positions[patch] for patch in answered]
    distinct = list(dict.fromkeys(cells))
    if len(distinct) < 3:
        return None
    where = _places(its)
    of_cell = torch.stack([shares[[cell == one for one in cells]].sum(0) for cell in distinct])  # [cell, position]
    chance = 1 / len(distinct)
    most = of_cell.max(1).values.mean().item() - chance
    if most < _TELLING * (1 - chance):
        return None
    own = torch.stack([of_cell[place, where(*cell)] for place, cell in enumerate(distinct)]) - chance
    best = of_cell.max(1).values - chance
    # A position at the border may answer to a patch nearby that no other patch is as near to.
    near = torch.stack([of_cell[place, _around(cell, its.grid, where)].max() for place, cell in enumerate(distinct)])
    near = near - chance
    if bool(((best >= _CLEAR * (1 - chance)) & (near < _ASTRAY * best)).any()):
        return 0.0  # other orders may have most of the patches in their place, and not all
    return own.mean().item() / most


def _around(cell: Grid, grid: Grid, where: Callable[[int, int], int]) -> list[int]:
    """A position and its neighbours, among a tensor's positions."""
    rows, columns = (range(max(place - 1, 0), min(place + 2, count)) for place, count in zip(cell, grid, strict=True))
    return [where(row, column) for row in rows for column in columns]


def _places(its: Layout) -> Callable[[int, int], int]:
    """Where a row and a column of the grid lie among a tensor's positions."""
    rows, columns = its.grid
    if its.kind == "tokens":
        tokens = token_of_position(its)
        return lambda row, column: int(tokens[row * columns + column])
    if its.columns_first:
        return lambda row, column: column * rows + row
    return lambda row, column: row * columns + column


def side_of(grid: Grid, image: Grid) -> int:
    """The side of a patch that is one position of a grid over the image; a pixel at least."""
    return max(1, round(min(pixels / positions for pixels, positions in zip(image, grid, strict=True))))
