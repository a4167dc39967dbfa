"""What becomes of the variance of features under a transformation: a share stays, swaps, mixes, or is lost."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equiscope.results.columns import LADDER, OF_MAPS, PARTS
from equiscope.results.rows import in_order, measures_in, rows_of

if TYPE_CHECKING:
    from equiscope.results.scores import Scores

SHARES = ("stays", "swaps", "mixes", "lost")
REST = "rest"  # what does not stay nor swap, where linear was not measured
MEANINGS: Mapping[str, str] = {
    "stays": "stays (invariance)",
    "swaps": "swaps (equivariance adds)",
    "mixes": "mixes (linear adds)",
    "lost": "lost",
    REST: "rest (linear not measured)",
}
COLOURS: Mapping[str, str] = {  # everywhere: in figures, on the terminal, in a notebook
    "stays": "#2A88BF",
    "swaps": "#E07B33",
    "mixes": "#B59E86",
    "lost": "#E2E2E2",
    REST: "#FFFFFF",
}
BLOCKS: Mapping[str, str] = dict(zip((*SHARES, REST), "█▓▒░ ", strict=True))  # as characters, distinct without colour


def shares_of(scores: "Scores", family: str, by: str = "part", alignment: str = "array") -> pd.DataFrame:
    """The shares of the variance under a family or transformation, a row per layer or part, in order.

    Columns: `stays`, `swaps`, `mixes` and `lost`, or, where linear was not measured, `stays`, `swaps` and `rest`. They
    add up to 1; where one is undefined all are NaN. No row and no column where invariance and equivariance were not
    both measured.
    """
    names = list(in_order(scores.layers)["layer"]) if by == "layer" else [*PARTS]
    table = scores.scores if by == "layer" else scores.parts
    measures = measures_in(table[(table["transformation"] == family) & (table["scope"] == "dataset")])
    if not {"invariance", "equivariance"} <= set(measures):
        return pd.DataFrame(index=pd.Index([], name=by))
    there = [measure for measure in LADDER if measure in measures]
    borders = np.stack(
        [
            rows_of(table, "dataset", family, measure, alignment).set_index(by)["explained"].reindex(names)
            for measure in there
        ]
    )
    parts = divided(borders)
    columns = [*SHARES[: len(there)], SHARES[-1] if "linear" in there else REST]
    found = pd.DataFrame(parts.T, index=pd.Index(names, name=by), columns=columns)
    return found if by == "layer" else found[[name in set(scores.layers["part"]) for name in names]]


def divided(explained: NDArray[Any]) -> NDArray[np.float64]:
    """The shares between the measures' explained variances, `[measure, ...]`, of which each contains the one before.

    >>> divided(np.array([[0.25], [0.5], [0.625]])).T
    array([[0.25 , 0.25 , 0.125, 0.375]])
    """
    explained = np.asarray(explained, dtype=np.float64)
    borders = np.maximum.accumulate(explained)
    borders[:, np.isnan(explained).any(axis=0)] = np.nan
    nothing = np.zeros_like(borders[:1])
    shares: NDArray[np.float64] = np.diff(np.concatenate([nothing, borders, nothing + 1]), axis=0)
    return shares


def sentences_of(scores: "Scores") -> list[str]:
    """The answer in words, a sentence a family: what stays, swaps, mixes and is lost in the first and the last part.

    Of feature maps; of the vectors where there are no others. No sentence of a family that is undefined.
    """
    found = [_sentence(scores, family) for family in scores.families]
    return [sentence for sentence in found if sentence]


def _sentence(scores: "Scores", family: str) -> str:
    shares = shares_of(scores, family).dropna()
    of_maps = shares[shares.index.isin(OF_MAPS)]
    shares = of_maps if len(of_maps) else shares
    if shares.empty:
        return ""
    first, *others = [
        (_in_words(str(part)), list(map(_percent, row))) for part, row in shares.T.to_dict("list").items()
    ]
    stays, swaps, *more = first[1]
    text = f"Under {family}, {stays} of the variance of {first[0]} stays in its channel"
    if len(more) == 2:
        text += f", {swaps} swaps to another channel, {more[0]} mixes over channels and {more[1]} is lost"
    else:
        text += f" and {swaps} swaps to another channel"
    if others:
        part, values = others[-1]
        text += f"; of {part} {_listed(values if len(more) == 2 else values[:2])}"
    return f"{text}."


def _in_words(part: str) -> str:
    return {"pool": "the pooled features", "final": "the final vector"}.get(part, f"the {part} layers")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _listed(values: list[str]) -> str:
    return f"{', '.join(values[:-1])} and {values[-1]}"
