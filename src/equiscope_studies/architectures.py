"""What figures 4 and 7 are made of: several networks, measured alike, each in folders of its own.

A network is measured three times: under diagonal shifts that bring in zeros; under the same shifts with nothing
invented at the border (the network's window moves over a larger image; where images are no larger than the input,
they are mirrored at the border); and under the three rotations, about the arrays' centres and about each layer's own.
Each measurement is a folder `RESULTS/NETWORK/MEASUREMENT` as `Scores.save` writes it, so that what is finished is never
measured again. Accuracy is the catalogue's published one, what the user tells, or else measured on all labelled
images of the same split. On two CPU cores an EfficientNet-Lite takes about a quarter of an hour for 200 images.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

import equiscope as es
from equiscope.figures.style import DOTTED, GREY, TWO_COLUMNS, Plot, draw_intervals, drawing, series_look
from equiscope.functional.transformations import shifts as shifts_of
from equiscope.images.data import open_images
from equiscope.networks.catalogue import CATALOGUE
from equiscope.networks.layers import PARTS
from equiscope.networks.loading import Network, load_network
from equiscope.results.folder import MANIFEST
from equiscope.results.scores import MEASURES, SCOPES, value_columns
from equiscope.system.files import replacing
from equiscope.system.progress import Progress
from equiscope_studies.results import markdown, recipe_in_words


@dataclass(frozen=True)
class Settings:
    """What is measured where the user does not say."""

    models: tuple[str, ...] = (  # the paper's six; it names no weights of EfficientNet and ViT
        "tf_efficientnet_b6.aa_in1k",
        "tf_efficientnet_b7.aa_in1k",
        "resnext101_32x8d.IMAGENET1K_V1",
        "inception_v3.IMAGENET1K_V1",
        "vit_base_patch16_224.augreg_in21k_ft_in1k",
        "mixer_b16_224.goog_in21k_ft_in1k",
    )
    shifts: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
    small: int = 64  # pixels: inputs below are of images with nothing around what is seen
    small_shifts: tuple[int, ...] = tuple(range(1, 17))
    small_batch: int = 512  # images in a forward pass, transformed ones included
    small_images: str = "cifar10:test"  # in the folder of data
    weights: tuple[tuple[str, str], ...] = tuple(  # likewise
        (f"cifar-resnet{depth}", f"weights/resnet{depth}-cifar10.safetensors") for depth in (20, 44)
    )


SETTINGS = Settings()
GROUPS = {"translation": "shifts", "rotation": "rotations"}  # of transformations, and the family measured
KINDS = {"vit|deit": "ViT", "mixer": "Mixer", "efficientnet|resnext|resnet|inception": "CNN"}  # by a network's name
PUBLISHED = "ImageNet, published"
GIVEN = "as given"


@dataclass(frozen=True)
class Asked:
    """What all networks of a figure have in common."""

    source: str  # as `open_images` takes it
    named: str  # as pages name it
    images: int
    seed: int
    shifts: tuple[int, ...] | None

    def shifts_at(self, size: tuple[int, int]) -> tuple[int, ...]:
        """The shifts for a network of that input."""
        return self.shifts or (SETTINGS.small_shifts if _is_small(size) else SETTINGS.shifts)


def asked(
    models: Sequence[str],
    data: Path | None,
    source: str | None,
    *,
    images: int,
    seed: int,
    shifts: Sequence[int] | None,
) -> Asked:
    """The images and shifts for these networks; a source that lies in the folder of data is found there.

    ValueError where networks are given twice, a shift is not at least 1, or no source is given and none follows.
    """
    for name in models:
        if models.count(name) > 1:
            raise ValueError(f"The network {name} is given {models.count(name)} times; give it once.")
    if shifts is not None and (not shifts or min(shifts) < 1 or len(set(shifts)) < len(shifts)):
        raise ValueError(f"shifts={list(shifts)} are not different whole pixels of at least 1; give for example 1 2 4.")
    folder = folder_of_data(data)
    if source is None:
        if not models or any(not name.startswith("cifar-") for name in models):
            raise ValueError(
                "The images to measure on are not given; give source=NAME, a folder or a data set of ImageNet's "
                "validation images (2000 in the paper)."
            )
        if folder is None:
            raise ValueError(
                "The CIFAR networks need CIFAR-10: give --data DIR or EQUISCOPE_DATA, which holds cifar10/."
            )
        source = SETTINGS.small_images
    within = folder is not None and (folder / source.partition(":")[0]).exists()
    return Asked(
        source=str(folder / source) if folder is not None and within else source,
        named=f"DATA/{source}" if within else source,
        images=images,
        seed=seed,
        shifts=tuple(sorted(shifts)) if shifts else None,
    )


def folder_of_data(data: Path | None) -> Path | None:
    """The folder given, or the one that EQUISCOPE_DATA names."""
    given = data or os.environ.get("EQUISCOPE_DATA")
    return Path(given) if given else None


def _is_small(size: tuple[int, int]) -> bool:
    return min(size) < SETTINGS.small


# --- measuring


def measured(
    name: str,
    wanted: Asked,
    results: Path,
    *,
    weights: str | None = None,
    data: Path | None = None,
    accuracy: float | None = None,
    device: str | None = None,
    progress: bool | Progress = False,
) -> None:
    """Measure what is not yet there of one network: `RESULTS/NETWORK` then holds all its measurements.

    ValueError where a finished folder was made with other options.
    """
    home = results / folder_name(name)
    told = weights or _weights_at_hand(name, data)
    weights_named = _named(told, data)
    missing = _unfinished(home, name, wanted, weights_named)
    needs_accuracy = accuracy is None and _published(name) is None and not (home / "accuracy.json").is_file()
    if not missing and not needs_accuracy:
        return
    network = load_network(name, weights=told, seed=wanted.seed)
    size = network.preprocessing.size
    for measurement, options in measurements(wanted.shifts_at(size), size).items():
        folder = home / measurement
        if measurement not in missing:
            continue
        margin = max(wanted.shifts_at(size)) if options.get("fill") == "crop" else 0
        source = open_images(
            wanted.source,
            network.preprocessing.larger_by(margin, margin),
            limit=wanted.images, seed=wanted.seed,
        )  # fmt: skip
        scores = es.measure(
            network.model, source, default_layers=network.layers, pool=network.pool,
            batch_size=SETTINGS.small_batch if _is_small(size) else 32,
            seed=wanted.seed, device=device, progress=progress, **options,
        )  # fmt: skip
        description = dict(source.description)
        preprocessing = description.pop("preprocessing")
        own = {
            "model": name,
            "network": scores.manifest["model"],
            "weights": network.weights,
            "data": description | {"tried": len(source), "left_out": len(source.left_out)},
            "preprocessing": preprocessing,
            "remarks": network.remarks,
            "study": _study(name, wanted, weights_named, measurement, size),
        }
        replace(scores, manifest=scores.manifest | own).save(folder, force=True)  # what is there is half a result
    if needs_accuracy:
        _write(home / "accuracy.json", _accuracy(network, wanted, device))


def measurements(shifts: Sequence[int], size: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """The three measurements of a network of that input, by the names of their folders: options of `measure`."""
    family = shifts_of(list(shifts))
    border: dict[str, Any] = {"fill": "reflect"} if _is_small(size) else {"fill": "crop", "size": size}
    return {
        "shifts-zero": {"transformations": family, "fill": "zero"},
        f"shifts-{border['fill']}": {"transformations": family} | border,
        "rotations": {"transformations": es.rotations(), "alignment": "registered"},
    }


def folder_name(name: str) -> str:
    """The name of a network's folder.

    >>> folder_name("timm:resnet18.a1_in1k"), folder_name("my nets/net.py:small")
    ('timm-resnet18.a1_in1k', 'net.py-small')
    """
    return re.sub(r"[^\w.-]+", "-", PurePath(name).name).strip(".-")


def kind(name: str) -> str:
    """What a network is by its name: "CNN", "ViT", "Mixer", or "other".

    >>> kind("timm:vit_tiny_patch16_224"), kind("cifar-resnet20"), kind("net.py:small")
    ('ViT', 'CNN', 'other')
    """
    return next((its for names, its in KINDS.items() if ".py" not in name and re.search(names, name)), "other")


def _study(name: str, wanted: Asked, weights: str | None, measurement: str, size: tuple[int, int]) -> dict[str, Any]:
    """What makes two folders the same measurement."""
    return {
        "network": name,
        "measurement": measurement,
        "weights": weights,
        "source": wanted.named,
        "images": wanted.images,
        "seed": wanted.seed,
        "shifts": list(wanted.shifts_at(size)) if measurement != "rotations" else None,
        "input": list(size),
    }


def _unfinished(home: Path, name: str, wanted: Asked, weights: str | None) -> set[str]:
    """The measurements that are still to be made; ValueError where one was made with other options."""
    names = {"shifts-zero", "shifts-crop", "shifts-reflect", "rotations"}
    for measurement in tuple(names):
        file = home / measurement / MANIFEST
        if not file.is_file():
            continue
        found = json.loads(file.read_text(encoding="utf-8")).get("study") or {}
        ours = _study(name, wanted, weights, measurement, tuple(found.get("input", (0, 0))))
        different = [key for key, value in ours.items() if found.get(key) != value]
        if different:
            then = ", ".join(f"{key} {found.get(key)}" for key in different)
            now = ", ".join(f"{key} {ours[key]}" for key in different)
            raise ValueError(
                f"{home / measurement} was measured with other options ({then}; asked for now: {now}); give another "
                "folder of results, or the same options."
            )
        names.discard(measurement)
        if measurement.startswith("shifts-") and measurement != "shifts-zero":
            names -= {"shifts-crop", "shifts-reflect"}
    return names


def _weights_at_hand(name: str, data: Path | None) -> str | None:
    """The file of weights that the folder of data holds for this network."""
    folder, file = folder_of_data(data), dict(SETTINGS.weights).get(name)
    return str(folder / file) if folder and file and (folder / file).is_file() else None


def _named(weights: str | None, data: Path | None) -> str | None:
    folder = folder_of_data(data)
    if weights is None or folder is None or not Path(weights).is_relative_to(folder):
        return weights
    return f"DATA/{PurePath(weights).relative_to(folder).as_posix()}"


# --- accuracy


def _published(name: str) -> float | None:
    return CATALOGUE[name].top1 if name in CATALOGUE else None


def _accuracy(network: Network, wanted: Asked, device: str | None) -> dict[str, Any]:
    """Top-1 accuracy on all labelled images of the split that is measured on, or why there is none."""
    import datasets

    description = open_images(wanted.source, network.preprocessing, limit=1).description
    nothing = {"top1": None, "on": None, "images": 0}
    if description["kind"] != "data set":
        return nothing | {"reason": f"{wanted.named} has no labels"}
    split = str(description["split"])
    rows = datasets.load_dataset(wanted.source.removesuffix(f":{split}"))[split]
    labels = next((name for name, kind in rows.features.items() if isinstance(kind, datasets.ClassLabel)), None)
    if labels is None:
        return nothing | {"reason": f"{wanted.named} has no labels"}
    column, classes = str(description["column"]), rows.features[labels].num_classes
    place = torch.device(device or "cpu")
    model = network.model.to(place)
    right = 0
    with torch.inference_mode():
        for start in range(0, len(rows), 100):
            batch = rows[start : start + 100]
            logits = model(torch.stack([network.preprocessing(image) for image in batch[column]]).to(place))
            if not isinstance(logits, torch.Tensor) or logits.shape[1:] != (classes,):
                return nothing | {"reason": f"{wanted.named} has {classes} classes, and {network.name} has not"}
            right += int((logits.argmax(1).cpu() == torch.tensor(batch[labels])).sum())
    on = f"{wanted.named.removesuffix(f':{split}')}:{split}, measured"
    return {"top1": 100 * right / len(rows), "on": on, "images": len(rows), "reason": None}


def _write(file: Path, content: Mapping[str, Any]) -> None:
    """A file of JSON, complete or absent."""
    with replacing(file) as aside:
        aside.write_text(json.dumps(content, indent=2), encoding="utf-8")


# --- the numbers


def numbers(models: Sequence[str], results: Path, accuracy: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Every part's scores of every network, a row each, with the network's accuracy; `attrs["recipe"]` says how.

    `group` is "translation" or "rotation"; `variant` is what a shift brings in at the border ("zero", "crop",
    "reflect"), or the alignment under rotations ("array", "registered"). ValueError where networks differ in images or
    shifts.
    """
    tables: list[pd.DataFrame] = []
    recipes: dict[str, dict[str, Any]] = {}  # of each network's measurement with zeros, the first of its folders
    for name in models:
        home = results / folder_name(name)
        top1, on = _accuracy_of(name, home, accuracy or {})
        folders = (path.parent for path in home.glob(f"*/{MANIFEST}"))
        for folder in sorted(folders, key=lambda folder: folder.name, reverse=True):
            scores = es.load(folder)
            recipes.setdefault(name, scores.manifest)
            _refuse_unlike(scores.manifest, recipes[models[0]])
            group = next(group for group, family in GROUPS.items() if family in scores.families)
            fill = scores.manifest["options"]["fill"]
            variant = fill if group == "translation" else scores.parts["alignment"]
            tables.append(
                scores.parts.drop(columns="alignment").assign(
                    network=name, kind=kind(name), group=group, variant=variant,
                    accuracy=top1, accuracy_on=on, registered_on=scores.manifest["images_registered_on"],
                )
            )  # fmt: skip
    table = pd.concat(tables, ignore_index=True)
    table.attrs["recipe"] = _recipe(models, recipes)
    return table


