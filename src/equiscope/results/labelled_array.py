"""The scores as one labelled array, for those who would rather select by name than filter rows."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from equiscope.results.folder import manifest_text
from equiscope.results.scores import KEYS, Scores

if TYPE_CHECKING:
    import xarray

AXES = ("layer", *KEYS)
OF_LAYERS = ("index", "part", "type", "channels", "height", "width", "stride_y", "stride_x", "dead")


def labelled_array(scores: Scores) -> "xarray.Dataset":
    """Every column of the table of scores over its five labels; NaN, counts as well, where it has no such row."""
    try:
        import xarray
    except ImportError as error:
        raise ImportError('to_xarray() needs the package xarray: pip install "equiscope[xarray]".') from error
    table, layers = scores.scores, scores.layers
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
