"""Transformations by their names."""

import pytest

import equiscope as es
from equiscope.functional.transformation_names import FAMILIES, SINGLE, named
from equiscope.measurement.plan import families_of
from equiscope.system.errors import OptionError

ROT90, ROT180, ROT270 = es.rotations().transformations
TEXTS = {
    "rotations": [es.rotations()],
    "rot90": [ROT90],
    "rotations,shifts:1,-2,3:0,hflip": [es.rotations(), es.shifts([1, -2, (3, 0)]), es.flips().transformations[0]],
    "d4, identity": [es.d4(), es.identity()],
    "shift(3, -1),flips": [es.shift(3, -1), es.flips()],
    "shifts:1:2": [es.shifts([(1, 2)])],
}


def names(found):
    return [(one.name, [each.name for each in getattr(one, "transformations", ())]) for one in found]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_what_it_names(text):
    assert names(named(text)) == names(TEXTS[text])


def test_the_names_are_those_of_the_library():
    assert all(es.__dict__.get(name, getattr(es, name))().name == name for name in FAMILIES)
    assert list(SINGLE) == [one.name for one in es.d4().transformations]


def test_shifts_take_their_options():
    family, one = named("shifts:1,shift(2,0)", fill="wrap", subpixel="exact")
    assert {(each.fill, each.subpixel) for each in (*family.transformations, one)} == {("wrap", "exact")}


@pytest.mark.parametrize("text", ["", "rotation", "rot45", "shifts", "shifts:", "shifts:1.5", "flips,", "shift(1)"])
def test_a_name_that_is_none_is_refused(text):
    with pytest.raises(OptionError, match="^transformations="):
        named(text)


def test_names_are_taken_beside_families():
    found = families_of(["rot90", es.flips(), "shifts:1"])
    assert names(found) == [("rot90", ["rot90"]), ("flips", ["hflip", "vflip"]), ("shifts", ["shift(1,1)"])]
    assert names(families_of("rotations,hflip")) == names([es.rotations()]) + [("hflip", ["hflip"])]
