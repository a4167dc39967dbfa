"""What was measured and how, in words: the options, the formulas, what was left out, and the manifest."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import PurePath
from typing import Any

MOST_LEFT_OUT = 200  # images listed one by one; the manifest has them all
UNDEFINED = '<abbr title="undefined">–</abbr>'

SCOPES = {
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
FORMULAS = {
    "moved": "<var>S</var>( <var>f</var>(<var>T<sub>g</sub> X</var>)<sub><var>c</var></sub> , "
    "<var>T′<sub>g</sub> f</var>(<var>X</var>)<sub><var>c</var></sub> )",
    "strict": "<var>S</var>( <var>f</var>(<var>T<sub>g</sub> X</var>)<sub><var>c</var></sub> , "
    "<var>f</var>(<var>X</var>)<sub><var>c</var></sub> )",
    "equivariance": "max<sub><var>c′</var></sub> <var>S</var>( <var>f</var>(<var>T<sub>g</sub> X</var>)"
    "<sub><var>c</var></sub> , <var>T′<sub>g</sub> f</var>(<var>X</var>)<sub><var>c′</var></sub> )",
    "corrected": "(score − chance) / (1 − chance)",
}


def counted(count: int, thing: str) -> str:
    """So many of a thing, in words.

    >>> counted(1, "layer"), counted(1200, "image")
    ('1 layer', '1,200 images')
    """
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def left_out(manifest: Mapping[str, Any]) -> str:
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
    return f"""<h3>{counted(len(left_out), thing)}</h3>
<div class="box" role="region" tabindex="0" aria-label="{thing}s left out">
<table>
<thead><tr><th scope="col" class="name">{thing}</th><th scope="col" class="name">why</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
{more}"""


def meaning(options: Mapping[str, Any]) -> str:
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
    return f'<p class="formula">{FORMULAS[name]}</p>'


def _said(words: Mapping[str, str], option: str) -> str:
    return words.get(option, escape(option))


def listed(value: Any) -> str:
    """A value of the manifest: a mapping as a definition list, all else as text."""
    if isinstance(value, Mapping):
        pairs = (f"<dt>{escape(str(key))}</dt><dd>{listed(inner)}</dd>" for key, inner in value.items())
        return f"<dl>{''.join(pairs)}</dl>" if value else "none"
    if isinstance(value, str | PurePath):
        return escape(str(value))
    if isinstance(value, Iterable):
        values = list(value)
        if all(isinstance(one, str | int | float) for one in values):
            return escape(", ".join(str(one) for one in values)) if values else "none"
    if value is None:
        return "not given"
    return escape(json.dumps(value, ensure_ascii=False, default=str))
