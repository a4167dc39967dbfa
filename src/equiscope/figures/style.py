"""How every figure looks: one style, and one colour and marker for each measure and part."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
from matplotlib.figure import Figure

from equiscope.results import shares
from equiscope.results.columns import LADDER, PARTS
from equiscope.results.measures import TABLE
from equiscope.system.files import path_of, refuse_place, replacing

ONE_COLUMN, TWO_COLUMNS = 3.4, 7.0  # inches: the widths of figures in most journals and proceedings
DPI = 200

# Every colour has one meaning in all figures: a measure (with its share of the variance, in a lighter tone), a part of
# the network (from light to dark in order of execution), or one of several results. All are distinct from one another
# for every kind of colour vision. Those of the measures are in their table.
GREENS = ("#7FC9B0", "#3FA488", "#177A62", "#0C5041", "#04241D")  # of the parts
PURPLE, AMBER, SKY, CRIMSON, VIOLET, PINK, BLACK = (  # of results
    "#6A1B9A", "#E0A100", "#5DB7E8", "#C2185B", "#7A5CFF", "#EE7FC4", "#000000",
)  # fmt: skip
GREY, PALE = "#595959", "#F0F0F0"
HEAT = "cividis"  # as light as it is high, for every eye and in grey

Line = Literal["-"] | tuple[float, tuple[float, ...]]
DOTTED: Line = (0.0, (1.0, 1.2))
DASHED: Line = (0.0, (4.0, 2.0))
LONG_DASHED: Line = (0.0, (10.0, 2.5))

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
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
    "png": {"metadata": {"Software": "equiscope"}, "pil_kwargs": {"optimize": True}},
}


@contextmanager
def drawing() -> Iterator[None]:
    """The style of all figures, whatever the user's own, which is restored afterwards.

    There is no warning of characters that the font lacks: a box is drawn for them, and the tables have the name.
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
            refuse_place(file)
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
    path = path_of(path)
    if path.name in ("", ".."):
        raise ValueError(f"{str(path)!r} is a folder, and a figure is a file; give a name such as figure.pdf.")
    if path.suffix.lower() in (".pdf", ".png"):
        return [path]
    if path.suffix.lower() in (".svg", ".eps", ".ps", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".gif"):
        raise ValueError(f"A figure is written as .pdf or .png, or both, but not as {path.suffix}: {path.name}.")
    return [path.with_name(path.name + suffix) for suffix in (".pdf", ".png")]


@dataclass(frozen=True)
class Look:
    """How one series of scores looks: distinct by its colour, and without colour by its marker and line."""

    colour: str
    marker: str
    line: Line = "-"
    filled: bool = True

    def marked(self, size: float) -> dict[str, Any]:
        """The options of `Axes.plot`; an open marker is larger, so that a filled one inside it stays visible."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "markersize": (0.75 if self.filled else 1.1) * size,
            "markeredgewidth": 0 if self.filled else 0.16 * size,
            "markerfacecolor": self.colour if self.filled else "none",
            "zorder": 3 if self.filled else 4,
        }


MEASURE_LOOKS = {
    name: Look(its.colour, its.marker, (0.0, its.dashes) if its.dashes else "-", its.filled)
    for name, its in TABLE.items()
}
MEASURE_COLOURS = {measure: look.colour for measure, look in MEASURE_LOOKS.items()}
# What the variance of a layer divides into, each share by the measure whose explained variance is its upper border.
SHARES = dict(zip(LADDER, shares.SHARES, strict=False))
SHARES_IN_FULL = {measure: shares.MEANINGS[share] for measure, share in SHARES.items()}
LOST, REST = shares.MEANINGS["lost"], shares.MEANINGS[shares.REST]  # above the uppermost border
LOST_COLOUR = shares.COLOURS["lost"]
PART_COLOURS = dict(zip(PARTS, GREENS, strict=True))
PART_LOOKS = {
    part: Look(colour, marker)
    for (part, colour), marker in zip(PART_COLOURS.items(), ("o", "s", "^", "D", "v"), strict=True)
}
# Of networks, results, conditions, chosen layers: of whatever else is drawn side by side.
SERIES_COLOURS = (PURPLE, AMBER, SKY, CRIMSON, VIOLET, PINK, BLACK)
_SERIES_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")


def series_look(number: int) -> Look:
    """The look of the series of a number; the first 70 are all different."""
    return Look(SERIES_COLOURS[number % len(SERIES_COLOURS)], _SERIES_MARKERS[number % len(_SERIES_MARKERS)])


LEGEND: dict[str, Any] = {"borderpad": 0, "handlelength": 2.2, "columnspacing": 1.5, "labelspacing": 0.35}


def legend_in_lines(handles: Sequence[Any], width: float) -> dict[str, Any]:
    """What `figure.legend` takes for entries read line by line, in the most columns that fit into so many inches."""
    labels = [str(handle.get_label()) for handle in handles]
    for columns in range(len(labels), 1, -1):
        widest = [max(0.48 + 0.056 * len(label) for label in labels[column::columns]) for column in range(columns)]
        if sum(widest) <= width:
            break
    else:
        columns = 1
    by_column = [one for column in range(columns) for one in handles[column::columns]]
    return {"handles": by_column, "ncols": columns, **LEGEND}
