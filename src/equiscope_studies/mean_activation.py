"""Figure 2: is a layer's score high because its features turn well, or because their mean is high?

The paper (section 3.3) chooses correlation over cosine because (a) cosine changes with the mean of the maps compared,
and (b) in a ResNet-44 trained on CIFAR-10 the blocks' scores follow their mean activation under cosine (r = .63) more
than under correlation (r = .11). Both are measured again here, (b) in every reading of its words, on one training of
the network: about four minutes on one CPU core for 2000 images. The seed draws the maps, the images and the resamples
of blocks.
"""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from matplotlib.figure import SubFigure
from numpy.typing import NDArray
from torch import Tensor, nn

import equiscope as es
from equiscope.figures.style import BLUE, DOTTED, GREY, ORANGE, TWO_COLUMNS, VERMILION, Plot, draw_chance, drawing
from equiscope.images.data import open_images
from equiscope.networks.loading import load_network
from equiscope.results.scores import SCOPES
from equiscope.system.progress import Progress
from equiscope_studies.results import (
    heading,
    listed,
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
MEASURES = ("invariance", "strict invariance", "equivariance")  # strict: to the letter of Eq. 4, nothing is moved
READINGS = tuple(product(MEASURES, SCOPES))  # all that the paper may mean by a block's score
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
        (similarity, strict): es.measure(
            network.model, pixels, transformations=es.rotations().transformations[0],
            layers=list(network.layers or ()), similarity=similarity, strict=strict, seed=seed, progress=progress,
        )
        for similarity, strict in product(SIMILARITIES, (False, True))
    }  # fmt: skip
    last = measured["pearson", True]
    manifest, found = last.manifest, source.description["found"]
    blocks = _blocks(measured, activations(network.model, pixels, list(last.layers["layer"])))
    table = pd.concat([*_maps(seed), blocks, _relations(blocks, seed)], ignore_index=True)
    table.attrs["recipe"] = {
        "command": f"equiscope figure 2 --data DATA --images {images} --seed {seed} --output OUTPUT",
        "started": manifest["started"],
        "versions": manifest["versions"],
        "network": network.name,
        "weights": f"DATA/{SETTINGS.weights}, sha256 {network.weights['sha256']}",
        "images": f"{len(pixels):,} of the {found:,} images of DATA/{SETTINGS.images}:{SETTINGS.split}",
        "images left out": len(source.left_out),
        "fingerprint of the images' names and sizes": source.description["fingerprint"],
        "transformation": "rot90",
        "seed": seed,
    }
    return table


def _folder(data: Path | None) -> Path:
    given = data or os.environ.get("EQUISCOPE_DATA")
    needed = f"the folder that holds {SETTINGS.images}/ and {SETTINGS.weights}"
    if given is None:
        raise ValueError(f"Figure 2 needs CIFAR-10 and trained weights: give --data DIR or EQUISCOPE_DATA, {needed}.")
    folder = Path(given)
    for name in (SETTINGS.images, SETTINGS.weights):
        if not (folder / name).exists():
            raise ValueError(f"There is no {name} in {folder}; --data (or EQUISCOPE_DATA) is {needed}.")
    return folder


def activations(
    model: nn.Module, images: Float[Tensor, "image channel height width"], layers: Sequence[str]
) -> pd.DataFrame:
    """A row a layer: the mean ("activation") and the root mean square ("magnitude") of all that it puts out."""
    sums = {layer: torch.zeros(2, dtype=torch.float64) for layer in layers}

    def adding(layer: str) -> "torch.utils.hooks.RemovableHandle":
        def add(module: nn.Module, given: object, output: Tensor) -> None:
            values = output.double().flatten(1)
            sums[layer] += torch.stack([values.mean(1).sum(), values.square().mean(1).sum()])

        return model.get_submodule(layer).register_forward_hook(add)

    handles = [adding(layer) for layer in layers]
    try:
        with torch.no_grad():
            for batch in torch.split(images, 64):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
    means = torch.stack(list(sums.values())) / len(images)
    return pd.DataFrame({"layer": layers, "activation": means[:, 0], "magnitude": means[:, 1].sqrt()})


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


def _blocks(measured: dict[tuple[str, bool], es.Scores], activation: pd.DataFrame) -> pd.DataFrame:
    """A row a score, and a row a block's mean activation and magnitude; `place` counts the blocks from 1."""
    columns = ["layer", "measure", "scope", "score", "low", "high", "chance", "corrected"]
    scores = []
    for (similarity, strict), measurement in measured.items():
        found = measurement.scores[columns].assign(similarity=similarity)
        if strict:  # which leaves equivariance as it is
            found = found[found["measure"] == "invariance"].assign(measure="strict invariance")
        scores.append(found)
    table = pd.concat(
        [
            *(found.rename(columns={"score": "value"}) for found in scores),
            activation.melt("layer", var_name="measure"),
        ],
        ignore_index=True,
    )
    places = {layer: place for place, layer in enumerate(activation["layer"], 1)}
    return table.assign(panel="blocks", place=table["layer"].map(places), stage=table["layer"].str.split(".").str[0])


