"""Taking images in: the compiled loop beside torch's own operations, however the maps lie in memory."""

import numba
import pytest
import torch

import equiscope as es
from equiscope.functional import blocks
from equiscope.functional.blocks import Intake, Sums, by_operations, take_in
from equiscope.functional.sampling import Gathered, identity
from equiscope.functional.transformations import about

BY_NAME = {one.name: one for one in (*es.d4().transformations, *es.identity().transformations)}
SAMPLINGS = {name: one.sampling(30, 30, None) for name, one in BY_NAME.items()}
SAMPLINGS |= {
    "whole shift": es.shift(3, -5).sampling(30, 30, (1, 1)),
    "half a position": es.shift(1, -3).sampling(30, 30, (2, 2)),
    "rows alone": es.shift(2, 0).sampling(30, 30, (1, 1)),
    "window of a shift": es.shift(3, -5).sampling(30, 30, (1, 1)).window,
    "about another centre": about(BY_NAME["rot90"], (0.5, -1.25)).sampling(30, 30, None),
    "upside down about another centre": about(BY_NAME["rot180"], (0.0, 0.25)).sampling(30, 30, None),
    "nothing left": es.shift(30, 0).sampling(30, 30, (1, 1)),
    "gathered": Gathered(torch.randperm(900).view(1, -1), torch.ones(30, 30, dtype=torch.bool)),
}
LAYOUTS = {
    "as usual": lambda maps: maps,
    "channels last": lambda maps: maps.contiguous(memory_format=torch.channels_last),
    "every other column": lambda maps: maps.repeat_interleave(2, -1)[..., ::2],
    "part of a batch": lambda maps: torch.cat([maps, maps, maps])[3:6],
    "expanded": lambda maps: maps[:1].expand(3, -1, -1, -1),
    "transposed": lambda maps: maps.mT.contiguous().mT,
}


@pytest.fixture(params=["one", "two", "two, without OpenMP"])
def threads(request, monkeypatch):
    monkeypatch.setattr(blocks, "WORTH_THREADS", 0)
    if "without" in request.param:
        monkeypatch.setattr(blocks, "_openmp", lambda: None)
    before = torch.get_num_threads()
    torch.set_num_threads(1 if request.param == "one" else 2)
    yield
    torch.set_num_threads(before)


def random_maps(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def empty_sums(channels, positions, *, own=False):
    """Of 1 everywhere, so that what is added to them shows."""
    total, square, owns = torch.ones(3, channels, dtype=torch.float64)
    return Sums(total, square, torch.ones(channels, positions, dtype=torch.float64), owns if own else None)


def intake(maps, sampling, sums, **options):
    """One whose room holds nothing yet."""
    return Intake.into(torch.full((maps.numel(),), torch.nan), maps, sampling, sums, **options)


def assert_alike(maps, sampling, *, pilot, scale=1.0, other=True):
    """Both ways give the same block and sums."""
    sums = [empty_sums(maps.shape[1], sampling.positions, own=other) for _ in range(2)]
    beside = random_maps(maps.shape[1], len(maps), sampling.positions, seed=1) if other else None
    options = {"pilot": pilot, "scale": scale, "other": beside}
    intakes = [intake(maps, sampling, its, **options) for its in sums]
    take_in(intakes[:1])
    by_operations(intakes[1])
    loop, plain = (one.block for one in intakes)
    size = float(plain.abs().max()) if plain.numel() else 1.0
    torch.testing.assert_close(loop, plain, rtol=0, atol=2e-7 * size)
    exact = plain.double()
    for found in sums:
        torch.testing.assert_close(found.maps, 1 + exact.sum(1), rtol=1e-6, atol=1e-5 * size)
        torch.testing.assert_close(found.total, 1 + exact.sum((1, 2)), rtol=1e-6, atol=1e-4 * size)
        torch.testing.assert_close(found.square, 1 + exact.square().sum((1, 2)), rtol=1e-6, atol=0)
        if beside is not None:
            own = 1 + (exact * beside.double()).sum((1, 2))
            torch.testing.assert_close(found.own, own, rtol=1e-6, atol=1e-4 * size)


@pytest.mark.parametrize("name", SAMPLINGS)
def test_the_loop_takes_in_what_torch_does_under_every_sampling(name, threads):
    assert_alike(random_maps(3, 5, 30, 30), SAMPLINGS[name], pilot=random_maps(5, seed=2))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["identity", "rot90", "whole shift", "half a position"])
def test_maps_may_lie_in_memory_as_they_like(layout, name):
    maps = LAYOUTS[layout](random_maps(3, 5, 30, 30))
    assert_alike(maps, SAMPLINGS[name], pilot=torch.zeros(5), other=name != "identity")


@pytest.mark.parametrize(("mean", "deviation", "scale"), [(-3e4, 1.0, 1.0), (1.0, 4e-6, 2.0**8), (0.0, 1e20, 2.0**-60)])
def test_values_keep_their_digits_whatever_their_mean_and_size(mean, deviation, scale):
    maps = mean + deviation * random_maps(4, 3, 40, 40)
    assert_alike(maps, identity(40, 40), pilot=maps.mean((0, 2, 3)), scale=scale)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (700, 2, 1, 1), (2, 1, 1, 50), (1, 3, 40, 1)])
