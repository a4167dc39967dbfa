"""`equiscope layers`: what would be measured, and what not, as a table or as JSON."""

import json
from pathlib import Path

import pytest

from terminal import equiscope

WHITE = ("--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25")
pytestmark = pytest.mark.usefixtures("inside")


def test_layers_are_listed():
    answer = equiscope("layers", "my code/net.py:small", "--size", "32", *WHITE)
    assert (answer.status, answer.err) == (0, "")
    lines = [line.split() for line in answer.out.splitlines()]
    assert lines[0] == ["layer", "part", "type", "channels", "grid", "stride"]
    assert lines[3] == ["2", "middle", "Conv2d", "6", "16", "x", "16", "2"]
    assert lines[-1] == ["6", "final", "Linear", "5", "vector", "–"]


def test_the_sizes_of_images_that_suit_the_grids_are_told():
    arguments = ("layers", "my code/net.py:small", "--size", "32", *WHITE, "--sizes")
    lines = equiscope(*arguments).out.splitlines()
    assert lines[0].split()[-2:] == ["symmetric", "at"] and lines[3].split()[-4:] == ["2", "k", "+", "1"]
    assert lines[-1].startswith("At 32 pixels the grids of") and "At 2 k + 1 pixels, such as 29, 31, 33," in lines[-1]
    found = json.loads(equiscope(*arguments, "--json").out)["layers"]
    assert found[2]["symmetric_sizes"] == {"period": 2, "remainders": [1]} and found[-1]["symmetric_sizes"] is None


def test_options_arrive():
    answer = equiscope(
        "layers", "my code/net.py:small", "--size", "24", *WHITE, "--layers", "2", "--layers", "4", "--stride", "2=3"
    )
    lines = [line.split() for line in answer.out.splitlines()[1:]]
    assert lines == [
        ["2", "middle", "Conv2d", "6", "12", "x", "12", "3"],
        ["4", "pool", "AdaptiveAvgPool2d", "6", "vector", "–"],
    ]


def test_layers_left_out_are_listed_with_the_reason():
    arguments = ("layers", "my code/net.py:of_windows", "--layers", "?", "--size", "32", *WHITE)
    lines = equiscope(*arguments).out.splitlines()
    assert [line.split()[0] for line in lines if line] == ["layer", "0", "2", "left", "1"]
    assert "first axis is not the image" in lines[-1]
    found = json.loads(equiscope(*arguments, "--json").out)
    assert [layer["layer"] for layer in found["layers"]] == ["0", "2"]
    assert found["layers"][0] == {
        "layer": "0", "part": "early", "type": "Conv2d", "channels": 4,
        "height": 32, "width": 32, "stride_y": 1, "stride_x": 1,
    }  # fmt: skip
    (left_out,) = found["layers_left_out"]
    assert left_out["layer"] == "1" and "first axis is not the image" in left_out["reason"]


def test_a_warning_says_why_modules_stand_in_place_of_blocks():
    Path("vit.py").write_text("from equiscope_studies.own_networks import Scrambled as build")
    answer = equiscope("layers", "vit.py:build", "--size", "32", *WHITE)
    assert answer.err.startswith("Note: None of the network's 3 blocks gives a feature map")
    assert [line.split()[0] for line in answer.out.splitlines()[-3:]] == ["blocks.0", "blocks.1", "blocks.2"]


def test_what_the_code_of_a_network_prints_is_not_in_the_table():
    answer = equiscope("layers", "my code/net.py:talkative", "--size", "32", "--json")
    assert json.loads(answer.out) and "a word from the network" in answer.err.splitlines()


@pytest.mark.parametrize("channels", [13, 2])
def test_networks_of_other_channels(tmp_path, channels):
    code = tmp_path / "bands.py"
    code.write_text(f"from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Conv2d({channels}, 4, 3))\n")
    arguments = ("layers", f"{code}:build", "--size", "32")
    for more in ((), ("--channels", str(channels))):  # as the first convolution takes, and as is said
        answer = equiscope(*arguments, *more)
        assert answer.status == 0 and answer.out.splitlines()[1].split()[:4] == ["0", "early", "Conv2d", "4"]
    answer = equiscope(*arguments, "--channels", "5")
    assert answer.status == 2 and "fails on images of 5 x 32 x 32" in answer.err
