"""Figure 4: does accuracy go with learned equivariance?

The paper (section 4.2) correlates, over six networks, the ranks of their scores in each part with the ranks of their
ImageNet accuracy. Here the same is done in every reading of a score, with an exact p-value, and with the range that rho
takes as the scores move within their 95 % confidence intervals. The seed draws the moved scores. Seconds, once
the networks are measured.
"""

from itertools import product
from math import factorial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from equiscope.figures.marks import draw_intervals
from equiscope.figures.style import GREY, LOST, MEASURE_LOOKS, TWO_COLUMNS, Look, Plot, drawing
from equiscope.results.columns import PARTS, SCOPES
from equiscope.results.rows import measures_in
from equiscope_studies.results import folded, listed, markdown, recipe_in_words
from equiscope_studies.survey.architectures import verdict_table
from equiscope_studies.survey.claims import FIGURE4_RULES, SIGNIFICANT, verdicts_on_accuracy
from equiscope_studies.survey.measuring import GIVEN
from equiscope_studies.survey.ranks import NORMAL, interval_over_networks, networks_needed, rhos, spearman, swap
from equiscope_studies.survey.scores import GROUPS, of_families, readings, variants
from equiscope_studies.verdicts import FAILS, HOLDS, INCONCLUSIVE, holm

LOST_LOOK = Look(GREY, "X")
ASSUMED = (0.9, 0.7, 0.5)
DRAWS = 2000  # of the scores within their intervals


def numbers(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Rho of every group, variant, measure, scope and part, a row each, from the numbers of Figure 7.

    `low` and `high` are the middle 95 % of rho over the scores' intervals, `low_networks` and `high_networks` its
    confidence interval where networks are the sample. ValueError where there are fewer than two networks, or their
    accuracies are not on the same images.
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
        moved = rhos(score + draws * (high - low) / 2 / NORMAL, accuracy)
        ends = np.quantile(moved, [0.025, 0.975]) if not np.isnan(moved).any() else (np.nan, np.nan)
        wider = interval_over_networks(correlation.rho, len(networks))
        rows.append(
            dict(zip(keys, key, strict=True))
            | {"networks": len(networks)}
            | correlation._asdict()
            | {"low": float(ends[0]), "high": float(ends[1]), "low_networks": wider[0], "high_networks": wider[1]}
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
        wide = of_measure[["low_networks", "high_networks"]].to_numpy(dtype=float)
        known = ~np.isnan(wide).any(axis=1)
        if known.any():
            axes.vlines(places[known], wide[known, 0], wide[known, 1], colors=look.colour, linewidth=0.5)
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
            answer(relations),
            "![The figure](figure.png)",
            _what_is_drawn(relations),
            "## The networks",
            _networks(table),
            "## What so few networks can show",
            _power(relations),
            "## The numbers",
            folded(
                "The paper's claims, in every reading",
                " ".join(FIGURE4_RULES) + "\n\n" + verdict_table(verdicts_on_accuracy(relations)),
            ),
            folded("Every rho", _relation_table(relations)),
            "## How this was made",
            recipe_in_words(recipe) + "\n\nAll numbers, with more digits, are in `data.parquet`.\n",
        ]
    )


def answer(relations: pd.DataFrame) -> str:
    """A sentence for each group of transformations, of its first reading: where equivariance goes with accuracy."""
    return "\n\n".join(_answer(relations, group) for group in GROUPS if (relations["group"] == group).any())


def _answer(relations: pd.DataFrame, group: str) -> str:
    reading = next(one for one in readings(relations) if one.group == group)
    rows = relations[
        (relations["group"] == group) & (relations["variant"] == reading.variant)
        & (relations["scope"] == reading.scope) & (relations["measure"] == "equivariance")
    ]  # fmt: skip
    rows = rows[rows["rho"].notna()].set_index("part").reindex([part for part in PARTS if part in set(rows["part"])])
    rows = rows.dropna(subset="rho")
    clear = rows.index[np.array(holm(rows["p"].tolist())) <= SIGNIFICANT]
    with_it = [part for part in clear if rows.loc[part, "rho"] > 0]
    against = [part for part in clear if part not in with_it]
    verdict = FAILS if against else HOLDS if {"early", "middle"} <= set(with_it) else INCONCLUSIVE
    told = listed(f"{rho:.2f} in {part}" for part, rho in rows["rho"].items())
    if not with_it and not against:
        clearly = "None can be told from chance"
    else:
        clearly = " and ".join(
            f"{listed(parts)} {'goes' if len(parts) == 1 else 'go'} {way} it more than chance would"
            for parts, way in ((with_it, "with"), (against, "against"))
            if parts
        ).capitalize()
    return (
        f"**{group.capitalize()} equivariance goes with accuracy: {verdict}** (n = {int(rows['networks'].iloc[0])}). "
        f"Rho of equivariance under {GROUPS[group]} with accuracy is {told}. {clearly} (exact p, corrected by Holm's "
        f"method over the parts; reading: {reading})."
    )


def _what_is_drawn(relations: pd.DataFrame) -> str:
    return (
        f"Spearman's rank correlation, over {relations['networks'].iloc[0]} networks, of a part's score with accuracy; "
        "*lost* is the share of variance that no linear map explains. Thick bars: the middle 95 % of rho as the scores "
        "move within their 95 % confidence intervals, which are of images. Thin lines: the 95 % confidence interval "
        "where the networks are a sample of networks (Bonett and Wright, 2000); none where all ranks agree. A star "
        f"marks an exact p of at most {SIGNIFICANT}; {len(relations)} correlations are drawn, and nothing is corrected "
        "for their number."
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
        f"with three the smallest p is {2 / factorial(3):.2f}. To tell a rho of {listed(map(str, ASSUMED))} from "
        f"chance with a probability of .8 takes {listed(str(networks_needed(rho)) for rho in ASSUMED)} networks."
    )


def _relation_table(relations: pd.DataFrame) -> str:
    keys = ["group", "variant", "scope", "measure"]
    rows = []
    for key, found in relations.groupby(keys, sort=False):
        by_part = found.set_index("part")[["rho", "low_networks", "high_networks", "p"]].reindex(PARTS).to_numpy()
        rows.append([", ".join(map(str, key)), *(_cell(*values) for values in by_part)])
    return "In brackets the interval over networks, and p.\n\n" + markdown(["score", *PARTS], rows)


def _cell(rho: float, low: float, high: float, p: float) -> str:
    if np.isnan(rho):
        return "–"
    ends = "" if np.isnan(low) else f"{low:.2f} to {high:.2f}; "
    return f"{rho:.2f} ({ends}p {p:.2g})"
