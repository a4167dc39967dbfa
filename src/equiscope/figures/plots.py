"""Scores as figures: by layer, part, transformation, channel and epoch, and several results side by side.

Every score drawn stands in a table. All functions take the same options: the `scope`; one `transformation` or family
of those measured, by default every family; `corrected`, for the scores corrected for chance; one `measure`, by default
both; the `alignment`, "array" or "registered"; and `caption=False`, for a figure without title and small print, under
which a paper sets its own. A score that is undefined is a gap.
"""

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from equiscope.figures.style import (
    DASHED,
    GREY,
    HEAT,
    LEGEND,
    MEASURE_COLOURS,
    MEASURE_LOOKS,
    ONE_COLUMN,
    PALE,
    PART_LOOKS,
    TWO_COLUMNS,
    Look,
    Plot,
    asides,
    draw_chance,
    draw_nothing,
    draw_scores,
    drawing,
    legend_columns,
    series_look,
)
from equiscope.functional import statistics
from equiscope.functional.statistics import Array
from equiscope.functional.transformations import known
from equiscope.networks.layers import PARTS
from equiscope.results.scores import MEASURES, SCOPES, Scores, families_in_common

MOST_NAMES = 40  # along the axis; of more layers, only some are named
LONGEST_NAME = 32  # characters
MOST_LINES = 10  # layers, each a line; of more, no eye follows one
ROOM_FOR_VIOLIN, ROOM_FOR_BARS = 0.13, 0.08  # inches that a layer needs along the axis
TITLE, LEGEND_LINE, FOOT, MARGIN = 0.24, 0.16, 0.2, 0.08  # inches: of the head, the small print, and what is left free
BY = ("part", "depth")


def plot_layers(
    scores: Scores,
    scope: str = "dataset",
    transformation: str | None = None,
    corrected: bool = False,
    *,
    measure: str | None = None,
    alignment: str = "array",
    caption: bool = True,
) -> Plot:
    """Invariance and equivariance of every layer in order of execution, with their intervals and chance levels.

    A panel for each family, or for the one `transformation` or family named. `corrected` draws the scores corrected
    for chance. An undefined score is a gap.
    """
    asked = _Asked(scope, transformation, corrected, measure, alignment)
    families = asked.families(scores)
    names = list(scores.layers["layer"])
    size = float(np.clip(190 / len(names), 1.5, 5))
    with drawing():
        figure, panels, places = _layer_panels(scores.layers, len(families), 1.7)
        for axes, family in zip(panels, families, strict=True):
            for one in asked.measures:
                rows = asked.rows(scores.scores, family, one).set_index("layer").reindex(names)
                draw_scores(
                    axes, places, rows, MEASURE_LOOKS[one], corrected=corrected, size=size, label=one,
                    chance_label=f"chance of {one}",
                )  # fmt: skip
            axes.set_ylabel(f"{shortened(family)}\n{asked.value}")
        _finish(figure, panels, _title(scores), _small_print(scores, asked, families, panels), caption=caption)
    return figure


def plot_parts(
    scores: Scores,
    scope: str = "dataset",
    transformation: str | None = None,
    corrected: bool = False,
    *,
    measure: str | None = None,
    alignment: str = "array",
    caption: bool = True,
) -> Plot:
    """Invariance and equivariance of every part of the network, with their intervals and chance levels.

    A panel for each family, or for the one `transformation` or family named; `corrected` as in `plot_layers`.
    """
    asked = _Asked(scope, transformation, corrected, measure, alignment)
    families = asked.families(scores)
    counts = scores.layers["part"].value_counts()
    parts = [part for part in PARTS if part in counts]
    aside = 0.15 if len(asked.measures) > 1 else 0.0
    with drawing():
        figure, panels = _panels(len(families), 2.0)
        for axes, family in zip(panels, families, strict=True):
            for sign, one in zip((-1, 1), asked.measures, strict=False):
                rows = asked.rows(scores.parts, family, one).set_index("part").reindex(parts)
                draw_scores(
                    axes, np.arange(len(parts)) + sign * aside, rows, MEASURE_LOOKS[one], corrected=corrected,
                    joined=False, label=one, chance_label=f"chance of {one}",
                )  # fmt: skip
            axes.set_xticks(range(len(parts)), [f"{part}\n({counts[part]})" for part in parts])
            axes.set_xlim(-0.5, len(parts) - 0.5)
            axes.set_xlabel("part (layers in it)")
            axes.set_ylabel(f"{shortened(family)}\n{asked.value}")
        _finish(figure, panels, _title(scores), _small_print(scores, asked, families, panels), caption=caption)
    return figure


