"""`equiscope models`: the networks that are known by name."""

from dataclasses import asdict

import typer

from equiscope.commands.options import AsJson
from equiscope.commands.terminal import UNDEFINED, as_json, table, tables


def models(json: AsJson = False) -> None:
    """List the networks that are known by name.

    Their layers, weights and preprocessing are written down. Any other network
    can be measured too: timm:NAME, torchvision:NAME, or your own function,
    FILE.py:FUNCTION or package.module:FUNCTION.

    [bold]Examples[/bold]

        equiscope models
        equiscope models --json
    """
    from equiscope.networks.catalogue import CATALOGUE

    if json:
        typer.echo(as_json([asdict(entry) for entry in CATALOGUE.values()]))
        return
    weights = {"timm": "from timm", "torchvision": "from torchvision"}
    listed = table("model", "top-1 %", "weights", numbers=["top-1 %"])
    for entry in CATALOGUE.values():
        source = weights.get(entry.constructor.partition(":")[0], "yours: --weights FILE")
        top1 = UNDEFINED if entry.top1 is None else f"{entry.top1:.1f}"
        listed.add_row(entry.name, top1, "from its Python package" if entry.package else source)
    tables().print(listed)
