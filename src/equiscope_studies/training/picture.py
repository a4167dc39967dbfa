"""The pictures of a training study, of saved numbers alone."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from equiscope.figures.marks import draw_chance, draw_intervals
from equiscope.figures.style import (
    DASHED,
    GREY,
    LEGEND,
    MEASURE_LOOKS,
    TWO_COLUMNS,
    Look,
    Plot,
    drawing,
    legend_in_lines,
    series_look,
)
from equiscope.results.columns import LADDER, PARTS, SCOPES
from equiscope.results.rows import measures_in
from equiscope.results.shares import COLOURS, REST, SHARES, divided
from equiscope_studies.training.effects import families_in
from equiscope_studies.training.presets import Study
from equiscope_studies.training.seeds import LEAST_FOR_BARS, mean


@dataclass(frozen=True)
class Panel:
    """What one panel of the picture shows."""

    value: str  # "score", or "explained": the share of variance
    scope: str
    family: str
    on: str

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows that it shows."""
        chosen = {"transformation": self.family, "on": self.on, "scope": self.scope}
        return table[(table[list(chosen)] == pd.Series(chosen)).all(axis=1)]

    def measures(self, table: pd.DataFrame) -> list[str]:
        """The measures that it shows: of a score, the paper's two."""
        found = measures_in(table) if len(table) else []
        return found if self.value == "explained" else [measure for measure in found if measure in LADDER[:2]]


def panels_of(table: pd.DataFrame) -> list[list[Panel]]:
    """A line a scope of the score, and one of the variance explained; a column a family and data set measured on.

    Of a single family and data set, the lines stand side by side.
    """
    columns = list(product(families_in(table), dict.fromkeys(table["on"])))
    scopes = [scope for scope in SCOPES if scope in set(table["scope"])]
    lines = [
        [Panel(value, scope, family, on) for family, on in columns]
        for value, scope in (*product(("score",), scopes), ("explained", "dataset"))
    ]
    return lines if len(columns) > 1 else [[panel for line in lines for panel in line]]


def picture(study: Study, table: pd.DataFrame) -> Plot:
    """The figure: every condition's scores by part or layer, the mean over seeds and each seed."""
    conditions = study.conditions(table["condition"])
    places = _places(study, table)
    lines = panels_of(table)
    with drawing():
        width = 3.4 * len(lines[0])
        figure = Plot(figsize=(width, 2 * len(lines) + 0.6), layout="constrained")
        panels = figure.subplots(len(lines), len(lines[0]), sharex=True, sharey=True, squeeze=False)
        for number, line in enumerate(lines):
            for axes, panel in zip(panels[number], line, strict=True):
                rows = panel.of(table)
                for place, condition in enumerate(conditions):
                    aside = 0.5 * ((place + 0.5) / len(conditions) - 0.5)
                    of_condition = rows[rows["condition"] == condition]
                    for measure in panel.measures(rows):
                        series = of_condition[of_condition["measure"] == measure]
                        _draw(axes, series, places, panel, series_look(place).colour, MEASURE_LOOKS[measure], aside)
                axes.set_xticks(range(len(places)), [shown for _, shown in places], fontsize=6)
                axes.set(xlim=(-0.5, len(places) - 0.5), ylim=(min(-0.03, axes.dataLim.y0 - 0.02), 1.03))
                axes.grid(axis="y")
                if number == 0:
                    axes.set_title(f"{panel.family}, {panel.on}", color=GREY)
                if axes is panels[number][0] or len(lines) == 1:
                    axes.set_ylabel(f"{panel.value}, scope {panel.scope}")
        handles = _legend(conditions.values(), measures_in(table))
        figure.legend(loc="outside lower center", **legend_in_lines(handles, width - 0.4))
    return figure


def picture_of_effects(study: Study, found: pd.DataFrame) -> Plot:
    """The difference that each condition makes, part by part: a panel a family; `found` as `effects` gives it."""
    families = list(dict.fromkeys(found["family"]))
    conditions = study.conditions(found["condition"])
    colours = {one: series_look(place).colour for place, one in enumerate(conditions, 1)}  # as in the other figure
    with drawing():
        figure = Plot(figsize=(7, 0.5 + 1.9 * len(families)), layout="constrained")
        panels = figure.subplots(len(families), 1, sharex=True, squeeze=False)[:, 0]
        for axes, family in zip(panels, families, strict=True):
            for place, condition in enumerate(conditions):
                aside = 0.7 * ((place + 0.5) / len(conditions) - 0.5)
                rows = found[(found["family"] == family) & (found["condition"] == condition)]
                _draw_effects(axes, rows, colours[condition], aside)
            axes.axhline(0, color=GREY, linewidth=0.6, zorder=1)
            axes.set_xticks(range(len(PARTS)), PARTS)
            axes.set(ylabel="difference of equivariance", xlim=(-0.5, len(PARTS) - 0.5))
            axes.set_title(family, color=GREY)
            axes.grid(axis="y")
        handles = [Line2D([], [], color=colours[one], marker="o", markersize=3.5, linestyle="none", label=name)
                   for one, name in conditions.items()]  # fmt: skip
        figure.legend(loc="outside lower center", **legend_in_lines(handles, 6.6))
    return figure


