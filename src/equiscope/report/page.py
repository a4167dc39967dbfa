"""`Scores` as one HTML page: figures, tables, and in words what was measured and how."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import pandas as pd

from equiscope.plots import plot_layers, rows_of
from equiscope.scores import MEASURES, SCOPES, Scores

MOST_LEFT_OUT = 200  # images listed one by one; the manifest has them all
UNDEFINED = '<abbr title="undefined">–</abbr>'

_SCOPES = {
    "dataset": (
        "All images together",
        "Each similarity is one correlation over the cells of all images, and a channel has one partner for all of "
        "them. Defined on every layer, and the one scope that means the same at every depth.",
    ),
    "image": (
        "Each image by itself",
        "Each similarity is a correlation over the cells of one image, and a channel may have another partner on "
        "another image; the score is the mean over images. Undefined on layers of fewer than 9 cells, such as "
        "pooled features.",
    ),
}
_SIMILARITIES = {
    "pearson": "Pearson's correlation: the cosine of two maps, each less its mean.",
    "cosine": "The cosine of two maps as they are, not less their means.",
}
_NEGATIVES = {
    "clip": "A negative similarity counts as 0.",
    "keep": "A negative similarity keeps its sign.",
    "abs": "A negative similarity loses its sign, before the maximum.",
}
_FILLS = {
    "zero": "What enters at the border is zero, after normalisation.",
    "reflect": "What enters at the border is the image reflected.",
    "wrap": "What leaves at one border enters at the other.",
    "crop": "Nothing enters at the border: a window moves over a larger image.",
}
_SUBCELLS = {
    "linear": "A shift by part of a cell interpolates the features between cells.",
    "exact": "A shift by part of a cell is left out, as undefined.",
    "round": "A shift by part of a cell moves to the nearest cell.",
}
_FORMULAS = {
    "moved": "<var>S</var>( <var>f</var>(<var>T<sub>g</sub> X</var>)<sub><var>c</var></sub> , "
    "<var>T′<sub>g</sub> f</var>(<var>X</var>)<sub><var>c</var></sub> )",
    "strict": "<var>S</var>( <var>f</var>(<var>T<sub>g</sub> X</var>)<sub><var>c</var></sub> , "
    "<var>f</var>(<var>X</var>)<sub><var>c</var></sub> )",
    "equivariance": "max<sub><var>c′</var></sub> <var>S</var>( <var>f</var>(<var>T<sub>g</sub> X</var>)"
    "<sub><var>c</var></sub> , <var>T′<sub>g</sub> f</var>(<var>X</var>)<sub><var>c′</var></sub> )",
    "corrected": "(score − chance) / (1 − chance)",
}


def page(scores: Scores) -> str:
    """One HTML page that stands alone: it asks for nothing from anywhere, and reads by day and by night."""
    manifest = scores.manifest
    template = Template(files("equiscope.report").joinpath("template.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(f"How equivariant is {manifest['model']}?"),
        subtitle=escape(f"{_counted(manifest['images'], 'image')}, {_counted(len(scores.layers), 'layer')}."),
        scopes="\n".join(_scope(scores, scope) for scope in SCOPES),
        left_out=_left_out(manifest),
        meaning=_meaning(manifest["options"]),
        manifest=_value({key: value for key, value in manifest.items() if not key.endswith("_left_out")}),
        version=escape(str(manifest.get("versions", {}).get("equiscope", ""))),
    )


def _scope(scores: Scores, scope: str) -> str:
    """A scope's section: its figure, its scores by part and by layer."""
    title, meaning = _SCOPES[scope]
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
        f"Invariance and equivariance of each of {_counted(len(layers), 'layer')} in order of execution, with chance "
        f"level, scope {scope}; a panel for each of {', '.join(scores.families)}. The numbers are in the tables below."
    )
    return f"""<section aria-labelledby="{scope}">
<h2 id="{scope}">{title} (scope <code>{scope}</code>)</h2>
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


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _left_out(manifest: Mapping[str, Any]) -> str:
    """Layers and images that were not measured, with their reasons."""
    return "\n".join(
        _reasons(thing, manifest.get(f"{thing}s_left_out", []), most)
        for thing, most in (("layer", None), ("image", MOST_LEFT_OUT))
    )


def _reasons(thing: str, left_out: Sequence[Mapping[str, str]], most: int | None) -> str:
    if not left_out:
        return f"<p>No {thing} was left out.</p>"
    rows = "\n".join(
        f'<tr><th scope="row"><span>{escape(str(one[thing]))}</span></th>'
        f'<td class="reason">{escape(str(one["reason"]))}</td></tr>'
        for one in left_out[:most]
    )
    more = f"<p>{len(left_out) - most:,} more are in the manifest.</p>" if most and len(left_out) > most else ""
    return f"""<h3>{_counted(len(left_out), thing)}</h3>
