"""The output folder: what comes back is what was saved, and an interrupted writing leaves nothing that is half."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pytest

import equiscope as es
from equiscope.results.columns import TABLES
from equiscope.results.scores import Scores
from example import assert_contract, example_scores
from example_maps import example_maps

FILES = {f"{table}.parquet" for table in TABLES} | {"manifest.json"}
ROTATED = {"maps.npz", "orbits.parquet"}


@pytest.fixture(scope="module")
def scores() -> Scores:
    """With a constant channel, which has no partner, and without all three rotations."""
    return example_scores(families={"half turns": ["rot180"]}, scopes=("dataset", "image"))


@pytest.fixture(scope="module")
def others() -> Scores:
    """Without intervals, laws and orbits: tables without rows."""
    return example_scores(3, families={"flips": ["hflip"]}, shifts=(), images=5)


@pytest.fixture(scope="module")
def once_saved(tmp_path_factory: pytest.TempPathFactory, scores: Scores) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    scores.save(folder)
    return folder


def assert_equal(found: Scores, saved: Scores) -> None:
    for table in TABLES:
        pd.testing.assert_frame_equal(getattr(found, table), getattr(saved, table), check_exact=True)
    assert found.manifest == {"format": 2} | saved.manifest


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- there and back


@pytest.mark.parametrize("which", ["scores", "others"])
def test_what_is_loaded_is_what_was_saved(tmp_path: Path, request: pytest.FixtureRequest, which: str) -> None:
    saved: Scores = request.getfixturevalue(which)
    saved.save(tmp_path / "a" / "b")
    assert names(tmp_path / "a" / "b") == FILES
    found = es.load(tmp_path / "a" / "b")
    assert_equal(found, saved)
    assert found.channels["partner"].dtype == found.layers["stride_y"].dtype == "Int64"
    assert found.channels["partner"].isna().any() and found.layers["stride_x"].isna().any()
    found.save(tmp_path / "again")
    assert_equal(es.load(str(tmp_path / "again")), saved)


def test_maps_and_orbits_are_there_where_there_are_any_and_go_with_their_result(tmp_path: Path, scores: Scores) -> None:
    rotated = example_scores()
    replace(rotated, maps=example_maps(rotated, images=1)).save(tmp_path)
    assert names(tmp_path) == FILES | ROTATED
    found = es.load(tmp_path)
    assert found.maps is not None and found.maps.images.shape == (1, 48, 48, 3)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "orbits.parquet"), found.orbits)
    scores.save(tmp_path, force=True)
    assert names(tmp_path) == FILES and es.load(tmp_path).maps is None


def test_a_baseline_is_a_result_within_the_result_and_goes_with_it(tmp_path: Path, scores: Scores) -> None:
    other = example_scores(seed=3)
    for _ in range(2):  # into a folder that is there, too
        replace(scores, baseline=other).save(tmp_path / "both", force=True)
        assert names(tmp_path / "both") == FILES | {"baseline"}
        found = es.load(tmp_path / "both")
        assert_equal(found, scores)
        assert found.baseline is not None
        assert_equal(found.baseline, other)
    scores.save(tmp_path / "both", force=True)
    assert names(tmp_path / "both") == FILES and es.load(tmp_path / "both").baseline is None


def test_what_was_drawn_of_an_old_result_goes_with_it(tmp_path: Path, scores: Scores, others: Scores) -> None:
    others.save(tmp_path)
    for name in ("figure.png", "figure.pdf", "report.html", "layers.pdf"):
        (tmp_path / name).write_text("of the others")
    scores.save(tmp_path, force=True)
    assert names(tmp_path) == FILES | {"layers.pdf"}  # which is of no name that the command line writes by itself


# What people do to a table in a notebook before they write it back.
KEYS = ["layer", "transformation", "measure", "scope", "alignment", "subpixel"]
REWORKED = {
    "sorted by score": ("scores", lambda table: table.sort_values("score")),
    "sorted replicates": ("replicates", lambda table: table.sort_values(["score", "replicate"], ascending=False)),
    "sorted layers": ("layers", lambda table: table.sort_values("layer", ascending=False)),
    "reversed parts, renumbered": ("parts", lambda table: table[::-1].reset_index(drop=True)),
    "shuffled channels": ("channels", lambda table: table.sample(frac=1, random_state=0)),
    "keys as index": ("scores", lambda table: table.sort_values("low").set_index(KEYS)),
    "names as categories": ("scores", lambda table: table[::-1].astype({"layer": "category", "measure": "category"})),
    "index of one number": ("replicates", lambda table: table[::-1].set_axis([0] * len(table))),
}


@pytest.mark.parametrize("case", REWORKED)
def test_tables_are_joined_on_their_keys_whatever_the_order_of_their_rows(
    tmp_path: Path, once_saved: Path, scores: Scores, case: str
) -> None:
    folder = shutil.copytree(once_saved, tmp_path / "out")
    name, rework = REWORKED[case]
    changed(name, rework)(folder)
    found = es.load(folder)
    assert_contract(found)
    for by in ("layer", "part"):
        pd.testing.assert_frame_equal(found.table(by=by, scope="image"), scores.table(by=by, scope="image"))
    assert str(found) == str(scores) and found._repr_html_() == scores._repr_html_()
    differences = es.compare({"as it was": es.load(once_saved), "reworked": found}).query("what == 'difference'")
    ends = differences[["score", "low", "high", "explained_low", "explained_high"]].to_numpy()
    assert len(differences) and np.nanmax(np.abs(ends)) == 0 and np.isfinite(ends[:, 0]).any()


def test_the_manifest_is_strict_json(tmp_path: Path, scores: Scores) -> None:
    odd = {
        "size": (np.int64(3), np.float32(0.5)),
        "nothing": [float("nan"), np.nan, -np.inf],
        "array": np.arange(2),
        "yes": np.bool_(True),
        "place": Path("größe") / "日本",
        "bytes in a name": "a\udcff.png",
        3: None,
    }
    replace(scores, manifest=scores.manifest | {"odd": odd}).save(tmp_path / "odd")

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is not JSON")

    text = (tmp_path / "odd" / "manifest.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refuse)["odd"] == {
        "size": [3, 0.5],
        "nothing": [None, None, None],
        "array": [0, 1],
        "yes": True,
        "place": str(Path("größe") / "日本"),
        "bytes in a name": "a\udcff.png",
        "3": None,
    }


# --- what is there already


def test_a_folder_that_is_not_empty_is_refused_and_untouched(tmp_path: Path, scores: Scores) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"exists and is not empty; give another folder, or force=True"):
        scores.save(tmp_path)
    assert names(tmp_path) == {"notes.txt"}


def test_force_replaces_our_files_and_leaves_the_others(tmp_path: Path, scores: Scores, others: Scores) -> None:
    others.save(tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    scores.save(tmp_path / "out", force=True)
    assert_equal(es.load(tmp_path / "out"), scores)
    assert names(tmp_path / "out") == FILES | {"notes.txt"}
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("below", ["", "deeper/still"])
@pytest.mark.parametrize("force", [False, True])
def test_a_file_is_no_folder(tmp_path: Path, scores: Scores, below: str, force: bool) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match=r"file is a file, and the result needs a folder; give another path\.$"):
        scores.save(tmp_path / "file" / below, force=force)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path, scores: Scores) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    scores.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and names(tmp_path / "real") == FILES


# --- interrupted


def disk_is_full(patch: pytest.MonkeyPatch) -> None:
    def fail(table: pd.DataFrame, stream: BinaryIO) -> None:
        stream.write(b"PAR1 half a fi")
        raise OSError(errno.ENOSPC, "stop")

    patch.setattr(pd.DataFrame, "to_parquet", fail)


def killed_while_moving(after: int) -> Callable[[pytest.MonkeyPatch], None]:
    def interrupt(patch: pytest.MonkeyPatch) -> None:
        real, calls = os.replace, []

        def move(source: Path, target: Path) -> None:
            calls.append(target)
            if len(calls) > after:
                raise KeyboardInterrupt("stop")
            real(source, target)

        patch.setattr(os, "replace", move)

    return interrupt


BEFORE_MOVING = [disk_is_full, killed_while_moving(0)]
INTERRUPTIONS = [*BEFORE_MOVING, killed_while_moving(3), killed_while_moving(6)]


@pytest.mark.parametrize("interrupt", BEFORE_MOVING)
def test_an_interrupted_writing_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: Scores, interrupt: Callable[[pytest.MonkeyPatch], None]
) -> None:
    interrupt(monkeypatch)
    with pytest.raises((OSError, KeyboardInterrupt), match="stop"):
        scores.save(tmp_path / "out")
    assert names(tmp_path) == set()


@pytest.mark.parametrize("interrupt", INTERRUPTIONS)
def test_an_interrupted_writing_leaves_an_empty_folder_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: Scores, interrupt: Callable[[pytest.MonkeyPatch], None]
) -> None:
    interrupt(monkeypatch)
    with pytest.raises((OSError, KeyboardInterrupt), match="stop"):
        scores.save(tmp_path)
    assert names(tmp_path) == set()


def test_before_anything_moves_the_old_result_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: Scores, others: Scores
) -> None:
    others.save(tmp_path)
    disk_is_full(monkeypatch)
    with pytest.raises(OSError, match="stop"):
        scores.save(tmp_path, force=True)
    assert names(tmp_path) == FILES
    assert_equal(es.load(tmp_path), others)


@pytest.mark.parametrize("after", [0, 3, 6])
def test_two_results_are_never_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: Scores, others: Scores, after: int
) -> None:
    others.save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    killed_while_moving(after)(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        scores.save(tmp_path, force=True)
    assert names(tmp_path) == FILES - {"manifest.json"} | {"notes.txt"}
    for table in TABLES:  # each is whole, the old or the new
        assert len(pd.read_parquet(tmp_path / f"{table}.parquet")) in {
            len(getattr(scores, table)),
            len(getattr(others, table)),
        }
    with pytest.raises(ValueError, match=r"is no result of equiscope: it has no manifest\.json\."):
        es.load(tmp_path)


def test_the_manifest_comes_last_so_that_a_kill_leaves_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: Scores
) -> None:
    real, moved = os.replace, []
    monkeypatch.setattr(os, "replace", lambda source, target: (moved.append(target.name), real(source, target)))
    scores.save(tmp_path)
    assert set(moved) == FILES and moved[-1] == "manifest.json"


# --- what is no result


def damage(name: str, content: bytes | None) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink() if content is None else (folder / name).write_bytes(content)

    return change


def without(*names: str) -> Callable[[Path], None]:
    """The manifest without what lies there."""

    def change(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        for name in names:
            outer, _, inner = name.partition(".")
            del (manifest[outer] if inner else manifest)[inner or outer]
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")

    return change


def with_manifest(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        (folder / "manifest.json").write_text(json.dumps(manifest | values), encoding="utf-8")

    return change


def changed(table: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        path = folder / f"{table}.parquet"
        change(pd.read_parquet(path)).to_parquet(path)

    return write


DAMAGES = {
    "no folder": (lambda folder: folder.rename(folder.parent / "moved"), r"no result of equiscope: there is no such"),
    "no manifest": (damage("manifest.json", None), r"no result of equiscope: it has no manifest\.json\.$"),
    "no JSON": (damage("manifest.json", b'{"format": 2'), r"manifest\.json cannot be read as JSON"),
    "no text": (damage("manifest.json", b"\xff\xfe"), r"manifest\.json cannot be read as JSON"),
    "another's": (damage("manifest.json", b'{"name": "app"}'), r"its manifest\.json names no format\.$"),
    "a list": (damage("manifest.json", b"[1]"), r"its manifest\.json names no format\.$"),
    "newer": (damage("manifest.json", b'{"format": 3}'), r"newer equiscope \(format 3\); update this one\.$"),
    "older": (
        damage("manifest.json", b'{"format": 1}'),
        r"older equiscope \(format 1\), which defined its scores otherwise; measure again\.$",
    ),
    "no network": (without("model"), r"not all of a result: its manifest\.json has no model\.$"),
    "no images, no options": (without("images", "options"), r"its manifest\.json has no images, options\.$"),
    "no families": (without("options.transformations"), r"its manifest\.json has no options\.transformations\.$"),
    "no table": (damage("parts.parquet", None), r"is not all of a result: parts\.parquet is missing\.$"),
    "no laws": (damage("laws.parquet", None), r"is not all of a result: laws\.parquet is missing\.$"),
    "half a table": (damage("layers.parquet", b"PAR1 half"), r"layers\.parquet cannot be read as a table"),
    "an empty table": (damage("scores.parquet", b""), r"scores\.parquet cannot be read as a table"),
    "no column": (
        changed("scores", lambda table: table.drop(columns=["explained", "low"])),
        r"not all of a result: scores\.parquet has no column low, explained\.$",
    ),
    "images in words": (with_manifest(images="many"), r"manifest\.json has 'many' as its number of images\.$"),
    "data in words": (with_manifest(data="photographs"), r"manifest\.json has 'photographs' as its data\.$"),
    "reasons of nothing": (with_manifest(images_left_out=[3]), r"manifest\.json has \[3\] as its images_left_out\.$"),
    "a day that is none": (with_manifest(started="today"), r"manifest\.json has 'today' as its started\.$"),
    "families without members": (
        with_manifest(
            options={
                "transformations": {"flips": []},
                "scopes": [],
                "similarity": "",
                "negative": "",
                "intervals": True,
                "seed": 0,
            }
        ),
        r"manifest\.json has no transformations of the family flips",
    ),
    "no seed": (without("options.seed"), r"manifest\.json has no options\.seed\.$"),
    "a layer without a name": (
        changed("layers", lambda table: table.assign(layer=table["layer"].where(table["index"] > 0))),
        r"layers\.parquet has a row without layer\.$",
    ),
    "scores of words": (
        changed("scores", lambda table: table.assign(score=table["score"].map("{:.2f}".format))),
        r"scores\.parquet has values in its column score that are no numbers\.$",
    ),
    "a measure unknown": (
        changed("parts", lambda table: table.replace("invariance", "variance")),
        r"parts\.parquet has measure 'variance', and it is one of invariance, ",
    ),
    "the best scores alone": (
        changed("scores", lambda table: table[table["score"] > table["score"].median()]),
        r"scores\.parquet has (no row of|rows of \d+ of the \d+ layers of) ",
    ),
    "a layer less": (
        changed("scores", lambda table: table[table["layer"] != "pool"]),
        r"scores\.parquet has no row of layer pool\.$",
    ),
    "one score less": (
        changed("scores", lambda table: table.drop(table[table["transformations"] > 0].index[3])),
        r"scores\.parquet has (no row of|rows of \d+ of the \d+ layers of) ",
    ),
    "a layer that is not known": (
        changed("layers", lambda table: table[table["layer"] != "final"]),
        r"layers\.parquet has no row of layer final, and scores\.parquet has\.$",
    ),
    "some channels": (
        changed("channels", lambda table: table.drop(table.index[5])),
        r"channels\.parquet has \d of the \d channels of layer layer1, transformation rot180, scope dataset",
    ),
    "channels without their transformation": (
        changed("channels", lambda table: table[table["transformation"] != "rot180"]),
        r"channels\.parquet has no row of layer layer1, transformation rot180, scope dataset, alignment array\.$",
    ),
    "a part less": (
        changed("parts", lambda table: table[table["part"] != "early"]),
        r"parts\.parquet has no row of part early, transformation ",
    ),
    "replicates of some": (
        changed("replicates", lambda table: table.head(25)),
        r"replicates\.parquet has (no row|\d+ of the \d+ (rows|images)) of layer ",
    ),
    "a replicate less": (
        changed("replicates", lambda table: table.drop(table[table["scope"] == "dataset"].index[3])),
        r"replicates\.parquet has 9 of the 10 rows of layer layer1, ",
    ),
    "an image less": (
        changed(
            "replicates",
            lambda table: table.drop(table[table["measure"].eq("invariance") & table["scope"].eq("image")].index[3]),
        ),
        r"replicates\.parquet has 23 of the 24 images of layer layer1, ",
    ),
    "a row twice": (
        changed("parts", lambda table: pd.concat([table, table.tail(1)])),
        r"parts\.parquet has two rows of part final, transformation shifts, measure .*; each must be there once\.$",
    ),
    "a replicate twice": (
        changed("replicates", lambda table: table.assign(replicate=0)),
        r"replicates\.parquet has two rows of layer layer1, .*, replicate 0; each must be there once\.$",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_what_is_no_result_is_refused_in_one_sentence(tmp_path: Path, once_saved: Path, case: str) -> None:
    saved = shutil.copytree(once_saved, tmp_path / "out")
    change, message = DAMAGES[case]
    change(saved)
    with pytest.raises(ValueError, match=message) as refusal:
        es.load(saved)
    assert "\n" not in str(refusal.value)