def test_maps_of_any_shape(shape):
    assert_alike(random_maps(*shape), identity(*shape[2:]), pilot=torch.zeros(shape[1]))


def test_one_position_may_be_an_average_of_four():
    assert_alike(random_maps(3, 5, 2, 2), es.shift(1, -1).sampling(2, 2, (2, 2)), pilot=random_maps(5, seed=2))


def test_what_is_not_finite_stays_so():
    for value in (torch.nan, torch.inf):
        maps = random_maps(2, 3, 30, 30)
        maps[1, 2, -1, -1] = value
        sums = empty_sums(3, 900)
        take_in([intake(maps, identity(30, 30), sums, pilot=torch.zeros(3))])
        assert sums.square.isfinite().tolist() == [True, True, False]


def test_a_channel_with_itself_is_its_square():
    maps = torch.randn(7, 4, 40, 40)
    sums = [empty_sums(4, 1600, own=True) for _ in range(2)]
    one = intake(maps, identity(40, 40), sums[0], pilot=torch.zeros(4))
    take_in([one, intake(maps, identity(40, 40), sums[1], pilot=torch.zeros(4), other=one.block)])
    torch.testing.assert_close(sums[1].own, sums[1].square, atol=0, rtol=1e-7)


def test_several_sides_are_taken_in_in_order_as_each_by_itself(threads):
    """One reads what another wrote, and one between them is not for the loop."""
    maps, pilot = random_maps(2, 3, 7, 30, 30), random_maps(7, seed=2)
    blocks_and_sums = []
    for _ in range(2):
        sums = [empty_sums(7, size, own=True) for size in (900, 900, 30 * 29, 900)]
        original = intake(maps[0], identity(30, 30), sums[0], pilot=pilot)
        moved = original.block.unflatten(2, (30, 30)).transpose(0, 1)
        others = [
            intake(moved, SAMPLINGS["gathered"], sums[1], other=original.block),
            intake(moved, es.shift(0, 1).sampling(30, 30, (1, 2)), sums[2]),
            intake(maps[1], SAMPLINGS["rot90"], sums[3], pilot=pilot, scale=0.5, other=original.block),
        ]
        blocks_and_sums.append(([original, *others], sums))
    take_in(blocks_and_sums[0][0])
    for one in blocks_and_sums[1][0]:
        by_operations(one)
    for loop, plain in zip(*(intakes for intakes, _ in blocks_and_sums), strict=True):
        torch.testing.assert_close(loop.block, plain.block, rtol=0, atol=1e-6)
        for name in ("total", "square", "maps", "own"):
            torch.testing.assert_close(getattr(loop.sums, name), getattr(plain.sums, name), rtol=1e-6, atol=2e-4)


def test_what_is_not_kept_is_added_all_the_same(threads):
    maps, found = random_maps(3, 7, 30, 30), []
    for kept in (True, False):
        sums = [empty_sums(7, 29 * 27, own=True) for _ in range(2)]
        sampling = es.shift(1, -3).sampling(30, 30, (2, 1))
        moved = intake(maps, sampling, sums[0], kept=kept)
        take_in([moved, intake(maps, sampling.window, sums[1], other=moved.block, kept=kept)])
        assert moved.block.isnan().all() != kept
        found.append([getattr(its, name) for its in sums for name in ("total", "square", "maps", "own")])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_nothing_is_written_where_there_is_no_room():
    maps, whole = random_maps(2, 3, 4, 4), identity(4, 4)
    with pytest.raises(ValueError, match=r"48 values of torch.float64 were to lie in a row on a CPU; got \[3, 15\]"):
        take_in([intake(maps, whole, empty_sums(3, 15))])
    with pytest.raises(ValueError, match=r"got \[3\] of torch.float64 on cpu, strides \[2\]"):
        take_in(
            [
                intake(
                    maps,
                    whole,
                    Sums(torch.zeros(3, 2).double()[:, 0], torch.zeros(3).double(), torch.zeros(3, 16).double()),
                )
            ]
        )
    with pytest.raises(ValueError, match=r"Sides of \[3, 2\] channels cannot"):
        take_in([intake(maps[:, :few], whole, empty_sums(few, 16)) for few in (3, 2)])
    with pytest.raises(ValueError, match="do not fill a block"):
        take_in([intake(maps, identity(2, 4), empty_sums(3, 8))])


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_a_sampling_of_a_users_own_may_give_values_of_another_type(kind):
    class Own(Gathered):
        def expected(self, maps):
            return super().expected(maps).to(kind)

    sampling = Own(torch.randperm(16).view(1, -1), torch.ones(4, 4, dtype=torch.bool))
    assert_alike(random_maps(2, 3, 4, 4).to(kind).float(), sampling, pilot=None)


def test_without_a_folder_for_compiled_code_it_is_compiled_all_the_same(monkeypatch):
    compile_, asked = numba.cfunc, []

    def refusing(signature, **options):
        asked.append(options.pop("cache", False))
        if asked[-1]:
            raise RuntimeError("cannot cache function: no locator available")
        return compile_(signature, **options)

    monkeypatch.setattr(numba, "cfunc", refusing)
    blocks._loop.cache_clear()
    assert_alike(random_maps(2, 2, 3, 3), identity(3, 3), pilot=torch.zeros(2))
    assert asked == [True, False]
