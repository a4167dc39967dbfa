"""`equiscope metrics`: the measures of other tools, of one network, in one table."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equiscope.commands.arguments import families_of, values_of
from equiscope.commands.flattened import Options, option
from equiscope.commands.measure import ImageOptions, MachineOptions, TransformationOptions
from equiscope.commands.options import IMAGES, JSON, NETWORK, RUN, LayerOptions, ModelName, NetworkOptions
from equiscope.commands.terminal import UNDEFINED, note, table, tables
from equiscope.results.columns import METRICS

if TYPE_CHECKING:
    import pandas as pd

    from equiscope.images.preprocessing import Preprocessing

TITLES = {
    "agreement": "top-1 agreement",
    "divergence": "KL divergence",
    "lie_derivative": "Lie derivative",
    "variance_ratio": "variance ratio",
}


@dataclass(frozen=True)
class MetricsOptions:
    """The result. Which metrics, and where they go."""

    only: Sequence[str] | None = option(
        None,
        "Metrics: agreement, divergence, lie_derivative, variance_ratio.",
        metavar="NAME",
        choices=METRICS,
        shown="all four",
    )
    output: Path | None = option(
        None, "A file for the table, .csv or .parquet; what is there is replaced.", metavar="FILE"
    )
    json: bool = option(False, JSON)


def metrics(
    model: ModelName,
    images: Annotated[ImageOptions, Options(IMAGES, first=("images", "limit"))],
    transformations: Annotated[
        TransformationOptions,
        Options(first=("transformations",), fixed={"fill": "zero", "subpixel": "linear", "baseline": False}),
    ],
    layers: LayerOptions,
    network: Annotated[NetworkOptions, Options(NETWORK, first=("weights",))],
    machine: Annotated[MachineOptions, Options(RUN, first=("device",), fixed={"dry_run": False})],
    result: Annotated[MetricsOptions, Options(first=("only", "output", "json"))],
) -> None:
    r"""Measure invariance as other tools do, in one table.

    How often the network's first class stays the same (agreement) and how far
    class probabilities move (KL divergence) under each transformation;
    agreement of random crops and rolls, as antialiased-cnns has it; the local
    equivariance error of lie-deriv; the variance ratio of tmeasures, by layer.
    Each image is compared with itself; no channel is matched with another.

    [bold]Examples[/bold]

        equiscope metrics efficientnet-lite0 --images photographs/ --limit 200
        equiscope metrics efficientnet-lite0 --transformations rotations,hflip
        equiscope metrics timm:resnet18 --only agreement --output metrics.csv
    """
    import equiscope as es
    from equiscope.networks.loading import load_network

    _check_output(result.output)
    mean, std = values_of("--mean", network.mean), values_of("--std", network.std)
    with redirect_stdout(sys.stderr):  # where what the network's own code prints belongs
        families = families_of(transformations.transformations)
        loaded = load_network(
            model, weights=network.weights, size=network.size, mean=mean, std=std, seed=machine.seed
        )  # fmt: skip
        source, larger = (
            es.open_images(
                images.images, preprocessing, column=images.column, limit=images.limit, seed=machine.seed,
                workers=machine.workers,
            )
            for preprocessing in (loaded.preprocessing, _for_crops(loaded.preprocessing))
        )  # fmt: skip
        note(loaded.remarks)
        found = es.metrics(
            loaded.model, source, families, larger=larger, only=result.only,
            layers=replace(layers, pool=loaded.pool, default=loaded.layers), batch_size=machine.batch_size,
            device=machine.device, seed=machine.seed,
        )  # fmt: skip
    if lost := source.left_out:
        note([f"{len(lost)} of {len(source)} images could not be read, such as {lost[0].name} ({lost[0].reason})."])
    if result.output is not None:
        _write(found, result.output)
    if result.json:
        typer.echo(found.to_json(orient="records", indent=2, double_precision=15))
    else:
        _show(found)


def _for_crops(preprocessing: "Preprocessing") -> "Preprocessing":
    """The same for images of which crops are taken: of 8/7 of the network's input, 256 of 224 pixels."""
    height, width = (side + side // 7 for side in preprocessing.size)
    return replace(preprocessing, size=(height, width), resize=max(height, width))


def _check_output(file: Path | None) -> None:
    """ValueError where a table cannot be written to the file."""
    if file is not None and file.suffix not in (".csv", ".parquet"):
        raise ValueError(f"--output {str(file)!r} is no .csv or .parquet; give a file of such a name.")


def _write(found: "pd.DataFrame", file: Path) -> None:
    from equiscope.system.files import replacing

    with replacing(file) as aside:
        found.to_csv(aside, index=False) if file.suffix == ".csv" else found.to_parquet(aside)


def _show(found: "pd.DataFrame") -> None:
    """The table on the terminal."""
    listed = table("metric", "transformation", "layer", "value", "95 % interval", numbers=["value"])
    for row in found.to_dict("records"):
        interval = UNDEFINED if isnan(row["low"]) else f"{row['low']:.4f} to {row['high']:.4f}"
        layer = row["layer"] if isinstance(row["layer"], str) else UNDEFINED
        listed.add_row(TITLES[row["metric"]], row["transformation"], layer, f"{row['value']:.4f}", interval)
    tables().print(listed)
