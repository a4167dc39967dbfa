"""The answer to the page's title: which layers stay, swap, mix and are lost, in sentences and small bars."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby

import numpy as np
import pandas as pd

from equiscope.functional.statistics import Array
from equiscope.page.words import SHARE_VERBS, UNDEFINED, shares_meaning
from equiscope.results.columns import LADDER, OF_MAPS
from equiscope.results.rows import measures_in, rows_of
from equiscope.results.scores import Scores
from equiscope.results.shares import MEANINGS, REST, SHARES, shares_of

MOST_RUNS = 3  # of neighbouring layers that a sentence names
LOST = SHARES[-1]
HARDLY = 0.005  # of the variance: what whole percent show as none


def answer(named: Mapping[str, Scores]) -> str:
    """The top of the page: a card for each family and result, and what the names of the shares mean."""
    families = dict.fromkeys(family for scores in named.values() for family in scores.families)
    cards = [
        _card(f"Under {family}" if len(named) == 1 else f"{name}, under {family}", scores, family)
        for family in families for name, scores in named.items() if family in scores.families
    ]  # fmt: skip
    found = {
        name for scores in named.values() for family in scores.families for name in shares_of(scores, family).columns
    }
    names = [name for name in MEANINGS if name in found]
    return f'<div class="cards">{"".join(cards)}</div>\n{shares_meaning(names)}'


def _card(title: str, scores: Scores, family: str) -> str:
    of_layers, things = shares_of(scores, family, "layer"), "layers"
    maps = scores.layers.loc[scores.layers["part"].isin(OF_MAPS), "layer"]
    if len(of_maps := of_layers[of_layers.index.isin(maps)]) < len(of_layers) and len(of_maps):
        of_layers, things = of_maps, "feature maps"  # vectors, which need more images, have their bars
    if of_layers.empty:
        said, drawn = "<p>The shares of the variance need invariance and equivariance, over all images.</p>", ""
    else:
        ends = _ends(scores, family)
        said = "".join(f"<p>{sentence}</p>" for sentence in sentences(of_layers, ends, things))
        drawn = _bars(title, scores, family)
    return f'<div class="card answer"><h3>{escape(title)}</h3>\n<div>{said}</div>{drawn}</div>\n'


def _ends(scores: Scores, family: str) -> pd.DataFrame:
    """The ends of the confidence interval of what is not explained, by layer."""
    measured = measures_in(scores.scores[scores.scores["transformation"] == family])
    top = [measure for measure in LADDER if measure in measured][-1]
    rows = rows_of(scores.scores, "dataset", family, top).set_index("layer")
    return pd.DataFrame({"low": 1 - rows["explained_high"], "high": 1 - rows["explained_low"]})


def sentences(of_layers: pd.DataFrame, ends: pd.DataFrame, things: str = "layers") -> list[str]:
    """Where the largest share lies, where least and most is lost, and where most swaps and mixes; as HTML.

    `ends` are `low` and `high` of the confidence interval of the last share, by layer; `things` are these layers.
    """
    defined = of_layers.dropna()
    if defined.empty:
        return ["Undefined: every channel is constant, or there are too few images."]
    top = str(defined.columns[-1])

    def value(layer: str, words: str = "") -> str:
        low, high = (float(ends[end].to_dict()[layer]) for end in ("low", "high"))
        interval = "" if np.isnan(low) else f", {words}{100 * low:.0f} to {_percent(high)}"
        return f"{escape(layer)} ({_percent(defined[top][layer])}{interval})"

    least, most = str(defined[top].idxmin()), str(defined[top].idxmax())
    both = value(least, "95\u00a0% confidence interval "), value(most)
    if len(defined) == 1:
        extremes = f"Of its variance, {_percent(defined[top].iloc[0])} {SHARE_VERBS[top]}."
    elif top == LOST:
        extremes = f"Least is <b>lost</b> in {both[0]}, and most in {both[1]}."
    else:
        extremes = f"The <b>{MEANINGS[REST]}</b> is smallest in {both[0]}, and largest in {both[1]}."
    peaks = [_peak(verb, defined[name]) for name, verb in (("swaps", "swap"), ("mixes", "mix")) if name in defined]
    return [_largest(of_layers, defined, things), extremes, f"Channels {' and '.join(peaks)}."]


def _peak(verb: str, share: "pd.Series[float]") -> str:
    """In which layer a share is the largest, unless it is next to nothing everywhere."""
    if share.max() < HARDLY:
        return f"hardly <b>{verb}</b> anywhere"
    return f"<b>{verb}</b> most in {escape(str(share.idxmax()))} ({_percent(share.max())})"


def _largest(of_layers: pd.DataFrame, defined: pd.DataFrame, things: str) -> str:
    """Which share is the largest, in which layers."""
    names = [str(name) for name in of_layers.columns]
    largest = [None if np.isnan(row).any() else names[row.argmax()] for row in of_layers.to_numpy(dtype=float)]
    found = [name for name in names if name in largest]
    unknown = len(of_layers) - len(defined)
    without = f" {unknown} of {len(of_layers)} {things} {'is' if unknown == 1 else 'are'} undefined." if unknown else ""
    if len(found) == 1:
        where = f" in every {things.removesuffix('s')}" if len(defined) > 1 else f" in {escape(str(defined.index[0]))}"
        return f"The largest share of the variance {SHARE_VERBS[found[0]]}{where}.{without}"
    parts = [
        f"{SHARE_VERBS[name]} in {largest.count(name)}{f' of {len(defined)} {things}' if place == 0 else ''} "
        f"({_runs(largest, list(map(str, of_layers.index)), name)})"
        for place, name in enumerate(found)
    ]
    return f"The largest share of the variance {', '.join(parts[:-1])} and {parts[-1]}.{without}"


def _runs(largest: Sequence[str | None], names: Sequence[str], wanted: str) -> str:
    """The layers of a share, neighbours as "first to last"; of many runs, the longest.

    >>> _runs(["stays", "stays", "lost", "stays"], ["a", "b", "c", "d"], "stays")
    'a to b, d'
    """
    places = groupby(range(len(names)), key=lambda place: largest[place])
    runs = [[names[place] for place in of] for share, of in places if share == wanted]
    shown = runs if len(runs) <= MOST_RUNS else [max(runs, key=len)]
    text = ", ".join(escape(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}") for run in shown)
    return text if len(runs) <= MOST_RUNS else f"among them {text}"


def _bars(title: str, scores: Scores, family: str) -> str:
    """A table of a bar and its numbers for each part, and for those of the baseline, if any."""
    of_parts = shares_of(scores, family)
    names = [str(name) for name in of_parts.columns]
    heads = "".join(f'<th scope="col"><i class="swatch {name}"></i>{name}</th>' for name in names)
    bodies = f"<tbody>{_rows(of_parts)}</tbody>"
    if scores.baseline is not None and not (untrained := shares_of(scores.baseline, family)).empty:
        across = f'<tr><th scope="rowgroup" colspan="{len(names) + 2}">randomly initialised</th></tr>'
        bodies += f"<tbody>{across}{_rows(untrained)}</tbody>"
    return f"""<table class="bars"><caption class="hidden">Mean shares by part of the network: {escape(title)}</caption>
