"""A folder of results is whole or absent, and a result is never lost to another run."""

import os
import socket
import subprocess
import sys
from errno import ENOLCK, ENOSPC

import pytest

from equiscope.system import output_folder
from equiscope.system.output_folder import TakenError, UnderWayError, claimed, refuse_taken, written


def names(folder):
    return {file.name for file in folder.iterdir()}


@pytest.mark.parametrize("there", [False, True])
def test_files_move_in_together(tmp_path, there):
    folder = tmp_path / "deep" / "out"
    if there:
        folder.mkdir(parents=True)
        (folder / "a").write_text("old")
        (folder / "other").touch()
        (folder / "stale").touch()
    with written(folder, force=there, old=("stale", "b")) as aside:
        (aside / "a").write_text("new")
        assert folder.exists() == there and (not there or (folder / "a").read_text() == "old")
    assert (folder / "a").read_text() == "new"
    assert names(folder) == {"a"} | ({"other"} if there else set())
    assert names(folder.parent) == {"out"}


@pytest.mark.parametrize("empty", [False, True])  # an empty folder may be a mounted disk, and is not replaced
@pytest.mark.parametrize("locks", [False, True])
def test_of_two_runs_into_one_folder_the_later_one_is_refused(tmp_path, monkeypatch, empty, locks):
    if not locks:
        monkeypatch.setattr(output_folder, "fcntl", None)
    folder = tmp_path / "out"
    if empty:
        folder.mkdir()
    with pytest.raises(TakenError, match="exists and is not empty"), written(folder) as later:
        (later / "a").write_text("later")
        with written(folder) as first:
            (first / "a").write_text("first")
            (first / "b").touch()
    assert names(folder) == {"a", "b"} and (folder / "a").read_text() == "first" and names(tmp_path) == {"out"}


def test_a_file_that_comes_between_looking_and_moving_decides(tmp_path, monkeypatch):
    """As on a disk that knows no locks."""
    (tmp_path / "out").mkdir()
    looked = output_folder._holds_something

    def meanwhile(folder):
        found = looked(folder)
        if any(path.name.startswith(".equiscope-") for path in folder.iterdir()):
            (folder / "a").write_text("first")
        return found

    monkeypatch.setattr(output_folder, "_holds_something", meanwhile)
    with pytest.raises(TakenError), written(tmp_path / "out") as aside:
        (aside / "a").write_text("later")
    assert (tmp_path / "out" / "a").read_text() == "first"


def test_of_many_runs_at_once_one_result_is_whole(tmp_path):
    code = (
        "import sys; from pathlib import Path; from equiscope.system.output_folder import TakenError, written\n"
        "try:\n"
        "    with written(Path('out'), force=sys.argv[2] == 'force', last='z') as aside:\n"
        "        for name in 'abcz': (aside / name).write_text(sys.argv[1])\n"
        "        sys.stdin.read()\n"
        "except TakenError: sys.exit(2)"
    )
    for force, folder in (("no", tmp_path / "new"), ("no", tmp_path / "there"), ("force", tmp_path / "forced")):
        folder.mkdir()
        if folder.name != "new":
            (folder / "out").mkdir()
        runs = [
            subprocess.Popen([sys.executable, "-c", code, str(number), force], stdin=subprocess.PIPE, cwd=folder)
            for number in range(4)
        ]
        for run in runs:
            run.stdin.close()  # all go on together
        status = sorted(run.wait() for run in runs)
        assert status == ([0] * 4 if force == "force" else [0, 2, 2, 2])
        assert names(folder / "out") == set("abcz")
        assert len({(folder / "out" / name).read_text() for name in "abcz"}) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")])
def test_nothing_is_left_where_it_fails(tmp_path, error):
    with pytest.raises(type(error)), written(tmp_path / "out") as aside:
        (aside / "a").touch()
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", [None, "a"])
def test_a_disk_that_is_full_names_the_folder(tmp_path, file):
    with pytest.raises(OSError) as refusal, written(tmp_path / "out") as aside:
        raise OSError(ENOSPC, os.strerror(ENOSPC), *([str(aside / file)] if file else []))
    assert (refusal.value.errno, refusal.value.filename) == (ENOSPC, str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_another_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as refusal, written(tmp_path / "out"):
        (tmp_path / "nothing").read_text()
    assert refusal.value.filename == str(tmp_path / "nothing")


def test_a_folder_of_files_is_refused_unless_forced(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="exists and is not empty; give another folder, or force=True") as refusal:
        refuse_taken(tmp_path)
    assert refusal.value.on_command_line().endswith("give another folder, or --force to write into it.")
    with pytest.raises(FileExistsError, match="is a file"):
        refuse_taken(tmp_path / "file" / "out", force=True)
    refuse_taken(tmp_path, force=True)
    refuse_taken(tmp_path / "new")


def test_a_run_that_is_under_way_is_named_and_leaves_nothing(tmp_path):
    folder = tmp_path / "new" / "deep" / "out"
    told = rf"Another run will write to {folder} .process {os.getpid()} on .*, since 20.*; wait for it"
    for _ in range(2):  # the second after the first has ended
        with claimed(folder):
            with pytest.raises(UnderWayError, match=told), claimed(folder):
                pass
            with claimed(folder.parent / "other"):
                pass
        assert names(tmp_path) == set()
    with claimed(folder), written(folder) as aside:
        (aside / "a").touch()
    assert names(folder.parent) == {"out"}


def test_a_name_may_be_as_long_as_the_disk_takes(tmp_path):
    folder = tmp_path / ("n" * 250)
    with claimed(folder), pytest.raises(UnderWayError), claimed(folder):
        pass
    with written(folder) as aside:
        (aside / "a").touch()
    assert names(folder) == {"a"} and names(tmp_path) == {folder.name}


def test_what_a_killed_run_left_is_no_hindrance(tmp_path):
    code = "import sys; from pathlib import Path; from equiscope.system.output_folder import claimed\n" \
        "with claimed(Path('out')): print(flush=True); sys.stdin.read()"  # fmt: skip
    run = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
    run.stdout.readline()
    with pytest.raises(UnderWayError, match=f"process {run.pid} on"), claimed(tmp_path / "out"):
        pass
    run.kill()
    run.communicate()
    assert len(names(tmp_path)) == 1
    with claimed(tmp_path / "out"):
        pass
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("left", "refused"),
    [
        (f'[{os.getpid()}, "{socket.gethostname()}", "now"]', True),
        (f'[4194305, "{socket.gethostname()}", "then"]', False),  # beyond the largest number of a process
        ('[1, "elsewhere", "then"]', False),
        ("", False),
        ('{"a": 1}', False),
    ],
    ids=["this process", "none any more", "another host's", "nothing", "no list"],
)
def test_on_a_disk_without_locks_the_process_decides(tmp_path, monkeypatch, left, refused):
    monkeypatch.setattr(output_folder.fcntl, "flock", lambda *given: (_ for _ in ()).throw(OSError(ENOLCK, "none")))
    file = tmp_path / ".equiscope-running-out"
    file.write_text(left)
    if not refused:
        with claimed(tmp_path / "out"):
            assert str(os.getpid()) in file.read_text()
        assert names(tmp_path) == set()
        return
    with pytest.raises(UnderWayError, match=f"where it is no more, remove {file}"), claimed(tmp_path / "out"):
        pass
    assert file.read_text() == left
