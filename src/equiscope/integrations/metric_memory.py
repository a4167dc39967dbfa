"""What a metric remembers between batches: the sums of all layers, as tensors that others copy, move and save."""

import json
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from equiscope.measurement.findings import moments_of
from equiscope.measurement.layer_moments import LayerMoments, Scratch
from equiscope.measurement.loop import joined_across
from equiscope.measurement.options import Scoring
from equiscope.measurement.passes import Batch
from equiscope.measurement.plan import Plan
from equiscope.networks.identity import Answer
from equiscope.networks.probe import Probed
from equiscope.system.processes import Processes
from equiscope.system.provenance import Contents, digests


@dataclass(frozen=True)
class Measured:
    """What is measured of a network."""

    model: str
    weights: str  # their SHA-256
    structure: str  # that of its modules
    answer: Answer | None
    image_shape: tuple[int, int, int]
    plan: Plan
    transformations: Mapping[str, str]  # by content
    probed: Probed = Probed()

    def identity(self) -> dict[str, Any]:
        """The network, the shape of its images and the transformations, as the header of a memory has them."""
        return {
            "weights": self.weights,
            "structure": self.structure,
            "answer": None if self.answer is None else self.answer.record(),
            "layers": self.plan.layers_in_words(),
            "image_shape": list(self.image_shape),
            "transformations": dict(self.transformations),
        }

    def made(self, header: Mapping[str, Any]) -> bool:
        """Whether a memory is of this network and such images."""
        return all(header.get(name) == value for name, value in self.identity().items())

    def check_same(self, header: Mapping[str, Any]) -> None:
        """ValueError where a memory is of another network, or of other transformations."""
        for old, new in zip_longest(header["layers"], self.identity()["layers"], fillvalue="none"):
            if old != new:
                raise ValueError(
                    f"The network has other layers than the one before: {new} in place of {old}; reset the metric "
                    "before another network."
                )
        if header["structure"] != self.structure:
            raise ValueError(
                "The network has other modules than the one that the images before were measured with; reset the "
                "metric before another network."
            )
        if header["weights"] != self.weights:
            raise ValueError(
                "The network's weights are not those that the images before were measured with; reset the metric "
                "before the network trains on, and before another one."
            )
        answer = Answer.recorded(header["answer"])
        if answer is not None and not answer.agrees(self.answer):
            raise ValueError(
                "The network does other things with its modules than the one that the images before were measured "
                "with; reset the metric before another network."
            )
        for name, content in self.transformations.items():
            if header["transformations"].get(name) != content:
                raise ValueError(
                    f"The transformation {name} is another one than the images before were measured under, of the "
                    "same name; reset the metric, or give the same transformation."
                )


@dataclass(frozen=True)
class Seen:
    """A network, its modules, and the weights that it had: to compare these costs much less than their digest."""

    network: "weakref.ref[nn.Module]"
    modules: list["weakref.ref[nn.Module]"]
    weights: list[Tensor]

    @classmethod
    def of(cls, network: nn.Module) -> "Seen":
        """The network as it is now."""
        modules = [weakref.ref(module) for module in network.modules()]
        return cls(weakref.ref(network), modules, [value.clone() for value in _weights(network)])

    def is_still(self, network: nn.Module) -> bool:
        """Whether this is that very network, with the same weights."""
        now, modules = _weights(network), list(network.modules())
        return (
            self.network() is network
            and len(modules) == len(self.modules)
            and all(one is other() for one, other in zip(modules, self.modules, strict=True))
            and len(now) == len(self.weights)
            and all(
                (one.dtype, one.device) == (other.dtype, other.device) and torch.equal(one, other)
                for one, other in zip(now, self.weights, strict=True)
            )
        )


def _weights(network: nn.Module) -> list[Tensor]:
    return [value.detach() for value in network.state_dict().values() if isinstance(value, Tensor)]


class Memory(list[Tensor]):
    """What is remembered, with what was measured to come to it: metrics that share the one share the other."""

    def __init__(self, tensors: Sequence[Tensor], measured: Measured) -> None:
        super().__init__(tensors)
        self.measured = measured


@dataclass
class Sums:
    """The moments of all layers, ready for the next images."""

    moments: dict[str, LayerMoments]
    home: torch.device  # where they lie
    images: int = 0
    contents: Contents = Contents()  # of these images
    memory: list[Tensor] | None = None  # the same as a list of tensors

    @classmethod
    def of(cls, memory: Sequence[Tensor], plan: Plan, scoring: Scoring, home: torch.device) -> "Sums":
        """A copy of what a memory holds, or of no images where it is empty."""
        scratch = Scratch()
        moments = {
            layer.name: moments_of(layer, plan.of_layer(layer), scoring, scratch, device=home)
            for layer in plan.found.measured
        }
        if not memory:
            return cls(moments, home)
        state = unpacked(memory)
        for name, of_layer in moments.items():
            of_layer.restore(state["moments"][name])
        return cls(moments, home, state["images"], Contents(state["images"], *map(_whole, state["contents"])))

    def count(self, batch: Batch) -> None:
        """Note that images were taken in."""
        self.images += len(batch.places)
        for place, image in zip(batch.places, digests(batch.images), strict=True):
            self.contents += Contents.of(image, place)

    def joined_across(self, processes: Processes, images: Sequence[int]) -> None:
        """Take in those of all processes, which have so many images, one process's after the other's."""
        before = sum(images[: processes.rank])
        for of_layer in self.moments.values():
            of_layer.rolled(before)
            joined_across(of_layer, processes)
        self.images = sum(images)
        self.contents = sum(processes.gathered(self.contents.moved(before)), Contents())

    def state(self) -> dict[str, Any]:
        """All that is remembered, as JSON has it, and tensors."""
        return {
            "images": self.images,
            "contents": [f"{self.contents.together:x}", f"{self.contents.in_order:x}"],
            "moments": {name: of_layer.state() for name, of_layer in self.moments.items()},
        }


def _whole(digits: str) -> int:
    return int(digits, 16)


def packed(state: Mapping[str, Any], home: torch.device) -> list[Tensor]:
    """A state as a list of tensors: its outline in bytes, and then the tensors that it holds, which are not copied.

    >>> tensors = packed({"images": 2, "moments": {"a": torch.ones(3)}}, torch.device("cpu"))
    >>> bytes(tensors[0].tolist()), tensors[1].tolist()
    (b'{"images": 2, "moments": {"a": {"tensor": 1}}}', [1.0, 1.0, 1.0])
    """
    tensors: list[Tensor] = []

    def outline(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: outline(inner) for name, inner in value.items()}
        if not isinstance(value, Tensor):
            return value
        tensors.append(value)
        return {"tensor": len(tensors)}

    told = bytearray(json.dumps(outline(state)).encode())
    return [torch.frombuffer(told, dtype=torch.uint8).to(home), *tensors]


def unpacked(tensors: Sequence[Tensor]) -> dict[str, Any]:
    """The state of which `packed` made such a list."""

    def filled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if isinstance(place := value.get("tensor"), int):
            return tensors[place].detach()
        return {name: filled(inner) for name, inner in value.items()}

    state: dict[str, Any] = filled(header_of(tensors))
    return state


def header_of(tensors: Sequence[Tensor]) -> dict[str, Any]:
    """The outline of a state, before its tensors; empty where there is none."""
    header: dict[str, Any] = json.loads(tensors[0].cpu().numpy().tobytes()) if tensors else {}
    return header