def _refuse_unlike(manifest: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """ValueError where a network was measured on other images, or by other shifts, than the first."""
    for what, place in {
        "images": ("data", "fingerprint"),
        "number of images": ("study", "images"),
        "seed": ("study", "seed"),
    }.items():
        ours, theirs = (one[place[0]][place[1]] for one in (manifest, first))
        if ours != theirs:
            raise ValueError(
                f"{manifest['model']} and {first['model']} were measured on different images ({what}: {ours} and "
                f"{theirs}), and one figure needs the same for all; measure one of them again."
            )
    small, firsts = (_is_small(tuple(one["study"]["input"])) for one in (manifest, first))
    if small != firsts:
        raise ValueError(
            f"{manifest['model']} takes {manifest['study']['input'][0]} pixels and {first['model']} "
            f"{first['study']['input'][0]}, so that their shifts and borders differ; draw a figure of each kind."
        )


def _accuracy_of(name: str, home: Path, given: Mapping[str, float]) -> tuple[float, str | None]:
    """A network's top-1 accuracy in per cent, and what it is the accuracy on."""
    if name in given:
        return given[name], GIVEN
    if (published := _published(name)) is not None:
        return published, PUBLISHED
    file = home / "accuracy.json"
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"top1": None, "on": None}
    return float("nan") if found["top1"] is None else found["top1"], found["on"]


