"""Forward passes over blank images, for the shapes: on the meta device, where nothing is computed, or on real ones."""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import log
from time import monotonic
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from equiscope.networks.allowance import Allowance, Stopwatch
from equiscope.networks.failures import failure
from equiscope.networks.features import called
from equiscope.networks.placement import floating_types
from equiscope.networks.state import has_hooks, left_as_found, tensors_of, without_hooks
from equiscope.system.errors import out_of_memory

Noted = TypeVar("Noted")

MOST_OPERATIONS = 20_000  # of a pass on larger images, unless the first pass took as many itself
MOST_BYTES = 2**36  # that all operations of such a pass give together, not counting those on the meta device
LARGEST = 2**30  # bytes of one tensor of those


@dataclass(frozen=True)
class _Cost:
    """What a pass takes. Its seconds hardly ever count, so that the same is found on every machine."""

    pixels: int
    operations: int
    bytes: int
    largest: int
    seconds: float

    def beyond(self, limit: "_Cost") -> bool:
        """Whether anything exceeds a limit."""
        return (
            self.operations > limit.operations or self.bytes > limit.bytes
            or self.largest > limit.largest or self.seconds > limit.seconds
        )  # fmt: skip


class _TooMuch(Exception):
    """A pass takes more than it may."""


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations and what they give; stops a pass that takes more than it may."""

    supports_higher_order_operators = True

    def __init__(self, limit: _Cost | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = self.bytes = self.largest = 0
        self._limit, self._watch = limit, Stopwatch()
        self._ends = monotonic() + (limit.seconds if limit is not None else 0.0)

    def cost(self, pixels: int) -> _Cost:
        return _Cost(pixels, self.operations, self.bytes, self.largest, self._watch.seconds)

    def _beyond(self, limit: _Cost) -> bool:
        counted = self.operations > limit.operations or self.bytes > limit.bytes or self.largest > limit.largest
        return counted or (monotonic() > self._ends and self._watch.seconds > limit.seconds)

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        if self._limit is not None and self._beyond(self._limit):
            raise _TooMuch
        given = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(given):
            if isinstance(tensor, Tensor) and not tensor.is_meta and tensor.layout == torch.strided:
                self.bytes += tensor.nbytes
                self.largest = max(self.largest, tensor.nbytes)
        return given


class BlankPasses(Generic[Noted]):
    """Passes of a network over blank images of any size, each bounded; the network is as it was after each.

    `noting(network)` opens what notes a pass, and `first` is what it noted at the size given. Larger sizes are best
    tried from small to large: what they take is foreseen from the passes before, and none is begun that would take too
    much, or longer than `allowance` leaves; `stopped` says whether that has been so.
    """

    def __init__(
        self,
        model: nn.Module,
        image_shape: tuple[int, int, int],
        noting: Callable[[nn.Module], AbstractContextManager[Noted]],
        allowance: Allowance,
    ) -> None:
        """ValueError where the network fails on images of its own size, on the meta device and on its own."""
        self._model, self._channels, self._noting, self._allowance = model, image_shape[0], noting, allowance
        self.stopped = False
        self._costs: list[_Cost] = []
        raised: list[Exception] = []  # on its own device
        for on_meta, number, hooked in _ways(model):
            try:
                self._network, self._device = _on_meta(model) if on_meta else (model, _device_of(model))
                self._type, self._hooked = number, hooked
                self.first = self._pass(2, *image_shape[1:])
                return
            except Exception as error:  # of the user's network; another way may do
                if out_of_memory(error) and not on_meta:
                    raise
                raised += [] if on_meta else [error]
        images = torch.zeros(2, *image_shape, dtype=floating_types(model)[0], device=_device_of(model))
        raise failure(model, images, raised[0]) from raised[0]

    @property
    def on_meta(self) -> bool:
        """Whether nothing is computed."""
        return self._device.type == "meta"

    def at(self, images: int, height: int, width: int) -> Noted | None:
        """What is noted in a pass over so many images of another size.

        None where the network does not run so, and where that takes too much.
        """
        if self._foreseen(images * height * width).beyond(self._limit):
            self.stopped = True
            return None
        try:
            return self._pass(images, height, width)
        except _TooMuch:
            self.stopped = True
            return None
        except Exception:  # noqa: BLE001 -- a network of one input size says so in its own way
            return None

    def _pass(self, images: int, height: int, width: int) -> Noted:
        meter = _Meter(self._limit if self._costs else None)
        blank = torch.zeros(images, self._channels, height, width, dtype=self._type, device=self._device)
        with (
            left_as_found(self._network),  # of a copy, too: it may share objects with the original
            without_hooks(self._network, unless=self._hooked),
            self._noting(self._network) as noted,
            meter,
        ):
            called(self._network, blank)
        self._costs.append(meter.cost(images * height * width))
        return noted

    @property
    def _limit(self) -> _Cost:
        first = self._costs[0]
        return _Cost(
            0, max(MOST_OPERATIONS, 3 * first.operations), max(MOST_BYTES, 4 * first.bytes),
            max(LARGEST, 2 * first.largest), self._allowance.left,
        )  # fmt: skip

    def _foreseen(self, pixels: int) -> _Cost:
        """What a pass over so many pixels will take.

        What is counted grows as a power of the pixels as from the smallest to the largest pass so far; of one pass
        alone, operations as the pixels, and bytes as their square. Seconds are never compared, for other programs
        disturb them: they are those of the quickest pass for what it counted.
        """
        first, last = min(self._costs, key=_pixels), max(self._costs, key=_pixels)
        times = pixels / last.pixels

        def grown(name: str, alone: float) -> int:
            before, after = (max(1, getattr(cost, name)) for cost in (first, last))
            power = log(after / before) / log(last.pixels / first.pixels) if last.pixels > first.pixels else alone
            return int(after * times ** min(max(0.0, power), 9.0)) if times > 1 else after

        operations, given, largest = grown("operations", 1.0), grown("bytes", 2.0), grown("largest", 2.0)
        seconds = min(
            cost.seconds * max(operations / max(1, cost.operations), given / max(1, cost.bytes)) for cost in self._costs
        )
        return _Cost(pixels, operations, given, largest, seconds)


def _ways(model: nn.Module) -> Iterator[tuple[bool, torch.dtype, bool]]:
    """How a network may be run, the best first: on the meta device or not, on which numbers, hooks of others or not."""
    types = floating_types(model)
    for on_meta in (True, False):
        for number in types[:1] if on_meta else types:
            for hooked in (False, True) if has_hooks(model) else (False,):
                yield on_meta, number, hooked


def _device_of(model: nn.Module) -> torch.device:
    tensor = next(iter([*model.parameters(), *model.buffers()]), None)
    return tensor.device if tensor is not None else torch.device("cpu")


def _on_meta(model: nn.Module) -> tuple[nn.Module, torch.device]:
    """A copy of the network that has shapes and no values; nothing of the model's is copied or touched."""
    shapes: dict[int, Any] = {}
    for tensor in tensors_of(model):
        empty = torch.empty_like(tensor, device="meta")
        shapes[id(tensor)] = nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
    found = copy.deepcopy(model, shapes)
    for module, original in zip(found.modules(), model.modules(), strict=True):
        if "forward" in vars(module):  # which a copy may share with the original
            _own_forward(module, original)
    return found, torch.device("meta")


def _pixels(cost: _Cost) -> int:
    return cost.pixels


def _own_forward(module: nn.Module, original: nn.Module) -> None:
    """Take a compiled `forward` off a copied module. ValueError where it is another function set on the module."""
    given = vars(original)["forward"]
    inner = getattr(given, "_torchdynamo_orig_callable", None)
    if inner is None or getattr(inner, "__func__", None) is not type(original).forward:
        raise ValueError("Its forward is a function of the original module.")
    del vars(module)["forward"]
