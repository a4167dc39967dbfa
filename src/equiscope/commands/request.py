"""What a result was asked for by, read from the command in its manifest."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from equiscope.commands.flattened import arguments_of, flattened
from equiscope.commands.measure import Request, measure
from equiscope.commands.spelling import Command


def request_of(folder: Path, manifest: Mapping[str, Any]) -> Request:
    """The request that `equiscope measure` made the result in a folder of.

    ValueError where it was made in Python, which handed over a network that no name tells; likewise of a command that
    is not understood.
    """
    program, command, *words = shlex.split(manifest.get("command", "")) or ["", ""]
    if (program, command) != ("equiscope", measure.__name__):
        raise ValueError(
            f"{folder} was measured in Python, and its manifest does not tell how its network is loaded; measure its "
            "metrics there, with equiscope.metrics."
        )
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command(cls=Command)(flattened(measure))
    context = get_command(app).make_context(command, words)
    return Request(**arguments_of(measure, context.params))
