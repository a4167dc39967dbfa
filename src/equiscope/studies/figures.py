"""The paper's figures by their numbers: measured, drawn, told in words, and written to a folder."""

from pathlib import Path

from equiscope.folder import refuse_taken
from equiscope.progress import Progress
from equiscope.studies import known_answers, mean_activation
from equiscope.studies.results import save


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
    return save(output, numbers, mean_activation.picture(numbers), mean_activation.page(numbers), force=force)


def figure3(
    output: Path, *, images: int = 48, seed: int = 0, progress: bool | Progress = False, force: bool = False
) -> Path:
    """The folder that tells whether the measure finds what is built into a network (the paper's Figure 3).

    The output as for `figure2`; `images` is how many random images and how many photographs are measured.
    """
    refuse_taken(output, force=force)
    numbers = known_answers.numbers(images=images, seed=seed, progress=progress)
    return save(output, numbers, known_answers.picture(numbers), known_answers.page(numbers), force=force)
