"""Scores as figures, by layer and by part. Every number drawn stands in a table; nothing is computed here."""

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import groupby
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from equiscope.functional.statistics import Array
from equiscope.functional.transformations import known
from equiscope.models.layers import PARTS
from equiscope.scores import MEASURES, SCOPES, Scores

COLOURS = {"invariance": "#0072B2", "equivariance": "#D55E00"}  # Okabe and Ito's, apart for every eye
GREY = "#595959"
PART_COLOURS = {"early": "#0072B2", "middle": "#56B4E9", "late": "#009E73", "pool": "#E69F00", "final": "#D55E00"}
MOST_NAMES = 40  # along the axis; of more layers, only some are named
LONGEST_NAME = 32  # characters
DPI = 200
HEAD, FOOT, MARGIN = 0.55, 0.2, 0.08  # inches: the title with the legend, the small print, and what is left free

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "grid.color": "#D9D9D9",
    "grid.linewidth": 0.5,
    "text.parse_math": False,  # a layer may be called $x_1$
    "pdf.fonttype": 42,  # journals refuse Type 3
    "svg.fonttype": "none",
}


class Plot(Figure):
    """A figure that needs no pyplot and heeds no style of the user's: the same picture on every machine."""

    def savefig(self, fname: Any, **options: Any) -> None:
        """Write the figure to a file, its text as text."""
        with _style():
            super().savefig(fname, **{"dpi": DPI} | options)

    def png(self) -> bytes:
        """The figure as the bytes of a PNG file."""
        stream = BytesIO()
        self.savefig(stream, format="png")
        return stream.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()  # so that a notebook shows it, pyplot or not


def plot_layers(
    scores: Scores, scope: str = "dataset", transformation: str | None = None, corrected: bool = False
) -> Plot:
    """Invariance and equivariance of every layer in order of execution, with their intervals and chance levels.

    A panel for each family, or for the one `transformation` or family named. `corrected` draws the scores corrected
    for chance. An undefined score is a gap.
    """
    families = _families(scores, scope, transformation)
    names = list(scores.layers["layer"])
    width = float(np.clip(1.5 + 0.16 * len(names), 7, 12))
    places, bands = _places(list(scores.layers["part"]), width)
    size = float(np.clip(240 / len(names), 1.5, 5))
    with _style():
        figure, panels = _panels(len(families), 1, width, 1.9, below=0.06 * max(len(shortened(name)) for name in names))
        for axes, family in zip(panels, families, strict=True):
            for number, (_, left, right) in enumerate(bands):
                axes.axvspan(left, right, color="#F0F0F0" if number % 2 == 0 else "white", linewidth=0, zorder=0)
            for measure, rows in _measures(scores.scores, scope, family):
                _draw(axes, places, rows.set_index("layer").reindex(names), measure, corrected, size, joined=True)
            axes.set_xlim(bands[0][1], bands[-1][2])
            axes.tick_params(bottom=False, labelbottom=False)
        for part, left, right in bands:
            _above(panels[0], part, (left + right) / 2)
        _name_layers(panels[-1], places, names, width)
        _finish(figure, panels, scores, scope, families, corrected)
    return figure


def plot_parts(
    scores: Scores, scope: str = "dataset", transformation: str | None = None, corrected: bool = False
) -> Plot:
    """Invariance and equivariance of every part of the network, with their intervals and chance levels.

    A panel for each family, or for the one `transformation` or family named; `corrected` as in `plot_layers`.
    """
    families = _families(scores, scope, transformation)
    counts = scores.layers["part"].value_counts()
    parts = [part for part in PARTS if part in counts]
    columns = min(len(families), 3)
    with _style():
        figure, panels = _panels(len(families), columns, max(6.0, 2.8 * columns), 2.3)
        for axes, family in zip(panels, families, strict=True):
            for aside, (measure, rows) in zip((-0.15, 0.15), _measures(scores.parts, scope, family), strict=True):
                places = np.arange(len(parts), dtype=np.float64) + aside
                _draw(axes, places, rows.set_index("part").reindex(parts), measure, corrected, size=5.0, joined=False)
            axes.set_xticks(range(len(parts)), [f"{part}\n({counts[part]})" for part in parts])
            axes.set_xlim(-0.5, len(parts) - 0.5)
            axes.set_xlabel("part (layers in it)")
        _finish(figure, panels, scores, scope, families, corrected)
    return figure


