"""How a tensor of features lies: a grid of positions in some order of axes, tokens, or a vector."""

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import prod
from typing import Literal

import torch
from torch import Tensor

from equiscope.networks.options import TOKENS

Shape = tuple[int, ...]
Grid = tuple[int, int]
Ratio = int | Fraction  # pixels from position to position; a whole one is an int
Strides = tuple[Ratio, Ratio]  # down and right


@dataclass(frozen=True)
class Layout:
    """Where in a tensor the image, the channels and the positions are.

    `map` is `[image, channel, row, column]`, where several axes may hold the channels; `nhwc` is
    `[image, row, column, channel]`, `tokens` is `[image, token, channel]`, and `vector` is whatever has no grid. All
    with the image on another axis, where `image_axis` says so; `columns_first` exchanges rows and columns, and
    `channels_first` tokens and channels.

    Tokens have their positions between `before` and `after` other tokens, of which `middle` more stand at half of the
    positions. Their order is row by row, or as `unrolled` or `windows` says (see `token_of_position`).
    """

    kind: Literal["map", "nhwc", "tokens", "vector"]
    grid: Grid = (1, 1)
    before: int = 0
    after: int = 0
    middle: int = 0
    image_axis: int = 0
    columns_first: bool = False
    channels_first: bool = False
    unrolled: int = 0  # so many times, by 2 x 2
    windows: Grid | None = None  # positions of a window, down and right

    def maps(self, features: Tensor) -> Tensor:
        """The features as `[image, channel, row, column]`; a vector has one position."""
        features = features.movedim(self.image_axis, 0)
        if self.kind == "vector":
            return features.reshape(len(features), -1, 1, 1)
        if self.kind == "tokens":
            return self._of_tokens(features.mT if self.channels_first else features)
        maps = features.permute(0, 3, 1, 2) if self.kind == "nhwc" else features.flatten(1, -3)
        return maps.mT if self.columns_first else maps

    def _of_tokens(self, tokens: Tensor) -> Tensor:
        if self.rolled or self.middle:
            positions = tokens.index_select(1, token_of_position(self).to(tokens.device))
        else:
            positions = tokens[:, self.before : tokens.shape[1] - self.after]
        return positions.transpose(1, 2).reshape(len(tokens), -1, *self.grid)

    def with_maps(self, features: Tensor, maps: Tensor) -> Tensor:
        """The features with other maps, `[image, channel, row, column]`; tokens that stand for no position stay.

        >>> tokens = torch.tensor([[[9.0], [1.0], [2.0]]])  # a class token before two positions
        >>> Layout("tokens", (1, 2), before=1).with_maps(tokens, torch.tensor([[[[3.0, 4.0]]]])).flatten().tolist()
        [9.0, 3.0, 4.0]
        """
        changed = features.clone()
        by_image = changed.movedim(self.image_axis, 0)  # a view, into which values go
        if self.kind == "tokens":
            tokens = by_image.mT if self.channels_first else by_image
            tokens[:, token_of_position(self).to(tokens.device)] = maps.flatten(2).mT.to(tokens)
        else:
            self.maps(changed).copy_(maps)
        return changed

    @property
    def rolled(self) -> bool:
        """Whether the positions are in another order than row by row."""
        return self.columns_first or self.unrolled > 0 or self.windows is not None

    @property
    def tokens(self) -> int:
        """How many tokens there are, with those that stand for no position."""
        return prod(self.grid) + self.before + self.middle + self.after

    def channels(self, shape: Shape) -> int:
        """How many channels a tensor of this shape has."""
        rest = shape[: self.image_axis] + shape[self.image_axis + 1 :]
        if self.kind == "vector":
            return prod(rest)
        if self.kind == "map":
            return prod(rest[:-2])
        return rest[0] if self.channels_first else rest[-1]


