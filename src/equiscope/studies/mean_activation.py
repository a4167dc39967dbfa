"""Figure 2: is a layer's score high because its features turn well, or because their mean is high?

The paper (section 3.3) chooses correlation over cosine because (a) cosine changes with the mean of the maps compared,
and (b) in a ResNet-44 trained on CIFAR-10 the blocks' scores follow their mean activation under cosine (r = .63) more
than under correlation (r = .11). Both are measured again here, on one training of the network: about five minutes on
two CPU cores for 2000 images. The seed draws the maps, the images and the resamples of blocks.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from numpy.typing import NDArray
from torch import Tensor, nn

import equiscope as es
from equiscope.data import open_images
from equiscope.models.loading import load_network
from equiscope.plots import GREY, Plot
from equiscope.progress import Progress
from equiscope.studies.results import (
    BLUE,
    ORANGE,
    VERMILION,
    drawing,
    heading,
    markdown,
    recipe_in_words,
    without_frame,
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What is compared with what."""

    network: str = "cifar-resnet44"
    weights: str = "weights/resnet44-cifar10.safetensors"  # in the folder of data
    images: str = "cifar10"  # likewise
    split: str = "test"
    cells: int = 16  # along a side of the random maps
    means: tuple[float, ...] = tuple(step / 20 for step in range(21))
    moved: float = 0.5  # the paper's


SETTINGS = Settings()
SIMILARITIES = {"cosine": "cosine", "pearson": "correlation"}  # as an option: as a word
COLOURS = {"cosine": ORANGE, "pearson": BLUE}
READINGS = tuple(product(("invariance", "equivariance"), ("dataset", "image")))  # measure, scope
PAPER = {"cosine": 0.63, "pearson": 0.11}
PAPERS_BLOCKS = 21  # of a ResNet-44
NORMAL = 1.96  # deviations to either side hold 95 %
RESAMPLES = 10_000


def numbers(data: Path | None, *, images: int = 2000, seed: int = 0, progress: bool | Progress = False) -> pd.DataFrame:
    """Every number of the figure, a row each; `attrs["recipe"]` says how they were made.

    The column `panel` is "maps" (a value a cell), "means" (a similarity a mean), "blocks" (a score or the mean
    activation of a block) or "relation" (how both go together over the blocks). ValueError where the folder of data
    does not hold the images and the weights.
    """
    folder = _folder(data)
    network = load_network(SETTINGS.network, weights=str(folder / SETTINGS.weights))
    source = open_images(f"{folder / SETTINGS.images}:{SETTINGS.split}", network.preprocessing, limit=images, seed=seed)
    pixels = torch.cat(list(source))
    measured = {
        similarity: es.measure(
            network.model, pixels, transformations=es.rotations().transformations[0],
            layers=list(network.layers or ()), similarity=similarity, seed=seed, progress=progress,
        )
        for similarity in SIMILARITIES
    }  # fmt: skip
    manifest = measured["pearson"].manifest
    blocks = _blocks(measured, mean_activations(network.model, pixels, list(measured["pearson"].layers["layer"])))
    table = pd.concat([*_maps(seed), blocks, _relations(blocks, seed)], ignore_index=True)
    table.attrs["recipe"] = {
        "command": "equiscope figure 2 --data DATA --output OUTPUT",
        "started": manifest["started"],
        "versions": manifest["versions"],
        "network": network.name,
        "weights": f"DATA/{SETTINGS.weights}, sha256 {network.weights['sha256']}",
        "images": f"{len(pixels)} of the {source.description['found']} of DATA/{SETTINGS.images}:{SETTINGS.split}",
        "images left out": len(source.left_out),
        "fingerprint of the images' names and sizes": source.description["fingerprint"],
        "transformation": "rot90",
        "seed": seed,
    }
    return table


def _folder(data: Path | None) -> Path:
    folder = data or Path(os.environ.get("EQUISCOPE_DATA", ""))
    needed = f"the folder that holds {SETTINGS.images}/ and {SETTINGS.weights}"
    if folder == Path():
        raise ValueError(f"Figure 2 needs CIFAR-10 and trained weights: give --data DIR or EQUISCOPE_DATA, {needed}.")
    for name in (SETTINGS.images, SETTINGS.weights):
        if not (folder / name).exists():
            raise ValueError(f"There is no {name} in {folder}; --data (or EQUISCOPE_DATA) is {needed}.")
    return folder


