"""The command line: arguments become the calls that Python users make, and what these return becomes text.

What computes is imported inside the commands, so that help and misspelt options are answered at once.
"""

import glob
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from itertools import product
from json import dumps
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.main import get_command

from equiscope.commands.arguments import (
    as_path,
    by_model_of,
    families_of,
    layouts_of,
    pairs_of,
    percents_of,
    pixels_of,
    strides_of,
    values_of,
)
from equiscope.commands.completion import words

if TYPE_CHECKING:
    from equiscope.functional.transformations import Family
    from equiscope.images.data import ImageSource
    from equiscope.measurement.estimation import Estimate
    from equiscope.networks.layers import Layer, Layers
    from equiscope.networks.loading import Network
    from equiscope.results.scores import Scores

UNDEFINED = "–"
MOST_NAMED = 5  # images left out that are named on the terminal; the manifest names all
CROWDED = 10_000  # columns of a table that no terminal's width limits

_OPTIONS = {  # as the library's sentences have them, and as the command line does
    "batch_size=": "--batch-size ",
    "fill=": "--fill ",
    "force=True": "--force",
    "log=": "--log ",
    "limit=": "--limit ",
    "negative=": "--negative ",
    "shifts=": "--shifts ",
    "similarity=": "--similarity ",
    "source=": "--source ",
    "alignment= ?": "--alignment ",
    "by=": "--by ",
    "corrected=True": "--corrected",
    "heatmap=True": "--heatmap",
    "kind=": "--kind ",
    "layers=": "--layers ",
    "measure=": "--measure ",
    "scope=": "--scope ",
    "transformation=": "--transformation ",
    "maps=": "--maps ",
    "memory=": "--memory ",
    "precision=": "--precision ",
    "checkpoint_every=": "--checkpoint-every ",
    "intervals=False": "--no-intervals",
    "registration_images= ?": "--registration-images ",
    "strides= ?": "--stride ",
    "subcell=": "--subcell ",
}
_SCOPES_IN_WORDS = {
    "dataset": "All images together",
    "image": "Each image by itself, then the mean over images",
}

app = typer.Typer(
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_NETWORK, _IMAGES, _MEASURE, _RUN, _RESULT = "The network", "The images", "What is measured", "The run", "The result"
_TRAINING = "The study"
_DRAWN = "What is drawn"
_NETWORKS = "The networks of figures 4 and 7"

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        autocompletion=words("model"),
        show_default=False,
        help="A name that `equiscope models` lists, timm:NAME, torchvision:NAME, transformers:NAME, or your own "
        "function that returns a torch.nn.Module: FILE.py:FUNCTION or package.module:FUNCTION (that code runs).",
    ),
]
LayerGlobs = Annotated[
    list[str] | None,
    typer.Option(
        "--layers",
        metavar="GLOB",
        rich_help_panel=_MEASURE,
        show_default="the network's blocks, its global pooling, its final vector",
        help="Only these layers, by the names that `equiscope layers` lists; * stops at a dot, ** does not. May be "
        "given several times.",
    ),
]
StrideGlobs = Annotated[
    list[str] | None,
    typer.Option(
        "--stride",
        metavar="GLOB=N",
        rich_help_panel=_MEASURE,
        show_default=False,
        help="The pixels from cell to cell of these layers, which a shift needs, where their shapes do not tell them. "
        "May be given several times.",
    ),
]
LayoutGlobs = Annotated[
    list[str] | None,
    typer.Option(
        "--layout",
        metavar="GLOB=LAYOUT",
        rich_help_panel=_MEASURE,
        show_default=False,
        help="How the features of these layers lie, where nothing tells: nchw, nhwc, vector, or tokens:14x14+1, rows "
        "and columns of cells and the tokens before them. May be given several times.",
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        rich_help_panel=_NETWORK,
        show_default="what it was trained on",
        help="Height and width of the network's input in pixels.",
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(
        metavar="R,G,B",
        rich_help_panel=_NETWORK,
        show_default="what it was trained on",
        help="What is subtracted from the channels of an image in [0, 1]; one value for a network of grey images.",
    ),
]
Std = Annotated[
    str | None,
    typer.Option(
        metavar="R,G,B",
        rich_help_panel=_NETWORK,
        show_default="what it was trained on",
        help="What the channels are then divided by.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", metavar="", rich_help_panel=_RESULT, help="The table as JSON on stdout; all else on stderr."
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", metavar="", rich_help_panel=_RESULT, help="Nothing on the terminal but the folder that was written."
    ),
]
Force = Annotated[
    bool, typer.Option("--force", metavar="", rich_help_panel=_RESULT, help="Write into a folder that is not empty.")
]


def main() -> int:
    """The exit status of the command in `sys.argv`: 0, or 2 after one sentence on what to give instead.

    An exception that nobody foresaw gives 1, Ctrl-C 130. With `EQUISCOPE_TRACEBACK=1` in the environment they show
    where they are from.
    """
    try:
        status = _command()(sys.argv[1:] or ["--help"], prog_name="equiscope", standalone_mode=False)
        if status == 130:  # so typer says that it caught a Ctrl-C
            raise KeyboardInterrupt
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("EQUISCOPE_TRACEBACK") == "1":
            raise
        sentence, status = _explained(error)
        _errors().print(Text.assemble(("Error:", "bold red"), f" {sentence}"), soft_wrap=True)
    return int(status or 0)


def _command() -> Any:
    """The whole command line; of the options that install completion, its help needs one line, not six."""
    command = get_command(app)
    for parameter in command.params:
        if parameter.name in ("install_completion", "show_completion"):
            vars(parameter)["hidden"] = True
    return command


class _Interrupted(Exception):
    """A Ctrl-C, and what to do to go on."""


@contextmanager
def _resumable(run: "_Measurement") -> Iterator[None]:
    """A Ctrl-C tells of the checkpoint, where there is one."""
    try:
        yield
    except KeyboardInterrupt:
        if not run.saved:
            raise
        raise _Interrupted(
            f"interrupted, and no result was written; the same command with --resume goes on from {run.saved[0]}."
        ) from None


@contextmanager
def _repeatable() -> Iterator[None]:
    """A Ctrl-C tells that a study goes on when it is asked for again."""
    try:
        yield
    except KeyboardInterrupt:
        raise _Interrupted("interrupted; the same command goes on from what is finished.") from None


def _explained(error: BaseException) -> tuple[str, int]:
    """What went wrong in one sentence on one line, in the words of the command line, and the exit status."""
    text = " ".join(str(error).split())
    match error:
        case KeyboardInterrupt():
            return "interrupted, and nothing was written.", 130
        case _Interrupted():
            return text, 130
        case typer.TyperException():
            return " ".join(error.format_message().split()), 2
        case _ if isinstance(error, MemoryError) or re.search("out of memory|not enough memory|allocate memory", text):
            return "the memory does not suffice for so many images at once; give a smaller --batch-size.", 2
        case OSError(strerror=str(reason), filename=str(path)):
            return f"{path} cannot be read or written ({reason}); give another path, or mend this one.", 2
        case ValueError() | OSError():
            return _in_options(text), 2
    return f"{type(error).__name__}: {text}; this should not happen, see where with EQUISCOPE_TRACEBACK=1 before it.", 1


def _in_options(sentence: str) -> str:
    """The library's sentence with the command line's options in place of Python's keywords.

    >>> _in_options("batch_size=0 is not a positive whole number of images.")
    '--batch-size 0 is not a positive whole number of images.'
    """
    sentence = re.sub(r"\bstrides=\{'(.+?)': (.+?)\}", r"--stride '\1=N', N being the \2", sentence)
    for keyword, option in _OPTIONS.items():
        sentence = re.sub(rf"\b{keyword}", option, sentence)
    return sentence


def _tables(*, stderr: bool = False) -> Console:
    """Where tables go: as wide as a terminal is, and as wide as they are in a pipe, so that nothing is cut off."""
    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    return console if console.is_terminal else Console(stderr=stderr, markup=False, emoji=False, width=CROWDED)


def _errors() -> Console:
    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"equiscope {version('equiscope')}")
        raise typer.Exit
    return wanted


