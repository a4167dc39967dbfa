"""The options about layers: what they may be, and the sentence where they are something else."""

import pytest

from equiscope.networks.options import Layers
from equiscope.system.errors import OptionError


def test_a_name_is_a_list_of_one():
    assert Layers("a.*") == Layers(["a.*"]) == Layers.of("a.*") == Layers.of(Layers(("a.*",)))
    assert Layers.of(None) == Layers() and Layers().names is None


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"names": []}, "layers=[] names no layers; give a name, a glob or a list of them, or None for its own."),
        ({"names": 3}, "layers=3 names no layers"),
        ({"names": [3]}, "layers=[3] names no layers"),
        ({"default": [None]}, "default=[None] names no layers"),
        ({"strides": [2]}, "strides=[2] must be a dict, with the names or globs of layers as its keys."),
        ({"layouts": ["nchw"]}, "layouts=['nchw'] must be a dict"),
        ({"strides": {"0": (1, 2, 3)}}, "The stride of layer '0' is (1, 2, 3); it must be a number of pixels above 0"),
        ({"strides": {"0": "1/0"}}, "The stride of layer '0' is '1/0'"),
        ({"strides": {"0": 0.123456}}, "The stride of layer '0' is 0.123456"),
        ({"strides": {"0": float("nan")}}, "The stride of layer '0' is nan"),
        ({"strides": {"0": True}}, "The stride of layer '0' is True"),
        ({"strides": {"0": 0}}, "The stride of layer '0' is 0"),
        ({"layouts": {"0": 3}}, "The layout of layer '0' is 3; it must be a text such as 'nhwc'."),
        ({"layouts": {"0": "hwc"}}, "Layout 'hwc' is not known; write nchw, nhwc, ncwh, vector, or tokens:14x14+1"),
    ],
)
def test_a_mistake_is_told_when_the_options_are_made(given, sentence):
    with pytest.raises(ValueError) as refusal:
        Layers(**given)
    assert str(refusal.value).startswith(sentence)


@pytest.mark.usefixtures("unchecked")
def test_the_command_line_has_a_spelling_of_its_own():
    with pytest.raises(OptionError) as refusal:
        Layers(strides=[2])
    assert refusal.value.on_command_line().startswith("--stride [2] must be")
