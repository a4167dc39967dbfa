"""What was measured and how, in words: measures, formulas, options, what was left out, and the manifest."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import PurePath
from typing import Any

from equiscope.results.columns import BETWEEN, FILLED
from equiscope.results.measures import EXPECTED, FOUND, TABLE
from equiscope.results.shares import MEANINGS, REST

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
MOST_LEFT_OUT = 200  # images listed one by one; the manifest has them all
UNDEFINED = '<abbr title="undefined">–</abbr>'

SCOPES = {
    "dataset": (
        "All images together",
        "Each similarity is one correlation over the positions of all images, and a channel has one partner for all "
        "of them. Defined on every layer, and the one scope that means the same at every depth.",
    ),
    "image": (
        "Each image by itself",
        "Each similarity is a correlation over the positions of one image; the score is the mean over images. "
        "Undefined on layers of fewer than 9 positions, such as pooled features.",
    ),
}
_SHARES = {
    "stays": "explained by the same channel, which moves as the image moves",
    "swaps": "explained only by another channel, its partner",
    "mixes": "explained only by a linear combination of channels",
    "lost": "explained by no linear map of the layer’s channels",
    REST: "not divided further",
}
SHARE_VERBS = {name: f"<b>{name}</b>" for name in ("stays", "swaps", "mixes")} | {
    "lost": "is <b>lost</b>",
    REST: f"belongs to the <b>{MEANINGS[REST]}</b>",
}
HELD_OUT = "All shares are of images that no partner was chosen on and no linear map was fitted on."
_SIMILARITIES = {
    "pearson": "Pearson’s correlation: the cosine of two maps, each less its mean.",
    "cosine": "The cosine of two maps as they are, not less their means.",
}
_NEGATIVES = {
    "clip": "A negative score counts as 0.",
    "keep": "A negative score keeps its sign.",
    "abs": "A negative correlation loses its sign, before the maximum.",
}
_FILLS = {
    "zero": "What enters at the border is zero, after normalisation.",
    "reflect": "What enters at the border is the image reflected.",
    "wrap": "What leaves at one border enters at the other.",
    "crop": "Nothing enters at the border: a window moves over a larger image.",
}
_SUBPIXELS = {
    "linear": "Where a shift is not a whole number of positions, the features are interpolated between positions, "
    "which lowers the scores of early layers.",
    "exact": "Where a shift is not a whole number of positions, it is left out, as undefined.",
    "round": "Where a shift is not a whole number of positions, it is rounded to the nearest.",
}
FORMULAS = {name: measure.formula for name, measure in TABLE.items()} | {
    "in_sample": f"max<sub><var>p</var></sub> <var>S</var>( {FOUND} , {EXPECTED}<sub><var>p</var></sub> )"
}
_CEILING = (
    "What interpolation alone leaves: the correlation of <var>T′<sub>g</sub></var><sup>−1</sup> "
    "<var>T′<sub>g</sub> f</var>(<var>X</var>) with <var>f</var>(<var>X</var>). 1 where nothing is interpolated. It "
    "interpolates twice, a score once: a layer that loses nothing else lies between it and 1. No score is divided by "
    "it."
)
_CHANCE = (
    "The same correlation between mismatched image pairs, over all pairs of different images. It is what borders, a "
    "common layout or a common brightness give. It is shown beside the score, and not subtracted or divided out. It is "
    "not defined for the measure linear. A score above chance need not be learned: images are smooth, so that a "
    "randomly initialised network scores above chance too, and is the baseline to compare with."
)
LAW = (
    "Maps that make a layer equivariant compose: a rotation by 90 degrees, done twice, is the rotation by 180. "
    "<em>Composed</em> is the share of the variance that is explained by the linear maps of two transformations, one "
    "after the other; <em>direct</em> the share that is explained by the map of their product itself, on images that "
    "no map was fitted on. Where both agree, the group law holds. A negative share: the maps predict worse than the "
    "mean does, as where images are few."
)
METRICS_TITLE = "Other tools’ measures"
METRICS_MEANING = (
    "<p>What other tools measure of the same network and images. Each image is compared with itself, and no channel is "
    "matched with another. <em>Top-1 agreement</em>: the share of images whose first class stays the same; "
    "<em>rolls</em> and <em>crops</em> compare two random ones of an image, as antialiased-cnns does. <em>KL "
    "divergence</em>: how far the class probabilities move, in nats. <em>Lie derivative</em>: the local equivariance "
    "error of the class probabilities, as lie-deriv has it. <em>Variance ratio</em>: how much a layer’s units vary "
    "over transformations, relative to how much they vary over images, as tmeasures has it.</p>"
)
_UNDEFINED = (
    f"Shown as {UNDEFINED}. A channel that is constant over all images correlates with nothing: it has no score and is "
    "left out of the means. The column <em>undefined</em> counts such channels (each image by itself: channels of "
    "images), summed over transformations."
)


def shares_meaning(names: Sequence[str]) -> str:
    """What the names of the shares mean, beside their colours."""
    entries = "".join(
        f'<li><i class="swatch {name}"></i><b>{MEANINGS[name]}</b>: {_SHARES[name]}</li>' for name in names
    )
    return f'<ul class="legend">{entries}</ul><p class="soft">{HELD_OUT}</p>' if names else ""


def provenance(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Data, weights, date and version, in words."""
    data, weights = manifest.get("data"), manifest.get("weights")
    data = data if isinstance(data, Mapping) else {"source": data}
    weights = weights if isinstance(weights, Mapping) else {"source": weights}
    where, split = str(data.get("source") or data.get("kind") or ""), data.get("split")
    where = f"{where}, {split}" if split and not where.endswith(f":{split}") else where
    digest = str(weights.get("sha256") or "")
    started = str(manifest.get("started") or "")
    found = {
        "Data": f"{counted(manifest['images'], 'image')}{f' of {where}' if where else ''}",
        "Weights": str(weights.get("file") or weights.get("source") or "not recorded")
        + (f" (SHA-256 {digest[:12]}…)" if digest else ""),
        "Date": day(started) if started else "not recorded",
        "Version": f"equiscope {manifest.get('versions', {}).get('equiscope', 'unknown')}",
    }
    return {name: escape(text) for name, text in found.items()}