<thead><tr><th scope="col" class="name">part</th><th scope="col"><i class="hidden">bar</i></th>{heads}</tr></thead>
{bodies}</table>"""


def _rows(of_parts: pd.DataFrame) -> str:
    names = [str(name) for name in of_parts.columns]
    return "".join(
        f'<tr><th scope="row">{part}</th><td class="bar">{_bar(names, row)}</td>'
        f"{''.join(f'<td>{UNDEFINED if np.isnan(share) else _percent(share)}</td>' for share in row)}</tr>"
        for part, row in zip(of_parts.index, of_parts.to_numpy(dtype=float), strict=True)
    )


def _bar(names: Sequence[str], row: Array) -> str:
    """A row of shares as a bar, its widths in percent."""
    if np.isnan(row).any():
        return ""
    starts = np.concatenate([[0], np.cumsum(row)[:-1]])
    parts = "".join(
        f'<rect class="{name}" x="{100 * start:.2f}%" width="{100 * share:.2f}%" height="100%"></rect>'
        for name, start, share in zip(names, starts, row, strict=True)
    )
    return f'<svg aria-hidden="true" width="100%" height="14">{parts}</svg>'


def _percent(share: float) -> str:
    r"""A share in whole percent, which no line divides.

    >>> _percent(0.634), _percent(0.004)
    ('63\xa0%', '0\xa0%')
    """
    return f"{100 * share + 0.0:.0f}\u00a0%"