<div class="box" role="region" tabindex="0" aria-label="{thing}s left out">
<table>
<thead><tr><th scope="col" class="name">{thing}</th><th scope="col" class="name">why</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
{more}"""


def _meaning(options: Mapping[str, Any]) -> str:
    """The options in words, with the formulas and what the words of the tables mean."""
    strict = options["strict"]
    moved = "The features are compared where they are, not moved with the image (strict)."
    invariance = "The channel stays itself, and only moves as the image moves." if not strict else moved
    members = [member for of in options["transformations"].values() for member in of]
    shifts = [_said(_FILLS, options["fill"]), _said(_SUBCELLS, options["subcell"])]
    terms = {
        "Invariance of channel <var>c</var>": f"{_formula('strict' if strict else 'moved')}{invariance}",
        "Equivariance of channel <var>c</var>": f"{_formula('equivariance')}The channel <var>c′</var> that attains it "
        "is the partner of <var>c</var>. A layer's score is the mean over its channels, a part's the mean over its "
        "layers, a family's the mean over its transformations.",
        "In both": "<var>X</var> is an image, <var>T<sub>g</sub></var> a transformation of its pixels, "
        "<var>T′<sub>g</sub></var> the same transformation of the cells of a feature map, <var>f</var>(<var>X</var>) "
        "the layer's feature maps, <var>S</var> the similarity of two maps over the cells valid in both.",
        "Similarity": f"{_said(_SIMILARITIES, options['similarity'])} {_said(_NEGATIVES, options['negative'])}",
    }
    if any(member.startswith("shift(") for member in members):
        terms["Shifts"] = " ".join(shifts)
    terms |= {
        "Chance": "The same score where the two sides come from different images. A maximum over many channels and "
        "few cells is high even for noise, so a score says little without it."
        if options["chance"]
        else "Not measured.",
        "Corrected": f"{_formula('corrected')}0 is chance, 1 the most there is; undefined where chance is above 0.99.",
        "95 % interval": "An image is the unit: jackknife over 10 groups of images (all images together; undefined for "
        "fewer than 20), bootstrap over images (each image by itself)."
        if options["intervals"]
        else "Not made.",
        "Undefined": f"Shown as {UNDEFINED}. A constant map correlates with nothing: its channel has no score, and is "
        "left out of the means. The column <em>undefined</em> counts such channels (each image by itself: channels of "
        "images), summed over transformations.",
    }
    return f'<dl class="words">{"".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in terms.items())}</dl>'


def _formula(name: str) -> str:
    return f'<p class="formula">{_FORMULAS[name]}</p>'


def _said(words: Mapping[str, str], option: str) -> str:
    return words.get(option, escape(option))


def _value(value: Any) -> str:
    """A value of the manifest: a mapping as a definition list, all else as text."""
    if isinstance(value, Mapping):
        pairs = (f"<dt>{escape(str(key))}</dt><dd>{_value(inner)}</dd>" for key, inner in value.items())
        return f"<dl>{''.join(pairs)}</dl>" if value else "none"
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Iterable):
        values = list(value)
        if all(isinstance(one, str | int | float) for one in values):
            return escape(", ".join(str(one) for one in values)) if values else "none"
    if value is None:
        return "not given"
    return escape(json.dumps(value, ensure_ascii=False, default=str))
