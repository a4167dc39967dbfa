"""What a measurement remembers of the images it has seen: sums that join, and one score an image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from equiscope.functional.matching import Matches, bounded, matches
from equiscope.functional.similarity import Side, channel_products, norm
from equiscope.functional.statistics import defined_mean

LEAST_SAMPLES = 4  # of a correlation over all images
LEAST_CELLS = 9  # of a correlation within one image
HELD_IMAGES = 64  # image means that wait for their turn in the sums
LARGEST_PRODUCT = 4_000_000  # elements of the products of every channel with every channel that exist at once


@dataclass(frozen=True)
class Moments:
    """Count, means and centred sums of products of two sides over some images, in float64."""

    count: Float[Tensor, ""]
    turned_mean: Float[Tensor, "channel"]
    expected_mean: Float[Tensor, "channel"]
    turned_square: Float[Tensor, "channel"]
    expected_square: Float[Tensor, "channel"]
    product: Float[Tensor, "*pair"]  # channel by channel; each channel with itself alone under `strict`

    def norms(self) -> tuple[Tensor, Tensor]:
        """The norms of both sides; NaN where a channel has no similarity."""
        return (
            norm(self.turned_square, self.turned_mean, self.count, LEAST_SAMPLES),
            norm(self.expected_square, self.expected_mean, self.count, LEAST_SAMPLES),
        )

    def matches(self, negative: str) -> Matches:
        """Every channel's scores over all the images."""
        turned_norm, expected_norm = self.norms()
        return matches(self.product.clone()[None], turned_norm[None], expected_norm[None], negative)

    def own_similarity(self, negative: str) -> Float[Tensor, "channel"]:
        """Every channel's similarity with itself, from sums that hold nothing else."""
        turned_norm, expected_norm = self.norms()
        return bounded(self.product / (turned_norm * expected_norm), negative)