def plot_transformations(
    scores: Scores,
    scope: str = "dataset",
    transformation: str | None = None,
    corrected: bool = False,
    *,
    measure: str | None = None,
    alignment: str = "array",
    layers: str | Sequence[str] | None = None,
    heatmap: bool = False,
    caption: bool = True,
) -> Plot:
    """Scores by transformation: over the pixels of a shift, over the angle of a rotation, else by name.

    A panel for each family and measure; a line for each part of the network or, where `layers` names some, for each of
    these; with intervals and chance levels. `heatmap` draws all layers, or those named, against all transformations
    instead, in colour and without intervals.
    """
    asked = _Asked(scope, transformation, corrected, measure, alignment)
    families = asked.families(scores)
    chosen = _layers(scores, layers)
    if heatmap:
        return _heatmap(scores, asked, families, chosen, caption=caption)
    if layers is not None and len(chosen) > MOST_LINES:
        raise ValueError(
            f"{len(chosen)} layers are too many for a line each; name {MOST_LINES} at most, or give heatmap=True."
        )
    by, table = ("part", scores.parts) if layers is None else ("layer", scores.scores)
    looks = (
        _looks_of_parts(scores) if layers is None else {name: series_look(place) for place, name in enumerate(chosen)}
    )
    kinds = list(product(families, asked.measures))
    with drawing():
        figure, panels = _panels(len(kinds), 1.8 + max(_standing(_members(scores, family)) for family in families))
        for axes, (family, one) in zip(panels, kinds, strict=True):
            members = _members(scores, family)
            steps, ordered = _set_steps(axes, members)
            rows = asked.rows(table, members, one)
            for aside, (name, look) in zip(asides(len(looks), 2.0), looks.items(), strict=True):
                of_name = rows[rows[by] == name].set_index("transformation").reindex(members)
                draw_scores(
                    axes, steps, of_name, look, corrected=corrected, joined=ordered, aside=aside,
                    label=shortened(name),
                )  # fmt: skip
            axes.set_title(f"{shortened(family)}: {one}")
        _name_scores(panels, asked)
        small_print = _small_print(scores, asked, families, panels)
        legend = _legend_of(looks, chance=_has_chance(scores, asked))
        _finish(figure, panels, _title(scores), small_print, legend, caption=caption)
    return figure


def plot_channels(
    scores: Scores,
    scope: str = "dataset",
    transformation: str | None = None,
    corrected: bool = False,
    *,
    measure: str | None = None,
    alignment: str = "array",
    caption: bool = True,
) -> Plot:
    """How the scores of each layer's channels are distributed, with the layer's chance level.

    A mark at the median of the layer's channels, a thick bar from the lower to the upper quartile, a thin line from the
    5th to the 95th percentile; behind them, where layers have room, the distribution itself. Of very many layers: a
    line through the medians and a band between the quartiles. A family's distribution is that of its channels under
    each of its transformations. Channels that are undefined are left out. `corrected` takes each channel's own chance.
    """
    asked = _Asked(scope, transformation, corrected, measure, alignment)
    families = asked.families(scores)
    names = list(scores.layers["layer"])
    channels = scores.channels[(scores.channels["scope"] == scope) & (scores.channels["alignment"] == alignment)]
    with drawing():
        figure, panels, places = _layer_panels(scores.layers, len(families), 1.9)
        room = (TWO_COLUMNS - 1) / float(places[-1]) if len(places) > 1 else 1.0
        for axes, family in zip(panels, families, strict=True):
            rows = channels[channels["transformation"].isin(_members(scores, family))]
            for one, (left, right) in zip(asked.measures, _sides(len(asked.measures)), strict=True):
                by_layer = _by_layer(rows, one, corrected, names)
                side = "both" if left == right else ("low" if left else "high")
                if room >= ROOM_FOR_VIOLIN:
                    _draw_violins(axes, places, by_layer, MEASURE_COLOURS[one], side)
                centre = 0.0 if room < ROOM_FOR_BARS else (right - left) / 4
                _draw_quantiles(axes, places + centre, by_layer, one, room)
                if not corrected:
                    chance = asked.rows(scores.scores, family, one).set_index("layer").reindex(names)["chance"]
                    draw_chance(
                        axes, places, chance.to_numpy(dtype=float), MEASURE_COLOURS[one], joined=room < ROOM_FOR_BARS,
                        half=(left, right), label=f"chance of {one}",
                    )  # fmt: skip
            axes.set_ylabel(f"{shortened(family)}\n{asked.value} of channels")
        shown = "medians and quartiles" if room < ROOM_FOR_BARS else "marks: medians, with quartiles and 5 to 95 %"
        small_print = _small_print(scores, asked, families, panels, shown)
        _finish(figure, panels, _title(scores), small_print, caption=caption)
    return figure


