"""`equiscope layers`: which layers of a network would be measured, and which not."""

import sys
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Annotated, Any

import typer

from equiscope.commands.arguments import values_of
from equiscope.commands.flattened import Options
from equiscope.commands.options import NETWORK, AsJson, InputOptions, LayerOptions, ModelName
from equiscope.commands.terminal import UNDEFINED, as_json, note, noted, table, tables

Channels = Annotated[
    int | None,
    typer.Option(
        "--channels",
        metavar="N",
        min=1,
        show_default=False,
        rich_help_panel=NETWORK,
        help="Channels of an image. Default: as many as --mean has values, else three, or as the network's first "
        "convolution takes.",
    ),
]


def layers(
    model: ModelName,
    chosen: LayerOptions,
    network: Annotated[InputOptions, Options(NETWORK, first=("size",))],
    channels: Channels = None,
    json: AsJson = False,
) -> None:
    """List the layers of a network that would be measured.

    For each layer: its name, its part of the network, the module's class, how
    many channels it has, its grid of positions, and its stride: the pixels
    between neighbouring positions. Then the layers left out, and why. Shapes
    tell it; where they leave an order open, the network runs on noise.

    [bold]Examples[/bold]

        equiscope layers efficientnet-lite0
        equiscope layers timm:resnet18 --layers "layer*.*.act2"
        equiscope layers my_network.py:build --size 64 --json
        equiscope layers my_network.py:build --size 64 --channels 13
    """
    from equiscope.networks.loading import load_network

    mean, std = values_of("--mean", network.mean), values_of("--std", network.std)
    with redirect_stdout(sys.stderr), noted(quiet=False):  # where what the network's own code prints belongs
        loaded = load_network(model, weights="random", size=network.size, mean=mean, std=std)  # shapes are enough
        options = replace(chosen, pool=loaded.pool, default=loaded.layers)
        found = _layers(loaded, options, channels or (len(mean) if mean else None))
    note(loaded.remarks)
    if json:
        typer.echo(as_json(_records(found)))
    else:
        show_layers(found)


def _layers(loaded: Any, options: Any, channels: int | None) -> Any:
    """The layers for images of so many channels; None: as many as are declared, or as the first convolution takes."""
    import equiscope as es
    from equiscope.networks.layers import channels_of

    declared, size = channels or len(loaded.preprocessing.mean), loaded.preprocessing.size
    try:
        return es.find_layers(loaded.model, (declared, *size), layers=options)
    except ValueError:
        taken = channels_of(loaded.model)
        if channels or taken is None or taken == declared:
            raise
        return es.find_layers(loaded.model, (taken, *size), layers=options)


def show_layers(found: Any) -> None:
    """The layers as a table, and below it those left out, with the reasons."""
    listed = table("layer", "part", "type", "channels", "grid", "stride", numbers=["channels", "grid", "stride"])
    for layer in found.measured:
        grid = "vector" if layer.vector else f"{layer.height} x {layer.width}"
        listed.add_row(layer.name, layer.part, layer.type, str(layer.channels), grid, _stride(layer))
    console = tables()
    console.print(listed)
    if found.left_out:
        left_out = table("left out", "why")
        for one in found.left_out:
            left_out.add_row(one.name, one.reason)
        console.print()
        console.print(left_out)


def _stride(layer: Any) -> str:
    if layer.stride is None:
        return UNDEFINED if layer.vector else "unknown"
    return " x ".join(str(step) for step in dict.fromkeys(layer.stride))


def _records(found: Any) -> dict[str, Any]:
    measured = [
        {
            "layer": layer.name,
            "part": layer.part,
            "type": layer.type,
            "channels": layer.channels,
            "height": layer.height,
            "width": layer.width,
            "stride_y": _number(layer.stride[0]) if layer.stride else None,
            "stride_x": _number(layer.stride[1]) if layer.stride else None,
        }
        for layer in found.measured
    ]
    return {
        "layers": measured,
        "layers_left_out": [{"layer": layer.name, "reason": layer.reason} for layer in found.left_out],
    }


def _number(ratio: Any) -> int | float:
    return ratio if isinstance(ratio, int) else float(ratio)
