"""Figure 4: does accuracy go with learned equivariance?

The paper (section 4.2) correlates, over six networks, the ranks of their scores in each part with the ranks of their
ImageNet accuracy. Here the same is done in every reading of a score, with an exact p-value, and with the range that rho
takes as the scores move within their 95 % confidence intervals. The seed draws the moved scores. Seconds, once
the networks are measured.
"""

from itertools import permutations, product
from math import factorial
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy import stats

from equiscope.figures.marks import draw_intervals
from equiscope.figures.style import GREY, LOST, MEASURE_LOOKS, TWO_COLUMNS, Look, Plot, drawing
from equiscope.results.columns import PARTS, SCOPES
from equiscope.results.rows import measures_in
from equiscope_studies.results import markdown, recipe_in_words
from equiscope_studies.survey.architectures import verdict_table
from equiscope_studies.survey.claims import FIGURE4_RULES, SIGNIFICANT, verdicts_on_accuracy
from equiscope_studies.survey.measuring import GIVEN
from equiscope_studies.survey.scores import of_families, variants

Array = NDArray[np.float64]
MOST_ENUMERATED = 8  # networks; of more, so many orders are drawn
ORDERS = 100_000
LOST_LOOK = Look(GREY, "X")
DRAWS = 2000  # of the scores within their intervals
NORMAL = 1.96


class Correlation(NamedTuple):
    """Spearman's rho, its two-sided permutation p-value, and the least that this could be for so many networks."""

    rho: float
    p: float
    least_p: float


def spearman(x: Shaped[np.ndarray, "network"], y: Shaped[np.ndarray, "network"], seed: int = 0) -> Correlation:
    """Spearman's rank correlation of `x` and `y`, with its exact p-value: ties share their mean rank.

    The p-value is the part of all orders of `y` whose rho is at least as far from 0; of more than 8 values, of 100,000
    orders drawn by the seed and the one at hand. NaN where one side is all equal, or has a NaN.

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0]))
    Correlation(rho=0.5, p=1.0, least_p=0.3333333333333333)
    """
    count = len(x)
    least = 2 / factorial(count)
    if np.isnan(x).any() or np.isnan(y).any() or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(np.nan, np.nan, least)
    first, second = (stats.rankdata(values) - (count + 1) / 2 for values in (x, y))
    length = np.sqrt((first @ first) * (second @ second))
    rho = float(first @ second / length)
    if count <= MOST_ENUMERATED:
        orders = np.array(list(permutations(second)))
    else:
        generator = np.random.default_rng(seed)
        orders = np.vstack([second, generator.permuted(np.tile(second, (ORDERS, 1)), axis=1)])
    extreme = np.abs(orders @ first / length) >= abs(rho) - 1e-9
    return Correlation(rho, float(extreme.mean()), least)


def swap(count: int) -> tuple[float, float]:
    """By how much rho moves, at least and at most, as two networks of neighbouring accuracy change places.

    Their ranks of score may be 1 to `count - 1` apart: `12 apart / (count (count^2 - 1))`.

    >>> [round(change, 3) for change in swap(6)]
    [0.057, 0.286]
    """
    one = 12 / (count * (count**2 - 1))
    return one, one * (count - 1)


