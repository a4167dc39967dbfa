"""What the site holds that is written elsewhere: the README, the notebook, the command line's help, and formulas.

Hooks of MkDocs; `mkdocs.yml` names this file.
"""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
import latex2mathml.converter
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import equiscope
from equiscope.commands.main import command_line

ROOT = Path(__file__).parent.parent
GROUPS = {  # by the beginning of the module's name
    "functional": "Transformations",
    "figures": "Figures",
    "results": "Results",
    "page": "Results",
    "integrations.loggers": "Results",
}
INTEGRATIONS = ("lightning", "torchmetrics")  # modules that need an extra, each with one public class
_PRIME = "&#x02032;"


class Doctests(griffe.Extension):
    """Sets the examples of docstrings apart as code, so that no bracket in them is taken for a link."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence each run of lines that begins with `>>>`."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"(?ms)^>>> .*?(?=\n\s*\n|\Z)", r"```pycon\n\g<0>\n```", obj.docstring.value)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Every study's page of results, in the navigation."""
    results = next(item["Results"] for item in config.nav or [] if "Results" in item)
    for page in sorted((ROOT / "docs" / "results").glob("*/page.md")):
        results.append({_titled(page.parent.name): f"results/{page.parent.name}/page.md"})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The README as the front page, and the notebook as a page."""
    files.append(File.generated(config, "index.md", content=front_page((ROOT / "README.md").read_text())))
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())
    files.append(File.generated(config, "notebook.md", content="\n\n".join(cells(notebook))))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The help of every command, and every public name, in their places; `MADE` says where."""
    for mark, made in MADE.items():
        if mark in markdown:
            markdown = markdown.replace(mark, "\n\n".join(made()))
    return markdown


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas as MathML, which browsers draw without a script or a font of their own."""
    block = re.compile(r'<(div|span) class="arithmatex">\\([\[(])(.*?)\\[\])]</\1>', re.DOTALL)
    return block.sub(lambda found: formula(html.unescape(found[3]), block=found[2] == "["), content)


def formula(latex: str, *, block: bool) -> str:
    """A formula in LaTeX as MathML."""
    math = latex2mathml.converter.convert(latex.strip(), display="block" if block else "inline")
    math = re.sub(rf"<msubsup><mi>(\w)</mi>(.*?)<mi>{_PRIME}</mi></msubsup>", _primed, math)
    math = re.sub(rf"<msup><mi>(\w)</mi>()(?:<mrow>)?<mi>{_PRIME}</mi>(?:</mrow>)?</msup>", _primed, math)
    return f'<div class="formula">{math}</div>' if block else math


def _primed(found: re.Match[str]) -> str:
    """A slanted letter with its prime, which as an exponent would be tiny, and its index if it has one."""
    first, italic = ("a", 0x1D44E) if found[1].islower() else ("A", 0x1D434)
    letter = f"<mi>{chr(italic + ord(found[1]) - ord(first))}{_PRIME}</mi>"
    return f"<msub>{letter}{found[2]}</msub>" if found[2] else letter


def front_page(readme: str) -> str:
    """The README with links as they are within the site; what lies outside it is named, not linked."""

    def within(link: re.Match[str]) -> str:
        mark, text, target = link.groups()
        if re.match(r"https?:|#", target):
            return link[0]
        target = target.replace(".ipynb", ".md")
        return f"{mark}[{text}]({target.removeprefix('docs/')})" if target.startswith("docs/") else text

    hidden = "---\nhide: [navigation]\n---\n\n"
    return hidden + re.sub(r"(!?)\[([^\]]*)\]\(([^)]+)\)", within, readme)


def cells(notebook: dict[str, Any]) -> Iterator[str]:
    """The cells of a notebook and what they gave, as Markdown."""
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield source
            continue
        yield f"```python\n{source}\n```"
        for output in cell["outputs"]:
            yield from _shown(output)


def _shown(output: dict[str, Any]) -> Iterator[str]:
    """One output, in the richest form that a page can show."""
    data = output.get("data", {})
    if "image/png" in data:
        yield f'<img alt="What the cell draws" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">'
    elif "text/html" in data:
        table = re.sub(r"<style.*?</style>", "", "".join(data["text/html"]), flags=re.DOTALL)
        flat = re.sub(r">\s+<", "><", table)
        yield f'<div class="output">{flat}</div>'
    else:
        text = "".join(data.get("text/plain", output.get("text", "")))
        yield f"```text\n{text.rstrip()}\n```"


def names() -> Iterator[str]:
    """Every public name of `equiscope`, in groups, for mkdocstrings to fill in."""
    groups: dict[str, list[str]] = {"To measure": [], "Transformations": [], "Results": [], "Figures": []}
    for name in sorted(equiscope.__all__, key=lambda name: name != "measure"):  # which comes first
        place = equiscope._WHERE[name]
        group = next((group for start, group in GROUPS.items() if place.startswith(start)), "To measure")
        groups[group].append(f"equiscope.{place}.{name}")
    for group, paths in groups.items():
        yield f"## {group}"
        yield from map(_documented, paths)


def integrations() -> Iterator[str]:
    """The classes for other libraries, for mkdocstrings to fill in."""
    for module in INTEGRATIONS:
        text = (ROOT / "src" / "equiscope" / "integrations" / f"{module}.py").read_text()
        for name in re.findall(r"^class ([A-Z]\w+)", text, re.MULTILINE):
            yield _documented(f"equiscope.integrations.{module}.{name}")


def _documented(path: str) -> str:
    return f"::: {path}\n    options: {{ heading_level: 3 }}"


def commands() -> Iterator[str]:
    """The help of every command: what it does, its arguments and options, and examples."""
    group: Any = command_line()
    context = group.make_context("equiscope", [], resilient_parsing=True)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        arguments = " ".join(one.metavar for one in command.params if one.param_type_name == "argument")
        usage = f"equiscope {name} {arguments} [OPTIONS]".replace("  ", " ")
        yield f"## equiscope {name}\n\n```text\n{usage}\n```"
        yield _told(command.help or "")
        panels: dict[str, list[str]] = {}
        for parameter in command.params:
            panel = getattr(parameter, "rich_help_panel", None)
            default = "Arguments" if parameter.param_type_name == "argument" else "Options"
            panels.setdefault(str(panel or default), []).append(_row(parameter))
        for panel, rows in panels.items():
            yield "\n".join([f"| {panel} | | default |", "| :-- | :-- | :-- |", *rows])


def _told(text: str) -> str:
    """A command's help; what it indents is code."""
    text = re.sub(r"\[/?bold\]", "**", text)
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = paragraph.splitlines()
        if all(line.startswith("    ") for line in lines):
            paragraphs.append("\n".join(["```text", *(line[4:] for line in lines), "```"]))
        else:
            paragraphs.append(html.escape(paragraph, quote=False))
    return "\n\n".join(paragraphs)


