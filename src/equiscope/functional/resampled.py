"""Images whose pixels get their values from between others: bicubically, antialiased, or by their Fourier series."""

from itertools import product
from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from equiscope.functional.warped import AffineMap, Number

Images = Float[Tensor, "image channel height width"]

OUTSIDE = {"zero": "zeros", "reflect": "reflection"}  # what is outside of the image, as `grid_sample` has it


def resampled(images: Images, map: AffineMap, fill: str = "zero") -> Images:
    """Images whose content an affine map moves about their centre, `(T X)(map(p)) = X(p)`.

    Values are bicubic (Keys' kernel with a = -0.75, torch's). Where the map makes the content smaller, by a factor of
    up to k, each pixel is the mean of k x k values within it, so that nothing finer than the pixels is left. `fill` is
    what lies outside of the image: "zero", or the image mirrored at its outermost pixels ("reflect").

    >>> image = torch.arange(9.0).view(1, 1, 3, 3)
    >>> resampled(image, AffineMap.rotation(90)).round().tolist() == torch.rot90(image, 1, (2, 3)).tolist()
    True
    """
    height, width = images.shape[-2:]
    back = torch.tensor(map.inverse.linear, dtype=torch.float64)
    move = torch.tensor(map.inverse.move, dtype=torch.float64)
    finer = max(1, ceil(float(torch.linalg.matrix_norm(back, 2)) - 1e-6))
    last = torch.tensor([height, width], dtype=torch.float64) - 1
    places = torch.cartesian_prod(*(torch.arange(size, dtype=torch.float64) for size in (height, width))) - last / 2
    flat = images.reshape(1, -1, height, width).float()
    result = torch.zeros_like(flat)
    steps = [(step + 0.5) / finer - 0.5 for step in range(finer)]
    for within in product(steps, steps):
        source = (places + torch.tensor(within, dtype=torch.float64)) @ back.T + move
        grid = (2 * source / last.clamp(min=1)).flip(1).view(1, height, width, 2).to(flat)
        result += grid_sample(flat, grid, mode="bicubic", padding_mode=OUTSIDE[fill], align_corners=True)
    return (result / finer**2).view_as(images).to(images.dtype)


def moved_between(images: Images, down: Number, right: Number, fill: str = "zero") -> Images:
    """Images whose content is moved by pixels and parts of them.

    Under "wrap" an image is periodic, and its Fourier series tells its values between pixels; under other fills they
    are bicubic.

    >>> wave = torch.cos(torch.arange(8.0) * torch.pi / 4).expand(1, 1, 8, 8)
    >>> moved = moved_between(moved_between(wave, 0, 0.5, "wrap"), 0, 0.5, "wrap")
    >>> torch.allclose(moved, wave.roll(1, -1), atol=1e-6)
    True
    """
    if fill != "wrap":
        return resampled(images, AffineMap(((1.0, 0.0), (0.0, 1.0)), (down, right)), fill)
    height, width = images.shape[-2:]
    series = torch.fft.fft2(images.float())
    for size, by, axes in ((height, down, (-1, 1)), (width, right, (1, -1))):
        frequencies = torch.fft.fftfreq(size, device=series.device)
        waves = torch.polar(torch.ones_like(frequencies), -2 * torch.pi * frequencies * by)
        if size % 2 == 0:  # the highest frequency has no phase of its own
            waves[size // 2] = waves[size // 2].real.clone()
        series = series * waves.view(axes)
    moved: Tensor = torch.fft.ifft2(series).real
    return moved.to(images.dtype)
