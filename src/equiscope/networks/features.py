"""The features of a network's layers, read during a forward pass; the network is left as it was found."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


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


def called(model: nn.Module, images: Any) -> Any:
    """What the network gives for images, as `pixel_values` or the only keyword where it takes them by name alone."""
    name = _keyword(model)
    try:
        return model(images) if name is None else model(**{name: images})
    except SystemExit as error:  # which would end the caller's program, too
        raise RuntimeError(f"it ended the program (SystemExit: {error})") from error


def _keyword(model: nn.Module) -> str | None:
    """The name by which a network takes its images, where it does not take them by their place."""
    parameters = inspect.signature(model.forward).parameters
    if "pixel_values" in parameters:
        return "pixel_values"
    needed = [name for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY and one.default is one.empty]
    by_place = any(one.kind not in (one.KEYWORD_ONLY, one.VAR_KEYWORD) for one in parameters.values())
    return needed[0] if len(needed) == 1 and not by_place else None


class Calls:
    """Numbers the calls of modules, in the order in which they begin, within one outermost call of the network.

    >>> calls = Calls()
    >>> calls.begin(""), calls.begin("relu"), calls.end("relu"), calls.begin("relu")
    (0, 0, 0, 1)
    """

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}
        self._open: dict[str, list[int]] = {}

    def begin(self, name: str) -> int:
        """The number of a call that begins; where the network itself is called from outside, all counts begin anew."""
        if not name and not self._open.get(""):
            self._begun, self._open = {}, {}
        number = self._begun.get(name, 0)
        self._begun[name] = number + 1
        self._open.setdefault(name, []).append(number)
        return number

    def end(self, name: str) -> int:
        """The number of the call that ends."""
        return self._open[name].pop()


@contextmanager
def reading(model: nn.Module, sources: Mapping[str, Source], receive: Callable[[str, Tensor], None]) -> Iterator[None]:
    """While open, every forward pass hands each layer's features to `receive(layer, features)`.

    It does so at once, before a later operation can change them in place: `receive` must not keep them.
    """
    modules = dict(model.named_modules())
    by_module: dict[str, list[tuple[str, Source]]] = {"": []}  # the network itself, whose calls are counted in any case
    for layer, source in sources.items():
        by_module.setdefault(source.module, []).append((layer, source))
    calls = Calls()
    handles = []
    try:
        for name, wanted in by_module.items():
            reader = _Reader(name, wanted, receive, calls)
            handles.append(modules[name].register_forward_pre_hook(reader.before, with_kwargs=True))
            handles.append(modules[name].register_forward_hook(reader.after, always_call=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Reader:
    """Hands over what one module is given and gives."""

    def __init__(
        self, name: str, wanted: list[tuple[str, Source]], receive: Callable[[str, Tensor], None], calls: Calls
    ) -> None:
        self.name, self.wanted, self.receive, self.calls = name, wanted, receive, calls

    def before(self, module: nn.Module, arguments: Any, named: Any) -> None:
        self._hand_over("input", self.calls.begin(self.name), inputs(arguments, named))

    def after(self, module: nn.Module, arguments: Any, output: Any) -> None:
        call = self.calls.end(self.name)
        if output is not None:  # as where it raised an error
            self._hand_over("output", call, output)

    def _hand_over(self, side: str, call: int, value: Any) -> None:
        for layer, source in self.wanted:
            if source.side == side and source.call == call:
                found = [tensor for path, tensor in tensors_in(value) if path == source.path]
                if not found:
                    raise ValueError(f"Layer {layer} gave no tensor at {source.path!r} in this forward pass.")
                features = found[0].dequantize() if found[0].is_quantized else found[0]
                # Detached, it would have no derivative in forward mode either.
                self.receive(layer, features.detach() if features.requires_grad else features)


def inputs(arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What a module is given, as one value: the only argument itself, or all of them."""
    if len(arguments) == 1 and not named:
        return arguments[0]
    return [*arguments, *named.values()]
