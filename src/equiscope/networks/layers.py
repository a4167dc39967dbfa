"""Which layers a network has: their order, shapes, strides and parts, found from shapes alone."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from equiscope.networks.features import Source, check_network, unwrapped
from equiscope.networks.layout import Grid, Layout, declared, layout, told
from equiscope.networks.trace import Seen, trace

PARTS = ("early", "middle", "late", "pool", "final")
LARGEST_VECTOR = 8192  # channels; a longer one is measured only where it is named


@dataclass(frozen=True)
class Layer:
    """One layer that can be measured: where its features are and what grid they lie on."""

    name: str
    source: Source
    type: str  # the module's class
    index: int  # in order of execution, among all that the network computes
    part: str
    channels: int
    layout: Layout
    stride: Grid | None  # pixels from cell to cell, down and right; None: a vector, or not known

    @property
    def height(self) -> int:
        """Cells down; 1 for a vector."""
        return self.layout.grid[0]

    @property
    def width(self) -> int:
        """Cells to the right; 1 for a vector."""
        return self.layout.grid[1]

    @property
    def vector(self) -> bool:
        """Whether the layer has no grid."""
        return self.layout.kind == "vector"

    def maps(self, features: Tensor) -> Tensor:
        """The layer's features as `[image, channel, row, column]`, whatever their layout."""
        return self.layout.maps(features)


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


Strides = Mapping[str, "int | tuple[int, int]"]
_Call = tuple[str, int]  # which call of which module


def find_layers(
    model: nn.Module,
    image_shape: tuple[int, int, int],
    patterns: str | Sequence[str] | None = None,
    *,
    default: Sequence[str] | None = None,
    pool: str | None = None,
    strides: Strides | None = None,
    layouts: Mapping[str, str] | None = None,
) -> Layers:
    """The layers of a network for images of shape `[channel, height, width]`, without running it on any.

    `patterns` are names or globs of modules (`*` stops at a dot, `**` does not); None: `default`, or else the
    network's blocks, with the output of its global pooling and its final vector. `strides` gives, per name or
    glob, pixels from cell to cell where they cannot be found; `layouts` likewise `nchw`, `nhwc`, `vector` or
    `tokens:14x14+1` (rows, columns, tokens before). ValueError where a pattern matches nothing.
    """
    check_network(model)
    _check_given(image_shape, patterns, strides, layouts)
    model = unwrapped(model)
    network = _Network(trace(model, image_shape), model, image_shape, strides or {}, layouts or {})
    network.check(strides, "strides")
    network.check(layouts, "layouts")
    final = network.final()
    pooled = network.pool(final, pool)
    if pooled is None and final is not None and not final.parameters:  # a network without a classifier
        pooled, final = final, None
    blocks = network.named(list(default)) if default else network.blocks()
    whole = [*blocks, *(tensor for tensor in (pooled, final) if tensor is not None)]
    named = [patterns] if isinstance(patterns, str) else patterns
    chosen = whole if named is None else network.named(list(named))
    return _described(network, chosen, _Parts(network, whole, pooled, final), named)


def _check_given(image_shape: object, patterns: object, strides: object, layouts: object) -> None:
    """ValueError where an argument is not of the kind that it must be."""
    sizes = image_shape if isinstance(image_shape, Sequence) else ()
    if len(sizes) != 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError(f"The shape of an image is (channels, height, width), all at least 1; {image_shape} is not.")
    named = [patterns] if isinstance(patterns, str) else patterns
    if named is not None and (
        not isinstance(named, Sequence) or not named or not all(isinstance(name, str) for name in named)
    ):
        raise ValueError(
            f"layers={patterns!r} names no layers; give a name, a glob or a list of them, or None for its own."
        )
    for option, given in (("strides", strides), ("layouts", layouts)):
        if given is not None and not isinstance(given, Mapping):
            raise ValueError(f"{option}={given!r} must be a dict, with the names or globs of layers as its keys.")


