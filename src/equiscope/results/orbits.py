"""Orbits: channels that map onto one another as the image is rotated by 90 degrees."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ROTATIONS = ("rot90", "rot180", "rot270")
COLUMNS = ("layer", "alignment", "orbit", "turn", "channel", "equivariance")


def orbits_of(channels: pd.DataFrame) -> pd.DataFrame:
    """The groups of channels that map onto each other under 90, 180 and 270 degrees, a row a channel.

    With `p_g` the partners under a rotation, in the `dataset` scope, an orbit is a cycle `c, p_90(c), ...` of 1, 2 or
    4 channels on which `p_180 = p_90 p_90` and `p_270 = p_90 p_90 p_90`, as it is where rotating the image
    permutes channels. Columns: `layer`, `alignment`, `orbit` (its number in the layer), `turn` (place in the cycle,
    from its lowest channel), `channel`, and its `equivariance` under 90 degrees. No row where not all three were
    measured.

    >>> table = pd.DataFrame({"channel": [0, 1] * 3, "partner": [1, 0, 0, 1, 1, 0], "equivariance": 0.9})
    >>> table = table.assign(layer="a", scope="dataset", alignment="array", transformation=np.repeat(ROTATIONS, 2))
    >>> orbits_of(table)[["orbit", "turn", "channel"]].to_numpy().tolist()
    [[0, 0, 0], [0, 1, 1]]
    """
    rotated = channels[(channels["scope"] == "dataset") & channels["transformation"].isin(ROTATIONS)]
    of_layers = rotated.sort_values("channel", kind="stable").groupby(["layer", "alignment"], sort=False)
    rows = [
        (layer, alignment, orbit, turn, channel, equivariance[channel])
        for (layer, alignment), table in of_layers
        if set(table["transformation"]) == set(ROTATIONS)
        for equivariance in [table.loc[table["transformation"] == ROTATIONS[0], "equivariance"].to_numpy()]
        for orbit, cycle in enumerate(_cycles([_partners(table, name) for name in ROTATIONS]))
        for turn, channel in enumerate(cycle)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"orbit": "int64", "turn": "int64", "channel": "int64", "equivariance": "float64"})


def rotations_measured(channels: pd.DataFrame) -> bool:
    """Whether all three rotations that orbits are made of were measured."""
    return set(ROTATIONS) <= set(channels["transformation"].unique())


def _partners(table: pd.DataFrame, transformation: str) -> NDArray[np.int64]:
    """Each channel's partner under a rotation; -1 where it has none."""
    partner = table.loc[table["transformation"] == transformation, "partner"]
    return partner.fillna(-1).to_numpy(dtype=np.int64)


def _cycles(partners: list[NDArray[np.int64]]) -> Iterator[list[int]]:
    """The cycles of the first map of which the others are the square and the cube, by their lowest channels."""
    once, twice, thrice = (np.append(partner, -1) for partner in partners)  # so that none has none: once[-1] is -1
    agrees = (once >= 0) & (twice == once[once]) & (thrice == once[once[once]])
    for start in np.flatnonzero(agrees & (once[once[once[once]]] == np.arange(len(once)))):
        cycle = [int(start)]
        while (following := int(once[cycle[-1]])) != start:
            cycle.append(following)
        if start == min(cycle) and agrees[cycle].all():
            yield cycle