@app.callback()
def _equiscope(
    show_version: Annotated[
        bool,
        typer.Option("--version", metavar="", callback=_version, is_eager=True, help="The version, and nothing else."),
    ] = False,
) -> None:
    """How equivariant have the features of an image network learned to be?

    For every layer: do its channels stay as they are (invariance), or take
    one another's place (equivariance), when the image is turned, mirrored or
    shifted? Each score has its chance level and its 95 % interval beside it.

    [bold]Begin with[/bold]

        equiscope measure efficientnet-lite0
        equiscope layers efficientnet-lite0
        equiscope models
        equiscope --install-completion    # names and options by Tab
    """


@app.command()
def measure(
    model: ModelName,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            autocompletion=words("weights"),
            rich_help_panel=_NETWORK,
            show_default="the network's own",
            help="A file .safetensors, .pth, .pt or .bin of weights, of which no code runs; or the word random.",
        ),
    ] = None,
    size: Size = None,
    mean: Mean = None,
    std: Std = None,
    images: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            autocompletion=words("images"),
            rich_help_panel=_IMAGES,
            help="A folder of images; a folder of Parquet files or a data set's name on the Hugging Face hub, perhaps "
            "with :SPLIT; or photographs: crops of the photographs that scikit-image and scikit-learn ship.",
        ),
    ] = "photographs",
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=_IMAGES,
            show_default="all, and of photographs 48 crops",
            help="At most so many images, drawn at random.",
        ),
    ] = None,
    transformations: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FAMILY",
            autocompletion=words("transformations"),
            rich_help_panel=_MEASURE,
            show_default="rotations",
            help="rotations, flips, d4, identity, or shifts by whole pixels: shifts:1,2,4,8 along the diagonal, "
            "shifts:3:0,0:-2 down:right. May be given several times.",
        ),
    ] = None,
    layers: LayerGlobs = None,
    similarity: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=words("similarity"),
            rich_help_panel=_MEASURE,
            help="How alike two maps are: pearson, their correlation, or cosine, which leaves their means in.",
        ),
    ] = "pearson",
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            metavar="",
            rich_help_panel=_MEASURE,
            help="Invariance to the letter of the paper's Eq. 4: features are compared without moving them.",
        ),
    ] = False,
    negative: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=words("negative"),
            rich_help_panel=_MEASURE,
            help="A negative similarity counts as 0: clip; keeps its sign: keep; or loses it: abs.",
        ),
    ] = "clip",
    fill: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=words("fill"),
            rich_help_panel=_MEASURE,
            help="What a shift brings in at the border: zero, after normalisation; reflect; wrap; or crop, the "
            "network's input as a window of a larger picture, that the shift moves.",
        ),
    ] = "zero",
    alignment: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=words("alignment"),
            rich_help_panel=_MEASURE,
            help="A rotation or flip turns a layer about its array's centre: array; or about that and about the "
            "layer's own centre, found from some of the images: registered.",
        ),
    ] = "array",
    registration_images: Annotated[
        int,
        typer.Option(
            metavar="N",
            rich_help_panel=_MEASURE,
            help="Images to find the layers' own centres from, left out of every score; half of fewer than 2 N.",
        ),
    ] = 64,
    subcell: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=words("subcell"),
            rich_help_panel=_MEASURE,
            help="On a layer, a shift by part of a cell is interpolated: linear; left out: exact; or goes to the "
            "nearest cell: round.",
        ),
    ] = "linear",
    strides: StrideGlobs = None,
    layouts: LayoutGlobs = None,
    no_chance: Annotated[
        bool,
        typer.Option(
            "--no-chance",
            metavar="",
            rich_help_panel=_MEASURE,
            help="Without chance levels: the same scores of images that do not belong together. Faster.",
        ),
    ] = False,
    no_intervals: Annotated[
        bool,
        typer.Option(
            "--no-intervals",
            metavar="",
            rich_help_panel=_MEASURE,
            help="Without 95 % intervals. Faster, and a tenth of the memory.",
        ),
    ] = False,
    memory: Annotated[
        float | None,
        typer.Option(
            metavar="GIB",
            rich_help_panel=_RUN,
            show_default="as much as they take",
            help="The most that the sums may take: then intervals come from 5 groups of images instead of 10, or the "
            "images are gone over several times, each time for some of the transformations.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=_RUN,
            show_default="32 of 224 x 224 pixels, up to 256 of smaller ones",
            help="Images in a forward pass, transformed ones included; fewer need less memory.",
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=words("precision"),
            rich_help_panel=_RUN,
            help="Of the forward pass: float32, or bfloat16, which is faster on a GPU.",
        ),
    ] = "float32",
    checkpoint_every: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            rich_help_panel=_RUN,
            help="How often the running state is saved, to OUTPUT.checkpoint; it is removed at the end.",
        ),
    ] = 120,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            metavar="",
            rich_help_panel=_RUN,
            help="Go on where a run with the same options was stopped; start where none was, end where it is done.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            metavar="",
            rich_help_panel=_RUN,
            help="Print the layers, the memory and an estimate of the time, and stop.",
        ),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE",
            autocompletion=words("device"),
            rich_help_panel=_RUN,
            show_default="cpu",
            help="Where the network runs, such as cuda, cuda:1 or mps.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=_RUN, help="Processes that read images ahead.")
    ] = 0,
    seed: Annotated[
        int,
        typer.Option(metavar="N", rich_help_panel=_RUN, help="Of the images' order, the intervals and random weights."),
    ] = 0,
    maps: Annotated[
        int,
        typer.Option(
            metavar="N",
            rich_help_panel=_RESULT,
            help="Images whose maps the report shows, channel beside partner, and maps.npz keeps; 0: none.",
        ),
    ] = 2,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=_RESULT,
            show_default="out/MODEL",
            help="The folder to write: tables (.parquet), manifest.json, maps.npz, figure.png and report.html.",
        ),
    ] = None,
    force: Force = False,
    log: Annotated[
        str | None,
        typer.Option(
            metavar="LOGGER",
            autocompletion=words("log"),
            rich_help_panel=_RESULT,
            show_default=False,
            help="Also log the scores by part, the figure and how they were made: tensorboard:DIR, or wandb:PROJECT "
            "for Weights & Biases.",
        ),
    ] = None,
    quiet: Quiet = False,
    json: AsJson = False,
) -> None:
    r"""Measure how invariant and how equivariant each layer is.

    Prints a table of the network's parts, and writes a folder: all scores as
    tables, a figure, and a report to open in a browser.

    [bold]Examples[/bold]

        equiscope measure efficientnet-lite0
        equiscope measure efficientnet-lite0 --transformations shifts:1,2,4,8
        equiscope measure cifar-resnet44 --weights resnet44.safetensors \
            --images uoft-cs/cifar10 --limit 2000
        equiscope measure timm:resnet18.a1_in1k --images photographs/ \
            --transformations d4 --layers "layer*.*" --device cuda
        equiscope measure my_network.py:build --size 64 --output out/mine
    """
    from equiscope.results.folder import is_result, refuse_taken
    from equiscope.system.processes import launched

    _check_logger(log)
    folder = output or Path("out", as_path(model))
    if not dry_run and not (resume and is_result(folder)):
        refuse_taken(folder, force=force)
    options: dict[str, Any] = {
        "transformations": families_of(transformations or ["rotations"]), "layers": layers, "similarity": similarity,
        "strict": strict, "negative": negative, "fill": fill, "alignment": alignment,
        "registration_images": registration_images, "subcell": subcell, "strides": strides_of(strides or ()),
        "layouts": layouts_of(layouts or ()), "chance": not no_chance, "intervals": not no_intervals, "memory": memory,
        "batch_size": batch_size, "precision": precision, "seed": seed,
    }  # fmt: skip
    asked = {
        "weights": weights, "size": size, "mean": mean, "std": std, "images": images, "limit": limit,
        "workers": workers, "maps": maps, "output": output, "force": force, "quiet": quiet, "json": json,
    }  # fmt: skip
    with launched(device) as place, redirect_stdout(sys.stderr):  # where what the network's own code prints belongs
        run = _Measurement(model, folder, options, asked)
        if dry_run:
            estimate = run.estimate(place)
        else:
            with _resumable(run):
                scores = run.measure(place, resume=resume, checkpoint_every=checkpoint_every)
    if dry_run:
        if os.environ.get("RANK", "0") == "0":  # of several processes, the first speaks
            _show_estimate(estimate)
    elif scores is not None:
        if log is not None:
            _log(scores, log, folder)
        if json:
            typer.echo(_json_table(scores))
        if not quiet:
            _show_scores(scores, folder, _tables(stderr=json))
        elif not json:
            typer.echo(folder)


