"""The `image` scope: correlations within each image, as sums over the images of each group."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from equiscope.functional.blocks import Block
from equiscope.functional.moments import GROUPS

LEAST_POSITIONS = 9
CONSTANT = 1e-6  # of the uncentred norm


def clipped(similarity: Tensor, negative: str) -> Tensor:
    """Similarities as scores: negative ones count as 0 ("clip"), keep their sign ("keep"), or lose it ("abs")."""
    if negative == "abs":
        similarity = similarity.abs()
    return similarity.clamp(-1 if negative == "keep" else 0, 1)


@dataclass
class OfImages:
    """One number an image: the mean over its defined channels; and what is undefined on too few positions."""

    places: list[int] = field(default_factory=list)
    invariance: list[Tensor] = field(default_factory=list)
    in_sample: list[Tensor] = field(default_factory=list)
    undefined: int = 0

    def state(self) -> dict[str, Any]:
        """All of it as tensors and numbers."""
        empty = [torch.empty(0, dtype=torch.float64)]
        return {
            "places": torch.tensor(self.places),
            "invariance": torch.cat([*empty, *self.invariance]),
            "in_sample": torch.cat([*empty, *self.in_sample]),
            "undefined": self.undefined,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "OfImages":
        """What a `state` holds."""
        return cls(state["places"].tolist(), [state["invariance"]], [state["in_sample"]], state["undefined"])

    @classmethod
    def joined(cls, states: Sequence[Mapping[str, Any]]) -> "OfImages":
        """What several states hold together."""
        return cls(
            [place for state in states for place in state["places"].tolist()],
            [state["invariance"] for state in states],
            [state["in_sample"] for state in states],
            sum(state["undefined"] for state in states),
        )


class WithinImage:
    """Sums over images of within-image correlations, of one transformation on one layer.

    Undefined are all channels on fewer than 9 valid positions, and, in an image, those that are constant there on
    either side; both are left out of sums and means.
    """

    def __init__(
        self, channels: int, positions: int, *, similarity: str, negative: str, device: torch.device | None = None
    ) -> None:
        self.centred, self.negative = similarity == "pearson", negative
        self.measurable = positions >= LEAST_POSITIONS

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=device)

        size = channels if self.measurable else 0
        self.similarity = zeros(GROUPS, size, size)  # sums of correlations: expected by found
        self.pairs = zeros(GROUPS, size, size)  # of how many images
        self.own = zeros(GROUPS, size)  # sums of each channel's with itself, as scores
        self.best = zeros(GROUPS, size)  # sums of each channel's largest, as scores
        self.defined = zeros(GROUPS, size)
        self.expected_maps, self.found_maps = zeros(size, positions), zeros(size, positions)
        self.of_images = OfImages()

    def add(self, group: int, expected: Block, found: Block, pilots: tuple[Tensor, Tensor]) -> None:
        """Take in some images of one group; `pilots` are what was taken off each side."""
        if not self.measurable:
            self.of_images.undefined += expected.shape[0] * expected.shape[1]
            return
        one, defined_one = self._unit(expected, pilots[0])
        two, defined_two = self._unit(found, pilots[1])
        defined = defined_one & defined_two  # [image, channel]
        one, two = one * defined[..., None], two * defined[..., None]
        similarity = torch.bmm(one, two.mT)
        own = clipped((one * two).sum(-1), self.negative)
        ranked = similarity.abs() if self.negative == "abs" else similarity
        best = clipped(ranked.masked_fill(~defined[..., None], -torch.inf).amax(1), self.negative)
        best = torch.where(defined, best, 0)
        home = self.similarity.device
        weight = defined.to(home, torch.float64)
        self.similarity[group] += similarity.sum(0).to(home)
        self.pairs[group] += weight.T @ weight
        self.own[group] += (own * defined).sum(0).to(home)
        self.best[group] += best.sum(0).to(home)
        self.defined[group] += weight.sum(0)
        self.expected_maps += one.sum(0).to(home)
        self.found_maps += two.sum(0).to(home)
        count = weight.sum(1)
        self.of_images.invariance.append(((own * defined).sum(1).to(home) / count).cpu())
        self.of_images.in_sample.append((best.sum(1).to(home) / count).cpu())

    @property
    def undefined(self) -> int:
        """How many channels of how many images are undefined; counted here, since to look makes an accelerator wait."""
        images = sum(map(len, self.of_images.invariance))
        return self.of_images.undefined + images * self.defined.shape[1] - int(self.defined.sum())

    def _unit(self, values: Block, pilot: Tensor) -> tuple[Tensor, Tensor]:
        """Every image's maps with norm 1, `[image, channel, position]`, and which are defined."""
        maps = values.transpose(0, 1).double()
        raw = (maps + pilot[None, :, None]).square().sum(-1).sqrt()
        maps = maps - maps.mean(-1, keepdim=True) if self.centred else maps + pilot[None, :, None]
        norm = maps.square().sum(-1).sqrt()
        defined = norm > (CONSTANT if self.centred else 0) * raw
        return maps / torch.where(defined, norm, 1)[..., None], defined

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Everything that adds over images, by name."""
        for name in ("similarity", "pairs", "own", "best", "defined", "expected_maps", "found_maps"):
            yield name, getattr(self, name)


@dataclass(frozen=True)
class WithinScores:
    """What the `image` scope finds: per channel, and of the layer."""

    invariance: Float[Tensor, "channel"]
    equivariance: Float[Tensor, "channel"]
    in_sample: Float[Tensor, "channel"]
    partner: Tensor
    chance_invariance: Float[Tensor, "channel"]
    chance_equivariance: Float[Tensor, "channel"]
    defined: Tensor  # images in which each channel is defined


def within_scores(sums: WithinImage, groups: list[int]) -> WithinScores:
    """Scores over the images of some groups: a partner is chosen on the other groups, by the mean over their images."""
    similarity, pairs = sums.similarity[groups].sum(0), sums.pairs[groups].sum(0)
    defined = sums.defined[groups].sum(0)
    invariance = sums.own[groups].sum(0) / defined
    crossed, times = torch.zeros_like(invariance), torch.zeros_like(invariance)
    channels = torch.arange(len(invariance), device=invariance.device)
    for group in groups:
        partner, sign = _best(similarity - sums.similarity[group], pairs - sums.pairs[group], sums.negative)
        partner = torch.where(partner < 0, channels, partner)
        crossed += sign * sums.similarity[group][partner, channels]
        times += sums.pairs[group][partner, channels]  # images in which both the channel and its partner are defined
    fitted = crossed / times
    raw = torch.where(fitted.isnan() | (invariance >= fitted), invariance, fitted)
    equivariance = clipped(raw, sums.negative) if len(groups) > 1 else torch.full_like(invariance, torch.nan)
    partner, _ = _best(similarity, pairs, sums.negative)
    partner = torch.where(defined > 0, partner, -1)
    chosen = torch.where((invariance >= fitted) | fitted.isnan() | (partner < 0), channels, partner)
    return WithinScores(
        invariance,
        equivariance,
        sums.best[groups].sum(0) / defined,
        partner,
        _chance(sums, channels, channels),
        _chance(sums, chosen, channels),
        defined,
    )


def _best(similarity: Tensor, pairs: Tensor, negative: str) -> tuple[Tensor, Tensor]:
    """The expected channel of the highest mean for every found one (-1: none), and the sign of it under "abs"."""
    mean = similarity / pairs
    ranked = (mean.abs() if negative == "abs" else mean).masked_fill(pairs == 0, -torch.inf)
    partner = ranked.argmax(0)
    nothing = ranked.amax(0) == -torch.inf
    sign = torch.ones_like(mean[0])
    if negative == "abs":
        sign = torch.where(mean.gather(0, partner[None])[0] < 0, -sign, sign)
    return torch.where(nothing, -1, partner), sign


def _chance(sums: WithinImage, partner: Tensor, channels: Tensor) -> Tensor:
    """The mean correlation of a channel in one image with its partner in another, over all pairs of images."""
    together = (sums.found_maps * sums.expected_maps[partner]).sum(-1)
    same = sums.similarity.sum(0)[partner, channels]
    defined = sums.defined.sum(0)
    count = defined * defined[partner] - sums.pairs.sum(0)[partner, channels]
    return (together - same) / torch.where(count > 0, count, torch.nan)
