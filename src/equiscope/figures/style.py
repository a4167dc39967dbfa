"""How every figure is drawn: one style, one colour for each measure and part, intervals and chance always alike."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from equiscope.functional.statistics import Array
from equiscope.results.scores import value_columns
from equiscope.system.files import replacing

ONE_COLUMN, TWO_COLUMNS = 3.4, 7.0  # inches: the widths of figures in most journals and proceedings
DPI = 200

# Okabe and Ito's palette, apart for every eye; its yellow is too pale for lines on white.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, BLACK = "#56B4E9", "#CC79A7", "#000000"
GREY, PALE = "#595959", "#F0F0F0"
HEAT = "cividis"  # as light as it is high, for every eye and in grey

Line = Literal["-"] | tuple[float, tuple[float, ...]]
DOTTED: Line = (0.0, (1.0, 1.2))
DASHED: Line = (0.0, (4.0, 2.0))

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlecolor": GREY,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "lines.scale_dashes": True,
    "grid.color": "#E0E0E0",
    "grid.linewidth": 0.4,
    "text.parse_math": False,  # a layer may be called $x_1$
    "pdf.fonttype": 42,  # fonts as TrueType: journals refuse Type 3
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "equiscope",  # so that the same picture is the same file
}
_SAME_BYTES: dict[str, dict[str, Any]] = {  # what tells the time of day is left out
    "pdf": {"metadata": {"CreationDate": None}},
    "svg": {"metadata": {"Date": None}},
    "png": {"pil_kwargs": {"optimize": True}},
}


@contextmanager
def drawing() -> Iterator[None]:
    """The style of all figures, whatever the user's own; nothing of it is left behind.

    Of signs that the font lacks no word is said: a box is drawn for them, and the tables have the name.
    """
    with matplotlib.style.context(_STYLE, after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


class Plot(Figure):
    """A figure that needs no pyplot and heeds no style of the user's: the same picture on every machine."""

    def savefig(self, fname: Any, **options: Any) -> None:
        """Write the figure to a file, its text as text; the same figure gives the same bytes at any time."""
        kind = options.get("format") or Path(str(fname)).suffix.removeprefix(".") or "png"
        with drawing():
            super().savefig(fname, **{"dpi": DPI} | _SAME_BYTES.get(kind.lower(), {}) | options)

    def save(self, path: str | Path) -> list[Path]:
        """Write the figure to a `.pdf` or a `.png`, or, where the path names no kind, to both; what was written.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [file.name for file in Plot(figsize=(1, 1)).save(f"{folder}/empty")]
        ['empty.pdf', 'empty.png']
        """
        written = files_for(path)
        for file in written:
            content = getattr(self, file.suffix[1:].lower())()
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as aside:
                aside.write_bytes(content)
        return written

    def png(self, dpi: int = DPI) -> bytes:
        """The figure as the bytes of a PNG file."""
        return self._bytes("png", dpi)

    def pdf(self) -> bytes:
        """The figure as the bytes of a PDF file, its fonts embedded as TrueType."""
        return self._bytes("pdf")

    def _bytes(self, kind: str, dpi: int = DPI) -> bytes:
        stream = BytesIO()
        self.savefig(stream, format=kind, dpi=dpi)
        return stream.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()  # so that a notebook shows it, pyplot or not


def files_for(path: str | Path) -> list[Path]:
    """The files that a figure saved to a path is written to; ValueError where it is to be neither PDF nor PNG."""
    path = Path(path).expanduser()
    if path.suffix.lower() in (".pdf", ".png"):
        return [path]
    if path.suffix.lower() in (".svg", ".eps", ".ps", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".gif"):
        raise ValueError(f"A figure is written as .pdf or .png, or both, but not as {path.suffix}: {path.name}.")
    return [path.with_name(path.name + suffix) for suffix in (".pdf", ".png")]