@lru_cache(maxsize=256)
def token_of_position(layout: Layout) -> Tensor:
    """The token that stands for each position, row by row.

    `columns_first`: positions are counted column by column. `windows`: window by window, row by row, and so within each
    window. `unrolled`: each 2 x 2 positions are spread over four runs of tokens, one for each place within the 2 x 2,
    and so again within each run; a maximum over the runs is then a pooling.

    >>> token_of_position(Layout("tokens", (2, 4), before=1, windows=(2, 2))).view(2, 4).tolist()
    [[1, 2, 5, 6], [3, 4, 7, 8]]
    >>> token_of_position(Layout("tokens", (2, 4), unrolled=1)).view(2, 4).tolist()
    [[0, 2, 1, 3], [4, 6, 5, 7]]
    """
    rows, columns = layout.grid
    places = torch.arange(rows * columns)
    if layout.windows is not None:
        down, right = layout.windows
        of_token = places.view(rows // down, down, columns // right, right).permute(0, 2, 1, 3).flatten()
    elif layout.unrolled:
        of_token = places.view(1, rows, columns)
        for _ in range(layout.unrolled):
            runs, high, wide = of_token.shape
            spread = of_token.view(runs, high // 2, 2, wide // 2, 2).permute(0, 2, 4, 1, 3)
            of_token = spread.reshape(4 * runs, high // 2, wide // 2)
        of_token = of_token.flatten()
    elif layout.columns_first:
        of_token = places.view(rows, columns).T.flatten()
    else:
        of_token = places
    token = torch.empty_like(places)
    token[of_token] = places
    return token + layout.before + layout.middle * (token >= len(places) // 2)


def orders(layout: Layout) -> list[Layout]:
    """A layout of tokens with its positions in every order that is known; row by row comes first.

    >>> [(one.columns_first, one.unrolled, one.windows) for one in orders(Layout("tokens", (4, 4)))]
    [(False, 0, None), (True, 0, None), (False, 1, None), (False, 2, None), (False, 0, (2, 2)), (False, 0, (4, 2))]
    """
    rows, columns = layout.grid
    found = [layout, replace(layout, columns_first=True)] if min(rows, columns) > 1 else [layout]
    times = 1
    while rows % 2**times == 0 and columns % 2**times == 0:
        found.append(replace(layout, unrolled=times))
        times += 1
    for down in range(2, rows + 1):
        for right in range(2, columns):  # those as wide as the image are row by row
            if rows % down == 0 and columns % right == 0:
                found.append(replace(layout, windows=(down, right)))
    return found


def layout_from_text(text: str, shape: Shape, image_axis: int = 0) -> Layout:
    """The layout that the user writes: `nchw`, `nhwc`, `ncwh`, `vector`, or `tokens:ROWSxCOLUMNS[+BEFORE[+AFTER]]`.

    `image_axis` is where the images are. ValueError where it does not fit a tensor of this shape.

    >>> layout_from_text("tokens:14x14+1", (2, 197, 768)).grid
    (14, 14)
    """
    rest = shape[:image_axis] + shape[image_axis + 1 :]
    if text == "vector":
        return Layout("vector", image_axis=image_axis)
    found = TOKENS.fullmatch(text)
    if found is None:
        if len(rest) != 3:
            raise ValueError(f"Layout {text!r} has four axes; the features have shape {written(shape)}.")
        first, second = rest[:2] if text == "nhwc" else rest[1:]
        columns_first = text == "ncwh"
        grid = (second, first) if columns_first else (first, second)
        kind: Literal["map", "nhwc"] = "nhwc" if text == "nhwc" else "map"
        return Layout(kind, grid, image_axis=image_axis, columns_first=columns_first)
    rows, columns, before, after = (int(number or 0) for number in found.groups())
    its = Layout("tokens", (rows, columns), before, after, image_axis=image_axis)
    if len(rest) != 2 or its.tokens not in rest:
        raise ValueError(f"Layout {text!r} has {its.tokens} tokens; the features have shape {written(shape)}.")
    return replace(its, channels_first=rest[0] != its.tokens)


def written(shape: Shape) -> str:
    """A shape in words.

    >>> written((2, 3, 8))
    '2 x 3 x 8'
    """
    return " x ".join(str(size) for size in shape)