def _draw_effects(axes: Axes, rows: pd.DataFrame, colour: str, aside: float) -> None:
    """The differences of one condition, filled where they are none of chance."""
    at = [PARTS.index(part) + aside for part in rows["part"]]
    draw_intervals(axes, at, rows["low"].to_numpy(float), rows["high"].to_numpy(float), colour)
    for place, value, differs in zip(at, rows["value"], rows["differs"], strict=True):
        filled = colour if differs else "white"
        axes.plot(
            place, value, "o", color=colour, markersize=3.8, markeredgewidth=0.8, markerfacecolor=filled, zorder=3
        )  # fmt: skip


def _legend(conditions: Any, measures: Sequence[str]) -> list[Line2D]:
    handles = [Line2D([], [], color=series_look(number).colour, label=name) for number, name in enumerate(conditions)]
    for measure in measures:
        look = MEASURE_LOOKS[measure]
        handles.append(
            Line2D([], [], color=GREY, linestyle=look.line, marker=look.marker, markersize=3, label=measure,
                   markerfacecolor=GREY if look.filled else "white")
        )  # fmt: skip
    return [*handles, Line2D([], [], color=GREY, linestyle=DASHED, linewidth=0.8, label="chance of equivariance")]


def _places(study: Study, table: pd.DataFrame) -> list[tuple[str, str]]:
    """What stands along the axis: the value of the column `layer` or `part`, and what it is called there."""
    if study.by == "part":
        return [(part, part) for part in PARTS if part in set(table["part"])]
    layers = list(dict.fromkeys(table["layer"].dropna()))
    return [(layer, layer.rpartition(".")[2].removeprefix("layer").replace("linear", "final")) for layer in layers]


def _draw(
    axes: Axes,
    rows: pd.DataFrame,
    places: Sequence[tuple[str, str]],
    panel: Panel,
    colour: str,
    look: Look,
    aside: float,
) -> None:
    """The mean over seeds, each seed as a dot, t-intervals, and the chance level of equivariance."""
    by_layer = places[0][0] not in PARTS
    column = "layer" if by_layer else "part"
    rows = rows[rows["layer"].notna() if by_layer else rows["layer"].isna()]
    names = [place for place, _ in places]
    wide = rows.pivot(index=column, columns="seed", values=panel.value).reindex(names)
    at = np.arange(len(places)) + aside
    means = [mean(line[~np.isnan(line)]) for line in wide.to_numpy(dtype=float)]
    axes.plot(
        at, [one.value for one in means], color=colour, linestyle=look.line, linewidth=0.9, marker=look.marker,
        markersize=3, markeredgewidth=0.7, markerfacecolor=colour if look.filled else "white", zorder=3,
    )  # fmt: skip
    for seed in wide:
        axes.plot(at, wide[seed], ".", color=colour, markersize=1.8, alpha=0.6, zorder=2)
    ends = [(one.low, one.high) if one.seeds >= LEAST_FOR_BARS else (np.nan, np.nan) for one in means]
    low, high = np.array(ends).T
    draw_intervals(axes, at, low, high, colour)
    if panel.value == "score" and look is MEASURE_LOOKS["equivariance"]:
        chance = rows.groupby(column, sort=False)["chance"].mean().reindex(names)
        draw_chance(axes, at, chance.to_numpy(dtype=float), colour, joined=False, half=0.06)


def picture_of_epochs(study: Study, table: pd.DataFrame) -> Plot:
    """What stays, swaps, mixes and is lost while the networks trained: a row a part, a column a condition, by epoch.

    Under rotations where they were measured, else under the first family; shares of the mean over seeds.
    """
    names = study.conditions(table["condition"])
    rows = maps_by_epoch(table)
    parts = [part for part in PARTS if part in set(rows["part"])]
    measures = measures_in(rows)
    shares = [*SHARES[: len(measures)], SHARES[-1] if "linear" in measures else REST]
    with drawing():
        figure = Plot(figsize=(TWO_COLUMNS, 0.7 + 1.15 * len(parts)), layout="constrained")
        panels = figure.subplots(len(parts), len(names), sharex=True, sharey=True, squeeze=False)
        for (part, condition), axes in zip(product(parts, names), panels.flat, strict=True):
            its = rows[(rows["part"] == part) & (rows["condition"] == condition)]
            wide = its.pivot_table(index="epoch", columns="measure", values="explained").reindex(columns=measures)
            axes.stackplot(wide.index, divided(wide.to_numpy().T), colors=[COLOURS[one] for one in shares], linewidth=0)
            axes.set(xlim=(0, rows["epoch"].max()), ylim=(0, 1))
        for axes, name in zip(panels[0], names.values(), strict=True):
            axes.set_title(wrapped(name), fontsize=7)
        for axes, part in zip(panels[:, 0], parts, strict=True):
            axes.set_ylabel(part)
        for axes in panels[-1]:
            axes.set_xlabel("epoch")
        handles = [Patch(facecolor=COLOURS[one], edgecolor=GREY, linewidth=0.4, label=one) for one in shares]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), **LEGEND)
    return figure


def maps_by_epoch(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of feature maps under the one family that is shown by epoch."""
    there = list(dict.fromkeys(table["transformation"]))
    family = "rotations" if "rotations" in there else str(there[0])
    return table[(table["transformation"] == family) & (table["scope"] == "dataset") & table["part"].isin(PARTS[:3])]


def wrapped(name: str) -> str:
    """A condition's name in lines of a narrow column."""
    return "\n".join(textwrap.wrap(name, 12))