def mean_activations(
    model: nn.Module, images: Float[Tensor, "image channel height width"], layers: Sequence[str]
) -> dict[str, float]:
    """The mean of what each layer puts out, over all images, channels and cells."""
    totals = dict.fromkeys(layers, 0.0)

    def adding(layer: str) -> "torch.utils.hooks.RemovableHandle":
        def add(module: nn.Module, given: object, output: Tensor) -> None:
            totals[layer] += output.double().flatten(1).mean(1).sum().item()

        return model.get_submodule(layer).register_forward_hook(add)

    handles = [adding(layer) for layer in layers]
    try:
        with torch.no_grad():
            for batch in images.split(64):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {layer: total / len(images) for layer, total in totals.items()}


def _maps(seed: int) -> Iterator[pd.DataFrame]:
    """Two unrelated random maps, and the similarity of both as their mean moves."""
    side = SETTINGS.cells
    both = torch.rand(2, side, side, generator=torch.Generator().manual_seed(seed)) - 0.5
    both -= both.mean((-2, -1), keepdim=True)
    first, second = both
    for name, cells in (("first", first), ("second", second)):
        rows, columns = np.indices(cells.shape)
        yield pd.DataFrame(
            {"panel": "maps", "map": name, "row": rows.ravel(), "column": columns.ravel(), "value": cells.flatten()}
        )
    # What turns the one map into the other is the transformation, and a mean an image: then a score is a similarity.
    images = first + torch.tensor(SETTINGS.means)[:, None, None, None]
    to_second = es.Transformation(
        "second", on_pixels=lambda maps: maps + (second - first), on_cells=lambda maps, stride: (maps, None)
    )
    for similarity in SIMILARITIES:
        scores = es.measure(
            nn.Sequential(nn.Identity()), images, transformations=to_second, layers="0",
            similarity=similarity, negative="keep", chance=False, intervals=False,
        ).replicates  # fmt: skip
        found = scores[(scores["measure"] == "invariance") & (scores["scope"] == "image")].sort_values("unit")
        yield pd.DataFrame(
            {"panel": "means", "similarity": similarity, "mean": SETTINGS.means, "value": found["score"].to_numpy()}
        )


def _blocks(measured: dict[str, es.Scores], activations: dict[str, float]) -> pd.DataFrame:
    """A row a score, and a row a block's mean activation; `place` counts the blocks from 1."""
    places = {layer: place for place, layer in enumerate(activations, 1)}
    columns = ["layer", "measure", "scope", "score", "low", "high", "chance", "corrected"]
    scores = [found.scores[columns].assign(similarity=similarity) for similarity, found in measured.items()]
    means = pd.DataFrame({"layer": list(activations), "measure": "activation", "score": list(activations.values())})
    table = pd.concat([*scores, means], ignore_index=True).rename(columns={"score": "value"})
    return table.assign(panel="blocks", place=table["layer"].map(places), stage=table["layer"].str.split(".").str[0])


