"""The page as text: HTML with its styles, its data and its scripts, to click through and to read where none runs."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import matplotlib
import numpy as np

from equiscope.figures.style import (
    BLACK,
    HEAT,
    MEASURE_COLOURS,
    MEASURE_LOOKS,
    SERIES_COLOURS,
    series_look,
)
from equiscope.page.answer import answer
from equiscope.page.data import Chunks, as_json, channels_data, maps_data, packed, result_data
from equiscope.page.grid import grid_centre
from equiscope.page.losses import losses_section
from equiscope.page.tables import laws_section, metrics_table, scope_section
from equiscope.page.words import METRICS_MEANING, METRICS_TITLE, for_script, left_out, listed, meaning, provenance
from equiscope.results.columns import SCOPES
from equiscope.results.rows import measures_in
from equiscope.results.scores import Scores
from equiscope.results.shares import COLOURS

MOST = 5_900_000  # characters of a page without maps; scores of channels beyond are in channels.parquet alone
MOST_OF_MAPS = 12_000_000  # characters; maps beyond are in maps.npz alone
SCRIPTS = ("state", "packed", "charts", "marks", "layers", "parts", "tables", "channels", "partners", "choices")
HEAT_STEPS = 33


def document(results: Scores | Mapping[str, Scores]) -> str:
    """One HTML page of one result, or of several by their names.

    It asks for nothing from anywhere, reads by day and by night and on paper, and without JavaScript has figures and
    tables.
    """
    named = {str(results.manifest["model"]): results} if isinstance(results, Scores) else dict(results)
    texts = _texts(named)
    data = [result_data(name, scores) for name, scores in named.items()]
    more = {"words": for_script(), "looks": _looks(len(named)), "heat": _heat()}
    chunks = Chunks()
    fixed = sum(map(len, [*texts.values(), packed(as_json([data, more]))]))
    for scores, of_result in zip(named.values(), data, strict=True):
        chunks.room = max(0, MOST - fixed) // len(named)
        of_result["channels"] = channels_data(scores, chunks)
    for scores, of_result in zip(named.values(), data, strict=True):
        chunks.room = MOST_OF_MAPS // len(named)
        of_result["maps"] = maps_data(scores.maps, chunks)
    return Template(_read("template.html")).substitute(
        texts,
        data=packed(as_json({"results": data} | more)),
        chunks="\n".join(
            f'<script type="text/plain" id="chunk-{number}">{text}</script>' for number, text in enumerate(chunks.texts)
        ),
    )


def _texts(named: Mapping[str, Scores]) -> dict[str, str]:
    """All of the page but its data."""
    first = next(iter(named.values()))
    one = len(named) == 1
    script = _script()
    asked = f"How equivariant is {first.manifest['model']}?" if one else "How equivariant are they?"
    return {
        "title": escape(asked),
        "provenance": "\n".join(_provenance(name, scores, one) for name, scores in named.items()),
        "answer": answer(named),
        "remarks": _remarks(named),
        "policy": f"'sha256-{_digest(script)}'",
        "style": _colours() + _read("page.css"),
        "script": script,
        "results": "\n".join(_result(f"result-{place}", *item, one) for place, item in enumerate(named.items())),
        "version": escape(str(first.manifest.get("versions", {}).get("equiscope", ""))),
    }


def _provenance(name: str, scores: Scores, alone: bool) -> str:
    """What the answer rests on: data, weights, date."""
    facts = {"Layers": f"{len(scores.layers):,}"} | provenance(scores.manifest)
    facts = facts if alone else {"Result": escape(name)} | facts
    terms = "".join(f"<div><dt>{term}</dt><dd>{text}</dd></div>" for term, text in facts.items())
    return f'<dl class="facts">{terms}</dl>'


def _remarks(named: Mapping[str, Scores]) -> str:
    """What the measurements remarked, which is to be read with the answer."""
    remarks = [
        escape(str(remark) if len(named) == 1 else f"{name}: {remark}")
        for name, scores in named.items()
        for remark in scores.manifest.get("remarks", [])
    ]
    return f'<ul class="remarks">{"".join(f"<li>{remark}</li>" for remark in remarks)}</ul>' if remarks else ""


def _colours() -> str:
    """The colours of the figures as variables of the page's styles, lighter where it is dark."""
    colours = MEASURE_COLOURS | {f"series-{place}": colour for place, colour in enumerate(SERIES_COLOURS)}
    lifted = "".join(f"--{name}:{_lifted(colour)};" for name, colour in colours.items())
    shares = "".join(f"--{name}:{colour};" for name, colour in COLOURS.items())
    return f":root{{{lifted}{shares}}}\n"


def _lifted(colour: str) -> str:
    return "var(--text)" if colour == BLACK else f"color-mix(in oklab,{colour},white var(--lift))"


def _looks(series: int) -> dict[str, Any]:
    """The marks and lines of the figures, by measure, and those of results side by side."""
    measures = {
        measure: {
            "marker": look.marker,
            "filled": look.filled,
            "dash": list(look.line[1]) if isinstance(look.line, tuple) else [],
        }
        for measure, look in MEASURE_LOOKS.items()
    }
    of_results = [
        {"marker": series_look(number).marker, "colour": f"series-{number % len(SERIES_COLOURS)}"}
        for number in range(series)
    ]
    return {"measures": measures, "results": of_results}


def _heat() -> list[list[int]]:
    """The colours of heat maps, from 0 to 1, as the figures have them."""
    colours = matplotlib.colormaps[HEAT](np.linspace(0, 1, HEAT_STEPS))[:, :3]
    return [[round(255 * float(part)) for part in colour] for colour in colours]


def _result(identity: str, name: str, scores: Scores, alone: bool) -> str:
    """What is said of one result in words; without JavaScript, its figures and tables too."""
    manifest = scores.manifest
    shown = {key: value for key, value in manifest.items() if key != "format" and not key.endswith("_left_out")}
    sections = {"Where it is lost": losses_section(scores)}
    sections |= {} if scores.metrics is None else {METRICS_TITLE: METRICS_MEANING + metrics_table(scores.metrics)}
    sections |= {
        "What was left out": left_out(manifest),
        "What was measured": meaning(manifest["options"], measures_in(scores.scores), laws=len(scores.laws) > 0),
        "The centre of the grid": grid_centre(scores),
        "Manifest": f"<details><summary>How the scores were made, in full</summary>{listed(shown)}</details>",
    }
    measured = set(scores.scores["scope"])
    tables = [scope_section(scores, scope, f"{identity}-{scope}") for scope in SCOPES if scope in measured]
    tables += [laws_section(scores, f"{identity}-laws")] if len(scores.laws) else []
    words = "\n".join(
        f'<section aria-labelledby="{identity}-{number}"><h2 id="{identity}-{number}">{title}</h2>{text}</section>'
        for number, (title, text) in enumerate(sections.items())
        if text
    )
    return f"""<div class="result" id="{identity}">
{"" if alone else f'<p class="name">{escape(name)}</p>'}
<noscript>
{chr(10).join(tables)}
</noscript>
{words}
</div>"""


def _digest(script: str) -> str:
    """By what the page's policy knows a script that may run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


@cache
def _read(name: str) -> str:
    return files("equiscope.page").joinpath(name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    """The page's own scripts as one, whose names are seen by nothing else in the page."""
    parts = "\n".join(_read(f"script/{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\nstart().catch(failed);\n}})();\n'