def _relations(blocks: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Pearson's r over the blocks, of the mean activation and what is scored, with its interval; column `of`.

    `of` is the "score", its "chance" or "corrected" value, the score "within stages" (both sides less their stage's
    mean), and the score's r with the block's "place" or its "magnitude" instead of its activation; "difference" is the
    score's r under cosine less that under correlation.
    """
    means = of_blocks(blocks, "activation")
    activation, place = means["value"].to_numpy(), means["place"].to_numpy(dtype=np.float64)
    magnitude = of_blocks(blocks, "magnitude")["value"].to_numpy()
    stages = means["stage"].to_numpy()
    rows: list[dict[str, str | float]] = [{"measure": "activation", "of": "place", **correlation(place, activation)}]
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
                {**reading, "similarity": similarity, "of": of, **found_r}
                for of, found_r in (
                    ("score", correlation(activation, score)),
                    ("chance", correlation(activation, found["chance"].to_numpy())),
                    ("corrected", correlation(activation, found["corrected"].to_numpy())),
                    ("within stages", within),
                    ("magnitude", correlation(magnitude, score)),
                    ("place", correlation(place, score)),
                )
            )
        rows.append(
            {**reading, "of": "difference", **_difference(activation, scores["cosine"], scores["pearson"], seed)}
        )
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
    means: Array = pd.Series(values).groupby(stages).transform("mean").to_numpy()
    return values - means


def _difference(activation: Array, cosine: Array, pearson: Array, seed: int) -> dict[str, float]:
    """R under cosine less r under correlation; percentiles over blocks drawn with replacement, the same for both."""
    drawn = np.random.default_rng(seed).integers(len(activation), size=(RESAMPLES, len(activation)))
    difference = _rows_r(activation[drawn], cosine[drawn]) - _rows_r(activation[drawn], pearson[drawn])
    low, high = np.quantile(difference, [0.025, 0.975])
    whole = correlation(activation, cosine)["value"] - correlation(activation, pearson)["value"]
    return {"value": whole, "low": float(low), "high": float(high)}


def _rows_r(x: Array, y: Array) -> Array:
    """Pearson's r of every row."""
    x, y = (values - values.mean(1, keepdims=True) for values in (x, y))
    r: Array = (x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1))
    return r


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
        figure = Plot(figsize=(TWO_COLUMNS, 8.2), layout="constrained")
        top, middle, bottom = figure.subfigures(3, 1, height_ratios=(1.9, 3.9, 2.5), squeeze=False)[:, 0]
        _draw_maps(top, table)
        _draw_blocks(middle, table)
        _draw_relations(bottom, table)
    return figure


def _draw_maps(part: SubFigure, table: pd.DataFrame) -> None:
    heading(part, "a", "two random maps, and how similar they are as the mean of both moves")
    panels = part.subplots(1, 5, width_ratios=(1, 1, 1, 1, 2.1))
    cells = table[table["panel"] == "maps"]
    for axes, (mean, name) in zip(panels, product((0.0, SETTINGS.moved), ("first", "second")), strict=False):
        values = cells[cells["map"] == name].pivot(index="row", columns="column", values="value").to_numpy()
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
        axes.set_title(f"{measure}, {scope}", color=GREY, pad=3)
        behind = axes.twinx()
        behind.plot(means["place"], means["value"], color=VERMILION, linestyle=DOTTED, label="mean activation")
        behind.set_ylim(0, 1.1 * means["value"].max())
        behind.spines["right"].set_visible(True)
        behind.tick_params(axis="y", colors=VERMILION, labelright=measure == MEASURES[-1])
        behind.set_ylabel("mean activation" if measure == MEASURES[-1] else "", color=VERMILION)
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
    axes.set_xlabel("r and its 95 % interval")
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.82))


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
            recipe_in_words(recipe) + "\n\nAll numbers, with more digits, are in `data.parquet`.\n",
        ]
    )


