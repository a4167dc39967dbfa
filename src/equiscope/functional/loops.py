"""What a CPU does with features in loops of our own, compiled for it when they are first called.

Torch goes over all of memory once for every operation. Here a channel is centred, measured and written down while it
lies in the fastest cache, and a row of products is added to the sums and searched while it is there. All values are
float32; sums of more than a thousand of them are float64.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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

# Sums may be taken in any order, which is what the vector units of a processor need; NaN and infinity stay what they
# are.
INEXACT = {"reassoc", "contract", "arcp", "nsz"}
PIECE = 1024  # values whose sum is float32
MOST_THREADS: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined] # it is made as numba is imported
LANES = 16  # channels for which a processor does something at once
STEP = 32  # cells for which it does; it goes through what is left over one by one
FEW_CHANNELS, FEW_CELLS = 64, 1024  # of a layer whose pairs are made one after the other
CHUNK = 2**17  # features of maps that stay in the cache while every transformation is looked at
IMAGES_OF_A_THREAD = 8  # at least, where threads have sums of their own

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


def step(loops: Callable[..., Any]) -> Any:
    """A step within such loops, which becomes a part of them: called, it would be much slower."""
    return _compiled(loops, fastmath=INEXACT, inline="always")


def called(loops: Callable[..., Any]) -> Any:
    """A step that is long enough to be called: within a long loop a compiler sees less of what it could do."""
    return _compiled(loops, fastmath=INEXACT)


def exactly(loops: Callable[..., Any]) -> Any:
    """A step in which operations keep their order."""
    return _compiled(loops, fastmath={"contract"})


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
) -> Float[Tensor, "image 4 channel"]:
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
    found = maps.new_empty(len(maps), 4, maps.shape[1])
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


@dataclass(frozen=True)
class Move:
    """What a transformation does to a layer's maps, and which of its forward passes shows them turned."""

    number: int  # of its sums
    of_pass: int
    window: Window
    source: Int[Tensor, "cell"] | None  # of each value, where the move permutes them; the window is all maps then

    def told(self) -> tuple[int, ...]:
        """For the loops: number, forward pass, first cells of the turned and the expected, rows, columns, permutes."""
        width = self.window.maps.shape[-1]
        firsts = (
            row.start * width + column.start
            for row, column in ((self.window.rows, self.window.columns), self.window.sources)
        )
        rows, columns = (of.stop - of.start for of in (self.window.rows, self.window.columns))
        return (self.number, self.of_pass, *firsts, rows, columns, int(self.source is not None))


