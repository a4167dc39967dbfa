"""The compiled loops: beside torch's own operations, in bands, by several threads, and without a folder for them."""

from dataclasses import replace

import numba
import pytest
import torch

from equiscope.functional import loops
from equiscope.functional.matching import reduced
from equiscope.functional.similarity import side
from equiscope.functional.transformations import moved_window, whole


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(min(request.param, loops.MOST_THREADS))
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("move", [(0, 0), (1, -2), (0.5, 0), (0, -0.25), (1.5, -2.75)])
@pytest.mark.parametrize(("mean", "deviation"), [(0, 1), (-3e4, 1), (1, 4e-5)])
def test_moved_maps_keep_their_digits_far_from_zero(move, mean, deviation, threads):
    maps = mean + deviation * random(2, 3, 9, 40)
    exact = moved_window(maps.double(), *move).values().flatten(-2)
    exact = exact - exact.mean(-1, keepdim=True)
    found = side(moved_window(maps, *move))
    torch.testing.assert_close(found.values.double() / deviation, exact / deviation, atol=2e-6, rtol=0)
    torch.testing.assert_close(found.centring.found[:, 2].double(), exact.norm(dim=-1), rtol=1e-6, atol=0)


@pytest.mark.parametrize("layout", ["channels last", "every other column", "one column"])
def test_maps_may_lie_in_memory_as_they_like(layout):
    maps = random(2, 5, 6, 8)
    given = {
        "channels last": maps.contiguous(memory_format=torch.channels_last),
        "every other column": maps[..., ::2],
        "one column": maps[..., 3:4],
    }[layout]
    exact = given.double().flatten(-2) - given.double().flatten(-2).mean(-1, keepdim=True)
    torch.testing.assert_close(side(given).values.double(), exact, atol=1e-6, rtol=0)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("channels", [1, 15, 16, 17, 70])
def test_products_are_reduced_as_by_torch_in_bands_and_with_ties(channels, absolute, threads, monkeypatch):
    products = torch.randint(-4, 5, (7, channels, channels), generator=torch.Generator().manual_seed(1)).float()
    own = torch.randint(-4, 5, (7, channels), generator=torch.Generator().manual_seed(2)).float()
    inverse = torch.tensor([0.0, 0.5, 1.0, 2.0])[torch.arange(7 * channels).view(7, channels) % 4]

    def taken_in():
        sums, best = torch.ones(3, channels, channels), torch.full((7, channels), -torch.inf)
        partner = torch.zeros(7, channels, dtype=torch.int32)
        for first in range(0, channels, 16):
            band = products[:, first : first + 16].clone()
            reduced(band, first, own, inverse, sums, 11, best, partner, absolute=absolute)
        return sums, best, partner

    ours = taken_in()
    monkeypatch.setattr(loops, "used_for", lambda values: False)
    for mine, theirs in zip(ours, taken_in(), strict=True):
        assert mine.equal(theirs)


MOVED = [(0, 0), (1, -2), (0.5, 0), (-1.5, 2.75), (5, 0)]