def plot_comparison(
    results: Mapping[str, Scores],
    scope: str = "dataset",
    transformation: str | None = None,
    corrected: bool = False,
    *,
    measure: str | None = None,
    alignment: str = "array",
    by: str = "part",
    caption: bool = True,
) -> Plot:
    """Several results side by side: a panel for each family that all have, and for each measure.

    `results` are scores by the name that the legend gives them. `by="part"` draws the parts of their networks with
    intervals and chance levels; `by="depth"` every layer, by its place from the first to the last before pooling, so
    that networks of different depth lie above one another. ValueError where they have no family in common.
    """
    asked = _Asked(scope, transformation, corrected, measure, alignment)
    known("by", by, BY)
    common = families_in_common(results)
    families = [
        family
        for family in common
        if transformation in (None, family) and all(family in asked.measured(scores) for scores in results.values())
    ]
    if transformation is not None and not families:
        known("transformation", transformation, common)
    if not families:
        raise ValueError(f"alignment={alignment!r} was not measured in all of the results; give alignment='array'.")
    for scores in results.values():
        asked.check(scores)
    looks = {name: series_look(place) for place, name in enumerate(results)}
    kinds = list(product(families, asked.measures))
    with drawing():
        figure, panels = _panels(len(kinds), 1.9)
        for axes, (family, one) in zip(panels, kinds, strict=True):
            draw = _draw_by_part if by == "part" else _draw_by_depth
            draw(axes, results, looks, asked, family, one)
            axes.set_title(f"{shortened(family)}: {one}")
        _name_scores(panels, asked)
        legend = _legend_of(looks, chance=any(_has_chance(scores, asked) for scores in results.values()))
        title, small_print = _told_of_all(results, asked, families, panels)
        _finish(figure, panels, title, small_print, legend, caption=caption)
    return figure


def plot_epochs(
    table: pd.DataFrame,
    scope: str = "dataset",
    transformation: str | None = None,
    corrected: bool = False,
    *,
    measure: str | None = None,
    caption: bool = True,
) -> Plot:
    """The scores of parts while a network trained, by epoch: a panel for each family.

    `table` is what `scores_at` gave at several epochs, one below the other. Equivariance is solid and its marks are
    filled; invariance is dotted, and its marks are open.
    """
    asked = _Asked(scope, transformation, corrected, measure, "array")
    families = list(dict.fromkeys(table["transformation"]))
    if transformation is not None:
        families = [known("transformation", transformation, families)]
    value = "corrected" if corrected else "score"
    with drawing():
        figure, panels = _panels(len(families), 2.0)
        for axes, family in zip(panels, families, strict=True):
            chosen = (table["transformation"] == family) & (table["scope"] == scope)
            rows = table[chosen & table["measure"].isin(asked.measures)]
            draw_epochs(axes, rows.assign(score=rows[value]))
            axes.set_title(shortened(family))
        _name_scores(panels, asked)
        parts = [part for part in PARTS if part in set(table["part"])]
        measures = {one: replace(MEASURE_LOOKS[one], colour=GREY, marker="o") for one in asked.measures}
        legend = _legend_of({part: PART_LOOKS[part] for part in parts} | measures)
        _finish(figure, panels, "", asked.in_words(), legend, caption=caption)
    return figure


KINDS: Mapping[str, Callable[..., Plot]] = {  # what a saved result, or several, can be drawn as
    "layers": plot_layers,
    "parts": plot_parts,
    "transformations": plot_transformations,
    "channels": plot_channels,
    "comparison": plot_comparison,
}


def draw_epochs(axes: Axes, rows: pd.DataFrame) -> None:
    """A line for each part and measure of one family and scope: the column `score` by `epoch`."""
    for (part, measure), found in rows.groupby(["part", "measure"], sort=False):
        of_measure = MEASURE_LOOKS[str(measure)]
        look = replace(PART_LOOKS[str(part)], line=of_measure.line, filled=of_measure.filled)
        axes.plot(
            found["epoch"], found["score"], linestyle=look.line, linewidth=1.0,
            label=str(part) if measure == "equivariance" else None, **look.marked(4.0),
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylim=(min(-0.03, axes.dataLim.y0 - 0.02), 1.03))
    axes.grid(axis="y")


