"""How much the units of a layer vary over transformations, beside how much they vary over images.

The definition is that of Quiroga, Torrents-Barrena, Lanzarini and Puig-Valls (Invariance Measures for Neural Networks,
2023) as their library `tmeasures` has it (`NormalizedVarianceInvariance`). A unit is a channel at a position; features
are not moved back.
"""

import torch
from jaxtyping import Float
from torch import Tensor

GROUPS = 10  # of images, by their place modulo 10, as the sums are kept for the jackknife


class Spread:
    """What a pass over the images collects of a layer: means of standard deviations over transformations and images."""

    def __init__(self) -> None:
        self.images = 0  # taken in
        self._counts = torch.zeros(GROUPS, dtype=torch.float64)  # of images, by group
        self._pilot: Tensor | None = None  # [transformation, unit]: the first image, taken off before squaring
        # By group, summed over its images: some hundreds or thousands, of which the features' own precision is enough.
        self._over_transformations: Tensor  # [group, unit]
        self._sums: Tensor  # [group, transformation, unit]
        self._squares: Tensor  # [group, transformation, unit]

    def add(self, features: Float[Tensor, "transformation image unit"]) -> None:
        """Take in some images under every transformation; the identity is one of these."""
        transformations, images, units = features.shape
        if self._pilot is None:
            self._pilot = features[:, 0].clone()
            self._over_transformations = features.new_zeros(GROUPS, units)
            self._sums = features.new_zeros(GROUPS, transformations, units)
            self._squares = features.new_zeros(GROUPS, transformations, units)
        groups = torch.arange(self.images, self.images + images) % GROUPS
        apart = (features - self._pilot[:, None]).transpose(0, 1)
        places = groups.to(features.device)
        self._over_transformations.index_add_(0, places, _deviation(features))
        self._sums.index_add_(0, places, apart)
        self._squares.index_add_(0, places, apart.square())
        self._counts += torch.bincount(groups, minlength=GROUPS)
        self.images += images

    def ratio(self, without: int | None = None) -> Float[Tensor, " unit"]:
        """The variance ratio of each unit, 0 if transformations change nothing; of the images outside a group, if any.

        `mean_i std_g f(T_g X_i) / mean_g std_i f(T_g X_i)`, with standard deviations of `n - 1`. 1 where both are 0;
        infinite where the unit is the same for all images, but not under all transformations. NaN for one image.
        """
        groups = [group for group in range(GROUPS) if group != without and self._counts[group]]
        images = float(self._counts[groups].sum())
        over, sums, squares = (_total(of, groups) for of in (self._over_transformations, self._sums, self._squares))
        variance = (squares - sums**2 / images) / (images - 1 if images > 1 else float("nan"))
        over_images = variance.clamp(min=0).sqrt().mean(0)
        over_transformations = over / images
        both_constant = (over_images == 0) & (over_transformations == 0)
        return torch.where(both_constant, 1.0, over_transformations / over_images)

    def left_out(self) -> Float[Tensor, " group"]:
        """The mean ratio over units without each group of images in turn; one that has no image is left out."""
        return torch.stack([self.ratio(group).mean() for group in range(GROUPS) if self._counts[group]])


def _deviation(features: Float[Tensor, "transformation ..."]) -> Float[Tensor, "..."]:
    """The standard deviation over transformations, of `n - 1`; twenty times as fast as `std` along the first axis."""
    squares = (features - features.mean(0)).square_().sum(0)
    return squares.div_(len(features) - 1).sqrt_()


def _total(sums: Float[Tensor, "group ..."], groups: list[int]) -> Float[Tensor, "..."]:
    total = torch.zeros_like(sums[0], dtype=torch.float64)
    for group in groups:
        total += sums[group]
    return total
