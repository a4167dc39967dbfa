"""Options are checked when they are made, and say what they know."""

import dataclasses
import math

import pytest

import equiscope as es
from equiscope.measurement.options import check_whole

pytestmark = pytest.mark.usefixtures("unchecked")

REFUSED = [
    (
        es.Scoring,
        {"measures": "cka"},
        "measures='cka' is not known; it is one of invariance, equivariance, linear, strict",
    ),
    (es.Scoring, {"measures": ("invariance", "cka")}, "measures='cka'"),
    (es.Scoring, {"measures": ()}, r"measures=\(\) is empty; give one of invariance"),
    (es.Scoring, {"scopes": "layer"}, "scopes='layer' is not known; it is one of dataset, image"),
    (es.Scoring, {"scopes": []}, r"scopes=\[\] is empty"),
    (es.Scoring, {"scopes": "image", "measures": "linear"}, "scopes=image is of invariance and equivariance"),
    (es.Scoring, {"similarity": "cka"}, "similarity='cka' is not known; it is one of pearson, cosine"),
    (es.Scoring, {"similarity": "cosine", "measures": "linear"}, "linear needs similarity=pearson"),
    (es.Scoring, {"negative": "drop"}, "negative='drop' is not known; it is one of clip, keep, abs"),
    (es.Scoring, {"alignment": "centre"}, "alignment='centre' is not known; it is one of array, registered"),
    (es.Scoring, {"registration_images": 2}, "registration_images=2 is not usable: at least 8 images are needed"),
    (es.Scoring, {"registration_images": "9"}, "registration_images='9' is not usable"),
    (es.Scoring, {"seed": -1}, "seed=-1 is not usable: it must be between 0 and 4294967295"),
    (es.Scoring, {"seed": 2**32}, "seed=4294967296 is not usable"),
    (es.Scoring, {"seed": True}, "seed=True is not usable"),
    (es.Run, {"name": " "}, "name=' ' is no name; give a text"),
    (es.Run, {"precision": "half"}, "precision='half' is not known; it is one of float32, bfloat16"),
    (es.Run, {"memory": "2"}, "memory='2' must be a number of GiB greater than 0"),
    (es.Run, {"memory": 0}, "memory=0 must be a number of GiB"),
    (es.Run, {"memory": math.nan}, "memory=nan must be"),
    (es.Run, {"memory": True}, "memory=True must be"),
    (es.Run, {"checkpoint_every": -1}, "checkpoint_every=-1 must be seconds, 0 or more"),
    (es.Run, {"checkpoint_every": math.nan}, "checkpoint_every=nan must be seconds"),
    (es.Run, {"checkpoint_if_longer": "15"}, "checkpoint_if_longer='15' must be minutes, 0 or more"),
    (es.Run, {"resume": True}, "resume=True needs the checkpoint to continue from; give checkpoint=FILE"),
]


@pytest.mark.parametrize(("kind", "options", "words"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_is_not_known_or_not_usable_is_refused_in_a_sentence(kind, options, words):
    with pytest.raises(ValueError, match=words) as refusal:
        kind(**options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ({}, (None, ("dataset",))),
        ({"measures": "linear", "scopes": "dataset"}, (("linear",), ("dataset",))),
        ({"measures": ["linear", "invariance", "linear"], "scopes": ["image", "dataset"]},
         (("linear", "invariance"), ("image", "dataset"))),
        ({"scopes": ("image",)}, (None, ("image",))),
    ],
)  # fmt: skip
def test_one_or_several_measures_and_scopes(options, made):
    scoring = es.Scoring(**options)
    assert (scoring.measures, scoring.scopes) == made


def test_options_are_values_that_cannot_be_changed_and_are_documented():
    assert es.Scoring(measures=["linear"]) == es.Scoring(measures="linear") and es.Run() == es.Run()
    with pytest.raises(dataclasses.FrozenInstanceError):
        es.Run().memory = 2
    for kind in (es.Scoring, es.Run):
        for one in dataclasses.fields(kind):
            assert one.metadata["help"].endswith("."), one.name


@pytest.mark.parametrize("value", [True, 1.0, "1", 0, 11])
def test_a_whole_number_is_within_its_bounds(value):
    check_whole("maps", 5, 1, "give some", most=10)
    with pytest.raises(ValueError, match="maps=.* is not usable: give some"):
        check_whole("maps", value, 1, "give some", most=10)