def numbers(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Rho of every group, variant, measure, scope and part, a row each, from the numbers of Figure 7.

    `low` and `high` are the middle 95 % of rho over the scores' intervals. ValueError where there are fewer than two
    networks, or their accuracies are not on the same images.
    """
    networks = table.drop_duplicates("network").set_index("network")
    refuse_mixed(networks["accuracy"], networks["accuracy_on"])
    accuracy = networks["accuracy"].to_numpy()
    draws = np.random.default_rng(seed).standard_normal((DRAWS, len(networks)))
    rows = []
    keys = ["group", "variant", "measure", "scope", "part"]
    for key, found in pd.concat([of_families(table), lost_in(table)]).groupby(keys, sort=False):
        found = found.set_index("network").reindex(networks.index)
        score, low, high = (found[column].to_numpy() for column in ("score", "low", "high"))
        correlation = spearman(score, accuracy, seed)
        moved = _rhos(score + draws * (high - low) / 2 / NORMAL, accuracy)
        ends = np.quantile(moved, [0.025, 0.975]) if not np.isnan(moved).any() else (np.nan, np.nan)
        rows.append(
            dict(zip(keys, key, strict=True))
            | {"networks": len(networks)}
            | correlation._asdict()
            | {"low": float(ends[0]), "high": float(ends[1])}
        )
    relations = pd.DataFrame(rows)
    relations.attrs["recipe"] = table.attrs["recipe"]
    return relations


def lost_in(table: pd.DataFrame) -> pd.DataFrame:
    """The share of variance that no linear map explains, and its interval, as the `score` of a measure *lost*."""
    rows = of_families(table)
    rows = rows[(rows["measure"] == "linear") & rows["explained"].notna()]
    return rows.assign(
        measure=LOST, score=1 - rows["explained"], low=1 - rows["explained_high"], high=1 - rows["explained_low"]
    )


def refuse_mixed(accuracy: pd.Series, on: pd.Series) -> None:
    """ValueError where a rank correlation of these accuracies would mean nothing."""
    if len(accuracy) < 2:
        raise ValueError("A correlation over networks needs two of them at least; give more --models.")
    without = [str(name) for name, value in accuracy.items() if np.isnan(value)]
    if without:
        raise ValueError(
            f"The accuracy of {without[0]} is not known, and its images have no labels for its classes; give "
            f"--accuracy '{without[0]}=PERCENT'."
        )
    different = sorted(set(on) - {GIVEN})
    if len(different) > 1:
        raise ValueError(
            f"The accuracies are not on the same images ({', '.join(different)}), and their ranks cannot be compared; "
            "draw a figure of each."
        )


def _rhos(scores: Float[np.ndarray, "draw network"], accuracy: Float[np.ndarray, "network"]) -> Array:
    """Spearman's rho of every row with the accuracies."""
    ranks = stats.rankdata(scores, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    ours = stats.rankdata(accuracy)
    ours -= ours.mean()
    length = np.sqrt((ranks**2).sum(1) * (ours @ ours))
    return np.asarray(np.divide(ranks @ ours, length, out=np.full(len(ranks), np.nan), where=length > 0))


# --- the picture


def picture(relations: pd.DataFrame) -> Plot:
    """The figure, of saved numbers alone."""
    columns = [(str(group), variant) for group, rows in relations.groupby("group") for variant in variants(rows)]
    columns.sort(key=lambda column: column[0], reverse=True)  # translation first
    with drawing():
        figure = Plot(figsize=(TWO_COLUMNS, 4.2), layout="constrained")
        panels = figure.subplots(len(SCOPES), len(columns), sharex=True, sharey=True, squeeze=False)
        for (scope, (group, variant)), axes in zip(product(SCOPES, columns), panels.flat, strict=True):
            rows = relations[
                (relations["group"] == group) & (relations["variant"] == variant) & (relations["scope"] == scope)
            ]
            _draw(axes, rows)
            if scope == SCOPES[0]:
                axes.set_title(f"{group}, {variant}", color=GREY)
        for axes, scope in zip(panels[:, 0], SCOPES, strict=True):
            axes.set_ylabel(f"rho with accuracy\nscope {scope}")
        drawn = [handles for axes in panels.flat for handles in zip(*axes.get_legend_handles_labels(), strict=True)]
        handles = {label: handle for handle, label in drawn}
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles))
    return figure


