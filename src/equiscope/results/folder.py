"""`Scores` as a folder of files, complete or absent, and back."""

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from equiscope.results.columns import TABLES, UNIQUE
from equiscope.results.maps import Maps
from equiscope.results.orbits import rotations_measured
from equiscope.results.scores import Scores
from equiscope.system.errors import OptionError
from equiscope.system.files import named, nearest, refuse_unwritable

FORMAT = 2
MAPS, ORBITS = "maps.npz", "orbits.parquet"  # where there are any
BASELINE = "baseline"  # likewise: a folder, which is a result itself
DRAWN = ("figure.png", "figure.pdf", "report.html")  # which the command line adds
MANIFEST = "manifest.json"  # written last: a folder without it is no result
NEEDED = ("model", "images", "options")  # of a manifest


def write(scores: Scores, folder: Path, *, force: bool = False) -> None:
    """Write tables and manifest, and maps, orbits and baseline where there are any, into a folder, made if needed.

    Everything is written aside and moved into place at the end: a new folder at once, an old one file by file, the
    manifest removed first and moved last. What was drawn of an old result goes with it; other files are left alone.
    """
    folder = folder.resolve()
    refuse_taken(folder, force=force)
    there = folder.is_dir()
    home = folder if there else folder.parent  # aside, but on the same disk: a folder there may be a mounted one
    home.mkdir(parents=True, exist_ok=True)
    aside = home / f".equiscope-{uuid.uuid4().hex}"
    try:
        with named(folder):
            _write_files(scores, aside)
            if scores.baseline is not None:
                _write_files(scores.baseline, aside / BASELINE)
            if there:
                _move_in(aside, folder)
            else:
                os.replace(aside, folder)
            _to_disk(home)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_files(scores: Scores, folder: Path) -> None:
    """Write the files of a result into a new folder, and wait until they are on the disk."""
    # A file's name need not be text: JSON has \udcff for what is none.
    manifest = manifest_text(scores).encode(errors="backslashreplace")
    folder.mkdir()
    tables = {f"{name}.parquet": table for name, table in scores.to_pandas().items()}
    if rotations_measured(scores.channels):
        tables[ORBITS] = scores.orbits
    for name, table in tables.items():
        with (folder / name).open("wb") as stream:  # Arrow opens no path that is not text
            table.to_parquet(stream)
    if scores.maps is not None:
        scores.maps.save(folder / MAPS)
    (folder / MANIFEST).write_bytes(manifest)
    for path in [*folder.iterdir(), folder]:
        _to_disk(path)


def manifest_text(scores: Scores) -> str:
    """The manifest as strict JSON, as the folder holds it."""
    return json.dumps(_plain({"format": FORMAT} | scores.manifest), indent=2, ensure_ascii=False, allow_nan=False)


class TakenError(OptionError, FileExistsError):
    """There is something where a result is to be written."""


def refuse_taken(folder: Path, *, force: bool = False) -> None:
    """An OSError where a result cannot be written to the folder: a file, not empty and no `force`, or read-only.

    Worth asking before a measurement of hours, too.
    """
    path = nearest(folder)
    if not path.is_dir():
        raise FileExistsError(f"{path} is a file, and the result needs a folder; give another path.")
    refuse_unwritable(folder)
    if folder.exists() and not force and any(folder.iterdir()):
        raise TakenError(
            "{folder} exists and is not empty; give another folder, or {force} to write into it.", folder=folder
        )


def is_result(folder: Path) -> bool:
    """Whether the folder holds a result."""
    return (folder / MANIFEST).is_file()


def load(folder: str | Path) -> Scores:
    """The `Scores` that were saved to a folder, every table equal to what was saved.

    ValueError where the folder holds no result, or not all of one, or one that an older equiscope measured.
    """
    folder = Path(folder)
    manifest = _manifest(folder)
    tables = {table: _table(folder, table) for table in TABLES}
    maps = Maps.load(folder / MAPS) if (folder / MAPS).is_file() else None
    baseline = load(folder / BASELINE) if is_result(folder / BASELINE) else None
    return Scores(**tables, manifest=manifest, maps=maps, baseline=baseline)


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
    lacking = [name for name in NEEDED if name not in manifest]
    if not lacking and not (isinstance(manifest["options"], dict) and "transformations" in manifest["options"]):
        lacking = ["options.transformations"]
    if lacking:
        raise ValueError(f"{folder} is not all of a result: its {MANIFEST} has no {', '.join(lacking)}.")
    return manifest


def _table(folder: Path, name: str) -> pd.DataFrame:
    """A table of a result with all columns of the contract, in which no two rows are of the same thing."""
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise ValueError(f"{folder} is not all of a result: {path.name} is missing.")
    try:
        with path.open("rb") as stream:
            table = pd.read_parquet(stream)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a table ({str(error).splitlines()[0]}).") from error
    missing = [column for column in TABLES[name] if column not in table]
    if missing:
        raise ValueError(f"{folder} is not all of a result: {path.name} has no column {', '.join(missing)}.")
    keys = list(UNIQUE[name])
    again = table.loc[table.duplicated(keys), keys]
    if len(again):
        row = ", ".join(f"{key} {value}" for key, value in again.iloc[0].items())
        raise ValueError(f"{path} has two rows of {row}; each must be there once.")
    return table


def _move_in(aside: Path, folder: Path) -> None:
    """Our files to the place of the old ones; until all are there, the folder is no result."""
    (folder / MANIFEST).unlink(missing_ok=True)
    taken = {path.name for path in folder.iterdir()}
    names = sorted((path.name for path in aside.iterdir()), key=lambda name: name == MANIFEST)
    for name in {MAPS, ORBITS, *DRAWN} - set(names):
        (folder / name).unlink(missing_ok=True)  # of the old result
    if is_result(folder / BASELINE):
        shutil.rmtree(folder / BASELINE)
    try:
        for name in names:
            os.replace(aside / name, folder / name)
    except BaseException:
        for name in set(names) - taken:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        raise


def _to_disk(path: Path) -> None:
    """Wait until a file or folder is on the disk, so that no loss of power leaves a whole name on half a file."""
    if path.is_dir() and os.name == "nt":
        return  # which opens no folders
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
