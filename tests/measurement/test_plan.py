"""What is asked for, checked: families, what each transformation does on each layer, and the options told."""

import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.functional.sampling import Gathered
from equiscope.functional.transformations import frame
from equiscope.measurement.plan import (
    content_of,
    distinct_of,
    families_of,
    fitting_batch_size,
    options_of,
    planned,
)

TURN, HALF, _ = es.rotations().transformations
LADDER = ("invariance", "equivariance", "linear")

pytestmark = pytest.mark.usefixtures("unchecked")


def own(name="own"):
    return es.Transformation(name, lambda images: images, TURN.on_positions)


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (TURN, {"rot90": ["rot90"]}),
        (es.rotations(), {"rotations": ["rot90", "rot180", "rot270"]}),
        ([es.flips(), es.shift(1, 0)], {"flips": ["hflip", "vflip"], "shift(1,0)": ["shift(1,0)"]}),
        ((es.d4(), es.rotations()), {"d4": [one.name for one in es.d4().transformations],
                                     "rotations": ["rot90", "rot180", "rot270"]}),
    ],
)  # fmt: skip
def test_transformations_are_families(given, names):
    families = families_of(given)
    assert {family.name: [one.name for one in family.transformations] for family in families} == names


def test_a_transformation_of_several_families_is_measured_once():
    families = families_of([es.d4(), es.rotations(), es.shifts([1, 2])])
    shifts = es.shifts([2, 3])
    both = distinct_of([*families, es.Family("more", shifts.transformations)])
    assert len(both) == 7 + 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "No transformation was given"),
        (None, "None is no transformation"),
        ("turn45", "'turn45' is not known"),
        ([90], "90 is no transformation"),
        (es.Family("none", ()), "is no transformation"),
        ([es.flips(), es.flips()], "family flips is given 2 times"),
        (es.Family("f", (TURN, TURN)), "The family f holds rot90 2 times"),
        (es.Family("", (TURN,)), "named by a text; got ''"),
    ],
)
def test_what_is_no_transformation_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        families_of(given)


@pytest.mark.parametrize(
    "families",
    [
        [es.Family("a", (own(),)), es.Family("b", (own(),))],
        [es.shifts([1]), es.Family("b", es.shifts([1], fill="wrap").transformations)],
        [es.shifts([1]), es.Family("b", es.shifts([1], subpixel="exact").transformations)],
    ],
)
def test_two_of_one_name_must_be_the_same(families):
    with pytest.raises(ValueError, match="Two different transformations are named"):
        distinct_of(families)


def test_a_family_may_not_bear_the_name_of_another_transformation():
    with pytest.raises(ValueError, match="both named 'rot180'"):
        distinct_of([es.rotations(), es.Family("rot180", (TURN,))])


MEASURES = [  # what is measured of a rotation, and of a shift
    ({}, LADDER, LADDER[:2]),
    ({"similarity": "cosine"}, LADDER[:2], LADDER[:2]),
    ({"scopes": "image"}, LADDER[:2], LADDER[:2]),
    ({"measures": "linear"}, ("linear",), ("linear",)),
    ({"measures": ("invariance", "strict_invariance")}, *(("invariance", "strict_invariance"),) * 2),
]


@pytest.mark.parametrize(("options", "rotated", "shifted"), MEASURES, ids=lambda value: str(value)[:40])
def test_linear_is_measured_by_default_where_positions_are_only_permuted(options, rotated, shifted):
    plan = planned(network(), (3, 12, 12), [es.rotations(), es.shifts([1])], ["0", "2"], es.Scoring(**options))
    assert plan.actions["0", "rot90"].measures == rotated == plan.actions["2", "rot90"].measures
    assert plan.actions["0", "shift(1,1)"].measures == shifted


def test_what_each_transformation_does_on_a_layer():
    families = [es.rotations(), es.Family("exact", es.shifts([1, 2], subpixel="exact").transformations)]
    plan = planned(network(), (3, 12, 12), families, None, es.Scoring())
    turned, half, whole = (plan.actions["0", name] for name in ("rot90", "shift(1,1)", "shift(2,2)"))
    assert turned.permutes and turned.crossed and not turned.interpolated
    assert half.sampling is None and not half.permutes  # left out
    assert not whole.permutes and whole.sampling.positions == 25
    interpolated = planned(network(), (3, 12, 12), [es.shifts([1])], None, es.Scoring()).actions["0", "shift(1,1)"]
    assert interpolated.interpolated and not interpolated.permutes
    assert plan.actions["2", "shift(1,1)"].permutes  # of a vector
    assert [one.layer.name for one in plan.of_layer(plan.found.measured[0])] == ["0"] * 5


def test_every_fitting_batch_is_about_as_much_work():
    sizes = [fitting_batch_size(frame((size, size), [])) for size in (1, 32, 96, 224, 1000)]
    assert sizes == [256, 256, 174, 32, 32]