def _relations(blocks: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Pearson's r over the blocks, of the mean activation and what is scored, with its interval; column `of`.

    `of` is the "score", its "chance" or "corrected" value, the score "within stages" (both sides less their stage's
    mean), and the score's r with the block's "place" instead of its activation; "difference" is the score's r under
    cosine less that under correlation.
    """
    means = of_blocks(blocks, "activation")
    activation, place = means["value"].to_numpy(), means["place"].to_numpy(dtype=np.float64)
    stages = means["stage"].to_numpy()
    rows: list[dict[str, object]] = [{"measure": "activation", "of": "place"} | correlation(place, activation)]
    for measure, scope in READINGS:
        reading = {"measure": measure, "scope": scope}
        scores = {}
        for similarity in SIMILARITIES:
            found = of_blocks(blocks, measure, scope, similarity)
            score = scores[similarity] = found["value"].to_numpy()
            within = correlation(
                _less_stage_mean(activation, stages), _less_stage_mean(score, stages), fitted=len(set(stages)) - 1
            )
            rows.extend(
                reading | {"similarity": similarity, "of": of} | relation
                for of, relation in (
                    ("score", correlation(activation, score)),
                    ("chance", correlation(activation, found["chance"].to_numpy())),
                    ("corrected", correlation(activation, found["corrected"].to_numpy())),
                    ("within stages", within),
                    ("place", correlation(place, score)),
                )
            )
        rows.append(reading | {"of": "difference"} | _difference(activation, scores["cosine"], scores["pearson"], seed))
    return pd.DataFrame(rows).assign(panel="relation")


def of_blocks(
    table: pd.DataFrame, measure: str, scope: str | None = None, similarity: str | None = None
) -> pd.DataFrame:
    """The blocks' rows of one score (or of the activation, which has no scope), in the blocks' order."""
    chosen = (table["panel"] == "blocks") & (table["measure"] == measure)
    for column, wanted in (("scope", scope), ("similarity", similarity)):
        if wanted is not None:
            chosen &= table[column] == wanted
    return table[chosen].sort_values("place")


def correlation(x: Array, y: Array, *, fitted: int = 0) -> dict[str, float]:
    """Pearson's r with its 95 % interval by Fisher's z; `fitted` means were taken out of both sides before.

    >>> found = correlation(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([2.0, 1.0, 4.0, 3.0, 5.0]))
    >>> {name: round(value, 2) for name, value in found.items()}
    {'value': 0.8, 'low': -0.28, 'high': 0.99}
    """
    r = float(np.corrcoef(x, y)[0, 1])
    low, high = interval(r, len(x), fitted=fitted)
    return {"value": r, "low": low, "high": high}


def interval(r: float, count: int, *, fitted: int = 0) -> tuple[float, float]:
    """The 95 % interval of a correlation of so many independent pairs: `tanh(atanh r -+ 1.96 / sqrt(n - 3))`.

    >>> [round(end, 2) for end in interval(0.0, 12)]
    [-0.57, 0.57]
    """
    half = NORMAL / math.sqrt(count - 3 - fitted)
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


def _less_stage_mean(values: Array, stages: NDArray[np.object_]) -> Array:
    return values - pd.Series(values).groupby(stages).transform("mean").to_numpy()


def _difference(activation: Array, cosine: Array, pearson: Array, seed: int) -> dict[str, float]:
    """r under cosine less r under correlation; percentiles over blocks drawn with replacement, the same for both."""
    drawn = np.random.default_rng(seed).integers(len(activation), size=(RESAMPLES, len(activation)))
    difference = _rows_r(activation[drawn], cosine[drawn]) - _rows_r(activation[drawn], pearson[drawn])
    low, high = np.quantile(difference, [0.025, 0.975])
    whole = correlation(activation, cosine)["value"] - correlation(activation, pearson)["value"]
    return {"value": whole, "low": float(low), "high": float(high)}


def _rows_r(x: Array, y: Array) -> Array:
    """Pearson's r of every row."""
    x, y = (values - values.mean(1, keepdims=True) for values in (x, y))
    return np.asarray((x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1)))


def relation(
    table: pd.DataFrame, of: str, measure: str, scope: str | None = None, similarity: str | None = None
) -> pd.Series:
    """The row of one relation: `value`, `low` and `high`."""
    chosen = (table["panel"] == "relation") & (table["of"] == of) & (table["measure"] == measure)
    for column, wanted in (("scope", scope), ("similarity", similarity)):
        if wanted is not None:
            chosen &= table[column] == wanted
    (row,) = (row for _, row in table[chosen].iterrows())
    return row


# --- the picture


def picture(table: pd.DataFrame) -> Plot:
    """The figure, of saved numbers alone."""
    with drawing():
        figure = Plot(figsize=(7.2, 7.6), layout="constrained")
        top, middle, bottom = figure.subfigures(3, 1, height_ratios=(1.75, 4, 1.85))
        _draw_maps(top, table)
        _draw_blocks(middle, table)
        _draw_relations(bottom.subplots(), table)
    return figure


def _draw_maps(part: SubFigure, table: pd.DataFrame) -> None:
    panels = part.subplots(1, 5, width_ratios=(1, 1, 1, 1, 2.1))
    cells = table[table["panel"] == "maps"]
    means = table[table["panel"] == "means"]
    heading(panels[0], "a", "two random maps, and both with their mean moved")
    for number, (mean, name) in enumerate(product((0.0, SETTINGS.moved), ("first", "second"))):
        axes = panels[number]
        values = cells[cells["map"] == name].pivot(index="row", columns="column", values="value").to_numpy()
        axes.imshow(values + mean, cmap="cividis", vmin=-0.5, vmax=0.5 + SETTINGS.moved)
        without_frame(axes)
        axes.set_xlabel(f"{name}, mean {mean:g}")
    for similarity, rows in means.groupby("similarity", sort=False):
        axes = panels[4]
        axes.plot(rows["mean"], rows["value"], color=COLOURS[similarity], label=SIMILARITIES[similarity])
        marked = rows[rows["mean"].isin((0.0, SETTINGS.moved))]
        axes.plot(marked["mean"], marked["value"], "o", color=COLOURS[similarity])
        for mean, value in zip(marked["mean"], marked["value"], strict=True):
            axes.annotate(f"{value:.2f}", (mean, value), (4, 5), textcoords="offset points", color=GREY, fontsize=7)
    axes.set(xlabel="mean of both maps", ylabel="their similarity", ylim=(-0.15, 1.02), xlim=(-0.03, 1.1))
    axes.legend(loc="center right", bbox_to_anchor=(1, 0.42))


