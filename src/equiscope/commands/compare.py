"""`equiscope compare`: several results in one figure and one table."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from equiscope.commands.options import FORCE, RESULT, Folders, Quiet
from equiscope.commands.output_folder import moved_into, refuse_taken


def compare(
    folders: Folders,
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", rich_help_panel=RESULT, show_default="out/comparison", help="The folder to write."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", rich_help_panel=RESULT, help=FORCE)] = False,
    quiet: Quiet = False,
) -> None:
    """Several results in one figure and one table, by part of the network.

    Where two were made on the same images, their difference has an interval of
    its own, which is narrower than theirs. Writes the figure (figure.png,
    figure.pdf), its numbers (data.parquet), and a page of tables (page.md).

    [bold]Example[/bold]

        equiscope compare out/efficientnet-lite0 out/efficientnet-lite1
    """
    import equiscope as es
    from equiscope.commands.comparison_page import page
    from equiscope.results.comparison import loaded

    folder = output or Path("out", "comparison")
    refuse_taken(folder, force=force)
    results = loaded(folders)
    table = es.compare(results)
    text = page(table, shlex.join(["equiscope", *sys.argv[1:]]))
    figure = es.plot_comparison(results)
    with moved_into(folder.resolve()) as aside:
        figure.save(aside / "figure")
        with (aside / "data.parquet").open("wb") as stream:
            table.to_parquet(stream)
        (aside / "page.md").write_text(text, encoding="utf-8")
    typer.echo(folder if quiet else f"Figure: {folder / 'figure.png'}\nIn words: {folder / 'page.md'}")
