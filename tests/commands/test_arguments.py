"""The texts of options that have a language of their own."""

import pytest

import equiscope as es
from equiscope.commands.arguments import families_of, layouts_of, strides_of, values_of


def names(families):
    return {family.name: [one.name for one in family.transformations] for family in families}


def test_families_are_those_of_the_library():
    found = families_of(["rotations,flips", "d4", "shifts:1,-2,3:0,identity"])
    expected = [es.rotations(), es.flips(), es.d4(), es.shifts([1, -2, (3, 0)]), es.identity()]
    assert names(found) == names(expected)
    assert names(families_of(["rot90"])) == {"rot90": ["rot90"]}


def test_options_of_shifts_go_to_shifts_alone():
    turned, moved = families_of(["rotations", "shifts:1"], fill="crop", size=8, subpixel="exact")
    assert names([turned]) == names([es.rotations()])
    (shift,) = moved.transformations
    assert (shift.fill, shift.size, shift.subpixel) == ("crop", (8, 8), "exact")


def test_strides_layouts_and_numbers():
    assert strides_of(["blocks.*=16", "a=b=2", "up=.5:1/2"]) == {"blocks.*": 16, "a=b": 2, "up": (".5", "1/2")}
    assert layouts_of(["blocks.*=tokens:14x14+1"]) == {"blocks.*": "tokens:14x14+1"}
    assert values_of("--mean", ".5,0.25") == [0.5, 0.25] and values_of("--mean", None) is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: families_of(["rotation"]), "'rotation' is not known; it is one of rotations, flips"),
        (lambda: families_of(["shifts:1,2.5.5"]), "'2.5.5', but a shift is a number of pixels or a pair"),
        (lambda: families_of(["shifts:1:2:3"]), "'1:2:3'.* DOWN:RIGHT"),
        (lambda: strides_of(["2"]), "--stride '2' is not a layer and its pixels; write --stride"),
        (lambda: strides_of(["2=1.5.5"]), "--stride '2=1.5.5'"),
        (lambda: layouts_of(["nhwc"]), "--layout 'nhwc' is not a layer and its layout; write --layout"),
        (lambda: values_of("--std", "a,b"), "--std 'a,b' is not a number for each channel; write --std 0.485"),
    ],
)
def test_what_is_not_of_the_language_is_refused_with_an_example(call, words):
    with pytest.raises(ValueError, match=words):
        call()
