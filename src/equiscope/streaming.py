"""What a measurement remembers of the images it has seen: sums that join, and one score an image."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from equiscope.functional.matching import Matches, bounded, matched, matches, strongest
from equiscope.functional.similarity import Centring, Side, norm
from equiscope.functional.statistics import defined_mean
from equiscope.processes import Processes

State = dict[str, Any]  # of tensors, numbers, and more of these: what `torch.load` reads without running anything
SUMS = ("count", "turned_mean", "expected_mean", "turned_square", "expected_square", "product")

LEAST_SAMPLES = 4  # of a correlation over all images
LEAST_CELLS = 9  # of a correlation within one image
HELD = 3 * 2**14  # channels of images that wait to be remembered
HELD_IMAGES = 256  # and images
TILE = 2**19  # products of channels with channels that exist at once: two megabytes, which a core's cache can hold
LEAST_LARGE = 2**13  # products of one image that are worth an operation of their own
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
    features are, in float32; all else lies in float64 on the CPU. What is told of images waits there until there is
    enough of it: then it costs next to nothing, and an accelerator need not stop for it.
    """

    def __init__(self, groups: int, channels: int, *, own: bool = False, device: torch.device | None = None) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64)

        self.own, self.channels, self.groups = own, channels, groups
        self.count = zeros(groups)
        self.turned_mean, self.expected_mean = zeros(groups, channels), zeros(groups, channels)
        self.turned_square, self.expected_square = zeros(groups, channels), zeros(groups, channels)
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
        groups = torch.tensor([place % self.groups for places, _, _ in self._held for place in places])
        cells = torch.tensor([turned.cells for of, turned, _ in self._held for _ in of])
        own_group = torch.cat([groups, torch.arange(len(self.count))])  # of every image, and of every group's mean
        weight = torch.cat([cells.double(), self.count])
        self.count = torch.zeros_like(self.count).index_add_(0, own_group, weight)
        off = []
        for sides, mean, square in (
            ([turned for _, turned, _ in self._held], self.turned_mean, self.turned_square),
            ([expected for _, _, expected in self._held], self.expected_mean, self.expected_square),
        ):
            values = torch.cat([_on_cpu([one.rest for one in sides]) + _on_cpu([one.reference for one in sides]), mean])
            total = torch.zeros_like(mean).index_add_(0, own_group, weight[:, None] * values)
            mean.copy_(total / self.count.clamp(min=1)[:, None])
            off.append(weight.sqrt()[:, None] * (values - mean[own_group]))
            square.index_add_(0, groups, _on_cpu([one.norm for one in sides]).square())
            square.index_add_(0, own_group, off[-1].square())
        self._add_products(off[0], off[1], own_group)
        self._held.clear()
        self._images_held = 0

    def _add_products(self, turned: Tensor, expected: Tensor, groups: Tensor) -> None:
        """Add the products of rows, each row to its group."""
        if self.own:
            product = torch.zeros(self.product.shape, dtype=torch.float64).index_add_(0, groups, turned * expected)
            self.product += product.to(self.product)
            return
        for group in sorted(set(groups.tolist())):
            rows = groups == group
            self.product[group].addmm_(turned[rows].T.to(self.product), expected[rows].to(self.product))

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
        """The centred sums of products over all groups, for a band of channels; then without each group in turn."""
        (_, whole), *rest = some
        turned = (self.turned_mean - whole.turned_mean)[:, band].to(place)
        expected = (self.expected_mean - whole.expected_mean).to(place)
        count = self.count.to(place)
        sums = [of_group[band].to(place) for of_group in self.product]
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
    own: Float[Tensor, "image channel"]  # products with channels of norm 1; under `strict` similarities
    best: Float[Tensor, "image channel"]
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
        partners: bool = True,
        device: torch.device | None = None,
    ) -> None:
        self.negative = negative
        self.groups = groups
        self.channels, self.device = channels, device or torch.device("cpu")
        self.on_cpu = self.device.type == "cpu"
        self.sums = PairSums(groups, channels, device=device)
        self.own_sums = PairSums(groups, channels, own=True, device=device) if strict else None
        self.within = ImageMemory(channels, partners=partners)
        self._held: list[_Found] = []
        self._images_held = 0

    def add(self, turned: Side, expected: Side, places: range, own: tuple[Side, Side] | None = None) -> None:
        """Take in images' sides over the valid cells, and under `strict` both sides over all cells, not moved.

        The values of the expected sides are scaled to norms of 1.
        """
        self.sums.add(turned.centring, expected.centring, places)
        if turned.cells == 1 and turned.centred:
            found = self._nothing(len(places))  # a single cell, less itself
        else:
            found = self._matched(turned, expected, places)
        self._hold(turned.centring, *found, own, places)

    def add_nothing(self, places: range, own: tuple[Side, Side] | None = None) -> None:
        """Take in images of which no cell is valid; under `strict` they still have a similarity of their own."""
        nothing = torch.zeros(len(places), self.channels, device=self.device)
        self._hold(Centring(nothing, nothing, nothing, 0), *self._nothing(len(places)), own, places)

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
        cells = torch.tensor([float(one.cells) for one in turned for _ in one.rest])
        level = _on_cpu([one.rest for one in turned]) + _on_cpu([one.reference for one in turned])
        turned_norm = norm(_on_cpu([one.norm for one in turned]).square(), level, cells, LEAST_CELLS)
        own = _on_cpu([found.own for found in self._held])
        found = matched(
            own,
            _on_cpu([found.best for found in self._held]),
            torch.cat([found.partner for found in self._held]).cpu(),
            turned_norm,
            self.negative,
        )
        self.within.add(found if self.own_sums is None else replace(found, invariance=bounded(own, self.negative)))
        self._held.clear()
        self._images_held = 0

    def _hold(
        self, turned: Centring, own: Tensor, best: Tensor, partner: Tensor, sides: tuple[Side, Side] | None,
        places: range,
    ) -> None:  # fmt: skip
        if self.own_sums is not None:
            own = torch.full_like(own, torch.nan) if sides is None else self._own_similarity(*sides, places)
        self._held.append(_Found(turned, own, best, partner))
        self._images_held += len(places)
        if self._images_held >= min(HELD_IMAGES, HELD / self.channels):
            self.join()

    def _nothing(self, images: int) -> tuple[Tensor, Tensor, Tensor]:
        nothing = torch.full((images, self.channels), torch.nan, device=self.device)
        return nothing, nothing, torch.zeros(images, self.channels, dtype=torch.int64, device=self.device)

    def _matched(self, turned: Side, expected: Side, places: range) -> tuple[Tensor, Tensor, Tensor]:
        """Add the products to the sums; every channel's product with itself, the largest with any, and which.

        A channel's product with itself is summed apart, pairwise: a matrix product in float32 is off by 3e-6 on long
        sums, and a channel compared with itself must score 1 within 1e-6.
        """
        pairs, channels, cells = turned.values.shape
        own = (turned.values * expected.values).sum(-1)
        undefined = expected.centring.constant()
        best, partner = torch.empty_like(own), torch.empty(own.shape, dtype=torch.int64, device=own.device)
        at_once = TILE if self.on_cpu else LARGE_TILE
        images, rows = max(1, at_once // channels**2), min(channels, max(1, at_once // channels))
        for start, top in itertools.product(range(0, pairs, images), range(0, channels, rows)):
            some, band = slice(start, start + images), slice(top, top + rows)
            similarity = turned.values[some, band] @ expected.values[some].mT
            similarity.diagonal(top, -2, -1).copy_(own[some, band])
            self._add_product(similarity, expected.centring.norm[some], places[some], band)
            if cells >= LEAST_CELLS:
                best[some, band], partner[some, band] = self._strongest(similarity, undefined[some])
        if cells < LEAST_CELLS:
            return self._nothing(pairs)
        if self.on_cpu and undefined.any():
            self._without_undefined(turned, expected, undefined, best, partner)
        return own.masked_fill_(undefined, torch.nan), best, partner

    def _strongest(self, similarity: Tensor, undefined: Tensor) -> tuple[Tensor, Tensor]:
        """The largest similarity of each row; on a CPU undefined channels take part."""
        if self.negative == "abs":
            similarity.abs_()
        if not self.on_cpu:
            similarity.masked_fill_(undefined[:, None], -torch.inf)
        return strongest(similarity)

    def _without_undefined(
        self, turned: Side, expected: Side, undefined: Tensor, best: Tensor, partner: Tensor
    ) -> None:
        """Find the best match anew where an undefined channel has won.

        That is rare, for most of them are zero; looking for it costs less than leaving them out of every product.
        """
        all_undefined = undefined.all(-1, keepdim=True)
        best.masked_fill_(all_undefined, -torch.inf)
        won = undefined.gather(-1, partner) & ~turned.centring.constant() & ~all_undefined
        for image in won.any(-1).nonzero()[:, 0].tolist():
            rows = won[image].nonzero()[:, 0]
            similarity = turned.values[image, rows] @ expected.values[image].T
            if self.negative == "abs":
                similarity.abs_()
            best[image, rows], partner[image, rows] = strongest(similarity.masked_fill_(undefined[image], -torch.inf))

    def _add_product(self, similarity: Tensor, norm: Tensor, places: range, band: slice) -> None:
        """Add products with channels of norm 1, for what they were with that norm."""
        sums = self.sums.product
        if self.on_cpu and similarity[0].numel() >= LEAST_LARGE:
            for one, place in enumerate(places):
                sums[place % self.groups, band].addcmul_(similarity[one], norm[one])
        elif self.groups == 1:
            sums[0, band] += (similarity * norm[:, None]).sum(0)
        else:
            sums[:, band].index_add_(0, self._groups_of(places), similarity * norm[:, None])

    def _groups_of(self, places: range) -> Int[Tensor, "image"]:
        """Made where the features are: a copy from the CPU would have an accelerator wait for it."""
        return torch.arange(places.start, places.stop, device=self.device) % self.groups

    def _own_similarity(self, turned: Side, expected: Side, places: range) -> Tensor:
        """Every channel's similarity with itself where it lies, not moved: Eq. 4 to the letter."""
        assert self.own_sums is not None
        product = (turned.values * expected.values).sum(-1)
        inner = product * expected.centring.norm
        self.own_sums.product.index_add_(0, self._groups_of(places), inner)
        self.own_sums.add(turned.centring, expected.centring, places)
        undefined = turned.centring.constant() | expected.centring.constant()
        if turned.centring.cells < LEAST_CELLS:
            undefined = torch.ones_like(undefined)
        return (product / turned.centring.norm).masked_fill_(undefined, torch.nan)


def _on_cpu(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts)).cpu().double()


class ChannelSpread:
    """Which channels are the same everywhere, in every image: the dead ones."""

    def __init__(self, channels: int) -> None:
        self.sums = PairSums(1, channels, own=True)

    def add(self, still: Centring) -> None:
        """Take in images."""
        self.sums.add(still, still, range(len(still.rest)))

    def dead(self) -> int:
        """How many channels are constant over all images."""
        total = self.sums.moments()
        return int(norm(total.turned_square, total.turned_mean, total.count, 0).isnan().sum())
