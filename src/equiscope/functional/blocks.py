"""Sides of some images, taken in: less their origins, channel by channel, with what they add to the sums.

On a CPU this is one loop, compiled by numba, over all sides that are taken in together: each value is read once, where
torch's operations would go over memory six times. It runs on torch's threads where these are of an OpenMP library that
has `GOMP_parallel`, as on Linux, and else on one. On other devices torch's operations do the same.
"""

import ctypes
import inspect
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float
from numba import carray, types  # type: ignore[attr-defined]  # it is public
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable
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
    count: Float[Tensor, ""] | None = None  # images times positions


@dataclass(frozen=True)
class Intake:
    """Some images of one side: the values that a sampling gives are to be written into `block`, and added to `sums`.

    They are less `pilot`, where there is one, and then times `scale`. Their products with `other` go to `sums.own`.

    Where they are not `kept`, nobody reads the block but, as its `other`, the next intake, which is not kept either and
    is of a sampling along axes, too.
    """

    maps: Float[Tensor, "image channel row column"]
    sampling: Sampling
    block: Block
    sums: Sums
    pilot: Float[Tensor, "channel"] | None = None
    scale: float = 1.0
    other: Block | None = None
    kept: bool = True

    @classmethod
    def into(
        cls,
        room: Float[Tensor, "value"],
        maps: Float[Tensor, "image channel row column"],
        sampling: Sampling,
        sums: Sums,
        pilot: Float[Tensor, "channel"] | None = None,
        scale: float = 1.0,
        other: Block | None = None,
        kept: bool = True,
    ) -> "Intake":
        """One whose block lies in `room`, which has room for as many values."""
        images, channels = maps.shape[:2]
        size = images * channels * sampling.positions
        block = room[:size].view(channels, images, sampling.positions)
        return cls(maps, sampling, block, sums, pilot, scale, other, kept)


def take_in(intakes: Sequence[Intake]) -> None:
    """Take in several sides, all with as many channels, in this order.

    The maps of one may be the block of another that is before it, channel for channel.

    >>> from equiscope.functional.sampling import identity
    >>> sums = Sums(*torch.zeros(2, 1, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64))
    >>> maps, block = torch.tensor([[[[1.0, 3.0]]]]), torch.empty(1, 1, 2)
    >>> take_in([Intake(maps, identity(1, 2), block, sums, pilot=torch.tensor([1.0]))])
    >>> block.tolist(), sums.total.tolist(), sums.square.tolist(), sums.maps.tolist()
    ([[[0.0, 2.0]]], [2.0], [4.0], [[0.0, 2.0]])
    """
    waiting: list[Intake] = []
    for one in intakes:
        if one.maps.dtype != torch.float32 or {one.maps.device.type, one.sums.maps.device.type} != {"cpu"}:
            _by_loop(waiting)
            waiting = []
            by_operations(one)
        elif isinstance(one.sampling, Axes):
            waiting.append(one)
        else:
            _by_loop(waiting)
            values = one.sampling.expected(one.maps).to(one.block)  # of a user's own, which may compute in float64
            waiting = [replace(one, maps=values, sampling=identity(*values.shape[-2:]))]
    _by_loop(waiting)


def by_operations(intake: Intake) -> None:
    """The same of one side, by torch's operations."""
    sums, block = intake.sums, intake.block
    values = intake.sampling.expected(intake.maps).transpose(0, 1)
    pilot = values.new_zeros(len(values)) if intake.pilot is None else intake.pilot
    torch.sub(values, pilot[:, None, None, None], out=block.view(values.shape))
    if intake.scale != 1:
        block.mul_(intake.scale)
    added = block.sum(1).to(sums.maps.device)
    sums.maps.add_(added)
    sums.total.add_(added.sum(-1, dtype=torch.float64))
    sums.square.add_((block * block).flatten(1).sum(-1).to(sums.square))
    if sums.own is not None and intake.other is not None:
        sums.own.add_((block * intake.other).flatten(1).sum(-1).to(sums.own))
    if sums.count is not None:
        sums.count.add_(block[0].numel())


# --- the loop

# Of an intake: `Axes.strided`'s layout and weights, how many images and positions, and where in memory things lie. What
# is not kept has a spare place, 1 or, with another beside it, 2; what is kept has 0.
COUNTS = "first by_image by_channel jump step rows columns down right images size spare"
ADDRESSES = "values pilot block other total square maps own count"
JOB = np.dtype(
    [(name, np.int64) for name in f"{COUNTS} length {ADDRESSES}".split()]
    + [(name, np.float32) for name in ("by_row", "by_column", "scale", "unused")]
)
# Where the jobs lie, of how many channels, in how many parts these are done, and where the parts are counted that
# threads have taken, and have done.
ORDER = np.dtype([(name, np.int64) for name in ("jobs", "count", "channels", "parts", "taken", "done")])
PARTS = 4  # of the channels, for each thread: one that starts late does fewer of them


