"""Runs: train, then measure, each in a folder of its own, in this process, in several, or on other machines.

What is finished is never done again, what was killed goes on, and what fails stops nothing else.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

import equiscope as es
from equiscope.functional.transformations import known
from equiscope.results.folder import MANIFEST
from equiscope.system.files import replacing
from equiscope.system.progress import Progress
from equiscope_studies.labelled import Labelled, labelled, normalised
from equiscope_studies.training import Recipe, accuracy, family, trained

OWN = "own"  # the data set that a network was trained on
RESULT, RECIPE, FAILURE = "accuracy.json", "recipe.json", "failure.txt"
CLUSTERS = ("slurm", "local")
BATCH = 512  # images in a forward pass of a measurement, transformed ones included


@dataclass(frozen=True)
class Measuring:
    """What is measured of a trained network.

    Attributes:
        on: Data sets whose validation images are measured on; "own" is the one that the network was trained on.
        images: How many, each time.
        transformations: Families as `training.family` reads them.
    """

    on: tuple[str, ...]
    images: int
    transformations: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images < 20:
            raise ValueError(f"measured_images is {self.images}, but an interval needs at least 20.")

    def folders(self, recipe: Recipe, home: Path) -> dict[str, Path]:
        """The folder of each measurement in a run's own, by the data set measured on; each data set once."""
        told = json.dumps([self.images, *self.transformations])
        suffix = hashlib.sha256(told.encode()).hexdigest()[:6]
        names = dict.fromkeys(recipe.data if name == OWN else name for name in self.on)
        return {name: home / "scores" / f"{name}-{suffix}" for name in names}


@dataclass(frozen=True)
class Place:
    """Where and how runs are done; it changes no result, but for the rounding of another machine.

    Attributes:
        runs: The folder that holds the runs' folders.
        data: The folder of data sets; None: the hub.
        device: Where networks train.
        threads: Of a run; None: as torch has them.
        tensorboard: Whether each run also writes `tensorboard/` in its folder.
    """

    runs: Path
    data: Path | None = None
    device: str | None = None
    threads: int | None = None
    tensorboard: bool = False


@runtime_checkable
class Submitted(Protocol):
    """What an executor gives back for a call: a future of `concurrent.futures`, or a job of submitit."""

    def result(self) -> Any:
        """The call's value, when it is there; the call's exception otherwise."""


@runtime_checkable
class Executor(Protocol):
    """Any executor of `concurrent.futures`, or of submitit."""

    def submit(self, fn: Any, /, *args: Any) -> Submitted:
        """Have `fn(*args)` done, somewhere."""


@dataclass(frozen=True)
class Failure:
    """A run that failed, and why in a sentence."""

    recipe: Recipe
    reason: str

    def __str__(self) -> str:
        of = f"{self.recipe.network}, {self.recipe.data}, {self.recipe.augmentation}, seed {self.recipe.seed}"
        return f"{self.recipe.hash} ({of}): {self.reason}"


def finished(recipe: Recipe, measuring: Measuring, runs: Path) -> bool:
    """Whether nothing is left to do of a run."""
    home = runs / recipe.hash
    folders = measuring.folders(recipe, home).values()
    return (home / RESULT).is_file() and all((folder / MANIFEST).is_file() for folder in folders)


def all_done(
    recipes: Sequence[Recipe],
    measuring: Measuring,
    place: Place,
    *,
    executor: Executor | None = None,
    progress: bool | Progress = False,
    tell: Any = None,
) -> list[Failure]:
    """Do what is left of the runs, in their order, and return those that failed.

    `executor`: None does one after the other in this process. `tell(sentence)` hears of each that ends.
    """
    left = [recipe for recipe in recipes if not finished(recipe, measuring, place.runs)]
    for recipe in left:
        (place.runs / recipe.hash / FAILURE).unlink(missing_ok=True)  # of an earlier try
    failures = []
    say = tell or (lambda sentence: None)
    say(f"{len(recipes)} runs, of which {len(recipes) - len(left)} are finished.")
    for number, (recipe, outcome) in enumerate(_outcomes(left, measuring, place, executor, progress), 1):
        if isinstance(outcome, str):
            say(f"{number} of {len(left)}: {outcome}")
        else:
            failures.append(Failure(recipe, _reason(outcome, place.runs / recipe.hash)))
            say(f"{number} of {len(left)} failed: {failures[-1]}")
    return failures


def _outcomes(
    recipes: Sequence[Recipe], measuring: Measuring, place: Place, executor: Executor | None, progress: bool | Progress
) -> Iterator[tuple[Recipe, str | Exception]]:
    """What each run says at its end, or its exception."""
    if executor is None:
        for recipe in recipes:
            try:
                yield recipe, run(recipe, measuring, place, progress)
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
        (home / FAILURE).write_text(_reason(error) + "\n", encoding="utf-8")
        raise


