"""A network evaluated, and brought back as it was: its modes, weights, attributes, hooks, and all random state."""

import random
import sys
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from enum import Enum
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from equiscope.networks.checked import check_network
from equiscope.networks.held import (
    ATTRIBUTES,
    BEYOND,
    BY_TYPE,
    CLASS,
    FUNCTION,
    LARGEST_COPY,
    OWN,
    SIMPLE,
    WEIGHTS,
    Kind,
    place_of,
)
from equiscope.networks.wording import enumerated

MOST_HOLDERS = 300_000  # that are looked into
MOST_NAMED = 3


class Change(NamedTuple):
    """Something that a network holds and that is not as it was."""

    name: str
    weights: bool  # a parameter or buffer
    comes_back: bool


class Part(NamedTuple):
    """Something that a network holds, and a copy of what it held at one time."""

    name: str
    thing: Any
    kind: Kind
    before: Any


class Snapshot:
    """What a network holds at one time."""

    def __init__(self, model: nn.Module) -> None:
        self._model, self._parts = model, list(_parts(model, copies=True))

    @classmethod
    def of_what_stays(cls, model: nn.Module) -> "Snapshot":
        """Of that alone which cannot be put back; it takes no copies of values."""
        found = cls.__new__(cls)
        found._model = model
        found._parts = [
            part for part in _parts(model, copies=False)
            if part.kind is BEYOND or (
                isinstance(part.thing, Tensor) and part.kind is not WEIGHTS
                and part.before.place.layout == torch.strided and part.before.place.nbytes > LARGEST_COPY
            )
        ]  # fmt: skip
        return found

    def changes(self) -> list[Change]:
        """What is not as it was then."""
        return [
            Change((part.name + behind).lstrip("."), part.kind in (WEIGHTS, OWN), _comes_back(part))
            for part in self._parts
            for behind in part.kind.changed(part.thing, part.before)
        ]

    def iterators(self) -> list[str]:
        """The names of what it holds whose place in what they go over cannot be read, nor put back."""
        return [part.name for part in self._parts if part.kind is BEYOND and isinstance(part.thing, Iterator)]

    def put_back(self) -> None:
        """Make all as it was then; a warning names what refuses."""
        _shard(self._model)
        for part in self._parts:
            if part.kind.write is None:
                continue
            try:
                part.kind.write(part.thing, part.before)
            except Exception as error:  # noqa: BLE001 -- of the user's classes; all else is to be put back
                told = f"The network's {part.name} could not be put back as it was ({type(error).__name__}: {error})."
                warnings.warn(told, stacklevel=2)


def what_stays(changes: Sequence[Change], iterators: Sequence[str]) -> list[str]:
    """Sentences on changes that cannot be put back, and on iterators that a network holds."""
    staying = [change for change in changes if not change.comes_back]
    found = []
    if staying:
        found.append(f"A pass changes what cannot be put back ({named(staying)}); {_COPY}.")
    if iterators:
        held = enumerated(iterators[:MOST_NAMED])
        found.append(f"The network holds an iterator ({held}), whose place cannot be put back; {_COPY}.")
    return found


_COPY = "give a copy (copy.deepcopy) where that matters, or build the network anew afterwards"


def named(changes: Sequence[Change]) -> str:
    """The names of the first few, and how many more there are."""
    names = [change.name for change in changes]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


@contextmanager
def told_what_stays(model: nn.Module) -> Iterator[None]:
    """Warn of iterators that the network holds, beforehand; and of what passes have changed meanwhile and stays so."""
    before = Snapshot.of_what_stays(model)
    for remark in what_stays([], before.iterators()):
        warnings.warn(remark, stacklevel=4)
    yield
    for remark in what_stays(before.changes(), []):
        warnings.warn(remark, stacklevel=4)


def tensors_of(model: nn.Module) -> list[Tensor]:
    """All tensors that a network holds: parameters, buffers and others."""
    return [part.thing for part in _parts(model, copies=False) if isinstance(part.thing, Tensor)]


def _comes_back(part: Part) -> bool:
    return part.kind.write is not None and not (isinstance(part.thing, Tensor) and part.before.copy is None)


def _parts(model: nn.Module, *, copies: bool) -> Iterator[Part]:
    """All that a network holds and that a forward pass may change, near things first; each once.

    `copies`: with those of tensors' values.
    """
    packages = _own_packages(model)
    names = {id(module): name for name, module in model.named_modules()}
    weights = {id(tensor): name for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    waiting: deque[tuple[str, Any]] = deque([("", model)])
    seen: set[int] = set()
    own: set[int] = set()  # the dicts of modules' parameters and buffers
    while waiting and len(seen) < MOST_HOLDERS:
        name, value = waiting.popleft()
        if isinstance(value, SIMPLE) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, nn.Module):
            own |= {id(value._parameters), id(value._buffers)}
        for kind in _own_kinds(value, weights, own) or _kinds(value, packages):
            before = kind.read(value) if copies or not isinstance(value, Tensor) else place_of(value)
            part = Part(weights.get(id(value)) or names.get(id(value), name), value, kind, before)
            yield part
            waiting.extend((part.name + behind, inner) for behind, inner in kind.inner(value, part.before))


def _own_kinds(value: Any, weights: Mapping[int, str], own: set[int]) -> tuple[Kind, ...]:
    if id(value) in weights:
        return (WEIGHTS,)
    return (OWN,) if id(value) in own else ()