def plot_epochs(table: pd.DataFrame, scope: str = "dataset", corrected: bool = False) -> Plot:
    """The scores of parts while a network trained, by epoch: a panel for each family.

    `table` is what `scores_at` gave at several epochs, one below the other. Equivariance is solid, invariance dotted.
    """
    known("scope", scope, SCOPES)
    families = list(dict.fromkeys(table["transformation"]))
    value = "corrected" if corrected else "score"
    with _style():
        figure = Plot(figsize=(max(4.0, 3.2 * len(families)), 3), layout="constrained")
        panels = figure.subplots(1, len(families), sharey=True, squeeze=False)
        for axes, family in zip(panels.flat, families, strict=True):
            rows = table[(table["transformation"] == family) & (table["scope"] == scope)]
            draw_epochs(axes, rows.assign(score=rows[value]))
            axes.set_title(family, color=GREY, fontsize=8)
        panels[0, 0].set_ylabel(f"{'corrected score' if corrected else 'score'}, scope {scope}")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
    return figure


def draw_epochs(axes: Axes, rows: pd.DataFrame) -> None:
    """A line for each part and measure of one family and scope: the column `score` by `epoch`."""
    for (part, measure), found in rows.groupby(["part", "measure"], sort=False):
        equivariance = measure == "equivariance"
        axes.plot(
            found["epoch"], found["score"], color=PART_COLOURS[str(part)], linestyle="-" if equivariance else ":",
            marker="s" if equivariance else "o", markersize=2.5, linewidth=1.0,
            label=str(part) if equivariance else None,
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylim=(min(-0.03, axes.dataLim.y0 - 0.02), 1.03))
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.4)


def rows_of(table: pd.DataFrame, scope: str, transformation: str, measure: str) -> pd.DataFrame:
    """One measure's rows under one transformation or family: a row a layer of `scores`, a row a part of `parts`."""
    wanted = {"scope": scope, "transformation": transformation, "measure": measure, "alignment": "array"}
    return table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)]


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """The end of a name that is too long, which is what tells layers apart.

    >>> shortened("encoder.stages.3.mlp", longest=12)
    '…tages.3.mlp'
    """
    return name if len(name) <= longest else f"…{name[1 - longest :]}"


