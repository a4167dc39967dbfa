"""What the audit compares, each found in another way than the library finds it.

Maps are read with hooks of this file's own, and compared position by position with what timm says of itself; a patch of
photographs is changed, and it is seen where the maps change; and the network is compared with itself before.
"""

import hashlib
import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

import equiscope as es

NEAR = 1e-3  # of the largest value: two maps that are the same but for rounding
CHANGED = ((0.3, 0.2), (0.2, 0.7), (0.75, 0.45))  # where a patch is changed, as shares of the height and the width
CLEAR = 0.5  # of what any position tells a patch from the others by, above chance
TELLING = 0.5  # above chance; where no position tells so much, it cannot be seen where a map changed


def maps_of(model: nn.Module, layers: Sequence[Any], images: Tensor) -> dict[str, Tensor]:
    """The features of layers that have a grid, `[image, channel, row, column]`, of one forward pass."""
    found: dict[str, Tensor] = {}
    modules = dict(model.named_modules())
    calls: dict[str, int] = {}
    handles = []

    def hook(name: str, of_module: Sequence[Any]) -> Any:
        def read(_: nn.Module, arguments: Any, output: Any) -> None:
            call = calls[name] = calls.get(name, -1) + 1
            for layer in of_module:
                if layer.source.call == call:
                    value = output if layer.source.side == "output" else arguments
                    path = layer.source.path or ("" if layer.source.side == "output" else "[0]")
                    found[layer.name] = layer.maps(_at(value, path).detach()).float().clone()

        return read

    for name in dict.fromkeys(layer.source.module for layer in layers):
        of_module = [layer for layer in layers if layer.source.module == name and not layer.vector]
        handles.append(modules[name].register_forward_hook(hook(name, of_module)))
    try:
        with evaluated(model):
            _called(model, images)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _at(value: Any, path: str) -> Tensor:
    """The tensor that a path means, in a tuple, a mapping or an object."""
    for key in re.findall(r"\[([^\]]+)\]", path):
        if key.lstrip("-").isdigit():
            value = value[int(key)]
        else:
            value = value[key.strip("'\"")] if key[0] in "'\"" else getattr(value, key)
    if isinstance(value, Tensor):
        return value
    held = [one for one in vars(value).values() if isinstance(one, Tensor) and one.is_floating_point()]
    return held[0]


def _called(model: nn.Module, images: Tensor) -> Any:
    by_name = "pixel_values" in inspect.signature(model.forward).parameters
    return model(pixel_values=images) if by_name else model(images)


