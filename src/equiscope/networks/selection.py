"""Which of a network's tensors are its blocks, its pooled vector and its final one, and which a name or glob means."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod

from torch import nn

from equiscope.networks.allowance import Allowance
from equiscope.networks.features import Source
from equiscope.networks.layout import written
from equiscope.networks.layouts import Layouts
from equiscope.networks.options import Stride
from equiscope.networks.trace import OWN_OUTPUT, PARAMETRIZATIONS, Seen, called_past, inner_modules, trace
from equiscope.system.errors import OptionError

ANSWERS = ("['logits']", "['out']")  # of the outputs of networks for segmentation
Call = tuple[str, int]  # which call of which module
_RIGID = "it has several axes, and none grows with the image, as a grid of positions does"
_NAME_IT = "name it to have it measured as a vector, or say how it lies (layouts=, --layout)"


@dataclass(frozen=True)
class Blocks:
    """A network's blocks, why others are none, and whether all of these are, so that leaves stand in their place."""

    tensors: list[Seen]
    left_out: Mapping[str, str] = field(default_factory=dict)  # reasons by name
    leaves: bool = False
    leaves_left_out: Mapping[str, str] = field(default_factory=dict)  # likewise, where leaves stand in their place


class Traced:
    """The tensors that modules of a network take and give, in order of execution, and how each lies."""

    def __init__(
        self,
        model: nn.Module,
        image_shape: tuple[int, int, int],
        strides: Mapping[str, Stride],
        layouts: Mapping[str, str],
    ) -> None:
        self._model, self._image_shape = model, image_shape
        allowance = Allowance()
        self._trace = trace(model, image_shape, allowance)
        self.tensors = self._trace.tensors
        self.outputs = [tensor for tensor in self.tensors if tensor.source.side == "output"]
        self.places = {tensor.source: place for place, tensor in enumerate(self.tensors)}
        self._modules = {
            name: module for name, module in model.named_modules() if PARAMETRIZATIONS not in name.split(".")
        }
        for option, patterns in (("{strides}", strides), ("{layouts}", layouts)):
            for pattern in patterns:
                self.matching([pattern], option)
        given = {
            tensor.source: (
                next((text for pattern, text in layouts.items() if _matches(pattern, tensor)), None),
                next((stride for pattern, stride in strides.items() if _matches(pattern, tensor)), None),
            )
            for tensor in self.tensors
        }
        self._layouts = Layouts(model, image_shape, self.tensors, given, allowance)
        self.layout_of = self._layouts.of

    def remarks(self, measured: Iterable[Source]) -> Iterator[str]:
        """Sentences on what of these maps is not known for sure."""
        wanted = set(measured)
        if wanted and self._trace.one_size:
            yield (
                "Larger images take too much time or memory to be tried, and so grids and strides follow from one size "
                "alone; where they are wrong (`equiscope layers` lists them), give layouts= and strides=."
            )
        supposed = [one.name for one in self.tensors if one.source in wanted and self._layouts.supposed(one)]
        if supposed:
            more = f" and {len(supposed) - 1} more" if len(supposed) > 1 else ""
            yield (
                f"The order of the positions of {supposed[0]}{more} is supposed from shapes and layers alike, and not "
                f"confirmed: {self._layouts.why_silent}. Where it is another, say how the layers lie with layouts=."
            )

    def is_vector(self, tensor: Seen) -> bool:
        """Whether the tensor has no grid."""
        found = self.layout_of(tensor)
        return not isinstance(found, str) and found[0].kind == "vector"

    def is_map(self, tensor: Seen) -> bool:
        """Whether the tensor holds features that lie on a grid of positions, in whatever layout."""
        found = self.layout_of(tensor)
        return tensor.real and not isinstance(found, str) and found[0].kind != "vector"

    def maps_of_call(self, chosen: Iterable[Seen]) -> Mapping[Call, int]:
        """How many feature maps each call gives, of those that are chosen."""
        return Counter((tensor.source.module, tensor.source.call) for tensor in chosen if self.is_map(tensor))

    def final(self) -> Seen | None:
        """The vector just before the softmax: the network's output, under the first module's name that gives it.

        Of a network for dense outputs, such as segmentation, the output map.
        """
        identities = self._before_softmaxes()
        if len(identities) > 1:  # what the last softmax is given, if no module gives it
            given = [one for one in self.tensors if one.identity in identities[1:]]
            of_module = (one for one in given if one.source.side == "output")
            return next(of_module, next(iter(given), None))
        return next((one for one in self.outputs if one.identity in identities), None)

    @property
    def ends_in_softmax(self) -> bool:
        """Whether the network gives probabilities."""
        return len(self._before_softmaxes()) > 1

    def _before_softmaxes(self) -> list[int]:
        """The identities of the network's vector or output map, and of what its softmaxes are given."""
        outermost = [
            one for one in self.outputs if not one.source.module and one.source.call == 0
        ]  # it may call itself
        whole = [tensor for tensor in outermost if self.is_vector(tensor)]
        logits = [tensor for tensor in whole if "logits" in tensor.source.path] or whole
        if not whole:
            logits = self._dense(outermost)
        identities = [logits[0].identity] if len(logits) == 1 else []
        while identities and identities[-1] in self._trace.softmaxes:
            identities.append(self._trace.softmaxes[identities[-1]])
        return identities

    def _dense(self, outermost: Iterable[Seen]) -> list[Seen]:
        """The output maps of a network that goes back up: finer than its coarsest map, or than the image.

        Of several the one that is named as the answer is, such as `['out']`, not the auxiliary ones.
        """
        maps = [tensor for tensor in outermost if self.is_map(tensor)]
        coarsest = max((self._pixels(tensor) for tensor in self.outputs if self.is_map(tensor)), default=1)
        fine = [tensor for tensor in maps if self._pixels(tensor) < max(coarsest, 1)]
        return [tensor for tensor in fine if tensor.source.path in ANSWERS] or fine

    def _pixels(self, tensor: Seen) -> Fraction:
        """Pixels from position to position, down; 1 where that is not known."""
        found = self.layout_of(tensor)
        stride = None if isinstance(found, str) else found[1]
        return Fraction(1) if stride is None else Fraction(stride[0])

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
        """The vectors that modules without parameters make of feature maps, after the last feature map.

        One that has as many values is the map itself, flattened, and not pooled.
        """
        last_map = max((place for place, tensor in enumerate(self.outputs) if self.is_map(tensor)), default=-1)
        given_maps = {
            replace(tensor.source, side="output"): prod(tensor.shape)
            for tensor in self.tensors
            if tensor.source.side == "input" and self.is_map(tensor)
        }
        return [
            tensor
            for tensor in self.outputs[last_map + 1 :]
            if not tensor.parameters and self.is_vector(tensor)
            if prod(tensor.shape) < given_maps.get(tensor.source, 0)
        ]

    def blocks(self) -> Blocks:
        """The network's blocks, or all leaf modules that give a feature map where it has none.

        A block that gives no feature map of its own, or several, gives way to the blocks inside it, where these do.
        """
        leaves = self._leaves()
        found: list[str] = []
        given_up: list[str] = []
        for name, module in self._modules.items():
            if _is_sequence(module) and not any(_lies_in(name, block) for block in found):
                for child, inner in module.named_children():
                    block = f"{name}.{child}" if name else child
                    if block not in leaves and inner_modules(inner):
                        (found if self._gives_one(block) else given_up).append(block)
        shown = [block for block in given_up if not any(_lies_in(inner, block) for inner in found)]
        outermost = [block for block in shown if not any(block != outer and _lies_in(block, outer) for outer in shown)]
        blocks = [tensor for tensor in self.outputs if tensor.source.module in {*found, *outermost}]
        unseen = set(outermost) - {tensor.source.module for tensor in blocks}
        left_out = {block: self._why_unseen(block) for block in outermost if block in unseen}
        rigid = [tensor for tensor in blocks if self._is_rigid(tensor)]
        left_out |= {one.name: f"{_RIGID}: shape {written(one.shape)}; {_NAME_IT}" for one in rigid}
        blocks = [tensor for tensor in blocks if tensor not in rigid]
        if any(self.is_map(tensor) for tensor in blocks):
            return Blocks(blocks, left_out)
        left_out |= self._unlaid(blocks)
        of_leaves = [tensor for tensor in self.outputs if tensor.source.module in leaves]
        maps = [tensor for tensor in of_leaves if self.is_map(tensor)]
        vectors = [tensor for tensor in blocks if self.is_vector(tensor) and tensor not in of_leaves]
        beside = {
            leaf: why for leaf, why in self._unlaid(of_leaves).items()
            if not any(_lies_in(leaf, block) for block in left_out)
        }  # fmt: skip
        return Blocks([*maps, *vectors], left_out, bool(left_out), beside)

    def _unlaid(self, tensors: Iterable[Seen]) -> dict[str, str]:
        """Why tensors cannot be laid out, of those that cannot."""
        return {one.name: found for one in tensors if isinstance(found := self.layout_of(one), str)}

    def _is_rigid(self, tensor: Seen) -> bool:
        """Whether a tensor of several axes grows with no image: it may have positions all the same."""
        return self.is_vector(tensor) and sum(size > 1 for size in tensor.shape) > 2

    def _leaves(self) -> set[str]:
        """Modules that hold no others, and those of a library whose parts do not give what it does.

        Such a library, of equivariant networks for example, has an object of its own in place of a tensor.
        """
        giving = {tensor.source.module for tensor in self.outputs} - {""}
        objects = self._trace.objects
        leaves = {tensor.source.module for tensor in self.outputs if tensor.leaf}
        leaves |= {
            name
            for name in giving & objects.keys()
            if not any(inner != name and _lies_in(inner, name) and objects[inner] == objects[name] for inner in objects)
        }
        return {name for name in leaves if not any(name != outer and _lies_in(name, outer) for outer in leaves)}

    def _refuse_other_name(self, pattern: str, option: str) -> None:
        """`OptionError` where a pattern means a module by another name than its first."""
        first = {id(module): name for name, module in self._modules.items()}
        for name, module in self._model.named_modules(remove_duplicate=False):
            if first.get(id(module), name) != name and _expression(pattern).fullmatch(name):
                raise OptionError(
                    "Layer " + option + "{pattern!r} is another name of {name}; write that.",
                    pattern=pattern,
                    name=first[id(module)],
                )

    def _why_unseen(self, block: str) -> str:
        """Why no tensor of a block was seen."""
        gave = list(dict.fromkeys(self._trace.gave.get(block, ())))
        if not gave and any(_lies_in(name, block) for name in self._trace.gave):
            return "the network calls modules inside it, and not the block itself"
        if not gave:
            return "the network does not call it"
        return f"it gives no tensor, but {' and '.join(gave)}"

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
            self._refuse_other_name(pattern, option)
            names = [name for name in self._modules if name]
            meant = [name for name in names if _expression(pattern).fullmatch(name)]
            if any(name in self._trace.gave for name in meant):
                raise OptionError(
                    "Layer " + option + "{pattern!r} gives no tensor, but {gave}; see `equiscope layers`.",
                    pattern=pattern,
                    gave=" and ".join(dict.fromkeys(one for name in meant for one in self._trace.gave.get(name, ()))),
                )
            if meant and (past := called_past(self._model, self._image_shape) & set(meant)):
                raise OptionError(
                    "Layer " + option + "{pattern!r} is a module that the network calls by its forward(), past what "
                    "reads it; call it as self.{name}(x), not as self.{name}.forward(x).",
                    pattern=pattern,
                    name=min(past),
                )
            if meant:
                raise OptionError(
                    "Layer " + option + "{pattern!r} is a module that the network never calls; see `equiscope layers`.",
                    pattern=pattern,
                )
            names.append(OWN_OUTPUT)
            near = difflib.get_close_matches(pattern.replace("*", ""), names, n=5, cutoff=0.3) or names[:5]
            raise OptionError(
                "No layer matches " + option + "{pattern!r}; the nearest names are {near}.",
                pattern=pattern,
                near=", ".join(near),
            )
        return [tensor for tensor in self.tensors if any(_matches(pattern, tensor) for pattern in patterns)]


def _is_sequence(module: nn.Module) -> bool:
    """Whether a module holds others in a row: as PyTorch's do, or by their numbers."""
    children = [name for name, _ in module.named_children()]
    numbered = bool(children) and children == [str(number) for number in range(len(children))]
    return numbered or isinstance(module, nn.Sequential | nn.ModuleList)


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
