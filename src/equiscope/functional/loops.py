"""What a CPU does with features in loops of our own, compiled for it when they are first called.

Torch goes over all of memory once for every operation. Here a channel is centred, measured and written down while it
lies in the fastest cache, and a row of products is added to the sums and searched while it is there. All values are
float32; sums of more than a thousand of them are float64.
"""

import inspect
from collections.abc import Callable
from math import prod
from threading import Lock
from types import FunctionType
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from equiscope.functional.transformations import Window

# Sums may be taken in any order, which is what the vector units of a processor need. Features that hold NaN or infinity
# are refused elsewhere, so that nothing here need keep to the rules for them.
INEXACT = {"reassoc", "contract", "arcp", "nsz", "nnan"}
PIECE = 1024  # values whose sum is float32
MOST_THREADS: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined] # it is made as numba is imported
LANES = 16  # channels for which a processor does something at once

_ONE_AT_A_TIME = Lock()  # not everywhere can numba's threads serve two callers


def compiled(loops: Callable[..., None]) -> Callable[..., None]:
    """The function compiled for this processor, to be run by as many threads as torch has."""
    alone, together = (_compiled(loops, parallel=parallel, fastmath=INEXACT) for parallel in (False, True))

    def run(*given: Any) -> None:
        arrays = [one.numpy() if isinstance(one, Tensor) else one for one in given]
        threads = threads_used()
        if threads == 1:  # threads that are not used would be waited for
            alone(*arrays)
            return
        with _ONE_AT_A_TIME:
            before = numba.get_num_threads()
            numba.set_num_threads(threads)
            try:
                together(*arrays)
            finally:
                numba.set_num_threads(before)

    return run


def exactly(step: Callable[..., Any]) -> Any:
    """A step within such loops, compiled; in this one operations keep their order."""
    return _compiled(step, fastmath={"contract"})


def _compiled(loops: Callable[..., Any], **options: Any) -> Any:
    """Compiled when it is called first, and kept on disk where there is a folder for that."""
    written: Any = inspect.unwrap(loops)  # a type checker may have wrapped it
    plain = FunctionType(written.__code__, written.__globals__, written.__name__, None, written.__closure__)
    plain.__module__ = written.__module__
    plain.__qualname__ = (
        f"{written.__qualname__}.{'together' if options.get('parallel') else 'alone'}"  # its files' name
    )
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy", **options)(plain)
    except RuntimeError:  # there is no such folder
        return numba.njit(nogil=True, error_model="numpy", **options)(plain)


def threads_used() -> int:
    """As many as torch uses."""
    return min(torch.get_num_threads(), MOST_THREADS)


def used_for(values: Tensor) -> bool:
    """Whether these loops, and not torch's operations, are for these values."""
    return values.device.type == "cpu"


class Scratch:
    """Memory for what a layer's features become on their way, used again for the next: fetching it anew costs more.

    What lies under a name is gone when the name is asked for again.
    """

    def __init__(self) -> None:
        self._held: dict[str, Tensor] = {}

    def of(self, name: str, beside: Tensor, *shape: int) -> Tensor | None:
        """Memory for values of this shape; None where they are for an accelerator, for which torch does the same."""
        if not used_for(beside):
            return None
        count = prod(shape)
        if name not in self._held or self._held[name].numel() < count:
            self._held[name] = torch.empty(count)
        return self._held[name][:count].view(shape)


def centred(
    window: Window, values: Float[Tensor, "image channel cell"], constant: float, *, mean: bool
) -> Float[Tensor, "4 image channel"]:
    """Write the moved values of a window less their mean (or, without `mean`, as they are) into `values`.

    Gives a value from the middle, the mean less that value (both 0 without `mean`), the norm of `values`, and one over
    it: 0 where it is at most the part `constant` of the norm of what was given.
    """
    maps = window.maps if window.maps.stride(-1) == 1 else window.maps.contiguous()
    rows, columns = window.sources
    height, width = rows.stop - rows.start, columns.stop - columns.start
    steps = maps.stride()[:3]
    down, right = window.weights
    if steps[2] == width and not (down or right):
        height, width = 1, height * width
    first = rows.start * steps[2] + columns.start
    found = maps.new_empty(4, *maps.shape[:2])
    _centre(_flat(maps), first, steps, height, width, down, right, mean, constant, values, found)
    return found


def _flat(maps: Tensor) -> np.ndarray:
    """All memory from the first to the last of the values."""
    count = 1 + sum((size - 1) * step for size, step in zip(maps.shape, maps.stride(), strict=True))
    flat: np.ndarray = torch.as_strided(maps, (count,), (1,)).numpy()
    return flat


def rearranged(
    values: Float[Tensor, "image channel cell"], source: Int[Tensor, "cell"], out: Float[Tensor, "image channel cell"]
) -> None:
    """Write every cell's value from its source into `out`."""
    _rearrange(values, source, out)


