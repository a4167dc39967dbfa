"""Which layers a network has: their order, shapes, strides and parts, found from shapes alone."""

import copy
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from equiscope.models.features import Source, left_as_found, tensors_in, unwrapped

# Pixels by which the input grows, to see which tensors grow with it. A stride of 10 is not seen from 128 pixels
# (12 cells more, so 10.7 pixels each), but from 1920, which cost nothing where only shapes are computed.
GROWTHS_ON_META = (1920, 128)
GROWTHS_ON_IMAGES = (128,)
PARTS = ("early", "middle", "late", "pool", "final")
LARGEST_VECTOR = 8192  # channels; a longer one is measured only where it is named

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer that can be measured: where its features are and what grid they lie on."""

    name: str
    source: Source
    type: str  # the module's class
    index: int  # in order of execution, among all that the network computes
    part: str
    channels: int
    height: int  # 1 for a vector
    width: int
    stride: tuple[int, int] | None  # pixels from cell to cell, down and right; None: a vector, or not known
    vector: bool

    def maps(self, features: Tensor) -> Tensor:
        """The layer's features as `[image, channel, row, column]`, whatever their layout."""
        if self.vector:
            return features.reshape(len(features), -1, 1, 1)
        return features


@dataclass(frozen=True)
class LeftOut:
    """A layer that is not measured, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Layers:
    """The layers to measure, in order of execution, and the ones left out."""

    measured: tuple[Layer, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class _Seen:
    """One tensor that passed by in a forward pass."""

    source: Source
    type: str
    leaf: bool
    parameters: bool
    shape: Shape
    identity: int  # of the tensor, while the pass lasts
    grown: Shape | None = None  # its shape where the input is larger; None: the network takes one size only
    growth: int = 0  # by how many pixels it is larger

    @property
    def name(self) -> str:
        """As the user writes it: `relu`, `relu#1`, `block[0]`, `linear:input`."""
        call = f"#{self.source.call}" if self.source.call else ""
        side = ":input" if self.source.side == "input" else ""
        return f"{self.source.module or 'output'}{call}{self.source.path}{side}"


def find_layers(
    model: nn.Module,
    image_shape: tuple[int, int, int],
    patterns: str | Sequence[str] | None = None,
    *,
    default: Sequence[str] | None = None,
    pool: str | None = None,
    strides: Mapping[str, int | tuple[int, int]] | None = None,
) -> Layers:
    """The layers of a network for images of shape `[channel, height, width]`, without running it on any.

    `patterns` are names or globs of modules (`*` stops at a dot, `**` does not); None: `default`, or else the
    network's blocks, with the output of its global pooling and its final vector. `strides` gives, per name or
    glob, pixels from cell to cell where they cannot be found. ValueError where a pattern matches nothing.
    """
    model = unwrapped(model)
    seen = _trace(model, image_shape)
    final = _final(seen)
    pooled = _pool(seen, final, pool)
    blocks = _named(model, seen, list(default)) if default else _blocks(model, seen)
    whole = [*blocks, *(tensor for tensor in (pooled, final) if tensor is not None)]
    if patterns is None:
        chosen = whole
    else:
        chosen = _named(model, seen, [patterns] if isinstance(patterns, str) else list(patterns))
    return _described(seen, chosen, whole, pooled, final, patterns, strides or {}, image_shape)


def _trace(model: nn.Module, image_shape: tuple[int, int, int]) -> list[_Seen]:
    """Every tensor that modules give or take, at the images' size and, where the network allows, at a larger one."""
    channels, height, width = image_shape
    parameter = next(iter(model.parameters()), None)
    place: dict[str, Any] = {"dtype": parameter.dtype if parameter is not None else torch.float32}
    try:
        blank, growths, place["device"] = _on_meta(model), GROWTHS_ON_META, "meta"
        small = _pass(blank, torch.zeros(2, *image_shape, **place))
    except Exception:  # noqa: BLE001 -- whatever a network does on the meta device, a blank image tells as well
        blank, growths = model, GROWTHS_ON_IMAGES
        place["device"] = parameter.device if parameter is not None else "cpu"
        try:
            small = _pass(blank, torch.zeros(2, *image_shape, **place))
        except Exception as error:  # the user's network may raise anything
            raise failure(image_shape, error) from error
    for growth in growths:
        try:
            large = _pass(blank, torch.zeros(2, channels, height + growth, width + growth, **place))
        except Exception:  # noqa: BLE001 -- a network of one input size says so in its own way
            continue
        shapes = {tensor.source: tensor.shape for tensor in large}
        return [replace(tensor, grown=shapes.get(tensor.source), growth=growth) for tensor in small]
    return small


