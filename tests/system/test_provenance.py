"""Fingerprints are of content alone: whatever the order, and in the order; and parts of them add up."""

from random import Random

import torch

from equiscope.system.provenance import Contents, digest, digests

IMAGES = torch.randn(7, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def contents(images, first=0):
    return sum((Contents.of(digest(image), first + place) for place, image in enumerate(images)), Contents())


def test_the_same_images_in_any_order_are_the_same_together_and_not_in_order():
    places = list(range(7))
    Random(0).shuffle(places)
    found, shuffled = contents(IMAGES), contents(IMAGES[places])
    assert found.together == shuffled.together and found.in_order != shuffled.in_order
    assert set(found.fingerprints()) == {"fingerprint", "fingerprint_in_order"}


def test_parts_that_were_read_apart_add_up():
    assert contents(IMAGES[:3]) + contents(IMAGES[3:]).moved(3) == contents(IMAGES)
    assert contents(IMAGES[3:], first=3) + contents(IMAGES[:3]) == contents(IMAGES)


def test_what_is_another_image_is_told_apart():
    changed = IMAGES.clone()
    changed[4] = changed[4].flip(-1)  # of the same values
    twice = torch.cat([IMAGES, IMAGES[:1]])
    found = {contents(images).together for images in (IMAGES, changed, IMAGES[:6], twice, torch.cat([twice, IMAGES]))}
    assert len(found) == 5


def test_a_digest_is_of_type_shape_and_values():
    tensor = torch.arange(6.0)
    others = [tensor.double(), tensor.view(2, 3), tensor.view(torch.int32), tensor.flip(0), tensor.bfloat16()]
    assert len({digest(one) for one in (tensor, *others)}) == 6
    assert digest(tensor) == digest(torch.arange(12.0).div(2)[::2].contiguous())
    assert digest(tensor.view(2, 3).mT) == digest(tensor.view(2, 3).mT.contiguous())
    assert digests(IMAGES) == [digest(image) for image in IMAGES] and digests(IMAGES[:0]) == []
    assert len(digest(torch.tensor(3))) == 32