def rows_of(
    table: pd.DataFrame, scope: str, transformation: str, measure: str, alignment: str = "array"
) -> pd.DataFrame:
    """One measure's rows under one transformation or family: a row a layer of `scores`, a row a part of `parts`."""
    wanted = {"scope": scope, "transformation": transformation, "measure": measure, "alignment": alignment}
    return table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)]


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """The end of a name that is too long, which is what tells layers apart.

    >>> shortened("encoder.stages.3.mlp", longest=12)
    '…tages.3.mlp'
    """
    return name if len(name) <= longest else f"…{name[1 - longest :]}"


# --- what is asked for


class _Asked:
    """The options that all functions have in common, known to be sound."""

    def __init__(
        self, scope: str, transformation: str | None, corrected: bool, measure: str | None, alignment: str
    ) -> None:
        self.scope = known("scope", scope, SCOPES)
        self.measures = MEASURES if measure is None else (known("measure", measure, MEASURES),)
        self.transformation, self.corrected, self.alignment = transformation, corrected, alignment
        self.value = "corrected score" if corrected else "score"

    def check(self, scores: Scores) -> None:
        """ValueError where the alignment or the chance levels asked for were not measured."""
        there = list(dict.fromkeys(scores.scores["alignment"]))
        if self.alignment not in there:
            raise ValueError(f"alignment={self.alignment!r} was not measured; there is {', '.join(there)}.")
        if self.corrected and not scores.manifest["options"]["chance"]:
            raise ValueError(
                "corrected=True needs chance levels, and there are none in this result; measure with them, or draw "
                "raw scores."
            )

    def measured(self, scores: Scores) -> list[str]:
        """The transformations and families that have scores of the alignment."""
        return list(dict.fromkeys(scores.scores.loc[scores.scores["alignment"] == self.alignment, "transformation"]))

    def families(self, scores: Scores) -> list[str]:
        """The one transformation or family asked for, or every family."""
        self.check(scores)
        measured = self.measured(scores)
        if self.transformation is None:
            return [family for family in scores.families if family in measured]
        return [known("transformation", self.transformation, measured)]

    def rows(self, table: pd.DataFrame, transformations: str | Sequence[str], measure: str) -> pd.DataFrame:
        """One measure's rows of a table under one transformation or several."""
        names = [transformations] if isinstance(transformations, str) else transformations
        wanted = {"scope": self.scope, "measure": measure, "alignment": self.alignment}
        chosen = (table[list(wanted)] == pd.Series(wanted)).all(axis=1)
        return table[chosen & table["transformation"].isin(names)]

    def in_words(self) -> list[str]:
        """The options as the small print tells them."""
        meaning = {"dataset": "all images together", "image": "each image by itself, then the mean"}
        told = [f"scope {self.scope} ({meaning[self.scope]})"]
        if self.alignment == "registered":
            told.append("each layer turned about its own centre (registered)")
        if self.corrected:
            told.append("corrected for chance: 0 is chance, 1 the most")
        return told


def _members(scores: Scores, family: str) -> list[str]:
    """The transformations of a family; a transformation itself."""
    return list(scores.manifest["options"]["transformations"].get(family, [family]))


def _layers(scores: Scores, wanted: str | Sequence[str] | None) -> list[str]:
    """The layers wanted, in order of execution; all of them where none is named."""
    names = list(scores.layers["layer"])
    if wanted is None:
        return names
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in wanted:
        if name not in names:
            more = f" and {len(names) - MOST_LINES} more" if len(names) > MOST_LINES else ""
            raise ValueError(f"layers={name!r} was not measured; there are {', '.join(names[:MOST_LINES])}{more}.")
    if not wanted:
        raise ValueError("layers names no layer; give names of layers, or None for the parts of the network.")
    return [name for name in names if name in wanted]


def _looks_of_parts(scores: Scores) -> dict[str, Look]:
    there = set(scores.layers["part"])
    return {part: look for part, look in PART_LOOKS.items() if part in there}


def _has_chance(scores: Scores, asked: _Asked) -> bool:
    return not asked.corrected and bool(scores.manifest["options"]["chance"])


# --- panels


def _panels(
    count: int, height: float, *, columns: int | None = None, width: float | None = None, below: float = 0.0
) -> tuple[Plot, list[Axes]]:
    """An empty figure of so many panels, each so high in inches, with room for what stands below them."""
    columns = columns or min(count, 2)
    lines = -(-count // columns)
    width = width or (ONE_COLUMN if columns == 1 else TWO_COLUMNS)
    figure = Plot(figsize=(width, lines * (height + 0.25) + below))
    panels = figure.subplots(lines, columns, squeeze=False).flatten().tolist()
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count]