def failure(image_shape: Sequence[int], error: Exception) -> ValueError:
    """The sentence for a network that fails by itself on images of this shape."""
    shape = " x ".join(str(size) for size in image_shape)
    lines = str(error).strip().splitlines() or ["no message"]
    return ValueError(
        f"The network fails on images of {shape}, with {type(error).__name__}: {lines[0].rstrip('.')}; "
        "give images of the channels and the size that it takes."
    )


def _on_meta(model: nn.Module) -> nn.Module:
    """A copy of the network that has shapes and no values; nothing of the model's is copied or touched."""
    shapes: dict[int, Any] = {}
    for tensor in [*model.parameters(), *model.buffers()]:
        empty = torch.empty_like(tensor, device="meta")
        shapes[id(tensor)] = nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
    return copy.deepcopy(model, shapes)


def _pass(model: nn.Module, images: Tensor) -> list[_Seen]:
    """What passes by while the network runs, in order of completion."""
    seen: list[_Seen] = []
    kept: list[Tensor] = []  # so that no two tensors share an identity
    calls: dict[str, int] = {}

    def record(name: str, module: nn.Module, call: int, side: str, value: Any) -> None:
        for path, tensor in tensors_in(value):
            kept.append(tensor)
            seen.append(
                _Seen(
                    Source(name, call, side, path),
                    type(module).__name__,
                    not any(True for _ in module.children()),
                    any(True for _ in module.parameters()),
                    tuple(tensor.shape),
                    id(tensor),
                )
            )

    def hook(name: str) -> Any:
        def after(module: nn.Module, arguments: Any, output: Any) -> None:
            call = calls.get(name, 0)
            calls[name] = call + 1
            record(name, module, call, "input", arguments[0] if len(arguments) == 1 else list(arguments))
            record(name, module, call, "output", output)

        return after

    handles = [module.register_forward_hook(hook(name)) for name, module in model.named_modules()]
    try:
        with left_as_found(model):
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _outputs(seen: Iterable[_Seen]) -> Iterator[_Seen]:
    return (tensor for tensor in seen if tensor.source.side == "output")


def _growth(tensor: _Seen) -> tuple[bool, ...] | None:
    """Which axes grow with the input; None where the network takes one size only."""
    if tensor.grown is None or len(tensor.grown) != len(tensor.shape):
        return None
    return tuple(after != before for before, after in zip(tensor.shape, tensor.grown, strict=True))


def _is_vector(tensor: _Seen) -> bool:
    growth = _growth(tensor)
    if growth is None:
        return len(tensor.shape) == 2 or (len(tensor.shape) == 4 and tensor.shape[2:] == (1, 1))
    return not any(growth)


def _is_map(tensor: _Seen) -> bool:
    growth = _growth(tensor)
    if growth is None:
        return len(tensor.shape) == 4 and tensor.shape[2:] != (1, 1)
    return growth == (False, False, True, True)


def _why_not(tensor: _Seen) -> str | None:
    """Why a tensor cannot be measured; None where it can."""
    if tensor.shape[:1] != (2,):
        return f"its first axis is not the image: shape {_text(tensor.shape)} for 2 images"
    if _is_vector(tensor) or _is_map(tensor):
        return None
    growth = _growth(tensor)
    if len(tensor.shape) == 3:
        return f"tokens on no declared grid: shape {_text(tensor.shape)}"
    if growth == (False, True, True, False):
        return f"channels last: shape {_text(tensor.shape)}"
    return f"no grid of cells that grows with the image: shape {_text(tensor.shape)}"


def _text(shape: Shape) -> str:
    return " x ".join(str(size) for size in shape)


