"""What figures 4 and 7 are made of: several networks, measured alike, each in folders of its own.

A network is measured three times: under diagonal shifts that bring in zeros; under the same shifts with nothing
invented at the border (the network's window moves over a larger image; where images are no larger than the input,
they are mirrored at the border); and under the three rotations, about the arrays' centres and about each layer's own.
Each measurement is a folder `RESULTS/NETWORK/MEASUREMENT` of the scores of parts and the manifest, so that what is
finished is never measured again. Accuracy is the catalogue's published one, what the user gives, or else measured on
all labelled images of the same split. On two CPU cores an EfficientNet-Lite takes about a quarter of an hour for 200
images.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import equiscope as es
from equiscope.results.columns import LADDER, SCOPES
from equiscope.results.folder import is_result
from equiscope.system.errors import OptionError
from equiscope.system.files import expanded, replacing
from equiscope.system.progress import Progress
from equiscope_studies.data_folder import folder_of_data
from equiscope_studies.results import machine
from equiscope_studies.survey import transformer
from equiscope_studies.survey.kept import keep, kept
from equiscope_studies.survey.top1 import NoLabels, accuracies, labelled
from equiscope_studies.survey.trained import TRAINED, trained


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
    shifts: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    memory: float = 6.0  # GiB of accumulators; for more the images are read several times
    size: int = 224  # pixels, of the networks that are shifted by just these
    small: int = 64  # pixels: inputs below are of images with nothing around what is seen
    small_shifts: tuple[int, ...] = tuple(range(1, 17))
    small_batch: int = 512  # images in a forward pass, transformed ones included
    small_images: str = "cifar10:test"  # in the folder of data
    weights: tuple[tuple[str, str], ...] = (  # likewise
        *((f"cifar-resnet{depth}", f"weights/resnet{depth}-cifar10.safetensors") for depth in (20, 44)),
        *((name, f"weights/{name}.safetensors") for name in TRAINED),
    )


SETTINGS = Settings()
ACCURACY = "accuracy.json"
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
        """The shifts for a network of that input: those asked for, or the same fractions of every input."""
        if self.shifts is not None or is_small(size):
            return self.shifts or SETTINGS.small_shifts
        return tuple(sorted({max(1, round(shift * min(size) / SETTINGS.size)) for shift in SETTINGS.shifts}))


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
        if not models or any("cifar" not in name for name in models):
            raise OptionError(
                "The images to measure on are not given; give {source}NAME, a folder or a data set of ImageNet's "
                "validation images (2000 in the paper)."
            )
        if folder is None:
            raise ValueError(
                "The CIFAR networks need CIFAR-10: give --data DIR or EQUISCOPE_DATA, which holds cifar10/."
            )
        source = SETTINGS.small_images
    source = expanded(source)
    within = folder is not None and (folder / source.partition(":")[0]).exists()
    return Asked(
        source=str(folder / source) if folder is not None and within else source,
        named=f"DATA/{source}" if within else source,
        images=images,
        seed=seed,
        shifts=tuple(sorted(shifts)) if shifts else None,
    )


def is_small(size: tuple[int, int]) -> bool:
    """Whether a network of that input is for small images."""
    return min(size) < SETTINGS.small


@dataclass(frozen=True)
class Surveyed:
    """A network of a figure, and what the user says of it."""

    name: str  # as `load_network` takes it
    weights: str | None = None  # a file, or "random"; None: its own, or those in the folder of data
    accuracy: float | None = None  # top-1 in per cent; None: published, or measured


def measured(
    one: Surveyed,
    wanted: Asked,
    results: Path,
    *,
    data: Path | None = None,
    device: str | None = None,
    progress: bool | Progress = False,
) -> None:
    """Measure what is not yet there of one network: `RESULTS/NETWORK` then holds all its measurements.

    ValueError where a finished folder was made with other options, or by an older equiscope.
    """
    home = results / folder_name(one.name)
    weights = expanded(one.weights) if one.weights else weights_at_hand(one.name, data)
    weights_named = _named(weights, data)
    missing = _unfinished(home, one.name, wanted, weights_named)
    needs_accuracy = one.accuracy is None and not (home / ACCURACY).is_file()
    if not missing and not needs_accuracy:
        return
    network = network_of(one.name, weights, wanted.seed)
    size = network.preprocessing.size
    for measurement, family in measurements(wanted.shifts_at(size), size).items():
        if measurement in missing:
            scores = _scores(network, family, wanted, device, progress)
            study = _study(one.name, wanted, weights_named, measurement, size)
            manifest = scores.manifest | {"study": study}
            keep(replace(scores, manifest=manifest), home / measurement)
    if needs_accuracy:
        write(home / ACCURACY, published_or_measured(network, wanted, device))


def network_of(name: str, weights: str | None, seed: int) -> es.Network:
    """The network with its weights; ValueError where those of one that no library builds are not at hand."""
    if name == transformer.NAME and weights is None:
        return transformer.transformer()
    if name not in TRAINED:
        return es.load_network(name, weights=weights, seed=seed)
    if weights is None or weights == "random":
        raise OptionError(
            "{name} needs its trained weights; give --data a folder that holds weights/{name}.safetensors, or their "
            "file with {weights}",
            name=name,
        )
    return trained(name, Path(weights))


def _scores(
    network: es.Network, family: es.Family, wanted: Asked, device: str | None, progress: bool | Progress
) -> es.Scores:
    """One measurement of a network, with a manifest that says of which weights and images."""
    size = network.preprocessing.size
    crops = any(member.fill == "crop" for member in family.transformations if member.offset)
    margin = max(wanted.shifts_at(size)) if crops else 0
    preprocessing = network.preprocessing.larger_by(margin, margin)
    source = es.open_images(wanted.source, preprocessing, limit=wanted.images, seed=wanted.seed)
    turns = any(member.turns for member in family.transformations)
    scores = es.measure(
        network, source, family,
        scoring=es.Scoring(
            measures=LADDER, scopes=SCOPES, alignment="registered" if turns else "array", seed=wanted.seed
        ),
        run=es.Run(memory=SETTINGS.memory), batch_size=SETTINGS.small_batch if is_small(size) else 32, device=device,
        progress=progress,
    )  # fmt: skip
    description = dict(source.description)
    own = {
        "model": network.name,
        "network": scores.manifest["network"],
        "weights": network.weights,
        "preprocessing": description.pop("preprocessing"),
        "data": scores.manifest["data"] | description | {"tried": len(source), "left_out": len(source.left_out)},
        "images_left_out": [{"image": image.name, "reason": image.reason} for image in source.left_out],
        "remarks": network.remarks,
        "machine": machine(device),
    }
    return replace(scores, manifest=scores.manifest | own)


def measurements(shifts: Sequence[int], size: tuple[int, int]) -> dict[str, es.Family]:
    """The transformations of a network's three measurements, for that input, by the names of their folders."""
    beyond = es.shifts(shifts, fill="reflect") if is_small(size) else es.shifts(shifts, fill="crop", size=size)
    return {
        "shifts-zero": es.shifts(shifts),
        f"shifts-{beyond.transformations[0].fill}": beyond,
        "rotations": es.rotations(),
    }