def _maps_in_words(table: pd.DataFrame) -> str:
    means = table[table["panel"] == "means"]
    cells = SETTINGS.cells
    told, moved = [], {}
    for similarity, word in SIMILARITIES.items():
        rows = means[means["similarity"] == similarity]
        at = rows.set_index("mean")["value"]
        moved[similarity] = float((rows["value"] - at[0.0]).abs().max())
        before, after = f"{at[0.0]:.2f}", f"{at[SETTINGS.moved]:.2f}"
        told.append(
            f"their {word} stays at {after}" if before == after else f"their {word} goes from {before} to {after}"
        )
    same = "never moves" if moved["pearson"] < 1e-4 else f"moves by up to {moved['pearson']:.2g}"
    return (
        f"Two unrelated maps of {cells} x {cells} cells, uniform, of mean 0. As the mean of both rises by "
        f"{SETTINGS.moved:g}, {' and '.join(told)}. Over all means from {SETTINGS.means[0]:g} to "
        f"{SETTINGS.means[-1]:g} the correlation {same}, and cosine moves by up to {moved['cosine']:.2f}."
    )


def _blocks_in_words(table: pd.DataFrame) -> str:
    recipe, means = table.attrs["recipe"], of_blocks(table, "activation")
    highest, lowest = (means.loc[means["value"].agg(end)] for end in ("idxmax", "idxmin"))
    return (
        f"Scores on {recipe['images']}, under {recipe['transformation']}, in both scopes: over all images together "
        "(dataset), and within each image, then the mean (image). Invariance compares each map with the turned map of "
        "the image as it was; strict invariance, to the letter of the paper's Eq. 4, with that map not turned; "
        "equivariance with the best of all channels' turned maps. The activation is what a block puts out, after its "
        "last ReLU: never negative, so that its mean is its mean magnitude too; the mean is over images, channels and "
        f"cells. It is highest, {highest['value']:.2f}, in {highest['layer']} and lowest, {lowest['value']:.2f}, "
        f"in {lowest['layer']}."
    )


def _block_table(table: pd.DataFrame) -> str:
    columns = [(measure, scope, similarity) for measure, scope in READINGS for similarity in SIMILARITIES]
    values = [of_blocks(table, *column)["value"] for column in columns]
    means = of_blocks(table, "activation")
    head = [f"{measure}, {scope}, {SIMILARITIES[similarity]}" for measure, scope, similarity in columns]
    rows = zip(means["layer"], means["value"], *values, strict=True)
    return markdown(
        ["block", "mean activation", *head], ([layer, *(f"{value:.2f}" for value in found)] for layer, *found in rows)
    )


def _ends(row: pd.Series) -> str:
    return f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def _relation_table(table: pd.DataFrame) -> str:
    def papers(similarity: str) -> str:
        low, high = interval(PAPER[similarity], PAPERS_BLOCKS)
        return f"{PAPER[similarity]:.2f} ({low:.2f} to {high:.2f})"

    rows = [["the paper", papers("cosine"), papers("pearson"), "", ""]]
    for reading in READINGS:
        found = [relation(table, "score", *reading, similarity) for similarity in SIMILARITIES]
        within = [relation(table, "within stages", *reading, similarity)["value"] for similarity in SIMILARITIES]
        difference = relation(table, "difference", *reading)
        rows.append(
            [", ".join(reading), *map(_ends, found), _ends(difference), " and ".join(f"{r:.2f}" for r in within)]
        )
    return (
        "Pearson's r, over the blocks, of a block's score with its mean activation, and its 95 % interval: by Fisher's "
        f"z, as if the blocks were independent (for the paper's two values, over {PAPERS_BLOCKS}); of the difference, "
        f"the percentiles of {RESAMPLES:,} draws of blocks with replacement.\n\n"
        + markdown(["score", "cosine", "correlation", "difference", "within stages: cosine and correlation"], rows)
    )


def _comparison(table: pd.DataFrame) -> Iterator[str]:
    """What the paper says and what these numbers say, and what may lie between."""
    yield _direction(table)
    yield _size(table)
    yield _depth(table)
    yield _chance(table)
    yield _unknown(table)


def _direction(table: pd.DataFrame) -> str:
    differences = [relation(table, "difference", *reading) for reading in READINGS]
    higher = sum(row["value"] > 0 for row in differences)
    clearly = sum(row["low"] > 0 for row in differences)
    holds = {len(READINGS): "So here too", 0: "So, unlike in the paper, it is not the case that"}
    verdict = holds.get(higher, "So for some readings and not for others")
    return (
        f"**The direction.** Under cosine the score goes with the mean activation more closely than under correlation "
        f"in {higher} of {len(READINGS)} readings; in {clearly} the interval of the difference lies above 0. "
        f"{verdict} cosine follows the activation more than correlation does."
    )


