"""A folder that a command writes is whole or absent."""

import os
from errno import ENOSPC

import pytest

from equiscope.commands.output_folder import moved_into, refuse_taken


@pytest.mark.parametrize("there", [False, True])
def test_files_move_in_together(tmp_path, there):
    folder = tmp_path / "deep" / "out"
    if there:
        folder.mkdir(parents=True)
        (folder / "a").write_text("old")
        (folder / "other").touch()
    with moved_into(folder) as aside:
        (aside / "a").write_text("new")
        assert folder.exists() == there and (not there or (folder / "a").read_text() == "old")
    assert (folder / "a").read_text() == "new"
    assert {file.name for file in folder.iterdir()} == {"a"} | ({"other"} if there else set())
    assert [file.name for file in folder.parent.iterdir()] == ["out"]


def test_a_folder_made_meanwhile_takes_the_files_too(tmp_path):
    with moved_into(tmp_path / "out") as aside:
        (aside / "a").touch()
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "b").touch()
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"a", "b"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")])
def test_nothing_is_left_where_it_fails(tmp_path, error):
    with pytest.raises(type(error)), moved_into(tmp_path / "out") as aside:
        (aside / "a").touch()
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", [None, "a"])
def test_a_disk_that_is_full_names_the_folder(tmp_path, file):
    with pytest.raises(OSError) as refusal, moved_into(tmp_path / "out") as aside:
        raise OSError(ENOSPC, os.strerror(ENOSPC), *([str(aside / file)] if file else []))
    assert (refusal.value.errno, refusal.value.filename) == (ENOSPC, str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_another_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as refusal, moved_into(tmp_path / "out"):
        (tmp_path / "nothing").read_text()
    assert refusal.value.filename == str(tmp_path / "nothing")


def test_a_folder_of_files_is_refused_unless_forced(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match=r"exists and is not empty; give another --output, or --force to write"):
        refuse_taken(tmp_path, force=False)
    with pytest.raises(FileExistsError, match="is a file"):
        refuse_taken(tmp_path / "file" / "out", force=True)
    refuse_taken(tmp_path, force=True)
    refuse_taken(tmp_path / "new", force=False)
