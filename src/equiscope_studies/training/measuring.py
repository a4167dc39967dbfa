"""What is measured of a network that a study trains, and on which images."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

import equiscope as es
from equiscope.results.columns import SCOPES
from equiscope_studies.choices import one_of
from equiscope_studies.training.labelled import Labelled, normalised
from equiscope_studies.training.recipe import Recipe

OWN = "own"  # the data set that a network was trained on


@dataclass(frozen=True)
class Measuring:
    """What is measured of a trained network.

    Attributes:
        on: Data sets whose validation images are measured on; "own" is the one that the network was trained on.
        images: How many, each time.
        transformations: Families as `families` reads them.
        scopes: Of the scores.
    """

    on: tuple[str, ...]
    images: int
    transformations: tuple[str, ...]
    scopes: tuple[str, ...] = SCOPES

    def __post_init__(self) -> None:
        if self.images < 20:
            raise ValueError(f"measured_images is {self.images}, but an interval needs at least 20.")
        for scope in self.scopes:
            one_of("scopes", scope, SCOPES)

    def tables(self, recipe: Recipe, home: Path) -> dict[str, Path]:
        """The table of each measurement in a run's folder, by the data set measured on; each data set once."""
        digest = hashlib.sha256(json.dumps([self.images, self.scopes, *self.transformations]).encode()).hexdigest()
        names = dict.fromkeys(recipe.data if name == OWN else name for name in self.on)
        return {name: home / "scores" / f"{name}-{digest[:6]}.parquet" for name in names}


def prepared(images: Labelled, transformations: Iterable[str]) -> tuple[Tensor, list[es.Family]]:
    """Images as they are measured, and the families that they are measured under.

    A shift brings in zeros after normalisation, as in the paper; but digits lie on black, and there it brings in black.
    """
    texts = list(transformations)
    height, width = map(int, images.images.shape[2:])
    margin = max((abs(one) for family in families(texts) for one in _offsets(family)), default=0)
    if not margin or images.images.shape[1] != 1:
        return normalised(images.images, images.name), families(texts)
    black = normalised(F.pad(images.images, (margin,) * 4), images.name)
    return black, families(texts, window=(height, width))


def _offsets(family: es.Family) -> list[int]:
    return [int(one) for member in family.transformations for one in member.offset or ()]


def families(texts: Iterable[str], window: tuple[int, int] | None = None) -> list[es.Family]:
    """Families of `rotations`, `flips`, or `shifts:1,2,4` along the diagonal; in a window, where one is given.

    >>> [member.name for member in families(["shifts:1,2"])[0].transformations]
    ['shift(1,1)', 'shift(2,2)']
    """
    return [_family(text, window) for text in texts]


def _family(text: str, window: tuple[int, int] | None) -> es.Family:
    name, _, pixels = text.partition(":")
    if not pixels and name in ("rotations", "flips"):
        return es.rotations() if name == "rotations" else es.flips()
    if name == "shifts":
        offsets = [int(one) for one in pixels.split(",")]
        return es.shifts(offsets, fill="zero" if window is None else "crop", size=window)
    raise ValueError(f"{text!r} is neither rotations nor flips, nor shifts with their pixels, as in shifts:1,2,4.")