@contextmanager
def evaluated(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode and without gradients; in the mode that it was in, afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def compared_with_timm(model: nn.Module, maps: dict[str, Tensor], images: Tensor) -> tuple[int, list[str]]:
    """With how many of timm's own intermediate maps ours agree, and which have the same values elsewhere.

    timm's are compared with each map of ours of as many channels and positions. One whose values are not those of any
    layer that is measured, in whatever order, such as a normalised one, says nothing.
    """
    intermediates = getattr(model, "forward_intermediates", None)
    if intermediates is None:
        return 0, []
    try:
        with evaluated(model):
            theirs = intermediates(images, intermediates_only=True, output_fmt="NCHW")
    except Exception:  # noqa: BLE001 -- not all of timm's networks that have it can do it
        return 0, []
    agreeing, wrong = 0, []
    for number, their in enumerate(theirs):
        if not isinstance(their, Tensor) or their.ndim != 4:
            continue
        alike = {name: one for name, one in maps.items() if one.shape[:2] == their.shape[:2]}
        same = [name for name, one in alike.items() if one.shape == their.shape and _near(one, their.float())]
        if same:
            agreeing += 1
            continue
        elsewhere = [
            name
            for name, one in alike.items()
            if one[0, 0].numel() == their[0, 0].numel() and _near(_ordered(one), _ordered(their.float()))
        ]
        wrong += [f"{name} holds timm's intermediate {number} at other positions" for name in elsewhere[:1]]
    return agreeing, wrong


def _near(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= NEAR * other.abs().max())


def _ordered(maps: Tensor) -> Tensor:
    return maps.flatten(2).sort(-1).values


def changed_elsewhere(model: nn.Module, layers: Sequence[Any], images: Tensor) -> list[str]:
    """Layers whose maps change elsewhere than where the image is changed, in words.

    A patch as large as a position is changed at three places in turn. Of how much each position changes, the share that
    is due to one of them is largest there, unless every position sees the whole image alike.
    """
    wrong = []
    by_grid: dict[tuple[int, int], list[Any]] = {}
    for layer in layers:
        if not layer.vector and min(layer.height, layer.width) >= 4:
            by_grid.setdefault((layer.height, layer.width), []).append(layer)
    height, width = images.shape[-2:]
    for (rows, columns), alike in by_grid.items():
        copies, cells = [images[:1]], []
        for down, right in CHANGED:
            row, column = int(rows * down), int(columns * right)
            top, left = height * row // rows, width * column // columns
            bottom, end = max(height * (row + 1) // rows, top + 1), max(width * (column + 1) // columns, left + 1)
            other = images[:1].clone()
            other[..., top:bottom, left:end] = other[..., top:bottom, left:end].flip(1) * -2 + 1
            copies.append(other)
            cells.append((row, column))
        maps = maps_of(model, alike, torch.cat(copies))
        for layer in alike:
            if layer.name in maps and (told := _elsewhere(maps[layer.name], cells)):
                wrong.append(f"{layer.name} changes {told}")
    return wrong


def _elsewhere(maps: Tensor, cells: Sequence[tuple[int, int]]) -> str | None:
    change = (maps[1:] - maps[:1]).square().sum(1)  # [patch, row, column]
    totals = change.sum((1, 2), keepdim=True)
    if not bool(torch.isfinite(totals).all()) or bool((totals == 0).any()):
        return None
    shares = change / totals
    shares = shares / shares.sum(0).clamp_min(torch.finfo(shares.dtype).tiny)
    chance = 1 / len(cells)
    most = shares.flatten(1).max(1).values.mean().item() - chance
    around = [
        shares[place, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        for place, (row, column) in enumerate(cells)
    ]  # or a neighbour, for positions of a grid that does not divide the image lie elsewhere
    own = sum(one.max().item() for one in around) / len(cells) - chance
    if most < TELLING * (1 - chance) or own >= CLEAR * most:
        return None
    return f"elsewhere than where the image does ({own:.2f} of {most:.2f} above chance)"


def state_of(model: nn.Module) -> dict[str, str]:
    """What a network is, by what it holds: of each module its mode, hooks, parameters, buffers and plain attributes."""
    found = {"random state": hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest()}
    for name, module in model.named_modules():
        found[f"{name or 'network'}: mode"] = str(module.training)
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        found[f"{name or 'network'}: hooks"] = str([len(one) for one in hooks])
        for key, value in vars(module).items():
            if key == "training" or key.startswith("_") or isinstance(value, nn.Module):
                continue
            found[f"{name or 'network'}: {key}"] = _told(value)
        for key, tensor in [*module._parameters.items(), *module._buffers.items()]:
            found[f"{name or 'network'}: {key}"] = "None" if tensor is None else _told(tensor.detach())
    return found


def _told(value: Any) -> str:
    if isinstance(value, Tensor):
        content = (
            "" if value.is_meta else hashlib.sha256(value.cpu().contiguous().view(-1).numpy().tobytes()).hexdigest()
        )
        return f"{tuple(value.shape)} {value.dtype} {content}"
    if isinstance(value, list | tuple | set | frozenset):
        return f"{type(value).__name__} {[_told(one) for one in value]}"
    if isinstance(value, dict):
        return str({str(key): _told(one) for key, one in value.items()})
    plain = value is None or isinstance(value, str | int | float | bool | complex | torch.dtype | torch.Size)
    return repr(value) if plain else type(value).__name__


def changed_state(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What of a network is not as it was, in words."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [f"the network does not come back as it was ({name})" for name in names[:3]]


def checked_maps(model: nn.Module, images: Tensor) -> tuple[int, list[str]]:
    """How many of timm's intermediate maps agree with ours, and all that is wrong with our maps, in words."""
    channels, height, width = images.shape[1:]
    found = es.find_layers(model, (channels, height, width))
    maps = maps_of(model, found.measured, images[:2])
    agreeing, wrong = compared_with_timm(model, maps, images[:2])
    return agreeing, [*wrong, *changed_elsewhere(model, found.measured, images)]
