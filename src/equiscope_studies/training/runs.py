"""Runs: train, then measure, each in a folder of its own, in this process, in several, or on other machines.

What is finished is never done again, what was killed goes on, and what fails stops nothing else.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import equiscope as es
from equiscope.results.rows import overall
from equiscope.system.files import in_utf8, replacing
from equiscope.system.progress import Progress
from equiscope_studies.devices import chosen_device
from equiscope_studies.training.executors import Executor
from equiscope_studies.training.labelled import QUARTERS, Labelled, labelled
from equiscope_studies.training.loop import FORMAT, accuracy, refuse_older, trained
from equiscope_studies.training.measuring import Measuring, prepared
from equiscope_studies.training.recipe import Recipe

RESULT, RECIPE, FAILURE = "accuracy.json", "recipe.json", "failure.txt"
BATCH = 512  # images in a forward pass of a measurement, transformed ones included
KEPT = (  # columns of the table of a measurement
    "layer", "part", "transformation", "measure", "scope", "score", "low", "high", "in_sample", "chance", "explained",
    "explained_low", "explained_high", "held_out", "images", "undefined",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where and how runs are done; it changes no result, but for the rounding of another machine.

    Attributes:
        runs: The folder that holds the runs' folders.
        data: The folder of data sets; None: the hub.
        device: Where networks train; "auto" is decided by the process that trains one.
        threads: Of a run. With one, a recipe gives the same network each time on the same kind of machine.
        tensorboard: Whether each run also writes `tensorboard/` in its folder.
    """

    runs: Path
    data: Path | None = None
    device: str | None = None
    threads: int = 1
    tensorboard: bool = False


@dataclass(frozen=True)
class Work:
    """Who does the runs, and who hears of them.

    Attributes:
        executor: Whatever has `submit`: an executor of `concurrent.futures`, or of submitit. None: one run after the
            other, here.
        progress: As for `measure`.
        tell: Hears a sentence as each run ends.
    """

    executor: Executor | None = None
    progress: bool | Progress = False
    tell: Callable[[str], Any] | None = None

    def say(self, sentence: str) -> None:
        """Tell whoever hears."""
        if self.tell is not None:
            self.tell(sentence)


@dataclass(frozen=True)
class Failure:
    """A run that failed, and why in a sentence."""

    recipe: Recipe
    reason: str

    def __str__(self) -> str:
        of = f"{self.recipe.network}, {self.recipe.data}, {self.recipe.augmentation}, seed {self.recipe.seed}"
        return f"{self.recipe.hash} ({of}): {self.reason}"


def finished(recipe: Recipe, measuring: Measuring, runs: Path) -> bool:
    """Whether nothing is left to do of a run. ValueError where it was done by an older equiscope."""
    home = runs / recipe.hash
    if not (home / RESULT).is_file():
        return False
    result(home)
    return all(table.is_file() for table in measuring.tables(recipe, home).values())


def result(home: Path) -> dict[str, Any]:
    """How a run came out: its accuracy, and what it took. ValueError where an older equiscope left it."""
    found: dict[str, Any] = json.loads((home / RESULT).read_text(encoding="utf-8"))
    refuse_older(found, home)
    return found


def all_done(recipes: Sequence[Recipe], measuring: Measuring, place: Place, work: Work | None = None) -> list[Failure]:
    """Do what is left of the runs, in their order, and return those that failed."""
    work = work or Work()
    left = [recipe for recipe in recipes if not finished(recipe, measuring, place.runs)]
    for recipe in left:
        (place.runs / recipe.hash / FAILURE).unlink(missing_ok=True)  # of an earlier try
    failures = []
    work.say(f"{len(recipes)} runs, of which {len(recipes) - len(left)} are finished.")
    for number, (recipe, outcome) in enumerate(_outcomes(left, measuring, place, work), 1):
        if isinstance(outcome, str):
            work.say(f"{number} of {len(left)}: {outcome}")
        else:
            failures.append(Failure(recipe, _reason(outcome, place.runs / recipe.hash)))
            work.say(f"{number} of {len(left)} failed: {failures[-1]}")
    return failures


