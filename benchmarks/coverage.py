"""How biased the estimates are, and how often their 95 % confidence intervals hold the truth, by simulation.

Features of many images are collected once from trained networks. What all of them score is the truth; samples of 40,
100 and 500 of them, drawn without replacement, are scored as a measurement would score them. A sample's interval is
compared with the truth of the whole set, so sampling from a finite set makes coverage a little too high where a sample
is not small beside it: the table gives the share that a sample is of the whole.

    python benchmarks/coverage.py DATA [--images N] [--repeats N] [--write FILE]

DATA is a folder with `cifar10`, `imagenet-800` and `weights/resnet20-cifar10.safetensors`, `resnet44-...`.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import equiscope as es
from equiscope.functional.transformations import Family
from equiscope.images.sources import open_images
from equiscope.measurement.findings import Findings, findings_of, moments_of
from equiscope.measurement.layer_moments import Scratch
from equiscope.measurement.options import Scoring
from equiscope.measurement.plan import Action, action
from equiscope.measurement.scored import scored
from equiscope.networks.features import reading
from equiscope.networks.layers import Layer, find_layers
from equiscope.networks.loading import Network, load_network
from equiscope.networks.state import left_as_found
from equiscope.results.scores import Scores

SIZES = (40, 100, 500)
BEGIN, END = "<!-- coverage -->", "<!-- end of coverage -->"
ROTATIONS = Family("rotations", es.rotations().transformations[:2])
SHIFTS = Family("shifts", es.shifts([4]).transformations)
LAYERS = {
    "cifar-resnet20": ["layer1.0", "layer1.2", "layer2.2", "layer3.2", "linear:input", "linear"],
    "cifar-resnet44": ["layer1.0", "layer1.6", "layer2.6", "layer3.6", "linear:input", "linear"],
}
MANIFEST = {
    "model": "",
    "data": {"fingerprint": "one set", "fingerprint_in_order": "one order", "split": None, "column": None, "seed": 0},
}


@dataclass
class Collected:
    """The features of one network's layers, of all images as they are and transformed: `[image, copy, ...]`."""

    name: str
    families: Sequence[Family]
    layers: list[Layer]
    features: dict[str, Tensor]

    @property
    def transformations(self) -> list[es.Transformation]:
        """All of them, in the order of the copies."""
        return [one for family in self.families for one in family.transformations]

    def scores(self, places: Sequence[int], scoring: Scoring) -> Scores:
        """What a measurement of some of the images finds."""
        findings = []
        for layer in self.layers:
            actions = [action(layer, one, scoring) for one in self.transformations]
            findings.append(self._findings(layer, actions, places, scoring))
        options = {"transformations": {family.name: [one.name for one in family.transformations]
                                       for family in self.families}, "seed": 0}  # fmt: skip
        counted = {"images": len(places), "images_registered_on": 0, "options": options}
        return scored(findings, self.families, len(places), scoring, MANIFEST | {"model": self.name} | counted)

    def _findings(self, layer: Layer, actions: list[Action], places: Sequence[int], scoring: Scoring) -> Findings:
        moments = moments_of(layer, actions, scoring, Scratch(), products=torch.float64)
        of_layer = self.features[layer.name]
        for group in range(10):
            chosen = list(range(group, len(places), 10))
            for start in range(0, len(chosen), 50):
                some = chosen[start : start + 50]
                maps = of_layer[[places[one] for one in some]].transpose(0, 1).flatten(0, 1).float()
                if len(some):
                    moments.add(maps, some, self.transformations, True)
        return findings_of(moments, actions, scoring, len(places))


def collected(network: Network, names: list[str] | None, images: Tensor, families: Sequence[Family]) -> Collected:
    """The features of some layers."""
    channels, height, width = images.shape[1:]
    found = find_layers(network.model, (channels, height, width), es.Layers(names, pool=network.pool)).measured
    kept: dict[str, list[Tensor]] = {layer.name: [] for layer in found}
    by_name = {layer.name: layer for layer in found}
    transformations = [one for family in families for one in family.transformations]

    def receive(name: str, features: Tensor) -> None:
        kept[name].append(by_name[name].maps(features).half())

    sources = {layer.name: layer.source for layer in found}
    with left_as_found(network.model), reading(network.model, sources, receive):
        for some in torch.split(images, 64):
            for copy in (some, *(one.on_pixels(some) for one in transformations)):
                network.model(copy)
    copies = 1 + len(transformations)
    features = {}
    for name, parts in kept.items():
        features[name] = torch.cat([torch.stack(parts[at : at + copies], 1) for at in range(0, len(parts), copies)])
    return Collected(network.name, families, list(found), features)


