"""The compiled loops: beside torch's own operations, in bands, by several threads, and without a folder for them."""

import numba
import pytest
import torch

from equiscope.functional import loops
from equiscope.functional.matching import reduced
from equiscope.functional.similarity import side
from equiscope.functional.transformations import moved_window


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