def _final(seen: list[_Seen]) -> _Seen | None:
    """The vector just before the softmax: the network's output, under the name of the first module that gives it."""
    outputs = [tensor for tensor in _outputs(seen) if tensor.source.module == "" and tensor.source.call == 0]
    if len(outputs) != 1 or not _is_vector(outputs[0]):
        return None
    return next(tensor for tensor in _outputs(seen) if tensor.identity == outputs[0].identity)


def _pool(seen: list[_Seen], final: _Seen | None, declared: str | None) -> _Seen | None:
    """The output of global average pooling; where that is a function, the input of the classifier."""
    outputs = list(_outputs(seen))
    if declared is not None:
        return next((tensor for tensor in outputs if tensor.source.module == declared and _is_vector(tensor)), None)
    last_map = max((place for place, tensor in enumerate(outputs) if _is_map(tensor)), default=-1)
    given_maps = {
        replace(tensor.source, side="output") for tensor in seen if tensor.source.side == "input" and _is_map(tensor)
    }
    pools = [
        tensor
        for tensor in outputs[last_map + 1 :]
        if not tensor.parameters and _is_vector(tensor) and tensor.source in given_maps
    ]
    if pools:
        return pools[-1]
    if final is None:
        return None
    given = [
        tensor
        for tensor in seen
        if tensor.source == replace(final.source, side="input") and _is_vector(tensor) and tensor.source.module
    ]
    return given[0] if len(given) == 1 else None


def _blocks(model: nn.Module, seen: list[_Seen]) -> list[_Seen]:
    """The network's blocks, or all leaf modules that give a map where it has none."""
    found: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Sequential | nn.ModuleList) and not any(_lies_in(name, block) for block in found):
            children = ((f"{name}.{child}" if name else child, inner) for child, inner in module.named_children())
            found.extend(child for child, inner in children if any(True for _ in inner.children()))
    blocks = [tensor for tensor in _outputs(seen) if tensor.source.module in found]
    if any(_why_not(tensor) is None and not _is_vector(tensor) for tensor in blocks):
        return blocks
    return [tensor for tensor in _outputs(seen) if tensor.leaf and _why_not(tensor) is None and not _is_vector(tensor)]


def _lies_in(name: str, block: str) -> bool:
    return name == block or name.startswith(f"{block}.")


def _expression(pattern: str) -> re.Pattern[str]:
    """A glob on module names: `*` and `?` stop at a dot, `**` does not."""
    pieces = re.split(r"(\*\*|\*|\?)", pattern)
    meanings = {"**": ".*", "*": "[^.]*", "?": "[^.]"}
    return re.compile("".join(meanings.get(piece, re.escape(piece)) for piece in pieces))


def _means(pattern: str, tensor: _Seen) -> bool:
    """Whether a name or glob means this layer: by its own name, or by its module's for all of its calls."""
    if (tensor.source.side == "input") != pattern.endswith(":input"):
        return False
    expression = _expression(pattern)
    return any(expression.fullmatch(name) is not None for name in (tensor.name, tensor.source.module))


def _named(model: nn.Module, seen: list[_Seen], patterns: list[str]) -> list[_Seen]:
    """The tensors that any of the patterns means, in order of execution."""
    modules = [name for name, _ in model.named_modules() if name]
    for pattern in patterns:
        if any(_means(pattern, tensor) for tensor in seen):
            continue
        if any(_expression(pattern).fullmatch(name) for name in modules):
            raise ValueError(f"Layer {pattern!r} is a module that the network never calls; see `equiscope layers`.")
        near = difflib.get_close_matches(pattern.replace("*", ""), modules, n=5, cutoff=0.3) or modules[:5]
        raise ValueError(f"No layer matches {pattern!r}; the nearest names are {', '.join(near)}.")
    return [tensor for tensor in seen if any(_means(pattern, tensor) for pattern in patterns)]