@app.command()
def report(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", show_default=False, help="Folders that `equiscope measure` wrote."),
    ],
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

    One HTML file that opens without a network. Of several results it has each
    one, and their scores by part and by depth side by side.

    [bold]Examples[/bold]

        equiscope report out/efficientnet-lite0
        equiscope report out/resnet18 out/resnet50 --output resnets.html
    """
    from equiscope.results.folder import load, write_page

    names = _told_apart(folders)
    file = output or (folders[0] / "report.html" if len(folders) == 1 else Path("report.html"))
    write_page(dict(zip(names, map(load, folders), strict=True)), file)
    typer.echo(file if quiet else f"Report: {file}")


def _told_apart(folders: "list[Path]") -> list[str]:
    """The folders' names, with as much of their paths as tells them apart.

    >>> _told_apart([Path("a/net"), Path("b/net"), Path("b/other")])
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


@app.command()
def layers(
    model: ModelName,
    patterns: LayerGlobs = None,
    strides: StrideGlobs = None,
    layouts: LayoutGlobs = None,
    size: Size = None,
    mean: Mean = None,
    std: Std = None,
    json: AsJson = False,
) -> None:
    """List what would be measured of a network, without running it on an image.

    For each layer: its name, its part of the network, the module's class, how
    many channels it has, its grid of cells, and its stride: the pixels from
    cell to cell. Then the layers that are left out, and why.

    [bold]Examples[/bold]

        equiscope layers efficientnet-lite0
        equiscope layers timm:resnet18 --layers "layer*.*.act2"
        equiscope layers my_network.py:build --size 64 --json
    """
    import equiscope as es
    from equiscope.networks.loading import load_network

    with redirect_stdout(sys.stderr):  # where what the network's own code prints belongs
        network = load_network(
            model, weights="random", size=size, mean=values_of("--mean", mean), std=values_of("--std", std)
        )  # which need not be fetched: shapes tell all
        channels = len(network.preprocessing.mean)
        found = es.find_layers(
            network.model,
            (channels, *network.preprocessing.size),
            patterns,
            default=network.layers,
            pool=network.pool,
            strides=strides_of(strides or ()),
            layouts=layouts_of(layouts or ()),
        )
    _note(network.remarks)
    if json:
        typer.echo(_json(_listed_layers(found)))
    else:
        _show_layers(found, _tables())


