"""Every tensor that passes by in a network, found from shapes alone: no image is run where that can be avoided."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from equiscope.networks.features import Source, called, inputs, left_as_found, tensors_in

# Pixels by which the input grows, to see which tensors grow with it. A stride of 10 is not seen from 128 pixels
# (12 positions more, so 10.7 pixels each), but from 1920, which cost nothing where only shapes are computed.
GROWTHS_ON_META: tuple[int, ...] = (1920, 128)
GROWTHS_ON_IMAGES: tuple[int, ...] = (128,)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Seen:
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


def trace(model: nn.Module, image_shape: tuple[int, int, int]) -> list[Seen]:
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
    twice = (min(height, width),)  # which windows and strides that divide a square image divide as well
    for growth in growths + twice:
        try:
            large = _pass(blank, torch.zeros(2, channels, height + growth, width + growth, **place))
        except Exception:  # noqa: BLE001 -- a network of one input size says so in its own way
            continue
        shapes = {tensor.source: tensor.shape for tensor in large}
        if all(shapes.get(tensor.source) == tensor.shape for tensor in small if tensor.source.side == "output"):
            break  # it resizes its images itself, and so has one size inside
        return [replace(tensor, grown=shapes.get(tensor.source), growth=growth) for tensor in small]
    return small


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


def _pass(model: nn.Module, images: Tensor) -> list[Seen]:
    """What passes by while the network runs, in order of completion."""
    record = _Record()
    handles = [
        module.register_forward_hook(partial(record.add, name), with_kwargs=True)
        for name, module in model.named_modules()
    ]
    try:
        with left_as_found(model):
            called(model, images)
    finally:
        for handle in handles:
            handle.remove()
    return record.seen


class _Record:
    """The tensors that pass by in a forward pass."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._kept: list[Tensor] = []  # so that no two tensors share an identity
        self._calls: dict[str, int] = {}

    def add(self, name: str, module: nn.Module, arguments: Any, named: Any, output: Any) -> None:
        """Take in what one call of a module was given and gave."""
        call = self._calls.get(name, 0)
        self._calls[name] = call + 1
        leaf, parameters = (not any(True for _ in module.children()), any(True for _ in module.parameters()))
        for side, value in (("input", inputs(arguments, named)), ("output", output)):
            for path, tensor in tensors_in(value):
                self._kept.append(tensor)
                source = Source(name, call, side, path)
                shape = tuple(tensor.shape)
                self.seen.append(Seen(source, type(module).__name__, leaf, parameters, shape, id(tensor)))