def _outcomes(
    recipes: Sequence[Recipe], measuring: Measuring, place: Place, work: Work
) -> Iterator[tuple[Recipe, str | Exception]]:
    """What each run says at its end, or its exception."""
    executor = work.executor
    if executor is None:
        for recipe in recipes:
            try:
                yield recipe, run(recipe, measuring, place, work.progress)
            except Exception as error:  # noqa: BLE001  (whatever stops one run must not stop the others)
                yield recipe, error
        return
    # submitit sends what is submitted within its `batch` as one array of jobs.
    with executor.batch() if hasattr(executor, "batch") else nullcontext():
        submitted = [(recipe, executor.submit(run, recipe, measuring, place)) for recipe in recipes]
    for recipe, job in submitted:
        try:
            yield recipe, job.result()
        except Exception as error:  # noqa: BLE001
            yield recipe, error


def _reason(error: Exception, home: Path | None = None) -> str:
    """Why a run failed, in one line: as the run itself wrote it, where it could, and else by what stopped it."""
    if home is not None and (home / FAILURE).is_file():
        return (home / FAILURE).read_text(encoding="utf-8").strip()
    return " ".join(f"{type(error).__name__}: {error}".split())


def run(recipe: Recipe, measuring: Measuring, place: Place, progress: bool | Progress = False) -> str:
    """Train and measure one network, from where it was left off, and say how it came out."""
    home = place.runs / recipe.hash
    home.mkdir(parents=True, exist_ok=True)
    try:
        with _threads(place.threads):
            return _run(recipe, measuring, place, home, progress)
    except Exception as error:
        (home / FAILURE).write_bytes(in_utf8(_reason(error) + "\n"))
        raise


def _run(recipe: Recipe, measuring: Measuring, place: Place, home: Path, progress: bool | Progress) -> str:
    (home / RECIPE).write_text(recipe.as_json(), encoding="utf-8")
    device = torch.device(chosen_device(place.device) or "cpu")
    validation = labelled(recipe.data, "test", place.data)
    with ExitStack() as after:
        log = after.enter_context(_tensorboard(home)) if place.tensorboard else None
        train = labelled(recipe.data, "train", place.data)
        network = trained(recipe, train, validation, home, device=device, progress=progress, log=log)
    if not (home / RESULT).is_file():
        found = {
            "format": FORMAT,
            "accuracy": accuracy(network.model, validation, device),
            "accuracy_rotated": _accuracy_rotated(network.model, validation, device),
            "images": len(validation),
            "parameters": sum(weights.numel() for weights in network.model.parameters()),
            "epochs": len(network.log),
            "seconds": float(network.log["seconds"].sum()),
            "device": str(device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "equiscope": version("equiscope"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with replacing(home / RESULT) as aside:
            aside.write_text(json.dumps(found, indent=2), encoding="utf-8")
    started = time.monotonic()
    for name, file in measuring.tables(recipe, home).items():
        if not file.is_file():
            _keep(_measured(network.model, measuring, name, place, progress), file)
    found = result(home)
    return (
        f"{recipe.network}, {recipe.data}, {recipe.augmentation}, seed {recipe.seed}: {found['accuracy']:.2%}, "
        f"{found['seconds']:.0f} s of training, {time.monotonic() - started:.0f} s of measuring ({recipe.hash})"
    )


def _measured(
    model: torch.nn.Module, measuring: Measuring, name: str, place: Place, progress: bool | Progress
) -> es.Scores:
    images, families = prepared(labelled(name, "test", place.data).first(measuring.images), measuring.transformations)
    return es.measure(
        model, images, families, scoring=es.Scoring(scopes=measuring.scopes), batch_size=BATCH, device=place.device,
        progress=progress,
    )  # fmt: skip


def _accuracy_rotated(model: torch.nn.Module, validation: Labelled, device: torch.device) -> float:
    """The mean accuracy on the validation images rotated by 90, 180 and 270 degrees."""
    each = [accuracy(model, validation.rotated(quarters), device) for quarters in range(1, QUARTERS)]
    return sum(each) / len(each)


def _keep(scores: es.Scores, file: Path) -> None:
    """The rows of layers, over families, and those of parts, as one table of some tens of KiB.

    `layer` is empty in the rows of parts.
    """
    layers, parts = overall(scores.scores), overall(scores.parts)
    layers = layers[layers["transformation"].isin(scores.families)]
    table = pd.concat([layers, parts.assign(layer=None)], ignore_index=True)[list(KEPT)]
    file.parent.mkdir(exist_ok=True)
    with replacing(file) as aside:
        table.to_parquet(aside, compression="zstd")


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _tensorboard(home: Path) -> Iterator[Any]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError("TensorBoard is not installed: pip install 'equiscope[tensorboard]'.") from error
    writer = SummaryWriter(home / "tensorboard")
    try:
        yield writer.add_scalar
    finally:
        writer.close()