@app.command()
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
        typer.echo(_json([asdict(entry) for entry in CATALOGUE.values()]))
        return
    weights = {"timm": "from timm", "torchvision": "from torchvision"}
    table = _table("model", "top-1 %", "weights", numbers=["top-1 %"])
    for entry in CATALOGUE.values():
        theirs = weights.get(entry.constructor.partition(":")[0], "yours: --weights FILE")
        top1 = UNDEFINED if entry.top1 is None else f"{entry.top1:.1f}"
        table.add_row(entry.name, top1, "from its Python package" if entry.package else theirs)
    _tables().print(table)


@app.command()
def figure(
    number: Annotated[
        str,
        typer.Argument(
            metavar="2|3|4|7",
            autocompletion=words("figure"),
            show_default=False,
            help="Which figure of the paper.",
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            show_default="the environment's EQUISCOPE_DATA",
            help="The folder that holds cifar10/ and weights/resnet44-cifar10.safetensors (figure 2), or what --source "
            "names and the CIFAR networks' weights (figures 4 and 7).",
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(metavar="N", show_default="2000; figure 3: 48", help="How many images are measured."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models",
            metavar="MODEL",
            rich_help_panel=_NETWORKS,
            show_default="the paper's six",
            help="A network, as `equiscope measure` takes it. May be given several times.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            rich_help_panel=_NETWORKS,
            show_default="CIFAR networks: cifar10:test in the folder of data",
            help="The images that all networks are measured on, as --images of `equiscope measure`, or a name in the "
            "folder of data.",
        ),
    ] = None,
    shifts: Annotated[
        str | None,
        typer.Option(
            metavar="PIXELS",
            rich_help_panel=_NETWORKS,
            show_default="1,2,3,4,6,8,12,16,24,32; inputs under 64 pixels: 1-16",
            help="The diagonal shifts: 1,2,4 or 1-32.",
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights",
            metavar="MODEL=FILE",
            rich_help_panel=_NETWORKS,
            show_default="the networks' own",
            help="A network's file of weights, or the word random. May be given several times.",
        ),
    ] = None,
    accuracy: Annotated[
        list[str] | None,
        typer.Option(
            "--accuracy",
            metavar="MODEL=PERCENT",
            rich_help_panel=_NETWORKS,
            show_default="published, or measured on all labelled images of the split",
            help="A network's top-1 accuracy. May be given several times.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE",
            rich_help_panel=_NETWORKS,
            show_default="cpu",
            help="Where the networks run, such as cuda.",
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=_NETWORKS,
            show_default="out/architectures",
            help="Where each network's measurements are kept: what is finished there is not measured again.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of all that is drawn at random.")] = 0,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default="out/figureN", help="The folder to write.")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Make a figure of the paper again.

    The paper: Bruintjes, Motyka and van Gemert, What Affects Learned
    Equivariance in Deep Image Recognition Models?, CVPR Workshops 2023.
    Figure 2 asks whether a similarity follows the mean activation; figure 3,
    whether the measure finds the symmetry that is built into a network;
    figure 7, which architectures learn equivariant features; figure 4, whether
    accuracy goes with them, from the same measurements.
    Writes the picture (figure.png, figure.pdf), its numbers (data.parquet),
    and what they say (page.md).

    [bold]Examples[/bold]

        equiscope figure 3
        equiscope figure 2 --data data/ --images 500
        equiscope figure 7 --source imagenet/val
        equiscope figure 4 --data data/ --models cifar-resnet20 --models cifar-resnet44
    """
    from equiscope_studies.figures import Survey, figure2, figure3, figure4, figure7

    of_networks: dict[str, Any] = {
        "models": models, "source": source, "shifts": pixels_of(shifts), "weights": by_model_of("--weights", weights),
        "accuracy": percents_of(accuracy), "device": device, "results": results,
    }  # fmt: skip
    given = [f"--{option}" for option, value in of_networks.items() if value]
    if number in ("2", "3") and given:
        raise ValueError(f"{given[0]} is for figures 4 and 7, and figure {number} measures a network of its own.")
    of_networks["results"] = results or Path("out", "architectures")
    counted: dict[str, Any] = {"seed": seed} if images is None else {"seed": seed, "images": images}
    survey = Survey(**of_networks, **counted)
    figures: dict[str, Callable[..., Path]] = {
        "2": partial(figure2, data, **counted),
        "3": partial(figure3, **counted),
        "4": partial(figure4, data, survey=survey),
        "7": partial(figure7, data, survey=survey),
    }
    if number not in figures:
        raise ValueError(f"There is no figure {number!r} to make; it is one of {', '.join(figures)}.")
    folder = output or Path("out", f"figure{number}")
    figures[number](output=folder, progress=not quiet, force=force)
    if quiet:
        typer.echo(folder)
    else:
        typer.echo(f"Figure: {folder / 'figure.png'}\nIn words: {folder / 'page.md'}")


@app.command()
def study(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=words("study"),
            show_default=False,
            help="The study to do: data, augmentation, capacity or architecture.",
        ),
    ],
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=words("preset"),
            rich_help_panel=_TRAINING,
            help="paper: its networks, images and epochs, for GPUs; small: the same question within an hour on two "
            "CPU cores.",
        ),
    ] = "small",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=_TRAINING,
            show_default="EQUISCOPE_DATA, or the Hugging Face hub",
            help="The folder of the data sets: cifar10/ and mnist/.",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N", rich_help_panel=_TRAINING, show_default="the preset's", help="Networks of each kind."
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=_TRAINING,
            show_default="the preset's",
            help="Epochs of each network; the learning rate falls in proportion.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=_TRAINING,
            show_default="the preset's",
            help="At most so many training images.",
        ),
    ] = None,
    measure_every: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=_TRAINING,
            show_default="never",
            help="Also measure after each so many epochs, on 300 images, and draw the scores over epochs.",
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            rich_help_panel=_TRAINING,
            show_default=False,
            help="Any other value of the preset, such as learning_rate=0.05, shifts=1,2,4 or limit=all. May be given "
            "several times.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE", rich_help_panel=_RUN, show_default="cpu", help="Where the networks train, such as cuda."
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=_RUN, help="Networks at a time, each in a process of its own.")
    ] = 1,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_RUN,
            show_default=False,
            help="Every run as a job of its own, by submitit: slurm, or local for processes of this machine.",
        ),
    ] = None,
    cluster_options: Annotated[
        list[str] | None,
        typer.Option(
            "--cluster-option",
            metavar="KEY=VALUE",
            rich_help_panel=_RUN,
            show_default=False,
            help="What submitit is told of a job, such as timeout_min=240, gpus_per_node=1 or slurm_partition=gpu. May "
            "be given several times.",
        ),
    ] = None,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard", metavar="", rich_help_panel=_RUN, help="Each run also writes its curves for TensorBoard."
        ),
    ] = False,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=_RESULT,
            show_default="OUTPUT/runs",
            help="Where each run is kept: what is finished there is not done again, what was killed goes on.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", rich_help_panel=_RESULT, show_default="out/study-NAME", help="The folder to write."
        ),
    ] = None,
    draw_only: Annotated[
        bool,
        typer.Option(
            "--draw-only", metavar="", rich_help_panel=_RESULT, help="Draw what is finished, and train nothing."
        ),
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Train networks, and find what makes them more equivariant.

    data: does equivariance in the data (the paper's figure 5)? augmentation:
    which one (figure 6a)? capacity: are wider networks less equivariant
    (figure 6b)? architecture: is it the convolution? Writes the picture
    (figure.png, figure.pdf), all scores (scores.parquet), what was trained
    (recipe.json), and the paper's claims with their verdicts (page.md).
    A run that was killed goes on from its last epoch when the same command is
    given again; one that fails stops no other, and is named at the end.

    [bold]Examples[/bold]

        equiscope study data --data data/
        equiscope study augmentation --preset paper --device cuda
        equiscope study capacity --seeds 1 --epochs 2 --limit 1280
        equiscope study architecture --measure-every 1 --workers 2
        equiscope study augmentation --preset paper --device cuda \
            --cluster slurm --cluster-option gpus_per_node=1
    """
    from equiscope_studies.presets import Preset
    from equiscope_studies.runs import executor
    from equiscope_studies.training_study import study as done

    options = {"seeds": seeds, "epochs": epochs, "limit": limit, "measure_every": measure_every}
    changes = {key: value for key, value in options.items() if value is not None}
    changes |= {key: Preset.read(key, text) for key, text in pairs_of("--set", override).items()}
    folder = output or Path("out", f"study-{name}")
    told = {
        key: int(text) if text.isdecimal() else text
        for key, text in pairs_of("--cluster-option", cluster_options).items()
    }
    with _repeatable(), executor(workers, cluster, folder / "cluster", told) as chosen:
        failures = done(
            name, folder, preset=preset, data=data, runs=results, changes=changes, executor=chosen, device=device,
            tensorboard=tensorboard, draw_only=draw_only, progress=not quiet, force=force,
            command=shlex.join(["equiscope", *sys.argv[1:]]),
            tell=None if quiet else lambda sentence: _errors().print(Text(sentence), soft_wrap=True),
        )  # fmt: skip
    if (folder / "page.md").is_file():
        typer.echo(folder if quiet else f"Figure: {folder / 'figure.png'}\nIn words: {folder / 'page.md'}")
    if failures:
        for failure in failures:
            _errors().print(Text.assemble(("Failed:", "bold red"), f" {failure}"), soft_wrap=True)
        raise typer.Exit(1)


@app.command()
def audit(
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", show_default="all, about 115", help="Only the first so many families."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the random weights and the images.")] = 0,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default="out/audit", help="The folder to write.")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Measure a small network of every family of timm and torchvision.

    Random weights, four images, one shift, one rotation, and no hint: does it
    just work, and are all scores what they must be? Writes a row for each
    family (audit.parquet) and a page (page.md). Takes about half an hour.

    [bold]Examples[/bold]

        equiscope audit
        equiscope audit --limit 10
    """
    from equiscope_studies.audit import audit as audited

    folder = audited(output or Path("out", "audit"), limit=limit, seed=seed, progress=not quiet, force=force)
    typer.echo(folder if quiet else f"In words: {folder / 'page.md'}")


@app.command()
def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", show_default=False, help="Folders that `equiscope measure` wrote.")
    ],
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default="out/comparison", help="The folder to write.")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Several results in one figure and one table, by part of the network.

    Where two were made on the same images, their difference has an interval of
    its own, which is narrower than theirs. Writes the picture (figure.png,
    figure.pdf), its numbers (data.parquet), and a page of tables (page.md).

    [bold]Example[/bold]

        equiscope compare out/efficientnet-lite0 out/efficientnet-lite1
    """
    from equiscope.results.folder import refuse_taken
    from equiscope_studies.comparison import compared

    folder = output or Path("out", "comparison")
    refuse_taken(folder, force=force)
    compared(folders, folder, command=shlex.join(["equiscope", *sys.argv[1:]]), force=force)
    if quiet:
        typer.echo(folder)
    else:
        typer.echo(f"Figure: {folder / 'figure.png'}\nIn words: {folder / 'page.md'}")


