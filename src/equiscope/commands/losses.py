"""`equiscope losses`: which layer loses its equivariance, of a result whose layers were measured alone."""

from math import isnan
from pathlib import Path
from typing import Annotated

import typer

from equiscope.commands.completion import words
from equiscope.commands.options import AsJson
from equiscope.commands.terminal import UNDEFINED, table, tables
from equiscope.results.columns import ALIGNMENTS, LADDER


def losses(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", show_default=False, help="A folder that `equiscope measure` wrote.")
    ],
    transformation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default="every family", help="One transformation or family that was measured."
        ),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default="the last that was measured",
            help="By which measure: invariance, equivariance or linear.",
            autocompletion=words(LADDER),
        ),
    ] = None,
    alignment: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            show_default="array",
            help="Layers rotated about the centre of their array (array), or about their own (registered).",
            autocompletion=words(ALIGNMENTS),
        ),
    ] = "array",
    json: AsJson = False,
) -> None:
    """Rank the layers by what each loses alone of its equivariance.

    For a result measured with --measures invariance,equivariance,linear,alone:
    each layer's module was called again on its own input, transformed. What
    earlier layers have lost is not counted.

    [bold]Examples[/bold]

        equiscope losses out/efficientnet-lite0
        equiscope losses out/efficientnet-lite0 --transformation rot90
    """
    import equiscope as es

    found = es.load(folder).losses(transformation, measure=measure, alignment=alignment)
    if json:
        typer.echo(found.to_json(orient="records", indent=2, double_precision=15))
        return
    names = ["loses", "95 % interval", "explained alone", "from the image"]
    listed = table("transformation", "measure", "layer", "part", *names, numbers=names)
    for row in found.to_dict("records"):
        ends = UNDEFINED if isnan(row["loses_low"]) else f"{row['loses_low']:.3f} to {row['loses_high']:.3f}"
        cells = (f"{row[name]:.3f}" for name in ("alone", "explained"))
        about = (row[name] for name in ("transformation", "measure", "layer", "part"))
        listed.add_row(*about, f"{row['loses']:.3f}", ends, *cells)
    tables().print(listed)