@dataclass(frozen=True)
class Look:
    """How one series of scores looks: told apart by its colour, and without colour by its marker and line."""

    colour: str
    marker: str
    line: Line = "-"
    filled: bool = True

    def marked(self, size: float) -> dict[str, Any]:
        """What `Axes.plot` is told; an open marker is larger, so that a filled one stays in sight inside it."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "markersize": (0.75 if self.filled else 1.1) * size,
            "markeredgewidth": 0 if self.filled else 0.16 * size,
            "markerfacecolor": self.colour if self.filled else "none",
            "zorder": 3 if self.filled else 4,
        }


MEASURE_COLOURS = {"invariance": BLUE, "equivariance": VERMILION}
MEASURE_LOOKS = {
    "invariance": Look(BLUE, "o", DOTTED, filled=False),
    "equivariance": Look(VERMILION, "s"),
}
PART_COLOURS = {"early": SKY, "middle": GREEN, "late": ORANGE, "pool": PURPLE, "final": BLACK}
PART_LOOKS = {
    part: Look(colour, marker)
    for (part, colour), marker in zip(PART_COLOURS.items(), ("o", "s", "^", "D", "v"), strict=True)
}
# Of networks, results, conditions, chosen layers: whatever else stands side by side.
SERIES_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, BLACK)
_SERIES_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")


def series_look(number: int) -> Look:
    """The look of the series of a number; the first 70 are all different."""
    return Look(SERIES_COLOURS[number % len(SERIES_COLOURS)], _SERIES_MARKERS[number % len(_SERIES_MARKERS)])


# --- marks


def draw_scores(
    axes: Axes,
    places: NDArray[Any],
    rows: pd.DataFrame,
    look: Look,
    *,
    corrected: bool = False,
    joined: bool = True,
    size: float = 5.0,
    aside: float = 0.0,
    half: float = 0.14,
    label: str = "",
    chance_label: str = "",
) -> None:
    """One series: its scores, their intervals and their chance levels, as rows of a table have them.

    An undefined score is a gap. `aside` moves all by so many points, so that several series keep their true places;
    `half` is as in `draw_chance`.
    """
    score, low, high = value_columns(corrected)
    draw_intervals(axes, places, rows[low], rows[high], look.colour, width=0.32 * size, aside=aside)
    axes.plot(
        places, rows[score], transform=_moved(axes, aside), label=label or "_score",
        linestyle=look.line if joined else "none", linewidth=1.2, **look.marked(size),
    )  # fmt: skip
    if not corrected:
        chance = rows["chance"].to_numpy(dtype=float)
        draw_chance(axes, places, chance, look.colour, joined=joined, half=half, aside=aside, label=chance_label)


def draw_intervals(
    axes: Axes, places: Any, low: Any, high: Any, colour: str, *, width: float = 1.6, aside: float = 0.0
) -> None:
    """A pale bar from the low to the high end of each interval that is defined."""
    at, low, high = (np.asarray(values, dtype=float) for values in (places, low, high))
    known = ~np.isnan(low) & ~np.isnan(high)
    if known.any():  # a collection of no lines has no place, and layouts fail on it
        axes.vlines(
            at[known], low[known], high[known], transform=_moved(axes, aside), color=colour, alpha=0.45,
            linewidth=width, zorder=2,
        )  # fmt: skip


def draw_chance(
    axes: Axes,
    places: NDArray[Any],
    chance: Array,
    colour: str,
    *,
    joined: bool,
    half: float | tuple[float, float] = 0.14,
    aside: float = 0.0,
    label: str = "",
) -> None:
    """Chance levels: a thin dashed line through them; a dash for each where they are not joined, or stand alone.

    `half` is how far a dash reaches to either side, or to the left and to the right.
    """
    if np.isnan(chance).all():
        return
    transform = _moved(axes, aside)
    line: dict[str, Any] = {"color": colour, "linewidth": 0.8, "zorder": 1, "transform": transform}
    if joined:
        axes.plot(places, chance, linestyle=DASHED, label=label or "_chance", **line)
        alone, half, label = _alone(chance), (0.4, 0.4), ""
    else:
        alone = ~np.isnan(chance)
    left, right = (half, half) if isinstance(half, float) else half
    if alone.any():
        axes.hlines(
            chance[alone], places[alone] - left, places[alone] + right, linestyle=(0, (3, 1.5)), label=label, **line
        )


def draw_nothing(axes: Axes) -> None:
    """The sentence of a panel in which nothing is defined."""
    axes.text(0.5, 0.5, "undefined everywhere", transform=axes.transAxes, ha="center", va="center", color=GREY)


def _alone(values: Array) -> NDArray[np.bool_]:
    """Which values no line reaches, as both their neighbours are undefined."""
    defined = np.pad(~np.isnan(values), 1)
    alone: NDArray[np.bool_] = defined[1:-1] & ~defined[:-2] & ~defined[2:]
    return alone


def _moved(axes: Axes, aside: float) -> Any:
    """The data's transform, moved to the right by so many points."""
    if not aside:
        return axes.transData
    return axes.transData + ScaledTranslation(aside / 72, 0, axes.figure.dpi_scale_trans)


def asides(count: int, apart: float) -> Sequence[float]:
    """How many points each of so many series stands aside, the middle one not at all.

    >>> asides(3, 2.0)
    [-2.0, 0.0, 2.0]
    """
    return [apart * (number - (count - 1) / 2) for number in range(count)]


LEGEND: dict[str, Any] = {"borderpad": 0, "handlelength": 2.2, "columnspacing": 1.5, "labelspacing": 0.35}


def legend_columns(labels: Sequence[str], width: float) -> int:
    """The most columns of entries of such a `LEGEND` that fit into so many inches."""
    for columns in range(len(labels), 1, -1):
        parts = np.array_split([0.48 + 0.052 * len(label) for label in labels], columns)
        if sum(part.max() for part in parts) <= width:
            return columns
    return 1
