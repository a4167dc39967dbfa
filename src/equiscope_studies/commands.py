"""The commands `figure`, `study` and `audit`, which `equiscope` finds as entry points of `equiscope.commands`.

Each field of a dataclass that a command takes is an option of that command. What computes is imported inside the
commands, so that help is answered at once.
"""

import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

FIGURES = ("2", "3", "4", "7", "lost")
STUDIES = ("data", "augmentation", "capacity", "architecture")
PRESETS = ("small", "paper")
FORCE = "Write into a folder that is not empty."
QUIET = "Nothing on the terminal but the folder that was written."
DEVICES = "cpu, cuda, cuda:1, mps, or auto: cuda where there is one, else cpu."


def _option(default: Any, help: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": help} | more)


def _completed(known: Iterable[str]) -> Callable[[str], list[str]]:
    return lambda incomplete: [word for word in known if word.startswith(incomplete)]


@dataclass(frozen=True)
class FigureOptions:
    """The figure. What it is made of, and where it goes."""

    data: Path | None = _option(
        None,
        "The folder that holds cifar10/ and weights/resnet44-cifar10.safetensors (figure 2), or what --source names "
        "and the CIFAR networks' weights (figures 4 and 7).",
        metavar="DIR",
        shown="the environment's EQUISCOPE_DATA",
    )
    images: int | None = _option(None, "How many images are measured.", metavar="N", shown="2000; figure 3: 48")
    seed: int = _option(0, "The seed of all that is drawn at random.", metavar="N")
    output: Path | None = _option(None, "The folder to write.", metavar="DIR", shown="out/figureN")
    force: bool = _option(False, FORCE)
    quiet: bool = _option(False, QUIET)


@dataclass(frozen=True)
class SurveyOptions:
    """The networks of figures 4 and 7. What they are measured on."""

    models: Sequence[str] | None = _option(
        None,
        "A network, as `equiscope measure` takes it.",
        metavar="MODEL",
        shown="the paper's six",
    )
    source: str | None = _option(
        None,
        "The images that all networks are measured on, as --images of `equiscope measure`, or a name in the folder of "
        "data.",
        metavar="SOURCE",
        shown="CIFAR networks: cifar10:test in the folder of data",
    )
    shifts: str | None = _option(
        None,
        "The diagonal shifts: 1,2,4 or 1-32.",
        metavar="PIXELS",
        shown="1,2,4,8,16,32 of 224 pixels, and the same fractions of other inputs; under 64 pixels: 1-16",
    )
    weights: Sequence[str] | None = _option(
        None,
        "A network's file of weights, or the word random.",
        metavar="MODEL=FILE",
        shown="the networks' own",
    )
    accuracy: Sequence[str] | None = _option(
        None,
        "A network's top-1 accuracy.",
        metavar="MODEL=PERCENT",
        shown="published, or measured on all labelled images of the split",
    )
    device: str = _option("auto", "Where the networks run: " + DEVICES, metavar="DEVICE")
    results: Path | None = _option(
        None,
        "Where each network's measurements are kept: what is finished there is not measured again.",
        metavar="DIR",
        shown="out/architectures",
    )

    def given(self) -> dict[str, Any]:
        """The options by name, as figures 4 and 7 take them."""
        return {
            "models": None if self.models is None else list(self.models),
            "source": self.source,
            "shifts": pixels_of(self.shifts),
            "weights": by_model_of("--weights", self.weights),
            "accuracy": percents_of(self.accuracy),
            "device": self.device,
            "results": self.results,
        }


def figure(
    number: Annotated[
        str,
        typer.Argument(
            metavar="2|3|4|7|lost",
            autocompletion=_completed(FIGURES),
            show_default=False,
            help="Which figure of the paper, or one beyond it.",
        ),
    ],
    options: FigureOptions,
    networks: SurveyOptions,
) -> None:
    r"""Make a figure of the paper again, or one beyond it.

    The paper: Bruintjes, Motyka and van Gemert, What Affects Learned
    Equivariance in Deep Image Recognition Models?, CVPR Workshops 2023.
    Figure 2 asks whether a similarity follows the mean activation; figure 3,
    whether the measure finds the symmetry that is built into a network;
    figure 7, which architectures learn equivariant features; figure 4, whether
    accuracy goes with them, from the same measurements. And "lost": whether
    what is lost early predicts the accuracy lost under rotation, of all
    networks that figures 4 and 7 have measured.
    Writes the picture (figure.png, figure.pdf), its numbers (data.parquet),
    and what they say (page.md).

    [bold]Examples[/bold]

        equiscope figure 3
        equiscope figure 2 --data data/ --images 500
        equiscope figure 7 --source imagenet/val
        equiscope figure 4 --data data/ --models cifar-resnet20 cifar-resnet44
        equiscope figure lost --data data/
    """
    if number not in FIGURES:
        raise ValueError(f"There is no figure {number!r} to make; it is one of {', '.join(FIGURES)}.")
    of_networks = networks.given()
    given = [f"--{option}" for option, value in of_networks.items() if value and value != "auto"]
    if number in ("2", "3") and given:
        raise ValueError(f"{given[0]} is for figures 4 and 7, and figure {number} measures a network of its own.")
    foreign = [one for one in given if one not in ("--models", "--device", "--results")]
    if number == "lost" and (foreign or options.images):
        raise ValueError(f"{(foreign or ['--images'])[0]} is not for figure lost, which measures no features.")
    from equiscope_studies.devices import chosen_device
    from equiscope_studies.figures import Survey, figure2, figure3, figure4, figure7, figure_lost

    of_networks["device"] = chosen_device(networks.device)
    of_networks["results"] = networks.results or Path("out", "architectures")
    counted: dict[str, Any] = {"seed": options.seed}
    if options.images is not None:
        counted["images"] = options.images
    survey = Survey(**of_networks, **counted)
    figures: dict[str, Callable[..., Path]] = {
        "2": partial(figure2, options.data, **counted),
        "3": partial(figure3, **counted),
        "4": partial(figure4, options.data, survey=survey),
        "7": partial(figure7, options.data, survey=survey),
        "lost": partial(figure_lost, options.data, survey=survey),
    }
    folder = options.output or Path("out", f"figure{number}" if number.isdigit() else f"figure-{number}")
    figures[number](output=folder, progress=not options.quiet, force=options.force)
    _show(folder, quiet=options.quiet)


@dataclass(frozen=True)
class StudyOptions:
    """The study. How large it is."""

    preset: str = _option(
        "small",
        "paper: its networks, images and epochs, for GPUs; small: the same question in an evening on two CPU cores.",
        metavar="NAME",
        choices=PRESETS,
    )
    data: Path | None = _option(
        None,
        "The folder of the data sets: cifar10/ and mnist/.",
        metavar="DIR",
        shown="EQUISCOPE_DATA, or the Hugging Face hub",
    )
    seeds: int | None = _option(None, "Networks of each kind.", metavar="N", shown="the preset's")
    epochs: int | None = _option(
        None,
        "Epochs of each network; the learning rate falls in proportion.",
        metavar="N",
        shown="the preset's",
    )
    limit: int | None = _option(None, "The most training images.", metavar="N", shown="the preset's")
    measure_every: int | None = _option(
        None,
        "Also measure after each so many epochs, on 300 images, and draw the scores over epochs.",
        metavar="N",
        shown="never",
    )
    override: Sequence[str] | None = _option(
        None,
        "Any other value of the preset, such as learning_rate=0.05, shifts=1,2,4 or limit=all.",
        metavar="KEY=VALUE",
        spelled="--set",
    )

    def changes(self) -> dict[str, Any]:
        """The values of the preset that are changed."""
        from equiscope_studies.training.presets import Preset

        named = {
            "seeds": self.seeds, "epochs": self.epochs, "limit": self.limit, "measure_every": self.measure_every,
        }  # fmt: skip
        changed = {key: value for key, value in named.items() if value is not None}
        return changed | {key: Preset.read(key, text) for key, text in pairs_of("--set", self.override).items()}


@dataclass(frozen=True)
class TrainingOptions:
    """The run. Where networks are trained."""

    device: str = _option("auto", "Where the networks train: " + DEVICES, metavar="DEVICE")
    workers: int = _option(1, "Networks at a time, each in a process of its own, of one thread.", metavar="N")
    cluster: str | None = _option(
        None,
        "Every run as a job of its own, by submitit: slurm, or local for processes of this machine.",
        metavar="NAME",
    )
    cluster_options: Sequence[str] | None = _option(
        None,
        "What submitit is given for a job, such as timeout_min=240, gpus_per_node=1 or slurm_partition=gpu.",
        metavar="KEY=VALUE",
        spelled="--cluster-option",
    )
    tensorboard: bool = _option(False, "Each run also writes its curves for TensorBoard.")

    def of_jobs(self) -> dict[str, Any]:
        """The options of the cluster's jobs."""
        given = pairs_of("--cluster-option", self.cluster_options)
        return {key: int(text) if text.isdecimal() else text for key, text in given.items()}


@dataclass(frozen=True)
class StudyFiles:
    """The result. What is written, and where."""

    results: Path | None = _option(
        None,
        "Where each run is kept: what is finished there is not done again, what was killed goes on.",
        metavar="DIR",
        shown="OUTPUT/runs",
    )
    output: Path | None = _option(None, "The folder to write.", metavar="DIR", shown="out/study-NAME")
    draw_only: bool = _option(False, "Draw what is finished, and train nothing.")
    force: bool = _option(False, FORCE)
    quiet: bool = _option(False, QUIET)


def study(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=_completed(STUDIES),
            show_default=False,
            help="The study to do: data, augmentation, capacity or architecture.",
        ),
    ],
    size: StudyOptions,
    training: TrainingOptions,
    files: StudyFiles,
) -> None:
    r"""Train networks, and find what makes them more equivariant.

    data: does equivariance in the data (the paper's figure 5)? augmentation:
    which one (figure 6a)? capacity: are wider networks less equivariant
    (figure 6b)? architecture: is it the convolution? Writes the picture
    (figure.png, figure.pdf), all scores (scores.parquet), what was trained
    (recipe.json), and the paper's claims with their verdicts (page.md).
    A run that was killed goes on from its last epoch when the same command is
    given again; one that is finished is not done again, on another machine
    either, to which its folder goes without the checkpoint; one that fails
    stops no other, and is named at the end.

    [bold]Examples[/bold]

        equiscope study data --data data/
        equiscope study augmentation --preset paper
        equiscope study capacity --seeds 1 --epochs 2 --limit 1280
        equiscope study architecture --measure-every 1 --workers 2
        equiscope study augmentation --preset paper --device cuda \
            --cluster slurm --cluster-option gpus_per_node=1
    """
    from equiscope_studies.training.executors import executor
    from equiscope_studies.training.runs import Place, Work
    from equiscope_studies.training.study import study as done

    folder = files.output or Path("out", f"study-{name}")
    place = Place(files.results or folder / "runs", size.data, training.device, tensorboard=training.tensorboard)
    changes, tell = size.changes(), None if files.quiet else partial(typer.echo, err=True)
    chosen = executor(training.workers, training.cluster, folder / "cluster", training.of_jobs())
    with _repeatable(), chosen as does:
        failures = done(
            name, folder, preset=size.preset, changes=changes, place=place,
            work=Work(does, progress=not files.quiet, tell=tell), draw_only=files.draw_only, force=files.force,
            command=shlex.join(["equiscope", *sys.argv[1:]]),
        )  # fmt: skip
    if (folder / "page.md").is_file():
        _show(folder, quiet=files.quiet)
    for failure in failures:
        typer.echo(f"{typer.style('Failed:', fg='red', bold=True)} {failure}", err=True)
    if failures:
        raise typer.Exit(1)