def _by_loop(intakes: Sequence[Intake]) -> None:
    if not intakes:
        return
    pilots = [None if one.pilot is None else one.pilot.to(torch.float32).contiguous() for one in intakes]
    jobs = np.array([_job(one, pilot) for one, pilot in zip(intakes, pilots, strict=True)], JOB)
    channels = len(intakes[0].block)
    if any(len(one.block) != channels for one in intakes):
        raise ValueError(f"Sides of {[len(one.block) for one in intakes]} channels cannot be taken in together.")
    threads = torch.get_num_threads() if sum(one.block.numel() for one in intakes) >= WORTH_THREADS else 1
    openmp = _openmp() if threads > 1 else None
    parts = min(channels, PARTS * threads) if openmp else 1
    counts = np.zeros(2, np.int64)
    taken, done = counts.ctypes.data, counts[1:].ctypes.data
    order = np.array([(jobs.ctypes.data, len(jobs), channels, parts, taken, done)], ORDER)
    if openmp is None:
        _loop().ctypes(order.ctypes.data)
    else:  # other threads would wait for a core until torch's have stopped waiting for work
        work, data = ctypes.c_void_p(_loop().address), ctypes.c_void_p(order.ctypes.data)
        openmp.GOMP_parallel(work, data, min(threads, parts), 0)
    if counts[1] != parts:
        raise RuntimeError(
            "Features were not taken in whole: the loop over them has failed, as it does without memory."
        )


def _job(intake: Intake, pilot: Tensor | None) -> tuple[Any, ...]:
    """The intake as the loop reads it; the tensors must live as long as it runs.

    ValueError where shapes are not what they are to be, since the loop would write over other memory.
    """
    maps, block, sums, sampling = intake.maps, intake.block, intake.sums, intake.sampling
    assert isinstance(sampling, Axes)
    layout, weights = sampling.strided(maps.stride())
    images, channels, rows, columns = maps.shape
    positions = sampling.positions
    if (rows, columns) != sampling.size or block.shape != (channels, images, positions):
        raise ValueError(
            f"Maps {list(maps.shape)} do not fill a block {list(block.shape)} by a sampling of {list(sampling.size)}."
        )
    if maps.dtype != torch.float32 or maps.device.type != "cpu":
        raise ValueError(f"The loop takes maps of float32 on a CPU; got {maps.dtype} on {maps.device}.")
    length = maps.untyped_storage().nbytes() // maps.element_size() - int(maps.storage_offset())
    own = None if intake.other is None else sums.own
    addresses = (
        maps.data_ptr(),
        _address(pilot, channels, torch.float32),
        _address(block, block.numel(), torch.float32),
        _address(intake.other, block.numel(), torch.float32),
        _address(sums.total, channels, torch.float64),
        _address(sums.square, channels, torch.float64),
        _address(sums.maps, channels * positions, torch.float64),
        _address(own, channels, torch.float64),
        _address(sums.count, 1, torch.float64),
    )
    spare = 0 if intake.kept else 1 if intake.other is None else 2
    return (*layout, images, positions, spare, length, *addresses, *weights, intake.scale, 0)


def _address(tensor: Tensor | None, values: int, kind: torch.dtype) -> int:
    """Of a tensor of so many values, which lie one after the other; 0 where there is none."""
    if tensor is None:
        return 0
    if tensor.numel() != values or tensor.dtype != kind or tensor.device.type != "cpu" or not tensor.is_contiguous():
        raise ValueError(
            f"{values} values of {kind} were to lie in a row on a CPU; got {list(tensor.shape)} of {tensor.dtype} on "
            f"{tensor.device}, strides {list(tensor.stride())}."
        )
    return tensor.data_ptr()


def _memory(_: Any, address: Any) -> Any:
    """The memory at an address."""

    def code(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), code


def _number(_: Any, address: Any) -> Any:
    """The number at an address, which grows by one, whichever threads look at once."""

    def code(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], arguments[0].type.as_pointer())
        return builder.atomic_rmw("add", place, arguments[0].type(1), "monotonic")

    return types.int64(address), code


_at: Any = intrinsic(_memory)
_counted: Any = intrinsic(_number)


