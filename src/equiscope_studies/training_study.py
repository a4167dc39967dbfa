"""The training studies by name: all of their runs done, drawn, told in words, and written to a folder."""

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from equiscope.results.folder import refuse_taken
from equiscope.system.progress import Progress
from equiscope_studies import augmentations, capacity, controlled_architectures, equivariance_in_data, training_results
from equiscope_studies.architectures import folder_of_data
from equiscope_studies.labelled import refuse_missing
from equiscope_studies.presets import Study
from equiscope_studies.results import drawn, save
from equiscope_studies.runs import Executor, Failure, Place, all_done
from equiscope_studies.seeds import verdicts_of_seeds

STUDIES: dict[str, Study] = {
    module.STUDY.name: module.STUDY
    for module in (equivariance_in_data, augmentations, capacity, controlled_architectures)
}
TABLE = "scores.parquet"


def study(
    name: str,
    output: Path,
    *,
    preset: str = "small",
    data: Path | None = None,
    runs: Path | None = None,
    changes: Mapping[str, Any] | None = None,
    executor: Executor | None = None,
    device: str | None = None,
    threads: int | None = None,
    tensorboard: bool = False,
    draw_only: bool = False,
    progress: bool | Progress = False,
    tell: Callable[[str], Any] | None = None,
    command: str = "",
    force: bool = False,
) -> list[Failure]:
    """Do what is left of a study's runs, write its folder, and return the runs that failed.

    The folder then holds `figure.png`, `figure.pdf`, `scores.parquet`, `claims.parquet`, `recipe.json` and `page.md`,
    and `during.png` and `during.pdf` where scores were measured while networks trained.

    Args:
        name: "data", "augmentation", "capacity" or "architecture".
        output: The folder to write; one that a study was written to before is written anew.
        preset: "paper" or "small".
        data: The folder of `cifar10/` and `mnist/`; None: EQUISCOPE_DATA, and without that the hub.
        runs: The folder that holds the runs' folders; None: `runs` in `output`.
        changes: Values of the preset by name, such as `{"seeds": 1}`.
        executor: Whatever has `submit`: an executor of `concurrent.futures`, or of submitit. None: one run after the
            other, here.
        device: Where networks train, such as "cuda"; None: the CPU.
        threads: Of a run; None: as torch has them.
        tensorboard: Whether each run writes its curves for TensorBoard too.
        draw_only: Draw what is finished, and train nothing.
        progress: As for `measure`.
        tell: Hears a sentence as each run ends.
        command: What the user wrote, for the page.
        force: Write into a folder of other files.

    Raises:
        ValueError: Where a name or value is not known, or no run is finished.
    """
    if name not in STUDIES:
        raise ValueError(f"There is no study {name!r}; it is one of {', '.join(STUDIES)}.")
    chosen = STUDIES[name]
    size = chosen.preset(preset).changed(changes or {})
    chosen.refuse_mixed(size)
    recipes = list(size.recipes())
    if not draw_only:
        refuse_missing({recipe.data for recipe in recipes}, folder_of_data(data))
    place = Place((runs or output / "runs").resolve(), folder_of_data(data), device, threads, tensorboard)
    of_a_study = (output / TABLE).is_file() or (output / "runs").is_dir()
    refuse_taken(output, force=force or of_a_study)
    failures: list[Failure] = []
    if not draw_only:
        failures = all_done(recipes, size.measuring, place, executor=executor, progress=progress, tell=tell)
    if failures and not any((place.runs / one.hash / "accuracy.json").is_file() for one in recipes):
        return failures  # there is nothing to draw, and that is not what the user should read
    table = training_results.numbers(chosen, recipes, size.measuring, place.runs)
    meanwhile = training_results.meanwhile(chosen, recipes, place.runs)
    recipe = _recipe(command or f"equiscope study {name} --preset {preset}", table, len(recipes))
    more = {"recipe.json": training_results.recipes_as_json(chosen, size, recipes, recipe)}
    stream = BytesIO()
    verdicts_of_seeds(chosen.claims, table).to_parquet(stream)
    more["claims.parquet"] = stream.getvalue()
    if not meanwhile.empty:
        more |= drawn("during", training_results.picture_of_epochs(chosen, meanwhile))
    page = training_results.page(chosen, size, table, recipe, len(recipes), epochs=not meanwhile.empty)
    save(output, table, training_results.picture(chosen, table), page, table=TABLE, more=more, force=True)
    return failures


def _recipe(command: str, table: pd.DataFrame, wanted: int) -> dict[str, Any]:
    packages = ("equiscope", "torch", "torchvision", "timm", "numpy")
    return {
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": f"{table['run'].nunique()} of {wanted}",
        "trained on": "; ".join(dict.fromkeys(table["trained_on"])),
        "versions": {one: version(one) for one in packages} | {"python": sys.version.split()[0]},
    }