def _run(recipe: Recipe, measuring: Measuring, place: Place, home: Path, progress: bool | Progress) -> str:
    (home / RECIPE).write_text(recipe.as_json(), encoding="utf-8")
    device = torch.device(place.device or "cpu")
    validation = labelled(recipe.data, "test", place.data)
    with ExitStack() as after:
        log = after.enter_context(_tensorboard(home)) if place.tensorboard else None
        train = labelled(recipe.data, "train", place.data)
        network = trained(recipe, train, validation, home, device=device, progress=progress, log=log)
    if not (home / RESULT).is_file():
        result = {
            "accuracy": accuracy(network.model, validation, device),
            "images": len(validation),
            "parameters": sum(weights.numel() for weights in network.model.parameters()),
            "seconds": float(network.log["seconds"].sum()),
            "device": str(device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with replacing(home / RESULT) as aside:
            aside.write_text(json.dumps(result, indent=2), encoding="utf-8")
    started = time.monotonic()
    for name, folder in measuring.folders(recipe, home).items():
        if not (folder / MANIFEST).is_file():
            _measured(recipe, network.model, measuring, name, place, progress).save(folder, force=True)
    result = json.loads((home / RESULT).read_text(encoding="utf-8"))
    return (
        f"{recipe.network}, {recipe.data}, {recipe.augmentation}, seed {recipe.seed}: {result['accuracy']:.2%}, "
        f"{result['seconds']:.0f} s of training, {time.monotonic() - started:.0f} s of measuring ({recipe.hash})"
    )


def _measured(
    recipe: Recipe, model: torch.nn.Module, measuring: Measuring, name: str, place: Place, progress: bool | Progress
) -> es.Scores:
    families = [family(text) for text in measuring.transformations]
    images, options = prepared(labelled(name, "test", place.data).first(measuring.images), families)
    scores = es.measure(
        model, images, transformations=families, batch_size=BATCH, device=place.device, progress=progress, **options
    )
    own = {
        "model": recipe.network,
        "data": {"source": name, "split": "test", "images": len(images)},
        "recipe": asdict(recipe),
        "hash": recipe.hash,
    }
    return replace(scores, manifest=scores.manifest | own)


def prepared(images: Labelled, families: Iterable[es.Family]) -> tuple[Tensor, dict[str, Any]]:
    """Images as they are measured, and options of `measure` that belong to them.

    A shift brings in zeros after normalisation, as in the paper; but digits lie on black, and there it brings in black.
    """
    offsets = [abs(one) for each in families for member in each.transformations for one in member.offset or ()]
    margin = max(offsets, default=0)
    if not margin or images.images.shape[1] != 1:
        return normalised(images.images, images.name), {}
    size = (int(images.images.shape[2]), int(images.images.shape[3]))
    return normalised(F.pad(images.images, (margin,) * 4), images.name), {"fill": "crop", "size": size}


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
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


class Processes(ThreadPoolExecutor):
    """So many processes of this machine, which share its cores: a new one for each call.

    A process that is killed, for want of memory for example, takes no other call with it, as in a pool it would.
    """

    def submit(self, fn: Any, /, *args: Any) -> Future[Any]:  # type: ignore[override]  # calls without keywords suffice
        """Have `fn(*args)` done in a process of its own."""
        threads = max(1, (os.cpu_count() or 1) // self._max_workers)
        return super().submit(_in_a_process, threads, fn, *args)


def _in_a_process(threads: int, call: Any, *args: Any) -> Any:
    options: dict[str, Any] = {"initializer": torch.set_num_threads, "initargs": (threads,)}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), **options) as own:
        return own.submit(call, *args).result()


def cluster(kind: str, folder: Path, options: dict[str, Any] | None = None) -> Executor:
    """Jobs of a cluster by submitit: "slurm", or "local" for processes of this machine, with their logs in a folder."""
    try:
        import submitit
    except ImportError as error:
        raise ValueError("submitit is not installed: pip install 'equiscope[cluster]'.") from error
    executor = submitit.AutoExecutor(folder=folder, cluster=kind)
    executor.update_parameters(**({"name": "equiscope"} | (options or {})))
    return executor


@contextmanager
def executor(workers: int, kind: str | None, folder: Path, options: dict[str, Any]) -> Iterator[Executor | None]:
    """What does the runs: this process (None), several, or a cluster, whose logs and options are told.

    ValueError where these do not go together.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, but at least one is needed.")
    if kind is not None and workers > 1:
        raise ValueError("Runs are done by workers of this machine or by a cluster; give --workers or --cluster.")
    if options and kind is None:
        raise ValueError("Options of a cluster are given, but no cluster; give --cluster slurm.")
    if kind is not None:
        yield cluster(known("cluster", kind, CLUSTERS), folder, options)
    elif workers > 1:
        with Processes(workers) as several:
            yield several
    else:
        yield None
