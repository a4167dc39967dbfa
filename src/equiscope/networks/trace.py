"""Every tensor that passes by in a network, found from shapes alone: no image is run where that can be avoided."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from equiscope.networks.features import Source, called, inputs, left_as_found, tensors_in
from equiscope.networks.growth import Shapes, settled
from equiscope.networks.layout import Grid, Shape

# Pixels by which the input grows, to see which tensors grow with it. A stride of 10 is not told from 11 by 128 pixels
# (12 positions more), but by 640: tried where only shapes are computed, where 128 leave a stride open, and where it
# would take no more than so many seconds. What grows as the square of the pixels, as tables of tokens by tokens do, may
# be made for real all the same, so that a larger growth would not be free.
GROWTHS_ON_META: tuple[int, ...] = (128, 640)
GROWTHS_ON_IMAGES: tuple[int, ...] = (128,)
SECONDS = 5.0

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


def trace(model: nn.Module, image_shape: tuple[int, int, int]) -> Trace:
    """Every tensor that modules give or take, with its shapes of more images and, where they can grow, larger ones."""
    channels, height, width = image_shape
    parameter = next(iter(model.parameters()), None)
    place: dict[str, Any] = {"dtype": parameter.dtype if parameter is not None else torch.float32}

    def passed(images: int, down: int = 0, right: int = 0) -> Trace:
        return _pass(blank, torch.zeros(images, channels, height + down, width + right, **place))

    try:
        blank, growths, place["device"] = _on_meta(model), GROWTHS_ON_META, "meta"
        small = passed(2)
    except Exception:  # noqa: BLE001 -- whatever a network does on the meta device, a blank image tells as well
        blank, growths = model, GROWTHS_ON_IMAGES
        place["device"] = parameter.device if parameter is not None else "cpu"
        try:
            small = passed(2)
        except Exception as error:  # the user's network may raise anything
            raise failure(image_shape, error) from error
    more = {"three": _shapes(partial(passed, 3))} | _grown(small, passed, growths, (height, width))
    growth = more.pop("growth", 0)
    for place_in_list, tensor in enumerate(small.tensors):
        its = {name: by_source.get(tensor.source) for name, by_source in more.items()}
        small.tensors[place_in_list] = replace(tensor, shapes=replace(tensor.shapes, growth=growth, **its))
    return small


def _grown(small: Trace, passed: Callable[..., Trace], growths: Sequence[int], image: Grid) -> dict[str, Any]:
    """The shapes by source of images that are larger on both axes, higher and wider, and by how many pixels."""
    known = {tensor.source: tensor.shape for tensor in small.tensors}
    found: dict[str, Any] = {}
    # Windows and strides that divide a square image divide one of twice its side as well.
    for growth in dict.fromkeys((*growths, min(image))):
        if found and growth not in growths:
            break
        started = time.monotonic()
        large = _shapes(partial(passed, 2, growth, growth))
        if not large:  # a network of one input size says so in its own way
            continue
        if all(large.get(source) == shape for source, shape in known.items() if source.side == "output"):
            break  # it resizes its images itself, and so has one size inside
        found = {"growth": growth, "large": large}
        larger = [one for one in growths if one > growth]
        pairs = ((shape, large.get(source)) for source, shape in known.items())
        if not larger or all(settled(one, other, growth, image) for one, other in pairs):
            break
        times_as_many = (image[0] + larger[0]) * (image[1] + larger[0]) / (image[0] + growth) / (image[1] + growth)
        if (time.monotonic() - started) * times_as_many > SECONDS:
            break
    if found:
        found["high"] = _shapes(partial(passed, 2, found["growth"], 0))
        found["wide"] = _shapes(partial(passed, 2, 0, found["growth"]))
    return found


def _shapes(passed: Callable[[], Trace]) -> dict[Source, Shape]:
    """The shapes of a forward pass by source; none where the network does not run so."""
    try:
        return {tensor.source: tensor.shape for tensor in passed().tensors}
    except Exception:  # noqa: BLE001 -- a network says in its own way what it does not take
        return {}


def out_of_memory(error: Exception) -> bool:
    """Whether the network failed for want of memory, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "not enough memory" in str(error)


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


def _pass(model: nn.Module, images: Tensor) -> Trace:
    """What passes by while the network runs, in order of completion."""
    record = _Record()
    handles = [
        module.register_forward_hook(partial(record.add, name), with_kwargs=True)
        for name, module in model.named_modules()
    ]
    try:
        with left_as_found(model), _Softmaxes(record):
            called(model, images)
    finally:
        for handle in handles:
            handle.remove()
    return record.trace


class _Record:
    """What passes by in a forward pass."""

    def __init__(self) -> None:
        self.trace = Trace()
        self._kept: list[Any] = []  # so that no two tensors share an identity
        self._calls: dict[str, int] = {}

    def add(self, name: str, module: nn.Module, arguments: Any, named: Any, output: Any) -> None:
        """Take in what one call of a module was given and gave."""
        call = self._calls.get(name, 0)
        self._calls[name] = call + 1
        self.trace.gave.setdefault(name, []).append(type(output).__name__)
        if not isinstance(output, Tensor | Mapping | Sequence) and any(True for _ in tensors_in(output)):
            self.trace.objects[name] = type(output).__name__
        leaf, parameters = (not any(True for _ in module.children()), any(True for _ in module.parameters()))
        for side, value in (("input", inputs(arguments, named)), ("output", output)):
            for path, tensor in tensors_in(value):
                self._kept.append(tensor)
                source = Source(name, call, side, path)
                shapes = Shapes(tuple(tensor.shape))
                self.trace.tensors.append(Seen(source, type(module).__name__, leaf, parameters, shapes, id(tensor)))

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