def _draw(axes: Axes, rows: pd.DataFrame) -> None:
    measures = [*measures_in(rows), *([LOST] if (rows["measure"] == LOST).any() else [])]
    for number, measure in enumerate(measures):
        of_measure = rows[rows["measure"] == measure].set_index("part").reindex(PARTS)
        look = MEASURE_LOOKS.get(measure, LOST_LOOK)
        places = np.arange(len(PARTS)) + 0.2 * (number - (len(measures) - 1) / 2)
        draw_intervals(axes, places, of_measure["low"], of_measure["high"], look.colour)
        axes.plot(places, of_measure["rho"], linestyle="none", clip_on=False, label=measure, **look.marked(5.0))
        clear = places[of_measure["p"].to_numpy() <= SIGNIFICANT]
        if len(clear):  # a line of no points has no place, and the layout fails on it
            axes.plot(clear, np.full(len(clear), 1.12), "*", color=look.colour, markersize=3, clip_on=False)
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.set(ylim=(-1.05, 1.15), xlim=(-0.5, len(PARTS) - 0.5), yticks=(-1, -0.5, 0, 0.5, 1))
    axes.set_xticks(range(len(PARTS)), PARTS, fontsize=6)


# --- the page


def page(table: pd.DataFrame, relations: pd.DataFrame) -> str:
    """The figure in words, every one of which follows from the numbers."""
    recipe = relations.attrs["recipe"]
    return "\n\n".join(
        [
            "# Figure 4: does accuracy go with learned equivariance?",
            "![The figure](figure.png)",
            _what_is_drawn(relations),
            "## The networks",
            _networks(table),
            "## What so few networks can show",
            _power(relations),
            "## The paper's claims",
            "Of equivariance, in every reading. " + " ".join(FIGURE4_RULES),
            verdict_table(verdicts_on_accuracy(relations)),
            "## Every rho",
            _relation_table(relations),
            "## How this was made",
            recipe_in_words(recipe) + "\n\nAll numbers, with more digits, are in `data.parquet`.\n",
        ]
    )


def _what_is_drawn(relations: pd.DataFrame) -> str:
    return (
        f"Spearman's rank correlation, over {relations['networks'].iloc[0]} networks, of a part's score with accuracy. "
        "Bars: the middle 95 % of rho as the scores move within their 95 % confidence intervals, which are of images, "
        f"not of networks. A star marks an exact p of at most {SIGNIFICANT}; {len(relations)} correlations are drawn, "
        "and nothing is corrected for their number."
    )


def _networks(table: pd.DataFrame) -> str:
    networks = table.drop_duplicates("network").sort_values("accuracy")
    return markdown(
        ["network", "top-1 accuracy, %", "on"],
        ([row["network"], f"{row['accuracy']:.1f}", row["accuracy_on"]] for row in networks.to_dict("records")),
    )


def _power(relations: pd.DataFrame) -> str:
    count = int(relations["networks"].iloc[0])
    least, most = swap(count)
    least_p = relations["least_p"].iloc[0]
    change = f"{least:.2f}" if count == 2 else f"{least:.2f} to {most:.2f}"
    if count == 2:
        meaning = "Rho of two networks is 1 or -1, and says which of the two is higher, no more."
    elif least_p > SIGNIFICANT:
        meaning = "So no correlation here can be told from chance, however high."
    else:
        meaning = "So a rho that is not near 1 or -1 is within what chance gives."
    return (
        f"With {count} networks the smallest two-sided p is {min(least_p, 1):.2g}, and two networks of neighbouring "
        f"accuracy that change places move rho by {change}. {meaning} For comparison: with the paper's six the "
        f"smallest p is {2 / factorial(6):.4f}, and one such swap moves rho by {swap(6)[0]:.2f} to {swap(6)[1]:.2f}; "
        f"with three the smallest p is {2 / factorial(3):.2f}."
    )


def _relation_table(relations: pd.DataFrame) -> str:
    keys = ["group", "variant", "scope", "measure"]
    rows = []
    for key, found in relations.groupby(keys, sort=False):
        by_part = found.set_index("part")[["rho", "p"]].reindex(PARTS).to_numpy()
        cells = ["–" if np.isnan(rho) else f"{rho:.2f} (p {p:.2g})" for rho, p in by_part]
        rows.append([", ".join(map(str, key)), *cells])
    return markdown(["score", *PARTS], rows)
