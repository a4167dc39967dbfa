"""What things hold that may change, by kind: how it is copied, compared, and put back."""

import random
from collections import OrderedDict, UserDict, UserList, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from types import CellType, FunctionType, MethodType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

MOST_ELEMENTS = 10_000  # of a container, that are looked into
LARGEST_COPY = 2**28  # bytes of a tensor or array that is no parameter and no buffer
SIMPLE = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size)

Inner = Iterable[tuple[str, Any]]  # what stands behind the holder's name, and a value


class Kind(NamedTuple):
    """How things of one kind are copied, compared and put back."""

    read: Callable[[Any], Any]  # a copy of what they hold
    changed: Callable[[Any, Any], Iterable[str]]  # of the thing and its copy: what is not as it was; "" is itself
    write: Callable[[Any, Any], None] | None  # make the thing as its copy says; None: that cannot be done
    inner: Callable[[Any, Any], Inner] = lambda thing, before: ()  # the values that it holds


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, SIMPLE) and type(one) is type(other) and bool(one == other))


def _differing(before: dict[Any, Any], now: dict[Any, Any]) -> list[Any]:
    """The keys that came, went, or have another value."""
    return [key for key in {**before, **now} if key not in before or key not in now or not _same(before[key], now[key])]


def _refill(holder: dict[Any, Any], before: dict[Any, Any]) -> None:
    """Fill a dict with what it held, key by key, so that it is never empty meanwhile."""
    kind = OrderedDict if isinstance(holder, OrderedDict) else dict  # whose methods no class has replaced
    for key in [key for key in holder if key not in before]:
        kind.__delitem__(holder, key)
    for key, value in before.items():
        if key not in holder or holder[key] is not value:
            kind.__setitem__(holder, key, value)
    if list(holder) != list(before):  # the order, too
        for key, value in before.items():
            kind.__delitem__(holder, key)
            kind.__setitem__(holder, key, value)