def _carry_out(address: Any) -> None:
    """Do parts of an order until none is left; several threads may do so at once."""
    order = carray(address, (1,), ORDER)[0]
    jobs = carray(_at(order.jobs), (order.count,), JOB)
    while True:
        part = _counted(order.taken)
        if part >= order.parts:
            break
        _channels_of(jobs, order.channels * part // order.parts, order.channels * (part + 1) // order.parts)
        _counted(order.done)


def _channels_of(jobs: Any, first: Any, last: Any) -> None:
    """Do all jobs for some channels.

    What is written to are arguments of another function, since numba leaves out what is written to an array that it
    takes for a function's own.
    """
    most = 0
    for place in range(len(jobs)):
        most = max(most, jobs[place].images * jobs[place].size)
    scratch = np.empty(3 * most, np.float32)  # of one channel, which a cache holds
    spare = np.int64(scratch.ctypes.data)
    for channel in range(first, last):
        for place in range(len(jobs)):
            job = jobs[place]
            before = channel * job.images * job.size
            block, other = job.block + 4 * before, (job.other or job.block) + 4 * before
            if job.spare:
                block, other = spare + 4 * most * (job.spare - 1), spare
            _one_channel(
                job,
                channel,
                carray(_at(block), (job.images, job.size), np.float32),
                carray(_at(other), (job.images, job.size), np.float32),
                scratch[2 * most : 2 * most + job.size],
                carray(_at(job.maps + 8 * channel * job.size), (job.size,), np.float64),
                carray(_at(job.total + 8 * channel), (1,), np.float64),
                carray(_at(job.square + 8 * channel), (1,), np.float64),
                carray(_at((job.own or job.total) + 8 * channel), (1,), np.float64),
            )
            if channel == 0 and job.count:
                _added_to(carray(_at(job.count), (1,), np.float64), job.images * job.size)


def _added_to(counts: Any, samples: Any) -> None:
    counts[0] += samples


def _one_channel(
    job: Any, channel: Any, block: Any, other: Any, of_map: Any, maps: Any, totals: Any, squares: Any, owns: Any
) -> None:
    flat = carray(_at(job.values), (job.length,), np.float32)
    off = carray(_at(job.pilot + 4 * channel), (1,), np.float32)[0] if job.pilot else np.float32(0)
    start = job.first + channel * job.by_channel
    total: Any = 0.0
    square: Any = 0.0
    own: Any = 0.0
    if job.size == 1 and job.down == job.right == 0:  # a vector
        for image in range(job.images):
            value = (flat[start + image * job.by_image] - off) * job.scale
            block[image, 0] = value
            total += value
            square += value * value
            own += value * other[image, 0]
        maps[0] += total
    else:
        of_map[:] = 0
        for image in range(job.images):
            here = block[image]
            _moved(flat, start + image * job.by_image, job, off, here)
            of_squares, of_own = _added(here, other[image], of_map)
            square += of_squares
            own += of_own
        for place in range(job.size):
            maps[place] += of_map[place]
            total += of_map[place]
    totals[0] += total
    squares[0] += square
    if job.own:
        owns[0] += own


def _moved(  # noqa: C901 - a loop for each case
    flat: Any, start: int, job: Any, off: Any, here: Any
) -> None:
    """Write one image's map, moved and less its mean, row by row; each case has a loop of its own, without branches."""
    jump, step, rows, columns, down, right = job.jump, job.step, job.rows, job.columns, job.down, job.right
    by_row, by_column, scale = job.by_row, job.by_column, job.scale
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


@cache
def _loop() -> Any:
    """The loop, compiled when it is first called, and kept on disk where there is a folder for that."""
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": REORDERED}
    known = globals().copy()
    for one in (_moved, _added, _added_to, _one_channel, _channels_of, _carry_out):
        plain = inspect.unwrap(one)  # from a type checker
        known[one.__name__] = written = FunctionType(plain.__code__, known, plain.__name__)
        if one is not _carry_out:
            inline = {"inline": "always"} if one in (_moved, _added) else {}
            known[one.__name__] = register_jitable(**inline, **options)(written)
    signature = types.void(types.voidptr)
    try:
        return numba.cfunc(signature, cache=True, **options)(written)
    except RuntimeError:  # there is no such folder
        return numba.cfunc(signature, **options)(written)


@cache
def _openmp() -> Any:
    """The library whose threads torch computes with; None where it is of another kind, or torch has none."""
    here = Path(torch.__file__).parent / "lib"
    for name in (*map(str, here.glob("lib*omp*")), "libgomp.so.1", "libomp.so", "libiomp5.so"):
        with suppress(OSError, AttributeError):  # it is not there, or not used yet
            library = ctypes.CDLL(name, mode=os.RTLD_NOLOAD)
            if hasattr(library, "GOMP_parallel"):
                return library
    return None
