"""The scores as figures and tables that need no JavaScript."""

import base64
from collections.abc import Callable, Hashable, Sequence
from html import escape
from typing import Any

import pandas as pd

from equiscope.figures.explained import plot_explained
from equiscope.figures.layers import plot_layers
from equiscope.figures.style import Plot
from equiscope.page.words import SCOPES, UNDEFINED, counted, in_words
from equiscope.results.columns import ALONE, METRIC_TITLES, PARTS
from equiscope.results.rows import in_order, measures_in, rows_of
from equiscope.results.scores import Scores

Row = dict[Hashable, Any]
Rows = dict[Hashable, Row]  # of a measure, by layer or part
Cell = Callable[[Row], str]
METRIC_DIGITS = 4


def scope_section(scores: Scores, scope: str, name: str) -> str:
    """A scope's section, of this name in the page: its figures, its scores by part and by layer."""
    title, meaning = SCOPES[scope]
    count = counted(len(scores.layers), "layer")
    families = ", ".join(scores.families)
    drawn = [
        figure_of(
            plot_layers(scores, scope),
            f"Scores of each of {count} in order of execution, with 95 % confidence intervals and chance levels, scope "
            f"{scope}; a panel for each of {families}. The numbers are in the tables below.",
        )
    ]
    if scope == "dataset" and {"invariance", "equivariance"} <= set(scores.scores["measure"]):
        drawn.insert(
            0,
            figure_of(
                plot_explained(scores),
                f"The shares of the variance of each of {count} that stay, swap, mix and are lost; a panel for each of "
                f"{families}. The numbers are in the columns named explained of the tables below.",
            ),
        )
    return f"""<section aria-labelledby="{name}">
<h2 id="{name}">{title} (scope <code>{scope}</code>)</h2>
<p>{meaning}</p>
{chr(10).join(drawn)}
<h3>By part</h3>
{"".join(_table(scores, scope, family, "part") for family in scores.families)}
<h3>By layer</h3>
{"".join(_table(scores, scope, family, "layer") for family in scores.families)}
</section>"""


def figure_of(figure: Plot, description: str) -> str:
    """A figure in the page, and what it shows in words."""
    image = base64.b64encode(figure.png()).decode("ascii")
    return f'<figure tabindex="0"><img src="data:image/png;base64,{image}" alt="{escape(description)}"></figure>'


def laws_section(scores: Scores, name: str) -> str:
    """The group law, a row a layer: means over the pairs of transformations."""
    of_layers = scores.laws.groupby("layer")
    means, pairs = of_layers[["composed", "direct"]].mean().to_dict("index"), of_layers.size()
    rows = [
        row_of(layer, [f"{pairs[layer]:,}", *map(number_of, means[layer].values())])
        for layer in _layers(scores) if layer in means
    ]  # fmt: skip
    return f"""<section aria-labelledby="{name}">
<h2 id="{name}">Group law</h2>
<p>Means over the pairs of transformations; <code>laws.parquet</code> lists every pair.</p>
<div class="box" role="region" tabindex="0" aria-label="group law, by layer">
<table>
<thead><tr><th scope="col" class="name">layer</th><th scope="col">pairs</th><th scope="col">composed</th>\
<th scope="col">direct</th></tr></thead>
<tbody>
{chr(10).join(rows)}
</tbody>
</table>
</div>
</section>"""


def metrics_table(metrics: pd.DataFrame) -> str:
    """The table of other tools' measures, a row each."""
    body = [
        row_of(
            METRIC_TITLES[row["metric"]],
            [
                number_of(row["value"], METRIC_DIGITS),
                interval_of(row["low"], row["high"], METRIC_DIGITS),
                f"{row['images']:,}",
            ],
            [row["transformation"], row["layer"] if isinstance(row["layer"], str) else "–"],
        )
        for row in metrics.to_dict("records")
    ]
    heads = "".join(f'<th scope="col" class="name">{name}</th>' for name in ("measure", "transformation", "layer"))
    heads += "".join(f'<th scope="col">{name}</th>' for name in ("value", "95 % interval", "images"))
    return f"""<div class="box" role="region" tabindex="0" aria-label="other tools’ measures">
<table>
<thead><tr>{heads}</tr></thead>
<tbody>
{chr(10).join(body)}
</tbody>
</table>
</div>
"""