@app.command()
def plot(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", show_default=False, help="Folders that `equiscope measure` wrote.")
    ],
    kind: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="layers, parts, transformations, channels, or comparison, which takes several folders."
        ),
    ] = "layers",
    scope: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_DRAWN,
            help="All images together: dataset; or each image by itself, then the mean: image.",
        ),
    ] = "dataset",
    transformation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_DRAWN,
            show_default="every family",
            help="One transformation or family that was measured, such as rotations, rot90 or shift(1,1).",
        ),
    ] = None,
    measured: Annotated[
        str | None,
        typer.Option(
            "--measure",
            metavar="NAME",
            rich_help_panel=_DRAWN,
            show_default="both",
            help="invariance or equivariance.",
        ),
    ] = None,
    corrected: Annotated[
        bool,
        typer.Option("--corrected", metavar="", rich_help_panel=_DRAWN, help="The scores corrected for chance."),
    ] = False,
    alignment: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_DRAWN,
            help="Layers turned about their array's centre: array; or about their own: registered.",
        ),
    ] = "array",
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layers",
            metavar="LAYER",
            rich_help_panel=_DRAWN,
            show_default="the parts; with --heatmap all layers",
            help="Of transformations: only this layer. May be given several times.",
        ),
    ] = None,
    heatmap: Annotated[
        bool,
        typer.Option(
            "--heatmap", metavar="", rich_help_panel=_DRAWN, help="Of transformations: layers against them, in colour."
        ),
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_DRAWN,
            show_default="part",
            help="Of comparison: by part of the network, or by depth, layer by layer.",
        ),
    ] = None,
    no_caption: Annotated[
        bool,
        typer.Option(
            "--no-caption", metavar="", rich_help_panel=_DRAWN, help="Without title and small print, as for a paper."
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_RESULT,
            show_default="DIR/KIND, of several out/comparison",
            help="The file to write, .pdf or .png; without either, both.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", metavar="", rich_help_panel=_RESULT, help="Replace a file that is there.")
    ] = False,
) -> None:
    r"""Draw a result, or several side by side, as PDF and PNG.

    By layer, by part, by transformation (over pixels or degrees, or as a heat
    map), the distribution of channels, or several results compared. Fonts are
    embedded, widths are those of one or two columns of a paper, and the same
    result gives the same bytes.

    [bold]Examples[/bold]

        equiscope plot out/efficientnet-lite0
        equiscope plot out/efficientnet-lite0 --kind transformations \
            --measure equivariance --corrected --output figure2.pdf
        equiscope plot out/cifar-resnet20 out/cifar-resnet44 \
            --kind comparison --by depth
    """
    from equiscope.figures.plots import KINDS
    from equiscope.figures.style import files_for
    from equiscope.results.comparison import loaded
    from equiscope.results.folder import load

    of_kind = {
        "layers": layers and ("transformations", layers),
        "heatmap": heatmap and ("transformations", heatmap),
        "by": by and ("comparison", by),
    }
    options: dict[str, Any] = {
        "scope": scope, "transformation": transformation, "corrected": corrected, "measure": measured,
        "alignment": alignment, "caption": not no_caption,
    }  # fmt: skip
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is not known; it is one of {', '.join(KINDS)}.")
    for option, given in of_kind.items():
        if given and given[0] != kind:
            raise ValueError(f"--{option} is for --kind {given[0]}, not for {kind}.")
        if given:
            options[option] = given[1]
    if kind != "comparison" and len(folders) > 1:
        raise ValueError(f"--kind {kind} draws one folder, and {len(folders)} are given; give --kind comparison.")
    path = output or (Path("out", kind) if kind == "comparison" else folders[0] / kind)
    for file in files_for(path):
        if file.exists() and not force:
            raise FileExistsError(f"{file} exists; give another --output, or --force to replace it.")
    results = loaded(folders) if kind == "comparison" else load(folders[0])
    for file in KINDS[kind](results, **options).save(path):
        typer.echo(file)


