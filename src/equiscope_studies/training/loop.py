"""One training loop.

A run lives in a folder named by the hash of its recipe. After every epoch its checkpoint is written anew, whole or not
at all, with the optimiser and all random state, so that a run that was killed ends where it would have ended.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn

import equiscope as es
from equiscope.system.files import replacing
from equiscope.system.progress import Progress, ShownTraining, shown_training
from equiscope_studies.training.augmentation import augmented
from equiscope_studies.training.labelled import Labelled, normalised
from equiscope_studies.training.measuring import prepared
from equiscope_studies.training.networks import network
from equiscope_studies.training.recipe import Recipe

Log = Callable[[str, float, int], Any]  # name, value, epoch; as `SummaryWriter.add_scalar` takes them

CHECKPOINT, LOG, MEANWHILE = "checkpoint.pt", "log.parquet", "during.parquet"
FORMAT = 3  # of what a run leaves; those before drew the order of images, or defined scores, otherwise
WARM_UP = 0.2  # of all steps of one cycle, in which the learning rate rises
EVALUATED = 500  # images in a forward pass


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
        if recipe.measure_every and not run.finished:
            run.meanwhile += _scores_before(recipe, run, validation, log)
        total = recipe.epochs * (len(train) // recipe.batch) * recipe.batch
        with shown_training(progress, total, done=total * run.finished // recipe.epochs) as bar:
            while not run.is_over(recipe):
                row = _epoch(recipe, run, train, place, bar)
                run.finished += 1
                row["validation_accuracy"] = accuracy(run.model, validation.first(recipe.validation), place)
                run.rows.append(row)
                if recipe.measure_every and run.finished % recipe.measure_every == 0:
                    run.meanwhile += _scores_now(recipe, run, validation, log)
                _save(run, folder, place)
                for name in ("loss", "accuracy", "validation_accuracy", "learning_rate"):
                    if log is not None:
                        log(name, row[name], run.finished)
    return run.result()


def _scores_before(recipe: Recipe, run: "_Run", validation: Labelled, log: Log | None) -> list[dict[str, Any]]:
    """The scores of the network's parts before the first epoch, where its normalisation has seen images."""
    images, _ = prepared(validation.first(recipe.meanwhile), recipe.meanwhile_under)
    untrained = replace(run, model=deepcopy(run.model))
    es.estimate_statistics(untrained.model, images)
    return _scores_now(recipe, untrained, validation, log)


def _scores_now(recipe: Recipe, run: "_Run", validation: Labelled, log: Log | None) -> list[dict[str, Any]]:
    """The scores of the network's parts after this epoch, a row each."""
    images, families = prepared(validation.first(recipe.meanwhile), recipe.meanwhile_under)
    scores = es.scores_at(run.model, images, run.finished, transformations=families, log=log)
    return [{str(name): value for name, value in row.items()} for row in scores.to_dict("records")]


@dataclass
class _Run:
    """What changes while a network trains."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
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
    steps = len(train) // recipe.batch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda done: part_of_learning_rate(recipe, done, steps))
    return _Run(model, optimiser, schedule, [], [])


def part_of_learning_rate(recipe: Recipe, done: int, of_epoch: int) -> float:
    """What the learning rate is multiplied by after so many steps, of which an epoch has `of_epoch`.

    >>> recipe = Recipe(network="z2cnn", data="mnist6", epochs=10, schedule="one-cycle")
    >>> [round(part_of_learning_rate(recipe, done, 1), 3) for done in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.125]
    """
    if recipe.schedule == "steps":
        return float(0.1 ** sum(done >= epoch * of_epoch for epoch in recipe.milestones))
    steps = recipe.epochs * of_epoch
    rising = WARM_UP * steps
    return min(1.0, (done + 1) / rising, (steps - done) / (steps - rising))


def _epoch(
    recipe: Recipe, run: _Run, train: Labelled, place: torch.device, bar: ShownTraining
) -> dict[str, float | int]:
    """One pass over all images, in batches of one size: what is left over waits for an epoch's other order."""
    started = time.monotonic()
    losses, right, seen = torch.zeros((), device=place), torch.zeros((), device=place), 0
    learning_rate = run.optimiser.param_groups[0]["lr"]
    run.model.train()
    order = _order(recipe, run.finished, len(train)).to(place)
    low = recipe.precision == "bfloat16" or place.type == "cuda"
    for chosen in torch.split(order[: len(order) // recipe.batch * recipe.batch], recipe.batch):
        images, labels = augmented(train.images[chosen], train.labels[chosen], recipe.augmentation, train.classes)
        inputs = normalised(images, recipe.data).contiguous(memory_format=torch.channels_last)
        with torch.autocast(place.type, torch.bfloat16, enabled=low):
            logits = run.model(inputs)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
        run.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimiser.step()
        run.schedule.step()
        seen += len(images)
        losses += loss.detach() * len(images)
        right += (logits.detach().argmax(1) == train.labels[chosen]).sum()
        bar.advance(len(images), loss=losses / seen, accuracy=right / seen)
    return {
        "epoch": run.finished + 1,
        "learning_rate": learning_rate,
        "loss": float(losses) / seen,
        "accuracy": float(right) / seen,
        "images": seen,
        "seconds": round(time.monotonic() - started, 3),
    }


def _order(recipe: Recipe, epoch: int, count: int) -> Int[Tensor, "image"]:
    """The images' order in an epoch: the same whatever the augmentation has drawn, so that conditions are paired."""
    own = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=own)


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


# --- what a run leaves on the disk


def _save(run: _Run, folder: Path, place: torch.device) -> None:
    """The checkpoint and, for people to look at, the log: each complete or absent."""
    state = {
        "format": FORMAT,
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
    refuse_older(state, file.parent)
    run.model.load_state_dict(state["model"])
    run.optimiser.load_state_dict(state["optimiser"])
    run.schedule.load_state_dict(state["schedule"])
    torch.set_rng_state(state["random"].cpu())
    if place.type == "cuda" and state["random_on_device"] is not None:
        torch.cuda.set_rng_state(state["random_on_device"].cpu(), place)
    run.rows, run.meanwhile, run.finished = state["rows"], state["meanwhile"], state["finished"]


def refuse_older(found: Mapping[str, Any], home: Path) -> None:
    """ValueError where what a run's folder holds was left by an older equiscope."""
    if found.get("format") != FORMAT:
        raise ValueError(
            f"The run {home} was made by an older equiscope, which trained or scored otherwise; give another folder "
            "of results, or remove that one to train again."
        )


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
