"""Reads numbers back from a figure, and makes results that are hard to draw."""

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from equiscope.results import columns
from equiscope.results.scores import Scores
from example import example_scores

NAMES = ("$x_1$", "relu", "<b>conv_2</b>", "a_very_long_name_of_a_block_with_$_in_it")
PARTS = ("early", "middle", "late", "pool", "final")
MEASURES = ("invariance", "equivariance", "linear")
OF_FAMILY = {"rotations": MEASURES, "shifts": MEASURES[:2]}  # linear is not measured under shifts
UNDEFINED = [*columns.VALUES]


def drawable() -> Scores:
    """Four layers of maps, pooled features and a final vector, under two families, in both scopes."""
    return example_scores(NAMES, scopes=("dataset", "image"))


def with_alone(scores: Scores) -> Scores:
    """The same scores, with those of layers alone: a little higher, and undefined in the final vector."""

    def added(table: pd.DataFrame) -> pd.DataFrame:
        rows = table[table["measure"].isin(MEASURES)]
        rows = rows.assign(measure="alone_" + rows["measure"])
        values = ["explained", "explained_low", "explained_high"]
        higher = {name: np.sqrt(rows[name].to_numpy(dtype=float)) for name in values if name in rows}
        rows = rows.assign(**higher)
        if "low" in rows and "layer" in rows:
            rows.loc[rows["layer"] == "final", UNDEFINED] = np.nan
        return pd.concat([table, rows], ignore_index=True)

    columns = {f"alone_{measure}": scores.channels[measure] for measure in MEASURES}
    columns |= {f"explained_alone_{measure}": scores.channels[f"explained_{measure}"] for measure in MEASURES}
    tables = {name: added(getattr(scores, name)) for name in ("scores", "parts", "replicates")}
    return replace(scores, **tables, channels=scores.channels.assign(**columns))


def undefined_at(scores: Scores, *layers: str) -> Scores:
    """The same scores, of which those of some layers are undefined."""
    table = scores.scores.copy()
    table.loc[table["layer"].isin(layers), UNDEFINED] = np.nan
    return replace(scores, scores=table)


def with_layers(scores: Scores, count: int) -> Scores:
    """The same scores, of a network that has many more layers, all of them undefined."""
    names = [f"stages.{number}.conv" for number in range(count)]
    more = pd.DataFrame({"layer": names, "part": "early", "index": range(count)})
    layers = scores.layers.assign(index=scores.layers["index"] + count)
    return replace(scores, layers=pd.concat([more, layers], ignore_index=True))


def column(table: pd.DataFrame, name: str, **row: str) -> np.ndarray:
    """A column of the rows that have these labels; of a family's two rows, of that over all members."""
    wanted = pd.Series({"alignment": "array", "scope": "dataset"} | row)
    rows = table[(table[list(wanted.index)] == wanted).all(axis=1)]
    by = "layer" if "layer" in table else "part"
    last = rows.sort_values("subpixel", kind="stable").drop_duplicates([by, "transformation"], keep="last")
    return last.sort_index()[name].to_numpy(dtype=float)


def heights(axes: Axes, label: str) -> np.ndarray:
    """What is drawn of a series, run by run."""
    runs = [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines() if line.get_label() == label]
    return np.concatenate(runs)


def labels(axes: Axes) -> list[str]:
    """Of the lines that a legend would name."""
    names = [str(line.get_label()) for line in axes.get_lines()]
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]


def segments(axes: Axes) -> list[list[float]]:
    """The two heights of every interval and dash of a panel."""
    return [path.vertices[:, 1].tolist() for lines in axes.collections for path in lines.get_paths()]


def words(figure: Figure) -> str:
    """The title and the small print, however its lines are broken."""
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())