def _recipe(models: Sequence[str], manifests: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    first = manifests[models[0]]
    study = first["study"]
    return {
        "started": first["started"],
        "versions": first["versions"],
        "images": f"{first['data']['tried']:,} of the {first['data']['found']:,} images of {study['source']}",
        "fingerprint of the images' names and sizes": first["data"]["fingerprint"],
        "images that registered centres are found on, and rotations are not scored on": 64,
        "shifts along the diagonal, in pixels": ", ".join(map(str, study["shifts"])),
        "seed": study["seed"],
        "networks": ", ".join(
            f"{name} ({manifest['study']['input'][0]} pixels, weights {_weights_in_words(manifest)})"
            for name, manifest in manifests.items()
        ),
    }


def _weights_in_words(manifest: Mapping[str, Any]) -> str:
    found = manifest["weights"]
    source = manifest["study"]["weights"] or found["source"]
    return f"{source}, sha256 {found['sha256'][:16]}" if "sha256" in found else str(source)


def main_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of whole groups, without those of single shifts and rotations."""
    return table[table["transformation"] == table["group"].map(GROUPS)]


@dataclass(frozen=True)
class Reading:
    """One way to read a figure: which scope, corrected for chance or not, and which border or centre."""

    group: str
    variant: str
    scope: str
    corrected: bool

    def __str__(self) -> str:
        return f"{self.variant}, {self.scope}, {'corrected' if self.corrected else 'raw'}"

    @property
    def columns(self) -> tuple[str, str, str]:
        """The table's columns of the value and of the ends of its interval."""
        return value_columns(self.corrected)

    def of(self, table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
        """The rows of this reading, with columns `value`, `from` and `to`."""
        rows = main_rows(table)
        chosen = {"group": self.group, "variant": self.variant, "scope": self.scope} | wanted
        rows = rows[(rows[list(chosen)] == pd.Series(chosen)).all(axis=1)]
        value, low, high = self.columns
        return rows.assign(value=rows[value], **{"from": rows[low], "to": rows[high]})


def readings(table: pd.DataFrame) -> Iterator[Reading]:
    """Every reading of the numbers at hand."""
    for group, rows in table.groupby("group", sort=False):
        for corrected in (False, True):
            for scope in ("dataset", "image"):
                for variant in variants(rows):
                    yield Reading(str(group), variant, scope, corrected)


def variants(rows: pd.DataFrame) -> list[str]:
    """The borders or centres that were measured, the paper's first."""
    order = ("zero", "crop", "reflect", "array", "registered")
    return [variant for variant in order if variant in set(rows["variant"])]


# --- the picture of figure 7

MARKERS = {"CNN": "o", "ViT": "s", "Mixer": "^", "other": "D"}


def picture(table: pd.DataFrame) -> Plot:
    """Figure 7, of saved numbers alone: a column a group and variant, a row a scope, raw and corrected."""
    columns = [(group, variant) for group in GROUPS for variant in variants(table[table["group"] == group])]
    lines = list(product((False, True), SCOPES))
    with drawing():
        figure = Plot(figsize=(TWO_COLUMNS, 8), layout="constrained")
        panels = figure.subplots(len(lines), len(columns), sharex=True, sharey=True, squeeze=False)
        for line, (corrected, scope) in enumerate(lines):
            for axes, (group, variant) in zip(panels[line], columns, strict=True):
                _draw(axes, Reading(group, variant, scope, corrected).of(table))
                if line == 0:
                    axes.set_title(f"{group}, {variant}", color=GREY)
            panels[line, 0].set_ylabel(f"{'corrected' if corrected else 'score'}, scope {scope}")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        handles.append(Line2D([], [], color=GREY, linestyle="-", label="equivariance"))
        handles.append(Line2D([], [], color=GREY, linestyle=DOTTED, label="invariance"))
        figure.legend(handles=handles, loc="outside lower center", ncols=4 if len(labels) > 3 else len(handles))
    return figure


def _draw(axes: Axes, rows: pd.DataFrame) -> None:
    """Every network's two measures by part, aside from each other, with their intervals."""
    networks = list(dict.fromkeys(rows["network"]))
    for place, network in enumerate(networks):
        colour = series_look(place).colour
        for measure in MEASURES:
            found = rows[(rows["network"] == network) & (rows["measure"] == measure)].set_index("part").reindex(PARTS)
            places = np.arange(len(PARTS)) + 0.5 * ((place + 0.5) / len(networks) - 0.5)
            equivariance = measure == "equivariance"
            draw_intervals(axes, places, found["from"], found["to"], colour)
            axes.plot(
                places, found["value"], color=colour, linestyle="-" if equivariance else DOTTED, linewidth=0.8,
                marker=MARKERS[kind(network)], markersize=3.5, markeredgewidth=0.8,
                markerfacecolor=colour if equivariance else "white", zorder=3 if equivariance else 4,
                label=network if equivariance else None,
            )  # fmt: skip
    axes.set_xticks(range(len(PARTS)), PARTS, fontsize=6)
    axes.set(xlim=(-0.5, len(PARTS) - 0.5), ylim=(min(-0.03, axes.dataLim.y0 - 0.02), 1.03))
    axes.grid(axis="y")


# --- the page of figure 7


def page(table: pd.DataFrame, told: pd.DataFrame, rules: Mapping[str, str]) -> str:
    """Figure 7 in words, every one of which follows from the numbers; `told` are the verdicts on the claims."""
    recipe = table.attrs["recipe"]
    return "\n\n".join(
        [
            "# Figure 7: which architectures learn equivariant features?",
            "![The figure](figure.png)",
            "Scores by part of the network, with 95 % intervals over images: the mean over all shifts, and over the "
            "three rotations. Columns: what a shift brings in at the border, and about which centre layers are turned. "
            "Corrected: 0 is the level of images that do not belong together. Filled and solid: equivariance; open and "
            "dotted: invariance.",
            "## What moves the answer",
            _border_and_centre(table),
            "## The paper's claims",
            "\n".join(f"- {claim}: {rule}." for claim, rule in rules.items()),
            verdict_table(told),
            "## Every score",
            _score_table(table),
            "## How this was made",
            recipe_in_words(recipe) + "\n\nAll numbers, with more digits, are in `data.parquet`.\n",
        ]
    )


def _border_and_centre(table: pd.DataFrame) -> str:
    """How far border and centre move equivariance, beside how far networks lie apart, by part."""
    rows = main_rows(table)
    rows = rows[rows["measure"] == "equivariance"]
    lines = []
    for group, scope in product(GROUPS, SCOPES):
        found = rows[(rows["group"] == group) & (rows["scope"] == scope)]
        names = variants(found)
        if len(names) < 2:
            continue
        for part in PARTS:
            wide = found[found["part"] == part].pivot(index="network", columns="variant", values="score")
            if wide.empty or wide.isna().all(axis=None):
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
    for reading, measure in product(readings(table), MEASURES):
        found = reading.of(table, measure=measure)
        for network, of_network in found.groupby("network", sort=False):
            by_part = of_network.set_index("part")
            values = by_part[["value", "from", "to"]].reindex(PARTS).to_numpy()
            cells = [
                "–" if np.isnan(value) else f"{value:.2f} ({low:.2f} to {high:.2f})" for value, low, high in values
            ]
            rows.append([f"{reading.group}, {reading}, {measure}", str(network), *cells])
    return markdown(["score", "network", *PARTS], rows)


def verdict_table(verdicts: pd.DataFrame) -> str:
    """The claims as a table, those of which every reading says the same in one row."""
    rows = []
    for claim, of_claim in verdicts.groupby("claim", sort=False):
        if of_claim["verdict"].nunique() == 1 and of_claim["reason"].nunique() == 1:
            rows.append([str(claim), "all", of_claim["verdict"].iloc[0], of_claim["reason"].iloc[0]])
        else:
            rows += [[str(claim), row["reading"], row["verdict"], row["reason"]] for row in of_claim.to_dict("records")]
    return markdown(["claim", "reading", "verdict", "because"], rows)