class _Measurement:
    """One measurement from the command line: network and images loaded, scores written to a folder."""

    def __init__(self, model: str, folder: Path, options: dict[str, Any], asked: dict[str, Any]) -> None:
        from equiscope.functional.transformations import spans
        from equiscope.images.data import open_images
        from equiscope.networks.loading import load_network

        self.folder, self.asked = folder.resolve(), asked
        self.families: list[Family] = options["transformations"]
        mean, std = values_of("--mean", asked["mean"]), values_of("--std", asked["std"])
        self.network = load_network(
            model, weights=asked["weights"], size=asked["size"], mean=mean, std=std, seed=options["seed"]
        )
        preprocessing, window = self.network.preprocessing, None
        if options["fill"] == "crop":
            larger = preprocessing.larger_by(*spans(self.families))
            preprocessing, window = larger, preprocessing.size
        self.source = open_images(
            asked["images"], preprocessing, limit=asked["limit"], seed=options["seed"], workers=asked["workers"]
        )
        self.options = options | {
            "size": window, "default_layers": self.network.layers, "pool": self.network.pool,
        }  # fmt: skip

    @property
    def checkpoint(self) -> Path:
        """Where the running state is saved: beside the result."""
        return self.folder.parent / f"{self.folder.name}.checkpoint"

    @property
    def saved(self) -> list[Path]:
        """The running states of all processes."""
        return sorted(self.folder.parent.glob(f"{glob.escape(self.checkpoint.name)}*"))

    def estimate(self, device: str | None) -> "Estimate":
        """What it would be of, and what it would take."""
        import equiscope as es

        _note(self.network.remarks)
        return es.estimate(self.network.model, self.source, device=device, **self.options)

    def measure(self, device: str | None, *, resume: bool, checkpoint_every: float) -> "Scores | None":
        """The scores, written; None where they had been already, or where another process writes them."""
        from torch.distributed import is_initialized

        import equiscope as es
        from equiscope.results.folder import MAPS, is_result
        from equiscope.system.processes import Processes

        processes = Processes.here() if is_initialized() else Processes()
        speaks = processes.rank == 0
        quiet = self.asked["quiet"] or not speaks
        # The first process decides for all: others may not see its disk, or see it late.
        if processes.told_by(0, resume and is_result(self.folder)):
            if speaks:
                self._check_recipe()
                _note([f"{self.folder} is done."])
                if self.asked["maps"] and not (self.folder / MAPS).exists():
                    _note(["It was made without maps; for them measure again, with --force in place of --resume."])
            self._remove_saved()  # which a kill after the writing may have left
            return None
        _note([] if quiet else self.network.remarks)
        remarks: list[str] = []

        def told(message: Warning | str, *_: Any, **__: Any) -> None:
            if str(message) not in remarks:
                remarks.append(str(message))
                _note([] if quiet else [str(message)])  # at once, for a run may take hours

        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = told
            scores = es.measure(
                self.network.model, self.source, device=device, distributed=is_initialized(), progress=not quiet,
                checkpoint=self.checkpoint, keep_checkpoint=True,
                checkpoint_every=checkpoint_every, resume=resume, maps=self.asked["maps"], **self.options,
            )  # fmt: skip
        _note([] if quiet else _left_out(self.source))
        if speaks:
            scores = _with_recipe(scores, self.network, self.source, [*self.network.remarks, *remarks], self.asked)
            scores = replace(scores, manifest=scores.manifest | {"recipe": self._recipe()})
            scores.save(self.folder, force=self.asked["force"])
        processes.told_by(0, None)  # when the scores are written
        self._remove_saved()
        return scores if speaks else None

    def _remove_saved(self) -> None:
        for file in self.saved:
            file.unlink(missing_ok=True)

    def _recipe(self) -> str:
        """A fingerprint of all that the scores depend on."""
        families = [[family.name, *(one.name for one in family.transformations)] for family in self.families]
        options = self.options | {"transformations": families}
        told = [self.network.name, self.network.weights, self.source.description, options]
        return sha256(dumps(told, sort_keys=True, default=str).encode()).hexdigest()

    def _check_recipe(self) -> None:
        """ValueError where the folder's result was made by another recipe."""
        from equiscope.results.folder import load

        if load(self.folder).manifest.get("recipe") != self._recipe():
            raise ValueError(
                f"{self.folder} holds a result of other options, weights or data; give another --output, or --force "
                "without --resume to replace it."
            )


