"""Small networks as people write them themselves, and of libraries that need none of their files: for the audit.

Each is a network that a table of libraries does not have: tokens in unusual places, axes in unusual orders, maps finer
than the image, tensors inside of objects.
"""

# mypy: disable-error-code="no-any-return"
# A module that is called gives whatever it gives.

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 24
PATCH = 4


class Attention(nn.Module):
    """Self-attention that is written out; its weights pass a module, where they can be read."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.weights = nn.Softmax(-1)

    def forward(self, tokens: Tensor) -> Tensor:
        """`[image, token, channel]`, mixed."""
        q, k, v = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        weights = self.weights(q @ k.mT / q.shape[-1] ** 0.5)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention, then two layers on each token by itself; both add to what they are given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(channels), Attention(channels), nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """`[image, token, channel]`."""
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class VisionTransformer(nn.Module):
    """A ViT that declares nothing, for images of one size."""

    def __init__(self, size: int = 32, *, class_token: Literal["first", "middle", "last", "none"] = "first") -> None:
        super().__init__()
        self.place, count = class_token, (size // PATCH) ** 2
        self.embed = nn.Conv2d(3, CHANNELS, PATCH, stride=PATCH)
        self.token = nn.Parameter(torch.randn(1, 1, CHANNELS))
        self.position = nn.Parameter(0.02 * torch.randn(1, count + (class_token != "none"), CHANNELS))
        self.blocks = nn.ModuleList([Block(CHANNELS) for _ in range(3)])
        self.head = nn.Linear(CHANNELS, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images."""
        tokens = self.embed(images).flatten(2).mT
        count = tokens.shape[1]
        at = {"first": 0, "middle": count // 2, "last": count, "none": 0}[self.place]
        if self.place != "none":
            extra = self.token.expand(len(tokens), -1, -1)
            tokens = torch.cat([tokens[:, :at], extra, tokens[:, at:]], 1)
        tokens = tokens + self.position
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens.mean(1) if self.place == "none" else tokens[:, at])


