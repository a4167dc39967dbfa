"""A network by its name: built, its weights loaded and checked, its preprocessing found."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from equiscope.images.preprocessing import Preprocessing
from equiscope.networks.built import ASSUMED, Built
from equiscope.networks.catalogue import CATALOGUE, Entry
from equiscope.networks.functions import from_function
from equiscope.networks.libraries import declared_preprocessing, from_timm, from_torchvision
from equiscope.networks.options import Layers
from equiscope.networks.transformer_models import from_transformers
from equiscope.networks.weights import ADVICE, load_file, load_package
from equiscope.networks.wording import nearest
from equiscope.system.errors import OptionError
from equiscope.system.files import expanded, in_utf8, path_of

_LIBRARIES = {"timm": from_timm, "torchvision": from_torchvision, "transformers": from_transformers}


@dataclass(frozen=True)
class Network:
    """A model ready to be measured.

    Attributes:
        name: As the user wrote it.
        model: In evaluation mode.
        preprocessing: From a photograph to the model's input.
        weights: Their `source`; where they are files, also the `file` that names them and a `sha256`.
        layers: The catalogue's globs on module names; `None` where the network is not in it.
        pool: The catalogue's module for the globally pooled vector.
        entry: The line of the catalogue.
        remarks: Sentences the user should read: what was assumed.
        random: Whether it is randomly initialised; `measure` then estimates its normalisation statistics on the images.
    """

    name: str
    model: nn.Module
    preprocessing: Preprocessing
    weights: dict[str, str]
    layers: tuple[str, ...] | None
    pool: str | None
    entry: Entry | None
    remarks: tuple[str, ...]
    random: bool = False

    def with_layers(self, layers: Layers) -> Layers:
        """The options, with the catalogue's layers and pooled vector where they name none."""
        return replace(layers, pool=layers.pool or self.pool, default=layers.default or self.layers)


def load_network(
    name: str,
    *,
    weights: str | None = None,
    size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    seed: int = 0,
) -> Network:
    """The network of that name, with its weights and preprocessing, ready to be measured.

    A file of code is the user's own and runs; a file of weights is loaded without executing code. Random states are as
    they were, after.

    Args:
        name: A name in the catalogue, `timm:NAME`, `torchvision:NAME` (both with or without `.TAG` of the weights),
            `transformers:NAME` of the hub or `transformers:FOLDER`, or a function without arguments that returns an
            `nn.Module`: `FILE.py:FUNCTION`, `package.module:FUNCTION`.
        weights: A file `.safetensors`, `.pth`, `.pt`, `.bin` or `.ckpt`, the index of several, a folder of either, or
            "random": initialised randomly, with normalisation statistics that `measure` estimates on the images where
            it is given the network as it is returned here. `None`: the network's own.
        size: Height and width of the input in pixels; the crop stays the same fraction of the image.
        mean: The value of each channel that is subtracted.
        std: The value of each channel that is divided by.
        seed: Of random weights.

    Raises:
        ValueError: If there is no such network or file, or the weights are not this network's.

    >>> network = load_network("cifar-resnet20", weights="random")
    >>> network.weights, network.layers, network.preprocessing.size
    ({'source': 'random (seed 0)'}, ('layer*.*',), (32, 32))
    """
    _overridden(ASSUMED, size=size, mean=mean, std=std)  # a mistake is refused before anything is fetched
    if not 0 <= seed < 2**32:
        raise OptionError("seed is {given}, but it must lie between 0 and {most}", given=seed, most=2**32 - 1)
    entry = CATALOGUE.get(name)
    package = entry.package if entry and weights is None else None
    overridden = {"size": size, "mean": mean, "std": std}
    with _seeded(seed):
        built = _built(name, entry, pretrained=weights is None and package is None, overridden=overridden)
    record, remarks = built.weights, built.remarks
    if package:
        record = load_package(built.model, package, name)
    elif weights == "random":
        record = {"source": f"random (seed {seed})"}
    elif weights is not None:
        record, more = load_file(built.model, path_of(weights), name)
        remarks = (*remarks, *more)
    return Network(
        name=in_utf8(name).decode(),
        model=built.model.eval(),
        preprocessing=_overridden(built.preprocessing, size=size, mean=mean, std=std),
        weights=record,
        layers=entry.layers if entry else None,
        pool=entry.pool if entry else None,
        entry=entry,
        remarks=remarks,
        random=weights == "random",
    )


def preprocessing_of(model: nn.Module | Network) -> Preprocessing | None:
    """How pictures become a network's input; None where neither `load_network` nor the network itself tells."""
    return model.preprocessing if isinstance(model, Network) else declared_preprocessing(model)


def _built(name: str, entry: Entry | None, *, pretrained: bool, overridden: Mapping[str, object]) -> Built:
    """The network as its library or function gives it, with that one's own weights where they are wanted."""
    constructor = entry.constructor if entry else name
    for library, build in _LIBRARIES.items():
        if constructor.startswith(f"{library}:"):
            return build(expanded(constructor.removeprefix(f"{library}:")), pretrained=pretrained)
    if entry and pretrained:
        raise OptionError("{name} comes without weights: " + ADVICE, name=name)
    if ":" in constructor or constructor.endswith(".py"):
        return from_function(expanded(constructor), entry, overridden=overridden)
    raise ValueError(_unknown(name))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Random numbers from this seed; their states are as they were, after. Networks are built on the CPU."""
    python, numpy, torch_ = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the accelerators as well
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(torch_)


def _overridden(
    declared: Preprocessing, *, size: int | None, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Preprocessing:
    """The preprocessing, but for what the user says of it."""
    changes: dict[str, Any] = {}
    if size is not None:
        changes["size"] = (size, size)
        changes["resize"] = declared.resize and max(size, size * declared.resize // max(declared.size))
    if mean is not None:
        changes["mean"] = tuple(mean)
    if std is not None:
        changes["std"] = tuple(std)
    return replace(declared, **changes)


def _unknown(name: str) -> str:
    import timm
    from torchvision import models

    if timm.is_model(name):
        return f"no network {name!r} in the catalogue, but in timm: write timm:{name}"
    if name in models.list_models(module=models):
        return f"no network {name!r} in the catalogue, but in torchvision: write torchvision:{name}"
    return (
        f"no network {name!r} in the catalogue: {nearest(name, CATALOGUE)}; or write timm:NAME, torchvision:NAME, "
        "transformers:NAME, FILE.py:FUNCTION or package.module:FUNCTION"
    )