def _described(
    seen: list[_Seen],
    chosen: list[_Seen],
    whole: list[_Seen],
    pooled: _Seen | None,
    final: _Seen | None,
    patterns: str | Sequence[str] | None,
    strides: Mapping[str, int | tuple[int, int]],
    image_shape: tuple[int, int, int],
) -> Layers:
    places = {tensor.source: place for place, tensor in enumerate(seen)}
    parts = _parts(whole, pooled, final, places)
    measured: list[Layer] = []
    left_out: list[LeftOut] = []
    several = _with_several_maps(chosen)
    for tensor in sorted(set(chosen), key=lambda tensor: places[tensor.source]):
        reason = _why_not(tensor)
        vector = _is_vector(tensor)
        width = _vector_channels(tensor)
        if reason is None and vector and width > LARGEST_VECTOR and patterns is None:
            reason = f"a vector of {width} channels; name it to have it measured"
        one_of_several = tensor.source.path and (tensor.source.module, tensor.source.call) in several
        if reason is None and one_of_several and (patterns is None or not _names_path(patterns, tensor)):
            reason = f"{tensor.source.module} gives several maps; name this one to have it measured"
        if reason is not None:
            left_out.append(LeftOut(tensor.name, reason))
            continue
        measured.append(
            Layer(
                name=tensor.name,
                source=tensor.source,
                type=tensor.type,
                index=places[tensor.source],
                part=_part(tensor, parts, places, pooled, final),
                channels=width if vector else tensor.shape[1],
                height=1 if vector else tensor.shape[2],
                width=1 if vector else tensor.shape[3],
                stride=None if vector else _stride(tensor, strides, image_shape),
                vector=vector,
            )
        )
    if not measured:
        reasons = "; ".join(f"{layer.name}: {layer.reason}" for layer in left_out[:3]) or "it has no modules"
        raise ValueError(f"None of the layers can be measured ({reasons}).")
    return Layers(tuple(measured), tuple(left_out))


def _vector_channels(tensor: _Seen) -> int:
    size = 1
    for length in tensor.shape[1:]:
        size *= length
    return size


def _with_several_maps(chosen: Iterable[_Seen]) -> set[tuple[str, int]]:
    counts: dict[tuple[str, int], int] = {}
    for tensor in chosen:
        if _why_not(tensor) is None:
            call = (tensor.source.module, tensor.source.call)
            counts[call] = counts.get(call, 0) + 1
    return {call for call, count in counts.items() if count > 1}


def _names_path(patterns: str | Sequence[str], tensor: _Seen) -> bool:
    return tensor.name in ([patterns] if isinstance(patterns, str) else patterns)


def _stride(
    tensor: _Seen, declared: Mapping[str, int | tuple[int, int]], image_shape: tuple[int, int, int]
) -> tuple[int, int] | None:
    """Pixels from cell to cell: what is declared, else from how the grid grows, else a ratio that is whole."""
    for pattern, stride in declared.items():
        if _means(pattern, tensor):
            return (stride, stride) if isinstance(stride, int) else stride
    if tensor.grown is not None:
        down, right = (after - before for before, after in zip(tensor.shape[2:], tensor.grown[2:], strict=True))
        return round(tensor.growth / down), round(tensor.growth / right)
    ratios = [pixels / cells for pixels, cells in zip(image_shape[1:], tensor.shape[2:], strict=True)]
    if all(ratio.is_integer() for ratio in ratios):
        return int(ratios[0]), int(ratios[1])
    return None


def _parts(
    whole: list[_Seen], pooled: _Seen | None, final: _Seen | None, places: dict[Source, int]
) -> list[tuple[int, str]]:
    """The network's maps by order of execution, divided evenly into early, middle and late: (place, part)."""
    maps = [tensor for tensor in whole if tensor not in (pooled, final) and _why_not(tensor) is None]
    ordered = sorted({places[tensor.source] for tensor in maps if not _is_vector(tensor)})
    size, more = divmod(len(ordered), 3)
    parts: list[tuple[int, str]] = []
    for number, part in enumerate(PARTS[:3]):
        count = size + (number < more)
        parts.extend((place, part) for place in ordered[len(parts) : len(parts) + count])
    return parts


def _part(
    tensor: _Seen,
    parts: list[tuple[int, str]],
    places: dict[Source, int],
    pooled: _Seen | None,
    final: _Seen | None,
) -> str:
    """The layer's part: its own, or that of the network's next layer in order of execution."""
    place = places[tensor.source]
    if final is not None and (tensor == final or place >= places[final.source]):
        return "final"
    if pooled is not None and place >= places[pooled.source] and _is_vector(tensor):
        return "pool"
    return next((part for at, part in parts if place <= at), "late")
