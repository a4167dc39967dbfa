"""What a measurement remembers of the images it has seen: sums that join, and one score an image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from equiscope.functional import loops
from equiscope.functional.loops import Scratch
from equiscope.functional.matching import Matches, bounded, matched, matches, reduced
from equiscope.functional.similarity import Centring, Side, norm, own_products, side
from equiscope.functional.statistics import defined_mean
from equiscope.system.processes import Processes

State = dict[str, Any]  # of tensors, numbers, and more of these: what `torch.load` reads without running anything
SUMS = ("count", "turned_mean", "expected_mean", "turned_square", "expected_square", "product")

LEAST_SAMPLES = 4  # of a correlation over all images
LEAST_CELLS = 9  # of a correlation within one image
HELD = 3 * 2**14  # channels of images that wait to be remembered
HELD_IMAGES = 512  # and images
TILE = 2**18  # products of channels with channels that exist at once: a megabyte, which a core's cache can hold
FEW_PAIRS = 2**12  # of channels, for each image: then all images are counted at once
LARGE_TILE = 2**25  # the same on an accelerator, which would rather have much to do at once


@dataclass(frozen=True)
class Moments:
    """Count, means and centred sums of squares of two sides over some images, in float64."""

    count: Float[Tensor, ""]
    turned_mean: Float[Tensor, "channel"]
    expected_mean: Float[Tensor, "channel"]
    turned_square: Float[Tensor, "channel"]
    expected_square: Float[Tensor, "channel"]

    def norms(self) -> tuple[Tensor, Tensor]:
        """The norms of both sides; NaN where a channel has no similarity."""
        return (
            norm(self.turned_square, self.turned_mean, self.count, LEAST_SAMPLES),
            norm(self.expected_square, self.expected_mean, self.count, LEAST_SAMPLES),
        )


class PairSums:
    """Running sums over the images of each group, of every channel with every channel or of each with itself.

    An image's group is its place in the data set, modulo their number. The products, which are large, lie where the
    features are, in float32, a row for every expected channel and a column for every turned one; all else lies in
    float64 on the CPU. What is told of images waits there until there is enough of it: then it costs next to nothing,
    and an accelerator need not stop for it.
    """

    def __init__(self, groups: int, channels: int, *, own: bool = False, device: torch.device | None = None) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64)

        self.own, self.channels, self.groups = own, channels, groups
        self.count = zeros(groups)
        self._means, self._squares = zeros(2, groups, channels), zeros(2, groups, channels)
        self.turned_mean, self.expected_mean = self._means
        self.turned_square, self.expected_square = self._squares
        pair = (channels,) if own else (channels, channels)
        self.product = torch.zeros(groups, *pair, device=device)
        self._held: list[tuple[range, Centring, Centring]] = []  # places, of the turned, of the expected
        self._images_held = 0

    def add(self, turned: Centring, expected: Centring, places: range) -> None:
        """Take in images and their places, but for the products of their centred values, which go into `product`."""
        self._held.append((places, turned, expected))
        self._images_held += len(places)
        if self._images_held >= min(HELD_IMAGES, HELD / self.channels):
            self.join()

    def join(self) -> None:
        """Join the waiting images to their groups: what differs between images, by Chan's rule."""
        if not self._held:
            return
        groups = torch.cat([torch.arange(places.start, places.stop) for places, _, _ in self._held]) % self.groups
        cells = _cells([turned for _, turned, _ in self._held])
        rows = torch.cat([groups, torch.arange(self.groups)])  # whose each image is, and each group so far
        weights = torch.cat([cells, self.count])
        self.count = torch.zeros_like(self.count).index_add_(0, rows, weights)
        turned = torch.cat([turned.found for _, turned, _ in self._held]).cpu()
        expected = torch.cat([expected.found for _, _, expected in self._held]).cpu()
        off = torch.empty(2, len(rows), self.channels, dtype=torch.float64)
        loops.join(turned, expected, rows, weights, self.count, self._means, self._squares, off)
        self._add_products(off[0], off[1], rows)
        self._held.clear()
        self._images_held = 0

    def _add_products(self, turned: Tensor, expected: Tensor, groups: Tensor) -> None:
        """Add the products of rows, each row to its group."""
        if self.own:
            product = torch.zeros(self.product.shape, dtype=torch.float64).index_add_(0, groups, turned * expected)
            self.product += product.to(self.product)
            return
        turned, expected = turned.to(self.product), expected.to(self.product)
        if self.channels <= loops.FEW_CHANNELS and loops.used_for(self.product):
            loops.add_products(expected, turned, groups, self.product)
            return
        for group in sorted(set(groups.tolist())):
            rows = groups == group
            self.product[group].addmm_(expected[rows].T, turned[rows])

    def joined_across(self, processes: Processes) -> None:
        """Join the sums of all processes, in each of them."""
        self.join()
        count = processes.total(self.count)
        off = []
        for mean, square in ((self.turned_mean, self.turned_square), (self.expected_mean, self.expected_square)):
            joint = processes.total(self.count[:, None] * mean) / count.clamp(min=1)[:, None]
            off.append(self.count.sqrt()[:, None] * (mean - joint))
            square.copy_(processes.total(square + off[-1].square()))
            mean.copy_(joint)
        self._add_products(off[0], off[1], torch.arange(len(count)))
        for of_group in self.product:  # one at a time, for they are large
            of_group.copy_(processes.total(of_group))
        self.count = count

    def moved(self, start: int, scale: float) -> None:
        """Take the images' places as from `start` on, and their features as multiplied by a power of two."""
        self.join()
        for name in SUMS if start % self.groups or scale != 1 else ():
            values, power = getattr(self, name), {"count": 0, "turned_mean": 1, "expected_mean": 1}.get(name, 2)
            values.copy_(values.roll(start, 0).mul_(scale**power))

    def state(self) -> State:
        """All that is remembered."""
        self.join()
        return {name: getattr(self, name) for name in SUMS}

    def restore(self, state: State) -> None:
        """Remember what a `state` holds."""
        for name in SUMS:
            getattr(self, name).copy_(state[name])

    def moments(self, without: int | None = None) -> Moments:
        """Of the images of all groups, or of all but one, by Chan's rule."""
        self.join()
        groups = [group for group in range(len(self.count)) if group != without]
        count = self.count[groups][:, None]
        total = count.sum()
        turned_mean = (count * self.turned_mean[groups]).sum(0) / total.clamp(min=1)
        expected_mean = (count * self.expected_mean[groups]).sum(0) / total.clamp(min=1)
        return Moments(
            total,
            turned_mean,
            expected_mean,
            self.turned_square[groups].sum(0) + (count * (self.turned_mean[groups] - turned_mean).square()).sum(0),
            self.expected_square[groups].sum(0)
            + (count * (self.expected_mean[groups] - expected_mean).square()).sum(0),
        )

    def matches(self, negative: str, *, left_out: bool = False) -> list[Matches]:
        """Every channel's scores over all images and, where asked for, over all but each group's in turn."""
        some = self._all_and_left_out(left_out)
        place = self.product.device if self.product.device.type != "mps" else torch.device("cpu")  # which has float64
        norms = [[one.to(place)[None] for one in moments.norms()] for _, moments in some]
        bands: list[list[Matches]] = [[] for _ in some]
        rows = min(self.channels, max(1, TILE // self.channels))
        for top in range(0, self.channels, rows):
            band = slice(top, top + rows)
            products = self._products(some, band, place)
            for found, product, (turned_norm, expected_norm) in zip(bands, products, norms, strict=True):
                found.append(matches(product[None], turned_norm[:, band], expected_norm, negative, top))
        return [
            Matches(
                torch.cat([one.invariance for one in found], -1),
                torch.cat([one.equivariance for one in found], -1),
                torch.cat([one.partner for one in found], -1),
            )
            for found in bands
        ]

    def own_similarities(self, negative: str, *, left_out: bool = False) -> list[Float[Tensor, "channel"]]:
        """Every channel's similarity with itself, from sums that hold nothing else, over the same images."""
        some = self._all_and_left_out(left_out)
        products = self._products(some, slice(None), torch.device("cpu"))
        return [
            bounded(product / (moments.norms()[0] * moments.norms()[1]), negative)
            for product, (_, moments) in zip(products, some, strict=True)
        ]

    def _all_and_left_out(self, left_out: bool) -> list[tuple[int | None, Moments]]:
        groups = [None, *range(len(self.count) if left_out else 0)]
        return [(group, self.moments(group)) for group in groups]

    def _products(
        self, some: Sequence[tuple[int | None, Moments]], band: slice, place: torch.device
    ) -> Iterator[Tensor]:
        """The centred sums of products over all groups, for a band of turned channels; then without each in turn."""
        (_, whole), *rest = some
        turned = (self.turned_mean - whole.turned_mean)[:, band].to(place)
        expected = (self.expected_mean - whole.expected_mean).to(place)
        count = self.count.to(place)
        sums = [
            (of_group[band] if self.own else of_group[:, band].T.contiguous()).to(place) for of_group in self.product
        ]
        product = (count[:, None] * turned * expected).sum(0) if self.own else (count[:, None] * turned).T @ expected
        for of_group in sums:
            product += of_group
        yield product.clone()
        for group, moments in rest:
            assert group is not None
            weight = whole.count * self.count[group] / moments.count
            if self.own:
                yield product - sums[group] - weight.to(place) * turned[group] * expected[group]
            else:
                yield (product - sums[group]).addr_(weight.to(place) * turned[group], expected[group], alpha=-1)


@dataclass(frozen=True)
class ImageScores:
    """One score an image, and a channel's means over images."""

    invariance: Float[np.ndarray, "image"]
    equivariance: Float[np.ndarray, "image"]
    undefined_invariance: int  # image-channel pairs
    undefined_equivariance: int
    channel_invariance: Float[np.ndarray, "channel"]
    channel_equivariance: Float[np.ndarray, "channel"]
    channel_partner: Int[np.ndarray, "channel"]  # the most frequent; -1: never one
    channel_images: Int[np.ndarray, "channel"]  # in how many its equivariance is defined


class ImageMemory:
    """The scores within each image: the mean over channels, and per channel the sums over images."""

    def __init__(self, channels: int, *, partners: bool = True) -> None:
        self.channels = channels
        self._means: list[tuple[Tensor, Tensor]] = []
        self._sums = torch.zeros(2, channels, dtype=torch.float64)
        self._defined = torch.zeros(2, channels, dtype=torch.int64)
        self._images = 0
        # How often each channel was each other's partner; two bytes hold it for a long time.
        self._times = np.zeros((channels, channels) if partners else (0, 0), dtype=np.uint16)

    def add(self, found: Matches) -> None:
        """Take in the matches of some images, in float64."""
        self._means.append((defined_mean(found.invariance)[0], defined_mean(found.equivariance)[0]))
        for row, values in enumerate((found.invariance, found.equivariance)):
            self._sums[row] += values.nan_to_num(nan=0.0).sum(0)
            self._defined[row] += (~values.isnan()).sum(0)
        self._images += len(found.partner)
        if self._times.size:
            self._count_partners(found.partner.numpy())

    def _count_partners(self, partner: Int[np.ndarray, "image channel"]) -> None:
        if self._images > np.iinfo(self._times.dtype).max:
            self._times = self._times.astype(np.uint32)
        channel = np.arange(self.channels)
        if self.channels**2 <= len(partner) * FEW_PAIRS:
            seen = (channel * self.channels + partner)[partner >= 0]
            times = np.bincount(seen, minlength=self.channels**2).reshape(self._times.shape)
            self._times += times.astype(self._times.dtype)
            return
        for of_image in partner:
            defined = of_image >= 0
            self._times[channel[defined], of_image[defined]] += 1

    def joined_across(self, processes: Processes) -> None:
        """Join what all processes remember, in each of them; the images come in the order of the processes."""
        parts = processes.gathered({name: of for name, of in self.state().items() if name != "times"})
        self._means = [mean for part in parts for mean in [tuple(part["means"])] if mean[0].numel()]
        self._sums = torch.stack([part["sums"] for part in parts]).sum(0)
        self._defined = torch.stack([part["defined"] for part in parts]).sum(0)
        self._images = sum(part["images"] for part in parts)
        self._times = processes.total(torch.from_numpy(self._times.astype(np.int32))).numpy().view(np.uint32)

    def state(self) -> State:
        """All that is remembered."""
        columns = list(zip(*self._means, strict=True)) or [(torch.empty(0, dtype=torch.float64),)] * 2
        return {
            "means": [torch.cat(column) for column in columns],
            "sums": self._sums,
            "defined": self._defined,
            "images": self._images,
            "times": self._times_as_tensor(),
        }

    def restore(self, state: State) -> None:
        """Remember what a `state` holds."""
        self._means = [tuple(state["means"])] if state["means"][0].numel() else []
        self._sums, self._defined, self._images = state["sums"], state["defined"], state["images"]
        times = state["times"].numpy()
        self._times = times.view(np.uint16 if times.dtype == np.int16 else np.uint32)

    def _times_as_tensor(self) -> Int[Tensor, "channel partner"]:
        """The same memory as signed numbers, which torch knows better."""
        return torch.from_numpy(self._times.view(np.int16 if self._times.dtype == np.uint16 else np.int32))

    def _most_frequent_partners(self) -> Int[np.ndarray, "channel"]:
        """The lowest of those that are equally frequent."""
        if not self._times.size:
            return np.full(self.channels, -1, dtype=np.int64)
        return np.where(self._times.any(1), self._times.argmax(1), -1)

    def scores(self) -> ImageScores:
        """The scores so far."""
        means = [torch.cat(column).numpy() for column in zip(*self._means, strict=True)]
        if not means:
            means = [np.empty(0), np.empty(0)]
        defined = self._defined.numpy()
        sums = self._sums.numpy()
        channel = np.divide(sums, defined, out=np.full_like(sums, np.nan), where=defined > 0)
        pairs = self._images * self.channels
        return ImageScores(
            invariance=means[0],
            equivariance=means[1],
            undefined_invariance=int(pairs - defined[0].sum()),
            undefined_equivariance=int(pairs - defined[1].sum()),
            channel_invariance=channel[0],
            channel_equivariance=channel[1],
            channel_partner=self._most_frequent_partners(),
            channel_images=defined[1],
        )


@dataclass(frozen=True)
class _Found:
    """What has been found within some images, and waits to be remembered."""

    turned: Centring
    expected: Centring
    own: Float[Tensor, "image channel"]  # products; under `strict` similarities
    best: Float[Tensor, "image channel"]  # products with channels of norm 1
    partner: Int[Tensor, "image channel"]


class PairMemory:
    """Both scopes' memory of pairs of sides: a layer under one transformation, matched or mismatched images."""

    def __init__(
        self,
        groups: int,
        channels: int,
        *,
        negative: str,
        strict: bool,
        scratch: Scratch,
        partners: bool = True,
        device: torch.device | None = None,
    ) -> None:
        self.negative, self.scratch = negative, scratch
        self.channels, self.device = channels, device or torch.device("cpu")
        self.sums = PairSums(groups, channels, device=device)
        self.own_sums = PairSums(groups, channels, own=True, device=device) if strict else None
        self.within = ImageMemory(channels, partners=partners)
        self._held: list[_Found] = []
        self._images_held = 0

    def add(self, turned: Side, expected: Side, places: range, own: tuple[Side, Side] | None = None) -> None:
        """Take in images' sides over the valid cells, and under `strict` both sides over all cells, not moved."""
        images = len(places)
        best = torch.full((images, self.channels), -torch.inf, device=self.device)
        partner = torch.zeros(images, self.channels, dtype=torch.int32, device=self.device)
        if turned.cells > 1 or (turned.cells and not turned.centred):  # a single cell, less itself, is nothing
            products = self._matched(turned, expected, places.start, best, partner)
        else:
            products = torch.zeros_like(best)
        if self.own_sums is not None:
            products = torch.full_like(best, torch.nan) if own is None else self._own_similarity(*own, places)
        self.hold(turned.centring, expected.centring, products, best, partner, places)

    def hold(
        self, turned: Centring, expected: Centring, own: Tensor, best: Tensor, partner: Tensor, places: range
    ) -> None:
        """Take in what has been found of images, whose products are in the sums already."""
        if turned.cells:
            self.sums.add(turned, expected, places)
        self._held.append(_Found(turned, expected, own, best, partner))
        self._images_held += len(places)
        if self._images_held >= min(HELD_IMAGES, HELD / self.channels):
            self.join()

    def add_nothing(self, places: range, own: tuple[Side, Side] | None = None) -> None:
        """Take in images of which no cell is valid; under `strict` they still have a similarity of their own."""
        nothing = torch.zeros(len(places), self.channels, 0, device=self.device)
        self.add(side(nothing), side(nothing), places, own)

    def joined_across(self, processes: Processes) -> None:
        """Join what all processes remember, in each of them."""
        self.join()
        for part in self._parts().values():
            part.joined_across(processes)

    def state(self) -> State:
        """All that is remembered."""
        self.join()
        return {name: part.state() for name, part in self._parts().items()}

    def restore(self, state: State) -> None:
        """Remember what a `state` holds."""
        for name, part in self._parts().items():
            part.restore(state[name])

    def _parts(self) -> dict[str, PairSums | ImageMemory]:
        parts: dict[str, PairSums | ImageMemory] = {"sums": self.sums, "within": self.within}
        return parts if self.own_sums is None else parts | {"own_sums": self.own_sums}

    def join(self) -> None:
        """Remember what waits."""
        self.sums.join()
        if self.own_sums is not None:
            self.own_sums.join()
        if not self._held:
            return
        turned = [found.turned for found in self._held]
        means, squares = _means_and_squares(turned)
        turned_norm = norm(squares, means, _cells(turned), LEAST_CELLS)
        own = torch.cat([found.own for found in self._held])
        if self.own_sums is None:
            inverse = torch.cat([found.expected.inverse for found in self._held])
            own = (own * inverse).masked_fill_(inverse == 0, torch.nan)  # in float32, as the best match was found
        own = own.cpu().double()
        found = matched(
            own,
            torch.cat([found.best for found in self._held]).cpu().double(),
            torch.cat([found.partner for found in self._held]).cpu(),
            turned_norm,
            self.negative,
        )
        self.within.add(found if self.own_sums is None else replace(found, invariance=bounded(own, self.negative)))
        self._held.clear()
        self._images_held = 0

    def _matched(self, turned: Side, expected: Side, place: int, best: Tensor, partner: Tensor) -> Tensor:
        """Add the products to the sums; put every channel's best match where it belongs, and give its own product."""
        images, channels, cells = turned.values.shape
        own, inverse = own_products(turned, expected), expected.centring.inverse
        if cells < LEAST_CELLS:
            inverse = torch.zeros_like(inverse)  # nothing is looked for
        at_once = TILE if self.device.type == "cpu" else LARGE_TILE
        some, rows = max(1, at_once // channels**2), min(channels, max(1, at_once // channels))
        for start in range(0, images, some):
            these = slice(start, start + some)
            columns = turned.values[these].mT
            for first in range(0, channels, rows):
                of_rows = expected.values[these, first : first + rows]
                out = self.scratch.of("products", columns, *of_rows.shape[:2], channels)
                reduced(
                    torch.bmm(of_rows, columns, out=out), first, own[these], inverse[these], self.sums.product,
                    place + start, best[these], partner[these], absolute=self.negative == "abs",
                )  # fmt: skip
        return own

    def _own_similarity(self, turned: Side, expected: Side, places: range) -> Tensor:
        """Every channel's similarity with itself where it lies, not moved: Eq. 4 to the letter."""
        assert self.own_sums is not None
        product = own_products(turned, expected)
        groups = torch.arange(places.start, places.stop, device=self.device) % self.own_sums.groups
        self.own_sums.product.index_add_(0, groups, product)
        self.own_sums.add(turned.centring, expected.centring, places)
        inverse = turned.centring.inverse * expected.centring.inverse
        undefined = (turned.centring.inverse == 0) | (expected.centring.inverse == 0)
        if turned.cells < LEAST_CELLS:
            undefined = torch.ones_like(undefined)
        return (product * inverse).masked_fill_(undefined, torch.nan)


def _cells(centrings: Sequence[Centring]) -> Float[Tensor, "image"]:
    """How many cells each image has."""
    images = torch.tensor([len(one.found) for one in centrings])
    return torch.tensor([float(one.cells) for one in centrings], dtype=torch.float64).repeat_interleave(images)


def _means_and_squares(centrings: Sequence[Centring]) -> tuple[Tensor, Tensor]:
    """The means of all images' channels and the squares of their norms, in float64 on the CPU."""
    found = torch.cat([one.found for one in centrings]).cpu().double()
    return found[:, 0] + found[:, 1], found[:, 2].square()


class ChannelSpread:
    """Which channels are the same everywhere, in every image: the dead ones."""

    def __init__(self, channels: int) -> None:
        self.sums = PairSums(1, channels, own=True)

    def add(self, still: Centring) -> None:
        """Take in images."""
        self.sums.add(still, still, range(len(still.found)))

    def dead(self) -> int:
        """How many channels are constant over all images."""
        total = self.sums.moments()
        return int(norm(total.turned_square, total.turned_mean, total.count, 0).isnan().sum())
