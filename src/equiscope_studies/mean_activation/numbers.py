"""Figure 2: is a layer's score high because its features move as the image does, or because their mean is high?

The paper (section 3.3) chooses correlation over cosine because (a) cosine changes with the mean of the maps compared,
and (b) in a ResNet-44 trained on CIFAR-10 the blocks' scores follow their mean activation under cosine (r = .63) more
than under correlation (r = .11). Both are measured again here, (b) in every reading of its words, on one training of
the network: a few minutes on one CPU core for 2000 images. The seed draws the maps, the images and the resamples of
blocks.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

import equiscope as es
from equiscope.results.columns import SCOPES
from equiscope.system.progress import Progress
from equiscope_studies.data_folder import folder_of_data
from equiscope_studies.results import machine

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What is compared with what."""

    network: str = "cifar-resnet44"
    weights: str = "weights/resnet44-cifar10.safetensors"  # in the folder of data
    images: str = "cifar10"  # likewise
    split: str = "test"
    side: int = 16  # positions along a side of the random maps
    means: tuple[float, ...] = tuple(step / 20 for step in range(21))
    moved: float = 0.5  # the paper's


SETTINGS = Settings()
SIMILARITIES = {"cosine": "cosine", "pearson": "correlation"}  # as an option: as a word
# Strict is Eq. 4 to the letter, with nothing moved; in-sample Eq. 7, with the best channel on the same images.
MEASURES = ("invariance", "strict invariance", "equivariance", "in-sample equivariance")
READINGS = tuple(product(MEASURES, SCOPES))  # all that the paper may mean by a block's score
PAPER = {"cosine": 0.63, "pearson": 0.11}
PAPERS_BLOCKS = 21  # of a ResNet-44
NORMAL = 1.96  # deviations to either side hold 95 %
RESAMPLES = 10_000


def numbers(data: Path | None, *, images: int = 2000, seed: int = 0, progress: bool | Progress = False) -> pd.DataFrame:
    """Every number of the figure, a row each; `attrs["recipe"]` says how they were made.

    The column `panel` is "maps" (a value a position), "means" (a similarity a mean), "blocks" (a score or the mean
    activation of a block) or "relation" (how both go together over the blocks). ValueError where the folder of data
    does not hold the images and the weights.
    """
    folder = _folder(data)
    network = es.load_network(SETTINGS.network, weights=str(folder / SETTINGS.weights))
    place = f"{folder / SETTINGS.images}:{SETTINGS.split}"
    source = es.open_images(place, network.preprocessing, limit=images, seed=seed)
    pixels = torch.cat(list(source))
    measured = {
        similarity: es.measure(
            network.model, pixels, list(transformations()), layers=network.layers, scoring=_scoring(similarity, seed),
            progress=progress,
        )
        for similarity in SIMILARITIES
    }  # fmt: skip
    manifest, found = measured["pearson"].manifest, source.description["found"]
    blocks = _blocks(measured, activations(network.model, pixels, list(measured["pearson"].layers["layer"])))
    table = pd.concat([*maps(seed), blocks, _relations(blocks, seed)], ignore_index=True)
    table.attrs["recipe"] = {
        "command": f"equiscope figure 2 --data DATA --images {images} --seed {seed} --output OUTPUT",
        "started": manifest["started"],
        "machine": machine(),
        "versions": manifest["versions"],
        "network": network.name,
        "weights": f"DATA/{SETTINGS.weights}, sha256 {network.weights['sha256']}",
        "images": f"{len(pixels):,} of the {found:,} images of DATA/{SETTINGS.images}:{SETTINGS.split}",
        "images left out": len(source.left_out),
        "fingerprint of the images": manifest["data"]["fingerprint"],
        "transformation": transformations()[0].name,
        "seed": seed,
    }
    return table


def _folder(data: Path | None) -> Path:
    folder = folder_of_data(data)
    needed = f"the folder that holds {SETTINGS.images}/ and {SETTINGS.weights}"
    if folder is None:
        raise ValueError(f"Figure 2 needs CIFAR-10 and trained weights: give --data DIR or EQUISCOPE_DATA, {needed}.")
    for name in (SETTINGS.images, SETTINGS.weights):
        if not (folder / name).exists():
            raise ValueError(f"There is no {name} in {folder}; --data (or EQUISCOPE_DATA) is {needed}.")
    return folder