def _with_recipe(
    scores: "Scores", network: "Network", source: "ImageSource", remarks: list[str], asked: dict[str, Any]
) -> "Scores":
    """The scores with all in their manifest that it takes to make them again."""
    measured = scores.manifest
    data = dict(source.description)
    preprocessing = data.pop("preprocessing")
    manifest = {
        "model": network.name,
        "network": measured["model"],
        "weights": network.weights,
        "command": shlex.join(["equiscope", *sys.argv[1:]]),
        "data": data | {"tried": len(source), "left_out": len(source.left_out)},
        "preprocessing": preprocessing,
        "remarks": remarks,
        "images_left_out": [{"image": image.name, "reason": image.reason} for image in source.left_out],
        "options": measured["options"] | asked,
    }
    return replace(scores, manifest=manifest | measured | manifest)


def _show_estimate(estimate: "Estimate") -> None:
    """What a measurement would be of, and what it would take."""
    _show_layers(estimate.layers, _tables())
    _tables().print(Text(estimate.told()), soft_wrap=True)


def _check_logger(log: str | None) -> None:
    if log is not None:
        from equiscope.integrations.loggers import logger_named

        logger_named(log)


def _log(scores: "Scores", log: str, folder: Path) -> None:
    """Log what has been written."""
    from equiscope.integrations.loggers import log_scores, logger

    with logger(log, folder.resolve().name) as opened:
        log_scores(scores, opened)