class PairSums:
    """Running sums over the images of each group, of every channel with every channel or of each with itself."""

    def __init__(self, groups: int, channels: int, *, own: bool = False, device: torch.device | None = None) -> None:

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=device)

        self.own = own
        self.count = zeros(groups)
        self.turned_mean, self.expected_mean = zeros(groups, channels), zeros(groups, channels)
        self.turned_square, self.expected_square = zeros(groups, channels), zeros(groups, channels)
        pair = (channels,) if own else (channels, channels)
        self.product = torch.zeros(groups, *pair, device=device)
        self._held: list[tuple[int, int, Tensor, Tensor]] = []  # group, cells, mean of the turned, of the expected

    def add(
        self, turned: Side, expected: Side, product: Float[Tensor, "image *pair"] | None, groups: Sequence[int]
    ) -> None:
        """Take in images: their sides, the product of the sides (None: of single cells, so zero), their groups."""
        places = torch.as_tensor(groups, device=self.product.device)
        if product is not None:
            for image, group in enumerate(groups):
                self.product[group] += product[image]
        self.turned_square.index_add_(0, places, turned.square)
        self.expected_square.index_add_(0, places, expected.square)
        for image, group in enumerate(groups):
            self._held.append((group, turned.cells, turned.mean[image], expected.mean[image]))
        if len(self._held) >= HELD_IMAGES:
            self._join_held()

    def _join_held(self) -> None:
        """Join the waiting images' means to their groups: what differs between images, by Chan's rule."""
        for group in sorted({held[0] for held in self._held}):
            of_group = [held for held in self._held if held[0] == group]
            weight = torch.tensor([float(cells) for _, cells, _, _ in of_group], device=self.count.device).double()
            turned = torch.stack([held[2] for held in of_group])
            expected = torch.stack([held[3] for held in of_group])
            before, added = self.count[group].clone(), weight.sum()
            turned_mean = (weight[:, None] * turned).sum(0) / added
            expected_mean = (weight[:, None] * expected).sum(0) / added
            turned_step = turned_mean - self.turned_mean[group]
            expected_step = expected_mean - self.expected_mean[group]
            root = torch.cat([weight, (before * added / (before + added))[None]]).sqrt()[:, None]
            turned_off = root * torch.cat([turned - turned_mean, turned_step[None]])
            expected_off = root * torch.cat([expected - expected_mean, expected_step[None]])
            self.turned_square[group] += turned_off.square().sum(0)
            self.expected_square[group] += expected_off.square().sum(0)
            if self.own:
                self.product[group] += (turned_off * expected_off).sum(0)
            else:
                self.product[group].addmm_(turned_off.T.float(), expected_off.float())
            self.count[group] = before + added
            self.turned_mean[group] += turned_step * added / (before + added)
            self.expected_mean[group] += expected_step * added / (before + added)
        self._held.clear()

    def moments(self) -> Moments:
        """The sums of all groups, joined by Chan's rule."""
        self._join_held()
        turned_off, expected_off, whole = self._joined(list(range(len(self.count))))
        weighted = self.count[:, None] * turned_off
        product = (weighted * expected_off).sum(0) if self.own else weighted.T @ expected_off
        for of_group in self.product:
            product += of_group
        return replace(whole, product=product)

    def moments_without(self, group: int, whole: Moments) -> Moments:
        """The sums of all groups but one, by Chan's rule backwards from `whole`, the moments of all."""
        _, _, rest = self._joined([other for other in range(len(self.count)) if other != group])
        turned_off = self.turned_mean[group] - whole.turned_mean
        expected_off = self.expected_mean[group] - whole.expected_mean
        weight = whole.count * self.count[group] / rest.count
        product = whole.product - self.product[group]
        if self.own:
            product -= weight * turned_off * expected_off
        else:
            product.addr_(weight * turned_off, expected_off, alpha=-1)
        return replace(rest, product=product)

    def _joined(self, groups: list[int]) -> tuple[Tensor, Tensor, Moments]:
        """The groups' means less their joint mean, on both sides, and their joint moments but for the product."""
        count = self.count[groups][:, None]
        total = count.sum()
        turned_mean = (count * self.turned_mean[groups]).sum(0) / total.clamp(min=1)
        expected_mean = (count * self.expected_mean[groups]).sum(0) / total.clamp(min=1)
        turned_off = self.turned_mean[groups] - turned_mean
        expected_off = self.expected_mean[groups] - expected_mean
        joint = Moments(
            total,
            turned_mean,
            expected_mean,
            self.turned_square[groups].sum(0) + (count * turned_off.square()).sum(0),
            self.expected_square[groups].sum(0) + (count * expected_off.square()).sum(0),
            turned_mean,
        )
        return turned_off, expected_off, joint


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

    def __init__(self, channels: int, device: torch.device | None = None) -> None:
        self.channels = channels
        self._means: list[tuple[Tensor, Tensor]] = []
        self._sums = torch.zeros(2, channels, dtype=torch.float64, device=device)
        self._defined = torch.zeros(2, channels, dtype=torch.int64, device=device)
        self._images = 0
        self._partners: list[Tensor] = []
        self._pairs = np.empty(0, dtype=np.int64)  # channel * channels + partner
        self._counts = np.empty(0, dtype=np.int64)

    def add(self, found: Matches) -> None:
        """Take in the matches of some images."""
        self._means.append((defined_mean(found.invariance)[0], defined_mean(found.equivariance)[0]))
        for row, values in enumerate((found.invariance, found.equivariance)):
            self._sums[row] += values.nan_to_num(nan=0.0).double().sum(0)
            self._defined[row] += (~values.isnan()).sum(0)
        self._images += len(found.partner)
        self._partners.append(found.partner.int())
        if sum(partner.numel() for partner in self._partners) > LARGEST_PRODUCT:
            self._count_partners()

    def _count_partners(self) -> None:
        if not self._partners:
            return
        partner = torch.cat(self._partners).cpu().numpy().astype(np.int64)
        channel = np.broadcast_to(np.arange(self.channels), partner.shape)
        seen = (channel * self.channels + partner)[partner >= 0]
        pairs, place = np.unique(np.concatenate([self._pairs, seen]), return_inverse=True)
        counts = np.concatenate([self._counts, np.ones(len(seen), dtype=np.int64)])
        self._pairs = pairs
        self._counts = np.bincount(place, counts, minlength=len(pairs)).astype(np.int64)
        self._partners.clear()

    def _most_frequent_partners(self) -> Int[np.ndarray, "channel"]:
        self._count_partners()
        partner = np.full(self.channels, -1, dtype=np.int64)
        order = np.lexsort((-self._pairs, self._counts))  # the last written wins: most counts, then lowest partner
        partner[self._pairs[order] // self.channels] = self._pairs[order] % self.channels
        return partner

    def scores(self) -> ImageScores:
        """The scores so far."""
        means = [torch.cat(column).double().cpu().numpy() for column in zip(*self._means, strict=True)]
        if not means:
            means = [np.empty(0), np.empty(0)]
        defined = self._defined.cpu().numpy()
        sums = self._sums.cpu().numpy()
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


class PairMemory:
    """Both scopes' memory of pairs of sides: a layer under one transformation, matched or mismatched images."""

    def __init__(
        self, groups: int, channels: int, *, negative: str, strict: bool, device: torch.device | None = None
    ) -> None:
        self.negative = negative
        self.groups = groups
        self.sums = PairSums(groups, channels, device=device)
        self.own_sums = PairSums(groups, channels, own=True, device=device) if strict else None
        self.within = ImageMemory(channels, device)

    def add(self, turned: Side, expected: Side, groups: Sequence[int], own: tuple[Side, Side] | None = None) -> None:
        """Take in images' sides over the valid cells, and under `strict` both sides over all cells, not moved."""
        images, channels, cells = turned.values.shape
        step = max(1, LARGEST_PRODUCT // channels**2)
        for start in range(0, images, step):
            some = slice(start, min(start + step, images))
            self._add_some(turned[some], expected[some], groups[some], (own[0][some], own[1][some]) if own else None)

    def add_nothing(self, groups: Sequence[int], own: tuple[Side, Side] | None = None) -> None:
        """Take in images of which no cell is valid; under `strict` they still have a similarity of their own."""
        found = _undefined(len(groups), self.within.channels, self.sums.product.device)
        self.within.add(self._with_own(found, own, groups))

    def _add_some(self, turned: Side, expected: Side, groups: Sequence[int], own: tuple[Side, Side] | None) -> None:
        nothing_within = turned.centred and turned.cells == 1
        product = None if nothing_within else channel_products(turned, expected)
        self.sums.add(turned, expected, product, groups)
        if product is None or turned.cells < LEAST_CELLS:
            found = _undefined(len(groups), self.within.channels, self.sums.product.device)
        else:
            found = matches(product, *_norms(turned, expected), self.negative)
        self.within.add(self._with_own(found, own, groups))

    def _with_own(self, found: Matches, own: tuple[Side, Side] | None, groups: Sequence[int]) -> Matches:
        """The matches, with invariance to the letter of Eq. 4 under `strict`."""
        if self.own_sums is None:
            return found
        if own is None:
            return Matches(torch.full_like(found.invariance, torch.nan), found.equivariance, found.partner)
        product = (own[0].values * own[1].values).sum(-1)
        self.own_sums.add(*own, product, groups)
        turned_norm, expected_norm = _norms(*own)
        similarity = bounded(product / (turned_norm * expected_norm), self.negative)
        return Matches(similarity, found.equivariance, found.partner)


def _undefined(images: int, channels: int, device: torch.device) -> Matches:
    nothing = torch.full((images, channels), torch.nan, device=device)
    return Matches(nothing, nothing, torch.full((images, channels), -1, device=device))


def _norms(turned: Side, expected: Side) -> tuple[Tensor, Tensor]:
    return (
        norm(turned.square, turned.mean, turned.cells, LEAST_CELLS).float(),
        norm(expected.square, expected.mean, expected.cells, LEAST_CELLS).float(),
    )


class ChannelSpread:
    """Which channels are the same everywhere, in every image: the dead ones."""

    def __init__(self, channels: int, device: torch.device | None = None) -> None:
        self._sums = PairSums(1, channels, own=True, device=device)

    def add(self, still: Side) -> None:
        """Take in images."""
        self._sums.add(still, still, None, [0] * len(still.mean))

    def dead(self) -> int:
        """How many channels are constant over all images."""
        total = self._sums.moments()
        return int(norm(total.turned_square, total.turned_mean, total.count, 0).isnan().sum())
