"""The features of a network's layers, read during a forward pass; the network is left as it was found."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import GeneratorType
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map


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
    """What the network gives for images, as `pixel_values` or the only keyword where it takes them by name alone.

    A generator is gone through, for the network runs only then: a list of what it yields.
    """
    name = _keyword(model)
    try:
        given = model(images) if name is None else model(**{name: images})
        return list(given) if isinstance(given, GeneratorType) else given
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
        self.paused = False  # calls meanwhile are ours, and are not counted

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


@runtime_checkable
class Repeat(Protocol):
    """What calls a module again, on another input, as soon as the network has called it."""

    @property
    def source(self) -> Source:
        """Where the module's features are."""

    def kept(self, given: Sequence[Tensor]) -> Tensor | None:
        """What is needed of the tensors that the module is given: a copy, for it may change them in place.

        None where the module is not to be called again.
        """

    def receive(self, kept: Tensor, features: Tensor, again: Callable[[Tensor], Tensor]) -> None:
        """Take in the features; `again(input)` are those that the module gives for another input."""


@contextmanager
def reading(
    model: nn.Module,
    sources: Mapping[str, Source],
    receive: Callable[[str, Tensor], None],
    repeats: Sequence[Repeat] = (),
) -> Iterator[None]:
    """While open, every forward pass hands each layer's features to `receive(layer, features)`.

    It does so at once, before a later operation can change them in place: `receive` must not keep them. Each of the
    `repeats` is handed the features of its module, and may call it again; nothing is read in such a call.
    """
    modules = dict(model.named_modules())
    by_module: dict[str, _Wanted] = {"": _Wanted()}  # the network itself, whose calls are counted in any case
    for layer, source in sources.items():
        by_module.setdefault(source.module, _Wanted()).layers.append((layer, source))
    for repeat in repeats:
        by_module.setdefault(repeat.source.module, _Wanted()).repeats.append(repeat)
    calls = Calls()
    handles = []
    try:
        for name, wanted in by_module.items():
            reader = _Reader(name, wanted, receive, calls)
            handles.append(modules[name].register_forward_pre_hook(reader.before, with_kwargs=True))
            handles.append(modules[name].register_forward_hook(reader.after, with_kwargs=True, always_call=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class _Wanted:
    """What is wanted of one module."""

    layers: list[tuple[str, Source]] = field(default_factory=list)
    repeats: list[Repeat] = field(default_factory=list)


class _Reader:
    """Hands over what one module is given and gives."""

    def __init__(self, name: str, wanted: _Wanted, receive: Callable[[str, Tensor], None], calls: Calls) -> None:
        self.name, self.wanted, self.receive, self.calls = name, wanted, receive, calls
        self._kept: dict[int, Tensor] = {}  # by the place of the repeat

    def before(self, module: nn.Module, arguments: Any, named: Any) -> None:
        if self.calls.paused:
            return
        call = self.calls.begin(self.name)
        self._hand_over("input", call, inputs(arguments, named))
        for place, repeat in enumerate(self.wanted.repeats):
            if repeat.source.call == call:
                kept = repeat.kept([_readable(leaf) for leaf in tree_leaves((arguments, named)) if _is_tensor(leaf)])
                if kept is not None:
                    self._kept[place] = kept

    def after(self, module: nn.Module, arguments: Any, named: Any, output: Any) -> None:
        if self.calls.paused:
            return
        call = self.calls.end(self.name)
        if output is None:  # as where it raised an error
            return
        self._hand_over("output", call, output)
        for place, repeat in enumerate(self.wanted.repeats):
            if repeat.source.call == call and place in self._kept:
                kept = self._kept.pop(place)
                again = partial(self._again, module, (arguments, named), repeat.source.path)
                repeat.receive(kept, _at(repeat.source.path, output, self.name), again)

    def _hand_over(self, side: str, call: int, value: Any) -> None:
        for layer, source in self.wanted.layers:
            if source.side == side and source.call == call:
                self.receive(layer, _at(source.path, value, layer))

    def _again(self, module: nn.Module, given: Any, path: str, other: Tensor) -> Tensor:
        """What the module gives for another tensor in place of the one that it was given."""
        arguments, named = tree_map(lambda leaf: other if _is_tensor(leaf) else leaf, given)
        self.calls.paused = True
        try:
            return _at(path, module(*arguments, **named), self.name)
        finally:
            self.calls.paused = False


def _at(path: str, value: Any, layer: str) -> Tensor:
    """The tensor at a path of what a module is given or gives."""
    found = [tensor for its, tensor in tensors_in(value) if its == path]
    if not found:
        raise ValueError(f"Layer {layer} gave no tensor at {path!r} in this forward pass.")
    return _readable(found[0])


def _readable(tensor: Tensor) -> Tensor:
    features = tensor.dequantize() if tensor.is_quantized else tensor
    # Detached, it would have no derivative in forward mode either.
    return features.detach() if features.requires_grad else features


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, Tensor)


def inputs(arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What a module is given, as one value: the only argument itself, or all of them."""
    if len(arguments) == 1 and not named:
        return arguments[0]
    return [*arguments, *named.values()]
