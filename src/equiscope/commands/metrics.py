"""`equiscope metrics`: the measures of other tools, of one network, in one table."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equiscope.commands.flattened import Options, option
from equiscope.commands.measure import (
    ImageOptions,
    MachineOptions,
    Request,
    ResultOptions,
    TransformationOptions,
)
from equiscope.commands.options import IMAGES, JSON, NETWORK, RUN, LayerOptions, ModelOrResult, NetworkOptions
from equiscope.commands.terminal import UNDEFINED, note, table, tables
from equiscope.measurement.options import Run, Scoring
from equiscope.networks.options import Layers
from equiscope.results.columns import METRIC_TITLES, METRICS
from equiscope.system.files import path_of, refuse_place, refuse_unwritable, replacing

if TYPE_CHECKING:
    import pandas as pd

    from equiscope.commands.measurement import Measurement
    from equiscope.images.preprocessing import Preprocessing


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
    model: ModelOrResult,
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

    Given a result, it measures the result's network on the result's images,
    and adds the table to the folder and to the report. Metrics that are there
    already are shown, and not measured again.

    [bold]Examples[/bold]

        equiscope metrics efficientnet-lite0 --images photographs/ --limit 200
        equiscope metrics efficientnet-lite0 --transformations rotations,hflip
        equiscope metrics timm:resnet18 --only agreement --output metrics.csv
        equiscope metrics out/efficientnet-lite0
    """
    from equiscope.commands.measurement import Measurement
    from equiscope.results.folder import is_result

    _check_output(result.output)
    request = Request(
        model, network, images, transformations, layers, Scoring(), Run(), machine, ResultOptions(maps=0)
    )  # fmt: skip
    with redirect_stdout(sys.stderr):  # where what the network's own code prints belongs
        folder = path_of(model)
        if is_result(folder) or (len(folder.parts) > 1 and folder.is_dir()):  # a name alone may be a network's, too
            found = _of_result(folder, request, result.only)
        else:
            found = _measured(Measurement(request, machine.device), result.only)
    if result.output is not None:
        _write(found, result.output)
    if result.json:
        typer.echo(found.to_json(orient="records", indent=2, double_precision=15))
    else:
        _show(found)


def _of_result(folder: Path, given: Request, only: Sequence[str] | None) -> "pd.DataFrame":
    """The metrics of a result: those that are there, and the others measured and added to its folder."""
    import pandas as pd

    import equiscope as es
    from equiscope.results.folder import METRICS as METRICS_FILE
    from equiscope.results.folder import write_metrics

    _refuse_what_the_result_tells(given)
    scores = es.load(folder)
    there = scores.metrics
    wanted = list(only or METRICS)
    missing = [one for one in wanted if there is None or one not in set(there["metric"])]
    if there is None or missing:
        refuse_unwritable(folder)
        new = _measured(_again(folder, scores.manifest, given), missing)
        tables = [new] if there is None else [there, new]
        there = pd.concat(tables, ignore_index=True).sort_values(
            "metric", key=lambda names: names.map(METRICS.index), kind="stable", ignore_index=True
        )
        write_metrics(there, folder)
        note([f"The table was added to the result: {folder / METRICS_FILE}."])
        if (report := folder / "report.html").is_file():
            es.report(replace(scores, metrics=there), report)
    return there[there["metric"].isin(wanted)].reset_index(drop=True)


def _refuse_what_the_result_tells(given: Request) -> None:
    """ValueError where an option asks for other images or another network than the result's."""
    machine = replace(MachineOptions(), batch_size=given.machine.batch_size, device=given.machine.device)
    of_result = {
        "--images and --limit": (given.images, ImageOptions()),
        "--transformations": (given.transformations, TransformationOptions()),
        "--layers": (given.layers, Layers()),
        "--weights and the other options of the network": (given.network, NetworkOptions()),
        "--seed and --workers": (given.machine, machine),
    }
    for options, (one, default) in of_result.items():
        if one != default:
            raise ValueError(
                f"{given.model} is a result, which tells its network, images and options itself; leave out {options}, "
                "or give the network in place of the result."
            )


def _again(folder: Path, manifest: Mapping[str, Any], given: Request) -> "Measurement":
    """The measurement that a result is of, ready to be made again. ValueError where it would be another one."""
    from equiscope.commands.measurement import Measurement
    from equiscope.commands.request import request_of

    request = request_of(folder, manifest)
    machine = replace(request.machine, batch_size=given.machine.batch_size)
    measurement = Measurement(replace(request, machine=machine), given.machine.device)
    if measurement.recipe_now() != manifest.get("recipe"):
        raise ValueError(
            f"{folder} is of another network, other weights or other images than its command gives now; measure it "
            "again."
        )
    return measurement


def _measured(measurement: "Measurement", only: Sequence[str] | None) -> "pd.DataFrame":
    """The metrics of a network on images."""
    import equiscope as es

    request, network, source = measurement.request, measurement.network, measurement.source
    asked, seed = request.images, request.machine.seed
    larger = es.open_images(
        asked.images, _for_crops(network.preprocessing), column=asked.column, limit=asked.limit, seed=seed,
        workers=request.machine.workers,
    )  # fmt: skip
    note(network.remarks)
    found = es.metrics(
        network, source, measurement.families, larger=larger, only=only, layers=measurement.layers,
        batch_size=request.machine.batch_size, device=measurement.device, seed=seed,
    )  # fmt: skip
    if lost := source.left_out:
        note([f"{len(lost)} of {len(source)} images could not be read, such as {lost[0].name} ({lost[0].reason})."])
    return found


def _for_crops(preprocessing: "Preprocessing") -> "Preprocessing":
    """The same for images of which crops are taken: of 8/7 of the network's input, 256 of 224 pixels."""
    height, width = (side + side // 7 for side in preprocessing.size)
    return replace(preprocessing, size=(height, width), resize=max(height, width))


def _check_output(file: Path | None) -> None:
    """ValueError or OSError where a table cannot be written to the file."""
    if file is not None and file.suffix not in (".csv", ".parquet"):
        raise ValueError(f"--output {str(file)!r} is no .csv or .parquet; give a file of such a name.")
    if file is not None:
        refuse_place(file)


def _write(found: "pd.DataFrame", file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as aside:
        found.to_csv(aside, index=False) if file.suffix == ".csv" else found.to_parquet(aside)


def _show(found: "pd.DataFrame") -> None:
    """The table on the terminal."""
    listed = table("metric", "transformation", "layer", "value", "95 % interval", numbers=["value"])
    for row in found.to_dict("records"):
        interval = UNDEFINED if isnan(row["low"]) else f"{row['low']:.4f} to {row['high']:.4f}"
        layer = row["layer"] if isinstance(row["layer"], str) else UNDEFINED
        listed.add_row(METRIC_TITLES[row["metric"]], row["transformation"], layer, f"{row['value']:.4f}", interval)
    tables().print(listed)
