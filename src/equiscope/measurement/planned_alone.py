"""Which layers are measured alone, on what input of their modules, and which channels of that match.

`T'_g` moves the positions of the input, and takes for each channel the one that matches it (Eq. 6): where the input
has the channels of a group, these go round. Which channel matches is found from the first images. An input that another
layer gives has the matches of that layer alone: so what earlier layers have broken does not hide them. The matches of
others are found from the image on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from equiscope.functional.matching import matched
from equiscope.functional.transformations import Transformation
from equiscope.measurement.alone import Alone, Matching
from equiscope.measurement.options import Scoring
from equiscope.measurement.passes import ForwardPasses
from equiscope.measurement.plan import Action, Plan
from equiscope.measurement.registration import sought
from equiscope.networks.features import Source
from equiscope.networks.inputs import Input, inputs_of
from equiscope.networks.layers import LeftOut
from equiscope.networks.options import Layers
from equiscope.networks.probe import Probed
from equiscope.networks.repeats import unrepeatable
from equiscope.networks.state import without_hooks
from equiscope.networks.wording import enumerated
from equiscope.results.columns import ALONE

MATCHED_ON = 16  # images, which go through the network at once


def with_alone(
    plan: Plan, network: nn.Module, channels: int, layers: Layers, scoring: Scoring, tried: tuple[Tensor, Probed] | None
) -> Plan:
    """The plan with what is measured of layers alone, where that is asked for.

    A layer is left out whose module is not given one map; and, where images to try it on are given, whose module cannot
    be called again.
    """
    measures = [measure for measure, of in ALONE.items() if measure in (scoring.measures or ())]
    if not measures:
        return plan
    inputs, left_out = inputs_of(network, (channels, plan.frame.height, plan.frame.width), plan.found.measured, layers)
    if tried is not None:
        images, probed = tried
        pair = plan.frame.original(images[:2] if len(images) > 1 else torch.cat([images, images.flip(-1)]))
        with without_hooks(network, unless=probed.hooks_matter):
            left_out += unrepeatable(network, pair.to(probed.images_type), plan.found.measured, inputs)
    reasons = {one.name: one.reason for one in left_out}
    actions = {}
    for layer in plan.found.measured:
        for one in plan.transformations:
            given = None if layer.name in reasons else inputs.get(layer.name)
            found = _action(plan.actions[layer.name, one.name], given, measures)
            if isinstance(found, str):
                reasons.setdefault(layer.name, found)
                found = _action(plan.actions[layer.name, one.name], None, measures)
            assert isinstance(found, Action)
            actions[layer.name, one.name] = found
    in_turn = [LeftOut(layer.name, reasons[layer.name]) for layer in plan.found.measured if layer.name in reasons]
    return replace(plan, alone=actions, alone_left_out=tuple(in_turn))


def _action(of_image: Action, given: Input | None, measures: Sequence[str]) -> Action | str:
    """What is measured of a layer alone under a transformation, or why it is not."""
    nothing = replace(of_image, sampling=None, measures=tuple(ALONE[one] for one in measures), alone=True)
    if given is None or of_image.sampling is None:
        return nothing
    height, width = given.map.height, given.map.width
    try:
        on_input = of_image.transformation.sampling(height, width, given.map.stride)
    except ValueError as error:
        return f"the map that its module is given, {height} x {width}, cannot be transformed: {error}"
    if on_input is None or on_input.size != (height, width):
        return nothing
    return replace(nothing, sampling=of_image.sampling, given=given.map, giver=given.giver, on_input=on_input)


def left_out_alone(plan: Plan) -> list[str]:
    """Sentences on which layers are not measured alone, one for each reason."""
    reasons = dict.fromkeys(one.reason for one in plan.alone_left_out)
    names = {why: [one.name for one in plan.alone_left_out if one.reason == why] for why in reasons}
    return [f"Not measured alone: {enumerated(of)} ({why})." for why, of in names.items()]


def alone_of(actions: Sequence[Action], matchings: Mapping[str, Matching]) -> dict[str, Alone]:
    """What is called again in a pass, by the name of what receives it."""
    found = {}
    for subject, of_layer in _by_subject(actions).items():
        layer, given = of_layer[0].layer, of_layer[0].given
        assert given is not None
        its = {one.transformation.name: one for one in of_layer}
        found[subject] = Alone(layer, given, its, matchings[layer.name])
    return found


def _by_subject(actions: Sequence[Action]) -> dict[str, list[Action]]:
    """The actions that call a module again, by what they are of."""
    found: dict[str, list[Action]] = {}
    for one in actions:
        if one.on_input is not None:
            found.setdefault(one.subject, []).append(one)
    return found


def to_register(plan: Plan, turning: Sequence[Transformation]) -> list[Action]:
    """What is done to inputs of modules where centres are sought: each that turns, and what is sought beside them."""
    actions = [one for one in plan.alone.values() if one.transformation.turns]
    for of_layer in _by_subject(actions).values():
        names, one = [its.transformation.name for its in of_layer], of_layer[0]
        assert one.given is not None
        for other in (other for other in sought(turning) if other.name not in names):
            on_layer, on_input = (other.sampling(of.height, of.width, of.stride) for of in (one.layer, one.given))
            actions.append(replace(one, transformation=other, sampling=on_layer, on_input=on_input))
    return actions


def matchings_of(forward: ForwardPasses, images: Tensor, actions: Sequence[Action]) -> dict[str, dict[str, Tensor]]:
    """For each layer that is measured alone the channels of its input that match, by transformation, from some images.

    They go through the network at once, under one transformation after the other.
    """
    layers = {of_layer[0].layer.name: of_layer for of_layer in _by_subject(actions).values()}
    found = _from_the_image(forward, images, [its for its in layers.values() if its[0].giver not in layers])
    given: dict[str, dict[str, Tensor]] = {name: {} for name in layers}  # matches of what each layer gives
    for name, of_layer in layers.items():
        if of_layer[0].giver in layers:
            found[name] = given[str(of_layer[0].giver)]  # which is found before it is needed
    links = [_Link(one, given[one.layer.name]) for one in alone_of(actions, found).values()]
    if any(of_layer[0].giver in layers for of_layer in layers.values()):
        forward.read(images, repeats=links)
    return found


@dataclass
class _Link:
    """Finds which channels match of what a layer gives alone, while the network runs on images as they are."""

    alone: Alone
    found: dict[str, Tensor]

    @property
    def source(self) -> Source:
        return self.alone.layer.source

    def kept(self, given: Sequence[Tensor]) -> Tensor | None:
        return given[0].clone()

    def receive(self, kept: Tensor, features: Tensor, again: Callable[[Tensor], Tensor]) -> None:
        layer = self.alone.layer
        own = layer.maps(features).float()
        for name, action in self.alone.actions.items():
            assert action.sampling is not None
            moved = layer.maps(again(self.alone.transformed(kept, name))).float()
            self.found[name] = matched(action.sampling.expected(own), action.sampling.found(moved)).cpu()


def _from_the_image(
    forward: ForwardPasses, images: Tensor, layers: Sequence[Sequence[Action]]
) -> dict[str, dict[str, Tensor]]:
    """The matches of the inputs of some layers, from what the network gives for the images transformed."""
    inputs = {of_layer[0].layer.name: given for of_layer in layers if (given := of_layer[0].given) is not None}
    sources = {name: given.source for name, given in inputs.items()}
    by_transformation: dict[str, dict[str, Action]] = {}
    for one in (one for of_layer in layers for one in of_layer):
        by_transformation.setdefault(one.transformation.name, {})[one.layer.name] = one
    originals: dict[str, Tensor] = {}
    found: dict[str, dict[str, Tensor]] = {name: {} for name in inputs}

    def keep(name: str, features: Tensor) -> None:
        originals[name] = inputs[name].maps(features).float().clone()

    forward.read(images, sources, keep)
    for by_layer in by_transformation.values():

        def compare(name: str, features: Tensor, its: Mapping[str, Action] = by_layer) -> None:
            if name in its and (sampling := its[name].on_input) is not None:
                sides = sampling.expected(originals[name]), sampling.found(inputs[name].maps(features).float())
                found[name][its[name].transformation.name] = matched(*sides).cpu()

        forward.read(images, sources, compare, transformation=next(iter(by_layer.values())).transformation)
    return found
