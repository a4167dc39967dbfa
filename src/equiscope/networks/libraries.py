"""Networks of timm and of torchvision, with the preprocessing that their weights declare.

Both are imported where they are used: they would double the time to start all else.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from equiscope.images.preprocessing import Preprocessing
from equiscope.networks.built import Built
from equiscope.networks.catalogue import TORCHVISION_ARGUMENTS
from equiscope.networks.weights import ADVICE, fetching, hub_file, record
from equiscope.networks.wording import nearest, pixels
from equiscope.system.errors import OptionError


def from_timm(name: str, *, pretrained: bool) -> Built:
    """The network of timm of that name, with or without a tag of its weights."""
    import timm

    if ":" in name:  # hf-hub:OWNER/NAME and local-dir:FOLDER
        raise ValueError(
            f"timm:{name} is none of timm's own networks: write FILE.py:FUNCTION, a function that returns "
            f"timm.create_model({name!r}, pretrained=True)"
        )
    architecture, tag = timm.models.split_model_name_tag(name)
    if architecture not in (known := timm.list_models()):
        raise ValueError(f"timm has no network {name!r}: {nearest(name, [*known, *timm.list_pretrained()])}")
    tagged = timm.models.get_arch_pretrained_cfgs(architecture)
    if tag and name not in tagged:
        raise ValueError(f"timm has no weights {tag!r} of {architecture}: choose from {', '.join(sorted(tagged))}")
    declared = timm.get_pretrained_cfg(name)
    if pretrained and not (declared and declared.has_weights):
        raise OptionError("timm has no weights of {name}: " + ADVICE, name=name)
    with fetching(f"timm:{name}", hub=True) if pretrained else nullcontext():
        model: Any = timm.create_model(name, pretrained=pretrained)
    weights = f"timm:{architecture}.{model.pretrained_cfg.get('tag') or 'default'}"
    preprocessing, remarks = _of_timm(model, weights)
    if not tag and not pretrained and declared:
        remarks.insert(0, f"The preprocessing is that of the weights {weights}.")
    recorded = record(weights, hub_file(model.pretrained_cfg.get("hf_hub_id"))) if pretrained else {}
    return Built(model, preprocessing, recorded, tuple(remarks))


def declared_preprocessing(model: Any) -> Preprocessing | None:
    """The preprocessing that a network carries with it, as those of timm do; None where it carries none."""
    inner = getattr(model, "module", model)
    return _of_timm(inner, "")[0] if isinstance(getattr(inner, "pretrained_cfg", None), Mapping) else None


def _of_timm(model: Any, weights: str) -> tuple[Preprocessing, list[str]]:
    """The preprocessing that timm declares for a model, and what is unlike it."""
    from timm.data.config import resolve_model_data_config

    facts = resolve_model_data_config(model)  # type: ignore[no-untyped-call]  # timm leaves it untyped
    size, fraction = tuple(facts["input_size"][-2:]), facts["crop_pct"]
    preprocessing = Preprocessing(
        size=size,
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
        resize=max(int(max(size) / fraction), max(size)),
        interpolation=facts["interpolation"],
    )
    remarks = []
    if fraction > 1:
        remarks.append(f"timm pads images to {pixels(size)} pixels for {weights}; here they are resized instead.")
    if facts["crop_mode"] != "center":
        remarks.append(f"timm crops by {facts['crop_mode']!r} for {weights}; here the centre is cut out.")
    return preprocessing, remarks


def from_torchvision(name: str, *, pretrained: bool) -> Built:
    """The classifier of torchvision of that name, with or without a tag of its weights."""
    from torchvision import models

    known = models.list_models(module=models)
    architecture, _, tag = name.partition(".")
    if architecture not in known:
        raise ValueError(f"torchvision has no classifier {name!r}: {nearest(name, known)}")
    tags = models.get_model_weights(architecture)
    if tag and tag not in tags.__members__:
        known = list(tags.__members__)
        raise ValueError(f"torchvision has no weights {tag!r} of {architecture}: choose from {', '.join(known)}")
    declared = tags[tag or "DEFAULT"]
    with fetching(f"torchvision:{name}") if pretrained else nullcontext():
        model = models.get_model(
            architecture, weights=declared if pretrained else None, **TORCHVISION_ARGUMENTS.get(architecture, {})
        )
    facts = declared.transforms()
    (side,) = facts.crop_size
    preprocessing = Preprocessing(
        size=(side, side),
        mean=tuple(facts.mean),
        std=tuple(facts.std),
        resize=max(*facts.resize_size, side),
        interpolation=facts.interpolation.value,
    )
    weights = f"torchvision:{architecture}.{declared.name}"
    remarks = () if tag or pretrained else (f"The preprocessing is that of the weights {weights}.",)
    file = Path(torch.hub.get_dir(), "checkpoints", declared.url.rpartition("/")[2])  # where torchvision puts it
    return Built(model, preprocessing, record(weights, file) if pretrained else {}, remarks)