def transformations() -> tuple[es.Transformation, es.Transformation]:
    """The rotation by 90 degrees; and the same of the image alone, under which invariance is Eq. 4 to the letter."""
    rotation = next(one for one in es.rotations().transformations if one.name == "rot90")
    (nothing,) = es.identity().transformations
    return rotation, es.Transformation("unmoved", rotation.on_pixels, nothing.on_positions, swaps_axes=True)


def _scoring(similarity: str, seed: int) -> es.Scoring:
    return es.Scoring(measures=("invariance", "equivariance"), scopes=SCOPES, similarity=similarity, seed=seed)


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


def maps(seed: int) -> Iterator[pd.DataFrame]:
    """Two unrelated random maps, and the similarity of both as their mean moves."""
    side = SETTINGS.side
    both = torch.rand(2, side, side, generator=torch.Generator().manual_seed(seed)) - 0.5
    both -= both.mean((-2, -1), keepdim=True)
    first, second = both
    for name, values in (("first", first), ("second", second)):
        rows, columns = np.indices(values.shape)
        yield pd.DataFrame(
            {"panel": "maps", "map": name, "row": rows.ravel(), "column": columns.ravel(), "value": values.flatten()}
        )
    # What changes the one map into the other is the transformation, and a mean an image: then a score is a similarity.
    images = first + torch.tensor(SETTINGS.means)[:, None, None, None]
    (nothing,) = es.identity().transformations
    to_second = es.Transformation("second", lambda images: images + (second - first), nothing.on_positions)
    for similarity in SIMILARITIES:
        scoring = es.Scoring(
            measures=("invariance",), scopes=("image",), similarity=similarity, negative="keep", intervals=False
        )
        found = es.measure(
            nn.Sequential(nn.Identity()), images, to_second, layers="0", scoring=scoring, progress=False
        ).replicates
        scores = found[found["scope"] == "image"].sort_values("replicate")["score"].to_numpy()
        yield pd.DataFrame({"panel": "means", "similarity": similarity, "mean": SETTINGS.means, "value": scores})


def _blocks(measured: Mapping[str, es.Scores], activation: pd.DataFrame) -> pd.DataFrame:
    """A row a score, and a row a block's mean activation and magnitude; `place` counts the blocks from 1."""
    columns = ["layer", "measure", "scope", "score", "low", "high", "in_sample", "chance", "explained"]
    moved, unmoved = (one.name for one in transformations())
    scores = []
    for similarity, measurement in measured.items():
        table = measurement.scores
        strict = (table["transformation"] == unmoved) & (table["measure"] == "invariance")
        found = table.loc[table["transformation"] == moved, columns]
        best = found[found["measure"] == "equivariance"]
        in_sample = best.assign(score=best["in_sample"], low=np.nan, high=np.nan, chance=np.nan, explained=np.nan)
        named = {"strict invariance": table.loc[strict, columns], "in-sample equivariance": in_sample}
        of_letter = [rows.assign(measure=measure) for measure, rows in named.items()]
        scores += [rows.assign(similarity=similarity) for rows in (found, *of_letter)]
    table = pd.concat(
        [pd.concat(scores).rename(columns={"score": "value"}), activation.melt("layer", var_name="measure")],
        ignore_index=True,
    )
    places = {layer: place for place, layer in enumerate(activation["layer"], 1)}
    return table.assign(panel="blocks", place=table["layer"].map(places), stage=table["layer"].str.split(".").str[0])


def _relations(blocks: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Pearson's r over the blocks, of the mean activation and what is scored, with its interval; column `of`.

    `of` is the "score", its "chance" level (an in-sample score has none), the score "within stages" (both sides less
    their stage's mean), and the score's r with the block's "place" or its "magnitude" instead of its activation;
    "difference" is the score's r under cosine less that under correlation.
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
            chance = found["chance"].to_numpy()
            within = correlation(
                _less_stage_mean(activation, stages), _less_stage_mean(score, stages), fitted=len(set(stages)) - 1
            )
            related = {
                "score": correlation(activation, score),
                "chance": None if np.isnan(chance).any() else correlation(activation, chance),
                "within stages": within,
                "magnitude": correlation(magnitude, score),
                "place": correlation(place, score),
            }
            rows += [{**reading, "similarity": similarity, "of": of, **r} for of, r in related.items() if r is not None]
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
