"""Networks of the package transformers: image classifiers, and the image towers of models of images and text."""

import importlib
import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from equiscope.images.preprocessing import Preprocessing
from equiscope.networks.built import ASSUMED, Built
from equiscope.networks.weights import ADVICE, HUB_FILES, fetching, hub_file, record
from equiscope.networks.wording import pixels, summary
from equiscope.system.errors import OptionError
from equiscope.system.hub import refusal, within_reach

_RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic")  # by Pillow's number, as transformers writes it


def from_transformers(name: str, *, pretrained: bool) -> Built:
    """A network of the hub or of a folder, loaded without executing code of theirs."""
    if importlib.util.find_spec("transformers") is None:
        raise ValueError(f"transformers:{name} needs the package transformers: pip install 'equiscope[transformers]'")
    transformers: Any = importlib.import_module("transformers")  # whose types are in part missing

    local = Path(name).exists()
    with _silent_transformers(), nullcontext() if local else within_reach() as hindrance:
        kind, config = _kind_and_configuration(transformers, name, hindrance)
        model = _pretrained(kind, config, name) if pretrained else kind.from_config(config)
        try:
            facts = transformers.AutoImageProcessor.from_pretrained(name).to_dict()
        except (OSError, ValueError):
            facts = None
    if "pixel_values" not in inspect.signature(model.forward).parameters:
        raise ValueError(f"transformers:{name} is a {type(model).__name__}, which takes no images")
    preprocessing, remarks = _of_processor(name, facts, getattr(config, "image_size", None))
    if not pretrained:
        return Built(model, preprocessing, {}, remarks)
    own = [Path(name, file) for file in HUB_FILES if Path(name, file).is_file()]
    file = own[0] if own else hub_file(None if local else name)
    return Built(model, preprocessing, record(f"transformers:{name}", file), remarks)


def _kind_and_configuration(transformers: Any, name: str, hindrance: str | None) -> tuple[Any, Any]:
    """The class that builds the network, and its configuration: of a model of images and text, the images' part."""
    try:
        config = transformers.AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        why = hindrance or refusal(error) or summary(error)
        raise ValueError(
            f"transformers has no configuration of {name!r} within reach ({why}): give a name on the hub, or a folder "
            "with config.json that save_pretrained wrote"
        ) from error
    kind, saved = transformers.AutoModelForImageClassification, config.architectures or []
    classifier = any(one.endswith("ForImageClassification") for one in saved) or (
        not saved and type(config) in kind._model_mapping and not hasattr(config, "vision_config")
    )
    if not classifier:
        kind, config = transformers.AutoModel, getattr(config, "vision_config", config)
    if type(config) not in kind._model_mapping:
        raise ValueError(f"transformers:{name} is a {type(config).__name__}, which has no model of images alone")
    return kind, config


def _pretrained(kind: Any, config: Any, name: str) -> nn.Module:
    with fetching(f"transformers:{name}"):
        model, found = kind.from_pretrained(name, config=config, output_loading_info=True)
    if missing := sorted(found["missing_keys"]):
        raise OptionError(
            "the weights of transformers:{name} lack {number} tensors of {kind}, the first is {first}: " + ADVICE,
            name=name,
            number=len(missing),
            kind=type(model).__name__,
            first=missing[0],
        )
    return model  # type: ignore[no-any-return]  # transformers is untyped here


def _of_processor(name: str, facts: Mapping[str, Any] | None, image_size: Any) -> tuple[Preprocessing, tuple[str, ...]]:
    """The preprocessing that an image processor's configuration declares, and what is assumed or unlike it."""
    if facts is None:
        size = _sides(image_size) or ASSUMED.size
        remark = (
            f"transformers:{name} comes without an image processor: assumed an input of {pixels(size)} pixels, "
            f"ImageNet's mean {ASSUMED.mean} and ImageNet's deviation {ASSUMED.std}."
        )
        return replace(ASSUMED, size=size), (remark,)
    resized: Mapping[str, int] = facts.get("size") or {}
    shortest = resized.get("shortest_edge")
    given = _sides(resized) or (_sides(shortest) if shortest else None) or ASSUMED.size
    size = (_sides(facts["crop_size"]) if facts.get("do_center_crop") and facts.get("crop_size") else None) or given
    fraction = facts.get("crop_pct") if shortest and shortest < 384 else None  # above, transformers crops nothing
    resize = int(shortest / fraction) if shortest and fraction else shortest or max(given)
    normal = facts.get("do_normalize", True)
    preprocessing = Preprocessing(
        size=size,
        mean=tuple(facts["image_mean"]) if normal else (0.0, 0.0, 0.0),
        std=tuple(facts["image_std"]) if normal else (1.0, 1.0, 1.0),
        resize=max(resize, *size),
        interpolation=_RESAMPLING[int(facts.get("resample") or 2)],
    )
    squashed = not shortest and bool(_sides(resized))
    remark = f"transformers squashes images into {pixels(given)} pixels for {name}; here the centre is cut out."
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