@contextmanager
def _style() -> Iterator[None]:
    """Our style, and no word on signs that the font lacks: a box is drawn for them, and the tables have the name."""
    with matplotlib.style.context(_STYLE, after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def _families(scores: Scores, scope: str, transformation: str | None) -> list[str]:
    known("scope", scope, SCOPES)
    if transformation is None:
        return scores.families
    return [known("transformation", transformation, list(dict.fromkeys(scores.scores["transformation"])))]


def _measures(table: pd.DataFrame, scope: str, family: str) -> Iterator[tuple[str, pd.DataFrame]]:
    return ((measure, rows_of(table, scope, family, measure)) for measure in MEASURES)


def _places(parts: Sequence[str], width: float) -> tuple[Array, list[tuple[str, float, float]]]:
    """Where along the axis each layer stands, and each part's name, left and right, with room for its name."""
    runs = [(part, len(list(run))) for part, run in groupby(parts)]
    name = 0.5  # inches
    least = name * len(parts) / (width - 1 - name * len(runs))
    places: list[float] = []
    bands = []
    left = 0.0
    for part, count in runs:
        right = left + max(count, least)
        places.extend(left + (right - left) * (place + 0.5) / count for place in range(count))
        bands.append((part, left, right))
        left = right
    return np.array(places), bands


def _panels(count: int, columns: int, width: float, height: float, below: float = 0.0) -> tuple[Plot, list[Axes]]:
    """An empty figure of so many panels, all so high in inches, with room for what stands below them."""
    lines = -(-count // columns)
    figure = Plot(figsize=(width, HEAD + lines * height + below + FOOT), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).flatten().tolist()
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count]


def _draw(
    axes: Axes, places: Array, rows: pd.DataFrame, measure: str, corrected: bool, size: float, *, joined: bool
) -> None:
    """One measure's scores, their intervals and their chance levels."""
    score, low, high = ("corrected", "corrected_low", "corrected_high") if corrected else ("score", "low", "high")
    colour = COLOURS[measure]
    ends = rows[[low, high]].to_numpy()
    known_ends = ~np.isnan(ends).any(axis=1)
    axes.vlines(
        places[known_ends], *ends[known_ends].T, color=colour, alpha=0.4, linewidth=0.6 * size, zorder=2
    )  # fmt: skip
    # Under a shift both measures are often equal: a disc inside an open square stays in sight.
    marker: dict[str, Any] = (
        {"marker": "o", "markersize": 0.8 * size, "markeredgewidth": 0, "zorder": 4}
        if measure == "invariance"
        else {"marker": "s", "markersize": 1.2 * size, "markeredgewidth": 0.8, "markerfacecolor": "none", "zorder": 3}
    )
    axes.plot(
        places, rows[score], color=colour, label=measure, linestyle="-" if joined else "none", linewidth=1.2, **marker
    )
    chance = rows["chance"].to_numpy()
    if corrected or np.isnan(chance).all():
        return
    line: dict[str, Any] = {"color": colour, "linewidth": 0.9, "zorder": 1}
    label = f"chance of {measure}"
    if joined:
        axes.plot(places, chance, linestyle=(0, (4, 2)), label=label, **line)
        bare, half, label = _bare(chance), 0.4, ""
    else:
        bare, half = ~np.isnan(chance), 0.14
    axes.hlines(
        chance[bare], places[bare] - half, places[bare] + half, linestyle=(0, (3, 1.5)), label=label, **line
    )  # fmt: skip


def _bare(values: Array) -> NDArray[np.bool_]:
    """Which values no line reaches, as both their neighbours are undefined."""
    defined = np.pad(~np.isnan(values), 1)
    bare: NDArray[np.bool_] = defined[1:-1] & ~defined[:-2] & ~defined[2:]
    return bare


def _above(axes: Axes, text: str, place: float) -> None:
    aside = ScaledTranslation(0, 3 / 72, axes.figure.dpi_scale_trans)
    axes.text(place, 1, text, transform=axes.get_xaxis_transform() + aside, ha="center", va="bottom", color=GREY)


def _name_layers(axes: Axes, places: Array, names: Sequence[str], width: float) -> None:
    """The layers' names along the axis: lying where they fit, else standing; of very many layers, only some."""
    apart = places[-1] / MOST_NAMES if len(names) > MOST_NAMES else 0.0
    named = [0]
    for number, place in enumerate(places):
        if number and place - places[named[-1]] >= apart:
            named.append(number)
    texts = [shortened(names[number]) for number in named]
    lying = 0.07 * max(map(len, texts)) * len(names) < width - 2
    axes.set_xticks(places[named], texts, rotation=0 if lying else 90)
    axes.tick_params(bottom=True, labelbottom=True)
    some = "" if len(named) == len(names) else f" ({len(named)} of {len(names)} named)"
    axes.set_xlabel(f"layer, in order of execution{some}")


def _finish(
    figure: Plot, panels: Sequence[Axes], scores: Scores, scope: str, families: Sequence[str], corrected: bool
) -> None:
    """What all panels share: one scale, a title with the legend, and in small print what is shown."""
    low = min(0.0, *(axes.dataLim.y0 for axes in panels))
    high = max(1.0, *(axes.dataLim.y1 for axes in panels))
    for axes, family in zip(panels, families, strict=True):
        axes.set_ylim(low - 0.02, high + 0.02)
        axes.set_ylabel(f"{shortened(family)}\n{'corrected score' if corrected else 'score'}")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        if low < 0:
            axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
        if _undefined(axes).all():
            axes.text(0.5, 0.5, "undefined everywhere", transform=axes.transAxes, ha="center", color=GREY)
    width, height = figure.get_size_inches()
    left, top = MARGIN / width, 1 - MARGIN / height
    gaps = any(_undefined(axes).any() for axes in panels)
    small_print = textwrap.wrap(_small_print(scores, scope, families, corrected, gaps), int(18 * width))
    foot = 0.06 + 0.11 * len(small_print)
    figure.text(left, top, _title(scores, int(10 * width)), ha="left", va="top", fontsize=10, fontweight="bold")
    figure.text(left, 0.06 / height, "\n".join(small_print), ha="left", va="bottom", fontsize=6.5, color=GREY)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(left, top - 0.22 / height),
        ncols=4, frameon=False, borderpad=0, borderaxespad=0, handlelength=2.2, columnspacing=1.5,
    )  # fmt: skip
    figure.set_layout_engine("constrained", rect=(0, foot / height, 1, 1 - (HEAD + foot) / height))


def _undefined(axes: Axes) -> NDArray[np.bool_]:
    """Which of a panel's scores are gaps."""
    drawn = [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines() if line.get_label() in MEASURES]
    gaps: NDArray[np.bool_] = np.isnan(np.concatenate(drawn))
    return gaps


def _title(scores: Scores, longest: int) -> str:
    images = scores.manifest["images"]
    counted = f", {images:,} image{'' if images == 1 else 's'}"
    model, longest = str(scores.manifest["model"]), longest - len(counted)
    return (model if len(model) <= longest else f"{model[: longest - 1]}…") + counted


def _small_print(scores: Scores, scope: str, families: Sequence[str], corrected: bool, gaps: bool) -> str:
    options = scores.manifest["options"]
    members = [member for family in families for member in options["transformations"].get(family, [family])]
    meaning = {"dataset": "all images together", "image": "each image by itself, then the mean"}
    said = {
        f"scope {scope} ({meaning[scope]})": True,
        f"similarity {options['similarity']}": True,
        f"fill {options['fill']}": any(member.startswith("shift(") for member in members),
        "invariance without moving the features (strict)": options["strict"],
        "corrected for chance: 0 is chance, 1 the most": corrected,
        "bars: 95 % intervals": options["intervals"],
        "gaps: undefined": gaps,
    }
    return "; ".join(text for text, holds in said.items() if holds)
