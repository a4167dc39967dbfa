"""Parts: a third each of the feature maps, the earlier take the remainder, and the rest goes with what comes next."""

import pytest

from equiscope.networks.parts import PARTS, Parts


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (4, [2, 1, 1]), (5, [2, 2, 1]), (7, [3, 2, 2])]
)
def test_maps_are_divided_evenly_and_the_earlier_parts_take_the_remainder(count, sizes):
    places = [3 * number for number in range(count)]
    parts = [Parts(places, pool=None, final=None).at(place, vector=False) for place in places]
    assert [parts.count(part) for part in PARTS[:3]] == sizes
    assert parts == sorted(parts, key=PARTS.index)


def test_a_layer_between_others_has_the_part_of_the_next():
    parts = Parts([2, 4, 6], pool=8, final=10)
    assert [parts.at(place, vector=False) for place in (1, 3, 5, 7, 8)] == ["early", "middle", "late", "late", "late"]
    assert [parts.at(place, vector=True) for place in (3, 8, 9, 10, 11)] == ["middle", "pool", "pool", "final", "final"]


def test_without_feature_maps_all_is_late_pool_or_final():
    assert Parts([], pool=None, final=None).at(0, vector=True) == "late"
    assert Parts([], pool=0, final=1).at(0, vector=True) == "pool"
