"""Which of a network's tensors are its blocks, its pooled vector and its final one, and which a name or glob means."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from torch import nn

from equiscope.networks.layout import Declared, Grid, Layout, declarations, layout, layout_from_text
from equiscope.networks.options import Stride
from equiscope.networks.trace import Seen, trace
from equiscope.system.errors import OptionError

Call = tuple[str, int]  # which call of which module


class Traced:
    """The tensors that modules of a network take and give, in order of execution, and how each lies."""

    def __init__(
        self,
        model: nn.Module,
        image_shape: tuple[int, int, int],
        strides: Mapping[str, Stride],
        layouts: Mapping[str, str],
    ) -> None:
        self.tensors = trace(model, image_shape)
        self.outputs = [tensor for tensor in self.tensors if tensor.source.side == "output"]
        self.places = {tensor.source: place for place, tensor in enumerate(self.tensors)}
        self._modules = dict(model.named_modules())
        self._image = image_shape[1:]
        for option, patterns in (("{strides}", strides), ("{layouts}", layouts)):
            for pattern in patterns:
                self.matching([pattern], option)
        known = declarations(model)
        self._layouts = {tensor.source: self._layout(tensor, known, strides, layouts) for tensor in self.tensors}

    def layout_of(self, tensor: Seen) -> tuple[Layout, Grid | None] | str:
        """The tensor's layout and stride, or why they are not known."""
        return self._layouts[tensor.source]

    def _layout(
        self, tensor: Seen, declared: Declared, strides: Mapping[str, Stride], layouts: Mapping[str, str]
    ) -> tuple[Layout, Grid | None] | str:
        """The same, found; what the user gives goes first."""
        found = layout(tensor.shape, tensor.grown, tensor.growth, self._image, declared)
        for pattern, text in layouts.items():
            if _matches(pattern, tensor):
                found = (layout_from_text(text, tensor.shape), None if isinstance(found, str) else found[1])
        if isinstance(found, str) or found[0].kind == "vector":
            return found
        for pattern, stride in strides.items():
            if _matches(pattern, tensor):
                return found[0], stride if isinstance(stride, tuple) else (stride, stride)
        return found[0], found[1] or self._whole_ratio(found[0])

    def _whole_ratio(self, its: Layout) -> Grid | None:
        """Pixels over positions, where both are whole; for layouts that did not come with a stride."""
        down, right = (pixels / positions for pixels, positions in zip(self._image, its.grid, strict=True))
        return (int(down), int(right)) if down.is_integer() and right.is_integer() else None

    def is_vector(self, tensor: Seen) -> bool:
        """Whether the tensor has no grid."""
        found = self.layout_of(tensor)
        return not isinstance(found, str) and found[0].kind == "vector"

    def is_map(self, tensor: Seen) -> bool:
        """Whether the tensor lies on a grid of positions, in whatever layout."""
        found = self.layout_of(tensor)
        return not isinstance(found, str) and found[0].kind != "vector"

    def maps_of_call(self, chosen: Iterable[Seen]) -> Mapping[Call, int]:
        """How many feature maps each call gives, of those that are chosen."""
        return Counter((tensor.source.module, tensor.source.call) for tensor in chosen if self.is_map(tensor))

    def final(self) -> Seen | None:
        """The vector just before the softmax: the network's output, under the first module's name that gives it."""
        whole = [tensor for tensor in self.outputs if tensor.source.module == "" and self.is_vector(tensor)]
        logits = [tensor for tensor in whole if "logits" in tensor.source.path] or whole
        if len(logits) != 1:
            return None
        return next(tensor for tensor in self.outputs if tensor.identity == logits[0].identity)

    def pool(self, final: Seen | None, module: str | None) -> Seen | None:
        """The output of global average pooling, of `module` where that is given.

        Where the network pools by a function, it is the input of the classifier.
        """
        if module is not None:
            of_module = (tensor for tensor in self.outputs if tensor.source.module == module)
            pooled = next((tensor for tensor in of_module if self.is_vector(tensor)), None)
            if pooled is None:
                raise OptionError("{pool}{given!r} is no module of the network that gives a vector.", given=module)
            return pooled
        if pools := self._poolings():
            return pools[-1]
        if final is None or not final.source.module or not final.parameters:
            return None
        classifier = (final.source.module, final.source.call, "input")
        given = [one for one in self.tensors if (one.source.module, one.source.call, one.source.side) == classifier]
        return given[0] if len(given) == 1 and self.is_vector(given[0]) else None

    def _poolings(self) -> list[Seen]:
        """The vectors that modules without parameters make of feature maps, after the last feature map."""
        last_map = max((place for place, tensor in enumerate(self.outputs) if self.is_map(tensor)), default=-1)
        given_maps = {
            replace(tensor.source, side="output")
            for tensor in self.tensors
            if tensor.source.side == "input" and self.is_map(tensor)
        }
        return [
            tensor
            for tensor in self.outputs[last_map + 1 :]
            if not tensor.parameters and self.is_vector(tensor) and tensor.source in given_maps
        ]

    def blocks(self) -> list[Seen]:
        """The network's blocks, or all leaf modules that give a feature map where it has none.

        A block that gives no feature map of its own, or several, gives way to the blocks inside it, where these do.
        """
        found: list[str] = []
        given_up: list[str] = []
        for name, module in self._modules.items():
            if isinstance(module, nn.Sequential | nn.ModuleList) and not any(_lies_in(name, block) for block in found):
                for child, inner in module.named_children():
                    if any(True for _ in inner.children()):
                        block = f"{name}.{child}" if name else child
                        (found if self._gives_one(block) else given_up).append(block)
        shown = [block for block in given_up if not any(_lies_in(inner, block) for inner in found)]
        outermost = [block for block in shown if not any(block != outer and _lies_in(block, outer) for outer in shown)]
        blocks = [tensor for tensor in self.outputs if tensor.source.module in {*found, *outermost}]
        if any(self.is_map(tensor) for tensor in blocks):
            return blocks
        return [tensor for tensor in self.outputs if tensor.leaf and self.is_map(tensor)]

    def _gives_one(self, block: str) -> bool:
        """Whether each call of a module gives one feature map, or, where it gives none, one vector."""
        of_block = [tensor for tensor in self.outputs if tensor.source.module == block]
        maps = [tensor.source.call for tensor in of_block if self.is_map(tensor)]
        calls = maps or [tensor.source.call for tensor in of_block if self.is_vector(tensor)]
        return bool(calls) and len(calls) == len(set(calls))

    def matching(self, patterns: Sequence[str], option: str = "") -> list[Seen]:
        """The tensors that any of the patterns means, in order of execution.

        `OptionError` where a pattern means none; `option` is the option that it was given to, in braces.
        """
        for pattern in patterns:
            if pattern and any(_matches(pattern, tensor) for tensor in self.tensors):
                continue
            names = [name for name in self._modules if name]
            if any(_expression(pattern).fullmatch(name) for name in names):
                raise OptionError(
                    "Layer " + option + "{pattern!r} is a module that the network never calls; see `equiscope layers`.",
                    pattern=pattern,
                )
            near = difflib.get_close_matches(pattern.replace("*", ""), names, n=5, cutoff=0.3) or names[:5]
            raise OptionError(
                "No layer matches " + option + "{pattern!r}; the nearest names are {near}.",
                pattern=pattern,
                near=", ".join(near),
            )
        return [tensor for tensor in self.tensors if any(_matches(pattern, tensor) for pattern in patterns)]


def _lies_in(name: str, block: str) -> bool:
    return name == block or name.startswith(f"{block}.")


def _expression(pattern: str) -> re.Pattern[str]:
    """A glob on module names: `*` and `?` stop at a dot, `**` does not."""
    pieces = re.split(r"(\*\*|\*|\?)", pattern)
    meanings = {"**": ".*", "*": "[^.]*", "?": "[^.]"}
    return re.compile("".join(meanings.get(piece, re.escape(piece)) for piece in pieces))


def _matches(pattern: str, tensor: Seen) -> bool:
    """Whether a name or glob means this tensor: by its own name, or by its module's for all of its calls."""
    if (tensor.source.side == "input") != pattern.endswith(":input"):
        return False
    expression = _expression(pattern)
    return any(expression.fullmatch(name) is not None for name in (tensor.name, tensor.source.module))