class _Network:
    """What passes by in a network, and how each tensor lies."""

    def __init__(
        self, seen: list[Seen], model: nn.Module, image_shape: tuple[int, int, int], strides: Strides,
        layouts: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.seen, self.strides, self.layouts = seen, strides, layouts
        self._image = image_shape[1:]
        self.outputs = [tensor for tensor in seen if tensor.source.side == "output"]
        self.places = {tensor.source: place for place, tensor in enumerate(seen)}
        self._modules = {name: module for name, module in model.named_modules() if name}
        self._roots = dict(model.named_modules())
        says = declared(model)
        self._lies = {
            tensor.source: layout(tensor.shape, tensor.grown, tensor.growth, image_shape[1:], says) for tensor in seen
        }

    def lies(self, tensor: Seen) -> tuple[Layout, Grid | None] | str:
        """The tensor's layout and stride, or why they cannot be told; what the user tells goes first."""
        found = self._lies[tensor.source]
        for pattern, text in self.layouts.items():
            if _means(pattern, tensor):
                found = (told(text, tensor.shape), None if isinstance(found, str) else found[1])
        if isinstance(found, str) or found[0].kind == "vector":
            return found
        for pattern, stride in self.strides.items():
            if _means(pattern, tensor):
                return found[0], _both(stride)
        return found[0], found[1] or self._whole_ratio(found[0])

    def _whole_ratio(self, its: Layout) -> Grid | None:
        """Pixels over cells, where both are whole; for layouts that did not come with a stride."""
        down, right = (pixels / cells for pixels, cells in zip(self._image, its.grid, strict=True))
        return (int(down), int(right)) if down.is_integer() and right.is_integer() else None

    def check(self, told_of: Mapping[str, object] | None, option: str) -> None:
        """ValueError where a name or glob of an option means no tensor."""
        for pattern in told_of or ():
            self.named([pattern], f"{option}=")
        for pattern, stride in self.strides.items():
            steps = _both(stride)
            if len(steps) != 2 or any(isinstance(one, bool) or not isinstance(one, int) or one < 1 for one in steps):
                raise ValueError(
                    f"The stride of layer {pattern!r} is {stride!r}; it must be at least one whole pixel, or a pair "
                    "(down, right)."
                )
        for pattern, text in self.layouts.items():
            if not isinstance(text, str):
                raise ValueError(f"The layout of layer {pattern!r} is {text!r}; it must be a text such as 'nhwc'.")

    def is_vector(self, tensor: Seen) -> bool:
        """Whether the tensor has no grid."""
        found = self.lies(tensor)
        return not isinstance(found, str) and found[0].kind == "vector"

    def is_map(self, tensor: Seen) -> bool:
        """Whether the tensor lies on a grid of cells, in whatever layout."""
        found = self.lies(tensor)
        return not isinstance(found, str) and found[0].kind != "vector"

    def final(self) -> Seen | None:
        """The vector just before the softmax: the network's output, under the first module's name that gives it."""
        whole = [tensor for tensor in self.outputs if tensor.source.module == "" and self.is_vector(tensor)]
        logits = [tensor for tensor in whole if "logits" in tensor.source.path] or whole
        if len(logits) != 1:
            return None
        return next(tensor for tensor in self.outputs if tensor.identity == logits[0].identity)

    def pool(self, final: Seen | None, declared_pool: str | None) -> Seen | None:
        """The output of global average pooling; where that is a function, the input of the classifier."""
        if declared_pool is not None:
            of_module = (tensor for tensor in self.outputs if tensor.source.module == declared_pool)
            pooled = next((tensor for tensor in of_module if self.is_vector(tensor)), None)
            if pooled is None:
                raise ValueError(f"pool={declared_pool!r} is no module of the network that gives a vector.")
            return pooled
        last_map = max((place for place, tensor in enumerate(self.outputs) if self.is_map(tensor)), default=-1)
        given_maps = {
            replace(tensor.source, side="output")
            for tensor in self.seen
            if tensor.source.side == "input" and self.is_map(tensor)
        }
        pools = [
            tensor
            for tensor in self.outputs[last_map + 1 :]
            if not tensor.parameters and self.is_vector(tensor) and tensor.source in given_maps
        ]
        if pools:
            return pools[-1]
        if final is None or not final.source.module:
            return None
        if not final.parameters:
            return None
        given = [
            tensor
            for tensor in self.seen
            if (tensor.source.module, tensor.source.call, tensor.source.side)
            == (final.source.module, final.source.call, "input")
        ]
        return given[0] if len(given) == 1 and self.is_vector(given[0]) else None

    def blocks(self) -> list[Seen]:
        """The network's blocks, or all leaf modules that give a map where it has none.

        A block that gives no map of its own, or several, gives way to the blocks inside it, where these do.
        """
        found: list[str] = []
        given_up: list[str] = []
        for name, module in self._roots.items():
            if isinstance(module, nn.Sequential | nn.ModuleList) and not any(_lies_in(name, block) for block in found):
                for child, inner in module.named_children():
                    if any(True for _ in inner.children()):
                        block = f"{name}.{child}" if name else child
                        (found if self._lies_as_one(block) else given_up).append(block)
        shown = [block for block in given_up if not any(_lies_in(inner, block) for inner in found)]
        outermost = [block for block in shown if not any(block != outer and _lies_in(block, outer) for outer in shown)]
        blocks = [tensor for tensor in self.outputs if tensor.source.module in {*found, *outermost}]
        if any(self.is_map(tensor) for tensor in blocks):
            return blocks
        return [tensor for tensor in self.outputs if tensor.leaf and self.is_map(tensor)]

    def _lies_as_one(self, block: str) -> bool:
        """Whether each call of a module gives one map, or, where it gives none, one vector."""
        of_block = [tensor for tensor in self.outputs if tensor.source.module == block]
        maps = [tensor.source.call for tensor in of_block if self.is_map(tensor)]
        lying = maps or [tensor.source.call for tensor in of_block if self.is_vector(tensor)]
        return bool(lying) and len(lying) == len(set(lying))

    def named(self, patterns: list[str], option: str = "") -> list[Seen]:
        """The tensors that any of the patterns means, in order of execution."""
        for pattern in patterns:
            if pattern and any(_means(pattern, tensor) for tensor in self.seen):
                continue
            said = f"{option} {pattern!r}".strip()
            if any(_expression(pattern).fullmatch(name) for name in self._modules):
                raise ValueError(f"Layer {said} is a module that the network never calls; see `equiscope layers`.")
            names = list(self._modules)
            near = difflib.get_close_matches(pattern.replace("*", ""), names, n=5, cutoff=0.3) or names[:5]
            raise ValueError(f"No layer matches {said}; the nearest names are {', '.join(near)}.")
        return [tensor for tensor in self.seen if any(_means(pattern, tensor) for pattern in patterns)]


def _both(stride: int | tuple[int, int]) -> Grid:
    return stride if isinstance(stride, tuple) else (stride, stride)


def _lies_in(name: str, block: str) -> bool:
    return name == block or name.startswith(f"{block}.")


def _expression(pattern: str) -> re.Pattern[str]:
    """A glob on module names: `*` and `?` stop at a dot, `**` does not."""
    pieces = re.split(r"(\*\*|\*|\?)", pattern)
    meanings = {"**": ".*", "*": "[^.]*", "?": "[^.]"}
    return re.compile("".join(meanings.get(piece, re.escape(piece)) for piece in pieces))


def _means(pattern: str, tensor: Seen) -> bool:
    """Whether a name or glob means this layer: by its own name, or by its module's for all of its calls."""
    if (tensor.source.side == "input") != pattern.endswith(":input"):
        return False
    expression = _expression(pattern)
    return any(expression.fullmatch(name) is not None for name in (tensor.name, tensor.source.module))


class _Parts:
    """Which part of the network each place in its order of execution belongs to."""

    def __init__(self, network: _Network, whole: list[Seen], pooled: Seen | None, final: Seen | None) -> None:
        places = network.places
        beside = _maps_beside(network, whole)
        maps = {
            places[tensor.source]
            for tensor in whole
            if tensor not in (pooled, final)
            and network.is_map(tensor)
            and (not tensor.source.path or beside[tensor.source.module, tensor.source.call] == 1)
        }
        self._pool = places[pooled.source] if pooled else None
        self._final = places[final.source] if final else None
        size, more = divmod(len(maps), 3)
        divided = [part for number, part in enumerate(PARTS[:3]) for _ in range(size + (number < more))]
        self._maps = list(zip(sorted(maps), divided, strict=True))

    def of(self, place: int, vector: bool) -> str:
        """The part of a layer: its own, or that of the network's next layer in order of execution."""
        if self._final is not None and place >= self._final:
            return "final"
        if self._pool is not None and place >= self._pool and vector:
            return "pool"
        return next((part for at, part in self._maps if place <= at), "late")


def _described(network: _Network, chosen: list[Seen], parts: _Parts, named: Sequence[str] | None) -> Layers:
    measured: list[Layer] = []
    left_out: list[LeftOut] = []
    beside = _maps_beside(network, chosen)
    for tensor in sorted(set(chosen), key=lambda tensor: network.places[tensor.source]):
        lies = network.lies(tensor)
        if not isinstance(lies, str):
            lies = _why_not(tensor, lies[0], beside, named) or lies
        if isinstance(lies, str):
            left_out.append(LeftOut(tensor.name, lies))
            continue
        its, stride = lies
        place = network.places[tensor.source]
        measured.append(
            Layer(
                name=tensor.name,
                source=tensor.source,
                type=tensor.type,
                index=place,
                part=parts.of(place, its.kind == "vector"),
                channels=its.channels(tensor.shape),
                layout=its,
                stride=stride,
            )
        )
    if not measured:
        reasons = "; ".join(f"{layer.name}: {layer.reason}" for layer in left_out[:3]) or "it has no modules"
        raise ValueError(f"None of the layers can be measured ({reasons}).")
    return Layers(tuple(measured), tuple(left_out))


def _why_not(tensor: Seen, its: Layout, beside: Mapping[_Call, int], named: Sequence[str] | None) -> str | None:
    """Why a tensor that lies well is not measured all the same."""
    if named is not None and tensor.name in named:
        return None
    channels = its.channels(tensor.shape)
    if named is None and its.kind == "vector" and channels > LARGEST_VECTOR:
        return f"a vector of {channels} channels; name it to have it measured"
    maps = beside.get((tensor.source.module, tensor.source.call), 0) if tensor.source.path else 0
    if maps > 1:
        return f"{tensor.source.module} gives several maps; name this one to have it measured"
    if maps and its.kind == "vector":
        return f"{tensor.source.module} gives a map beside this vector; name it to have it measured"
    return None


def _maps_beside(network: _Network, chosen: Iterable[Seen]) -> Mapping[_Call, int]:
    """How many maps each call gives, of those that are chosen."""
    return Counter((tensor.source.module, tensor.source.call) for tensor in chosen if network.is_map(tensor))