def _layer_panels(layers: pd.DataFrame, count: int, height: float) -> tuple[Plot, list[Axes], Array]:
    """A figure of panels along whose axes the layers stand, with bands for the parts; and where each layer stands."""
    names = list(layers["layer"])
    width = ONE_COLUMN if len(names) <= 3 else TWO_COLUMNS
    places, bands = _places(list(layers["part"]), width)
    lying = _lie(names, width)
    below = 0.15 if lying else 0.06 * max(len(shortened(name)) for name in names)
    figure, panels = _panels(count, height - 0.25, columns=1, width=width, below=below + 0.2)
    for axes in panels:
        for number, (_, left, right) in enumerate(bands):
            axes.axvspan(left, right, color=PALE if number % 2 == 0 else "white", linewidth=0, zorder=0)
        axes.set_xlim(bands[0][1], bands[-1][2])
        axes.tick_params(bottom=False, labelbottom=False)
    for part, left, right in bands:
        _above(panels[0], part, (left + right) / 2)
    _name_layers(panels[-1], places, names, lying=lying)
    return figure, panels, places


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


def _above(axes: Axes, text: str, place: float) -> None:
    aside = ScaledTranslation(0, 3 / 72, axes.figure.dpi_scale_trans)
    axes.text(place, 1, text, transform=axes.get_xaxis_transform() + aside, ha="center", va="bottom", color=GREY)


def _lie(names: Sequence[str], width: float) -> bool:
    """Whether the layers' names fit side by side."""
    return 0.08 * max(len(shortened(name)) for name in names) * len(names) < width - 2


def _name_layers(axes: Axes, places: Array, names: Sequence[str], *, lying: bool) -> None:
    """The layers' names along the axis: lying where they fit, else standing; of very many layers, only some."""
    apart = places[-1] / MOST_NAMES if len(names) > MOST_NAMES else 0.0
    named = [0]
    for number, place in enumerate(places):
        if number and place - places[named[-1]] >= apart:
            named.append(number)
    axes.set_xticks(places[named], [shortened(names[number]) for number in named], rotation=0 if lying else 90)
    axes.tick_params(bottom=True, labelbottom=True)
    some = "" if len(named) == len(names) else f" ({len(named)} of {len(names)} named)"
    axes.set_xlabel(f"layer, in order of execution{some}")


# --- steps of a family, and a heat map of all


def _set_steps(axes: Axes, members: Sequence[str]) -> tuple[Array, bool]:
    """Where along the axis each transformation stands, which is labelled; and whether their order has a meaning."""
    angles = [re.fullmatch(r"rot(\d+)", name) for name in members]
    shifts = [re.fullmatch(r"shift\((-?\d+),(-?\d+)\)", name) for name in members]
    if all(angles):
        return _set_numbers(axes, [int(one[1]) for one in angles if one], "angle of the rotation (degrees)")
    if all(shifts):
        moves = [(int(one[1]), int(one[2])) for one in shifts if one]
        for name, step in (
            ("down and right", [down for down, right in moves if down == right]),
            ("down", [down for down, right in moves if right == 0]),
            ("right", [right for down, right in moves if down == 0]),
        ):
            if len(step) == len(moves):
                return _set_numbers(axes, step, f"shift {name} (pixels)")
    names = [shortened(name, 16) for name in members]
    axes.set_xticks(range(len(names)), names, rotation=90 if _standing(members) else 0)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xlabel("transformation")
    return np.arange(len(names), dtype=np.float64), False


def _standing(members: Sequence[str]) -> float:
    """How much height in inches the names of transformations take that do not fit side by side under a panel."""
    longest = min(16, max(map(len, members)))
    if 0.07 * longest * len(members) < ONE_COLUMN - 1 or all(name.startswith("shift(") for name in members):
        return 0.0
    return 0.06 * longest


