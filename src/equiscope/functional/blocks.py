"""One side of some images, taken in: less its origin, channel by channel, with what it adds to the sums.

On a CPU this is one loop, compiled by numba: each value is read once, where torch's operations would go over memory six
times. Elsewhere, and where numba cannot keep what it compiles, torch's operations do the same.
"""

import inspect
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float
from numba.extending import register_jitable
from torch import Tensor

from equiscope.functional.sampling import Axes, Sampling, identity

Block = Float[Tensor, "channel image position"]
# Sums may be taken in any order, which is what the vector units of a processor need; NaN and infinity stay.
REORDERED = {"reassoc", "contract", "arcp", "nsz"}
PIECE = 1024  # values whose sum is in float32; sums of these are in float64
WORTH_THREADS = 2**15  # values


@dataclass(frozen=True)
class Sums:
    """What the values of one side are added to, channel by channel, in float64."""

    total: Float[Tensor, "channel"]
    square: Float[Tensor, "channel"]
    maps: Float[Tensor, "channel position"]  # over images
    own: Float[Tensor, "channel"] | None = None  # products with the same channel of the other side


def taken_in(
    maps: Float[Tensor, "image channel row column"],
    sampling: Sampling,
    room: Float[Tensor, "value"],
    sums: Sums,
    *,
    pilot: Float[Tensor, "channel"],
    scale: float = 1.0,
    other: Block | None = None,
) -> Block:
    """The values that a sampling gives, less `pilot`, times `scale`, written into `room`, and added to `sums`.

    >>> from equiscope.functional.sampling import identity
    >>> sums = Sums(*torch.zeros(2, 1, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64))
    >>> maps = torch.tensor([[[[1.0, 3.0]]]])
    >>> taken_in(maps, identity(1, 2), torch.empty(2), sums, pilot=torch.tensor([1.0])).tolist()
    [[[0.0, 2.0]]]
    >>> sums.total.tolist(), sums.square.tolist(), sums.maps.tolist()
    ([2.0], [4.0], [[0.0, 2.0]])
    """
    if maps.device.type == "cpu" and maps.dtype == torch.float32:
        return _by_loop(maps, sampling, room, sums, pilot, scale, other)
    return by_operations(maps, sampling, room, sums, pilot=pilot, scale=scale, other=other)


def by_operations(
    maps: Tensor, sampling: Sampling, room: Tensor, sums: Sums, *, pilot: Tensor, scale: float, other: Block | None
) -> Block:
    """The same by torch's operations."""
    values = sampling.expected(maps)
    images, channels, rows, columns = values.shape
    block = room[: values.numel()].view(channels, images, rows, columns)
    torch.sub(values.transpose(0, 1), pilot[:, None, None, None], out=block)
    if scale != 1:
        block.mul_(scale)
    flat = block.flatten(2)
    added = flat.sum(1).to(sums.maps.device)
    sums.maps.add_(added)
    sums.total.add_(added.sum(-1, dtype=torch.float64))
    sums.square.add_((flat * flat).flatten(1).sum(-1).to(sums.square))
    if sums.own is not None and other is not None:
        sums.own.add_((flat * other).flatten(1).sum(-1).to(sums.own))
    return flat


