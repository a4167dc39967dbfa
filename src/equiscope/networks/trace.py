"""Every tensor that passes by in a network, found from shapes alone: no image is run where that can be avoided."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from equiscope.networks.allowance import Allowance
from equiscope.networks.blank_passes import BlankPasses
from equiscope.networks.features import Calls, Source, inputs, tensors_in
from equiscope.networks.growth import Shapes, settled
from equiscope.networks.layout import Grid, Shape

# Pixels by which the input grows, to see which tensors grow with it. A stride of 10 is not told from 11 by 128 pixels
# (12 positions more), but by 640: tried where only shapes are computed, where 128 leave a stride open, and where it
# takes no more than `BlankPasses` allows. What grows as the square of the pixels, as tables of tokens by tokens do, may
# be made for real all the same, so that a larger growth would not be free.
GROWTHS_ON_META: tuple[int, ...] = (128, 640)
GROWTHS_ON_IMAGES: tuple[int, ...] = (128,)

PARAMETRIZATIONS = "parametrizations"  # what holds the modules that `torch.nn.utils.parametrize` computes weights by
OWN_OUTPUT = ".output"  # the network's own, by a name that no module can have


@dataclass(frozen=True)
class Seen:
    """One tensor that passed by in a forward pass."""

    source: Source
    type: str
    leaf: bool
    parameters: bool
    shapes: Shapes
    identity: int  # of the tensor, while the pass lasts
    unreadable: str | None = None  # why its values cannot be read
    real: bool = True  # its values are numbers with a fraction, and not indices or a mask

    @property
    def shape(self) -> Shape:
        """Of 2 images."""
        return self.shapes.two

    @property
    def name(self) -> str:
        """As the user writes it: `relu`, `relu#1`, `block[0]`, `linear:input`."""
        call = f"#{self.source.call}" if self.source.call else ""
        side = ":input" if self.source.side == "input" else ""
        return f"{self.source.module or OWN_OUTPUT}{call}{self.source.path}{side}"


@dataclass
class Trace:
    """What passed by in a forward pass, in order of completion."""

    tensors: list[Seen] = field(default_factory=list)
    gave: dict[str, list[str]] = field(default_factory=dict)  # by module that is called: the types of its outputs
    objects: dict[str, str] = field(default_factory=dict)  # by module: that type, where it is an object with tensors
    softmaxes: dict[int, int] = field(default_factory=dict)  # the identity of what a softmax was given, by its output
    one_size: bool = False  # larger images were not tried, for they would take too much


def trace(model: nn.Module, image_shape: tuple[int, int, int], allowance: Allowance) -> Trace:
    """Every tensor that modules give or take, with its shapes of more images and, where they can grow, larger ones.

    ValueError where the network fails on images of this shape.
    """
    _, height, width = image_shape
    passes = BlankPasses(model, image_shape, _noting, allowance)
    small = passes.first
    more = {"three": _shapes(passes.at(3, height, width))} | _grown(passes, (height, width))
    growth = more.pop("growth", 0)
    for place_in_list, tensor in enumerate(small.tensors):
        its = {name: by_source.get(tensor.source) for name, by_source in more.items()}
        small.tensors[place_in_list] = replace(tensor, shapes=replace(tensor.shapes, growth=growth, **its))
    small.one_size = passes.stopped and not growth
    return small


def _grown(passes: BlankPasses[Trace], image: Grid) -> dict[str, Any]:
    """The shapes by source of images that are larger on both axes, higher and wider, and by how many pixels."""
    height, width = image
    growths = GROWTHS_ON_META if passes.on_meta else GROWTHS_ON_IMAGES
    known = _shapes(passes.first)
    found: dict[str, Any] = {}
    # Windows and strides that divide a square image divide one of twice its side as well.
    for growth in dict.fromkeys((*growths, min(image))):
        if found and growth not in growths:
            break
        large = _shapes(passes.at(2, height + growth, width + growth))
        if not large:  # a network of one input size says so in its own way, or it would take too much
            continue
        if all(large.get(source) == shape for source, shape in known.items() if source.side == "output"):
            break  # it resizes its images itself, and so has one size inside
        found = {"growth": growth, "large": large}
        pairs = ((shape, large.get(source)) for source, shape in known.items())
        if all(settled(one, other, growth, image) for one, other in pairs):
            break
    if found:
        found["high"] = _shapes(passes.at(2, height + found["growth"], width))
        found["wide"] = _shapes(passes.at(2, height, width + found["growth"]))
    return found


def _shapes(noted: Trace | None) -> dict[Source, Shape]:
    """The shapes of a forward pass by source; none where there was none."""
    return {} if noted is None else {tensor.source: tensor.shape for tensor in noted.tensors}


@contextmanager
def _noting(model: nn.Module) -> Iterator[Trace]:
    """While open, all that passes by is noted, in order of completion."""
    record = _Record()
    handles = []
    try:
        for name, module in model.named_modules():
            if PARAMETRIZATIONS not in name.split("."):
                handles += [
                    module.register_forward_pre_hook(partial(record.begin, name)),
                    module.register_forward_hook(partial(record.end, name), with_kwargs=True, always_call=True),
                ]
        with _Softmaxes(record):
            yield record.trace
    finally:
        for handle in handles:
            handle.remove()


def called_past(model: nn.Module, image_shape: tuple[int, int, int]) -> set[str]:
    """The names of modules that the network runs by `module.forward(x)`, which skips what reads them."""
    return BlankPasses(model, image_shape, _noting_forwards, Allowance()).first


@contextmanager
def _noting_forwards(model: nn.Module) -> Iterator[set[str]]:
    past: set[str] = set()
    called = Counter[str]()
    handles = []

    def noted(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(inner)
        def forward(*given: Any, **named: Any) -> Any:
            called[name] -= 1
            if called[name] < 0:
                past.add(name)
                called[name] = 0
            return inner(*given, **named)

        return forward

    def begin(name: str, module: nn.Module, given: Any) -> None:
        called[name] += 1

    own = {module: vars(module).get("forward") for module in model.modules()}
    try:
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(partial(begin, name)))
            module.forward = noted(name, module.forward)
        yield past
    finally:
        for handle in handles:
            handle.remove()
        for module, forward in own.items():
            vars(module).pop("forward", None)
            if forward is not None:
                module.forward = forward


def inner_modules(module: nn.Module) -> Mapping[str, nn.Module]:
    """A module's children by name, without those that compute its parameters."""
    return {name: child for name, child in module.named_children() if name != PARAMETRIZATIONS}


