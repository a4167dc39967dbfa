"""How a tensor of features lies: a grid of positions in some order of axes, tokens, or a vector."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import isqrt
from typing import Any, Literal

from torch import Tensor, nn

from equiscope.networks.options import TOKENS

Shape = tuple[int, ...]
Grid = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """Where in a tensor the image, the channels and the positions are.

    `map` is `[image, channel, row, column]`, `nhwc` is `[image, row, column, channel]`, `tokens` is
    `[image, token, channel]` with the positions row by row between `before` and `after` other tokens, and `vector` is
    whatever has no grid.
    """

    kind: Literal["map", "nhwc", "tokens", "vector"]
    grid: Grid = (1, 1)
    before: int = 0
    after: int = 0

    def maps(self, features: Tensor) -> Tensor:
        """The features as `[image, channel, row, column]`; a vector has one position."""
        if self.kind == "vector":
            return features.reshape(len(features), -1, 1, 1)
        if self.kind == "nhwc":
            return features.permute(0, 3, 1, 2)
        if self.kind == "tokens":
            last = features.shape[1] - self.after
            return features[:, self.before : last].transpose(1, 2).reshape(len(features), -1, *self.grid)
        return features

    def channels(self, shape: Shape) -> int:
        """How many channels a tensor of this shape has."""
        if self.kind == "vector":
            count = 1
            for size in shape[1:]:
                count *= size
            return count
        return shape[1] if self.kind == "map" else shape[-1]


@dataclass(frozen=True)
class Declared:
    """What a network declares of itself: pixels from position to position, and the tokens before its patches."""

    reductions: tuple[Grid, ...]
    before: int  # how many


_ASK = "give its layout (layouts=, --layout),"
_EXTRA_TOKEN = re.compile(r"((?:cls|class|dist|distillation|reg|register)_(?:token|embedding))s?_?\d*")


def layout_from_text(text: str, shape: Shape) -> Layout:
    """The layout that the user writes: `nchw`, `nhwc`, `vector`, or `tokens:ROWSxCOLUMNS[+BEFORE[+AFTER]]`.

    ValueError where it does not fit a tensor of this shape.

    >>> layout_from_text("tokens:14x14+1", (2, 197, 768))
    Layout(kind='tokens', grid=(14, 14), before=1, after=0)
    """
    if text == "vector":
        return Layout("vector")
    found = TOKENS.fullmatch(text)
    if found is None:
        if len(shape) != 4:
            raise ValueError(f"Layout {text!r} has four axes; the features have shape {written(shape)}.")
        return Layout("map", shape[2:]) if text == "nchw" else Layout("nhwc", shape[1:3])
    rows, columns, before, after = (int(number or 0) for number in found.groups())
    tokens = rows * columns + before + after
    if len(shape) != 3 or shape[1] != tokens:
        raise ValueError(f"Layout {text!r} has {tokens} tokens; the features have shape {written(shape)}.")
    return Layout("tokens", (rows, columns), before, after)


def written(shape: Shape) -> str:
    """A shape in words.

    >>> written((2, 3, 8))
    '2 x 3 x 8'
    """
    return " x ".join(str(size) for size in shape)


def declarations(model: nn.Module) -> Declared:
    """What a network's attributes and configuration declare of its patches, its stages and its other tokens."""
    reductions: dict[Grid, None] = {}
    for holder in (*model.modules(), *_configurations(model)):
        for patch in _pairs(getattr(holder, "patch_size", None)):
            reductions[patch] = None
    for stage in getattr(model, "feature_info", None) or ():
        if isinstance(stage, dict):
            reductions.update(dict.fromkeys(_pairs(stage.get("reduction"))))
    return Declared(tuple(reductions), _tokens_before(model))


def _configurations(model: nn.Module) -> Iterator[Any]:
    config = getattr(model, "config", None)
    if config is not None:
        yield config
        if getattr(config, "vision_config", None) is not None:
            yield config.vision_config


def _pairs(size: Any) -> Iterable[Grid]:
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return [(size, size)]
    if isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(one, int) and one > 0 for one in size):
        return [(size[0], size[1])]
    return []


def _tokens_before(model: nn.Module) -> int:
    """Tokens before the patches: what the network counts itself, else its class, distillation and register tokens."""
    count = getattr(model, "num_prefix_tokens", None)
    if isinstance(count, int):
        return count
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        kind = _EXTRA_TOKEN.fullmatch(name.rpartition(".")[2])
        if kind is not None:  # a network of several stages may have one at each
            found[kind[1]] = max(found.get(kind[1], 0), parameter.shape[-2] if parameter.ndim > 1 else 1)
    return sum(found.values())


