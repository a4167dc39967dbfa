"""The folder that a command writes: its files appear together at the end, or not at all."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def refuse_taken(folder: Path, *, force: bool) -> None:
    """An OSError where nothing can be written to the folder, or where it has files and `--force` was not given."""
    from equiscope.results import folder as results

    results.refuse_taken(folder, force=True)
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} exists and is not empty; give another --output, or --force to write into it.")


@contextmanager
def moved_into(folder: Path) -> Iterator[Path]:
    """A temporary folder on the same disk, whose files move into `folder` at the end, if all went well.

    A `folder` that is not there appears at once; files of other names in one that is there are left alone. An OSError
    names `folder`.
    """
    from equiscope.system.files import named

    home = folder if folder.is_dir() else folder.parent  # a folder that is there may be a mounted disk
    home.mkdir(parents=True, exist_ok=True)
    aside = home / f".equiscope-{uuid.uuid4().hex}"
    try:
        with named(folder):
            aside.mkdir()
            yield aside
            if folder.is_dir():
                for file in list(aside.iterdir()):
                    os.replace(file, folder / file.name)
            else:
                os.replace(aside, folder)
    except OSError as error:
        if error.errno is not None and str(error.filename).startswith(str(aside)):
            raise OSError(error.errno, error.strerror, str(folder)) from error
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
