"""Does what a network loses under rotation, layer by layer, predict how much accuracy it loses?

Of every network that figures 4 and 7 have measured: the share of the variance of its features that no linear map
explains under the three rotations (*lost*), by part, beside the share of its accuracy that quarter turns of labelled
photographs cost. Networks of different images are never ranked together: rho is that of ranks within each set, and its
p is of orders within the sets.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes
from scipy import stats

from equiscope.figures.style import GREY, LEGEND, TWO_COLUMNS, Plot, drawing, series_look
from equiscope.results.columns import PARTS
from equiscope.results.folder import is_result
from equiscope.system.progress import Progress, shown
from equiscope_studies.results import folded, listed, markdown, recipe_in_words
from equiscope_studies.survey.kept import kept
from equiscope_studies.survey.measuring import folder_name, network_of, weights_at_hand, write
from equiscope_studies.survey.ranks import ORDERS, spearman
from equiscope_studies.survey.top1 import NoLabels, accuracies, labelled
from equiscope_studies.verdicts import FAILS, HOLDS, INCONCLUSIVE, holm

TURNS = (0, 1, 2, 3)  # quarters
IMAGES = 2000  # labelled, at most
ROTATED = "rotated.json"
MEASUREMENT = "rotations"
LEVEL = 0.05
EVERYTHING = "all"


@dataclass(frozen=True)
class Found:
    """A network whose features were measured under rotations."""

    name: str
    home: Path
    manifest: Mapping[str, Any]

    @property
    def images(self) -> str:
        """The set of images, which also tells which networks are comparable."""
        return str(self.manifest["study"]["source"])


def found_in(results: Path, models: Sequence[str] | None) -> list[Found]:
    """The networks measured there, those named or all; ValueError where one is missing, or there are under three."""
    homes = [folder for folder in sorted(results.glob("*")) if is_result(folder / MEASUREMENT)]
    manifests = {home: kept(home / MEASUREMENT).manifest for home in homes}
    networks = [Found(its["study"]["network"], home, its) for home, its in manifests.items()]
    if models is not None:
        there = {folder_name(one.name): one for one in networks}
        missing = [name for name in models if folder_name(name) not in there]
        if missing:
            raise ValueError(f"{missing[0]} is not measured under rotations in {results}; figure 7 measures it.")
        networks = [there[folder_name(name)] for name in models]
    if len(networks) < 3:
        raise ValueError(
            f"{results} holds {len(networks)} networks measured under rotations, and a rank correlation needs three; "
            "figure 7 measures them."
        )
    return networks


def turned(one: Found, data: Path | None, device: str | None, images: int = IMAGES) -> Mapping[str, Any]:
    """The network's accuracies under quarter turns, measured unless they stand in its folder.

    `{"accuracy": [upright, 90, 180, 270], "images": how many, "on": which}`, or `{"reason": why there are none}`.
    """
    file = one.home / ROTATED
    if file.is_file():
        return dict(json.loads(file.read_text(encoding="utf-8")))
    study = one.manifest["study"]
    weights = "random" if study["weights"] == "random" else weights_at_hand(one.name, data)
    network = network_of(one.name, weights, study["seed"])
    if network.weights != one.manifest["weights"]:
        raise ValueError(f"The weights of {one.name} at hand are not those that were measured.")
    try:
        photographs = labelled(_source(one, data), one.images, network.preprocessing)
        found = accuracies(network, photographs, device, turns=TURNS, images=images)
        told: dict[str, Any] = {
            "accuracy": found,
            "images": min(images, len(photographs.rows)),
            "on": photographs.named,
        }
    except NoLabels as none:
        told = {"reason": str(none)}
    write(file, told)
    return told


def numbers(
    networks: Sequence[Found], data: Path | None, device: str | None, *, progress: bool | Progress = False
) -> pd.DataFrame:
    """A row a network and part: what is lost, with its interval, and the accuracies upright and turned."""
    rows: list[pd.DataFrame] = []
    with shown(progress, len(networks)) as bar:
        for one in networks:
            its = turned(one, data, device)
            bar.advance(1)
            if "reason" in its:
                continue
            rows.append(_lost(one).assign(network=one.name, set=one.images, **_of_accuracy(its["accuracy"])))
    if not rows:
        raise ValueError("None of the networks has labelled images of its classes.")
    table = pd.concat(rows, ignore_index=True)
    first = networks[0].manifest
    table.attrs["recipe"] = {
        "started": first["started"], "machine": first["machine"], "versions": first["versions"],
        "labelled images": f"at most {IMAGES:,} of each set, as they are and turned",
        "networks": ", ".join(one.name for one in networks if one.name in set(table["network"])),
        "without labels": ", ".join(one.name for one in networks if one.name not in set(table["network"])) or "none",
    }  # fmt: skip
    return table


def _source(one: Found, data: Path | None) -> str:
    """The images as `open_images` takes them."""
    named = one.images
    return str(data / named.removeprefix("DATA/")) if data and named.startswith("DATA/") else named


def _of_accuracy(accuracy: Sequence[float]) -> dict[str, float]:
    upright, *turns = accuracy
    mean = float(np.mean(turns))
    return {"upright": upright, "rotated": mean, "cost": (upright - mean) / upright}


def _lost(one: Found) -> pd.DataFrame:
    """What no linear map explains, by part, about the centres of the arrays."""
    parts = kept(one.home / MEASUREMENT).parts
    wanted = {"transformation": "rotations", "measure": "linear", "scope": "dataset", "alignment": "array"}
    rows = parts[(parts[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    return pd.DataFrame(
        {
            "part": rows["part"], "lost": 1 - rows["explained"], "low": 1 - rows["explained_high"],
            "high": 1 - rows["explained_low"],
        }
    )  # fmt: skip


# --- the relation


def within_sets(
    x: Shaped[np.ndarray, "network"],
    y: Shaped[np.ndarray, "network"],
    sets: Shaped[np.ndarray, "network"],
    seed: int = 0,
) -> tuple[float, float]:
    """Spearman's rho of ranks within each set, pooled, and its p: 100,000 orders of `y`, each within its set.

    Ranks are less their set's mean and over its size, so that no set counts for its number alone. NaN where one side is
    constant in every set.

    >>> within_sets(np.array([1, 2, 9, 8]), np.array([1, 2, 1, 2]), np.array(["a", "a", "b", "b"]))[0]
    0.0
    """
    first, second = (_ranks(values, sets) for values in (x, y))
    length = np.sqrt((first @ first) * (second @ second))
    if not length > 0:
        return np.nan, np.nan
    generator = np.random.default_rng(seed)
    orders = np.tile(second, (ORDERS, 1))
    for one in np.unique(sets):
        orders[:, sets == one] = generator.permuted(orders[:, sets == one], axis=1)
    rhos = np.append(orders @ first, first @ second) / length
    return float(rhos[-1]), float((np.abs(rhos) >= abs(rhos[-1]) - 1e-9).mean())


def _ranks(values: Shaped[np.ndarray, "network"], sets: Shaped[np.ndarray, "network"]) -> Float[np.ndarray, "network"]:
    ranks = np.empty(len(values))
    for one in np.unique(sets):
        its = stats.rankdata(values[sets == one])
        ranks[sets == one] = (its - its.mean()) / len(its)
    return ranks


def relations(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """A row a set and part, and one over all sets: rho of *lost* with what turns cost, its p, and how many networks."""
    rows = []
    names = list(dict.fromkeys(table["set"]))
    for one in [*names, EVERYTHING] if len(names) > 1 else names:
        for part in PARTS:
            its = table[(table["part"] == part) & ((table["set"] == one) | (one == EVERYTHING))].dropna(subset="lost")
            if len(its) < 3:
                continue
            lost, cost, sets = (its[column].to_numpy() for column in ("lost", "cost", "set"))
            rho, p = within_sets(lost, cost, sets, seed) if one == EVERYTHING else spearman(lost, cost, seed)[:2]
            rows.append({"set": one, "part": part, "networks": len(its), "rho": rho, "p": p})
    return pd.DataFrame(rows)


# --- the picture


def picture(table: pd.DataFrame) -> Plot:
    """A panel a part: a mark a network, a colour a set."""
    parts = [part for part in PARTS if table.loc[table["part"] == part, "lost"].notna().any()]
    with drawing():
        figure = Plot(figsize=(TWO_COLUMNS, 2.4), layout="constrained")
        panels = figure.subplots(1, len(parts), sharex=True, sharey=True, squeeze=False)[0]
        for axes, part in zip(panels, parts, strict=True):
            _draw(axes, table[table["part"] == part])
            axes.set_title(part, color=GREY)
        panels[0].set_ylabel("accuracy lost, share")
        figure.supxlabel("variance lost under rotations, share", fontsize=8)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, **LEGEND)
    return figure


def _draw(axes: Axes, rows: pd.DataFrame) -> None:
    for number, (name, its) in enumerate(rows.groupby("set", sort=False)):
        look = series_look(number)
        axes.hlines(its["cost"], its["low"], its["high"], colors=look.colour, linewidth=0.7)
        axes.plot(its["lost"], its["cost"], linestyle="none", label=_set_in_words(str(name)), **look.marked(4.0))
    axes.margins(0.1)
    axes.grid()


def _set_in_words(name: str) -> str:
    return name.removeprefix("DATA/")


# --- the page


def page(table: pd.DataFrame, found: pd.DataFrame) -> str:
    """The figure in words, every one of which follows from the numbers."""
    return "\n\n".join(
        [
            "# Does what is lost early predict the accuracy lost under rotation?",
            answer(found),
            "![The figure](figure.png)",
            "A mark a network. Across: the share of the variance of a part's features that no linear map explains "
            "under quarter and half turns of the image, with its 95 % interval over images. Up: the share of its "
            "upright accuracy that a network loses, on average, when labelled photographs are turned so.",
            "## Rank correlations",
            _relation_table(found),
            folded("The networks", _network_table(table)),
            "## How this was made",
            recipe_in_words(table.attrs["recipe"]) + "\n\nAll numbers, with more digits, are in `data.parquet`.\n",
        ]
    )


def answer(found: pd.DataFrame) -> str:
    """Whether what is lost in the first part goes with the accuracy lost, and where it does most."""
    whole = found[found["set"] == found["set"].iloc[-1]].set_index("part")
    corrected = pd.Series(holm(whole["p"].tolist()), whole.index)
    part = whole.index[0]
    rho, p = whole.loc[part, "rho"], corrected[part]
    verdict = INCONCLUSIVE if p > LEVEL else HOLDS if rho > 0 else FAILS
    others = listed(f"{value:.2f} in {name}" for name, value in whole["rho"].items())
    clear = [str(name) for name in whole.index[corrected <= LEVEL]]
    return (
        f"**What is lost in {part} predicts the accuracy lost under rotation: {verdict}** (n = "
        f"{int(whole.loc[part, 'networks'])}, rho {rho:.2f}, p {p:.2g}). By part rho is {others}; "
        + (f"it differs from 0 in {listed(clear)}" if clear else "it differs from 0 in none")
        + " (p of orders within each set of networks, corrected by Holm's method over the parts)."
    )


def _relation_table(found: pd.DataFrame) -> str:
    rows = []
    for name, its in found.groupby("set", sort=False):
        by_part = its.set_index("part").reindex(PARTS)
        cells = [
            "–" if np.isnan(rho) else f"{rho:.2f} (p {p:.2g})" for rho, p in by_part[["rho", "p"]].to_numpy(dtype=float)
        ]
        rows.append([_set_in_words(str(name)), str(int(its["networks"].max())), *cells])
    return markdown(["images", "networks", *PARTS], rows)


def _network_table(table: pd.DataFrame) -> str:
    rows = []
    for name, its in table.groupby("network", sort=False):
        first, lost = its.iloc[0], its.set_index("part")["lost"].reindex(PARTS)
        cells = [f"{100 * first['upright']:.1f}", f"{100 * first['rotated']:.1f}"]
        rows.append([str(name), *cells, *("–" if np.isnan(value) else f"{value:.2f}" for value in lost)])
    return markdown(["network", "upright, %", "turned, %", *(f"lost, {part}" for part in PARTS)], rows)
