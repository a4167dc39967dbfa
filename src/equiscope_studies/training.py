"""One training loop, and the recipe that says all of what a run trains and measures.

A run lives in a folder named by the hash of its recipe. After every epoch its checkpoint is written anew, whole or not
at all, with the optimiser and all random state, so that a run that was killed ends where it would have ended.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from equiscope.functional.transformations import Family, known, rotations, shifts
from equiscope.integrations.during_training import Log, scores_at
from equiscope.system.files import replacing
from equiscope.system.progress import Progress, ShownTraining, shown_training
from equiscope_studies.batch_augmentation import AUGMENTATIONS, augmented
from equiscope_studies.labelled import DATA_SETS, Labelled, normalised
from equiscope_studies.trainable import network, refuse_unknown

OPTIMISERS = ("sgd", "adam")
CHECKPOINT, LOG, MEANWHILE = "checkpoint.pt", "log.parquet", "during.parquet"
EVALUATED = 500  # images in a forward pass
HASH = 12  # hexadecimal digits


@dataclass(frozen=True)
class Recipe:
    """All that decides how a network comes out: the same recipe on the same machine gives the same network.

    Attributes:
        network: A name that `trainable.network` takes.
        data: A name of `labelled.DATA_SETS`.
        augmentation: As `batch_augmentation.augmented` takes it.
        optimiser: "sgd" (with momentum) or "adam".
        learning_rate: At the start; divided by 10 at each of the milestones.
        weight_decay: The L2 penalty's factor.
        milestones: Epochs that are finished when the learning rate falls.
        seed: Of the weights, the order of images and the augmentation.
        limit: Training images; None: all.
        validation: Images that accuracy is measured on after each epoch; None: all.
        until: Validation accuracy at which training ends, however many epochs are left; None: never.
        measure_every: Equivariance is measured after each so many epochs; 0: never.
        meanwhile: Images that it is then measured on.
        meanwhile_under: Families that it is then measured under, as `family` reads them.
    """

    network: str
    data: str
    augmentation: str = "none"
    optimiser: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch: int = 128
    epochs: int = 1
    milestones: tuple[int, ...] = ()
    seed: int = 0
    limit: int | None = None
    validation: int | None = None
    measure_every: int = 0
    meanwhile: int = 300
    meanwhile_under: tuple[str, ...] = ("rotations",)
    until: float | None = None

    def __post_init__(self) -> None:
        known("optimiser", self.optimiser, OPTIMISERS)
        known("data", self.data, DATA_SETS)
        for name in self.augmentation.split("+"):
            known("augmentation", name, AUGMENTATIONS)
        refuse_unknown(self.network)
        for name, least in (("epochs", 1), ("batch", 2), ("measure_every", 0), ("meanwhile", 20), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, but it must be at least {least}.")
        if self.limit is not None and self.limit < self.batch:
            raise ValueError(f"limit is {self.limit}, but a batch alone has {self.batch} images; give at least that.")
        if self.validation is not None and self.validation < 1:
            raise ValueError(f"validation is {self.validation}, but it must be at least 1.")
        if self.until is not None and not 0 < self.until <= 1:
            raise ValueError(f"until is {self.until}, but an accuracy lies above 0 and is at most 1.")

    @property
    def hash(self) -> str:
        """The name of the run's folder.

        A value that is the field's default does not count, so that a new field leaves the old runs their names.

        >>> Recipe(network="z2cnn", data="mnist6").hash
        '24372c188d88'
        """
        told = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:HASH]

    def as_json(self) -> str:
        """The recipe as the run's folder keeps it."""
        return json.dumps(asdict(self), indent=2)


@dataclass(frozen=True)
class Trained:
    """A network as training left it, and how that went."""

    model: nn.Module
    log: pd.DataFrame  # a row an epoch
    meanwhile: pd.DataFrame  # the scores of parts while it trained; empty where none were asked for


