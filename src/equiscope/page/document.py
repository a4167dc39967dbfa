"""The page as text: HTML with its styles, its data and its scripts, to click through and to read where none runs."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from equiscope.page.data import MOST_OF_CHANNELS, Chunks, as_script, maps_data, result_data
from equiscope.page.tables import laws_section, scope_section
from equiscope.page.words import counted, for_script, left_out, listed, meaning
from equiscope.results.columns import SCOPES
from equiscope.results.rows import measures_in
from equiscope.results.scores import Scores

MOST_OF_MAPS = 12_000_000  # characters; maps beyond are in maps.npz alone
MOST = 19_500_000  # characters of a whole page
SCRIPTS = ("state", "packed", "charts", "layers", "tables", "channels", "choices")


def document(results: Scores | Mapping[str, Scores]) -> str:
    """One HTML page of one result, or of several by their names.

    It asks for nothing from anywhere, reads by day and by night, and without JavaScript has figures and tables.
    """
    named = {str(results.manifest["model"]): results} if isinstance(results, Scores) else dict(results)
    chunks = Chunks()
    chunks.room = MOST_OF_CHANNELS
    data = [result_data(name, scores, chunks) for name, scores in named.items()]
    texts = _texts(named)
    fixed = sum(map(len, [*texts.values(), as_script(data), *chunks.texts]))
    for scores, of_result in zip(named.values(), data, strict=True):
        chunks.room = max(0, min(MOST_OF_MAPS, MOST - fixed) // len(named))
        of_result["maps"] = maps_data(scores.maps, chunks)
    return Template(_read("template.html")).substitute(
        texts,
        data=as_script({"results": data, "words": for_script()}),
        chunks="\n".join(
            f'<script type="text/plain" id="chunk-{number}">{text}</script>' for number, text in enumerate(chunks.texts)
        ),
    )


def _texts(named: Mapping[str, Scores]) -> dict[str, str]:
    """All of the page but its data."""
    first = next(iter(named.values()))
    one = len(named) == 1
    scripts = {"plotly": _plotly(), "script": _script()}
    asked = f"How equivariant is {first.manifest['model']}?" if one else "How equivariant are they?"
    about = f"{counted(first.manifest['images'], 'image')}, {counted(len(first.layers), 'layer')}"
    return scripts | {
        "title": escape(asked),
        "subtitle": escape(f"{about}." if one else f"{counted(len(named), 'result')}: {', '.join(named)}."),
        "policy": " ".join(f"'sha256-{_digest(script)}'" for script in scripts.values()),
        "style": _read("page.css"),
        "results": "\n".join(_result(f"result-{place}", *item, one) for place, item in enumerate(named.items())),
        "version": escape(str(first.manifest.get("versions", {}).get("equiscope", ""))),
    }


def _result(identity: str, name: str, scores: Scores, alone: bool) -> str:
    """What is said of one result in words; without JavaScript, its figures and tables too."""
    manifest = scores.manifest
    shown = {key: value for key, value in manifest.items() if key != "format" and not key.endswith("_left_out")}
    sections = {
        "What was left out": left_out(manifest),
        "What was measured": meaning(manifest["options"], measures_in(scores.scores), laws=len(scores.laws) > 0),
        "Manifest": f"<details><summary>How the scores were made, in full</summary>{listed(shown)}</details>",
    }
    measured = set(scores.scores["scope"])
    tables = [scope_section(scores, scope, f"{identity}-{scope}") for scope in SCOPES if scope in measured]
    tables += [laws_section(scores, f"{identity}-laws")] if len(scores.laws) else []
    words = "\n".join(
        f'<section aria-labelledby="{identity}-{number}"><h2 id="{identity}-{number}">{title}</h2>{text}</section>'
        for number, (title, text) in enumerate(sections.items())
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
    return f'"use strict";\n(() => {{\n{parts}\nstart();\n}})();\n'


@cache
def _plotly() -> str:
    """plotly.js, as the Python package brings it."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("\r\n", "\n")  # as a browser reads it, and the policy's digest must
