"""How an image begins to change when it is translated, rotated or scaled: what the local equivariance error rests on.

The definition is that of Gruver, Finzi, Goldblum and Wilson (The Lie Derivative for Measuring Learned Equivariance,
ICLR 2023) as their program `lie-deriv` has it, so that numbers can be compared. Three things are to know of it. The
unit of a translation is half of (width - 1) pixels, since coordinates run from -1 to 1 between the centres of the outer
pixels. Between pixels the image is bilinear, and has no derivative at a pixel: that on one side of it is taken,
whichever way the pixel moves. The side is right or below, unless the pixel's place, in float32, is rounded down. And a
vector of outputs is not moved back, so that the error is one of invariance.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "image channel height width"]
Velocity = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # of coordinates (x, y) in -1..1, as a movement begins

# Where each value of the moved image is taken from, as it begins to change.
VELOCITIES: Mapping[str, Velocity] = {
    "x": lambda x, y: (torch.ones_like(x), torch.zeros_like(y)),
    "y": lambda x, y: (torch.zeros_like(x), torch.ones_like(y)),
    "rotation": lambda x, y: (y, -x),
    "scale": lambda x, y: (-x, -y),
}


def tangent(images: Images, movement: str) -> Images:
    """The derivative of the images by the parameter of a movement, where that is 0.

    `dX/dx vx (width - 1) / 2 + dX/dy vy (height - 1) / 2`, where `dX` are differences of neighbouring pixels (beyond
    the border images are mirrored) and `v` are `VELOCITIES`. Angles are in radians.

    >>> tangent(torch.tensor([[[[1.0, 2.0, 4.0]]]]), "x").tolist()
    [[[[1.0, 2.0, -2.0]]]]
    """
    height, width = images.shape[-2:]
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, dtype=images.dtype, device=images.device),
        torch.linspace(-1, 1, width, dtype=images.dtype, device=images.device),
        indexing="ij",
    )
    right, down = VELOCITIES[movement](x, y)
    along_x, along_y = _slope(images, -1), _slope(images, -2)
    return along_x * (right * (width - 1) / 2) + along_y * (down * (height - 1) / 2)


def _slope(images: Images, axis: int) -> Images:
    """The difference of the two pixels between which each pixel's place lies, along an axis."""
    size = images.shape[axis]
    places = (torch.linspace(-1, 1, size, dtype=torch.float32) + 1) / 2 * (size - 1)  # rounded as lie-deriv rounds
    before = places.floor().long().to(images.device)
    after = torch.where(before + 1 < size, before + 1, max(size - 2, 0))
    return images.index_select(axis, after) - images.index_select(axis, before)


def local_error(
    outputs: Float[Tensor, "image class"], derivative: Float[Tensor, "image class"]
) -> Float[Tensor, " image"]:
    """The local equivariance error of each image: the mean size of the derivatives of its class probabilities.

    `outputs` are before the softmax, `derivative` is theirs: that of the probability `p_c` is
    `p_c (derivative_c - sum_k p_k derivative_k)`.

    >>> local_error(torch.zeros(1, 2), torch.tensor([[1.0, 3.0]])).tolist()
    [0.5]
    """
    p = outputs.double().softmax(1)
    return (p * (derivative - (p * derivative).sum(1, keepdim=True))).abs().mean(1)