def own_products(
    one: Float[Tensor, "image channel cell"], other: Float[Tensor, "image channel cell"]
) -> Float[Tensor, "image channel"]:
    """The product of every channel with itself on the other side."""
    found = one.new_empty(one.shape[:2])
    _multiply_own(one, other, found)
    return found


@exactly
def _less(value: Any, level: Any) -> Any:
    """Digits are lost where this is not the first thing that is done."""
    return value - level


@exactly
def _between(one: Any, other: Any, level: Any, weight: Any) -> Any:
    return (one - level) + weight * (other - one)


@compiled
def _centre(
    given: Any, begin: int, steps: Any, height: int, width: int, down: float, right: float, mean: bool, constant: float,
    values: Any, found: Any,
) -> None:  # fmt: skip
    images, channels, cells = values.shape
    below, beside = steps[2] if down else 0, 1 if right else 0
    lower, righter = np.float32(down), np.float32(right)
    for one in numba.prange(images * channels):
        image, channel = one // channels, one % channels
        start = begin + image * steps[0] + channel * steps[1]
        target = values[image, channel]
        level = given[start + height // 2 * steps[2] + width // 2] if mean else np.float32(0)
        total = 0.0
        for row in range(height):
            for first in range(0, width, PIECE):
                count = min(PIECE, width - first)
                at = start + row * steps[2] + first
                piece = target[row * width + first : row * width + first + count]
                here = given[at : at + count]
                some: Any = np.float32(0)
                if below or beside:
                    under = given[at + below : at + below + count]
                    next_here = given[at + beside : at + beside + count]
                    next_under = given[at + below + beside : at + below + beside + count]
                    for cell in range(count):
                        value = _between(here[cell], under[cell], level, lower)
                        next_value = _between(next_here[cell], next_under[cell], level, lower)
                        value = _between(value, next_value, np.float32(0), righter)
                        piece[cell] = value
                        some += value
                else:
                    for cell in range(count):
                        value = _less(here[cell], level)
                        piece[cell] = value
                        some += value
                total += some
        left = np.float32(total / cells) if mean else np.float32(0)
        squares = 0.0
        for first in range(0, cells, PIECE):
            piece = target[first : first + PIECE]
            some = np.float32(0)
            for cell in range(piece.size):
                value = _less(piece[cell], left)
                piece[cell] = value
                some += value * value
            squares += some
        norm = np.sqrt(squares)
        whole = np.sqrt(squares + cells * (np.float64(left) + level) ** 2)
        found[0, image, channel], found[1, image, channel], found[2, image, channel] = level, left, norm
        found[3, image, channel] = 1 / norm if norm > constant * whole else 0.0


@compiled
def _rearrange(values: Any, source: Any, out: Any) -> None:
    images, channels, cells = out.shape
    for one in numba.prange(images * channels):
        given, target = values[one // channels, one % channels], out[one // channels, one % channels]
        for cell in range(cells):
            target[cell] = given[source[cell]]


@compiled
def _multiply_own(one: Any, other: Any, found: Any) -> None:
    images, channels, cells = one.shape
    for pair in numba.prange(images * channels):
        image, channel = pair // channels, pair % channels
        total = 0.0
        for first in range(0, cells, PIECE):
            mine, its = one[image, channel, first : first + PIECE], other[image, channel, first : first + PIECE]
            some: Any = np.float32(0)
            for cell in range(mine.size):
                some += mine[cell] * its[cell]
            total += some
        found[image, channel] = total


@compiled
def reduce(
    product: Any, first: int, own: Any, inverse: Any, sums: Any, place: int, best: Any, partner: Any, absolute: bool,
    threads: int,
) -> None:  # fmt: skip
    """What `matching.reduced` tells, on a CPU."""
    images, rows, channels = product.shape
    columns = (channels + threads * LANES - 1) // (threads * LANES) * LANES
    for part in numba.prange((channels + columns - 1) // columns):
        left = part * columns
        right = min(left + columns, channels)
        for image in range(images):
            group = (place + image) % sums.shape[0]
            most, where = best[image, left:right], partner[image, left:right]
            for row in range(rows):
                expected = first + row
                if left <= expected < right:
                    product[image, row, expected] = own[image, expected]
                of_row, of_sums = product[image, row, left:right], sums[group, expected, left:right]
                scale = inverse[image, expected]
                number = np.int32(expected)
                if scale == 0:
                    for column in range(of_row.size):
                        of_sums[column] += of_row[column]
                else:
                    for column in range(of_row.size):
                        value = of_row[column]
                        of_sums[column] += value
                        value *= scale
                        if absolute:
                            value = abs(value)
                        better = value > most[column]
                        most[column] = value if better else most[column]
                        where[column] = number if better else where[column]
