"""Files are whole or absent, and what the system refuses is told with the path."""

import errno
import os
from pathlib import Path

import pytest

from equiscope.system.files import expanded, named, nearest, path_of, refuse_place, refuse_unwritable, remove, replacing


def test_a_file_is_replaced_at_once_or_not_at_all(tmp_path):
    file = tmp_path / "scores [1]"
    for text in ("first", "second"):
        with replacing(file) as aside:
            aside.write_text(text)
            assert not file.exists() or file.read_text() == "first"
    with pytest.raises(ZeroDivisionError), replacing(file) as aside:
        aside.write_text("half")
        raise ZeroDivisionError
    assert file.read_text() == "second" and os.listdir(tmp_path) == [file.name]


@pytest.mark.parametrize(
    ("make", "words"), [(os.mkfifo, "is a device or a pipe, which"), (os.mkdir, "is a folder, and")]
)
def test_only_files_are_replaced(tmp_path, make, words):
    make(tmp_path / "out")
    kind = (tmp_path / "out").stat().st_mode
    with pytest.raises(OSError, match=words), replacing(tmp_path / "out") as aside:
        aside.write_text("a page")
    assert (tmp_path / "out").stat().st_mode == kind and os.listdir(tmp_path) == ["out"]


def test_a_link_stays_and_errors_name_the_file(tmp_path):
    (tmp_path / "link").symlink_to("there")
    with replacing(tmp_path / "link") as aside:
        aside.write_text("a page")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there").read_text() == "a page"
    with pytest.raises(OSError) as told, replacing(tmp_path / "new") as aside:
        raise OSError(errno.EROFS, "Read-only file system", str(aside))
    assert told.value.filename == str(tmp_path / "new")
    with pytest.raises(NotADirectoryError, match="there is a file, and a folder is needed there"):
        refuse_place(tmp_path / "there" / "deep" / "new")


def test_nothing_is_left_of_what_another_process_had_begun(tmp_path):
    for name in ("state", "state.77.part", "state2"):
        (tmp_path / name).touch()
    remove(tmp_path / "state")
    assert os.listdir(tmp_path) == ["state2"]


def test_errors_that_name_no_file_get_the_path(tmp_path):
    file = tmp_path / "out"
    for error in (OSError(errno.ENOSPC, "No space left on device"), RuntimeError("inline_container.cc: write failed")):
        with pytest.raises(OSError) as told, named(file):
            raise error
        assert told.value.filename == str(file) and told.value.strerror
    with pytest.raises(OSError, match="other"), named(file):
        raise OSError(errno.ENOENT, "gone", "other")
    with pytest.raises(RuntimeError, match="of another kind"), named(file):
        raise RuntimeError("of another kind")


def test_what_takes_no_file_is_told_beforehand(tmp_path, monkeypatch):
    assert nearest(tmp_path / "a" / "b") == tmp_path
    refuse_unwritable(tmp_path / "a" / "b")

    def refused(**options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("equiscope.system.files.TemporaryFile", refused)
    with pytest.raises(PermissionError, match=r"cannot be written to \(Permission denied\); give another folder"):
        refuse_unwritable(tmp_path / "a" / "b")
    assert os.listdir(tmp_path) == []


def test_a_path_means_what_its_user_and_variables_stand_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RUN", "first")
    monkeypatch.delenv("NOWHERE", raising=False)
    home = tmp_path
    assert path_of("~/out") == home / "out" and path_of(Path("~", "$RUN")) == home / "first"
    assert path_of("${HOME}/a b/$RUN.pt") == home / "a b" / "first.pt"
    for text in ("$NOWHERE/out", "cost$", "a~b", "owner/name", "~no-such-user-here/out"):
        assert expanded(text) == text
