"""Equivariance while a network trains: a few hundred images every few epochs, for any loop and any logger."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from torch import nn

from equiscope.functional.transformations import Family, Transformation
from equiscope.images.batches import Images
from equiscope.measurement.loop import measure

Log = Callable[[str, float, int], Any]  # name, value, epoch; as `SummaryWriter.add_scalar` takes them

COLUMNS = ("part", "transformation", "measure", "scope", "score", "chance", "corrected")
BATCH = 256  # images in a forward pass, transformed ones included


def scores_at(
    model: nn.Module,
    images: Images,
    epoch: int,
    *,
    transformations: Family | Transformation | Sequence[Any],
    log: Log | None = None,
    **options: Any,
) -> pd.DataFrame:
    """The scores of each part of the network now: a row a part, family, measure and scope, with the epoch.

    The network comes back as it was, its mode and the random state included, so that a loop that measures trains
    exactly as one that does not. Put the tables of several epochs below one another, and `plot_epochs` draws them.

    Args:
        model: The network that trains.
        images: A few hundred, as `measure` takes them.
        epoch: How many are finished.
        transformations: As for `measure`.
        log: Called as `log(name, value, epoch)` with every defined score, corrected ones too, under names such as
            `equivariance/rotations/dataset/early`: the `add_scalar` of a TensorBoard writer, for example.
        options: All else that `measure` takes.

    >>> import torch, equiscope as es
    >>> model, images = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()), torch.randn(24, 3, 8, 8)
    >>> scores_at(model, images, 1, transformations=es.rotations())["epoch"].unique().tolist()
    [1]
    """
    scores = measure(
        model, images, transformations=transformations, **({"intervals": False, "batch_size": BATCH} | options)
    )
    parts = scores.parts
    chosen = parts["transformation"].isin(scores.families) & (parts["alignment"] == "array")
    table = parts.loc[chosen, list(COLUMNS)].assign(epoch=epoch).reset_index(drop=True)
    if log is not None:
        for name, value in logged(table).items():
            log(name, value, epoch)
    return table


def logged(table: pd.DataFrame) -> dict[str, float]:
    """The defined scores of a table of parts by name, as loggers take them."""
    return {name: value for name, value in by_name(table).items() if value == value}


def by_name(table: pd.DataFrame, *, corrected: bool = True) -> dict[str, float]:
    """All scores of a table of parts, raw and, where asked for, corrected too, by names.

    Such as `equivariance/rotations/dataset/early`.
    """
    columns = {"score": "", "corrected": "-corrected"} if corrected else {"score": ""}
    found = {}
    for row in table.to_dict("records"):
        place = f"{row['transformation']}/{row['scope']}/{row['part']}"
        if row.get("alignment", "array") != "array":
            place += f"/{row['alignment']}"
        for column, mark in columns.items():
            found[f"{row['measure']}{mark}/{place}"] = float(row[column])
    return found
