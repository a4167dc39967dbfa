"""What a study leaves behind: its numbers, a picture of them, and a page that tells them in words."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from equiscope.figures.style import Plot
from equiscope.system.files import in_utf8, path_of
from equiscope.system.output_folder import written


def heading(part: SubFigure, letter: str, text: str) -> None:
    """The letter of a part of a figure and what it shows, at its upper left."""
    part.suptitle(f"$\\bf{{{letter}}}$   {text}", x=0.008, ha="left", fontsize=8, parse_math=True)


def without_frame(axes: Axes) -> None:
    """A panel that shows a picture: no ticks, a thin line around it."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.4)


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown, its first column to the left and all others to the right.

    >>> print(markdown(["layer", "score"], [["1", "0.50"]]))
    | layer | score |
    | :-- | --: |
    | 1 | 0.50 |
    """
    head = list(header)
    lines = [head, [":--"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def folded(title: str, content: str) -> str:
    """A long table behind its title, on the site and on GitHub."""
    return f'<details markdown="1">\n<summary>{title}</summary>\n\n{content}\n\n</details>'


def listed(names: Iterable[str]) -> str:
    """The names as English lists them.

    >>> listed(["one", "two", "three"])
    'one, two and three'
    """
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def recipe_in_words(recipe: Mapping[str, Any]) -> str:
    """How the numbers were made, as a list: the command, the date, the versions, and all else that the recipe holds."""
    versions = ", ".join(f"{name} {version}" for name, version in recipe["versions"].items())
    entries = {"command": f"`{recipe['command']}`", "date": recipe["started"][:10]}
    entries |= {name: str(value) for name, value in recipe.items() if name not in ("command", "started", "versions")}
    return "\n".join(f"- {name}: {value}" for name, value in (entries | {"versions": versions}).items())


def machine(device: str | None = None) -> str:
    """What numbers are made on: the device, or how many cores the CPU has."""
    cores = os.cpu_count() or 1
    return device or f"{cores} CPU core{'s' * (cores > 1)}"


def drawn(name: str, picture: Plot) -> dict[str, bytes]:
    """A picture as the files `NAME.png` and `NAME.pdf`."""
    return {f"{name}.png": picture.png(dpi=160), f"{name}.pdf": picture.pdf()}  # many panels, and still a small file


def save(
    folder: Path,
    numbers: pd.DataFrame,
    picture: Plot,
    page: str,
    *,
    table: str = "data.parquet",
    more: Mapping[str, bytes] | None = None,
    force: bool = False,
) -> Path:
    """Write `figure.png`, `figure.pdf`, the table and `page.md` into a folder, and `more` files by name; return it.

    All is made before the disk is touched, and written aside: a new folder appears at once and whole. Files of other
    names are left alone.
    """
    files = {table: numbers.to_parquet(), "page.md": in_utf8(page)} | drawn("figure", picture) | dict(more or {})
    with written(folder, force=force) as aside:
        for name, content in files.items():
            (aside / name).write_bytes(content)
    return path_of(folder).resolve()