def _set_numbers(axes: Axes, numbers: Sequence[int], label: str) -> tuple[Array, bool]:
    """Numbers along the axis, on a logarithmic scale where they are positive and lie ever further apart."""
    low, high = min(numbers), max(numbers)
    shown = sorted(set(numbers))
    if low > 0 and high >= 8 * low and len(shown) <= 2 * np.log2(high / low) + 1:
        axes.set_xscale("log", base=2)
        margin = (high / low) ** 0.06
        axes.set_xlim(low / margin, high * margin)
        if len(shown) > 10:
            shown = [number for number in shown if number & (number - 1) == 0]
    else:
        margin = 0.08 * (high - low) or 1.0
        axes.set_xlim(low - margin, high + margin)
        shown = shown[:: -(-len(shown) // 12)]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_ticks(shown, [str(number).replace("-", "−") for number in shown])
    axes.set_xlabel(label)
    return np.array(numbers, dtype=np.float64), True


def _heatmap(scores: Scores, asked: _Asked, families: Sequence[str], chosen: Sequence[str], *, caption: bool) -> Plot:
    """Layers along the axis, transformations one below the other, a panel for each measure."""
    members = [_members(scores, family) for family in families]
    names = [name for of_family in members for name in of_family]
    value = "corrected" if asked.corrected else "score"
    layers = scores.layers[scores.layers["layer"].isin(chosen)]
    with drawing():
        figure, panels, places = _layer_panels(
            layers, len(asked.measures), 0.25 + float(np.clip(0.17 * len(names), 0.8, 4.0))
        )
        tables = {
            one: asked.rows(scores.scores, names, one)
            .pivot(index="transformation", columns="layer", values=value)
            .reindex(index=names, columns=list(chosen))
            .to_numpy(dtype=float)
            for one in asked.measures
        }
        defined = np.concatenate([table[~np.isnan(table)] for table in tables.values()])
        norm = Normalize(min([0.0, *defined]), max([1.0, *defined]))
        edges = _edges(list(layers["part"]), TWO_COLUMNS if len(layers) > 3 else ONE_COLUMN)
        for axes, (one, table) in zip(panels, tables.items(), strict=True):
            axes.axvspan(
                edges[0], edges[-1], facecolor="white", edgecolor="#A6A6A6", hatch="/////", linewidth=0, zorder=0.5
            )
            axes.pcolormesh(
                edges, np.arange(len(names) + 1), np.ma.masked_invalid(table), cmap=HEAT, norm=norm,
                zorder=1, linewidth=0,
            )  # fmt: skip
            for end in np.cumsum([len(of_family) for of_family in members])[:-1]:
                axes.axhline(end, color="white", linewidth=1.5, zorder=2)
            every = -(-len(names) // 26)
            axes.set_yticks(np.arange(len(names))[::every] + 0.5, [shortened(name, 16) for name in names[::every]])
            axes.set_ylim(len(names), 0)
            axes.set_ylabel(one)
            axes.spines[:].set_visible(False)
            axes.tick_params(left=False)
        figure.colorbar(ScalarMappable(norm, HEAT), ax=panels, label=asked.value, fraction=0.03, pad=0.01, aspect=25)
        small_print = _small_print(scores, asked, families, [], intervals=False)
        if any(np.isnan(table).any() for table in tables.values()):
            small_print.append("hatched: undefined")
        _finish(figure, [], _title(scores), small_print, [], caption=caption)
    return figure


def _edges(parts: Sequence[str], width: float) -> Array:
    """Where along the axis each layer's cell begins, and where the last ends."""
    _, bands = _places(parts, width)
    counts = [len(list(run)) for _, run in groupby(parts)]
    starts = [
        np.linspace(left, right, count, endpoint=False) for (_, left, right), count in zip(bands, counts, strict=True)
    ]
    return np.append(np.concatenate(starts), bands[-1][2])


# --- channels


def _sides(count: int) -> list[tuple[float, float]]:
    """How far each measure's marks reach to the left and to the right of a layer's place."""
    return [(0.42, 0.42)] if count == 1 else [(0.42, 0.0), (0.0, 0.42)]


def _by_layer(rows: pd.DataFrame, measure: str, corrected: bool, names: Sequence[str]) -> list[Array]:
    """The defined scores of each layer's channels."""
    values = rows[measure].to_numpy(dtype=float)
    if corrected:
        values = np.asarray(statistics.corrected(values, rows[f"chance_{measure}"].to_numpy(dtype=float)))
    found = {str(name): of_layer.to_numpy() for name, of_layer in pd.Series(values).groupby(rows["layer"].to_numpy())}
    return [found[name][~np.isnan(found[name])] if name in found else np.empty(0) for name in names]


def _draw_violins(axes: Axes, places: Array, by_layer: Sequence[Array], colour: str, side: Any) -> None:
    there = [number for number, values in enumerate(by_layer) if len(values)]
    if not there:
        return
    drawn = axes.violinplot(
        [np.round(by_layer[number], 6) for number in there],  # what differs by float noise alone is one value
        positions=places[there], widths=0.84, showextrema=False, side=side,
    )  # fmt: skip
    bodies: Any = drawn["bodies"]
    for body in bodies:
        body.set(facecolor=colour, edgecolor="none", alpha=0.28, zorder=1.5)


def _draw_quantiles(axes: Axes, places: Array, by_layer: Sequence[Array], measure: str, room: float) -> None:
    nothing = np.full(5, np.nan)
    found = [np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]) if len(values) else nothing for values in by_layer]
    least, lower, median, upper, most = np.array(found).T
    there = ~np.isnan(median)
    colour, look = MEASURE_COLOURS[measure], MEASURE_LOOKS[measure]
    if room < ROOM_FOR_BARS:
        axes.fill_between(places, lower, upper, facecolor=colour, edgecolor="none", alpha=0.28, zorder=1.5)
        axes.plot(places, median, linestyle=look.line, linewidth=1.2, label=measure, **look.marked(1.5))
        return
    size = float(np.clip(12 * room, 2, 4))
    if there.any():
        for low, high, width in ((least, most, 0.2), (lower, upper, 0.55)):
            axes.vlines(places[there], low[there], high[there], color=colour, linewidth=width * size, zorder=2.5)
    marks = look.marked(size) | {"markersize": size, "markeredgewidth": 0.2 * size, "markerfacecolor": "white"}
    axes.plot(places, median, linestyle="none", label=measure, **marks | {"zorder": 4})


# --- several results


def _draw_by_part(
    axes: Axes, results: Mapping[str, Scores], looks: Mapping[str, Look], asked: _Asked, family: str, measure: str
) -> None:
    there = set().union(*(scores.layers["part"] for scores in results.values()))
    parts = [part for part in PARTS if part in there]
    apart = min(6.0, 24 / len(results))
    for aside, (name, scores) in zip(asides(len(results), apart), results.items(), strict=True):
        rows = asked.rows(scores.parts, family, measure).set_index("part").reindex(parts)
        draw_scores(
            axes, np.arange(len(parts)), rows, looks[name], corrected=asked.corrected, aside=aside, label=name
        )  # fmt: skip
    axes.set_xticks(range(len(parts)), parts)
    axes.set_xlim(-0.5, len(parts) - 0.5)
    axes.set_xlabel("part")


def _draw_by_depth(
    axes: Axes, results: Mapping[str, Scores], looks: Mapping[str, Look], asked: _Asked, family: str, measure: str
) -> None:
    """The layers before pooling from 0 to 1, joined; what comes after stands apart."""
    after = {"pool": 1.2, "final": 1.4}
    for aside, (name, scores) in zip(asides(len(results), min(5.0, 16 / len(results))), results.items(), strict=True):
        rows = asked.rows(scores.scores, family, measure)
        before = rows[~rows["part"].isin(after)]
        places = np.linspace(0, 1, len(before)) if len(before) > 1 else np.full(len(before), 0.5)
        size = float(np.clip(80 / max(len(before), 1), 2, 4.5))
        if len(before):
            draw_scores(axes, places, before, looks[name], corrected=asked.corrected, size=size, label=name)
        for part, place in after.items():
            of_part = rows[rows["part"] == part]
            if len(of_part):
                draw_scores(
                    axes, np.full(len(of_part), place), of_part, looks[name], corrected=asked.corrected, joined=False,
                    size=size, aside=aside, half=0.05, label="" if len(before) else name,
                )  # fmt: skip
    axes.set_xticks([0, 0.5, 1, *after.values()], ["first", "half", "last", *after])
    axes.set_xlim(-0.08, 1.5)
    axes.set_xlabel("layer, by its relative depth")


def _told_of_all(
    results: Mapping[str, Scores], asked: _Asked, families: Sequence[str], panels: Sequence[Axes]
) -> tuple[str, list[str]]:
    """The title and the small print of several results; what holds for some of them alone names these."""
    counts = sorted({scores.manifest["images"] for scores in results.values()})
    counted = f"{counts[0]:,} images each" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,} images"
    title = f"{len(results)} results, {counted}"
    told: dict[str, list[str]] = {}
    for name, scores in results.items():
        for text in _small_print(scores, asked, families, panels):
            told.setdefault(text, []).append(name)
    return title, [
        text if len(names) == len(results) else f"{text} ({', '.join(map(shortened, names))})"
        for text, names in told.items()
    ]


