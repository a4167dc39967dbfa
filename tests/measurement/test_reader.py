"""Images that are gone over once or several times, from any place on, by one process or several."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from equiscope.images.batches import opened
from equiscope.measurement.reader import Reader
from equiscope.system.processes import Processes
from equiscope.system.provenance import Contents

IMAGES = torch.arange(50, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()
SOURCES = {
    "a tensor": lambda: IMAGES,
    "a data set": lambda: TensorDataset(IMAGES),
    "a loader": lambda: DataLoader(TensorDataset(IMAGES), batch_size=7),
    "a list": lambda: list(IMAGES.split(9)),
}


class Batches:
    """A loader of someone's own, whose length is its batches."""

    def __len__(self):
        return 5

    def __iter__(self):
        return iter(IMAGES.split(10))


class Promising:
    """Images of a number that not all of them are."""

    left_out, choices, losses = [("row 7", "it is empty")], ("One was chosen.",), ["One was left out."]

    def __len__(self):
        return 50

    def part(self, start, stop):
        return IMAGES[start:49].split(9)

    def __iter__(self):
        return iter(self.part(0, None))


def reader(images, rank=0, count=1):
    return Reader(images, opened(images)[1], Processes(rank, count))


def places(batches):
    return [int(image[0, 0, 0]) for batch in batches for image in batch]


@pytest.mark.parametrize("source", SOURCES)
def test_images_may_be_gone_over_again_from_any_place(source):
    one = reader(SOURCES[source]())
    assert places(one.images_from(0)) == list(range(50)) == places(one.images_from(0))
    assert places(one.images_from(13)) == list(range(13, 50))
    assert places([one.first_images(12)]) == list(range(12))


def test_a_stream_is_gone_over_once():
    stream = reader(iter(IMAGES.split(9)))
    assert stream.count is None and stream.share is None and stream.total(1) is None
    assert places(stream.images_from(0)) == list(range(50))
    for wanted in (lambda: stream.images_from(0), lambda: stream.must_be_read_again("A word")):
        with pytest.raises(ValueError, match="needs images that can be gone over again in the same order"):
            wanted()
    assert places([stream.first_images(20)]) == list(range(9))  # no more than the first batch


@pytest.mark.parametrize("source", [name for name in SOURCES if name != "a list"])
def test_processes_share_what_is_left_of_registration(source):
    seen = []
    for rank in range(3):
        one = reader(SOURCES[source](), rank, 3)
        assert places(one.to_register_on(8)) == list(range(8))  # all of them
        seen += places(one.images_from(0))
        first, last = one._places
        assert places(one.images_from(5)) == list(range(first + 5, last)) and one.share == last - first
    assert seen == list(range(8, 50))


@pytest.mark.parametrize("source", SOURCES)
def test_images_registered_on_are_left_out_also_of_a_run_that_goes_on(source):
    first, resumed = reader(SOURCES[source]()), reader(SOURCES[source]())
    assert places(first.to_register_on(20)) == list(range(20)) and first.registered == 20
    resumed.registered_before(20, first.registered_contents)
    for one in (first, resumed):
        assert places(one.images_from(0)) == list(range(20, 50)) == places(one.images_from(0))
        assert places([one.first_images(3)]) == [20, 21, 22]


def test_half_of_few_images_are_registered_on():
    assert places(reader(IMAGES).to_register_on(64)) == list(range(25))
    with pytest.raises(ValueError, match="at least 16 images, and there are 15"):
        reader(IMAGES[:15]).to_register_on(64)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (lambda: iter([IMAGES]), "distributed=True needs images that can be gone over again"),
        (
            lambda: DataLoader(TensorDataset(IMAGES), shuffle=True),
            "distributed=True needs images that can be gone over",
        ),
        (lambda: list(IMAGES.split(9)), "distributed=True needs images whose number is known"),
        (Batches, "distributed=True needs images whose number is known"),
    ],
)
def test_processes_share_only_images_of_known_number_and_order(images, words):
    with pytest.raises(ValueError, match=words):
        reader(images(), 0, 2)


def test_what_was_read_is_compared_with_what_was_read_before():
    """When a run goes on, and in every further pass; for whatever holds the images."""
    changed = IMAGES.clone()
    changed[3] += 1
    for source in (lambda images: images, TensorDataset, lambda images: list(images.split(9))):
        first = reader(source(IMAGES))
        stopped = first.images_from(0)
        next(stopped)
        before = first.read
        assert places(reader(source(IMAGES)).images_from(5, before)) == list(range(5, 50))
        for other in (changed, IMAGES[: before.count - 1], IMAGES.flip(0)):
            with pytest.raises(ValueError, match="made with other data: an image measured before is not as it was"):
                places(reader(source(other)).images_from(5, before))
    now = [IMAGES]
    unsteady = reader(_Changing(now))
    places(unsteady.images_from(0))
    now[0] = changed
    with pytest.raises(ValueError, match="not the same in each pass over them"):
        places(unsteady.images_from(0))


class _Changing(torch.utils.data.Dataset):
    def __init__(self, now):
        self.now = now

    def __len__(self):
        return 50

    def __getitem__(self, place):
        return self.now[0][place]


def test_fingerprints_are_those_of_all_images_however_they_are_held_and_shared():
    found = []
    for name, source in SOURCES.items():
        one = reader(source())
        places(one.images_from(0))
        found.append(one.fingerprints())
        if name != "a list":
            shares = [reader(source(), rank, 3) for rank in range(3)]
            for share in shares:
                places(share.images_from(0))
            total = sum((share._whole for share in shares), Contents())
            assert total.fingerprints() | {"fingerprint_of": "pixels"} == found[-1]
    assert all(one == found[0] for one in found)
    swapped = reader(IMAGES.flip(0))
    places(swapped.images_from(0))
    assert swapped.fingerprints()["fingerprint"] == found[0]["fingerprint"]
    assert swapped.fingerprints()["fingerprint_in_order"] != found[0]["fingerprint_in_order"]


def test_images_have_a_fingerprint():
    changed = IMAGES.clone()
    changed[-1] += 1
    assert reader(IMAGES).looks == reader(IMAGES.clone()).looks != reader(changed).looks
    data_set = TensorDataset(IMAGES)
    assert reader(data_set).looks == reader(TensorDataset(changed)).looks  # of which the first are looked at


def test_counts_add_up_or_are_refused():
    one = reader(IMAGES)
    assert one.counts(50) == {"given": 50, "read": 50, "left_out": 0, "registered_on": 0, "scored": 50}
    one.registered = 20
    assert one.counts(30) == {"given": 50, "read": 50, "left_out": 0, "registered_on": 20, "scored": 30}
    for fewer in (29, 31):
        with pytest.raises(ValueError, match=f"By their length there are 50 images, but {fewer + 20} came and 0 could"):
            one.counts(fewer)
    stream = reader(iter(IMAGES.split(9)))
    assert stream.counts(50)["given"] == 50 and stream.left_out == stream.remarks == []
    with pytest.raises(ValueError, match="0 images were given, and none was left to score"):
        stream.counts(0)
    short = reader(Promising())
    assert short.counts(49) == {"given": 50, "read": 49, "left_out": 1, "registered_on": 0, "scored": 49}
    assert short.remarks == ["One was chosen.", "One was left out."]
    with pytest.raises(ValueError, match="but 48 came and 1 could not be read"):
        short.counts(48)
