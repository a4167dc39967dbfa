"""The measure as a loss: the share of what a layer gives for the transformed image that its channels do not explain."""

import torch
from jaxtyping import Float
from torch import Tensor

from equiscope.functional.channel_maps import CONSTANT, LEAST_SAMPLES
from equiscope.functional.transformation_names import named
from equiscope.functional.transformations import Stride, Transformation
from equiscope.system.errors import known

MEASURES = ("invariance", "equivariance")


def equivariance_loss(
    original: Float[Tensor, "image channel ..."],
    transformed: Float[Tensor, "image channel ..."],
    transformation: Transformation | str,
    *,
    measure: str = "equivariance",
    stride: Stride | None = None,
    softness: float = 0.05,
) -> Float[Tensor, ""]:
    """`1 - explained` of a layer on a batch of images, to be made smaller in training; it is differentiable.

    With `r(p, c)` the correlation of `T'_g f(X)_p` with `f(T_g X)_c` over the valid positions of the batch, it is one
    less the mean over channels `c` of `r(c, c)^2` ("invariance"), or of the mean of `r(p, c)^2` over channels `p`,
    weighted by the softmax of `r(p, c) / softness` ("equivariance": the best channel, softly). The square keeps the
    sign of `r`, so that a channel that is reversed has a gradient, and the loss lies in [0, 2].

    Args:
        original: The layer's features of a batch of images, `[image, channel, row, column]`; a vector is
            `[image, channel]`.
        transformed: Its features of the same images transformed, `transformation.on_pixels(images)`.
        transformation: A transformation, or the name of one, such as "rot90".
        measure: "invariance" or "equivariance".
        stride: Pixels between neighbouring positions, down and right; a shift needs it.
        softness: How much worse than the best a channel may correlate and still count. Where channels are alike,
            a small one gives the best channel alone.

    Returns:
        The loss. A channel that is constant over the batch is left out; NaN, without a gradient, where all are.

    Raises:
        ValueError: Where the two sides differ in shape, or are neither maps nor vectors.

    >>> features = torch.tensor([[[[1.0, 2.0], [5.0, 3.0]]]])
    >>> loss = equivariance_loss(features, torch.rot90(features, 1, (-2, -1)), "rot90")
    >>> float(loss.abs() < 1e-6)
    1.0
    """
    known("measure", measure, MEASURES)
    if original.shape != transformed.shape or original.ndim not in (2, 4):
        raise ValueError(
            "The features of the images and of the images transformed must have one shape, [image, channel, row, "
            f"column] or [image, channel]; got {list(original.shape)} and {list(transformed.shape)}."
        )
    one, two = _sides(original, transformed, _single(transformation), stride)
    defined = _varies(one) & _varies(two)
    one, two = (torch.nn.functional.normalize(_centred(side[defined]), dim=1) for side in (one, two))
    if measure == "invariance":
        return 1 - _signed_square((one * two).sum(1)).mean()
    correlations = one @ two.mT
    weights = (correlations / softness).softmax(0)
    return 1 - (weights * _signed_square(correlations)).sum(0).mean()


def _single(transformation: Transformation | str) -> Transformation:
    if isinstance(transformation, str):
        found = named(transformation)
        if len(found) == 1 and isinstance(found[0], Transformation):
            return found[0]
    if not isinstance(transformation, Transformation):
        raise ValueError(f"A loss is of one transformation, such as 'rot90'; got {transformation!r}.")
    return transformation


def _sides(
    original: Tensor, transformed: Tensor, transformation: Transformation, stride: Stride | None
) -> tuple[Float[Tensor, "channel sample"], Float[Tensor, "channel sample"]]:
    """`T'_g f(X)` and `f(T_g X)` at the valid positions of all images."""
    if original.ndim == 2:
        return original.mT, transformed.mT
    height, width = original.shape[-2:]
    sampling = transformation.sampling(height, width, stride)
    if sampling is None:
        raise ValueError(f"{transformation.name} is left out on maps of {height} x {width} positions.")
    sides = sampling.expected(original), sampling.found(transformed)
    one, two = (side.transpose(0, 1).flatten(1) for side in sides)
    return one, two


def _centred(side: Float[Tensor, "channel sample"]) -> Float[Tensor, "channel sample"]:
    return side - side.mean(1, keepdim=True)


def _varies(side: Float[Tensor, "channel sample"]) -> Tensor:
    """The channels that can be correlated with."""
    centred, whole = _centred(side).norm(dim=1), side.norm(dim=1)
    return torch.gt(centred, CONSTANT * whole) & (side.shape[1] >= LEAST_SAMPLES)


def _signed_square(correlations: Tensor) -> Tensor:
    return correlations * correlations.abs()
