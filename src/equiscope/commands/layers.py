"""`equiscope layers`: which layers of a network would be measured, and which not."""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from functools import reduce
from operator import and_
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


Sizes = Annotated[
    bool,
    typer.Option(
        "--sizes",
        metavar="",
        help="Also tell the sizes of images at which each layer's grid of positions lies symmetrically in the image; "
        "a few passes find them.",
    ),
]


def layers(
    model: ModelName,
    chosen: LayerOptions,
    network: Annotated[InputOptions, Options(NETWORK, first=("size",))],
    channels: Channels = None,
    sizes: Sizes = False,
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
        equiscope layers torchvision:resnet50 --sizes
        equiscope layers my_network.py:build --size 64 --json
        equiscope layers my_network.py:build --size 64 --channels 13
    """
    from equiscope.networks.loading import load_network

    mean, std = values_of("--mean", network.mean), values_of("--std", network.std)
    with redirect_stdout(sys.stderr), noted(quiet=False):  # where what the network's own code prints belongs
        loaded = load_network(model, weights="random", size=network.size, mean=mean, std=std)  # shapes are enough
        options = replace(chosen, pool=loaded.pool, default=loaded.layers)
        found, shape = _layers(loaded, options, channels or (len(mean) if mean else None))
        symmetric = _symmetric(loaded, shape, options) if sizes else None
    note(loaded.remarks)
    if json:
        typer.echo(as_json(_records(found, symmetric)))
    else:
        show_layers(found, symmetric)
        if symmetric is not None:
            tables().print(f"\n{_advice(symmetric, shape[2])}", soft_wrap=True)


def _layers(loaded: Any, options: Any, channels: int | None) -> tuple[Any, tuple[int, int, int]]:
    """The layers for images of so many channels, and the shape of these.

    None: as many as are declared, or as the first convolution takes.
    """
    import equiscope as es
    from equiscope.networks.layers import channels_of

    declared, (height, width) = channels or len(loaded.preprocessing.mean), loaded.preprocessing.size
    try:
        return es.find_layers(loaded.model, (declared, height, width), layers=options), (declared, height, width)
    except ValueError:
        taken = channels_of(loaded.model)
        if channels or taken is None or taken == declared:
            raise
        return es.find_layers(loaded.model, (taken, height, width), layers=options), (taken, height, width)


def _symmetric(loaded: Any, shape: tuple[int, int, int], options: Any) -> dict[str, Any]:
    """The symmetric sizes of each layer that has some."""
    import equiscope as es

    return es.symmetric_sizes(loaded.model, shape, layers=options)


def _advice(symmetric: Mapping[str, Any], size: int) -> str:
    """Which sizes suit all layers, and what follows at this one."""
    if not symmetric:
        return (
            "No symmetric sizes are known: the network takes images of one size only, or no layer is a map whose "
            "stride is known."
        )
    both = reduce(and_, symmetric.values())
    if not both.remainders:
        return "At no size do the grids of all these layers lie symmetrically in the image."
    if size in both:
        return f"At {size} pixels the grids of all these layers lie symmetrically in the image (sizes: {both})."
    off = sum(size not in one for one in symmetric.values())
    near = ", ".join(map(str, both.near(size)))
    return (
        f"At {size} pixels the grids of {off} of these {len(symmetric)} layers lie to one side: the map of a mirrored "
        f"or rotated image is moved by up to a position. At {both} pixels, such as {near}, all lie symmetrically. "
        "Trained filters may have another centre, which --alignment registered of equiscope measure estimates."
    )


def show_layers(found: Any, symmetric: Mapping[str, Any] | None = None) -> None:
    """The layers as a table, with their symmetric sizes where given, and below it those left out, with the reasons."""
    more = [] if symmetric is None else ["symmetric at"]
    listed = table("layer", "part", "type", "channels", "grid", "stride", *more, numbers=["channels", "grid", "stride"])
    for layer in found.measured:
        grid = "vector" if layer.vector else f"{layer.height} x {layer.width}"
        sizes = [] if symmetric is None else [str(symmetric.get(layer.name, UNDEFINED))]
        listed.add_row(layer.name, layer.part, layer.type, str(layer.channels), grid, _stride(layer), *sizes)
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


def _records(found: Any, symmetric: Mapping[str, Any] | None) -> dict[str, Any]:
    measured: list[dict[str, Any]] = [
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
    for layer in measured if symmetric is not None else ():
        sizes = (symmetric or {}).get(layer["layer"])
        its = None if sizes is None else {"period": sizes.period, "remainders": list(sizes.remainders)}
        layer["symmetric_sizes"] = its
    return {
        "layers": measured,
        "layers_left_out": [{"layer": layer.name, "reason": layer.reason} for layer in found.left_out],
    }


def _number(ratio: Any) -> int | float:
    return ratio if isinstance(ratio, int) else float(ratio)
