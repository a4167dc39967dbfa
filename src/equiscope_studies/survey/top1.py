"""The accuracy of a network on labelled photographs, as they are and turned."""

from collections.abc import Sequence
from dataclasses import dataclass

import datasets
import torch

import equiscope as es

AT_ONCE = 100  # images


class NoLabels(ValueError):
    """The images have no labels, or not those of the network."""


@dataclass(frozen=True)
class Labelled:
    """The rows of a data set that has labels."""

    named: str  # as pages name it
    rows: datasets.Dataset
    images: str  # the columns
    labels: str

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.rows.features[self.labels].num_classes)


def labelled(source: str, named: str, preprocessing: es.Preprocessing) -> Labelled:
    """The split of a data set that `open_images` reads for `source`; NoLabels where it has none."""
    description = es.open_images(source, preprocessing, limit=1).description
    if description["kind"] != "data set":
        raise NoLabels(f"{named} has no labels")
    split = str(description["split"])
    configuration = description["configuration"]
    place = source.removesuffix(f":{split}").removesuffix(f"/{configuration}")
    rows = datasets.load_dataset(place, configuration)[split]
    labels = next((name for name, kind in rows.features.items() if isinstance(kind, datasets.ClassLabel)), None)
    if labels is None:
        raise NoLabels(f"{named} has no labels")
    return Labelled(f"{named.removesuffix(f':{split}')}:{split}", rows, str(description["column"]), labels)


def accuracies(
    network: es.Network, photographs: Labelled, device: str | None, *, turns: Sequence[int] = (0,),
    images: int | None = None,
) -> list[float]:  # fmt: skip
    """The share of right answers under each number of quarter turns, of the first `images` or of all.

    A network of one class more has a first class for the background. NoLabels where its classes are others.
    """
    rows = photographs.rows if images is None else photographs.rows.select(range(min(images, len(photographs.rows))))
    place = torch.device(device or "cpu")
    model = network.model.to(place)
    right = torch.zeros(len(turns), dtype=torch.long)
    with torch.inference_mode():
        for start in range(0, len(rows), AT_ONCE):
            batch = rows[start : start + AT_ONCE]
            pixels = torch.stack([network.preprocessing(image) for image in batch[photographs.images]]).to(place)
            labels = torch.tensor(batch[photographs.labels])
            for place_of, quarters in enumerate(turns):
                logits = model(torch.rot90(pixels, quarters, (-2, -1)))
                answers = _classes(logits, photographs, network.name).argmax(1).cpu()
                right[place_of] += (answers == labels).sum()
    return [float(count) / len(rows) for count in right]


def _classes(logits: object, photographs: Labelled, name: str) -> torch.Tensor:
    """The logits of the data's classes."""
    classes = photographs.classes
    if isinstance(logits, torch.Tensor) and logits.ndim == 2 and logits.shape[1] in (classes, classes + 1):
        return logits[:, -classes:]
    raise NoLabels(f"{photographs.named} has {classes} classes, and {name} has not")
