"""The features of a network's layers, read during a forward pass; the network is left as it was found."""

import inspect
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


@dataclass(frozen=True)
class Source:
    """Where in a forward pass a layer's features are: which call of which module, and which tensor of it."""

    module: str
    call: int = 0  # the first call of the module is 0
    side: str = "output"  # or "input": what the module is given
    path: str = ""  # of the tensor within a tuple or dict: "[0]", "['logits']"


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside `torch.compile`, DataParallel and DistributedDataParallel."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def tensors_in(value: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a module's output, with its path: "" alone, "[0]" in a tuple, "['name']" in a mapping.

    An object that holds one tensor of real numbers among its attributes stands for it; of several each is "[name]".
    """
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from tensors_in(item, f"{path}[{key!r}]")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, item in enumerate(value):
            yield from tensors_in(item, f"{path}[{index}]")
    else:
        held = [
            (f"[{name}]{inner}", tensor)
            for name, item in _attributes(value).items()
            if isinstance(item, Tensor | Mapping | Sequence)
            for inner, tensor in tensors_in(item)
            if tensor.is_floating_point()
        ]
        for inner, tensor in held:
            yield path + ("" if len(held) == 1 else inner), tensor


def _attributes(value: Any) -> dict[str, Any]:
    """An object's own attributes; none of a module, a class, a function or a plain value."""
    if value is None or isinstance(value, nn.Module | type | int | float | complex) or inspect.isroutine(value):
        return {}
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    return {name: getattr(value, name) for name in slots if hasattr(value, name)} | getattr(value, "__dict__", {})


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def called(model: nn.Module, images: Tensor) -> Any:
    """What the network gives for images, as `pixel_values` where it takes them by that name."""
    try:
        if "pixel_values" in inspect.signature(model.forward).parameters:
            return model(pixel_values=images)
        return model(images)
    except SystemExit as error:  # which would end the caller's program, too
        raise RuntimeError(f"it ended the program (SystemExit: {error})") from error


def check_network(model: Any) -> None:
    """ValueError where it is no network, or one that does not let its layers be read."""
    if not isinstance(model, nn.Module):
        given = f"the class {model.__name__}" if isinstance(model, type) else f"a value of type {type(model).__name__}"
        raise ValueError(f"A network is a torch.nn.Module, and {given} is none; build one and load its weights.")
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            which = f"Its module {name}" if name else "The network"
            raise ValueError(
                f"{which} is TorchScript, whose layers cannot be read; give the torch.nn.Module that it was made from."
            )
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(tensor):
            raise ValueError(f"The network's {name} gets its shape from the first image; run it on one beforehand.")


@contextmanager
def left_as_found(model: nn.Module) -> Iterator[None]:
    """Evaluate the model without gradients; put its modes, buffers and all random state back afterwards."""
    check_network(model)
    modes = {module: module.training for module in model.modules()}
    registered = {module: (dict(module._buffers), set(module._non_persistent_buffers_set)) for module in modes}
    buffers = [
        (buffer, buffer.detach().clone())
        for theirs, _ in registered.values()
        for buffer in theirs.values()
        if buffer is not None
    ]
    python_state, numpy_state = random.getstate(), np.random.get_state()
    accelerators = {tensor.device for tensor in [*model.parameters(), *model.buffers()] if tensor.is_cuda}
    with torch.random.fork_rng(devices=[device.index for device in accelerators]):
        try:
            model.eval()
            with torch.no_grad():
                yield
        finally:
            for module, training in modes.items():
                module.training = training
            for module, (theirs, not_persistent) in registered.items():
                module._buffers.clear()
                module._buffers.update(theirs)
                module._non_persistent_buffers_set = not_persistent
            with torch.no_grad():
                for buffer, before in buffers:
                    if not (buffer.is_meta or torch.equal(buffer, before)):
                        buffer.copy_(before)
            random.setstate(python_state)
            np.random.set_state(numpy_state)


@contextmanager
def reading(model: nn.Module, sources: Mapping[str, Source], receive: Callable[[str, Tensor], None]) -> Iterator[None]:
    """While open, every forward pass hands each layer's features to `receive(layer, features)`.

    It does so at once, before a later operation can change them in place: `receive` must not keep them.
    """
    modules = dict(model.named_modules())
    by_module: dict[str, list[tuple[str, Source]]] = {}
    for layer, source in sources.items():
        by_module.setdefault(source.module, []).append((layer, source))
    readers = {name: _Reader(wanted, receive) for name, wanted in by_module.items()}

    def start(module: nn.Module, arguments: Any) -> None:
        for reader in readers.values():
            reader.call = -1

    handles = [model.register_forward_pre_hook(start)]
    try:
        for name, reader in readers.items():
            handles.append(modules[name].register_forward_pre_hook(reader.before, with_kwargs=True))
            handles.append(modules[name].register_forward_hook(reader.after))
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Reader:
    """Hands over what one module is given and gives, and counts its calls within a forward pass."""

    def __init__(self, wanted: list[tuple[str, Source]], receive: Callable[[str, Tensor], None]) -> None:
        self.wanted, self.receive, self.call = wanted, receive, -1

    def before(self, module: nn.Module, arguments: Any, named: Any) -> None:
        self.call += 1
        self._hand_over("input", inputs(arguments, named))

    def after(self, module: nn.Module, arguments: Any, output: Any) -> None:
        self._hand_over("output", output)

    def _hand_over(self, side: str, value: Any) -> None:
        for layer, source in self.wanted:
            if source.side == side and source.call == self.call:
                found = [tensor for path, tensor in tensors_in(value) if path == source.path]
                if not found:
                    raise ValueError(f"Layer {layer} gave no tensor at {source.path!r} in this forward pass.")
                # Detached, it would have no derivative in forward mode either.
                self.receive(layer, found[0].detach() if found[0].requires_grad else found[0])


def inputs(arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What a module is given, as one value: the only argument itself, or all of them."""
    if len(arguments) == 1 and not named:
        return arguments[0]
    return [*arguments, *named.values()]
