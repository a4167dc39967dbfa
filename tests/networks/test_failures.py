"""Why a network fails on a batch of images: the cause, and what helps."""

import warnings

import pytest
import torch
from torch import nn

import equiscope as es
from features import images


class Taking(nn.Module):
    """A convolution, of images that a function gets out of what the network is given."""

    def __init__(self, get=None):
        super().__init__()
        self.conv, self.get = nn.Conv2d(3, 4, 3), get

    def forward(self, given):
        return self.conv(self.get(given))


class TwoInputs(Taking):
    def forward(self, image, mask, *, scale=1):
        return self.conv(image * mask)


class ByKeyword(Taking):
    def forward(self, *, pixels):
        return self.conv(pixels)


class ByTwoKeywords(Taking):
    def forward(self, *, pixels, threshold):
        return self.conv(pixels).clamp(min=threshold)


def alone(image):
    if len(image) > 1:
        raise AssertionError("one at a time")
    return image


def unbatched(image):
    if image.ndim != 3:
        raise TypeError("an image has three axes")
    return image[None]


CAUSES = {
    "two inputs": (TwoInputs(), "forward needs mask besides the images.*wrap it"),
    "two keywords": (ByTwoKeywords(), "forward needs threshold besides the images"),
    "one image, with its axis": (Taking(alone), "takes one image at a time, as a batch of one, not a batch"),
    "one image": (Taking(unbatched), r"takes one image at a time, \[channel, height, width\], not a batch"),
    "a dict": (Taking(lambda batch: batch["image"] + batch["shift"]), "takes a dict with 'image' and 'shift', not"),
    "a list of dicts": (
        Taking(lambda batch: torch.stack([one["image"] for one in batch])),
        "takes a list of dicts, one for each image, with 'image', not",
    ),
    "a list": (Taking(lambda batch: torch.stack(batch)), "takes a list of images, not"),
    "channels last": (
        Taking(lambda batch: batch.movedim(-1, 1)),
        r"takes a batch \[image, height, width, channel\], not .*a module that permutes the axes",
    ),
    "eight at once": (Taking(lambda batch: batch.view(8, 3, 16, 16)), "takes 8 images at once, and not 2, as one does"),
    "as many channels as rows": (nn.Sequential(nn.Conv2d(16, 2, 3)), "give images of the channels and the size"),
    "the channels": (nn.Sequential(nn.Conv2d(4, 2, 3)), "RuntimeError.*give images of the channels and the size"),
    "a mistake": (Taking(lambda batch: batch.no_such_thing), "AttributeError.*must take a batch .* as its only"),
}


@pytest.mark.parametrize("name", CAUSES)
@pytest.mark.parametrize("use", ["find_layers", "measure"])
def test_the_cause_is_named_and_what_helps(name, use):
    model, told = CAUSES[name]
    with pytest.raises(ValueError, match=told) as raised:
        es.find_layers(model, (3, 16, 16)) if use == "find_layers" else es.measure(model, images(4, 16), es.flips())
    assert "\n" not in str(raised.value) and str(raised.value).endswith(".")
    if "wrap" in str(raised.value):
        assert "docs/how-to/inputs-and-outputs.md" in str(raised.value)


def test_what_is_only_tried_warns_of_nothing():
    def warning(batch):
        warnings.warn("of the network", stacklevel=1)
        return batch["image"]

    with pytest.raises(ValueError, match="takes a dict with 'image'"), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        es.find_layers(Taking(warning), (3, 16, 16))
    told = [one for one in warned if str(one.message) == "of the network"]
    assert len(told) == 2  # in passes over images, on the meta device and not


def test_a_single_keyword_is_taken():
    assert list(es.measure(ByKeyword(), images(4, 16), es.flips(), layers="conv").layers["layer"]) == ["conv"]


def test_types_that_are_joined_without_converting_are_named():
    model = nn.Sequential(nn.Conv2d(3, 4, 3).double(), nn.Conv2d(4, 4, 3))
    with pytest.raises(
        ValueError, match=r"weights are float64 and float32.*measure it in one type, as model.float\(\)"
    ):
        es.measure(model, images(4, 16), es.flips())


def test_want_of_memory_stays_what_it_is():
    def exhausted(batch):
        if not batch.is_meta:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return batch

    with pytest.raises(torch.OutOfMemoryError):
        es.measure(Taking(exhausted), images(4, 16), es.flips())


def test_only_functions_of_the_users_are_said_to_fail(monkeypatch):
    def positions(height, width, stride):
        raise RuntimeError("not enough memory: you tried to allocate 8 bytes")

    with pytest.raises(RuntimeError, match="not enough memory"):
        es.measure(nn.Sequential(nn.ReLU()), images(4, 16), es.Transformation("own", torch.neg, positions))
    from equiscope.measurement import layer_moments

    def broken(*given, **named):
        raise RuntimeError("of our own")

    monkeypatch.setattr(layer_moments.LayerMoments, "add", broken)
    with pytest.raises(RuntimeError, match="^of our own$"):
        es.measure(nn.Sequential(nn.Conv2d(3, 4, 3)), images(4, 16), es.flips())
