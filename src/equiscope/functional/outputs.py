"""What a network answers for an image and for the same image moved: how often the same, and how far apart."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

Outputs = Float[Tensor, "image class *position"]  # before the softmax
Offsets = Int[Tensor, "image 2"]  # pixels down and right


def agreement(original: Outputs, moved: Outputs) -> Float[Tensor, " image"]:
    """1 for each image whose top-1 class is the same for both, else 0; of maps, the share of positions.

    >>> agreement(torch.tensor([[1.0, 2.0], [1.0, 2.0]]), torch.tensor([[3.0, 4.0], [4.0, 3.0]])).tolist()
    [1.0, 0.0]
    """
    same = original.argmax(1) == moved.argmax(1)
    return same.to(original.dtype).flatten(1).mean(1) if same.ndim > 1 else same.to(original.dtype)


def divergence(original: Outputs, moved: Outputs) -> Float[Tensor, " image"]:
    """The Kullback-Leibler divergence of each image's class probabilities, `sum p log(p / q)`, in nats.

    `p` are those of the original, `q` those of the moved image; both by softmax. Of maps, the mean over positions.

    >>> round(float(divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 3.0]]).log1p())), 4)
    0.2231
    """
    p, q = original.double().log_softmax(1), moved.double().log_softmax(1)
    found = (p.exp() * (p - q)).sum(1)
    return found.flatten(1).mean(1) if found.ndim > 1 else found


def cropped(images: Float[Tensor, "image channel height width"], offsets: Offsets, size: tuple[int, int]) -> Tensor:
    """From each image the window of that size whose upper left corner is at its offset.

    >>> cropped(torch.arange(9.0).view(1, 1, 3, 3), torch.tensor([[1, 0]]), (1, 2)).tolist()
    [[[[3.0, 4.0]]]]
    """
    height, width = size
    windows = [
        image[:, down : down + height, right : right + width]
        for image, (down, right) in zip(images, offsets.tolist(), strict=True)
    ]
    return torch.stack(windows)


def rolled(images: Float[Tensor, "image channel height width"], offsets: Offsets) -> Tensor:
    """Each image moved by its offset; what leaves on one side enters on the other.

    >>> rolled(torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([[0, 1]])).tolist()
    [[[[3.0, 1.0, 2.0]]]]
    """
    moved = [torch.roll(image, offset, (-2, -1)) for image, offset in zip(images, offsets.tolist(), strict=True)]
    return torch.stack(moved)