def trained(
    recipe: Recipe,
    train: Labelled,
    validation: Labelled,
    folder: Path,
    *,
    device: str | torch.device | None = None,
    progress: bool | Progress = False,
    log: Log | None = None,
) -> Trained:
    """The network of a recipe, trained from its last checkpoint in the folder on, or from the start.

    `log(name, value, epoch)` hears of loss, accuracies and scores, as TensorBoard's `add_scalar` does.
    """
    place = torch.device(device or "cpu")
    train, validation = train.first(recipe.limit).to(place), validation.to(place)
    folder.mkdir(parents=True, exist_ok=True)
    with _own_random_state(recipe.seed, place):
        run = _start(recipe, train, place)
        _restore(run, folder / CHECKPOINT, place)
        if run.is_over(recipe):
            return run.result()
        total = recipe.epochs * (len(train) // recipe.batch) * recipe.batch
        with shown_training(progress, total, done=total * run.finished // recipe.epochs) as bar:
            while not run.is_over(recipe):
                row = _epoch(recipe, run, train, place, bar)
                run.finished += 1
                row["validation_accuracy"] = accuracy(run.model, validation.first(recipe.validation), place)
                run.rows.append(row)
                if recipe.measure_every and run.finished % recipe.measure_every == 0:
                    images = normalised(validation.first(recipe.meanwhile).images, recipe.data)
                    families = [family(text) for text in recipe.meanwhile_under]
                    scores = scores_at(run.model, images, run.finished, transformations=families, log=log)
                    run.meanwhile += [
                        {str(name): value for name, value in row.items()} for row in scores.to_dict("records")
                    ]
                _save(run, folder, place)
                for name in ("loss", "accuracy", "validation_accuracy", "learning_rate"):
                    if log is not None:
                        log(name, row[name], run.finished)
    return run.result()


@dataclass
class _Run:
    """What changes while a network trains."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.MultiStepLR
    rows: list[dict[str, float | int]]
    meanwhile: list[dict[str, Any]]
    finished: int = 0  # epochs

    def is_over(self, recipe: Recipe) -> bool:
        """Whether all epochs are done, or the accuracy is reached that was wanted."""
        reached = recipe.until is not None and self.finished and self.rows[-1]["validation_accuracy"] >= recipe.until
        return self.finished >= recipe.epochs or bool(reached)

    def result(self) -> Trained:
        return Trained(self.model.eval(), pd.DataFrame(self.rows), pd.DataFrame(self.meanwhile))


def _start(recipe: Recipe, train: Labelled, place: torch.device) -> _Run:
    _, channels, height, _ = train.images.shape
    model = network(recipe.network, channels, height, train.classes, recipe.seed)
    model.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own example
    if recipe.optimiser == "adam":
        optimiser: torch.optim.Optimizer = torch.optim.Adam(
            model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
    else:
        optimiser = torch.optim.SGD(
            model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(recipe.milestones), gamma=0.1)
    return _Run(model, optimiser, schedule, [], [])


def _epoch(
    recipe: Recipe, run: _Run, train: Labelled, place: torch.device, bar: ShownTraining
) -> dict[str, float | int]:
    """One pass over all images, in batches of one size: what is left over waits for an epoch's other order."""
    started = time.monotonic()
    losses, right, seen = torch.zeros((), device=place), torch.zeros((), device=place), 0
    learning_rate = run.optimiser.param_groups[0]["lr"]
    run.model.train()
    order = torch.randperm(len(train)).to(place)
    for chosen in torch.split(order[: len(order) // recipe.batch * recipe.batch], recipe.batch):
        images, labels = augmented(train.images[chosen], train.labels[chosen], recipe.augmentation, train.classes)
        inputs = normalised(images, recipe.data).contiguous(memory_format=torch.channels_last)
        with torch.autocast(place.type, torch.bfloat16, enabled=place.type == "cuda"):
            logits = run.model(inputs)
            loss = F.cross_entropy(logits, labels)
        run.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimiser.step()
        seen += len(images)
        losses += loss.detach() * len(images)
        right += (logits.detach().argmax(1) == train.labels[chosen]).sum()
        bar.advance(len(images), loss=losses / seen, accuracy=right / seen)
    run.schedule.step()
    return {
        "epoch": run.finished + 1,
        "learning_rate": learning_rate,
        "loss": float(losses) / seen,
        "accuracy": float(right) / seen,
        "images": seen,
        "seconds": round(time.monotonic() - started, 3),
    }


def accuracy(model: nn.Module, images: Labelled, place: torch.device) -> float:
    """The part of the images whose class the network finds."""
    model.eval()
    right = 0
    with torch.inference_mode():
        batches = (torch.split(tensor, EVALUATED) for tensor in (images.images, images.labels))
        for some, labels in zip(*batches, strict=True):
            inputs = normalised(some.to(place), images.name).contiguous(memory_format=torch.channels_last)
            right += int((model(inputs).argmax(1) == labels.to(place)).sum())
    return right / len(images)


def family(text: str) -> Family:
    """`rotations`, or `shifts:1,2,4` along the diagonal.

    >>> [member.name for member in family("shifts:1,2").transformations]
    ['shift(1,1)', 'shift(2,2)']
    """
    name, _, pixels = text.partition(":")
    if name == "rotations":
        return rotations()
    if name == "shifts":
        return shifts([int(one) for one in pixels.split(",")])
    raise ValueError(f"{text!r} is neither rotations nor shifts with their pixels, as in shifts:1,2,4.")


# --- what a run leaves on the disk


def _save(run: _Run, folder: Path, place: torch.device) -> None:
    """The checkpoint and, for people to look at, the log: each complete or absent."""
    state = {
        "model": run.model.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "schedule": run.schedule.state_dict(),
        "random": torch.get_rng_state(),
        "random_on_device": torch.cuda.get_rng_state(place) if place.type == "cuda" else None,
        "rows": run.rows,
        "meanwhile": run.meanwhile,
        "finished": run.finished,
    }
    # The log goes first: whoever sees an epoch in the checkpoint finds it in the log too.
    with replacing(folder / LOG) as aside:
        pd.DataFrame(run.rows).to_parquet(aside)
    if run.meanwhile:
        with replacing(folder / MEANWHILE) as aside:
            pd.DataFrame(run.meanwhile).to_parquet(aside)
    with replacing(folder / CHECKPOINT) as aside:
        torch.save(state, aside)


def _restore(run: _Run, file: Path, place: torch.device) -> None:
    if not file.is_file():
        return
    state = torch.load(file, map_location=place, weights_only=True)
    run.model.load_state_dict(state["model"])
    run.optimiser.load_state_dict(state["optimiser"])
    run.schedule.load_state_dict(state["schedule"])
    torch.set_rng_state(state["random"].cpu())
    if place.type == "cuda" and state["random_on_device"] is not None:
        torch.cuda.set_rng_state(state["random_on_device"].cpu(), place)
    run.rows, run.meanwhile, run.finished = state["rows"], state["meanwhile"], state["finished"]


@contextmanager
def _own_random_state(seed: int, place: torch.device) -> Iterator[None]:
    """Random state and kernels that make a run repeatable, and the caller's own back after it."""
    devices: list[Any] = [place] if place.type == "cuda" else []
    flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
    with torch.random.fork_rng(devices=devices), flags:
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed(seed)
        yield