def _by_loop(
    maps: Tensor, sampling: Sampling, room: Tensor, sums: Sums, pilot: Tensor, scale: float, other: Block | None
) -> Block:
    if not isinstance(sampling, Axes):
        maps = sampling.expected(maps)
        sampling = identity(maps.shape[-2], maps.shape[-1])
    layout, weights = sampling.strided(maps.stride())
    images, channels = maps.shape[:2]
    block = room[: channels * images * sampling.positions].view(channels, images, sampling.positions)
    # All the memory that the maps lie in.
    flat = maps.as_strided((maps.untyped_storage().nbytes() // maps.element_size(),), (1,), 0)
    layout[0] += int(maps.storage_offset())
    paired = block if other is None else other
    own = np.zeros(channels) if sums.own is None else sums.own.numpy()
    given = (
        flat.numpy(), np.array(layout), np.array([*weights, scale], np.float32), pilot.float().numpy(), block.numpy(),
        paired.numpy(), sums.total.numpy(), sums.square.numpy(), sums.maps.numpy(), own,
    )  # fmt: skip
    _on_threads(lambda first, last: _loop()(*given, first, last), channels, block.numel())
    return block


def _on_threads(run: Callable[[int, int], None], channels: int, values: int) -> None:
    """Run over all channels, by as many threads as torch has."""
    threads = min(torch.get_num_threads(), channels)
    if threads < 2 or values < WORTH_THREADS:
        run(0, channels)
        return
    edges = [channels * part // threads for part in range(threads + 1)]
    waiting = [_pool(threads).submit(run, *some) for some in zip(edges[1:-1], edges[2:], strict=True)]
    run(edges[0], edges[1])
    for one in waiting:
        one.result()


_POOLS: dict[tuple[int, int], ThreadPoolExecutor] = {}


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads of this process; a forked one has none of its parent's."""
    key = os.getpid(), threads
    if key not in _POOLS:
        _POOLS[key] = ThreadPoolExecutor(threads - 1, thread_name_prefix="equiscope")
    return _POOLS[key]


def _sums_of_channels(
    flat: Any, layout: Any, weights: Any, pilot: Any, block: Any, other: Any, totals: Any, squares: Any, maps: Any,
    owns: Any, first: int, last: int,
) -> None:  # fmt: skip
    """Take in some channels; `layout` and the first two `weights` are those of `Axes.strided`, the third is a scale."""
    images, size = block.shape[1], block.shape[2]
    of_map = np.zeros(size, np.float32)
    for channel in range(first, last):
        of_map[:] = 0
        total: Any = 0.0
        square: Any = 0.0
        own: Any = 0.0
        start = layout[0] + channel * layout[2]
        if size == 1 and layout[7] == layout[8] == 0:  # a vector
            for image in range(images):
                value = (flat[start + image * layout[1]] - pilot[channel]) * weights[2]
                block[channel, image, 0] = value
                total += value
                square += value * value
                own += value * other[channel, image, 0]
            maps[channel, 0] += total
        else:
            for image in range(images):
                here = block[channel, image]
                _moved(flat, start + image * layout[1], layout, weights, pilot[channel], here)
                of_squares, of_own = _added(here, other[channel, image], of_map)
                square += of_squares
                own += of_own
            for place in range(size):
                maps[channel, place] += of_map[place]
                total += of_map[place]
        totals[channel] += total
        squares[channel] += square
        owns[channel] += own


def _moved(  # noqa: C901 - a loop for each case
    flat: Any, start: int, layout: Any, weights: Any, off: Any, here: Any
) -> None:
    """Write one image's map, moved and less its mean, row by row; each case has a loop of its own, without branches."""
    jump, step, rows, columns, down, right = layout[3], layout[4], layout[5], layout[6], layout[7], layout[8]
    by_row, by_column, scale = weights[0], weights[1], weights[2]
    averaged = down != 0 or right != 0
    if not averaged and jump == columns * step:  # rows follow one another
        rows, columns = 1, rows * columns
    if averaged and step == 1:
        for row in range(rows):
            into, begin = here[row * columns : (row + 1) * columns], start + row * jump
            one, below = flat[begin : begin + columns], flat[begin + down : begin + down + columns]
            begin += right
            beside, beyond = flat[begin : begin + columns], flat[begin + down : begin + down + columns]
            for place in range(columns):
                value = one[place] + by_row * (below[place] - one[place])
                next_value = beside[place] + by_row * (beyond[place] - beside[place])
                into[place] = (value + by_column * (next_value - value) - off) * scale
    elif averaged:
        for row in range(rows):
            into, begin = here[row * columns : (row + 1) * columns], start + row * jump
            for place in range(columns):
                near = begin + place * step
                value = flat[near] + by_row * (flat[near + down] - flat[near])
                near += right
                next_value = flat[near] + by_row * (flat[near + down] - flat[near])
                into[place] = (value + by_column * (next_value - value) - off) * scale
    elif step == 1:
        for row in range(rows):
            begin = start + row * jump
            into, source = here[row * columns : (row + 1) * columns], flat[begin : begin + columns]
            for place in range(columns):
                into[place] = (source[place] - off) * scale
    elif step == -1 and columns > 1:
        for row in range(rows):
            begin = start + row * jump
            into, source = here[row * columns : (row + 1) * columns], flat[begin - columns + 1 : begin + 1]
            for place in range(columns):
                into[place] = (source[columns - 1 - place] - off) * scale
    else:
        for row in range(rows):
            into, begin = here[row * columns : (row + 1) * columns], start + row * jump
            for place in range(columns):
                into[place] = (flat[begin + place * step] - off) * scale


def _added(here: Any, there: Any, of_map: Any) -> Any:
    """The sums of squares and of products with the other side; values are added to the sum of maps."""
    square: Any = 0.0
    own: Any = 0.0
    for left in range(0, len(here), PIECE):
        end = min(left + PIECE, len(here))
        values, others, beside = here[left:end], there[left:end], of_map[left:end]
        of_squares: Any = np.float32(0)
        of_own: Any = np.float32(0)
        for place in range(end - left):
            value = values[place]
            of_squares += value * value
            of_own += value * others[place]
            beside[place] += value
        square += of_squares
        own += of_own
    return square, own


_COMPILED: list[Any] = []


def _loop() -> Any:
    """The loop, compiled when it is first called, and kept on disk where there is a folder for that."""
    if not _COMPILED:
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": REORDERED}
        whole, *parts = (inspect.unwrap(one) for one in (_sums_of_channels, _moved, _added))  # from a type checker
        known = globals() | {one.__name__: register_jitable(inline="always", **options)(one) for one in parts}
        written = FunctionType(whole.__code__, known, whole.__name__)
        try:
            _COMPILED.append(numba.njit(cache=True, **options)(written))
        except RuntimeError:  # there is no such folder
            _COMPILED.append(numba.njit(**options)(written))
    return _COMPILED[0]
