"""How much the units of a layer vary over transformations, beside how much they vary over images.

The definition is that of Quiroga, Torrents-Barrena, Lanzarini and Puig-Valls (Invariance Measures for Neural Networks,
2023) as their library `tmeasures` has it (`NormalizedVarianceInvariance`). A unit is a channel at a position; features
are not moved back.
"""

import torch
from jaxtyping import Float
from torch import Tensor


class Spread:
    """What a pass over the images collects of a layer: means of standard deviations over transformations and images."""

    def __init__(self) -> None:
        self.images = 0  # taken in
        self._over_transformations: Tensor | float = 0.0  # [unit], summed over images
        self._pilot: Tensor | None = None  # [transformation, 1, unit]: the first image, taken off before squaring
        self._sums: Tensor | float = 0.0  # [transformation, unit], over images
        self._squares: Tensor | float = 0.0  # [transformation, unit], over images

    def add(self, features: Float[Tensor, "transformation image unit"]) -> None:
        """Take in some images under every transformation; the identity is one of these."""
        if self._pilot is None:
            self._pilot = features[:, :1].clone()
        self.images += features.shape[1]
        self._over_transformations += features.std(0).sum(0, dtype=torch.float64)
        apart = features - self._pilot
        self._sums += apart.sum(1, dtype=torch.float64)
        self._squares += apart.square().sum(1, dtype=torch.float64)

    def ratio(self) -> Float[Tensor, " unit"]:
        """The variance ratio of each unit: 0 if transformations never change it.

        `mean_i std_g f(T_g X_i) / mean_g std_i f(T_g X_i)`, with standard deviations of `n - 1`. 1 where both are 0;
        infinite where the unit is the same for all images, but not under all transformations. NaN for one image.
        """
        variance = (self._squares - self._sums**2 / self.images) / (self.images - 1 or float("nan"))
        over_images = torch.as_tensor(variance).clamp(min=0).sqrt().mean(0)
        over_transformations = torch.as_tensor(self._over_transformations / self.images)
        both_constant = (over_images == 0) & (over_transformations == 0)
        return torch.where(both_constant, 1.0, over_transformations / over_images)
