"""`equiscope measure`: the scores of a network, on the terminal and in a folder."""

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from equiscope.commands import options
from equiscope.commands.arguments import as_path
from equiscope.commands.completion import DEVICES, FILLS, IMAGES, LOGGERS, SUBPIXELS, TRANSFORMATIONS
from equiscope.commands.flattened import Options, option
from equiscope.commands.options import (
    FORCE,
    JSON,
    MEASURED,
    NETWORK,
    QUIET,
    RESULT,
    RUN,
    LayerOptions,
    ModelName,
    NetworkOptions,
)
from equiscope.commands.terminal import UNDEFINED, readable, tables
from equiscope.measurement.options import Run, Scoring
from equiscope.system.errors import known
from equiscope.system.output_folder import claimed, refuse_taken

if TYPE_CHECKING:
    from rich.console import Console

    from equiscope.measurement.estimation import Estimate
    from equiscope.results.scores import Scores

CHECKPOINT = Path("OUTPUT.checkpoint")  # stands for the file beside the result, until the result's folder is known


@dataclass(frozen=True)
class ImageOptions:
    """The images. Where they come from."""

    images: str = option(
        "photographs",
        "A folder of images; a folder of Parquet files, one that save_to_disk wrote or the name of a data set on the "
        "Hugging Face hub, optionally with /CONFIGURATION and with :SPLIT; or photographs: crops of the photographs "
        "that scikit-image and scikit-learn ship.",
        metavar="SOURCE",
        words=IMAGES,
    )
    column: str | None = option(
        None,
        "The column of a data set to read.",
        metavar="NAME",
        shown="the only one of images, or image or img among several",
    )
    limit: int | None = option(
        None,
        "The most images to measure, drawn at random.",
        metavar="N",
        shown="all, and of photographs 48 crops",
    )


@dataclass(frozen=True)
class TransformationOptions:
    """What is measured. The transformations of the images."""

    transformations: Sequence[str] = option(
        ("rotations",),
        "Families: rotations, flips, d4, identity; shifts by pixels, shifts:1,2,4,8 along the diagonal or "
        "shifts:3:0,0:-2 down:right; rotations:15 by all multiples of an angle; scalings:1.25,2,1/2; or one "
        "transformation: rot90, rot180, rot270, rot30, hflip, vflip, transpose, antitranspose, scaling:1.25, "
        "affine(1,0.25,0,1).",
        metavar="NAME",
        words=TRANSFORMATIONS,
        commas=True,
    )
    fill: str = option(
        "zero",
        "What enters at the border: zero, after normalisation; reflect; under shifts also wrap, or crop: the network's "
        "input is a window in a larger image, and the shift moves the window.",
        metavar="NAME",
        choices=FILLS,
    )
    subpixel: str = option(
        "linear",
        "What a layer whose stride does not divide a shift does: interpolate (linear), leave the shift out (exact), or "
        "take the nearest position (round).",
        metavar="NAME",
        choices=SUBPIXELS,
    )

    baseline: bool = option(
        False,
        "Also measure the same network, randomly initialised, on the same images (its normalisation statistics are "
        "estimated on them first): what was learned is what differs. Figures and report show both.",
    )

    def __post_init__(self) -> None:
        known("fill", self.fill, FILLS)
        known("subpixel", self.subpixel, SUBPIXELS)


@dataclass(frozen=True)
class MachineOptions:
    """The run. What it may use."""

    batch_size: int | None = option(
        None,
        "Images in a forward pass, transformed ones included; fewer need less memory.",
        metavar="N",
        shown="32 of 224 x 224 pixels, up to 256 of smaller ones",
    )
    dry_run: bool = option(False, "Print the layers, the memory and an estimate of the time, and stop.")
    device: str = option(
        "auto",
        "Where the network runs: cpu, cuda, cuda:1, mps, or auto: cuda where there is one, else cpu.",
        metavar="DEVICE",
        words=DEVICES,
    )
    workers: int = option(0, "Processes that read images ahead.", metavar="N")
    seed: int = option(
        0, "The seed of the order of the images, of random weights and of the bootstrap (image scope).", metavar="N"
    )


@dataclass(frozen=True)
class ResultOptions:
    """The result. What is shown and written."""

    maps: int = option(
        2,
        "Images whose feature maps the report shows, channel beside partner, and maps.npz keeps; 0: none.",
        metavar="N",
    )
    output: Path | None = option(
        None,
        "The folder to write: tables (.parquet), manifest.json, maps.npz, figure.png, figure.pdf and report.html. "
        "A run of more than 15 minutes, or with --resume or --checkpoint-every, keeps a checkpoint beside it.",
        metavar="DIR",
        shown="out/MODEL",
    )
    force: bool = option(False, FORCE)
    log: str | None = option(
        None,
        "Also log the scores by part, the figure and the manifest: tensorboard:DIR, or wandb:PROJECT for Weights & "
        "Biases.",
        metavar="LOGGER",
        words=LOGGERS,
    )
    quiet: bool = option(False, QUIET)
    json: bool = option(False, JSON)


