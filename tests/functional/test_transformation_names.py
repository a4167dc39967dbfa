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
    "shifts:0.5,-1/4:2,shift(.5,1)": [es.shifts([0.5, (-0.25, 2)]), es.shift(0.5, 1)],
    "rotations:15,rot30": [es.rotations(every=15), es.rotation(30)],
    "rotation:30,rotation30,rot-90": [es.rotation(30), es.rotation(30), es.rotation(270)],
    "scalings:1.25,2,1/2,scaling:1.5,scaling(0.8)": [es.scalings([1.25, 2, 0.5]), es.scaling(1.5), es.scaling(0.8)],
    "affine(1,0.25,0,1),affine(1,0,3,0,1,-.5)": [es.affine([[1, 0.25], [0, 1]]), es.affine([[1, 0, 3], [0, 1, -0.5]])],
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
    family, one = named("scalings:2,rot30", fill="reflect", subpixel="exact")
    assert [each.fill for each in (*family.transformations, one)] == ["reflect", "reflect"]
    with pytest.raises(OptionError, match="fill=wrap is for shifts; rot30 takes zero or reflect"):
        named("rot30", fill="wrap")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rotation",
        "rotations:x",
        "shifts",
        "shifts:",
        "scalings:1,a",
        "scalings:1/0",
        "flips,",
        "shift(1)",
        "affine(1,2,3)",
    ],
)
def test_a_name_that_is_none_is_refused(text):
    with pytest.raises(OptionError, match="^transformations="):
        named(text)


def test_names_are_taken_beside_families():
    found = families_of(["rot90", es.flips(), "shifts:1"])
    assert names(found) == [("rot90", ["rot90"]), ("flips", ["hflip", "vflip"]), ("shifts", ["shift(1,1)"])]
    assert names(families_of("rotations,hflip")) == names([es.rotations()]) + [("hflip", ["hflip"])]