def _kinds(value: Any, packages: frozenset[str]) -> Iterator[Kind]:
    """The kinds of which a value is: a container of a class of the network's own has attributes as well."""
    if isinstance(value, type | FunctionType | ModuleType | Enum | Dataset | DataLoader):
        if isinstance(value, type | FunctionType) and _package(value) in packages:
            yield CLASS if isinstance(value, type) else FUNCTION
        return
    own = _package(type(value)) in packages
    kind = _kind_of(type(value))  # type: ignore[arg-type]  # a class is hashable
    if kind is not None and not (own and kind is BEYOND):
        yield kind
    if own and kind is not ATTRIBUTES and not isinstance(value, Tensor):
        yield ATTRIBUTES
    elif kind is None and _package(type(value)) not in _FOREIGN:
        yield BEYOND


@lru_cache(maxsize=1024)
def _kind_of(of_value: type) -> Kind | None:
    return next((kind for types, kind in BY_TYPE.items() if issubclass(of_value, types)), None)


def _own_packages(model: nn.Module) -> frozenset[str]:
    """The packages of a network's own classes and of the functions that are hooked to it, without PyTorch."""
    named = {_package(type(module)) for module in model.modules()}
    for module in model.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            named |= {_package(getattr(hook, "__func__", hook)) for hook in hooks.values()}
    return frozenset(named - _FOREIGN - _RUNNERS)


_RUNNERS = {"accelerate", "deepspeed", "ignite", "lightning", "pytorch_lightning", "wandb"}  # what networks are run by
_FOREIGN = frozenset(sys.stdlib_module_names) | {"torch", "numpy", ""}  # whose objects hold no state of a network


def _package(value: Any) -> str:
    return str(getattr(value, "__module__", None) or "").partition(".")[0]


@contextmanager
def left_as_found(model: nn.Module, device: str | torch.device | None = None) -> Iterator[Snapshot]:
    """Evaluate a network without gradients, and uncompiled; afterwards it is as it was, and all random state too.

    `device` is where it will be moved to, if it is; it comes back from there as well. Modes are put back by the
    modules' own `train(mode)`, then all values from copies. It yields what the network held beforehand.
    """
    check_network(model)
    with kept(model, device) as before, ExitStack() as around, torch.no_grad():
        modes = [(module, module.training) for module in model.modules()]
        around.callback(_put_modes_back, modes)
        if any(training for _, training in modes):
            _evaluate(model)
        yield before


@contextmanager
def kept(model: nn.Module, device: str | torch.device | None = None) -> Iterator[Snapshot]:
    """The same, without evaluating it."""
    with _random_state_kept(model, device), ExitStack() as around:
        before = Snapshot(model)
        around.callback(before.put_back)
        if "torch._dynamo" in sys.modules:  # else nothing has been compiled
            around.enter_context(torch.compiler.set_stance("force_eager"))
        yield before


def _shard(model: nn.Module) -> None:
    """Part the weights again that `fully_shard` has gathered for a forward pass."""
    for module in model.modules():
        reshard: Any = getattr(type(module), "reshard", None)
        if reshard is not None and hasattr(type(module), "unshard"):
            reshard(module)


def _evaluate(model: nn.Module) -> None:
    try:
        model.eval()
    except NotImplementedError:  # of `torch.export`, whose graphs have one mode
        for module in model.modules():
            module.training = False


def _put_modes_back(modes: list[tuple[nn.Module, bool]]) -> None:
    """Each module in its mode, outer ones first; an adapter that merges weights in one mode parts them in the other."""
    for module, training in modes:
        if module.training != training:
            try:
                module.train(training)
            except Exception:  # noqa: BLE001 -- of the user's; whatever it did is put back from copies
                module.training = training


@contextmanager
def _random_state_kept(model: nn.Module, device: str | torch.device | None) -> Iterator[None]:
    kinds = {tensor.device.type for tensor in [*model.parameters(), *model.buffers()]}
    kinds |= {"cuda" if device == "auto" else str(device).partition(":")[0]}
    indices = range(torch.cuda.device_count()) if "cuda" in kinds and torch.cuda.is_available() else ()
    python_state, numpy_state = random.getstate(), np.random.get_state()
    mps_state = torch.mps.get_rng_state() if "mps" in kinds and torch.backends.mps.is_available() else None
    try:
        with torch.random.fork_rng(devices=list(indices)):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        if mps_state is not None:
            torch.mps.set_rng_state(mps_state)


@contextmanager
def without_hooks(model: nn.Module, *, unless: bool = False) -> Iterator[None]:
    """Meanwhile nothing that others hooked to a network's forward passes runs, unless that is wanted."""
    kept = [] if unless else [(hooks, dict(hooks)) for hooks in _all_hooks(model)]
    try:
        for hooks, _ in kept:
            hooks.clear()
        yield
    finally:
        for hooks, theirs in kept:
            hooks.clear()
            hooks.update(theirs)


def has_hooks(model: nn.Module) -> bool:
    """Whether others hooked anything to a network's forward passes."""
    return any(hooks for hooks in _all_hooks(model))


def _all_hooks(model: nn.Module) -> Iterator[dict[int, Any]]:
    """Those of every module, and those that are for all modules that there are."""
    for module in model.modules():
        yield from _hooks_of(module)
    for name in ("_global_forward_pre_hooks", "_global_forward_hooks", "_global_forward_hooks_always_called"):
        yield getattr(nn.modules.module, name, {})


def _hooks_of(module: nn.Module) -> list[dict[int, Any]]:
    return [
        module._forward_pre_hooks,
        module._forward_pre_hooks_with_kwargs,
        module._forward_hooks,
        module._forward_hooks_with_kwargs,
        module._forward_hooks_always_called,
    ]  # fmt: skip
