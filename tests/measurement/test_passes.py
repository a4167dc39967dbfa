"""Batches of one group, copies that share a forward pass, and features that are not what was promised."""

from itertools import product

import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.functional.transformations import frame
from equiscope.measurement.passes import ForwardPasses, in_groups, in_order, maps_of, sharing
from equiscope.networks.layers import find_layers
from equiscope.system.progress import Silent

ROTATIONS = list(es.rotations().transformations)


def numbered(count):
    """Images that tell their place."""
    return torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(-1, 3, 4, 4)


@pytest.mark.parametrize(("count", "size", "start"), list(product([1, 9, 33, 261], [1, 4, 30], [0, 7])))
def test_every_image_comes_once_with_others_of_its_group(count, size, start):
    batches = list(in_groups(numbered(count).split(17), start, size))
    places = [place for batch in batches for place in batch.places]
    assert sorted(places) == list(range(start, start + count))
    for batch in batches:
        assert len({place % 10 for place in batch.places}) == 1 and 1 <= len(batch.places) <= size
        assert batch.images[:, 0, 0, 0].tolist() == [place - start for place in batch.places]
        assert 0 <= min(batch.places) - batch.window < 10 * max(size, 12)
    numbers = [(batch.window, batch.number) for batch in batches]
    assert numbers == sorted(numbers) and len(set(numbers)) == len(numbers)


def test_images_are_not_read_long_before_they_are_needed():
    read = []

    def source():
        for batch in numbered(1000).split(10):
            read.append(len(batch))
            yield batch

    next(in_groups(source(), 0, 4))
    assert sum(read) == 120


def test_images_in_order_come_in_order():
    batches = list(in_order(numbered(10).split(3), 4))
    assert [batch.places for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [batch.images[:, 0, 0, 0].tolist() for batch in batches] == [batch.places for batch in batches]


@pytest.mark.parametrize(("transformations", "size"), list(product([1, 3, 7, 11], [1, 2, 4, 32])))
def test_an_image_and_its_copies_fit_in_a_batch(transformations, size):
    all_of_them = [es.shift(number, 0) for number in range(1, transformations + 1)]
    passes = sharing(all_of_them, size)
    assert [one for chosen in passes for one in chosen] == all_of_them
    assert max(map(len, passes)) <= max(1, size - 1)
    assert len(passes) == -(-transformations // max(1, size - 1))


class Kept:
    """Keeps what it is given."""

    def __init__(self, layer):
        self.layer, self.given = layer, []

    def add(self, maps, places, chosen, first):
        self.given.append((maps.clone(), list(places), [one.name for one in chosen], first))


def passes_of(model, size=12, batch_size=8, **given):
    return ForwardPasses(model.eval(), frame((size, size), []), torch.device("cpu"), batch_size, "float32", **given)


@pytest.mark.parametrize("batch_size", [2, 3, 8])
def test_every_copy_of_an_image_passes_by_once(batch_size):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))
    kept = Kept(find_layers(model, (3, 12, 12), "0").measured[0])
    images, done = torch.randn(5, 3, 12, 12), []
    forward = passes_of(model, batch_size=batch_size)
    with torch.no_grad():
        batches = in_groups([images], 0, forward.images_at_once(ROTATIONS))
        forward(batches, ROTATIONS, {"0": kept}, Silent(), done.append)
        expected = {one.name: model(one.on_pixels(images)) for one in ROTATIONS} | {"still": model(images)}
    assert [batch.places for batch in done] == [[place] for place in range(5)]
    seen = []
    for maps, places, names, first in kept.given:
        assert len(maps) == len(places) * (1 + len(names)) <= max(batch_size, 2)
        for name, part in zip(["still", *names], maps.split(len(places)), strict=True):
            torch.testing.assert_close(part, expected[name][places])
        seen += [(place, name) for place in places for name in [*names, *(["still"] if first else [])]]
    assert sorted(seen) == sorted(product(range(5), expected))


def test_the_first_axis_must_be_the_image():
    layer = find_layers(nn.Sequential(nn.Conv2d(3, 4, 3)), (3, 12, 12), "0").measured[0]
    with pytest.raises(
        ValueError, match=r"gave features for 3 images where the network was given 6; its first axis is"
    ):
        maps_of(layer, torch.zeros(3, 4, 10, 10), 6)


def test_features_must_be_of_the_size_promised():
    layer = find_layers(nn.Sequential(nn.Conv2d(3, 4, 3)), (3, 12, 12), "0").measured[0]
    with pytest.raises(
        ValueError, match="Layer 0 gave 4 channels of 10 x 9 positions, where its shape promised 4 chan"
    ):
        maps_of(layer, torch.zeros(2, 4, 10, 9), 2)
    assert maps_of(layer, torch.zeros(2, 4, 10, 10, dtype=torch.bfloat16), 2).dtype == torch.float32


def test_what_a_network_raises_is_told_with_the_shape_of_its_images_and_memory_as_it_is():
    class Failing(nn.Module):
        error = RuntimeError("a word of the network\nand another line")

        def forward(self, images):
            raise self.error

    model = nn.Sequential(nn.Conv2d(3, 4, 3), Failing())
    kept = {"0": Kept(find_layers(nn.Sequential(nn.Conv2d(3, 4, 3)), (3, 12, 12), "0").measured[0])}
    with pytest.raises(
        ValueError, match="fails on images of 3 x 12 x 12, with RuntimeError: a word of the network"
    ) as told:
        passes_of(model)(in_order([torch.randn(2, 3, 12, 12)], 2), ROTATIONS[:1], kept, Silent())
    assert "\n" not in str(told.value)
    Failing.error = MemoryError()
    with pytest.raises(MemoryError):
        passes_of(model)(in_order([torch.randn(2, 3, 12, 12)], 2), ROTATIONS[:1], kept, Silent())


class Summed(Kept):
    """Tells the sum of squares, as receivers do."""

    def add(self, maps, places, chosen, first):
        return maps.square().sum()


@pytest.mark.parametrize("registered", [0, 16])
def test_the_image_whose_features_are_not_finite_is_named(registered):
    model = nn.Sequential(nn.Conv2d(3, 4, 1))
    kept = {"0": Summed(find_layers(model, (3, 12, 12), "0").measured[0])}
    images = torch.randn(40, 3, 12, 12)
    images[27, 0, 11, 11] = torch.nan
    with pytest.raises(ValueError, match=f"Layer 0 gives NaN, infinity .* for image {registered + 27} .counted from 0"):
        passes_of(model, registered=registered)(in_groups([images], 0, 2), ROTATIONS, kept, Silent())