class PairsOfLayers(nn.Module):
    """A ViT whose patches are a linear layer, and whose blocks are pairs in lists that are never called."""

    def __init__(self, size: int = 32) -> None:
        super().__init__()
        self.embed = nn.Linear(3 * PATCH**2, CHANNELS)
        self.token, self.position = (
            nn.Parameter(torch.randn(1, 1, CHANNELS)),
            nn.Parameter(torch.zeros(1, 65, CHANNELS)),
        )
        self.layers = nn.ModuleList([nn.ModuleList([Attention(CHANNELS), self._mlp()]) for _ in range(3)])
        self.head = nn.Linear(CHANNELS, 10)

    @staticmethod
    def _mlp() -> nn.Module:
        return nn.Sequential(
            nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, 2 * CHANNELS), nn.GELU(), nn.Linear(2 * CHANNELS, CHANNELS)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images."""
        patches = functional.unfold(images, PATCH, stride=PATCH).mT
        tokens = torch.cat([self.token.expand(len(images), -1, -1), self.embed(patches)], 1) + self.position
        for pair in self.layers:
            for layer in pair.children():
                tokens = tokens + layer(tokens)
        return self.head(tokens[:, 0])


class TokensFirst(nn.Module):
    """A ViT with its tokens on the first axis and the images on the second, as PyTorch's own transformer has them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, CHANNELS, PATCH, stride=PATCH)
        layer = nn.TransformerEncoderLayer(CHANNELS, 4, 2 * CHANNELS, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(CHANNELS, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images."""
        return self.head(self.encoder(self.embed(images).flatten(2).permute(2, 0, 1)).mean(0))


class InWindows(nn.Module):
    """A transformer that keeps its tokens window by window, all along."""

    def __init__(self, size: int = 32, window: int = 4) -> None:
        super().__init__()
        self.window = window
        self.embed = nn.Conv2d(3, CHANNELS, PATCH, stride=PATCH)
        self.blocks = nn.Sequential(*(Block(CHANNELS) for _ in range(3)))
        self.head = nn.Linear(CHANNELS, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images."""
        windows = self.embed(images).unflatten(3, (-1, self.window)).unflatten(2, (-1, self.window))
        return self.head(self.blocks(windows.permute(0, 2, 4, 3, 5, 1).flatten(1, 4)).mean(1))


class Scrambled(nn.Module):
    """A transformer whose tokens are in an order that no rule gives; they cannot be laid out."""

    def __init__(self, size: int = 32) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, CHANNELS, PATCH, stride=PATCH)
        self.order = torch.randperm((size // PATCH) ** 2, generator=torch.Generator().manual_seed(0))
        self.blocks = nn.Sequential(*(Block(CHANNELS) for _ in range(3)))
        self.head = nn.Linear(CHANNELS, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images."""
        tokens = self.embed(images).flatten(2).mT
        if tokens.shape[1] != len(self.order):
            raise ValueError(f"{len(self.order)} patches only")
        return self.head(self.blocks(tokens[:, self.order]).mean(1))


class ColumnsFirst(nn.Module):
    """Convolutions on maps `[image, channel, column, row]`."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, CHANNELS, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Maps of images."""
        return self.convolutions(images.mT)


def _two(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.ReLU(),
        nn.Conv2d(channels_out, channels_out, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


class UNet(nn.Module):
    """Down, and up again to the size of the image, or beyond it."""

    def __init__(self, *, beyond: bool = False) -> None:
        super().__init__()
        self.down = nn.ModuleList([_two(3, 8), _two(8, 16), _two(16, 32)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(32, 16, 2, stride=2), nn.ConvTranspose2d(16, 8, 2, stride=2)])
        self.joined = nn.ModuleList([_two(32, 16), _two(16, 8)])
        self.head = nn.Sequential(nn.Conv2d(8, 12, 1), nn.PixelShuffle(2)) if beyond else nn.Conv2d(8, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Maps of images."""
        kept, maps = [], images
        for place, block in enumerate(self.down):
            maps = block(functional.max_pool2d(maps, 2) if place else maps)
            kept.append(maps)
        for up, block, skipped in zip(self.up, self.joined, (kept[1], kept[0]), strict=True):
            maps = block(torch.cat([up(maps), skipped], 1))
        return self.head(maps)


class Resized(nn.Module):
    """Features resized to three quarters, so that 4 pixels are 3 positions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, CHANNELS, 3, padding=1), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Maps of images."""
        maps = functional.interpolate(self.first(images), scale_factor=0.75, mode="bilinear", align_corners=False)
        return self.second(maps.relu())


@dataclass
class Features:
    """What a block of `InObjects` gives: maps, and whether a pixel counts."""

    maps: Tensor
    mask: Tensor


class _OfObjects(nn.Module):
    def __init__(self, channels: int, channels_out: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels_out, 3, stride=2, padding=1)

    def forward(self, features: Features) -> Features:
        maps = self.convolution(features.maps).relu()
        return Features(maps, maps[:, 0] > 0)


class InObjects(nn.Module):
    """Blocks that give an object with maps and a mask in it."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([_OfObjects(3, 8), _OfObjects(8, 16), _OfObjects(16, 32)])
        self.head = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images."""
        features = Features(images, images[:, 0] > 0)
        for block in self.blocks:
            features = block(features)
        return self.head(features.maps.mean((-2, -1)))


def steerable(library: str) -> nn.Module:
    """A network of escnn or e2cnn that is equivariant under rotations by 90 degrees."""
    nets: Any = importlib.import_module(f"{library}.nn")
    spaces: Any = importlib.import_module(f"{library}.gspaces")
    space = spaces.rot2dOnR2(4) if library == "escnn" else spaces.Rot2dOnR2(4)

    class Steerable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            given = nets.FieldType(space, 3 * [space.trivial_repr])
            inner = nets.FieldType(space, 4 * [space.regular_repr])
            self.given = given
            self.block1, self.block2 = (
                nets.SequentialModule(
                    nets.R2Conv(start, inner, 3, padding=1, bias=False), nets.InnerBatchNorm(inner), nets.ReLU(inner)
                )
                for start in (given, inner)
            )
            self.pool = nets.GroupPooling(inner)
            self.head = nn.Linear(4, 10)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.pool(self.block2(self.block1(nets.GeometricTensor(images, self.given)))).tensor
            return self.head(maps.mean((-2, -1)))

    return Steerable()


def own_networks() -> Mapping[str, Callable[[], nn.Module]]:
    """The networks by name, for images of 32 pixels; those of libraries only where they are installed."""
    found: dict[str, Callable[[], nn.Module]] = {
        "vit": VisionTransformer,
        "vit_class_token_in_the_middle": lambda: VisionTransformer(class_token="middle"),
        "vit_class_token_last": lambda: VisionTransformer(class_token="last"),
        "vit_without_class_token": lambda: VisionTransformer(class_token="none"),
        "vit_of_pairs": PairsOfLayers,
        "vit_tokens_first": TokensFirst,
        "vit_in_windows": InWindows,
        "columns_first": ColumnsFirst,
        "unet": UNet,
        "unet_beyond_the_image": lambda: UNet(beyond=True),
        "resized": Resized,
        "in_objects": InObjects,
    }
    for library in ("escnn", "e2cnn"):
        if importlib.util.find_spec(library) is not None:
            found[library] = lambda library=library: steerable(library)  # type: ignore[misc]  # bound at once
    return found