class Moves:
    """Some transformations of a layer, as the loops take them."""

    def __init__(self, moves: Sequence[Move]) -> None:
        height, width = moves[0].window.maps.shape[-2:]
        cells = height * width
        self.of_passes = {move.of_pass for move in moves}
        self.permute = any(move.source is not None for move in moves)
        self.cells = [move.window.cells for move in moves]
        self.numbers = np.array([move.told() for move in moves])
        self.weights = np.array([move.window.weights for move in moves], dtype=np.float32)
        self.places = np.zeros((len(moves), cells), dtype=np.uint32)  # where values come from, if they are permuted
        self.masks = np.zeros((len(moves), (cells + STEP - 1) // STEP * STEP), dtype=np.float32)  # 1: valid
        for move, (rows, columns), places, mask in zip(
            moves, self.numbers[:, 4:6], self.places, self.masks, strict=True
        ):
            mask[:cells].reshape(height, width)[:rows, :columns] = 1
            if move.source is not None:
                places[:] = move.source


@dataclass(frozen=True)
class Paired:
    """What `paired` finds: of both sides what `centred` gives, and of matched and mismatched pairs their products."""

    turned: Float[Tensor, "move image 4 channel"]
    expected: Float[Tensor, "move 1+image 4 channel"]  # first of the image before; anything, where there is none
    own: Float[Tensor, "kind move image channel"]  # of every channel with itself
    best: Float[Tensor, "kind move image channel"]  # the largest with channels of norm 1; -inf where there is none
    partner: Int[Tensor, "kind move image channel"]  # with which
    still: Float[Tensor, "image 4 channel"]  # the same as `centred` gives of whole maps that are not moved
    sizes: Float[Tensor, "pass image"]  # finite where the squares of all features are


def paired(
    passes: Float[Tensor, "pass image channel row column"],
    still: Float[Tensor, "image channel row column"],
    before: Float[Tensor, "1 channel row column"] | None,
    moves: Moves,
    sums: Float[Tensor, "number group channel channel"],
    chance: Float[Tensor, "number 1 channel channel"] | None,
    start: int,
    constant: float,
    scratch: Scratch,
    *,
    mean: bool,
    least: int,
    absolute: bool,
) -> Paired:
    """Pair the maps of forward passes with those that are expected, `still` ones moved, in layers of few channels.

    All that `centred`, a product and `matching.reduced` do is done for one image after the other, whose maps stay in
    the cache meanwhile. Mismatched pairs, if there are sums for `chance`, are those of each image with the one before,
    which for the first of these is `before`. `start` is the first image's place in the data set. No best match is
    looked for where there are fewer than the `least` cells.
    """
    _, images, channels, height, width = passes.shape
    parts = min(threads_used(), max(1, images // IMAGES_OF_A_THREAD))
    at_once = min(images, max(1, CHUNK // (channels * height * width)))
    many, count, room = -(-channels // 4) * 4, len(moves.cells), moves.masks.shape[1] + STEP
    groups = sums.shape[1]
    kinds = (2, count, images, channels)
    found = Paired(
        turned=torch.empty(count, images, 4, channels),
        expected=torch.empty(count, 1 + images, 4, channels),
        own=torch.empty(*kinds),
        best=torch.empty(*kinds),
        partner=torch.empty(*kinds, dtype=torch.int32),
        still=torch.empty(images, 4, channels),
        sizes=torch.zeros(len(passes), images),
    )
    kept = 1 + at_once if moves.permute else 0
    chances = sums[:0] if chance is None else chance
    apart = scratch.of("sums", sums, parts if parts > 1 else 0, count, groups + len(chances[:1]), channels, channels)
    _pair(
        passes.flatten(), still.flatten(), still[:0].flatten() if before is None else before.flatten(),
        height * width, width, moves.numbers, moves.weights, moves.places, moves.masks, mean, constant, least,
        absolute, start, at_once, scratch.of("sides", sums, parts, 3, many, room),
        scratch.of("kept", sums, parts, kept, many, room), scratch.of("products", sums, parts, many, many), apart,
        sums, chances, torch.empty(parts, kept, 4, channels), found.turned, found.expected,
        torch.empty(parts, 4, channels), found.own, found.best, found.partner, found.still, found.sizes,
    )  # fmt: skip
    if parts > 1:
        _add_up(apart, moves.numbers, sums, chances)
    return found


@exactly
def _less(value: Any, level: Any) -> Any:
    """Digits are lost where this is not the first thing that is done."""
    return value - level


@exactly
def _between(one: Any, other: Any, level: Any, weight: Any) -> Any:
    return (one - level) + weight * (other - one)


@step
def _inverse(level: Any, left: Any, squares: Any, cells: int, constant: float) -> Any:
    """One over the norm of a channel, of which centring took `level` and `left`; 0 where it is constant."""
    norm = np.sqrt(squares)
    whole = np.sqrt(squares + cells * (np.float64(left) + level) ** 2)
    return 1 / norm if norm > constant * whole else 0.0


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
        found[image, 0, channel], found[image, 1, channel], found[image, 2, channel] = level, left, np.sqrt(squares)
        found[image, 3, channel] = _inverse(level, left, squares, cells, constant)


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


@step
def add_row(of_row: Any, scale: Any, number: int, of_sums: Any, most: Any, where: Any, absolute: bool) -> None:
    """Add an expected channel's products to the sums, and see whether it is the best match of any turned channel."""
    for column in range(of_row.size):
        of_sums[column] += of_row[column]
    if scale != 0:
        if absolute:  # asked within the loop it would cost four times as much
            for column in range(of_row.size):
                value = abs(of_row[column] * scale)
                better = value > most[column]
                most[column] = value if better else most[column]
                where[column] = np.int32(number) if better else where[column]
        else:
            for column in range(of_row.size):
                value = of_row[column] * scale
                better = value > most[column]
                most[column] = value if better else most[column]
                where[column] = np.int32(number) if better else where[column]


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
                add_row(of_row, inverse[image, expected], expected, of_sums, most, where, absolute)


@called
def _size(values: Any, needed: bool) -> Any:
    """A sum that is finite where all squares are; 0 if it is not needed, since centring goes over all values."""
    total: Any = np.float32(0)
    for place in range(values.size if needed else 0):
        total += values[place] * values[place]
    return total


@step
def _tell(levels: Any, lefts: Any, norms: Any, inverses: Any, cells: int, constant: float) -> None:
    """What `centred` tells of an image's channels, of which there are squares of norms."""
    for channel in range(norms.size):
        squares = np.float64(norms[channel])
        norms[channel] = np.sqrt(squares)
        inverses[channel] = _inverse(levels[channel], lefts[channel], squares, cells, constant)


@step
def _look(maps: Any, first: int, last: int, area: int, constant: float, found: Any, sizes: Any) -> None:
    """What centring the whole maps of some images would take from them, and sums that are finite where squares are."""
    for image in range(first, last):
        sizes[image] = _centring(maps, image * found.shape[2] * area, area, constant, found[image])


@called
def _centring(maps: Any, start: int, area: int, constant: float, found: Any) -> Any:
    levels, lefts, norms = found[0], found[1], found[2]
    size: Any = np.float32(0)
    for channel in range(found.shape[1]):
        given = maps[start + channel * area : start + (channel + 1) * area]
        level = given[given.size // 2]
        total, squares = np.float32(0), np.float32(0)
        for cell in range(given.size):
            value = _less(given[cell], level)
            total += value
            squares += value * value
        size += squares
        left = np.float32(total / given.size)
        rest = given.size * left * left
        if not rest <= squares - rest:
            squares, rest = np.float32(0), np.float32(0)
            for cell in range(given.size):
                value = _less(_less(given[cell], level), left)
                squares += value * value
        levels[channel], lefts[channel], norms[channel] = level, left, squares - rest
    _tell(levels, lefts, norms, found[3], area, constant)
    return size


@step
def _take(given: Any, start: int, below: int, lower: Any, righter: Any, level: Any, mask: Any, target: Any) -> Any:
    """Write a channel's moved values less a level into `target`, and 0 where the mask is 0.

    Gives their sum, and that of their squares.
    """
    total, squares = np.float32(0), np.float32(0)
    if lower or righter:
        down, right = below if lower else 0, 1 if righter else 0
        here, under = given[start : start + target.size], given[start + down : start + down + target.size]
        next_here = given[start + right : start + right + target.size]
        next_under = given[start + down + right : start + down + right + target.size]
        for cell in range(target.size):
            value = _between(here[cell], under[cell], level, lower)
            next_value = _between(next_here[cell], next_under[cell], level, lower)
            value = _between(value, next_value, np.float32(0), righter) * mask[cell]
            target[cell] = value
            total += value
            squares += value * value
    else:
        here = given[start : start + target.size]
        for cell in range(target.size):
            value = _less(here[cell], level) * mask[cell]
            target[cell] = value
            total += value
            squares += value * value
    return total, squares


@called
def _centre_few(
    maps: Any, begin: int, start: int, area: int, width: int, rows: int, columns: int, lower: Any, righter: Any,
    mask: Any, mean: bool, exact: bool, constant: float, length: int, values: Any, found: Any,
) -> Any:  # fmt: skip
    """Centre the moved maps of an image, which begins at `begin`, into rows of `length`.

    Their first valid cell is at `start`. A channel is read on to the ends of rows, and into the next channel of the
    same image, if there is one; the mask makes that 0. Without `exact` a mean that is small beside the values may be
    left: the products are with values of mean 0. Gives a sum that is finite where the squares of all that was read are.
    """
    count, cells = (rows - 1) * width + columns, rows * columns
    levels, lefts, norms = found[0], found[1], found[2]
    size: Any = np.float32(0)
    end = begin + found.shape[1] * area
    for channel in range(found.shape[1]):
        first = begin + channel * area + start
        read = length if first + length + width < end else count
        target = values[channel, :read]
        values[channel, read:length] = 0
        level = maps[first + rows // 2 * width + columns // 2] if mean else np.float32(0)
        total, squares = _take(maps, first, width, lower, righter, level, mask, target)
        size += squares
        left = np.float32(total / cells) if mean else np.float32(0)
        rest = cells * left * left
        if mean and (exact or not rest <= squares - rest):
            squares, rest = np.float32(0), np.float32(0)
            for cell in range(read):
                value = _less(target[cell], left) * mask[cell]
                target[cell] = value
                squares += value * value
        levels[channel], lefts[channel], norms[channel] = level, left, squares - rest
    _tell(levels, lefts, norms, found[3], cells, constant)
    return size


@step
def _keep(
    still: Any, before: Any, first: int, last: int, area: int, width: int, mask: Any, mean: bool, constant: float,
    kept: Any, found: Any,
) -> None:  # fmt: skip
    """Centre the whole maps of some images, for all moves that permute them."""
    zero = np.float32(0)
    for image in range(first, last):
        _centre_few(
            still if image >= 0 else before, max(image, 0) * found.shape[2] * area, 0, area, width, area // width,
            width, zero, zero, mask, mean, True, constant, mask.size, kept[image - first], found[image - first],
        )  # fmt: skip


@called
def _rearrange_few(values: Any, places: Any, length: int, out: Any) -> None:
    for channel in range(values.shape[0]):
        given, target = values[channel], out[channel]
        for cell in range(places.size):
            target[cell] = given[places[cell]]
        target[places.size : length] = 0


@step
def _multiply(expected: Any, turned: Any, length: int, product: Any) -> None:
    """All channels of one side with all of the other; their room is for a multiple of four."""
    for row in range(0, expected.shape[0], 4):
        one, two = expected[row, :length], expected[row + 1, :length]
        three, four = expected[row + 2, :length], expected[row + 3, :length]
        for column in range(0, turned.shape[0], 2):
            left, right = turned[column, :length], turned[column + 1, :length]
            one_left: Any = np.float32(0)
            two_left, three_left, four_left = one_left, one_left, one_left
            one_right, two_right, three_right, four_right = one_left, one_left, one_left, one_left
            for cell in range(length):
                one_left += one[cell] * left[cell]
                two_left += two[cell] * left[cell]
                three_left += three[cell] * left[cell]
                four_left += four[cell] * left[cell]
                one_right += one[cell] * right[cell]
                two_right += two[cell] * right[cell]
                three_right += three[cell] * right[cell]
                four_right += four[cell] * right[cell]
            product[row, column], product[row, column + 1] = one_left, one_right
            product[row + 1, column], product[row + 1, column + 1] = two_left, two_right
            product[row + 2, column], product[row + 2, column + 1] = three_left, three_right
            product[row + 3, column], product[row + 3, column + 1] = four_left, four_right


@called
def _match(
    expected: Any, turned: Any, length: int, product: Any, inverse: Any, search: bool, absolute: bool, sums: Any,
    own: Any, best: Any, partner: Any,
) -> None:  # fmt: skip
    """Multiply the two sides of an image, and reduce the products."""
    _multiply(expected, turned, length, product)
    best[:], partner[:] = -np.inf, 0
    for row in range(own.size):
        own[row] = product[row, row]
        scale = inverse[row] if search else np.float32(0)
        add_row(product[row, : own.size], scale, row, sums[row], best, partner, absolute)


@compiled
def _pair(
    passes: Any, still: Any, before: Any, area: int, width: int, numbers: Any, weights: Any, places: Any, masks: Any,
    mean: bool, constant: float, least: int, absolute: bool, place: int, at_once: int, room: Any, kept: Any,
    products: Any, apart: Any, sums: Any, chance: Any, of_kept: Any, of_turned: Any, of_expected: Any,
    elsewhere: Any, own: Any, best: Any, partner: Any, of_still: Any, sizes: Any,
) -> None:  # fmt: skip
    images, channels = of_turned.shape[1], of_turned.shape[3]
    parts, groups, chanced = len(room), sums.shape[1], len(chance) > 0
    features = channels * area  # of an image
    zero = np.float32(0)
    permuting = numbers[:, 6].argmax()  # a move that does, if any does; its window is all cells
    for part in numba.prange(parts):
        begin, end = part * images // parts, (part + 1) * images // parts
        if parts > 1:
            apart[part] = 0
        product = products[part]
        for first in range(begin, end, at_once):
            last = min(first + at_once, end)
            _look(still, first, last, area, constant, of_still, sizes[0])
            preceded = chanced and (first > 0 or len(before) > 0)
            earliest = first - 1 if preceded else first
            if numbers[permuting, 6]:
                _keep(
                    still, before, earliest, last, area, width, masks[permuting], mean, constant, kept[part],
                    of_kept[part],
                )  # fmt: skip
            for move in range(len(numbers)):
                number, of_pass, start, source = numbers[move, 0], numbers[move, 1], numbers[move, 2], numbers[move, 3]
                rows, columns, lower, righter = numbers[move, 4], numbers[move, 5], weights[move, 0], weights[move, 1]
                mask, whither = masks[move], places[move]
                length = ((rows - 1) * width + columns + STEP - 1) // STEP * STEP
                search = rows * columns >= least
                turned, now, then = room[part, 0], room[part, 1], room[part, 2]
                of_now = of_then = elsewhere[part]
                for image in range(earliest, last):
                    now, then, of_then = then, now, of_now
                    # Another thread may just be writing what is told of the image before this thread's first.
                    of_now = of_expected[move, image + 1] if image >= first or image < 0 else elsewhere[part]
                    if numbers[move, 6]:
                        _rearrange_few(kept[part, image - earliest], whither, length, now)
                        of_now[:] = of_kept[part, image - earliest]
                    else:
                        _centre_few(
                            still if image >= 0 else before, max(image, 0) * features, source, area, width, rows,
                            columns, lower, righter, mask, mean, True, constant, length, now, of_now,
                        )  # fmt: skip
                    if image < first:
                        continue
                    begin_of = (of_pass * images + image) * features
                    # Finite where all squares are: of all features, if centring does not go over all of them.
                    sizes[of_pass, image] = _size(passes[begin_of : begin_of + features], rows * columns < area)
                    sizes[of_pass, image] += _centre_few(
                        passes, begin_of, start, area, width, rows, columns, zero, zero, mask, mean, False, constant,
                        length, turned, of_turned[move, image],
                    )  # fmt: skip
                    group = (place + image) % groups
                    _match(
                        now, turned, length, product, of_now[3], search, absolute,
                        apart[part, move, group] if parts > 1 else sums[number, group], own[0, move, image],
                        best[0, move, image], partner[0, move, image],
                    )  # fmt: skip
                    if chanced and (preceded or image > first):
                        _match(
                            then, turned, length, product, of_then[3], search, absolute,
                            apart[part, move, groups] if parts > 1 else chance[number, 0], own[1, move, image],
                            best[1, move, image], partner[1, move, image],
                        )  # fmt: skip


@compiled
def _add_up(apart: Any, numbers: Any, sums: Any, chance: Any) -> None:
    """Add the sums of all threads."""
    parts, _, _, channels, _ = apart.shape
    for one in numba.prange(len(numbers) * channels):
        move, row = one // channels, one % channels
        for part in range(parts):
            for group in range(sums.shape[1]):
                sums[numbers[move, 0], group, row] += apart[part, move, group, row]
            if len(chance):
                chance[numbers[move, 0], 0, row] += apart[part, move, sums.shape[1], row]


@compiled
def join(
    turned: Any, expected: Any, groups: Any, weights: Any, counts: Any, means: Any, squares: Any, off: Any
) -> None:
    """Join images to the means and the centred sums of squares of their groups, by Chan's rule.

    Both sides' images come as `centred` tells them, in float32; all else is float64. Rows are images and then groups as
    they were before: `groups` says whose each is, `weights` of how many values, and `counts` of how many the groups are
    now. How far the mean of each row is off that of its group, times the root of its weight, goes into `off`.
    """
    for side in numba.prange(2):
        found, mean, square, away = turned if side == 0 else expected, means[side], squares[side], off[side]
        _levels(found, mean, away)
        mean[:] = 0
        for row in range(len(groups)):
            group = groups[row]
            part = weights[row] / max(counts[group], 1)
            for channel in range(mean.shape[1]):
                mean[group, channel] += part * away[row, channel]
        for row in range(len(groups)):
            group, root = groups[row], np.sqrt(weights[row])
            for channel in range(mean.shape[1]):
                value = root * (away[row, channel] - mean[group, channel])
                away[row, channel] = value
                square[group, channel] += value * value
        for image in range(len(found)):
            for channel in range(mean.shape[1]):
                square[groups[image], channel] += np.float64(found[image, 2, channel]) ** 2


@step
def _levels(found: Any, mean: Any, levels: Any) -> None:
    """The means of images, and of groups so far."""
    images = len(found)
    for image in range(images):
        for channel in range(mean.shape[1]):
            levels[image, channel] = np.float64(found[image, 0, channel]) + found[image, 1, channel]
    levels[images:] = mean


@compiled
def add_products(expected: Any, turned: Any, groups: Any, products: Any) -> None:
    """Add the products of rows of few channels, each row's to its group."""
    for channel in numba.prange(expected.shape[1]):
        for row in range(len(groups)):
            target, values, scale = products[groups[row], channel], turned[row], expected[row, channel]
            for other in range(values.size):
                target[other] += scale * values[other]
