"""The command line: which commands there are, and what they leave as exit status.

What computes is imported inside the commands, so that help and misspelt options are answered at once.
"""

import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from equiscope.commands.compare import compare
from equiscope.commands.failures import explained
from equiscope.commands.flattened import flattened
from equiscope.commands.layers import layers
from equiscope.commands.losses import losses
from equiscope.commands.measure import measure
from equiscope.commands.metrics import metrics
from equiscope.commands.models import models
from equiscope.commands.plot import plot
from equiscope.commands.report import report
from equiscope.commands.spelling import Command, untyped
from equiscope.commands.terminal import note, shown

DAILY: tuple[Callable[..., None], ...] = (measure, layers, models, report, plot, compare, losses, metrics)
GUESTS = "equiscope.commands"  # the entry points by which other packages add commands


def main() -> int:
    """The exit status of the command in `sys.argv`: 0, or 2 after one sentence on what to give instead.

    An exception that nobody foresaw gives 1, Ctrl-C 130. With `EQUISCOPE_TRACEBACK=1` in the environment both show
    where they were raised.
    """
    with shown():
        try:
            status = command_line()(sys.argv[1:] or ["--help"], prog_name="equiscope", standalone_mode=False)
            if status == 130:  # typer caught a Ctrl-C
                raise KeyboardInterrupt
        except (Exception, KeyboardInterrupt) as error:
            if os.environ.get("EQUISCOPE_TRACEBACK") == "1":
                raise
            sentence, status = explained(error)
            note([sentence], "Error", "bold red")
        return int(status or 0)


class _Commands(TyperGroup):
    """The commands of equiscope, and after them those of other packages, imported when they are needed."""

    _complete = False

    def get_params(self, ctx: Any) -> list[Any]:
        return untyped(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        self._complete_with_guests()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands:
            self._complete_with_guests()
        return super().get_command(ctx, cmd_name)

    def _complete_with_guests(self) -> None:
        if not self._complete:
            self._complete = True
            for name, command in _guests().items():
                self.commands.setdefault(name, command)


def command_line() -> Any:
    """The whole command line, as Typer runs it."""
    command = get_command(_app(DAILY))
    for parameter in command.params:
        if parameter.name in ("install_completion", "show_completion"):  # the help of the whole has one line on them
            vars(parameter)["hidden"] = True
    return command


def _guests() -> dict[str, Any]:
    """The commands that other packages add."""
    app = _app(())
    for point in entry_points(group=GUESTS):
        panel = f"Commands of {point.module.partition('.')[0]}"
        app.command(point.name, cls=Command, rich_help_panel=panel)(flattened(point.load()))
    return dict(get_group(app).commands)


def _app(commands: tuple[Callable[..., None], ...]) -> typer.Typer:
    app = typer.Typer(
        cls=_Commands,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_equiscope)
    for command in commands:
        app.command(cls=Command)(flattened(command))
    return app


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"equiscope {version('equiscope')}")
        raise typer.Exit
    return wanted


def _equiscope(
    show_version: Annotated[
        bool,
        typer.Option("--version", metavar="", callback=_version, is_eager=True, help="The version, and nothing else."),
    ] = False,
) -> None:
    """How equivariant have the features of an image network learned to be?

    For every layer: do its channels stay the same (invariance), or take each
    other's place (equivariance), when the image is rotated, flipped or
    shifted? Each score comes with its 95 % confidence interval, its chance
    level, and the share of variance that it explains.

    [bold]Begin with[/bold]

        equiscope measure efficientnet-lite0
        equiscope layers efficientnet-lite0
        equiscope models
        equiscope --install-completion    # names and options by Tab
    """
