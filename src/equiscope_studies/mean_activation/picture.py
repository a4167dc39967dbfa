"""The picture of Figure 2, of saved numbers alone."""

from itertools import product

import pandas as pd
from matplotlib.figure import SubFigure

from equiscope.figures.marks import draw_chance
from equiscope.figures.style import AMBER, CRIMSON, DOTTED, GREY, PURPLE, TWO_COLUMNS, Plot, drawing
from equiscope.results.columns import SCOPES
from equiscope_studies.mean_activation.numbers import (
    MEASURES,
    PAPER,
    PAPERS_BLOCKS,
    READINGS,
    SETTINGS,
    SIMILARITIES,
    interval,
    of_blocks,
    relation,
)
from equiscope_studies.results import heading, without_frame

COLOURS = {"cosine": AMBER, "pearson": PURPLE}


def picture(table: pd.DataFrame) -> Plot:
    """The figure, of saved numbers alone."""
    with drawing():
        figure = Plot(figsize=(TWO_COLUMNS, 8.2), layout="constrained")
        top, middle, bottom = figure.subfigures(3, 1, height_ratios=(1.9, 3.9, 2.5), squeeze=False)[:, 0]
        _draw_maps(top, table)
        _draw_blocks(middle, table)
        _draw_relations(bottom, table)
    return figure


def _draw_maps(part: SubFigure, table: pd.DataFrame) -> None:
    heading(part, "a", "two random maps, and how similar they are as the mean of both moves")
    panels = part.subplots(1, 5, width_ratios=(1, 1, 1, 1, 2.1))
    maps = table[table["panel"] == "maps"]
    for axes, (mean, name) in zip(panels, product((0.0, SETTINGS.moved), ("first", "second")), strict=False):
        values = maps[maps["map"] == name].pivot(index="row", columns="column", values="value").to_numpy()
        axes.imshow(values + mean, cmap="cividis", vmin=-0.5, vmax=0.5 + SETTINGS.moved)
        without_frame(axes)
        axes.set_xlabel(f"{name}, mean {mean:g}")
    axes = panels[4]
    for similarity, word in SIMILARITIES.items():
        rows = table[(table["panel"] == "means") & (table["similarity"] == similarity)]
        axes.plot(rows["mean"], rows["value"], color=COLOURS[similarity], label=word)
        marked = rows[rows["mean"].isin((0.0, SETTINGS.moved))]
        axes.plot(marked["mean"], marked["value"], "o", color=COLOURS[similarity])
        for mean, value in zip(marked["mean"], marked["value"], strict=True):
            axes.annotate(
                f"{value:.2f}".replace("-", "−"), (mean, value), (5, -10), textcoords="offset points", fontsize=7
            )
    axes.set(xlabel="mean of both maps", ylabel="similarity", ylim=(-0.3, 1.02), xlim=(-0.03, 1.03))
    axes.legend(loc="center right", bbox_to_anchor=(1, 0.45))


def _draw_blocks(part: SubFigure, table: pd.DataFrame) -> None:
    recipe, means = table.attrs["recipe"], of_blocks(table, "activation")
    heading(part, "b", f"{recipe['network']}: scores and mean activation after each residual block")
    panels = part.subplots(len(SCOPES), len(MEASURES), sharex=True, sharey=True)
    for axes, (scope, measure) in zip(panels.flat, product(SCOPES, MEASURES), strict=True):
        for _, stage in means.groupby("stage"):
            axes.axvline(stage["place"].iloc[0] - 0.5, color="#D9D9D9", linewidth=0.6)
        for similarity, word in SIMILARITIES.items():
            rows = of_blocks(table, measure, scope, similarity)
            colour = COLOURS[similarity]
            axes.fill_between(rows["place"], rows["low"], rows["high"], color=colour, alpha=0.25, linewidth=0)
            axes.plot(rows["place"], rows["value"], "o-", color=colour, markersize=2.5, label=word)
            chance = rows["chance"].to_numpy(dtype=float)
            draw_chance(axes, rows["place"].to_numpy(), chance, colour, joined=True, label=f"chance of {word}")
        axes.set_title(f"{measure}, {scope}", color=GREY, pad=3, fontsize=6.5)
        behind = axes.twinx()
        behind.plot(means["place"], means["value"], color=CRIMSON, linestyle=DOTTED, label="mean activation")
        behind.set_ylim(0, 1.1 * means["value"].max())
        behind.spines["right"].set_visible(True)
        behind.tick_params(axis="y", colors=CRIMSON, labelright=measure == MEASURES[-1])
        behind.set_ylabel("mean activation" if measure == MEASURES[-1] else "", color=CRIMSON)
    panels[0, 0].set(ylim=(0, 1), xticks=[1, *means.groupby("stage")["place"].max()])
    for axes in panels[:, 0]:
        axes.set_ylabel(f"score under {recipe['transformation']}")
    for axes in panels[1]:
        axes.set_xlabel("residual block")
    handles = [*panels[0, 0].get_legend_handles_labels()[0], *behind.get_lines()]
    part.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _draw_relations(part: SubFigure, table: pd.DataFrame) -> None:
    heading(part, "c", "correlation, over the blocks, of the score with the mean activation")
    axes = part.subplots()
    names = ["the paper", *(", ".join(reading) for reading in READINGS)]
    for aside, similarity in ((-0.15, "cosine"), (0.15, "pearson")):
        colour, papers = COLOURS[similarity], PAPER[similarity]
        found = [relation(table, "score", *reading, similarity) for reading in READINGS]
        rows = [(papers, *interval(papers, PAPERS_BLOCKS)), *((row["value"], row["low"], row["high"]) for row in found)]
        for place, (value, low, high) in enumerate(rows):
            axes.plot([low, high], [place + aside] * 2, color=colour, alpha=0.5)
            axes.plot(value, place + aside, "o", color=colour, markerfacecolor="white" if place == 0 else colour)
            end, offset, side = (high, 4, "left") if similarity == "cosine" else (low, -4, "right")
            axes.annotate(
                f"{value:.2f}".replace("-", "−"), (end, place + aside), (offset, 0), textcoords="offset points",
                fontsize=7, color=colour, ha=side, va="center",
            )  # fmt: skip
        axes.plot([], [], "o-", color=colour, label=SIMILARITIES[similarity])
    axes.axvline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5), xlim=(-0.95, 1.08))
    axes.set_xlabel("r and its 95 % confidence interval")
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.82))
