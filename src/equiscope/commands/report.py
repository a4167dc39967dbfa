"""`equiscope report`: the report of one result, or of several."""

from pathlib import Path
from typing import Annotated

import typer

from equiscope.commands.options import Folders, Quiet


def report(
    folders: Folders,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default="DIR/report.html; of several, report.html here",
            help="The page to write; what is there is replaced.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Make the report of a result again, or one of several results.

    One HTML file that opens without an internet connection. Of several results
    it shows each one, and their scores by part and by depth side by side.

    [bold]Examples[/bold]

        equiscope report out/efficientnet-lite0
        equiscope report out/resnet18 out/resnet50 --output resnets.html
    """
    import equiscope as es

    names = shortest_names(folders)
    file = output or (folders[0] / "report.html" if len(folders) == 1 else Path("report.html"))
    results = {name: es.load(folder) for name, folder in zip(names, folders, strict=True)}
    es.report(results if len(results) > 1 else results[names[0]], file)
    typer.echo(file if quiet else f"Report: {file}")


def shortest_names(folders: list[Path]) -> list[str]:
    """The folders' names, with as much of their paths as distinguishes them.

    >>> shortest_names([Path("a/net"), Path("b/net"), Path("b/other")])
    ['a/net', 'b/net', 'b/other']
    """
    paths = [folder.resolve().parts for folder in folders]
    if len(set(paths)) < len(paths):
        twice = next(folder for folder, path in zip(folders, paths, strict=True) if paths.count(path) > 1)
        raise ValueError(f"{twice} is given more than once; give every result once.")
    for count in range(1, max(map(len, paths)) + 1):
        names = ["/".join(path[-count:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names
