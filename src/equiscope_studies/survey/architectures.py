"""Figure 7: which architectures learn equivariant features? Its picture and its page, of saved numbers alone."""

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from equiscope.figures.marks import draw_chance, draw_intervals
from equiscope.figures.style import (
    DASHED,
    GREY,
    MEASURE_LOOKS,
    SERIES_COLOURS,
    TWO_COLUMNS,
    Plot,
    drawing,
    legend_in_lines,
    series_look,
)
from equiscope.results.columns import LADDER, PARTS, SCOPES
from equiscope.results.rows import measures_in
from equiscope_studies.results import folded, listed, markdown, recipe_in_words
from equiscope_studies.survey.scores import GROUPS, Reading, kind, of_families, readings, variants
from equiscope_studies.verdicts import FAILS, HOLDS, INCONCLUSIVE

MARKERS = {"CNN": "ov<", "ViT": "sDd", "Mixer": "^>P", "other": "XpH"}  # of a kind; the next where colours come again
RUNS = (slice(0, 3), slice(3, 5))  # feature maps, and vectors: no line joins them
ENDS = {"score": ("low", "high"), "explained": ("explained_low", "explained_high")}
LINES = (("score", "dataset"), ("score", "image"), ("explained", "dataset"))  # what is drawn, and in which scope


