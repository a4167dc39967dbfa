"""The scores of several networks as one table, and the ways to read it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from equiscope.results.columns import SCOPES
from equiscope.results.folder import is_result
from equiscope.results.rows import overall
from equiscope_studies.survey.kept import kept
from equiscope_studies.survey.measuring import accuracy_of, folder_name, is_small

GROUPS = {"translation": "shifts", "rotation": "rotations"}  # of transformations, and the family measured
KINDS = {
    "vit|deit": "ViT",
    "mixer": "Mixer",
    "efficientnet|resnext|resnet|inception|mobilenet|googlenet|densenet": "CNN",
}  # by a network's name
VARIANTS = ("zero", "crop", "reflect", "array", "registered")  # what enters at the border; which centre


def numbers(models: Sequence[str], results: Path, accuracy: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Every part's scores of every network, a row each, with the network's accuracy; `attrs["recipe"]` says how.

    `group` is "translation" or "rotation"; `variant` is what a shift brings in at the border ("zero", "crop",
    "reflect"), or the alignment under rotations ("array", "registered"). ValueError where networks differ in images or
    shifts.
    """
    tables: list[pd.DataFrame] = []
    recipes: dict[str, Mapping[str, Any]] = {}  # of each network's measurement with zeros, the first of its folders
    for name in models:
        top1, on = accuracy_of(name, results, accuracy or {})
        folders = (folder for folder in (results / folder_name(name)).iterdir() if is_result(folder))
        for folder in sorted(folders, key=lambda folder: folder.name, reverse=True):
            scores = kept(folder)
            recipes.setdefault(name, scores.manifest)
            _refuse_unlike(scores.manifest, recipes[models[0]])
            group = next(group for group, family in GROUPS.items() if family in scores.families)
            parts = overall(scores.parts)
            variant = scores.manifest["options"]["fill"] if group == "translation" else parts["alignment"]
            tables.append(
                parts.drop(columns="alignment").assign(
                    network=name, kind=kind(name), group=group, variant=variant,
                    accuracy=top1, accuracy_on=on, registered_on=scores.manifest["images_registered_on"],
                )
            )  # fmt: skip
    table = pd.concat(tables, ignore_index=True)
    table.attrs["recipe"] = _recipe(models, recipes, int(table["registered_on"].max()))
    return table


def kind(name: str) -> str:
    """What a network is by its name: "CNN", "ViT", "Mixer", or "other".

    >>> kind("timm:vit_tiny_patch16_224"), kind("cifar-resnet20"), kind("net.py:small")
    ('ViT', 'CNN', 'other')
    """
    return next((its for names, its in KINDS.items() if ".py" not in name and re.search(names, name)), "other")


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
    small, firsts = (is_small(tuple(one["study"]["input"])) for one in (manifest, first))
    if small != firsts:
        raise ValueError(
            f"{manifest['model']} takes {manifest['study']['input'][0]} pixels and {first['model']} "
            f"{first['study']['input'][0]}, so that their shifts and borders differ; draw a figure of each kind."
        )


def _recipe(models: Sequence[str], manifests: Mapping[str, Mapping[str, Any]], registered: int) -> dict[str, Any]:
    first = manifests[models[0]]
    study = first["study"]
    return {
        "started": first["started"],
        "machine": first["machine"],
        "versions": first["versions"],
        "images": f"{first['data']['tried']:,} of the {first['data']['found']:,} images of {study['source']}",
        "fingerprint of the images": first["data"]["fingerprint"],
        "images that registered centres are found on, and rotations are not scored on": registered,
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


def of_families(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of whole groups, without those of single shifts and rotations."""
    return table[table["transformation"] == table["group"].map(GROUPS)]


@dataclass(frozen=True)
class Reading:
    """One way to read a figure: in which scope, and with which border or centre."""

    group: str
    variant: str
    scope: str

    def __str__(self) -> str:
        return f"{self.variant}, {self.scope}"

    def of(self, table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
        """The rows of this reading, and of what else is wanted."""
        rows = of_families(table)
        chosen = {"group": self.group, "variant": self.variant, "scope": self.scope} | wanted
        return rows[(rows[list(chosen)] == pd.Series(chosen)).all(axis=1)]


def readings(table: pd.DataFrame) -> Iterator[Reading]:
    """Every reading of the numbers at hand."""
    for group, rows in table.groupby("group", sort=False):
        for scope in SCOPES:
            for variant in variants(rows):
                yield Reading(str(group), variant, scope)


def variants(rows: pd.DataFrame) -> list[str]:
    """The borders or centres that were measured, the paper's first."""
    return [variant for variant in VARIANTS if variant in set(rows["variant"])]