def _attributes(thing: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those in its `__dict__`, and those in slots."""
    names = [
        name
        for kind in type(thing).__mro__
        for name in _listed(vars(kind).get("__slots__", ()))
        if name not in ("__dict__", "__weakref__")
    ]
    return dict(getattr(thing, "__dict__", {})), {name: getattr(thing, name) for name in names if hasattr(thing, name)}


def _listed(names: Any) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _attributes_changed(thing: Any, before: tuple[dict[str, Any], dict[str, Any]]) -> list[str]:
    return [f".{key}" for then, now in zip(before, _attributes(thing), strict=True) for key in _differing(then, now)]


def _write_attributes(thing: Any, before: tuple[dict[str, Any], dict[str, Any]]) -> None:
    if hasattr(thing, "__dict__"):
        _refill(thing.__dict__, before[0])
    for name in _differing(before[1], _attributes(thing)[1]):
        if name in before[1]:
            object.__setattr__(thing, name, before[1][name])
        else:
            object.__delattr__(thing, name)


def _of_attributes(thing: Any, before: tuple[dict[str, Any], dict[str, Any]]) -> Inner:
    for values in before:
        for key, value in values.items():
            own = isinstance(thing, nn.Module) and key in ("_parameters", "_buffers", "_modules")
            yield "" if own else f".{key}", value
    for kind in type(thing).__mro__:
        yield "", kind


def _class_values(kind: type) -> dict[str, Any]:
    """What a class holds for all its instances, such as a cache or a counter."""
    kinds = (*SIMPLE, list, dict, set, deque, tuple, Tensor, np.ndarray)
    return {
        name: value
        for name, value in vars(kind).items()
        if isinstance(value, kinds) and not name.startswith("__")
    }  # fmt: skip


def _write_class(kind: type, before: dict[str, Any]) -> None:
    for name in _differing(before, _class_values(kind)):
        if name in before:
            type.__setattr__(kind, name, before[name])
        else:
            type.__delattr__(kind, name)


def _dict_changed(holder: dict[Any, Any], before: dict[Any, Any]) -> list[str]:
    return [f"[{key!r}]" for key in _differing(before, holder)]


def _of_dict(holder: dict[Any, Any], before: dict[Any, Any]) -> Inner:
    return ((f"[{key!r}]", value) for key, value in before.items()) if len(before) <= MOST_ELEMENTS else ()


def _list_changed(holder: Any, before: list[Any]) -> list[str]:
    now = list(holder)
    return [] if len(now) == len(before) and all(map(_same, before, now)) else [""]


def _write_list(holder: Any, before: list[Any]) -> None:
    if _list_changed(holder, before):
        if isinstance(holder, list | bytearray):
            holder[:] = before
        else:  # a set or a deque
            holder.clear()
            holder.update(before) if isinstance(holder, set) else holder.extend(before)


def _of_list(holder: Any, before: Iterable[Any]) -> Inner:
    listed = list(before)
    return ((f"[{place}]", value) for place, value in enumerate(listed)) if len(listed) <= MOST_ELEMENTS else ()


@dataclass(frozen=True)
class _Values:
    """A tensor's values: where they are, a copy, and how often they had been written."""

    place: Tensor
    copy: Tensor | None
    version: int | None
    requires_grad: bool


def _values(tensor: Tensor, largest: int | None = None) -> _Values:
    place = _place(tensor)
    fits = not place.is_meta and (largest is None or (place.layout == torch.strided and place.nbytes <= largest))
    version = None if tensor.is_inference() else tensor._version
    return _Values(place, _copied(place) if fits else None, version, tensor.requires_grad)


def _place(tensor: Tensor) -> Tensor:
    """The tensor's values, or this process's of them; what is written to these does not count for autograd."""
    local = getattr(tensor, "_local_tensor", None)
    return tensor.data if local is None else local.data


def place_of(tensor: Tensor) -> _Values:
    """Where a tensor's values are, without a copy of them."""
    return _values(tensor, largest=-1)


def _copied(values: Tensor) -> Tensor | None:
    """A copy, in main memory where an accelerator has little room; None of what cannot be copied."""
    try:
        if values.is_cuda and 2 * values.nbytes > torch.cuda.mem_get_info(values.device)[0]:
            return values.cpu()
        return values.clone()
    except (NotImplementedError, TypeError):
        return None


def _equal(values: Tensor, before: Tensor) -> bool:
    if values.layout != torch.strided:
        return values.shape == before.shape and not bool((values - before).coalesce().values().any())
    return bool(torch.equal(values, before.to(values.device)))


def _moved(tensor: Tensor, then: Tensor) -> bool:
    """Whether its values are in another place."""
    now = _place(tensor)
    if (now.device, now.dtype, now.shape, now.layout) != (then.device, then.dtype, then.shape, then.layout):
        return True
    plain = type(now) is Tensor and now.layout == torch.strided and not now.is_meta
    return plain and (now.data_ptr(), now.stride()) != (then.data_ptr(), then.stride())


def _values_changed(tensor: Tensor, before: _Values) -> list[str]:
    if before.copy is None:
        written = before.version is not None and before.version != tensor._version
        return [""] if written and not tensor.is_meta else []
    return [] if not _moved(tensor, before.place) and _equal(before.place, before.copy) else [""]


def _write_values(tensor: Tensor, before: _Values) -> None:
    if tensor.is_leaf and tensor.requires_grad != before.requires_grad:
        tensor.requires_grad_(before.requires_grad)
    if _moved(tensor, before.place) and not hasattr(tensor, "_local_tensor"):
        tensor.data = before.place
    if before.copy is not None and not _equal(before.place, before.copy):
        with torch.no_grad(), torch.inference_mode(before.place.is_inference()):
            before.place.copy_(before.copy)


def _array(array: Any) -> Any:
    return array.copy() if array.flags.writeable and array.nbytes <= LARGEST_COPY else None


def _array_changed(array: Any, before: Any) -> list[str]:
    return [] if before is None or array.tobytes() == before.tobytes() else [""]


def _write_array(array: Any, before: Any) -> None:
    if _array_changed(array, before):
        array[...] = before


def _draws(read: Callable[[Any], Any], write: Callable[[Any, Any], None]) -> Kind:
    """A generator of random numbers."""
    return Kind(read, lambda draws, before: [] if str(read(draws)) == str(before) else [""], write)


def _of_function(function: FunctionType, before: None) -> Inner:
    yield "", vars(function)
    for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield f".{variable}", cell


def _in_cell(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # it is empty
        return []


def _write_cell(cell: CellType, before: list[Any]) -> None:
    if before:
        cell.cell_contents = before[0]


def _nothing(*_: Any) -> None:
    return None


def _unchanged(thing: Any, before: Any) -> list[str]:
    return []


ATTRIBUTES = Kind(_attributes, _attributes_changed, _write_attributes, _of_attributes)
CLASS = Kind(
    _class_values,
    lambda kind, before: [f".{name}" for name in _differing(before, _class_values(kind))],
    _write_class,
    lambda kind, before: ((f".{name}", value) for name, value in before.items()),
)
FUNCTION = Kind(_nothing, _unchanged, _nothing, _of_function)
WEIGHTS = Kind(_values, _values_changed, _write_values)
OWN = Kind(  # the parameters or the buffers of a module, by name
    dict,
    lambda holder, before: [f".{key}" for key in _differing(before, holder)],
    _refill,
    lambda holder, before: ((f".{key}", value) for key, value in before.items()),
)
BEYOND = Kind(_attributes, _attributes_changed, None)  # an object of other people's classes

BY_TYPE: dict[type | tuple[type, ...], Kind] = {
    nn.Module: ATTRIBUTES,
    (UserDict, UserList, SimpleNamespace): ATTRIBUTES,
    Tensor: Kind(partial(_values, largest=LARGEST_COPY), _values_changed, _write_values),
    np.ndarray: Kind(_array, _array_changed, _write_array),
    dict: Kind(dict, _dict_changed, _refill, _of_dict),
    (list, deque, set, bytearray): Kind(list, _list_changed, _write_list, _of_list),
    (tuple, frozenset): Kind(_nothing, _unchanged, _nothing, lambda holder, before: _of_list(holder, holder)),
    MethodType: Kind(_nothing, _unchanged, _nothing, lambda one, _: [("", one.__self__), ("", one.__func__)]),
    partial: Kind(_nothing, _unchanged, _nothing, lambda one, _: [("", one.func), ("", one.args), ("", one.keywords)]),
    CellType: Kind(
        _in_cell,
        lambda cell, before: _list_changed(_in_cell(cell), before),
        _write_cell,
        lambda cell, before: [("", value) for value in before],
    ),
    torch.Generator: _draws(torch.Generator.get_state, lambda draws, state: draws.set_state(state)),
    random.Random: _draws(random.Random.getstate, random.Random.setstate),
    np.random.RandomState: _draws(np.random.RandomState.get_state, np.random.RandomState.set_state),
    np.random.Generator: _draws(
        lambda draws: draws.bit_generator.state,
        lambda draws, state: setattr(draws.bit_generator, "state", state),
    ),
    Iterator: BEYOND,
}
