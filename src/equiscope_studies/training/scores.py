"""What a training study's runs scored, as one table, of their folders alone."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from equiscope_studies.training.loop import MEANWHILE
from equiscope_studies.training.measuring import OWN, Measuring
from equiscope_studies.training.presets import Study
from equiscope_studies.training.recipe import Recipe
from equiscope_studies.training.runs import result

ON = {OWN: "own images", "mnist6": "upright"}


def numbers(study: Study, recipes: Iterable[Recipe], measuring: Measuring, runs: Path) -> pd.DataFrame:
    """A row a run, data set measured on, layer or part, transformation, measure and scope; the runs are finished.

    `layer` is empty in the rows of parts; `on` is what the run was measured on: "own images" or "upright".
    ValueError where there is none, or one was made by an older equiscope.
    """
    tables = [table for recipe in recipes for table in _of_run(study, recipe, measuring, runs / recipe.hash)]
    if not tables:
        raise ValueError(f"No run of the study is finished in {runs}, so that there is nothing to draw.")
    return pd.concat(tables, ignore_index=True)


def _of_run(study: Study, recipe: Recipe, measuring: Measuring, home: Path) -> Iterable[pd.DataFrame]:
    """The layers and the parts of one run, on each data set measured on."""
    its = result(home)
    tables = measuring.tables(recipe, home)
    for wanted in measuring.on:
        yield pd.read_parquet(tables[recipe.data if wanted == OWN else wanted]).assign(**{
            "run": recipe.hash, "condition": getattr(recipe, study.varies), "seed": recipe.seed,
            "on": ON.get(wanted, wanted), "accuracy": its["accuracy"],
            "accuracy_rotated": its["accuracy_rotated"], "parameters": its["parameters"], "epochs": its["epochs"],
            "seconds": its["seconds"],
            "trained_on": f"{its['device']}, {its['threads']} threads, torch {its['torch']}",
        })  # fmt: skip


def meanwhile(study: Study, recipes: Iterable[Recipe], runs: Path) -> pd.DataFrame:
    """The scores of parts while networks trained, with condition and seed; empty where none were measured."""
    tables = [
        pd.read_parquet(file).assign(condition=getattr(recipe, study.varies), seed=recipe.seed)
        for recipe in recipes
        if (file := runs / recipe.hash / MEANWHILE).is_file()
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
