"""The running statistics of normalisation layers, estimated on images, as a randomly initialised network needs them."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from equiscope.images.batches import Images, opened
from equiscope.networks.failures import failure
from equiscope.networks.features import called
from equiscope.networks.placement import floating_types
from equiscope.networks.state import left_as_found, told_what_stays
from equiscope.system.errors import out_of_memory


def estimate_statistics(model: nn.Module, images: Images) -> int:
    """Set the running mean and variance of the network's normalisation layers to those of the images; how many images.

    A randomly initialised network normalises nothing: its running means are 0 and its variances 1, so that the channels
    of its late layers are nearly alike. Here every such layer (`BatchNorm`, and `InstanceNorm` with running statistics)
    normalises the images batch by batch, and keeps the mean over batches of their means and variances. All else is
    evaluated, and no weight changes. `images` are as `measure` takes them, in batches of some dozens. ValueError where
    they are too few to have a variance. All else is as it was, afterwards.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    >>> estimate_statistics(model, 5 + torch.randn(24, 3, 8, 8))
    24
    >>> model(5 + torch.randn(24, 3, 8, 8)).mean().abs() < 0.1
    tensor(True)
    """
    with told_what_stays(model):
        return estimated(model, images)


def estimated(model: nn.Module, images: Images) -> int:
    """The same, without a word on what passes change of a network."""
    layers = normalising(model)
    if not layers:
        return 0
    with left_as_found(model):
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches
            layer.training = True
        count = _passed(model, images)
        found = [(layer, name, getattr(layer, name).clone()) for layer in layers for name in _OF_IMAGES]
    for layer, name, value in found:
        place = getattr(layer, name)
        with torch.no_grad(), torch.inference_mode(place.is_inference()):
            place.copy_(value)
    return count


_OF_IMAGES = ("running_mean", "running_var", "num_batches_tracked")


def _passed(model: nn.Module, images: Images) -> int:
    """Run the network on all images, batch by batch, but for a last one of one image; how many it took."""
    count, place = 0, next(iter(model.buffers())).device
    for batch in opened(images)[1]:
        try:
            called(model, batch.to(place, floating_types(model)[0]))
        except Exception as error:  # the user's network may raise anything
            if out_of_memory(error):
                raise
            if "more than 1 value per channel" in str(error):
                if count:
                    continue  # the last batch, of one image, after others
                raise ValueError(
                    f"The network's normalisation statistics cannot be estimated on {len(batch)} image; give more."
                ) from error
            raise failure(model, batch, error) from error
        count += len(batch)
    return count


def normalising(model: nn.Module) -> list[_NormBase]:
    """The layers that normalise by running statistics."""
    return [one for one in model.modules() if isinstance(one, _NormBase) and one.running_mean is not None]
