"""What a network declares of itself: its patches, its stages and the tokens before its patches."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from equiscope.networks.layout import Grid

_EXTRA_TOKEN = re.compile(r"((?:cls|class|dist|distillation|reg|register)_(?:token|embedding))s?_?\d*")


@dataclass(frozen=True)
class Declared:
    """What a network declares of itself: pixels from position to position, and the tokens before its patches."""

    reductions: tuple[Grid, ...]
    before: int  # how many


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