def _size(table: pd.DataFrame) -> str:
    said = []
    for similarity, word in SIMILARITIES.items():
        found = {reading: relation(table, "score", *reading, similarity) for reading in READINGS}
        beyond = [f"{m} ({s})" for (m, s), row in found.items() if _apart(row["value"], PAPER[similarity], table)]
        r = {reading: f"{row['value']:.2f}" for reading, row in found.items()}
        values = listed(f"{r[measure, 'dataset']} and {r[measure, 'image']} for {measure}" for measure in MEASURES)
        chance = (
            f"Further from it than two samples of blocks may be by chance (95 %) are {listed(beyond)}."
            if beyond
            else "None of them is further from it than two samples of blocks may be by chance (95 %)."
        )
        said.append(
            f"For {word} the paper finds {PAPER[similarity]:.2f}; here r is, in scopes dataset and image, {values}. "
            f"{chance}"
        )

    def distance(reading: tuple[str, str], similarities: Iterable[str]) -> float:
        rows = {similarity: relation(table, "score", *reading, similarity)["value"] for similarity in similarities}
        return math.hypot(*(math.atanh(r) - math.atanh(PAPER[similarity]) for similarity, r in rows.items()))

    def closest(*similarities: str) -> str:
        measure, scope = min(READINGS, key=lambda reading: distance(reading, similarities))
        return f"{measure} ({scope})"

    nearest = [f"for {word} {closest(similarity)}" for similarity, word in SIMILARITIES.items()]
    nearest.append(f"for both {closest(*SIMILARITIES)}")
    return (
        f"**The size.** {' '.join(said)} The nearest to the paper is {listed(nearest)}; but each is the best of "
        f"{len(READINGS)}, chosen afterwards."
    )


def _apart(r: float, papers: float, table: pd.DataFrame) -> bool:
    """Whether two correlations of independent samples differ by more than chance, by Fisher's z."""
    spread = math.sqrt(1 / (len(of_blocks(table, "activation")) - 3) + 1 / (PAPERS_BLOCKS - 3))
    return abs(math.atanh(r) - math.atanh(papers)) > NORMAL * spread


def _depth(table: pd.DataFrame) -> str:
    def over_readings(of: str, similarity: str) -> list[float]:
        return [float(relation(table, of, *reading, similarity)["value"]) for reading in READINGS]

    activation = float(relation(table, "place", "activation")["value"])
    places = [r for similarity in SIMILARITIES for r in over_readings("place", similarity)]
    way = "falls" if activation < 0 else "rises"
    alike = sum(r * activation > 0 for r in places)
    left = "; ".join(
        f"under {word} {_span(over_readings('score', similarity))} over all blocks, and "
        f"{_span(over_readings('within stages', similarity))} within stages"
        for similarity, word in SIMILARITIES.items()
    )
    verdict = (
        "within a stage a block's correlation score does not rise with its activation, and what the two have in common "
        "is the way from stage to stage"
        if max(over_readings("within stages", "pearson")) <= 0
        else "not all that correlation's scores have in common with the activation is the way from stage to stage"
    )
    return (
        "**Why a correlation score goes with the activation at all.** Both change with depth. The mean activation "
        f"{way} with the block's place (r = {activation:.2f}), and so do {alike} of {len(places)} scores "
        f"(r {_span(places)}). Where both sides are taken less the mean of their stage (16, 32 or 64 channels), their "
        f"r is, {left}. So {verdict}."
    )


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def _chance(table: pd.DataFrame) -> str:
    found = {
        (of, similarity): [relation(table, of, *reading, similarity)["value"] for reading in READINGS]
        for of in ("chance", "corrected")
        for similarity in SIMILARITIES
    }
    more = sum(
        cosine > pearson
        for cosine, pearson in zip(found["corrected", "cosine"], found["corrected", "pearson"], strict=True)
    )
    owes = min(found["chance", "cosine"]) > max(found["chance", "pearson"])
    return (
        "**What cosine owes to the mean.** The chance level is the same score of images that do not belong together: "
        "nothing but the means and shapes of maps, and the choice of the best channel, can raise it. Its r with the "
        f"activation is {_span(found['chance', 'cosine'])} under cosine and {_span(found['chance', 'pearson'])} under "
        f"correlation{': this is the bias that the paper warns of' if owes else ''}. Corrected for chance, cosine's r "
        f"is {_span(found['corrected', 'cosine'])} and correlation's {_span(found['corrected', 'pearson'])}: cosine's "
        f"is the higher in {more} of {len(READINGS)} readings."
    )


def _unknown(table: pd.DataFrame) -> str:
    cosine, pearson = (
        [float(relation(table, "magnitude", *reading, similarity)["value"]) for reading in READINGS]
        for similarity in SIMILARITIES
    )
    return (
        "**What is not known.** The paper does not say which scope it uses, and calls the same scores invariance and "
        'equivariance, and the same activation its "mean" and its "magnitude": with the root mean square of a block\'s '
        f"output in place of its mean, r is {_span(cosine)} under cosine and {_span(pearson)} under correlation. Its "
        "network and this one are two trainings by different people, one each: how much r varies from training to "
        "training is not measured here. And neighbouring blocks share most of what they put out, so they are no "
        "independent sample: every interval above is narrower than it should be."
    )
