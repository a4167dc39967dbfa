"""What came of pictures is counted once, wherever it was found out."""

import random

import torch

from equiscope.images.outcomes import Attempt, Outcomes
from equiscope.images.pictures import Read


def tried(places: range, unread: set[int]) -> Outcomes:
    outcomes = Outcomes()
    for place in places:
        outcome = "broken" if place in unread else Read(torch.zeros(1, 1, 1), 1 + (place == 7))
        list(outcomes.images([Attempt(place, f"{place}.png", outcome)]))
    return outcomes


def test_as_many_are_tried_until_some_are_read_as_reading_them_tries() -> None:
    draw = random.Random(0)
    for _ in range(50):
        unread = set(draw.sample(range(20), draw.randrange(15)))
        outcomes = tried(range(20), unread)
        read = [place for place in range(20) if place not in unread]
        for number, place in enumerate(read, start=1):
            assert outcomes.tried_for(number) == place + 1
        assert outcomes.tried_for(0) == 0


def test_what_others_left_out_is_taken_in_once_and_in_order() -> None:
    whole, first, second = (tried(places, {1, 4, 8}) for places in (range(10), range(6), range(4, 10)))
    for _ in range(2):
        first.add(second.losses())
    assert first.left_out == whole.left_out and len(first.left_out) == 3
    assert first.told(10) == whole.told(10) and "7.png (2)" in whole.told(10)[1]
