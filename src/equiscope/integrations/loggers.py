"""A result in the loggers that people have: TensorBoard, Weights & Biases, or any function of a name and a value."""

from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC
from importlib.util import find_spec
from io import BytesIO
from json import loads
from os import strerror
from shutil import disk_usage
from typing import Any

import numpy as np
from PIL import Image

from equiscope.figures.kinds import headline
from equiscope.integrations.during_training import logged, of_families
from equiscope.results.folder import manifest_text
from equiscope.results.scores import Scores
from equiscope.system.errors import OptionError
from equiscope.system.files import nearest, path_of

LEAST_FREE = 2**22  # bytes on the disk that TensorBoard writes to
KINDS = {"tensorboard": "DIR", "wandb": "PROJECT"}  # what the command line takes behind each


def log_scores(scores: Scores, log: Any, step: int | None = None) -> None:
    """Log the scores of every part and the shares of variance that they explain, and what else the logger can show.

    The names are those of `scores_at` and of Lightning's callback, such as `equivariance/rotations/dataset/early`, with
    `explained/` before it for the share, and with `/registered` behind it about the layers' own centres. Undefined
    values are left out.

    Args:
        scores: What `measure` found.
        log: A `SummaryWriter` of TensorBoard, which gets the figure and the manifest too; a run of Weights & Biases,
            which gets the figure, the table of scores, and the manifest in its configuration; or whatever can be
            called as `log(name, value, step)`.
        step: The epoch or the step that the scores are of; None where there is none (then a function gets 0).

    >>> import torch, equiscope as es
    >>> model, images = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()), torch.randn(24, 3, 8, 8)
    >>> scores, heard = es.measure(model, images, es.rotations()), {}
    >>> log_scores(scores, lambda name, value, step: heard.update({name: value}))
    >>> [name for name in heard if name.endswith("/invariance/rotations/dataset/early")]
    ['explained/invariance/rotations/dataset/early']
    """
    values = logged(of_families(scores))
    if hasattr(log, "add_scalar"):
        for name, value in values.items():
            log.add_scalar(name, value, step)
        log.add_image("equiscope/figure", np.asarray(_picture(scores)), step, dataformats="HWC")
        log.add_text("equiscope/manifest", f"```json\n{manifest_text(scores)}\n```", step)
    elif hasattr(log, "log") and hasattr(log, "config"):
        import wandb

        log.config.update({"equiscope": loads(manifest_text(scores))}, allow_val_change=True)
        shown = {
            "equiscope/figure": wandb.Image(_picture(scores)),
            "equiscope/scores": wandb.Table(dataframe=scores.scores),
        }
        log.log(values | shown, step=step)
    elif callable(log):
        for name, value in values.items():
            log(name, value, step or 0)
    else:
        raise ValueError(
            f"Scores cannot be logged to a value of type {type(log).__name__}; give a SummaryWriter, a run of "
            "Weights & Biases, or a function of a name, a value and a step."
        )


def _picture(scores: Scores) -> Image.Image:
    return Image.open(BytesIO(headline(scores).png())).convert("RGB")


def logger_named(text: str) -> tuple[str, str]:
    """The kind and the place in `tensorboard:DIR` or `wandb:PROJECT`. `OptionError` where it is neither, or not there.

    >>> logger_named("tensorboard:runs/mine")
    ('tensorboard', 'runs/mine')
    """
    kind, _, place = text.partition(":")
    if kind not in KINDS or not place:
        raise OptionError("{log}{given!r} is no logger; write tensorboard:DIR or wandb:PROJECT.", given=text)
    found = find_spec(kind)
    if found is None or found.origin is None:  # a folder of that name, such as wandb makes for its runs, has no origin
        raise OptionError(
            "{log}{given!r} needs the package {kind}: pip install 'equiscope[{kind}]'.", given=text, kind=kind
        )
    if kind == "tensorboard":
        folder = path_of(place).absolute()
        if not nearest(folder).is_dir():
            raise OptionError(
                "{log}{given!r} is or lies in a file, and TensorBoard needs a folder; give another path.", given=text
            )
    return kind, place


@contextmanager
def logger(text: str, name: str) -> Iterator[Any]:
    """The logger that `tensorboard:DIR` or `wandb:PROJECT` means, closed afterwards; `name` is that of the run."""
    kind, place = logger_named(text)
    if kind == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter

        folder = path_of(place).absolute()
        if disk_usage(nearest(folder)).free < LEAST_FREE:  # its thread would say so in its own way
            raise OSError(ENOSPC, strerror(ENOSPC), str(folder))
        with SummaryWriter(str(folder)) as writer:
            yield writer
        return
    import wandb

    try:
        run = wandb.init(project=place, name=name, settings=wandb.Settings(silent=True))
    except (wandb.Error, OSError) as error:
        raise OptionError(
            "{log}{given!r} does not start ({error}); log in to it, or set WANDB_MODE=offline.",
            given=text, error=" ".join(str(error).split()),
        ) from error  # fmt: skip
    with run:
        yield run
