"""The training studies by name: all of their runs done, drawn, put into words, and written to a folder."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from equiscope.system.files import in_utf8
from equiscope.system.output_folder import refuse_taken
from equiscope_studies.data_folder import folder_of_data
from equiscope_studies.results import drawn, save
from equiscope_studies.training.effects import effects
from equiscope_studies.training.labelled import refuse_missing
from equiscope_studies.training.page import page, page_before, recipes_as_json
from equiscope_studies.training.picture import picture, picture_of_effects, picture_of_epochs
from equiscope_studies.training.plan import Plan
from equiscope_studies.training.presets import Preset, Study
from equiscope_studies.training.recipe import Recipe
from equiscope_studies.training.runs import Failure, Place, Work, all_done, finished
from equiscope_studies.training.scores import meanwhile, numbers
from equiscope_studies.training.seeds import verdicts_of_seeds
from equiscope_studies.training.studies import architecture, augmentation, capacity, data

STUDIES: dict[str, Study] = {module.STUDY.name: module.STUDY for module in (data, augmentation, capacity, architecture)}
TABLE, PILOT = "scores.parquet", "pilot.parquet"


def study(
    name: str,
    output: Path,
    *,
    preset: str = "small",
    changes: Mapping[str, Any] | None = None,
    place: Place | None = None,
    work: Work | None = None,
    draw_only: bool = False,
    command: str = "",
    force: bool = False,
) -> list[Failure]:
    """Do what is left of a study's runs, write its folder, and return the runs that failed.

    The folder then holds `effects` and `figure` (as `.png` and `.pdf`), `scores.parquet`, `claims.parquet`,
    `recipe.json` and `page.md`, and `during` where scores were measured while networks trained. Where it holds scores
    of earlier networks in `pilot.parquet`, the page tells the power that these promise, even before the first run.

    Args:
        name: "data", "augmentation", "capacity" or "architecture".
        output: The folder to write; one that a study was written to before is written anew.
        preset: "paper" or "small".
        changes: Values of the preset by name, such as `{"seeds": 1}`.
        place: Where and how runs are done; None: in `runs` of the output, on the CPU. Its `data` is the folder of
            `cifar10/` and `mnist/`; None: EQUISCOPE_DATA, and without that the hub.
        work: Who does the runs, and who hears of them; None: one after the other, here.
        draw_only: Draw what is finished, and train nothing.
        command: What the user wrote, for the page.
        force: Write into a folder of other files.

    Raises:
        ValueError: Where a name or value is not known, no run is finished, or one is of an older equiscope.
    """
    if name not in STUDIES:
        raise ValueError(f"There is no study {name!r}; it is one of {', '.join(STUDIES)}.")
    chosen = STUDIES[name]
    size = chosen.preset(preset).changed(changes or {})
    chosen.refuse_mixed(size)
    recipes = list(size.recipes())
    place = place or Place(output / "runs")
    place = replace(place, runs=place.runs.resolve(), data=folder_of_data(place.data))
    if not draw_only:
        refuse_missing({recipe.data for recipe in recipes}, place.data)
    of_a_study = any((output / name).exists() for name in (TABLE, "runs", PILOT))
    refuse_taken(output, force=force or of_a_study)
    failures: list[Failure] = []
    if not draw_only:
        failures = all_done(recipes, size.measuring, place, work)
    if failures and not any(finished(one, size.measuring, place.runs) for one in recipes):
        return failures  # there is nothing to draw, and that is not what the user should read
    _write(chosen, size, recipes, place.runs, output, command or f"equiscope study {name} --preset {preset}")
    return failures


def _write(study: Study, preset: Preset, recipes: list[Recipe], runs: Path, output: Path, command: str) -> None:
    """The study's folder, of what its runs left."""
    plan = None
    if (output / PILOT).is_file():
        conditions = frozenset(getattr(one, study.varies) for one in recipes)
        plan = Plan(pd.read_parquet(output / PILOT), conditions, preset.seeds)
    done = [one for one in recipes if finished(one, preset.measuring, runs)]
    if plan is not None and not done:
        text = page_before(study, _recipe(command, None, len(recipes)), len(recipes), plan)
        (output / "page.md").write_bytes(in_utf8(text))
        return
    table = numbers(study, done, preset.measuring, runs)
    by_epoch = meanwhile(study, done, runs)
    recipe = _recipe(command, table, len(recipes))
    more = {"recipe.json": recipes_as_json(study, preset, recipes, recipe)}
    stream = BytesIO()
    verdicts_of_seeds(study.claims, table).to_parquet(stream)
    more["claims.parquet"] = stream.getvalue()
    found = effects(study, table)
    if not found.empty:
        more |= drawn("effects", picture_of_effects(study, found))
    if not by_epoch.empty:
        more |= drawn("during", picture_of_epochs(study, by_epoch))
    text = page(study, table, recipe, len(recipes), plan=plan, epochs=None if by_epoch.empty else by_epoch)
    save(output, table, picture(study, table), text, table=TABLE, more=more, force=True)


def _recipe(command: str, table: pd.DataFrame | None, wanted: int) -> dict[str, Any]:
    packages = ("equiscope", "torch", "torchvision", "timm", "numpy", "statsmodels")
    return {
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": f"{0 if table is None else table['run'].nunique()} of {wanted}",
        **({} if table is None else {"trained on": "; ".join(dict.fromkeys(table["trained_on"]))}),
        "versions": {one: version(one) for one in packages} | {"python": sys.version.split()[0]},
    }