class _Record:
    """What passes by in a forward pass."""

    def __init__(self) -> None:
        self.trace = Trace()
        self._kept: list[Any] = []  # so that no two tensors share an identity
        self._calls = Calls()

    def begin(self, name: str, module: nn.Module, arguments: Any) -> None:
        """Note that a call of a module begins."""
        self._calls.begin(name)

    def end(self, name: str, module: nn.Module, arguments: Any, named: Any, output: Any) -> None:
        """Take in what the call of a module was given and gave."""
        call = self._calls.end(name)
        self.trace.gave.setdefault(name, []).append(type(output).__name__)
        if not isinstance(output, Tensor | Mapping | Sequence) and any(True for _ in tensors_in(output)):
            self.trace.objects[name] = type(output).__name__
        leaf, parameters = not inner_modules(module), any(True for _ in module.parameters())
        for side, value in (("input", inputs(arguments, named)), ("output", output)):
            for path, tensor in tensors_in(value):
                self._kept.append(tensor)
                source = Source(name, call, side, path)
                unreadable = why_unreadable(tensor)
                shapes = Shapes(() if unreadable else tuple(tensor.shape))
                kind = type(module).__name__
                real = tensor.is_floating_point() or tensor.is_complex() or tensor.is_quantized
                seen = Seen(source, kind, leaf, parameters, shapes, id(tensor), unreadable, real)
                self.trace.tensors.append(seen)

    def softmax(self, given: Any, output: Any) -> None:
        """Take in that one tensor is the softmax of another."""
        self._kept += [given, output]
        self.trace.softmaxes[id(output)] = id(given)


class _Softmaxes(TorchFunctionMode):
    """Tells a record of every softmax, of a module or a function."""

    def __init__(self, record: _Record) -> None:
        super().__init__()
        self._record = record

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = function(*args, **(kwargs or {}))
        if getattr(function, "__name__", "") in ("softmax", "log_softmax"):
            self._record.softmax(args[0] if args else (kwargs or {}).get("input"), output)
        return output


def why_unreadable(tensor: Tensor) -> str | None:
    """Why a tensor's values cannot be read as they are; None where they can."""
    if tensor.is_nested:
        return "its features are a nested tensor, whose images may differ in size"
    if tensor.layout != torch.strided:
        return (
            f"its features are sparse ({str(tensor.layout).removeprefix('torch.')}), and only dense ones are measured"
        )
    if tensor.is_complex():
        return "its features are complex; have the network give both parts as channels (torch.view_as_real)"
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return "it runs within torch.func (vmap, grad), where its images are hidden; call it outside to measure it"
    return None