# --- what all figures share


def _legend_of(looks: Mapping[str, Look], *, chance: bool = False) -> list[Line2D]:
    handles = [
        Line2D([], [], linestyle=look.line, linewidth=1.2, label=shortened(name), **look.marked(4.5))
        for name, look in looks.items()
    ]
    return (
        [*handles, Line2D([], [], color=GREY, linestyle=DASHED, linewidth=0.8, label="chance")] if chance else handles
    )


def _finish(
    figure: Plot,
    panels: Sequence[Axes],
    title: str,
    small_print: Sequence[str],
    legend: Sequence[Any] | None = None,
    *,
    caption: bool,
) -> None:
    """What all panels share: one scale, a title with the legend, and in small print what is shown."""
    _scale(panels)
    if legend is None:
        legend = panels[0].get_legend_handles_labels()[0]
    width, height = figure.get_size_inches()
    columns = legend_columns([str(handle.get_label()) for handle in legend], width - 2 * MARGIN)
    lines = textwrap.wrap("; ".join(small_print), int(20 * width)) if caption else []
    title_height = TITLE if caption and title else 0.0
    head = MARGIN + title_height + LEGEND_LINE * -(-len(legend) // columns) + (0.05 if legend else 0.0)
    foot = 0.06 + 0.11 * len(lines)
    height += head + foot
    figure.set_size_inches(width, height)
    left, top = MARGIN / width, 1 - MARGIN / height
    if title_height:
        figure.text(left, top, _cut(title, int(10 * width)), ha="left", va="top", fontsize=10, fontweight="bold")
    if lines:
        figure.text(left, 0.06 / height, "\n".join(lines), ha="left", va="bottom", fontsize=6.5, color=GREY)
    if legend:
        figure.legend(
            handles=list(legend), loc="upper left", bbox_to_anchor=(left, top - title_height / height), ncols=columns,
            borderaxespad=0, **LEGEND,
        )  # fmt: skip
    layout = ConstrainedLayoutEngine(rect=(0, foot / height, 1, 1 - (head + foot) / height))
    layout.execute(figure)
    figure.set_layout_engine("none")  # each drawing would lay it out anew, a hair's breadth elsewhere


def _scale(panels: Sequence[Axes]) -> None:
    low = min([0.0, *(axes.dataLim.y0 for axes in panels if np.isfinite(axes.dataLim.y0))])
    high = max([1.0, *(axes.dataLim.y1 for axes in panels if np.isfinite(axes.dataLim.y1))])
    for axes in panels:
        axes.set_ylim(low - 0.02, high + 0.02)
        axes.grid(axis="y")
        if low < 0:
            axes.axhline(0, color=GREY, linewidth=0.8, zorder=1)
        if _undefined(axes).all():
            draw_nothing(axes)


def _name_scores(panels: Sequence[Axes], asked: _Asked) -> None:
    """What stands along the axes of the scores, once for each line of panels."""
    for axes in panels[:: min(len(panels), 2)]:
        axes.set_ylabel(asked.value)


def _undefined(axes: Axes) -> NDArray[np.bool_]:
    """Which of a panel's scores are gaps; scores are the lines that have marks."""
    drawn = [np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines() if line.get_marker() != "None"]
    gaps: NDArray[np.bool_] = np.isnan(np.concatenate(drawn or [np.empty(0)]))
    return gaps


def _cut(title: str, longest: int) -> str:
    """A title of at most so many characters, whose last words, the number of images, are kept.

    >>> _cut("a_very_long_name, 24 images", longest=20)
    'a_very_l…, 24 images'
    """
    name, comma, counted = title.rpartition(", ")
    longest -= len(comma + counted)
    return (name if len(name) <= longest else f"{name[: longest - 1]}…") + comma + counted


def _title(scores: Scores) -> str:
    images = scores.manifest["images"]
    return f"{scores.manifest['model']}, {images:,} image{'' if images == 1 else 's'}"


def _small_print(
    scores: Scores,
    asked: _Asked,
    families: Sequence[str],
    panels: Iterable[Axes],
    more: str = "",
    *,
    intervals: bool = True,
) -> list[str]:
    """What is shown, and by which options."""
    options = scores.manifest["options"]
    members = [member for family in families for member in _members(scores, family)]
    said = {
        f"similarity {options['similarity']}": True,
        f"fill {options['fill']}": any(member.startswith("shift(") for member in members),
        "invariance without moving the features (strict)": options["strict"],
        more: bool(more),
        "bars: 95 % intervals": options["intervals"] and intervals and not more,
        "gaps: undefined": any(_undefined(axes).any() for axes in panels),
    }
    return asked.in_words() + [text for text, holds in said.items() if holds]
