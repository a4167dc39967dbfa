"""`Scores` as a folder of files, complete or absent, and back."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from equiscope.results.columns import ADDED, METRIC_TABLE, TABLES
from equiscope.results.completeness import of_manifest, of_metrics, of_table, of_tables
from equiscope.results.maps import Maps
from equiscope.results.orbits import rotations_measured
from equiscope.results.scores import Scores
from equiscope.system.files import in_utf8, path_of, replacing
from equiscope.system.output_folder import written

FORMAT = 2
MAPS, ORBITS, METRICS = "maps.npz", "orbits.parquet", f"{METRIC_TABLE}.parquet"  # where there are any
BASELINE = "baseline"  # likewise: a folder, which is a result itself
DRAWN = ("figure.png", "figure.pdf", "report.html")  # which the command line adds
MANIFEST = "manifest.json"  # written last: a folder without it is no result


def write(
    scores: Scores, folder: Path, *, force: bool = False, drawn: Callable[[Path], None] = lambda aside: None
) -> None:
    """Write tables and manifest, and maps, orbits and baseline where there are any, into a folder, made if needed.

    `drawn` adds files of the names in `DRAWN` to those that are written. All appear together, as `written` has it;
    what was drawn of an old result goes with it, and files of other names are left alone.
    """
    ours = (MAPS, ORBITS, METRICS, *DRAWN, *([BASELINE] if is_result(folder / BASELINE) else []))
    with written(folder, force=force, last=MANIFEST, old=ours) as aside:
        _write_files(scores, aside)
        if scores.baseline is not None:
            (aside / BASELINE).mkdir()
            _write_files(scores.baseline, aside / BASELINE)
        drawn(aside)


def _write_files(scores: Scores, folder: Path) -> None:
    """Write the files of a result into a folder."""
    # A file's name need not be text: JSON has \udcff for what is none.
    manifest = in_utf8(manifest_text(scores))
    tables = {f"{name}.parquet": table for name, table in scores.to_pandas().items()}
    if rotations_measured(scores.channels):
        tables[ORBITS] = scores.orbits
    if scores.metrics is not None:
        tables[METRICS] = scores.metrics
    for name, table in tables.items():
        _write_table(table, folder / name)
    if scores.maps is not None:
        scores.maps.save(folder / MAPS)
    (folder / MANIFEST).write_bytes(manifest)


def write_metrics(metrics: pd.DataFrame, folder: Path) -> None:
    """Add the table of other tools' measures to a result that is there, or replace it."""
    with replacing(folder / METRICS) as aside:
        _write_table(metrics, aside)


def _write_table(table: pd.DataFrame, file: Path) -> None:
    with file.open("wb") as stream:  # Arrow opens no path that is not text
        table.to_parquet(stream)


def manifest_text(scores: Scores) -> str:
    """The manifest as strict JSON, as the folder holds it."""
    return json.dumps(_plain({"format": FORMAT} | scores.manifest), indent=2, ensure_ascii=False, allow_nan=False)


def is_result(folder: Path) -> bool:
    """Whether the folder holds a result."""
    return (folder / MANIFEST).is_file()


def load(folder: str | Path) -> Scores:
    """The `Scores` that were saved to a folder, every table equal to what was saved.

    The rows of its tables may be in any order. ValueError where the folder holds no result, or not all of one, or one
    that an older equiscope measured.
    """
    place = path_of(folder)
    manifest = _manifest(place)
    tables = {table: _table(place, table) for table in TABLES}
    _refuse(f"{place} is not all of a result", "", of_tables(tables, manifest["options"]["transformations"]))
    maps = Maps.load(place / MAPS) if (place / MAPS).is_file() else None
    baseline = load(place / BASELINE) if is_result(place / BASELINE) else None
    metrics = _metrics(place) if (place / METRICS).is_file() else None
    return Scores(**tables, manifest=manifest, maps=maps, baseline=baseline, metrics=metrics)


def _refuse(what: str, name: str, lacks: str | None) -> None:
    if lacks is not None:
        raise ValueError(f"{what}: {name}{lacks}.")


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        missing = f"it has no {MANIFEST}" if folder.is_dir() else "there is no such folder"
        raise ValueError(f"{folder} is no result of equiscope: {missing}.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as JSON ({error}).") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
        raise ValueError(f"{folder} is no result of equiscope: its {MANIFEST} names no format.")
    if manifest["format"] > FORMAT:
        raise ValueError(f"{folder} was written by a newer equiscope (format {manifest['format']}); update this one.")
    if manifest["format"] < FORMAT:
        raise ValueError(
            f"{folder} was written by an older equiscope (format {manifest['format']}), which defined its scores "
            "otherwise; measure again."
        )
    _refuse(f"{folder} is not all of a result", f"its {MANIFEST} ", of_manifest(manifest))
    return manifest


def _table(folder: Path, name: str) -> pd.DataFrame:
    """A table of a result, its columns and keys checked; what was made its index is a column again."""
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise ValueError(f"{folder} is not all of a result: {path.name} is missing.")
    table = _read(path)
    indexed = [level for level in table.index.names if level in TABLES[name] and level not in table]
    table = table.reset_index(indexed).reset_index(drop=True) if indexed else table.reset_index(drop=True)
    coded = {column: values.cat.categories.dtype for column, values in table.select_dtypes("category").items()}
    table = table.astype(coded)
    table = table.assign(**{column: np.nan for column in ADDED if column in TABLES[name] and column not in table})
    _refuse(f"{folder} is not all of a result", f"{path.name} ", of_table(name, table))
    return table


def _metrics(folder: Path) -> pd.DataFrame:
    """The table of other tools' measures of a result, its columns checked."""
    table = _read(folder / METRICS)
    _refuse(f"{folder} is not all of a result", f"{METRICS} ", of_metrics(table))
    return table


def _read(path: Path) -> pd.DataFrame:
    try:
        with path.open("rb") as stream:
            return pd.read_parquet(stream)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a table ({str(error).splitlines()[0]}).") from error


def _plain(value: Any) -> Any:
    """The value as strict JSON has it: NaN is null, whatever else JSON does not know is its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
