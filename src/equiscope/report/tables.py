"""The scores as figures and tables that need no JavaScript."""

import base64
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import pandas as pd

from equiscope.figures.plots import plot_layers, rows_of
from equiscope.report.words import SCOPES, UNDEFINED, counted
from equiscope.results.scores import MEASURES, Scores


def scope_section(scores: Scores, scope: str, name: str) -> str:
    """A scope's section, of this name in the page: its figure, its scores by part and by layer."""
    title, meaning = SCOPES[scope]
    layers = scores.layers.set_index("layer")

    def cells(layer: str) -> Sequence[str]:
        of = layers.loc[layer]
        return [str(of["part"]), str(of["type"]), f"{of['channels']} × {of['height']} × {of['width']}"]

    by_part = [_table(scores, scores.parts, scope, family, "part", ["layers"], None) for family in scores.families]
    by_layer = [
        _table(scores, scores.scores, scope, family, "layer", ["part", "type", "channels × cells"], cells)
        for family in scores.families
    ]
    image = base64.b64encode(plot_layers(scores, scope).png()).decode("ascii")
    description = (
        f"Invariance and equivariance of each of {counted(len(layers), 'layer')} in order of execution, with chance "
        f"level, scope {scope}; a panel for each of {', '.join(scores.families)}. The numbers are in the tables below."
    )
    return f"""<section aria-labelledby="{name}">
<h2 id="{name}">{title} (scope <code>{scope}</code>)</h2>
<p>{meaning}</p>
<figure tabindex="0"><img src="data:image/png;base64,{image}" alt="{escape(description)}"></figure>
<h3>By part</h3>
{"".join(by_part)}
<h3>By layer</h3>
{"".join(by_layer)}
</section>"""


def _table(
    scores: Scores,
    table: pd.DataFrame,
    scope: str,
    family: str,
    by: str,
    about: Sequence[str],
    described: Callable[[str], Sequence[str]] | None,
) -> str:
    """A family's scores, a row a layer or part, both measures side by side."""
    measures = [rows_of(table, scope, family, measure).set_index(by) for measure in MEASURES]
    columns = ("score", "95 % interval", "chance", "corrected", "undefined")
    heads = "".join(f'<th class="first" scope="colgroup" colspan="{len(columns)}">{name}</th>' for name in MEASURES)
    names = "".join(
        f'<th scope="col"{_first(number)}>{name}</th>' for _ in MEASURES for number, name in enumerate(columns)
    )
    body = []
    for name in measures[0].index:
        rows = [rows.loc[name] for rows in measures]
        said = described(name) if described else [str(max(row["layers"] for row in rows))]
        about_it = "".join(f'<td class="name">{escape(text)}</td>' for text in said)
        values = "".join(f"<td{_first(place)}>{text}</td>" for row in rows for place, text in enumerate(_cells(row)))
        body.append(f'<tr><th scope="row"><span>{escape(str(name))}</span></th>{about_it}{values}</tr>')
    members = scores.manifest["options"]["transformations"].get(family, [family])
    of = "" if list(members) == [family] else f": {escape(', '.join(members))}"
    return f"""<div class="box" role="region" tabindex="0" aria-label="{escape(f"{family}, by {by}, scope {scope}")}">
<table>
<caption><strong>{escape(family)}</strong>{of}</caption>
<thead>
<tr><th scope="col" rowspan="2" class="name">{by}</th>\
{"".join(f'<th scope="col" rowspan="2" class="name">{name}</th>' for name in about)}{heads}</tr>
<tr>{names}</tr>
</thead>
<tbody>
{chr(10).join(body)}
</tbody>
</table>
</div>
"""


def _first(place: int) -> str:
    return ' class="first"' if place == 0 else ""


def _cells(row: "pd.Series[Any]") -> list[str]:
    low, high = _number(row["low"]), _number(row["high"])
    interval = UNDEFINED if UNDEFINED in (low, high) else f"{low} to {high}"
    return [_number(row["score"]), interval, _number(row["chance"]), _number(row["corrected"]), f"{row['undefined']:,}"]


def _number(value: float) -> str:
    """Three digits behind the point; undefined is a dash.

    >>> _number(0.25), _number(float("nan"))
    ('0.250', '<abbr title="undefined">–</abbr>')
    """
    return UNDEFINED if pd.isna(value) else f"{value:.3f}".replace("-", "−")
