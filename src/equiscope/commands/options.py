"""The options and arguments that several commands share; those of a single command stand beside it.

The options of a measurement itself are fields of `Scoring`, `Run` and `Layers`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from equiscope.commands.arguments import layouts_of, strides_of
from equiscope.commands.completion import MODELS, WEIGHTS, words
from equiscope.commands.flattened import Options, option
from equiscope.networks.options import Layers

FORCE = "Write into a folder that is not empty."
QUIET = "Nothing on the terminal but the folder or file that was written."
SCOPE = "dataset, one correlation over all images; or image, one within each image, then the mean over images."
JSON = "The table as JSON on stdout; all else on stderr."

# The headings of the options that few people need; those that all need stand before them, without one.
IMAGES = "Advanced: the images"
NETWORK = "Advanced: the network"
MEASURED = "Advanced: what is measured"
RUN = "Advanced: the run"
RESULT = "Advanced: the result"

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        autocompletion=words(MODELS),
        show_default=False,
        help="A name that `equiscope models` lists, timm:NAME, torchvision:NAME, transformers:NAME, or your own "
        "function that returns a torch.nn.Module: FILE.py:FUNCTION or package.module:FUNCTION (that code runs).",
    ),
]
ModelOrResult = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|DIR",
        autocompletion=words(MODELS),
        show_default=False,
        help="A network, as for `equiscope measure`, or a folder that it wrote.",
    ),
]
Folders = Annotated[
    list[Path],
    typer.Argument(metavar="DIR...", show_default=False, help="Folders that `equiscope measure` wrote."),
]
Quiet = Annotated[bool, typer.Option("--quiet", metavar="", help=QUIET)]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help=JSON)]


@dataclass(frozen=True)
class InputOptions:
    """The network. What it takes as its input."""

    size: int | None = option(
        None, "Height and width of the network's input in pixels.", metavar="N", shown="what it was trained on"
    )
    mean: str | None = option(
        None,
        "What is subtracted from the channels of an image in [0, 1]; one value for a network of grey images.",
        metavar="R,G,B",
        shown="what it was trained on",
    )
    std: str | None = option(
        None, "What the channels are then divided by.", metavar="R,G,B", shown="what it was trained on"
    )


@dataclass(frozen=True)
class NetworkOptions(InputOptions):
    """The network. What it takes as its input, and its weights."""

    weights: str | None = option(
        None,
        "A file .safetensors, .pth, .pt or .bin of weights, loaded without executing code; or the word random.",
        metavar="FILE",
        words=WEIGHTS,
        shown="the network's own",
    )


LayerOptions = Annotated[
    Layers,
    Options(
        MEASURED,
        first=("names",),
        spelled={"names": "--layers", "strides": "--stride", "layouts": "--layout"},
        read={"strides": strides_of, "layouts": layouts_of},
        fixed={"pool": None, "default": None},
    ),
]