@dataclass(frozen=True)
class AuditOptions:
    """The audit. What is measured, and where it goes."""

    limit: int | None = _option(None, "Only the first so many families.", metavar="N", shown="all, about 155")
    seed: int = _option(0, "The seed of the random weights and the images.", metavar="N")
    output: Path | None = _option(None, "The folder to write.", metavar="DIR", shown="out/audit")
    force: bool = _option(False, FORCE)
    quiet: bool = _option(False, QUIET)


def audit(options: AuditOptions) -> None:
    """Measure a small network of every family of timm and torchvision.

    And of the kinds of transformers, and some as people write them. Random
    weights, four images, one shift, one rotation, and no hint: does it just
    work, are all scores what they must be, and all maps where they must be?
    Writes a row for each family (audit.parquet) and a page (page.md). Takes
    about an hour; one that was stopped goes on where it was.

    [bold]Examples[/bold]

        equiscope audit
        equiscope audit --limit 10
    """
    from equiscope_studies.audit import audit as audited

    folder = audited(
        options.output or Path("out", "audit"), limit=options.limit, seed=options.seed, progress=not options.quiet,
        force=options.force,
    )  # fmt: skip
    typer.echo(folder if options.quiet else f"In words: {folder / 'page.md'}")


def _show(folder: Path, *, quiet: bool) -> None:
    typer.echo(folder if quiet else f"Figure: {folder / 'figure.png'}\nIn words: {folder / 'page.md'}")