@dataclass(frozen=True)
class Request:
    """All that was asked for."""

    model: str
    network: NetworkOptions
    images: ImageOptions
    transformations: TransformationOptions
    layers: LayerOptions
    scoring: Scoring
    run: Run
    machine: MachineOptions
    result: ResultOptions

    @property
    def folder(self) -> Path:
        """The folder to write, as it was given."""
        return self.result.output or Path("out", as_path(self.model))


def measure(
    model: ModelName,
    images: Annotated[ImageOptions, Options(options.IMAGES, first=("images", "limit"))],
    transformations: Annotated[TransformationOptions, Options(MEASURED, first=("transformations",))],
    layers: LayerOptions,
    network: Annotated[NetworkOptions, Options(NETWORK, first=("weights",))],
    scoring: Annotated[Scoring, Options(MEASURED, fixed={"seed": 0})],
    run: Annotated[
        Run,
        Options(
            RUN,
            first=("name",),
            fixed={"distributed": False, "checkpoint": CHECKPOINT, "keep_checkpoint": True, "checkpoint_if_longer": 0},
        ),
    ],
    machine: Annotated[MachineOptions, Options(RUN, first=("device",))],
    result: Annotated[ResultOptions, Options(RESULT, first=("output",))],
) -> None:
    r"""Measure how invariant and how equivariant each layer is.

    Prints a table of the network's parts, and writes a folder: all scores as
    tables, a figure, and a report to open in a browser.

    [bold]Examples[/bold]

        equiscope measure efficientnet-lite0
        equiscope measure efficientnet-lite0 --transformations flips,shifts:1,2
        equiscope measure cifar-resnet44 --weights resnet44.safetensors \
            --images uoft-cs/cifar10 --limit 2000
        equiscope measure timm:resnet18.a1_in1k --images photographs/ \
            --transformations d4 --layers "layer1.*" "layer4.*" --name mine
        equiscope measure my_network.py:build --size 64 --output out/mine
    """
    from equiscope.commands.measurement import Measurement
    from equiscope.results.folder import is_result
    from equiscope.system.processes import launched

    request = Request(model, network, images, transformations, layers, scoring, run, machine, result)
    if result.log is not None:
        from equiscope.integrations.loggers import logger_named

        logger_named(result.log)
    first = os.environ.get("RANK", "0") == "0"  # of several processes, the one that writes and shows
    writes = not machine.dry_run and not (run.resume and is_result(request.folder))
    if writes:
        refuse_taken(request.folder, force=result.force)
    with (
        claimed(request.folder) if writes and first else nullcontext(),
        launched(machine.device) as device,
        redirect_stdout(sys.stderr),  # where the network's own code may print
    ):
        measurement = Measurement(request, device)
        found: Any = measurement.estimate() if machine.dry_run else measurement.scores()
    if machine.dry_run:
        if first:
            _show_estimate(found)
    elif found is not None:
        _show(found, measurement.written_to, result)


def _show_estimate(estimate: "Estimate") -> None:
    """What a measurement would be of, and what it would take."""
    from equiscope.commands.layers import show_layers

    show_layers(estimate.layers)
    typer.echo(estimate.told())


def _show(scores: "Scores", folder: Path, result: ResultOptions) -> None:
    """The scores as they were asked for: logged, as JSON, as a table of the parts."""
    if result.log is not None:
        from equiscope.integrations.loggers import log_scores, logger

        with logger(result.log, folder.resolve().name) as opened:
            log_scores(scores, opened)
    if result.json:
        typer.echo(_json_table(scores))
    if not result.quiet:
        _show_answer(scores, folder, tables(stderr=result.json))
    elif not result.json:
        typer.echo(folder)


def _show_answer(scores: "Scores", folder: Path, console: "Console") -> None:
    """The picture and the table of the parts, the files, and a sentence a family that reads the result."""
    from equiscope.results.shares import sentences_of

    files = f"Figure: {folder / 'figure.png'}\nReport: {folder / 'report.html'}"
    console.print(readable(str(scores), console), soft_wrap=True)
    console.print(f"\n{readable(UNDEFINED, console)} is undefined; the report says when.\n\n{files}\n", soft_wrap=True)
    for sentence in sentences_of(scores):
        console.print(sentence)


def _json_table(scores: "Scores") -> str:
    """The table per layer in each scope, a record a row; an undefined score is null."""
    import pandas as pd

    measured = dict.fromkeys(scores.scores["scope"])
    table = pd.concat([scores.table(scope=scope).assign(scope=scope) for scope in measured], ignore_index=True)
    return str(table.to_json(orient="records", indent=2, double_precision=15))
