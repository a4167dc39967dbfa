"""The paper's figures by their numbers: measured, drawn, put into words, and written to a folder."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from equiscope.system.output_folder import refuse_taken
from equiscope.system.progress import Progress
from equiscope_studies import known_answers
from equiscope_studies.data_folder import folder_of_data
from equiscope_studies.mean_activation import numbers as mean_activation
from equiscope_studies.mean_activation.page import page as page_of_activations
from equiscope_studies.mean_activation.picture import picture as picture_of_activations
from equiscope_studies.results import save
from equiscope_studies.survey import accuracy as accuracies
from equiscope_studies.survey import architectures, claims, lost, measuring, scores
from equiscope_studies.verdicts import statsmodels


def figure2(
    data: Path | None,
    output: Path,
    *,
    images: int = 2000,
    seed: int = 0,
    progress: bool | Progress = False,
    force: bool = False,
) -> Path:
    """The folder that tells whether a similarity follows the mean activation (the paper's Figure 2).

    `data` holds `cifar10/` and `weights/resnet44-cifar10.safetensors`; None: EQUISCOPE_DATA. The output holds
    `figure.png`, `figure.pdf`, `data.parquet` and `page.md`. FileExistsError where it is not empty, unless `force`;
    ValueError where data is missing.
    """
    refuse_taken(output, force=force)
    numbers = mean_activation.numbers(data, images=images, seed=seed, progress=progress)
    return save(output, numbers, picture_of_activations(numbers), page_of_activations(numbers), force=force)


def figure3(
    output: Path, *, images: int = 48, seed: int = 0, progress: bool | Progress = False, force: bool = False
) -> Path:
    """The folder that tells whether the measure finds what is built into a network (the paper's Figure 3).

    The output as for `figure2`; `images` is how many random images and how many photographs are measured.
    """
    refuse_taken(output, force=force)
    numbers = known_answers.numbers(images=images, seed=seed, progress=progress)
    return save(output, numbers, known_answers.picture(numbers), known_answers.page(numbers), force=force)


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What figures 4 and 7 measure: which networks, on what.

    Attributes:
        results: Where each network's measurements lie, in folders of its own; what is finished is not measured again.
        models: Names as `load_network` takes them; None: the paper's six.
        source: Images, as `open_images` takes them, or a name within the data; None, for CIFAR networks: CIFAR-10.
        images: How many are measured.
        shifts: Along the diagonal, in pixels; None: ten from 1 to 32, and of networks for small images 1 to 16.
        weights: By network: a file, or "random".
        accuracy: By network: top-1 in per cent, where the catalogue does not know it.
        device: Where the networks run.
        seed: Of the images' order, of intervals and of random weights.
    """

    results: Path
    models: Sequence[str] | None = None
    source: str | None = None
    images: int = 2000
    shifts: Sequence[int] | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    accuracy: Mapping[str, float] = field(default_factory=dict)
    device: str | None = None
    seed: int = 0


def figure4(
    data: Path | None, output: Path, survey: Survey, *, progress: bool | Progress = False, force: bool = False
) -> Path:
    """The folder that tells whether accuracy goes with learned equivariance over networks (the paper's Figure 4).

    All is as for `figure7`, whose measurements it shares. ValueError where the networks' accuracies are not on the
    same images, or one is not known.
    """
    refuse_taken(output, force=force)
    statsmodels()  # now, not after hours of measuring
    table = _surveyed(4, data, survey, progress)
    relations = accuracies.numbers(table, survey.seed)
    return save(output, relations, accuracies.picture(relations), accuracies.page(table, relations), force=force)


def figure7(
    data: Path | None, output: Path, survey: Survey, *, progress: bool | Progress = False, force: bool = False
) -> Path:
    """The folder that tells which architectures learn equivariant features (the paper's Figure 7).

    `data` is the folder that holds what is named by the survey's source and the weights of the CIFAR networks; None:
    EQUISCOPE_DATA. The output as for `figure2`.
    """
    refuse_taken(output, force=force)
    table = _surveyed(7, data, survey, progress)
    verdicts = claims.verdicts(claims.FIGURE7, table)
    rules = {claim.says: claim.rule for claim in claims.FIGURE7}
    page = architectures.page(table, verdicts, rules)
    return save(output, table, architectures.picture(table), page, force=force)


def figure_lost(
    data: Path | None, output: Path, survey: Survey, *, progress: bool | Progress = False, force: bool = False
) -> Path:
    """The folder that tells whether what is lost early predicts the accuracy lost under rotation.

    Of the survey it heeds the results of figures 4 and 7, the models (None: all that are there), the device and the
    seed. `data` and the output as for `figure7`. ValueError where fewer than three networks are measured there.
    """
    refuse_taken(output, force=force)
    statsmodels()
    networks = lost.found_in(survey.results, survey.models)
    table = lost.numbers(networks, folder_of_data(data), survey.device, progress=progress)
    relations = lost.relations(table, survey.seed)
    table.attrs["recipe"] = {"command": _command("lost", survey.models or (), [], survey)} | table.attrs["recipe"]
    return save(output, table, lost.picture(table), lost.page(table, relations), force=force)


def _surveyed(figure: int, data: Path | None, survey: Survey, progress: bool | Progress) -> pd.DataFrame:
    """The numbers of all networks; what of them is not there yet is measured."""
    names = list(survey.models or measuring.SETTINGS.models)
    wanted = measuring.asked(names, data, survey.source, images=survey.images, seed=survey.seed, shifts=survey.shifts)
    for name in {*survey.weights, *survey.accuracy} - set(names):
        raise ValueError(f"{name} is given weights or an accuracy, but is none of the networks: {', '.join(names)}.")
    for name in names:
        one = measuring.Surveyed(name, survey.weights.get(name), survey.accuracy.get(name))
        measuring.measured(one, wanted, survey.results, data=data, device=survey.device, progress=progress)
    table = scores.numbers(names, survey.results, survey.accuracy)
    more = _of_measuring(wanted, survey)
    table.attrs["recipe"] = {"command": _command(str(figure), names, more, survey)} | table.attrs["recipe"]
    return table


def _of_measuring(wanted: measuring.Asked, survey: Survey) -> list[str]:
    """The options of the command that say what is measured."""
    options = ["--source", wanted.named.removeprefix("DATA/"), "--images", str(survey.images)]
    options += ["--shifts", ",".join(map(str, survey.shifts))] if survey.shifts else []
    options += [part for name, value in survey.accuracy.items() for part in ("--accuracy", f"{name}={value:g}")]
    for name, value in survey.weights.items():
        options += ["--weights", f"{name}={value if value == 'random' else 'FILE'}"]
    return options


def _command(figure: str, names: Sequence[str], more: Sequence[str], survey: Survey) -> str:
    """The command that makes the figure again, its own folders and files named in capitals."""
    command = ["equiscope", "figure", figure, *(part for name in names for part in ("--models", name))]
    ends = ["--seed", str(survey.seed), "--results", "RESULTS", "--output", "OUTPUT"]
    return shlex.join([*command, "--data", "DATA", *more, *ends])