def folder_name(name: str) -> str:
    """The name of a network's folder.

    >>> folder_name("timm:resnet18.a1_in1k"), folder_name("my nets/net.py:small")
    ('timm-resnet18.a1_in1k', 'net.py-small')
    """
    return re.sub(r"[^\w.-]+", "-", PurePath(name).name).strip(".-")


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
        folder = home / measurement
        if not is_result(folder):
            continue
        found = kept(folder).manifest.get("study") or {}
        ours = _study(name, wanted, weights, measurement, tuple(found.get("input", (0, 0))))
        different = [key for key, value in ours.items() if found.get(key) != value]
        if different:
            then = ", ".join(f"{key} {found.get(key)}" for key in different)
            now = ", ".join(f"{key} {ours[key]}" for key in different)
            raise ValueError(
                f"{folder} was measured with other options ({then}; asked for now: {now}); give another folder of "
                "results, or the same options."
            )
        names.discard(measurement)
        if measurement.startswith("shifts-") and measurement != "shifts-zero":
            names -= {"shifts-crop", "shifts-reflect"}
    return names


def weights_at_hand(name: str, data: Path | None) -> str | None:
    """The file of weights that the folder of data holds for this network."""
    folder, file = folder_of_data(data), dict(SETTINGS.weights).get(name)
    return str(folder / file) if folder and file and (folder / file).is_file() else None


def _named(weights: str | None, data: Path | None) -> str | None:
    """The file of weights as pages name it."""
    folder = folder_of_data(data)
    if weights is None or folder is None or not Path(weights).is_relative_to(folder):
        return weights
    return f"DATA/{PurePath(weights).relative_to(folder).as_posix()}"


def published_or_measured(network: es.Network, wanted: Asked, device: str | None) -> dict[str, Any]:
    """Top-1 accuracy: published, or on all labelled images of the split that is measured on; or why there is none."""
    published = TRAINED[network.name].top1 if network.name in TRAINED else network.entry and network.entry.top1
    if published is not None:
        return {"top1": published, "on": PUBLISHED, "reason": None}
    try:
        photographs = labelled(wanted.source, wanted.named, network.preprocessing)
        (top1,) = accuracies(network, photographs, device)
    except NoLabels as none:
        return {"top1": None, "on": None, "reason": str(none)}
    return {"top1": 100 * top1, "on": f"{photographs.named}, measured", "reason": None}


def accuracy_of(name: str, results: Path, given: Mapping[str, float]) -> tuple[float, str | None]:
    """A network's top-1 accuracy in per cent, and what it is the accuracy on; NaN and None where it is not known."""
    if name in given:
        return given[name], GIVEN
    file = results / folder_name(name) / ACCURACY
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"top1": None, "on": None}
    return float("nan") if found["top1"] is None else found["top1"], found["on"]


def write(file: Path, content: Mapping[str, Any]) -> None:
    """A file of JSON, complete or absent."""
    with replacing(file) as aside:
        aside.write_text(json.dumps(content, indent=2), encoding="utf-8")
