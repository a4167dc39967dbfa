"""Where a network loses its equivariance: what each layer loses by itself, ranked."""

from typing import TYPE_CHECKING

import pandas as pd

from equiscope.results.columns import ALONE
from equiscope.results.rows import in_order, measures_in, rows_of
from equiscope.system.errors import OptionError, known

if TYPE_CHECKING:
    from equiscope.results.scores import Scores

DIGITS = 6  # in which losses may differ by rounding alone
LOSS_COLUMNS = ("transformation", "measure", "layer", "part", "explained", "alone", "loses", "loses_low", "loses_high")


def losses_of(
    scores: "Scores", transformation: str | None = None, measure: str | None = None, alignment: str = "array"
) -> pd.DataFrame:
    """A row per family and layer that was measured alone, the layer that loses most first; as `Scores.losses` says."""
    table = scores.scores
    families = scores.families
    if transformation is not None:
        families = [known("transformation", transformation, dict.fromkeys(table["transformation"]))]
    rows = [row for family in families for row in _rows(scores, family, measure, alignment)]
    if not rows:
        raise OptionError(
            "The layers were not measured alone; measure with {measures}invariance, equivariance, linear and alone."
        )
    return pd.DataFrame(rows, columns=list(LOSS_COLUMNS))


def rung_of(scores: "Scores", family: str, measure: str | None = None) -> str | None:
    """The measure by which layers alone are compared: the one given, else the last that was measured of a family."""
    there = measures_in(scores.scores[scores.scores["transformation"] == family])
    rungs = [of for name, of in ALONE.items() if name in there]
    if measure is not None and rungs:
        known("measure", measure, rungs)
        return measure
    return rungs[-1] if rungs else None


def explained_and_alone(scores: "Scores", family: str, rung: str, alignment: str = "array") -> pd.DataFrame:
    """The rows of a measure of every layer, from the image and alone, in order of execution; NaN where there is none.

    The columns of the measure alone begin with `alone_`.
    """
    columns = ["explained", "explained_low", "explained_high"]
    names = in_order(scores.layers)["layer"]
    of_image, alone = (
        rows_of(scores.scores, "dataset", family, measure, alignment).set_index("layer")[its].reindex(names)
        for measure, its in ((rung, [*columns, "explained_ceiling"]), (f"alone_{rung}", columns))
    )
    return of_image.join(alone.add_prefix("alone_"))


def _rows(scores: "Scores", family: str, measure: str | None, alignment: str) -> list[dict[str, object]]:
    rung = rung_of(scores, family, measure)
    if rung is None:
        return []
    both = explained_and_alone(scores, family, rung, alignment).dropna(subset="alone_explained")
    parts = scores.layers.set_index("layer")["part"]
    rows = [
        {
            "transformation": family,
            "measure": rung,
            "layer": layer,
            "part": parts[str(layer)],
            "explained": row["explained"],
            "alone": row["alone_explained"],
            "loses": 1 - row["alone_explained"],
            "loses_low": 1 - row["alone_explained_high"],
            "loses_high": 1 - row["alone_explained_low"],
        }
        for layer, row in both.to_dict("index").items()
    ]
    return sorted(rows, key=lambda row: -round(row["loses"], DIGITS))  # in order of execution where they lose alike
