"""A folder of results, which appears whole or not at all, and is replaced only where that was asked for.

Both hold against other runs as well: of two that write to one folder, the later one is refused.
"""

import hashlib
import json
import os
import shutil
import socket
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from errno import EEXIST, ENOTEMPTY
from pathlib import Path

from equiscope.system.errors import OptionError
from equiscope.system.files import named, nearest, path_of, refuse_unwritable

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

LONGEST = 200  # bytes of a name that others may be made of; file systems take 255
ASIDE = ".equiscope-"  # begins the names of folders that are written to, beside or in those that they become


class TakenError(OptionError, FileExistsError):
    """There is something where a result is to be written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            "{folder} exists and is not empty; give another folder, or {force} to write into it.", folder=folder
        )


class UnderWayError(OptionError, FileExistsError):
    """Another run is under way that will write to the same folder."""

    def __init__(self, folder: Path, told: tuple[int, str, str] | None, file: Path | None) -> None:
        """`file` tells of the run where no lock tells that it still runs."""
        process, host, since = told or ("unknown", "this machine", "a moment ago")
        super().__init__(
            "Another run will write to {folder} (process {process} on {host}, since {since}); wait for it, or give "
            "another folder" + ("." if file is None else "; where it is no more, remove {file}."),
            folder=folder, process=process, host=host, since=since, file=file,
        )  # fmt: skip


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """While a run is under way that will write to the folder: another one is refused at its start, and not at its end.

    A hidden file beside the folder tells of which process, on which machine; it goes with the run. One that a killed
    run has left is no hindrance: the system lets go of its lock, or on a disk without locks, its process is not there
    any more. `UnderWayError` names the run that holds it. Windows, which has no such locks, refuses at the end only.
    """
    if fcntl is None:
        yield
        return
    folder = folder.resolve()
    with ExitStack() as after:
        for missing in reversed([one for one in folder.parents if not one.exists()]):
            missing.mkdir(exist_ok=True)
            after.callback(_remove_empty, missing)
        name = os.fsencode(folder.name)
        told = folder.name if len(name) < LONGEST else hashlib.sha256(name).hexdigest()
        file = folder.parent / f"{ASIDE}running-{told}"
        descriptor = _locked(file, folder)
        after.callback(os.close, descriptor)
        after.callback(file.unlink, missing_ok=True)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps([os.getpid(), socket.gethostname(), now]).encode())
        yield


def _locked(file: Path, folder: Path) -> int:
    """A descriptor of the file that tells of a run, locked."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            told = _told(descriptor)
            locks = _lock(descriptor)
            if locks is False or (locks is None and told is not None and _runs(*told[:2])):
                raise UnderWayError(folder, told, file if locks is None else None)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(file)):  # else its run has just ended
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Whether the file is now locked by this process, and by no other; None on a disk without locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # of a disk that has none
        return None
    return True


def _told(descriptor: int) -> tuple[int, str, str] | None:
    """Process, machine and time that a file tells of; None where it does not."""
    try:
        process, host, since = json.loads(os.pread(descriptor, 1000, 0))
        return int(process), str(host), str(since)
    except (ValueError, TypeError):
        return None


def _runs(process: int, host: str) -> bool:
    """Whether it is a process of this machine, and may be running.

    Of another machine's that cannot be told: a job that was killed there may have been started again here.
    """
    if host != socket.gethostname():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def refuse_taken(folder: Path, *, force: bool = False) -> None:
    """An OSError where a result cannot be written to the folder: a file, not empty and no `force`, or read-only.

    Worth asking before a measurement of hours, too.
    """
    folder = path_of(folder)
    path = nearest(folder)
    if not path.is_dir():
        raise FileExistsError(f"{path} is a file, and the result needs a folder; give another path.")
    refuse_unwritable(folder)
    if not force and _holds_something(folder):
        raise TakenError(folder)


@contextmanager
def written(folder: Path, *, force: bool = False, last: str = "", old: Collection[str] = ()) -> Iterator[Path]:
    """A folder to write files and folders to, which then become those of `folder`, if all went well.

    A new folder appears at once. Into one that is there they move one by one, for it may be a mounted disk: the file
    `last`, without which the folder is no result, goes first and comes last, and those of `old` that are not among the
    new ones go. What has another name is left alone. An OSError names `folder`. `TakenError` where it is not
    empty and there is no `force`, though it was empty before.
    """
    folder = path_of(folder).resolve()
    refuse_taken(folder, force=force)
    home = folder if folder.is_dir() else folder.parent  # aside, but on the same disk
    home.mkdir(parents=True, exist_ok=True)
    aside = home / f"{ASIDE}{uuid.uuid4().hex}"
    try:
        with named(folder):
            aside.mkdir()
            yield aside
            for path in [*aside.rglob("*"), aside]:
                _to_disk(path)
            if not _becomes(aside, folder):
                _move_in(aside, folder, force, last, old)
            _to_disk(home)
    except OSError as error:
        if error.errno is not None and str(error.filename).startswith(str(aside)):
            raise OSError(error.errno, error.strerror, str(folder)) from error
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _holds_something(folder: Path) -> bool:
    """Whether there is more in a folder than what other runs are writing and have not finished."""
    return folder.is_dir() and any(not path.name.startswith(ASIDE) for path in folder.iterdir())


def _becomes(aside: Path, folder: Path) -> bool:
    """Whether the folder could take a name that was free until now."""
    if folder.is_dir():
        return False
    try:
        os.replace(aside, folder)  # refused by the system where another run's folder came first
    except OSError as error:
        if error.errno in (EEXIST, ENOTEMPTY) or folder.is_dir():
            return False
        raise
    return True


def _move_in(aside: Path, folder: Path, force: bool, last: str, old: Collection[str]) -> None:
    """Our files to the place of the old ones; until all are there, the folder is no result."""
    names = sorted((path.name for path in aside.iterdir()), key=lambda name: (name == last, name))
    with _alone_in(folder):
        if not force:
            _claim(folder, [name for name in names if (aside / name).is_file()])
        taken = {path.name for path in folder.iterdir()} if force else set()
        for name in {*old, last} - {""}:
            if name == last or name not in names or (folder / name).is_dir():
                _remove(folder / name)
        try:
            for name in names:
                os.replace(aside / name, folder / name)
        except BaseException:
            for name in set(names) - taken:
                _remove(folder / name)
            raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _claim(folder: Path, names: Sequence[str]) -> None:
    """Take the place of the first file. `TakenError` where another run was there first."""
    if _holds_something(folder):
        raise TakenError(folder)
    try:
        for name in names[:1]:
            (folder / name).touch(exist_ok=False)  # which one run alone can do, where no lock can be had
    except FileExistsError:
        raise TakenError(folder) from None


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """While other runs that would move files into the folder wait, where the system can have them wait."""
    descriptor = None
    if fcntl is not None:
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _to_disk(path: Path) -> None:
    """Wait until a file or folder is on the disk, so that no loss of power leaves a whole name on half a file."""
    if path.is_dir() and os.name == "nt":
        return  # which opens no folders
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
