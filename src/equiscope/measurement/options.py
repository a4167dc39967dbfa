"""The options of a measurement, each declared, documented and checked once.

`measure`, `estimate`, `scores_at`, the callback, the metric and the command line all take these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from equiscope.results.columns import ALIGNMENTS, ALONE, LADDER, MEASURES, SCOPES
from equiscope.system.errors import OptionError, known
from equiscope.system.options import option

SIMILARITIES = ("pearson", "cosine")
NEGATIVES = ("clip", "keep", "abs")
PRECISIONS = ("float32", "bfloat16")
EVERY, LONG = 120, 15  # seconds from checkpoint to checkpoint, and minutes of a run that keeps one unasked


@dataclass(frozen=True)
class Scoring:
    """What is measured, and how scores are made of it."""

    measures: Sequence[str] | None = option(
        None,
        f"Measures: {', '.join(MEASURES)}; the last three, or alone for all of them, are of each layer by itself, on "
        "its input transformed. Default: the first three under transformations that only permute positions, "
        "invariance and equivariance under shifts.",
        metavar="NAME",
        choices=(*MEASURES, "alone"),
    )
    scopes: Sequence[str] = option(
        ("dataset",),
        "Scopes: dataset, one correlation over all images; image, one within each image, then the mean over images.",
        metavar="NAME",
        choices=SCOPES,
    )
    similarity: str = option(
        "pearson",
        "How alike two channels are: pearson, their correlation, or cosine, which is not centred.",
        metavar="NAME",
        choices=SIMILARITIES,
    )
    negative: str = option(
        "clip",
        "A negative correlation counts as 0 (clip), keeps its sign (keep), or loses it before the maximum (abs).",
        metavar="NAME",
        choices=NEGATIVES,
    )
    alignment: str = option(
        "array",
        "A rotation or flip acts about the centre of a layer's array (array), or about that and about the layer's own "
        "centre, estimated from the first images (registered).",
        metavar="NAME",
        choices=ALIGNMENTS,
    )
    registration_images: int = option(
        64, "Images to estimate the layers' own centres from, left out of every score.", metavar="N"
    )
    intervals: bool = option(True, "95 % confidence intervals.")
    seed: int = option(0, "The seed of the bootstrap (image scope).", metavar="N")

    def __post_init__(self) -> None:
        for name, choices in (("measures", (*MEASURES, "alone")), ("scopes", SCOPES)):
            given = getattr(self, name)
            if given is None:
                continue
            listed = (given,) if isinstance(given, str) else tuple(given)
            if not listed:
                raise OptionError("{" + name + "}{given!r} is empty; give one of {choices}.", given=given,
                                  choices=", ".join(choices))  # fmt: skip
            for value in listed:
                known(name, value, choices)
            spelled = (its for one in listed for its in (ALONE if one == "alone" else (one,)))
            object.__setattr__(self, name, tuple(dict.fromkeys(spelled)))
        known("similarity", self.similarity, SIMILARITIES)
        known("negative", self.negative, NEGATIVES)
        known("alignment", self.alignment, ALIGNMENTS)
        linear = [one for one in self.measures or () if ALONE.get(one, one) == "linear"]
        if self.similarity == "cosine" and linear:
            raise OptionError(
                "The measure {measure} needs {similarity}pearson; it is not defined for cosine.", measure=linear[0]
            )
        asked = {ALONE.get(one, one) for one in self.measures or MEASURES}
        if "dataset" not in self.scopes and not asked & set(LADDER[:2]):
            raise OptionError("{scopes}image is of invariance and equivariance; give one of these as {measures}NAME, "
                              "or the scope dataset.")  # fmt: skip
        check_whole("registration_images", self.registration_images, 8, "at least 8 images are needed")
        check_whole("seed", self.seed, 0, f"it must be between 0 and {2**32 - 1}", most=2**32 - 1)


@dataclass(frozen=True)
class Run:
    """How a measurement is run: none of this changes a score, but for the precision of the forward pass."""

    precision: str = option(
        "float32",
        "Precision of the forward pass: float32, or bfloat16 by autocast. All else is in float32 and float64.",
        metavar="NAME",
        choices=PRECISIONS,
    )
    memory: float | int | None = option(
        None,
        "The most GiB that the accumulators may take; where that needs it, the images are read several times. "
        "Default: half of the memory that is free.",
        metavar="GIB",
    )
    distributed: bool = option(False, "Share the images among the processes of torch.distributed's default group.")
    checkpoint: str | Path | None = option(None, "A file for the running state, removed at the end.", metavar="FILE")
    checkpoint_every: float | int | None = option(
        None, f"Seconds from one writing of the checkpoint to the next. Default: {EVERY}.", metavar="S"
    )
    checkpoint_if_longer: float | int = option(
        0, "Minutes: a run that will take less, as its first images tell, writes no checkpoint.", metavar="MIN"
    )
    resume: bool = option(False, "Continue from the checkpoint where there is one.")
    keep_checkpoint: bool = option(False, "Leave the checkpoint in place at the end.")
    name: str | None = option(
        None, "What the network is called in figures, tables and the report. Default: its own name.", metavar="NAME"
    )

    def __post_init__(self) -> None:
        if self.name is not None and not (isinstance(self.name, str) and self.name.strip()):
            raise OptionError("{name}{given!r} is no name; give a text.", given=self.name)
        known("precision", self.precision, PRECISIONS)
        if self.memory is not None and not (_is_number(self.memory) and 0 < self.memory < inf):
            raise OptionError("{memory}{given!r} must be a number of GiB greater than 0.", given=self.memory)
        every = self.checkpoint_every
        if every is not None and not (_is_number(every) and every >= 0):
            raise OptionError("{checkpoint_every}{given!r} must be seconds, 0 or more.", given=self.checkpoint_every)
        if not (_is_number(self.checkpoint_if_longer) and self.checkpoint_if_longer >= 0):
            raise OptionError(
                "{checkpoint_if_longer}{given!r} must be minutes, 0 or more.", given=self.checkpoint_if_longer
            )
        if self.resume and self.checkpoint is None:
            raise OptionError("{resume} needs the checkpoint to continue from; give {checkpoint}FILE.")


def check_whole(name: str, value: Any, least: int, needed: str, *, most: int | None = None) -> None:
    """`OptionError` unless the option's value is a whole number in its bounds."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        raise OptionError("{" + name + "}{given!r} is not usable: {needed}.", given=value, needed=needed)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