def rows_of(scores: Scores) -> pd.DataFrame:
    """All rows that have an interval, by what they are of."""
    layers = scores.scores.rename(columns={"layer": "of"}).drop(columns="part")
    parts = scores.parts.rename(columns={"part": "of"})
    table = pd.concat([layers, parts.assign(of="part " + parts["of"])])
    return table.set_index(["of", "transformation", "measure", "scope"])


def simulated(of: Collected, repeats: int, scoring: Scoring, sizes: Sequence[int]) -> pd.DataFrame:
    """Bias and coverage of every row, at every size."""
    images = len(next(iter(of.features.values())))
    truth = rows_of(of.scores(range(images), scoring))
    found = []
    for size in sizes:
        for repeat in range(repeats):
            places = np.random.default_rng([size, repeat]).permutation(images)[:size].tolist()
            table = rows_of(of.scores(places, scoring))
            found.append(_held(table, truth).assign(network=of.name, size=size, share=size / images, repeat=repeat))
    return pd.concat(found).reset_index()


def _held(table: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    true = truth.reindex(table.index)
    return pd.DataFrame(
        {
            "truth": true["score"],
            "bias": table["score"] - true["score"],
            "held": _inside(table["low"], true["score"], table["high"]),
            "truth_explained": true["explained"],
            "bias_explained": table["explained"] - true["explained"],
            "held_explained": _inside(table["explained_low"], true["explained"], table["explained_high"]),
        },
        index=table.index,
    )


def _inside(low: pd.Series, value: pd.Series, high: pd.Series) -> pd.Series:
    return ((low <= value) & (value <= high)).where(low.notna()).astype(float)


def differences(one: Collected, other: Collected, repeats: int, scoring: Scoring, sizes: Sequence[int]) -> pd.DataFrame:
    """The same of the differences of two networks' parts that `compare` gives."""
    images = len(next(iter(one.features.values())))
    keys = ["part", "transformation", "measure", "scope"]

    def table(places: Sequence[int]) -> pd.DataFrame:
        compared = es.compare({net.name: net.scores(places, scoring) for net in (one, other)})
        return compared[compared["what"] == "difference"].set_index(keys)

    truth, found = table(range(images)), []
    for size in sizes:
        for repeat in range(repeats):
            places = np.random.default_rng([size, repeat]).permutation(images)[:size].tolist()
            found.append(_held(table(places), truth).assign(size=size, share=size / images, repeat=repeat))
    return pd.concat(found).reset_index().rename(columns={"part": "of"}).assign(network="difference")


def width(of: Collected, places: Sequence[int]) -> pd.DataFrame:
    """The score of random subsets of the channels of the last layer before the classifier."""
    layer = of.layers[0]
    rows = []
    for channels in (40, 160, 640, layer.channels):
        chosen = torch.randperm(layer.channels, generator=torch.Generator().manual_seed(channels))[:channels]
        features = {layer.name: of.features[layer.name][:, :, chosen]}
        narrow = Collected(of.name, of.families, [_Narrowed(layer, channels)], features)  # type: ignore[list-item]
        table = narrow.scores(places, Scoring(intervals=False)).scores
        table = table[table["transformation"] == "rotations"].set_index("measure")
        rows.append({"channels": channels, **table["score"], "in_sample": table["in_sample"]["equivariance"]})
    return pd.DataFrame(rows)


class _Narrowed:
    """A layer of fewer channels."""

    def __init__(self, layer: Layer, channels: int) -> None:
        self.channels, self._layer = channels, layer

    def __getattr__(self, name: str) -> object:
        return getattr(self._layer, name)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """By kind of row and size: the largest and the mean bias, and coverage."""
    kinds = table["of"].map(_kind)
    grouped = table.assign(kind=kinds).groupby(["network", "kind", "measure", "scope", "size"], sort=False)
    per_row = table.assign(kind=kinds).groupby(
        ["network", "kind", "measure", "scope", "size", "of", "transformation"], sort=False
    )
    bias = per_row[["bias", "bias_explained"]].mean().abs().groupby(
        level=["network", "kind", "measure", "scope", "size"], sort=False
    ).max()  # fmt: skip
    means = grouped[["held", "held_explained", "share"]].mean()
    return bias.join(means).reset_index()


def _kind(of: str) -> str:
    if (
        of in ("pool", "final", "global_pool")
        or of.startswith("part pool")
        or of.startswith("part final")
        or of.startswith("linear")
    ):
        return "vectors"
    return "parts" if of.startswith("part") or of in ("early", "middle", "late") else "maps"


def as_page(brief: pd.DataFrame, widths: pd.DataFrame, recipe: str) -> str:
    """The tables as Markdown."""
    columns = {
        "network": "network", "kind": "rows", "measure": "measure", "scope": "scope", "size": "images", "bias": "bias",
        "held": "coverage", "bias_explained": "bias, explained", "held_explained": "coverage, explained",
    }  # fmt: skip
    narrowed = "Scores of random subsets of efficientnet-lite0's pooled channels, 200 images, rotations:"
    defined = brief.dropna(subset="bias")[list(columns)]
    tables = _markdown(defined, list(columns.values())), _markdown(widths, list(widths.columns))
    parts = [recipe, tables[0], narrowed, tables[1]]
    return "\n\n".join(parts)


def _markdown(table: pd.DataFrame, heads: Sequence[str]) -> str:
    def cell(value: object) -> str:
        if isinstance(value, float):
            return "" if np.isnan(value) else f"{value:.3f}"
        return str(value)

    rows = [" | ".join(map(cell, row)) for row in table.itertuples(index=False)]
    return "\n".join(["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *(f"| {row} |" for row in rows)])


def told(text: str) -> None:
    """A line on the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Run the simulation, and write its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--write", type=Path, default=Path("out/coverage"))
    parser.add_argument("--page", type=Path, help="a page whose table is replaced")
    given = parser.parse_args()
    began = time.monotonic()
    scoring = Scoring(scopes=("dataset", "image"))
    nets = []
    for name, layers in LAYERS.items():
        weights = given.data / "weights" / f"{name.removeprefix('cifar-')}-cifar10.safetensors"
        network = load_network(name, weights=str(weights))
        source = open_images(f"{given.data / 'cifar10'}:test", network.preprocessing, limit=given.images)
        images = torch.cat(list(source))
        nets.append(collected(network, layers, images, [ROTATIONS, SHIFTS]))
        told(f"{name}: features of {len(images)} images, {time.monotonic() - began:.0f} s")
    tables = [simulated(nets[0], given.repeats, scoring, SIZES)]
    told(f"{nets[0].name}: simulated, {time.monotonic() - began:.0f} s")
    tables.append(differences(nets[0], nets[1], max(10, given.repeats // 2), Scoring(), SIZES[:2]))
    told(f"differences: simulated, {time.monotonic() - began:.0f} s")
    lite0 = load_network("efficientnet-lite0")
    photographs = torch.cat(list(open_images(str(given.data / "imagenet-800"), lite0.preprocessing)))
    pooled = collected(lite0, ["global_pool"], photographs, [ROTATIONS])
    told(f"lite0: features of {len(photographs)} images, {time.monotonic() - began:.0f} s")
    tables.append(simulated(pooled, max(10, given.repeats // 4), Scoring(), SIZES[:2]))
    widths = width(pooled, range(200))
    given.write.mkdir(parents=True, exist_ok=True)
    whole = pd.concat(tables, ignore_index=True)
    whole.to_parquet(given.write / "rows.parquet")
    brief = summary(whole)
    brief.to_csv(given.write / "summary.csv", index=False, float_format="%.3f")
    widths.to_csv(given.write / "width.csv", index=False, float_format="%.3f")
    told(f"{brief.round(3).to_string()}\n\n{widths.round(3).to_string()}\n")
    recipe = (
        f"{date.today()}; {os.cpu_count()} CPU cores ({platform.machine()}), torch {torch.__version__}, "
        f"{(time.monotonic() - began) / 60:.0f} minutes; {given.images:,} images of CIFAR-10's test set, and 800 of "
        f"ImageNet; {given.repeats} samples of each size. Bias is the largest, of all rows, of the mean over samples; "
        "coverage the share of all intervals that hold the truth."
    )
    told(recipe)
    if given.page:
        before, _, rest = given.page.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        given.page.write_text(f"{before}{BEGIN}\n\n{as_page(brief, widths, recipe)}\n\n{END}{after}")


if __name__ == "__main__":
    main()
