"""Equivariance while a network trains: a few hundred images every few epochs, for any loop and any logger."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import nn

from equiscope.images.batches import Images
from equiscope.measurement.loop import measure
from equiscope.measurement.options import Run, Scoring
from equiscope.measurement.plan import Transformations
from equiscope.networks.options import Layers
from equiscope.results.columns import KEYS
from equiscope.results.rows import overall
from equiscope.results.scores import Scores

Log = Callable[[str, float, int], Any]  # name, value, epoch; as `SummaryWriter.add_scalar` takes them

COLUMNS = ("part", *KEYS, "score", "chance", "explained")


def scores_at(
    model: nn.Module,
    images: Images,
    epoch: int,
    transformations: Transformations | None = None,
    *,
    log: Log | None = None,
    layers: str | Sequence[str] | Layers | None = None,
    scoring: Scoring | None = None,
    run: Run | None = None,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
) -> pd.DataFrame:
    """The scores of each part of the network now: a row a part, family, measure and scope, with the epoch.

    The network comes back as it was, its mode and the random state included, so that a loop that measures trains
    exactly as one that does not. Put the tables of several epochs below one another, and `plot_epochs` draws them.

    Args:
        model: The network that trains.
        images: A few hundred, as `measure` takes them.
        epoch: How many are finished.
        transformations: As `measure` takes them; None: rotations.
        log: Called as `log(name, value, epoch)` with every defined score, under names such as
            `equivariance/rotations/dataset/early`, and with the share of variance that it explains, as
            `explained/equivariance/rotations/dataset/early`: the `add_scalar` of a TensorBoard writer, for example.
        layers: This and all that follows as for `measure`.
        scoring: Its intervals are left out, for a curve over epochs has none.
        run: How it is run.
        batch_size: The most images, transformed ones included, in one forward pass.
        device: Where to run; None: where the model is.

    >>> import torch, equiscope as es
    >>> model, images = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()), torch.randn(24, 3, 8, 8)
    >>> scores_at(model, images, 1, es.rotations())["epoch"].unique().tolist()
    [1]
    """
    scores = measure(
        model, images, transformations, layers=layers, scoring=replace(scoring or Scoring(), intervals=False), run=run,
        batch_size=batch_size, device=device, progress=False,
    )  # fmt: skip
    table = of_families(scores)[list(COLUMNS)].assign(epoch=epoch).reset_index(drop=True)
    if log is not None:
        for name, value in logged(table).items():
            log(name, value, epoch)
    return table


def of_families(scores: Scores) -> pd.DataFrame:
    """The rows of the table of parts that are of families, and of single transformations outside any."""
    return scores.parts[scores.parts["transformation"].isin(scores.families)]


def logged(table: pd.DataFrame) -> dict[str, float]:
    """The defined scores and explained shares of a table of parts by name, as loggers take them."""
    return {name: value for name, value in by_name(table).items() if value == value}


def by_name(table: pd.DataFrame) -> dict[str, float]:
    """All scores and explained shares of a table of parts, by names.

    Such as `equivariance/rotations/dataset/early`, `.../early/registered` about the layers' own centres, and
    `explained/equivariance/rotations/dataset/early`. A family's score is that over all of its members.
    """
    found = {}
    for row in overall(table).to_dict("records"):
        name = "/".join(str(row[key]) for key in ("measure", "transformation", "scope", "part"))
        if row["alignment"] != "array":
            name += f"/{row['alignment']}"
        found[name] = float(row["score"])
        found[f"explained/{name}"] = float(row["explained"])
    return found
