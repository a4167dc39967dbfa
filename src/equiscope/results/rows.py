"""Rows of the tables, selected by their labels."""

from typing import Any

import numpy as np
import pandas as pd

from equiscope.results.columns import KEYS, MEASURES

LABELS = ("epoch", "layer", "part", "replicate", *(key for key in KEYS if key != "subpixel"))


def overall(table: pd.DataFrame) -> pd.DataFrame:
    """The rows over all transformations of a family and all layers of a part.

    Where some of these, but not all, are interpolated (`subpixel`), a second row over the others alone is left out.
    """
    keys = [name for name in LABELS if name in table]
    order = table["subpixel"].to_numpy(dtype=bool).argsort(kind="stable")
    kept = np.empty(len(table), dtype=bool)
    kept[order] = ~table[keys].iloc[order].duplicated(keep="last").to_numpy()
    return table[kept]


def rows_of(
    table: pd.DataFrame, scope: str, transformation: str, measure: str, alignment: str = "array"
) -> pd.DataFrame:
    """One measure's rows under one transformation or family: one per layer of `scores`, one per part of `parts`."""
    wanted = {"scope": scope, "transformation": transformation, "measure": measure, "alignment": alignment}
    return overall(table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)])


def measures_in(table: pd.DataFrame) -> list[str]:
    """The measures that a table has rows of, each after those that it contains."""
    there: set[Any] = set(table["measure"])
    return [measure for measure in MEASURES if measure in there]


def in_order(layers: pd.DataFrame) -> pd.DataFrame:
    """The table of layers in order of execution."""
    return layers.sort_values("index", ignore_index=True)