def _draw_blocks(part: SubFigure, table: pd.DataFrame) -> None:
    panels = part.subplots(2, 2, sharex=True, sharey=True)
    means = of_blocks(table, "activation")
    for axes, (measure, scope) in zip(panels.flat, READINGS, strict=True):
        behind = axes.twinx()
        behind.plot(means["place"], means["value"], color=VERMILION, linestyle=(0, (4, 2)), label="mean activation")
        behind.set_ylim(0, 1.7)
        behind.spines["right"].set_visible(True)
        behind.tick_params(axis="y", colors=VERMILION)
        if scope == "image":
            behind.set_ylabel("mean activation", color=VERMILION)
        else:
            behind.tick_params(labelright=False)
            axes.set_ylabel(f"score under {table.attrs['recipe']['transformation']}")
        for similarity, word in SIMILARITIES.items():
            rows = of_blocks(table, measure, scope, similarity)
            colour = COLOURS[similarity]
            axes.fill_between(rows["place"], rows["low"], rows["high"], color=colour, alpha=0.25, linewidth=0)
            axes.plot(rows["place"], rows["value"], "o-", color=colour, markersize=2.5, label=word)
            axes.plot(rows["place"], rows["chance"], ":", color=colour, linewidth=0.9, label=f"chance of {word}")
        axes.set_title(f"{measure}, scope {scope}", color=GREY, pad=3)
        axes.set_ylim(0, 1)
        for _, stage in means.groupby("stage"):
            axes.axvline(stage["place"].iloc[0] - 0.5, color="#D9D9D9", linewidth=0.6, zorder=0)
    heading(panels[0, 0], "b", "")
    for axes in panels[1]:
        axes.set_xlabel("residual block")
        axes.set_xticks([1, 7, 14, 21])
    lines, labels = panels[0, 0].get_legend_handles_labels()
    part.legend([*lines, *behind.get_lines()], [*labels, "mean activation"], loc="outside lower center", ncols=5)


def _draw_relations(axes: Axes, table: pd.DataFrame) -> None:
    """How the scores go with the mean activation: an interval a reading and similarity, the paper's above."""
    names = ["the paper"] + [f"{measure}, {scope}" for measure, scope in READINGS]
    for aside, similarity in ((-0.14, "cosine"), (0.14, "pearson")):
        found = [relation(table, "score", measure, scope, similarity) for measure, scope in READINGS]
        rows = [(PAPER[similarity], *interval(PAPER[similarity], PAPERS_BLOCKS))]
        rows += [(row["value"], row["low"], row["high"]) for row in found]
        for place, (value, low, high) in enumerate(rows):
            colour, papers = COLOURS[similarity], place == 0
            axes.plot([low, high], [place + aside] * 2, color=colour, linewidth=1.5, alpha=0.5)
            label = SIMILARITIES[similarity] if papers else None
            face = "white" if papers else colour
            axes.plot(value, place + aside, "o", color=colour, markerfacecolor=face, label=label)
            axes.annotate(f"{value:.2f}", (high, place + aside), (4, -2.5), textcoords="offset points", fontsize=7)
    heading(axes, "c", "how a block's score goes with its mean activation")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.axvline(0, color=GREY, linewidth=0.6)
    axes.set_xlim(-0.5, 1.08)
    axes.set_xlabel("r over the blocks, with its 95 % interval")
    axes.legend(loc="lower left")


# --- the page


def page(table: pd.DataFrame) -> str:
    """The figure in words, every one of which follows from the numbers."""
    recipe = table.attrs["recipe"]
    blocks = of_blocks(table, "activation")
    return "\n\n".join(
        [
            "# Figure 2: does a similarity follow the mean activation?",
            "![The figure](figure.png)",
            "## (a) Two random maps",
            _maps_in_words(table),
            f"## (b) {recipe['network']}, a quarter turn after each of {len(blocks)} residual blocks",
            _blocks_in_words(table),
            _block_table(table),
            "## (c) Beside the paper",
            _relation_table(table),
            *_comparison(table),
            "## How this was made",
            recipe_in_words(recipe) + "\n\nAll numbers, with more digits, are in `data.parquet`.",
        ]
    )
