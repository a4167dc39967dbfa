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


def in_utf8(text: str) -> bytes:
    r"""The text as a file holds it; bytes of a path that are no text are written out.

    >>> in_utf8("n\udcff.py")
    b'n\\udcff.py'
    """
    return text.encode(errors="backslashreplace")


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


def refuse_place(file: Path) -> None:
    """An OSError, in a sentence, where no file can be written at the path: a folder, a pipe, in a file, read-only.

    Worth asking before what is to be written is measured or drawn.
    """
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder, and a file is needed; give its name too.")
    if file.exists() and not file.is_file():
        raise FileExistsError(f"{file} is a device or a pipe, which no file may replace; give another path.")
    if not (above := nearest(file.parent)).is_dir():
        raise NotADirectoryError(f"{above} is a file, and a folder is needed there; give another path.")
    refuse_unwritable(file.parent)


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

    What a link leads to is replaced, and not the link. An OSError names the file, or tells what is in its place.
    """
    refuse_place(file)
    place = file.resolve()
    aside = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        with named(file):
            yield aside
            with open(aside, "rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(aside, place)
    except OSError as error:
        if error.errno is not None and str(error.filename) == str(aside):
            raise OSError(error.errno, error.strerror, str(file)) from error
        raise
    finally:
        aside.unlink(missing_ok=True)


def remove(file: Path) -> None:
    """Leave nothing of a file, nor what a process that was killed had begun to put in its place."""
    for path in (file, *file.parent.glob(f"{escape(file.name)}.*.part")):
        path.unlink(missing_ok=True)
