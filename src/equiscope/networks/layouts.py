"""How each of a network's tensors lies: told by shapes, by what it declares, and by how it answers to a change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from equiscope.networks.allowance import Allowance
from equiscope.networks.answers import Verdict, answers, patches_of, side_of, verdict
from equiscope.networks.declared import declarations
from equiscope.networks.features import Source
from equiscope.networks.growth import Candidates, Laid, candidates, image_axis, whole_ratio
from equiscope.networks.layout import Layout, layout_from_text, written
from equiscope.networks.options import Stride, ratios_of
from equiscope.networks.trace import Seen

Given = tuple[str | None, Stride | None]  # the layout and the stride that the user gives of a tensor


@dataclass(frozen=True)
class _Open:
    """A tensor whose layout shapes leave open."""

    place: int
    tensor: Seen
    candidates: Candidates


class Layouts:
    """The layout and stride of each of a network's tensors, or why they are not known."""

    def __init__(
        self,
        model: nn.Module,
        image_shape: tuple[int, int, int],
        tensors: Sequence[Seen],
        given: Mapping[Source, Given],
        allowance: Allowance,
    ) -> None:
        self._image = image_shape[1:]
        told = self._by_shapes(model, tensors)
        found: dict[Source, Laid | str] = {}
        undecided: list[_Open] = []
        for place, (tensor, its) in enumerate(zip(tensors, told, strict=True)):
            if isinstance(its, str):
                found[tensor.source] = its
            elif its.certain:
                found[tensor.source] = its.laid[0]
            else:
                undecided.append(_Open(place, tensor, its))
        verdicts, self.why_silent = _verdicts(model, image_shape, undecided, allowance)
        decided = _decided(undecided, verdicts)
        found |= {source: one.its for source, one in decided.items()}
        self._supposed = {source for source, one in decided.items() if one.supposed and given[source][0] is None}
        self._found = {tensor.source: self._with_given(tensor, found[tensor.source], given) for tensor in tensors}

    def of(self, tensor: Seen) -> Laid | str:
        """The tensor's layout and stride, or why they are not known."""
        return self._found[tensor.source]

    def supposed(self, tensor: Seen) -> bool:
        """Whether the order of its positions is taken from shapes or from a tensor like it, and not confirmed.

        Of a network without values, on the meta device, nothing can be confirmed, nor measured.
        """
        return bool(self.why_silent) and tensor.source in self._supposed

    def _by_shapes(self, model: nn.Module, tensors: Sequence[Seen]) -> list[Candidates | str]:
        declared = declarations(model)
        grids: dict[Laid, None] = {}
        found: list[Candidates | str] = []
        for tensor in tensors:
            its = tensor.unreadable or candidates(tensor.shapes, self._image, declared, grids)
            found.append(its)
            if not isinstance(its, str) and its.laid[0][0].kind == "map" and its.laid[0][1] is not None:
                grids[Layout("map", its.laid[0][0].grid), its.laid[0][1]] = None
        return found

    def _with_given(self, tensor: Seen, found: Laid | str, given: Mapping[Source, Given]) -> Laid | str:
        """What is found, where the user gives nothing."""
        text, stride = given[tensor.source]
        if text is not None:
            axis = image_axis(tensor.shapes)
            known = None if isinstance(found, str) else found[1]
            found = layout_from_text(text, tensor.shape, 0 if isinstance(axis, str) else axis), known
        if isinstance(found, str) or found[0].kind == "vector":
            return found
        if stride is not None:
            return found[0], ratios_of(stride)
        return found[0], found[1] or whole_ratio(found[0].grid, self._image)


@dataclass(frozen=True)
class _Decision:
    """What is concluded of a tensor, and whether its own answers do not say so."""

    its: Laid | str
    supposed: bool


def _decided(undecided: Sequence[_Open], verdicts: Mapping[int, Verdict | None]) -> dict[Source, _Decision]:
    """The layout of each tensor that shapes leave open: the one that agrees with how the network answers.

    A tensor whose answers say nothing is supposed to have the order of the tensor before it that is like it; else the
    one layout that shapes and declarations support.
    """
    found: dict[Source, _Decision] = {}
    before: dict[tuple[object, ...], tuple[str, Verdict]] = {}
    for one in undecided:
        of_tensor = verdicts.get(one.tensor.identity)
        alike = tuple((replace(its, channels_first=False), stride) for its, stride in one.candidates.laid)
        if of_tensor is not None:
            before[alike] = one.tensor.name, of_tensor
            its = of_tensor.laid or of_tensor.reason or _out_of_order(one, one.tensor.name)
        elif alike in before:
            its = before[alike][1].laid or before[alike][1].reason or _out_of_order(one, before[alike][0])
        else:
            its = one.candidates.laid[0] if one.candidates.declared == 1 else one.candidates.reason
        found[one.tensor.source] = _Decision(its, supposed=of_tensor is None)
    return found


def _verdicts(
    model: nn.Module, image_shape: tuple[int, int, int], undecided: Sequence[_Open], allowance: Allowance
) -> tuple[dict[int, Verdict | None], str]:
    """What the answers of each tensor, by its identity, say of its candidates; and why those of others say nothing.

    Tensors of one grid are asked together, with patches of the size of its positions.
    """
    found: dict[int, Verdict | None] = {}
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        return found, ""  # which cannot be measured either
    by_side: dict[int, dict[int, _Open]] = {}
    for one in reversed(undecided):  # a module passes its last child's output on: the child's is kept
        side = side_of(one.candidates.laid[0][0].grid, image_shape[1:])
        by_side.setdefault(side, {})[one.tensor.identity] = one
    for side, alike in sorted(by_side.items()):
        patches = patches_of(image_shape[1:], side)
        sources = {str(identity): (one.tensor.source, one.candidates.laid) for identity, one in alike.items()}
        asked = answers(model, image_shape, sources, patches, allowance)
        if asked is None:
            return found, f"to change {len(patches.corners)} patches of the image one at a time would take too long"
        for name, of_tensor in asked.items():
            found[int(name)] = verdict(alike[int(name)].candidates, of_tensor, patches)
    return found, "no position answers to one place of the image more than to others"


def _out_of_order(one: _Open, name: str) -> str:
    """Why a tensor has no layout, as its own answers say, or those of the tensor of this name, which is like it."""
    of_another = "" if name == one.tensor.name else f"as those of {name}, which is like it, "
    grid = written(one.candidates.laid[0][0].grid)
    return (
        f"its positions are {of_another}not in the order of the image, as far as is seen: where small patches of it "
        f"are changed one at a time, others answer than those of a grid of {grid}, shape {written(one.tensor.shape)}"
    )
