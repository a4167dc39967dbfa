"""Paths as users write them, and files that are whole or absent, whenever their writing is interrupted."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EIO
from glob import escape
from pathlib import Path
from tempfile import TemporaryFile


def expanded(text: str) -> str:
    """A path, or what may be one, with `~`, `~NAME`, `$NAME` and `${NAME}` replaced by what they stand for.

    What stands for nothing stays as it is. Every option and every function that takes a path does this here.
    """
    return os.path.expanduser(os.path.expandvars(text))


def path_of(given: str | Path) -> Path:
    """The path that a user wrote, expanded."""
    return Path(expanded(os.fspath(given)))


def nearest(path: Path) -> Path:
    """The path, or the nearest of the folders above it, that is there."""
    return next(one for one in (path, *path.parents) if one.exists())


def refuse_unwritable(path: Path) -> None:
    """A PermissionError where nothing can be written at the path: its nearest folder that is there takes no file."""
    for folder in (path, *path.parents):
        if folder.is_dir():
            try:
                TemporaryFile(dir=folder).close()
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise PermissionError(f"{folder} cannot be written to ({reason}); give another folder.") from None
            return


@contextmanager
def named(path: Path) -> Iterator[None]:
    """What the system refuses while writing, and names no file, names this path: a full disk, above all."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        reason = error.strerror or ""
        reason = os.strerror(error.errno) if not reason or "errno" in reason else reason  # pyarrow's is a long one
        raise OSError(error.errno, reason, str(path)) from error
    except RuntimeError as error:
        if "inline_container" not in str(error):  # so torch.save tells that a disk took less than it was given
            raise
        raise OSError(EIO, "not all could be written: the disk may be full", str(path)) from error


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A path to write to, which then takes the file's place at once; a half-written one never does.

    An OSError where something else is there: a device or a pipe would be replaced as well.
    """
    if file.exists() and not file.is_file():
        raise FileExistsError(f"{file} is a {'folder' if file.is_dir() else 'device or a pipe'}; give a file.")
    aside = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with named(file):
            yield aside
            with open(aside, "rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(aside, file)
    finally:
        aside.unlink(missing_ok=True)


def remove(file: Path) -> None:
    """Leave nothing of a file, nor what a process that was killed had begun to put in its place."""
    for path in (file, *file.parent.glob(f"{escape(file.name)}.*.part")):
        path.unlink(missing_ok=True)
