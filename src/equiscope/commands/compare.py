"""`equiscope compare`: several results in one figure and one table."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from equiscope.commands.completion import words
from equiscope.commands.options import FORCE, SCOPE, Folders, Quiet
from equiscope.results.columns import SCOPES
from equiscope.system.errors import known
from equiscope.system.files import in_utf8
from equiscope.system.output_folder import refuse_taken, written


def compare(
    folders: Folders,
    scope: Annotated[
        str | None,
        typer.Option(
            "--scope",
            "--scopes",
            metavar="NAME",
            show_default="all; the figure: dataset",
            help=SCOPE,
            autocompletion=words(SCOPES),
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default="out/comparison", help="The folder to write.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help=FORCE)] = False,
    quiet: Quiet = False,
) -> None:
    """Compare several results in one figure and one table.

    Scores are those of the parts of the networks. Where two results were made
    on the same images, their difference has an interval of its own, which is
    narrower than theirs. Writes the figure (figure.png, figure.pdf), its
    numbers (data.parquet), and a page of tables (page.md).

    [bold]Examples[/bold]

        equiscope compare out/efficientnet-lite0 out/efficientnet-lite1
        equiscope compare out/resnet18 out/resnet50 --scope image
    """
    import equiscope as es
    from equiscope.commands.comparison_page import page
    from equiscope.results.comparison import loaded

    if scope is not None:
        known("scope", scope, SCOPES)
    folder = output or Path("out", "comparison")
    refuse_taken(folder, force=force)
    results = loaded(folders)
    table = es.compare(results, scope=scope)
    text = page(table, shlex.join(["equiscope", *sys.argv[1:]]))
    figure = es.plot_comparison(results, scope=scope or "dataset")
    with written(folder, force=force) as aside:
        figure.save(aside / "figure")
        with (aside / "data.parquet").open("wb") as stream:
            table.to_parquet(stream)
        (aside / "page.md").write_bytes(in_utf8(text))
    typer.echo(folder if quiet else f"Figure: {folder / 'figure.png'}\nIn words: {folder / 'page.md'}")
