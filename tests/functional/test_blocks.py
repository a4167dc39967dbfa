"""Taking images in: the compiled loop and torch's operations give the same, in whatever way features lie."""

import pytest
import torch

from equiscope.functional import blocks
from equiscope.functional.blocks import by_operations, taken_in
from equiscope.functional.sampling import Gathered, identity, rearranged

SAMPLINGS = {
    "as they are": identity(6, 6),
    "transposed": rearranged(6, 6, transposed=True),
    "rotated": rearranged(6, 6, transposed=True, up=True),
    "mirrored": rearranged(6, 6, left=True),
    "shifted": identity(6, 6).moved(2, -1),
    "window of a shift": identity(6, 6).moved(2, -1).window,
    "interpolated": identity(6, 6).moved(0.5, 0.25),
    "gathered": Gathered(torch.arange(36).flip(0)[None, :10], torch.arange(36).view(6, 6) < 10),
}
LAYOUTS = {
    "rows": lambda maps: maps.contiguous(),
    "channels last": lambda maps: maps.to(memory_format=torch.channels_last),
    "a part of larger maps": lambda maps: torch.nn.functional.pad(maps, (1, 2, 3, 1))[..., 3:-1, 1:-2],
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", SAMPLINGS)
def test_the_loop_gives_what_operations_give(name, layout, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(blocks, "WORTH_THREADS", 1)
    sampling = SAMPLINGS[name]
    generator = torch.Generator().manual_seed(0)
    maps = LAYOUTS[layout](torch.randn(5, 3, 6, 6, generator=generator) + 4)
    other = torch.randn(3, 5, sampling.positions, generator=generator)
    pilot = torch.tensor([3.5, 4.0, 4.5])
    found = []
    for take in (taken_in, by_operations):
        sums = torch.ones(3, sampling.positions, dtype=torch.float64)
        room = torch.empty(5 * 3 * sampling.positions)
        taken = take(maps, sampling, room, sums, pilot=pilot, scale=2.0, other=other)
        found.append((taken.block.clone(), taken.total, taken.square, taken.own, sums))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-6, check_dtype=False)


def test_what_is_not_finite_shows_in_the_squares():
    maps = torch.ones(2, 1, 3, 3)
    maps[1, 0, 2, 2] = torch.nan
    sums = torch.zeros(1, 9, dtype=torch.float64)
    assert taken_in(maps, identity(3, 3), torch.empty(18), sums, pilot=torch.zeros(1)).square.isnan().all()


def test_a_channel_with_itself_is_its_square():
    maps = torch.randn(7, 4, 40, 40)
    room, sums = torch.empty(maps.numel()), torch.zeros(4, 1600, dtype=torch.float64)
    one = taken_in(maps, identity(40, 40), room, sums, pilot=torch.zeros(4))
    again = taken_in(maps, identity(40, 40), torch.empty(maps.numel()), sums, pilot=torch.zeros(4), other=one.block)
    torch.testing.assert_close(again.own, again.square, atol=0, rtol=1e-7)
