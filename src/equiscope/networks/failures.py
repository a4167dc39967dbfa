"""Why a network fails on a batch of images, in a sentence that names the cause and what helps."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from equiscope.networks.features import called
from equiscope.networks.placement import floating_types
from equiscope.networks.state import left_as_found
from equiscope.networks.wording import enumerated, summary
from equiscope.system.errors import out_of_memory

WRAPPERS = "docs/how-to/inputs-and-outputs.md shows such wrappers"


def failure(model: nn.Module, images: Tensor, error: Exception) -> ValueError:
    """The sentence for a network that fails by itself on a batch of images `[image, channel, height, width]`.

    What else it may take is tried on these images: one alone, a dict, a list.
    """
    shape = " x ".join(str(size) for size in images.shape[1:])
    begun = f"The network fails on images of {shape}, with {summary(error).rstrip('.')}"
    more = _needed_besides(model)
    if more:
        return ValueError(
            f"The network's forward needs {enumerated(more)} besides the images, and is given a batch of images alone; "
            f"wrap it in a module that gives the rest ({WRAPPERS})."
        )
    if all(_keys_asked_for(model, partial(_channels_last, images, times)) is not None for times in (1, 2)):
        return ValueError(
            "The network takes a batch [image, height, width, channel], not [image, channel, height, width]; wrap it "
            f"in a module that permutes the axes ({WRAPPERS})."
        )
    for what, given in _others(images):
        keys = _keys_asked_for(model, given)
        if keys is not None:
            which = f"{what} with {enumerated([repr(key) for key in keys])}" if keys else what
            return ValueError(
                f"The network takes {which}, not a batch [image, channel, height, width]; wrap it in a module that "
                f"takes the batch apart ({WRAPPERS})."
            )
    for count in (number for number in _BATCHES if number != len(images)):
        if _keys_asked_for(model, partial(_so_many, images, count)) is not None:
            return ValueError(
                f"The network takes {count} images at once, and not {len(images)}, as one does that was exported so; "
                "export it for any number of them (torch.export's dynamic_shapes), or give the torch.nn.Module that it "
                "was made from."
            )
    types = [str(one).removeprefix("torch.") for one in floating_types(model)]
    if len(types) > 1 and any(word in str(error).lower() for word in ("dtype", "scalar type", "input type")):
        return ValueError(
            f"{begun}; its weights are {enumerated(types)}, and it joins them without converting: measure it in one "
            "type, as model.float()."
        )
    if isinstance(error, RuntimeError | ValueError | AssertionError) and not isinstance(error, NotImplementedError):
        return ValueError(f"{begun}; give images of the channels and the size that it takes.")
    return ValueError(
        f"{begun}; it must take a batch [image, channel, height, width] as its only argument, or be wrapped in a "
        f"module that does ({WRAPPERS})."
    )


def _needed_besides(model: nn.Module) -> list[str]:
    """The names of the arguments that `forward` must be given besides the images."""
    try:
        parameters = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):
        return []
    needed = [
        name
        for name, one in parameters.items()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    first = next(iter(parameters), "")
    return [name for name in needed if name != ("pixel_values" if "pixel_values" in parameters else first)]


class _Asked(dict[Any, Any]):
    """A dict that gives images for whatever key, and remembers the keys."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images, self.keys_asked_for = images, dict[Any, None]()

    def __missing__(self, key: Any) -> Tensor:
        self.keys_asked_for[key] = None
        return self.images

    def __contains__(self, key: object) -> bool:
        return False


def _others(images: Tensor) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What a network may take in place of a batch of images, in words and made of these images."""
    yield "one image at a time, as a batch of one", lambda: images[:1].clone()
    yield "one image at a time, [channel, height, width]", lambda: images[0].clone()
    yield "a dict", lambda: _Asked(images.clone())
    yield "a list of dicts, one for each image,", lambda: [_Asked(image) for image in images.clone()]
    yield "a list of images", lambda: list(images.clone())


_BATCHES = (2, 3, 4, 8, 16, 32)  # images that a network of a fixed number may take


def _so_many(images: Tensor, count: int) -> Tensor:
    return images[:1].repeat(count, 1, 1, 1)


def _channels_last(images: Tensor, times: int) -> Tensor:
    """The images with their channels last, so many times as high: no channels are of that number by chance."""
    return images.repeat(1, 1, times, 1).movedim(1, -1)


def _keys_asked_for(model: nn.Module, given: Callable[[], Any]) -> Sequence[Any] | None:
    """The keys that the network asks what it is given for; None where it fails on it."""
    what = given()
    try:
        with left_as_found(model), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is only tried
            called(model, what)
    except Exception as error:  # of whatever kind
        if out_of_memory(error):
            raise
        return None
    dicts = what if isinstance(what, list) else [what]
    asked = list(dict.fromkeys(key for one in dicts if isinstance(one, _Asked) for key in one.keys_asked_for))
    return None if isinstance(dicts[0], _Asked) and not asked else asked