def day(moment: str) -> str:
    """The day of a moment in ISO format, in words.

    >>> day("2026-11-30T14:00:00+00:00")
    '30 November 2026'
    """
    found = datetime.fromisoformat(moment)
    return f"{found.day} {MONTHS[found.month - 1]} {found.year}"


def for_script() -> dict[str, Any]:
    """The sentences and formulas that the page's script shows beside its figures; HTML of ours alone."""
    scopes = {scope: {"title": title, "meaning": text} for scope, (title, text) in SCOPES.items()}
    return {"scopes": scopes, "formulas": FORMULAS, "shares": dict(MEANINGS), "law": LAW}


def in_words(measure: str) -> str:
    """A measure's name as it is read.

    >>> in_words("strict_invariance")
    'strict invariance'
    """
    return measure.replace("_", " ")


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
<thead><tr><th scope="col" class="name">{thing}</th><th scope="col" class="name">reason</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
{more}"""


def meaning(options: Mapping[str, Any], measures: Sequence[str], *, laws: bool) -> str:
    """What was measured: the measures and their formulas, the options, and what the words of the tables mean."""
    terms = {
        f"{TABLE[measure].title or in_words(measure).capitalize()} of channel <var>c</var>": _formula(measure)
        + TABLE[measure].meaning
        for measure in measures
    }
    terms |= {
        "In all": "<var>X</var> is an image, <var>T<sub>g</sub></var> a transformation of its pixels, "
        "<var>T′<sub>g</sub></var> the same transformation of the positions of a feature map, "
        "<var>f</var>(<var>X</var>) the layer’s feature maps, <var>S</var> the similarity of two maps over the "
        "positions valid in both. A layer’s score is the mean over its channels, a part’s the mean over its layers, a "
        "family’s the mean over its transformations.",
        "Similarity": f"{_said(_SIMILARITIES, options['similarity'])} {_said(_NEGATIVES, options['negative'])}",
    }
    members = [member for of in options["transformations"].values() for member in of]
    if any(member.startswith("shift(") for member in members):
        shifts = ((_FILLS, options.get("fill", "zero")), (_SUBPIXELS, options.get("subpixel", "linear")))
        terms["Shifts"] = " ".join(_said(words, option) for words, option in shifts)
    if any(map(BETWEEN.match, members)):
        terms["Between pixels"] = (
            "Rotations by other angles than multiples of 90 degrees, scalings and affine maps interpolate the image "
            f"bicubically, and features between four positions. {_said(_FILLS, options.get('fill', 'zero'))}"
        )
    if options.get("alignment") == "registered":
        terms["Centre"] = (
            "Rotations and flips act about the centre of the layer’s array; <em>layer’s own</em> is about the centre "
            f"of the layer, estimated from the first {options['registration_images']} images, which are left out of "
            "all scores."
        )
    return _definitions(terms | _estimates(options, measures, laws=laws))


def _estimates(options: Mapping[str, Any], measures: Sequence[str], *, laws: bool) -> dict[str, str]:
    """What stands beside a score in the tables."""
    terms = {
        "Explained": "The share of a channel’s variance that is explained. Of the variance of a layer’s features of "
        f"transformed images, a share <b>stays</b>, {_SHARES['stays']}; a share <b>swaps</b>, {_SHARES['swaps']}; a "
        f"share <b>mixes</b>, {_SHARES['mixes']}; and the rest is <b>lost</b>. {HELD_OUT}"
    }
    if "equivariance" in measures:
        terms["In sample"] = (
            f"{_formula('in_sample')}The literal definition of equivariance: the maximum on the same images that it is "
            "evaluated on. It is biased upward, the more so the more channels and the fewer images there are."
        )
    terms["Chance level (mismatched image pairs)"] = _CHANCE
    if any(FILLED.match(member) for of in options["transformations"].values() for member in of):
        terms["Ceiling"] = _CEILING
    terms["95 % confidence interval"] = (
        "An image is the unit: jackknife over ten groups of images; within images, for invariance, bootstrap over "
        "images. Undefined for fewer than 20 images."
        if options["intervals"]
        else "Not computed."
    )
    if laws:
        terms["Group law"] = LAW
    return terms | {
        "Dimension": "The effective number of independent channels of a layer, (∑ <var>l</var>)² / ∑ <var>l</var>² of "
        "the eigenvalues <var>l</var> of the channels’ correlation matrix.",
        "Undefined": _UNDEFINED,
    }


def _definitions(terms: Mapping[str, str]) -> str:
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