def _row(parameter: Any) -> str:
    """One argument or option as a row of a table."""
    names = [] if parameter.param_type_name == "argument" else parameter.opts
    name = f"`{' '.join(filter(None, (', '.join(names), parameter.metavar)))}`"
    default = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    default = ", ".join(default) if isinstance(default, list) else default
    shown = "" if default in (None, False) or parameter.show_default is False else str(default)
    return f"| {' | '.join(_in_cell(cell) for cell in (name, parameter.help or '', shown))} |"


def _in_cell(text: str) -> str:
    """Text as a cell of a table holds it: no stars that would make it bold, no bars that would end it."""
    return re.sub(r"(?<!`)\*", r"\*", text).replace("|", "\\|").replace("\n", " ")


def _titled(folder: str) -> str:
    """A study's title in the navigation: of `figure-7-imagenet` it is `Figure 7, ImageNet`."""
    if folder.startswith("study-"):
        return f"Study: {folder.removeprefix('study-').replace('-', ' ')}"
    kind, *rest = re.sub(r"figure-(\d+)", r"Figure \1", folder).split("-")
    names = {"imagenet": "ImageNet", "cifar": "CIFAR-10"}
    return ", ".join([kind[0].upper() + kind[1:], *(names.get(one, one) for one in rest)])


MADE = {  # where a page has it, and what makes it
    "<!-- the commands -->": commands,
    "<!-- the names -->": names,
    "<!-- the integrations -->": integrations,
}