@pytest.mark.parametrize("channels", [1, 5, 64])
@pytest.mark.parametrize(("mean", "spike"), [(0, 0), (-300, 0), (0, 500)])
@pytest.mark.parametrize("before", [False, True])
def test_pairs_of_small_layers_are_what_the_definitions_say(channels, mean, spike, before, threads, monkeypatch):
    monkeypatch.setattr(loops, "CHUNK", 5 * channels * 9 * 7)  # five images
    groups, images, start = 3, 19, 4
    passes = mean + random(2 + len(MOVED), images, channels, 9, 7, seed=3)
    passes[:, ::4, :, 4, 3] += spike  # in the middle, where the first guess of a mean is taken
    passes[:, 3, 0] = 7.7  # constant
    still, last = passes[0], mean + random(1, channels, 9, 7, seed=4)
    half_turn = torch.arange(63).flip(0)
    windows = [(moved_window(still, *move), None) for move in MOVED] + [(whole(still), half_turn)]
    moves = [loops.Move(number, number + 1, *window) for number, window in enumerate(windows)]
    sums, chance = torch.ones(len(moves), groups, channels, channels), torch.ones(len(moves), 1, channels, channels)
    found = loops.paired(
        passes, still, last if before else None, loops.Moves(moves), sums, chance, start, 1e-6, loops.Scratch(),
        mean=True, least=9, absolute=False,
    )  # fmt: skip
    for number, move in enumerate(moves):
        window, source = move.window, move.source

        def expected_of(maps, window=window, source=source):
            moved = replace(window, maps=maps.double()).values().flatten(-2)
            return moved if source is None else moved[..., source]

        cells = (..., window.rows, window.columns)
        turned, expected = passes[number + 1][cells].flatten(-2).double(), expected_of(torch.cat([last, still]))
        (turned, of_turned), (expected, of_expected) = (
            (side - side.mean(-1, keepdim=True), side.mean(-1)) for side in (turned, expected)
        )
        skipped = 0 if before else 1
        for told, mean_told, values in (
            (found.turned[number], of_turned, turned),
            (found.expected[number, skipped:], of_expected[skipped:], expected[skipped:]),
        ):
            deviation = float(values.std(-1).max())
            torch.testing.assert_close(told[:, :2].double().sum(1), mean_told, rtol=1e-6, atol=3e-6 * deviation)
            torch.testing.assert_close(told[:, 2].double(), values.norm(dim=-1), rtol=2e-6, atol=1e-4)
        products = (expected[1:] @ turned.mT, expected[skipped:-1] @ turned[skipped:].mT)
        summed = torch.zeros(groups, channels, channels, dtype=torch.float64)
        summed.index_add_(0, (start + torch.arange(images)) % groups, products[0])
        scale = products[0].abs().max()
        torch.testing.assert_close((sums[number] - 1).double() / scale, summed / scale, rtol=1e-5, atol=2e-6)
        torch.testing.assert_close(
            (chance[number, 0] - 1).double() / scale, products[1].sum(0) / scale, rtol=1e-5, atol=2e-6
        )
        for kind, product, others in ((0, products[0], expected[1:]), (1, products[1], expected[skipped:-1])):
            these = slice(skipped if kind else 0, None)
            norms = others.norm(dim=-1)
            scaled = (product / norms[..., None]).masked_fill(norms[..., None] < 1e-3, -torch.inf)
            own = found.own[kind, number, these].double()
            torch.testing.assert_close(own / scale, product.diagonal(0, -2, -1) / scale, rtol=1e-5, atol=1e-6)
            best, partner = found.best[kind, number, these].double(), found.partner[kind, number, these].long()
            torch.testing.assert_close(best, scaled.max(-2).values, rtol=1e-5, atol=2e-5)
            if channels > 1:
                chosen = scaled.gather(-2, partner[:, None]).squeeze(-2)
                torch.testing.assert_close(chosen, scaled.max(-2).values, rtol=1e-5, atol=2e-5)
    exact = still.double().flatten(-2)
    torch.testing.assert_close(
        found.still[:, :2].double().sum(1), exact.mean(-1), rtol=1e-6, atol=3e-6 * float(exact.std(-1).max())
    )
    assert found.sizes.isfinite().all()
    passes[2, 5, 0, 0, 0] = passes[3, 0, -1, 8, 6] = passes[1, 7, 0, 4, 4] = torch.nan  # also beside other images
    passes[6, 8, -1, 0, 0] = torch.inf
    found = loops.paired(
        passes, still, None, loops.Moves(moves), sums, None, start, 1e-6, loops.Scratch(), mean=True, least=9,
        absolute=False,
    )  # fmt: skip
    assert (~found.sizes.isfinite()).nonzero().tolist() == [[1, 7], [2, 5], [3, 0], [6, 8]]


def test_without_a_folder_for_compiled_code_it_is_compiled_all_the_same(monkeypatch):
    compile_, asked = numba.njit, []

    def refusing(**options):
        asked.append(options.get("cache", False))
        if asked[-1]:
            raise RuntimeError("cannot cache function: no locator available")
        return compile_(**options)

    monkeypatch.setattr(numba, "njit", refusing)
    assert loops.exactly(lambda value: value + 1)(2) == 3
    assert asked == [True, False]