def layout(
    shape: Shape, grown: Shape | None, growth: int, image: Grid, declared: Declared
) -> tuple[Layout, Grid | None] | str:
    """How a tensor of this shape lies and its stride, or the reason why that is not known.

    `shape` is for 2 images of size `image`, `grown` for images `growth` pixels larger on both axes; None where the
    network takes one size only, and then what the network declares decides.
    """
    if shape[:1] != (2,):
        return f"its first axis is not the image: shape {written(shape)} for 2 images, as in windows or heads"
    if grown is None:
        return _of_one_size(shape, image, declared)
    if len(grown) != len(shape):
        return f"its shape changes with the size of the image: {written(shape)} and {written(grown)}"
    grows = tuple(after != before for before, after in zip(shape, grown, strict=True))
    if not any(grows):
        return Layout("vector"), None
    if grows == (False, False, True, True):
        return Layout("map", (shape[2], shape[3])), _stride(shape[2:], grown[2:], growth)
    if grows == (False, True, True, False):
        return Layout("nhwc", (shape[1], shape[2])), _stride(shape[1:3], grown[1:3], growth)
    if grows == (False, True, False):
        return _grown_tokens(shape[1], grown[1], growth, image, declared) or _no_grid(shape)
    return f"no grid of positions grows with the image: shapes {written(shape)} and {written(grown)}"


def _stride(grid: Shape, grown: Shape, growth: int) -> Grid | None:
    steps = [after - before for before, after in zip(grid, grown, strict=True)]
    if min(steps) <= 0:
        return None
    return round(growth / steps[0]), round(growth / steps[1])


@lru_cache(maxsize=64)  # many tensors of a network have the same shape
def _grown_tokens(count: int, grown: int, growth: int, image: Grid, declared: Declared) -> tuple[Layout, Grid] | None:
    """The square stride at which positions and the declared other tokens add up at both sizes; the nearest one."""
    height, width = image
    found: list[tuple[float, Layout, Grid]] = []
    for before in {0, declared.before}:
        for stride in range(1, min(image) + 1):
            for grid in {(height // stride, width // stride), (-(-height // stride), -(-width // stride))}:
                more = round(growth / stride)
                adds_up = grid[0] * grid[1] + before == count
                if adds_up and (grid[0] + more) * (grid[1] + more) + before == grown:
                    off = abs(height / stride - grid[0]) + abs(growth / stride - more)
                    found.append((off, Layout("tokens", grid, before), (stride, stride)))
    if not found or len({its.before for _, its, _ in found}) > 1:
        return None
    _, its, stride_found = min(found, key=lambda one: one[0])
    return its, stride_found


def _of_one_size(shape: Shape, image: Grid, declared: Declared) -> tuple[Layout, Grid | None] | str:
    """Without growth: vectors by their shape, maps by axes that divide the image evenly, tokens by what is declared."""
    if len(shape) == 2 or all(size == 1 for size in shape[2:]) or all(size == 1 for size in shape[1:-1]):
        return Layout("vector"), None
    if len(shape) == 4:
        return _map_of_one_size(shape, image, declared)
    if len(shape) == 3:
        found = [
            (Layout("tokens", grid, before), (down, right))
            for down, right in declared.reductions
            for before in {0, declared.before}
            for grid in {(image[0] // down, image[1] // right), (-(-image[0] // down), -(-image[1] // right))}
            if grid[0] * grid[1] + before == shape[1] and grid[0] * grid[1] > 1
        ]
        if len(found) == 1:
            return found[0]
        square = isqrt(shape[1] - declared.before) if shape[1] > declared.before else 0
        hint = (
            f"{square}x{square}+{declared.before}" if square**2 + declared.before == shape[1] else "ROWSxCOLUMNS+BEFORE"
        )
        return _no_grid(shape, hint)
    return f"no grid of positions is known in a network of one input size: shape {written(shape)}"


def _map_of_one_size(shape: Shape, image: Grid, declared: Declared) -> tuple[Layout, Grid | None] | str:
    channels_first, channels_last = shape[2:], shape[1:3]
    grids = {kind: grid for kind, grid in (("map", channels_first), ("nhwc", channels_last)) if _is_grid(grid, image)}
    if len(grids) == 2:
        return f"its channels may come first or last: shape {written(shape)}; {_ASK} nchw or nhwc"
    if not grids:
        return f"no grid of positions that divides {written(image)} pixels: shape {written(shape)}"
    kind, grid = next(iter(grids.items()))
    ratio = (image[0] / grid[0], image[1] / grid[1])
    whole = (int(ratio[0]), int(ratio[1])) if all(one.is_integer() for one in ratio) else None
    its = Layout(kind, (grid[0], grid[1]))  # type: ignore[arg-type]  # a key of grids
    for lost in (0, 1):  # a position, to a kernel that is wider than its stride and not padded
        for down, right in declared.reductions:
            if (image[0] // down - lost, image[1] // right - lost) == grid:
                return its, (down, right)
    return its, whole


def _is_grid(sizes: Shape, image: Grid) -> bool:
    """Whether these may be a grid on the image: of its proportions, and no finer than its pixels."""
    return sizes[0] * image[1] == sizes[1] * image[0] and 1 < sizes[0] <= image[0]


def _no_grid(shape: Shape, hint: str = "ROWSxCOLUMNS+BEFORE") -> str:
    return f"tokens on no declared grid: shape {written(shape)}; {_ASK} tokens:{hint}"