def test_the_options_are_told_in_full():
    shifts = es.shifts([1, 2], fill="crop", size=9, subpixel="round")
    layers = es.Layers("0", strides={"0": 2})
    told = options_of([es.flips(), shifts], layers, es.Scoring(), es.Run(memory=2), 64, "cpu")
    assert told == {
        "transformations": {"flips": ["hflip", "vflip"], "shifts": ["shift(1,1)", "shift(2,2)"]},
        "measures": ["invariance", "equivariance", "linear"], "scopes": ["dataset"], "similarity": "pearson",
        "negative": "clip", "alignment": "array", "registration_images": 64, "intervals": True, "seed": 0,
        "fill": "crop", "size": (9, 9), "subpixel": "round", "layers": ["0"], "strides": {"0": 2}, "layouts": {},
        "precision": "float32", "memory": 2, "distributed": False, "batch_size": 64, "device": "cpu",
    }  # fmt: skip
    assert "fill" not in options_of([es.flips()], es.Layers(), es.Scoring(), es.Run(), 64, "cpu")


def test_images_must_be_square_where_axes_are_swapped():
    with pytest.raises(ValueError, match=r"^rot90 needs square images, and these are 16 x 24; crop them to 16 x 16\.$"):
        planned(network(), (3, 16, 24), [es.rotations()], None, es.Scoring())
    crop = es.shifts([1], fill="crop", size=15)
    assert planned(network(), (3, 16, 24), [es.rotations(), crop], None, es.Scoring()).frame.width == 15
    assert torch.is_grad_enabled()


# --- what transformations are, by what they do


def gathered_but(place):
    """A map's positions as they are, but that one gets its value from the one before, if there is one."""

    def on_positions(height, width, stride):
        source = torch.arange(height * width)
        source[place] = max(place - 1, 0)
        return Gathered(source[None], torch.ones(height, width, dtype=torch.bool))

    return on_positions


def contents(*transformations):
    """Of several by the same name, each alone."""
    found = []
    for on_pixels, on_positions in transformations:
        plan = planned(
            network(), (3, 64, 64), families_of(es.Transformation("own", on_pixels, on_positions)), "0", es.Scoring()
        )
        found.append(content_of(plan, (3, 64, 64), torch.device("cpu"), torch.float32)["own"])
    return found


def test_maps_that_are_not_square_are_left_out_where_axes_are_swapped_and_nobody_named_them():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, stride=(2, 1), padding=1), nn.ReLU())
    plan = planned(model, (3, 16, 16), [es.rotations()], None, es.Scoring())
    assert [layer.name for layer in plan.found.measured] == ["0"]
    (odd, *_) = plan.found.left_out
    assert (odd.name, odd.reason) == ("1", "its map of 8 x 16 positions is not square, as rot90 needs")
    upright = planned(model, (3, 16, 16), [es.flips()], None, es.Scoring())
    assert "1" in [layer.name for layer in upright.found.measured]
    with pytest.raises(ValueError, match="Layer 1 cannot be measured: .*square"):
        planned(model, (3, 16, 16), [es.rotations()], "1", es.Scoring())


def test_transformations_are_told_apart_by_what_they_do():
    """Also where a large sampling differs at one position only, which its `repr` leaves out."""
    still = gathered_but(0)
    doing = [
        (TURN.on_pixels, TURN.on_positions),
        (HALF.on_pixels, TURN.on_positions),
        (TURN.on_pixels, HALF.on_positions),
        (lambda images: images * 1.1, still),
        (lambda images: images * 1.101, still),
        (lambda images: images * 1.1, gathered_but(500)),
        (lambda images: images * 1.1, gathered_but(501)),
    ]
    found = contents(*doing)
    assert len(set(found)) == len(doing)
    assert found == contents(*doing)


def test_random_transformations_are_the_same_each_time_and_leave_random_numbers_as_they_were():
    noisy = es.Transformation("noisy", lambda images: images + torch.randn_like(images), TURN.on_positions)
    plan = planned(network(), (3, 16, 16), families_of(noisy), "0", es.Scoring())
    state = torch.get_rng_state()
    one, other = (content_of(plan, (3, 16, 16), torch.device("cpu"), torch.float32) for _ in range(2))
    assert one == other and torch.equal(torch.get_rng_state(), state)


def test_what_differs_by_rounding_alone_is_the_same():
    """As of machines that multiply and add in one step and in two."""
    one, other = contents((lambda images: images * 1.1, TURN.on_positions),
                          (lambda images: (images.double() * 1.1).float(), TURN.on_positions))  # fmt: skip
    assert one == other


def test_shifts_of_one_name_with_other_borders_are_told_apart():
    found = []
    for fill in ("zero", "reflect", "wrap"):
        plan = planned(network(), (3, 16, 16), families_of(es.shift(1, 0, fill=fill)), "0", es.Scoring())
        found.append(content_of(plan, (3, 16, 16), torch.device("cpu"), torch.float32)["shift(1,0)"])
    assert len(set(found)) == 3
