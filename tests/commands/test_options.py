"""The options of a measurement are declared once: the command line says what the fields of the library say."""

from dataclasses import fields

import pytest

from equiscope.commands.main import command_line
from equiscope.measurement.options import Run, Scoring
from equiscope.networks.options import Layers

NOT_OPTIONS = {
    Scoring: {"seed"},
    Run: {"distributed", "checkpoint", "keep_checkpoint", "checkpoint_if_longer"},
    Layers: {"pool", "default"},
}


@pytest.mark.parametrize("kind", NOT_OPTIONS)
def test_every_field_is_an_option_with_its_own_words(kind):
    options = {one.name: one for one in command_line().get_command(None, "measure").params}
    told = {one.name: one for one in fields(kind)}
    assert {name for name in told if name not in options} <= NOT_OPTIONS[kind]
    for name in told.keys() - NOT_OPTIONS[kind]:
        assert told[name].metadata["help"] in options[name].help
        assert options[name].metavar == told[name].metadata["metavar"]


def test_commands_share_the_options_that_they_share():
    group = command_line()
    measure, layers = (
        {one.name: one for one in group.get_command(None, name).params} for name in ("measure", "layers")
    )
    shared = measure.keys() & layers.keys()
    assert {"model", "names", "strides", "layouts", "size", "mean", "std", "json"} <= shared
    for name in shared:
        assert (measure[name].help, measure[name].opts) == (layers[name].help, layers[name].opts)
