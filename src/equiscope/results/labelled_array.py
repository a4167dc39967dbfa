"""The scores as one labelled array, for those who would rather select by name than filter rows."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from equiscope.results.columns import KEYS, LAYER_COLUMNS
from equiscope.results.folder import manifest_text
from equiscope.results.rows import in_order, overall
from equiscope.results.scores import Scores

if TYPE_CHECKING:
    import xarray

AXES = ("layer", *(key for key in KEYS if key != "subpixel"))
OF_LAYERS = LAYER_COLUMNS[1:]


def labelled_array(scores: Scores) -> "xarray.Dataset":
    """Every column of the table of scores over its five labels; NaN, counts as well, where it has no such row.

    Of a family's two rows, over all transformations and over those that are not interpolated, the first is in it.
    """
    try:
        import xarray
    except ImportError as error:
        raise ImportError('to_xarray() needs the package xarray: pip install "equiscope[xarray]".') from error
    table, layers = overall(scores.scores), in_order(scores.layers)
    labels = {axis: list(dict.fromkeys(table[axis])) for axis in AXES}
    labels["layer"] = list(layers["layer"])
    places = tuple(table[axis].map({label: place for place, label in enumerate(labels[axis])}) for axis in AXES)
    variables = {}
    for column in table.columns.drop([*AXES, "part"]):
        values = np.full([len(labels[axis]) for axis in AXES], np.nan)
        values[places] = table[column]
        variables[str(column)] = (AXES, values)
    coordinates = {name: ("layer", _plain(layers[name])) for name in OF_LAYERS}
    return xarray.Dataset(variables, labels | coordinates, {"manifest": manifest_text(scores)})


def _plain(column: "pd.Series[Any]") -> np.ndarray:
    """A column of the table of layers; numbers that may be missing as floats, since an array has no other NaN."""
    return column.to_numpy(dtype=float, na_value=np.nan) if column.dtype == "Int64" else column.to_numpy()