def _table(scores: Scores, scope: str, family: str, by: str) -> str:
    """A family's scores, a row a layer or part, the measures side by side."""
    source = scores.parts if by == "part" else scores.scores
    of_family = source[(source["scope"] == scope) & (source["transformation"] == family)]
    measures: dict[str, Rows] = {
        measure: rows_of(of_family, scope, family, measure).set_index(by).to_dict("index")
        for measure in measures_in(of_family)
    }
    columns = {measure: _columns(measure, scope, rows) for measure, rows in measures.items()}
    about, described = _described(scores, by, measures)
    heads = "".join(
        f'<th class="first" scope="colgroup" colspan="{len(of)}">{in_words(measure)}</th>'
        for measure, of in columns.items()
    )
    names = "".join(
        f'<th scope="col"{_first(place)}>{name}</th>' for of in columns.values() for place, name in enumerate(of)
    )
    there = {name for rows in measures.values() for name in rows}
    order = PARTS if by == "part" else _layers(scores)
    body = [
        row_of(name, [], described(name), [_cells(rows, name, columns[measure]) for measure, rows in measures.items()])
        for name in order if name in there
    ]  # fmt: skip
    members = scores.manifest["options"]["transformations"].get(family, [family])
    of = "" if list(members) == [family] else f": {escape(', '.join(members))}"
    label = escape(f"{family}, by {by}, scope {scope}")
    return f"""<div class="box" role="region" tabindex="0" aria-label="{label}">
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


def _layers(scores: Scores) -> list[str]:
    """The names of the layers in order of execution."""
    return list(in_order(scores.layers)["layer"])


def _described(scores: Scores, by: str, measures: dict[str, Rows]) -> tuple[list[str], Callable[[str], list[str]]]:
    """What else is said of a layer or part: the columns' names, and their texts."""
    if by == "part":
        return ["layers"], lambda part: [str(max(rows[part]["layers"] for rows in measures.values() if part in rows))]
    layers = scores.layers.set_index("layer")

    def described(layer: str) -> list[str]:
        of = layers.loc[layer]
        return [str(of["part"]), f"{of['channels']} × {of['height']} × {of['width']}"]

    return ["part", "channels × positions"], described


def _columns(measure: str, scope: str, rows: Rows) -> dict[str, Cell]:
    """A measure's columns: the text of each in a row. What the measure or scope does not define has none.

    Nor is there a column of undefined channels where there are none.
    """
    measure = ALONE.get(measure, measure)
    columns: dict[str, Cell] = {
        "score": lambda row: number_of(row["score"]),
        "95 % interval": lambda row: interval_of(row["low"], row["high"]),
    }
    if measure == "equivariance":
        columns["in sample"] = lambda row: number_of(row["in_sample"])
    if not all(pd.isna(row["chance"]) for row in rows.values()):
        columns["chance"] = lambda row: number_of(row["chance"])
    if any(row["ceiling"] < 1 for row in rows.values()):
        columns["ceiling"] = lambda row: number_of(row["ceiling"])
    if scope == "dataset":
        columns["explained"] = lambda row: number_of(row["explained"])
        if "ceiling" in columns:
            columns["explained ceiling"] = lambda row: number_of(row["explained_ceiling"])
    if measure == "linear":
        columns["held out"] = lambda row: number_of(row["held_out"])
    if any(row["undefined"] for row in rows.values()):
        columns["undefined"] = lambda row: f"{row['undefined']:,}"
    return columns


def _cells(rows: Rows, name: str, columns: dict[str, Cell]) -> list[str]:
    return [text(rows[name]) if name in rows else UNDEFINED for text in columns.values()]


def row_of(name: str, values: Sequence[str], said: Sequence[str] = (), groups: Sequence[Sequence[str]] = ()) -> str:
    """A row of a table: its name, and cells of words, of numbers, and of numbers in groups."""
    cells = [f'<td class="name">{escape(text)}</td>' for text in said]
    cells += [f"<td>{text}</td>" for text in values]
    cells += [f"<td{_first(place)}>{text}</td>" for group in groups for place, text in enumerate(group)]
    return f'<tr><th scope="row"><span>{escape(name)}</span></th>{"".join(cells)}</tr>'


def _first(place: int) -> str:
    return ' class="first"' if place == 0 else ""


def interval_of(low: float, high: float, digits: int = 3) -> str:
    """The ends of an interval; undefined is a dash."""
    ends = number_of(low, digits), number_of(high, digits)
    return UNDEFINED if UNDEFINED in ends else " to ".join(ends)


def number_of(value: float, digits: int = 3) -> str:
    """So many digits behind the point; undefined is a dash.

    >>> number_of(0.25), number_of(float("nan"))
    ('0.250', '<abbr title="undefined">–</abbr>')
    """
    return UNDEFINED if pd.isna(value) else f"{value:.{digits}f}".replace("-", "−")