def _note(remarks: Iterable[str]) -> None:
    for remark in remarks:
        _errors().print(Text(f"Note: {remark}"), soft_wrap=True)


def _left_out(source: "ImageSource") -> list[str]:
    """One sentence that counts the images left out and names the first; none where none was."""
    left_out = source.left_out
    if not left_out:
        return []
    named = "; ".join(f"{image.name} ({image.reason})" for image in left_out[:MOST_NAMED])
    more = f"; and {len(left_out) - MOST_NAMED} more, which manifest.json names" if len(left_out) > MOST_NAMED else ""
    return [f"{len(left_out)} of {len(source)} images could not be read and were left out: {named}{more}."]


def _json(value: Any) -> str:
    return dumps(value, indent=2, default=dict, allow_nan=False)


def _json_table(scores: "Scores") -> str:
    """The table per layer in both scopes, a record a row; an undefined score is null."""
    import pandas as pd

    from equiscope.results.scores import SCOPES

    table = pd.concat([scores.table(scope=scope).assign(scope=scope) for scope in SCOPES], ignore_index=True)
    return str(table.to_json(orient="records", indent=2, double_precision=15))


def _table(*columns: str, numbers: Iterable[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def _show_scores(scores: "Scores", folder: Path, console: Console) -> None:
    """The table per part, in both scopes, and where the figure and the report are."""
    from equiscope.results.scores import SCOPES

    manifest = scores.manifest
    counted = f"{_counted(manifest['images'], 'image')}, {_counted(len(scores.layers), 'layer')}"
    console.print(f"{manifest['model']}: {counted}, {manifest['seconds']:.0f} s", soft_wrap=True)
    for scope in SCOPES:
        console.print(f"\n{_SCOPES_IN_WORDS[scope]} (scope: {scope})", style="bold", soft_wrap=True)
        console.print(_part_table(scores, scope))
    console.print(f"\n{UNDEFINED} is undefined; the report tells when.\n", style="dim", soft_wrap=True)
    for what, file in (("Figure", "figure.png"), ("Report", "report.html")):
        console.print(f"{what}: {folder / file}", soft_wrap=True)


def _part_table(scores: "Scores", scope: str) -> Table:
    from equiscope.results.scores import MEASURES

    numbers = ["score", "95 %", "chance", "corrected"]
    parts = scores.parts[scores.parts["scope"] == scope]
    alignments = ["alignment"] * (parts["alignment"].nunique() > 1)
    table = _table("transformation", "measure", "part", *alignments, *numbers, numbers=numbers)
    for family, measure in product(scores.families, MEASURES):
        rows = parts[(parts["transformation"] == family) & (parts["measure"] == measure)]
        for row in rows.to_dict("records"):
            interval = UNDEFINED if isnan(row["low"]) else f"{row['low']:.2f} to {row['high']:.2f}"
            values = (_number(row["score"]), interval, _number(row["chance"]), _number(row["corrected"]))
            table.add_row(family, measure, row["part"], *(row[name] for name in alignments), *values)
    return table


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _number(value: float) -> str:
    return UNDEFINED if isnan(value) else f"{value:.2f}"


def _listed_layers(found: "Layers") -> dict[str, Any]:
    measured = [
        {
            "layer": layer.name,
            "part": layer.part,
            "type": layer.type,
            "channels": layer.channels,
            "height": layer.height,
            "width": layer.width,
            "stride_y": layer.stride[0] if layer.stride else None,
            "stride_x": layer.stride[1] if layer.stride else None,
        }
        for layer in found.measured
    ]
    return {
        "layers": measured,
        "layers_left_out": [{"layer": layer.name, "reason": layer.reason} for layer in found.left_out],
    }


def _show_layers(found: "Layers", console: Console) -> None:
    table = _table("layer", "part", "type", "channels", "grid", "stride", numbers=["channels", "grid", "stride"])
    for layer in found.measured:
        grid = "vector" if layer.vector else f"{layer.height} x {layer.width}"
        table.add_row(layer.name, layer.part, layer.type, str(layer.channels), grid, _stride_of(layer))
    console.print(table)
    if found.left_out:
        console.print()
        left_out = _table("left out", "why")
        for one in found.left_out:
            left_out.add_row(one.name, one.reason)
        console.print(left_out)


def _stride_of(layer: "Layer") -> str:
    if layer.stride is None:
        return UNDEFINED if layer.vector else "unknown"
    return " x ".join(str(step) for step in dict.fromkeys(layer.stride))