def picture(table: pd.DataFrame) -> Plot:
    """Figure 7: a column a group and variant, a row a scope of the score, and one of the variance explained."""
    columns = [(group, variant) for group in GROUPS for variant in variants(table[table["group"] == group])]
    with drawing():
        figure = Plot(figsize=(TWO_COLUMNS, 6.5), layout="constrained")
        panels = figure.subplots(len(LINES), len(columns), sharex=True, sharey=True, squeeze=False)
        for line, (value, scope) in enumerate(LINES):
            for axes, (group, variant) in zip(panels[line], columns, strict=True):
                _draw(axes, Reading(group, variant, scope).of(table), value)
                if line == 0:
                    axes.set_title(f"{group}, {variant}", color=GREY)
            panels[line, 0].set_ylabel(f"{value}, scope {scope}")
        handles, _ = panels[0, 0].get_legend_handles_labels()
        handles += [
            Line2D([], [], color=GREY, linestyle=MEASURE_LOOKS[measure].line, label=measure)
            for measure in measures_in(table)
        ]
        handles.append(Line2D([], [], color=GREY, linestyle=DASHED, linewidth=0.8, label="chance of equivariance"))
        figure.legend(loc="outside lower center", **legend_in_lines(handles, TWO_COLUMNS - 0.4))
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, value: str) -> None:
    """Every network's measures by part, aside from each other, with their intervals; linear of what is explained."""
    networks = list(dict.fromkeys(rows["network"]))
    low, high = ENDS[value]
    for place, network in enumerate(networks):
        colour = series_look(place).colour
        marker = MARKERS[kind(network)][place // len(SERIES_COLOURS) % 3]
        places = np.arange(len(PARTS)) + 0.5 * ((place + 0.5) / len(networks) - 0.5)
        for measure in measures_in(rows) if value == "explained" else LADDER[:2]:
            found = rows[(rows["network"] == network) & (rows["measure"] == measure)].set_index("part").reindex(PARTS)
            look = MEASURE_LOOKS[measure]
            draw_intervals(axes, places, found[low], found[high], colour)
            for run in RUNS:
                axes.plot(
                    places[run], found[value].iloc[run], color=colour, linestyle=look.line, linewidth=0.8,
                    marker=marker, markersize=3.5, markeredgewidth=0.8,
                    markerfacecolor=colour if look.filled else "white", zorder=3 if look.filled else 4,
                    label=network if measure == "equivariance" and run == RUNS[0] else None,
                )  # fmt: skip
            if value == "score" and measure == "equivariance":
                chance = found["chance"].to_numpy(dtype=float)
                draw_chance(axes, places, chance, colour, joined=False, half=0.06)
    axes.set_xticks(range(len(PARTS)), PARTS, fontsize=6)
    axes.set(xlim=(-0.5, len(PARTS) - 0.5), ylim=(min(-0.03, axes.dataLim.y0 - 0.02), 1.03))
    axes.grid(axis="y")


def page(table: pd.DataFrame, verdicts: pd.DataFrame, rules: Mapping[str, str]) -> str:
    """Figure 7 in words, every one of which follows from the numbers, with the verdicts on the claims."""
    return "\n\n".join(
        [
            "# Figure 7: which architectures learn equivariant features?",
            answer(table),
            "![The figure](figure.png)",
            "Scores by part of the network, with 95 % confidence intervals over images: the mean over all shifts, and "
            "over the three rotations. Columns: what a shift brings in at the border, and about which centre layers "
            "are rotated. Filled and solid: equivariance; open and dotted: invariance; short dashes: the chance level "
            "of equivariance, that of mismatched image pairs. Below: the share of the channels' variance that the same "
            "channel, another one, or under rotations a linear map of all of them explains.",
            "## The paper's claims",
            claims_in_short(verdicts),
            "## The numbers",
            folded(
                "Every claim in every reading, and its rule",
                "\n".join(f"- {claim}: {rule}." for claim, rule in rules.items()) + "\n\n" + verdict_table(verdicts),
            ),
            folded("What moves the answer: the border, and the centre of rotation", _border_and_centre(table)),
            folded("Every score", _score_table(table)),
            folded("Shares of variance explained", _explained_table(table)),
            "## How this was made",
            recipe_in_words(table.attrs["recipe"]) + "\n\nAll numbers, with more digits, are in `data.parquet`.\n",
        ]
    )


def answer(table: pd.DataFrame) -> str:
    """A sentence for each group of transformations, of its first reading: which networks keep most, and lose most."""
    return "\n\n".join(_answer(table, group) for group in GROUPS if (table["group"] == group).any())


def _answer(table: pd.DataFrame, group: str) -> str:
    reading = next(one for one in readings(table) if one.group == group)
    rows = reading.of(table, measure=LADDER[-1])
    rows = rows[rows["part"].isin(PARTS[:3])].dropna(subset="explained")
    kept = rows.groupby("network", sort=False)["explained"].mean().sort_values(ascending=False)
    told = listed(f"{network} ({value:.2f})" for network, value in kept.items())
    sentence = (
        f"**Under {GROUPS[group]}**, from most to least, this share of the variance of their feature maps survives, "
        f"by the best linear map of the channels (the mean of early, middle and late; reading: {reading}): {told}."
    )
    kinds = [one for one in MARKERS if one in set(rows["kind"])]
    if len(kinds) < 2:
        return sentence
    means = [kept[[name for name in kept.index if kind(str(name)) == one]].mean() for one in kinds]
    by_kind = listed(f"{value:.2f} of {_of_kind(one)}" for one, value in zip(kinds, means, strict=True))
    return f"{sentence} By kind of network: {by_kind}."


def _of_kind(one: str) -> str:
    return {"CNN": "convolutional networks", "ViT": "the vision transformers", "Mixer": "MLP-Mixers"}.get(one, "others")


def claims_in_short(verdicts: pd.DataFrame) -> str:
    """A row a claim: in how many readings it holds, fails, or cannot be told."""
    counts = verdicts.groupby("claim", sort=False)["verdict"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=[HOLDS, FAILS, INCONCLUSIVE], fill_value=0)
    rows = ([str(claim), *map(str, its)] for claim, its in zip(counts.index, counts.to_numpy().tolist(), strict=True))
    return markdown(["claim", *(f"{one} in" for one in counts.columns)], rows)


def _border_and_centre(table: pd.DataFrame) -> str:
    """How far border and centre move equivariance, beside how far networks lie apart, by part."""
    rows = of_families(table)
    rows = rows[rows["measure"] == "equivariance"]
    lines = []
    for group, scope in product(GROUPS, SCOPES):
        found = rows[(rows["group"] == group) & (rows["scope"] == scope)]
        names = variants(found)
        if len(names) < 2:
            continue
        for part in PARTS:
            wide = found[found["part"] == part].pivot(index="network", columns="variant", values="score")
            if wide.reindex(columns=names).isna().any(axis=None) or wide.empty:  # nothing to compare, as of vectors
                continue
            moved = (wide[names[1]] - wide[names[0]]).to_numpy()
            apart, then = (np.ptp(wide[name].to_numpy()) for name in names)
            most = moved[np.abs(moved).argmax()]
            ends = (f"{moved.mean():+.3f}", f"{most:+.3f}", f"{apart:.3f}", f"{then:.3f}")
            lines.append([f"{group}, {scope}, {part}", *ends])
    second = {group: variants(rows[rows["group"] == group]) for group in GROUPS}
    choices = " and ".join(f"from {names[0]} to {names[-1]} ({group})" for group, names in second.items() if names)
    more = sum(abs(float(moved)) > float(apart) for _, _, moved, apart, _ in lines)
    compared = (
        f" In {more} of {len(lines)} rows the choice of border or centre moves one network more than the networks lie "
        "apart before it."
        if table["network"].nunique() > 1
        else ""
    )
    return (
        f"By how much equivariance changes {choices}, in the mean over networks and in the one that changes most, "
        f"beside how far the networks lie apart before and after.{compared}\n\n"
        + markdown(["score", "mean change", "largest change", "networks apart before", "after"], lines)
    )


def _score_table(table: pd.DataFrame) -> str:
    rows = []
    for reading, measure in product(readings(table), measures_in(table)):
        for network, found in reading.of(table, measure=measure).groupby("network", sort=False):
            cells = [_in_words(*ends) for ends in _by_part(found, ["score", "low", "high", "chance"])]
            rows.append([f"{reading.group}, {reading}, {measure}", str(network), *cells])
    return "In brackets the interval, after it the chance level.\n\n" + markdown(["score", "network", *PARTS], rows)


def _explained_table(table: pd.DataFrame) -> str:
    rows = []
    for reading, measure in product(readings(table), measures_in(table)):
        if reading.scope != "dataset":
            continue
        for network, found in reading.of(table, measure=measure).groupby("network", sort=False):
            cells = [_in_words(*ends) for ends in _by_part(found, ["explained", *ENDS["explained"]])]
            rows.append([f"{reading.group}, {reading.variant}, {measure}", str(network), *cells])
    return "Over all images, on images that the map was not fitted on.\n\n" + markdown(
        ["explained", "network", *PARTS], rows
    )


def _by_part(rows: pd.DataFrame, columns: list[str]) -> list[list[float]]:
    found: list[list[float]] = rows.set_index("part")[columns].reindex(PARTS).to_numpy(dtype=float).tolist()
    return found


def _in_words(value: float, low: float, high: float, chance: float = np.nan) -> str:
    if np.isnan(value):
        return "–"
    ends = "" if np.isnan(low) else f" ({low:.2f} to {high:.2f})"
    return f"{value:.2f}{ends}" + ("" if np.isnan(chance) else f", {chance:.2f}")


def verdict_table(verdicts: pd.DataFrame) -> str:
    """The claims as a table, those of which every reading says the same in one row."""
    rows = []
    for claim, of_claim in verdicts.groupby("claim", sort=False):
        if of_claim["verdict"].nunique() == 1 and of_claim["reason"].nunique() == 1:
            rows.append([str(claim), "all", of_claim["verdict"].iloc[0], of_claim["reason"].iloc[0]])
        else:
            rows += [[str(claim), row["reading"], row["verdict"], row["reason"]] for row in of_claim.to_dict("records")]
    return markdown(["claim", "reading", "verdict", "because"], rows)