@contextmanager
def _repeatable() -> Iterator[None]:
    """A Ctrl-C says that a study goes on when it is asked for again."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Abort("interrupted; the same command goes on from what is finished.") from None


def pixels_of(text: str | None) -> list[int] | None:
    """The shifts of `--shifts`.

    >>> pixels_of("1-3,8")
    [1, 2, 3, 8]
    """
    if text is None:
        return None
    found: list[int] = []
    for one in text.split(","):
        if (match := re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", one)) is None:
            raise ValueError(f"--shifts {text!r} is no list of pixels; give for example 1,2,4 or 1-32.")
        found.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


def by_model_of(option: str, given: Iterable[str] | None) -> dict[str, str]:
    """The value of each network, of `MODEL=VALUE`."""
    found = {}
    for one in given or ():
        model, equals, value = one.rpartition("=")
        if not (model and equals and value):
            raise ValueError(f"{option} {one!r} is not MODEL=VALUE.")
        found[model] = value
    return found


def percents_of(given: Iterable[str] | None) -> dict[str, float]:
    """The accuracy of each network, of `MODEL=PERCENT`."""
    found = {}
    for model, value in by_model_of("--accuracy", given).items():
        if re.fullmatch(r"\d+(\.\d*)?", value) is None or float(value) > 100:
            raise ValueError(f"--accuracy '{model}={value}' is no accuracy in per cent; give for example {model}=76.1.")
        found[model] = float(value)
    return found


def pairs_of(option: str, given: Iterable[str] | None) -> dict[str, str]:
    """The values of `KEY=VALUE`."""
    found = {}
    for one in given or ():
        key, equals, value = one.partition("=")
        if not (key and equals and value):
            raise ValueError(f"{option} {one!r} is not KEY=VALUE.")
        found[key] = value
    return found
