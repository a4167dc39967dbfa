"""Runs that are killed or stopped go on from their checkpoint with the same scores; one of others is refused."""

import os
import re
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

import equiscope as es
from equiscope.measurement.checkpoint import Checkpoint
from equiscope.system.processes import Processes
from terminal import equiscope, network_file, pictures
from test_laws import EVERYTHING, LAYERS, assert_same, random_images, random_network

SCORING = es.Scoring(scopes=("dataset", "image"), intervals=False)
MEMORY = 5e-5  # GiB, so that there are several passes


class Stop(Exception):
    pass


class Stopping:
    """A progress that stops the run after so many images."""

    def __init__(self, after):
        self.after, self.done = after, 0

    def advance(self, images):
        self.done += images
        if self.done >= self.after:
            raise Stop


def measured(*, images=None, model=None, progress=None, scoring=SCORING, layers=LAYERS, **run):
    images = random_images() if images is None else images
    return es.measure(
        model or random_network(), images, EVERYTHING, layers=layers, scoring=scoring, run=es.Run(**run),
        batch_size=10, progress=progress,
    )  # fmt: skip


def stopped(file, after, **given):
    with pytest.raises(Stop):
        measured(checkpoint=file, checkpoint_every=0, progress=Stopping(after), **given)
    assert file.exists()


@pytest.fixture(scope="module")
def plain():
    return measured()


@pytest.mark.parametrize(("memory", "after"), [(None, 6), (None, 17), (None, 30), (MEMORY, 17), (MEMORY, 44)])
def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path, plain, memory, after):
    stopped(tmp_path / "state", after, memory=memory)
    resumed = measured(checkpoint=tmp_path / "state", resume=True, memory=memory)
    passes = resumed.manifest["accumulators"]["passes"]
    assert passes > 1 if memory else passes == 1
    assert resumed.manifest["resumed_in_pass"] == 1 + (after > 30)
    assert after - 8 < resumed.manifest["resumed_at"] + 30 * (after > 30) < after
    assert not (tmp_path / "state").exists()
    assert_same(resumed, plain)


@pytest.mark.filterwarnings("ignore:.*the edge of the search")
def test_registered_centres_are_kept_in_a_checkpoint(tmp_path):
    """The first images, that were registered on, stay left out of the scores."""
    scoring = es.Scoring(alignment="registered", registration_images=8, intervals=False)
    options = {"scoring": scoring, "layers": "1", "memory": 3.5e-5}
    plain = measured(**options)
    for after, number in ((20, 1), (48, 2)):  # images registered on, then of the first pass, then of the second
        stopped(tmp_path / "state", after, **options)
        resumed = measured(checkpoint=tmp_path / "state", resume=True, **options)
        assert resumed.manifest["resumed_in_pass"] == number and resumed.manifest["images"] == 22
        assert_same(resumed, plain)


def test_resumed_features_of_any_size_have_the_scale_of_the_first_images(tmp_path):
    """What the scale is found from must not be the images at which the run was stopped."""
    large = random_network()
    large[0].weight.data *= 1e12
    faint = random_images() * torch.logspace(0, -6, 30)[:, None, None, None]  # the later, the smaller
    stopped(tmp_path / "state", 15, model=large, images=faint, layers="1")
    resumed = measured(checkpoint=tmp_path / "state", resume=True, model=large, images=faint, layers="1")
    assert_same(resumed, measured(model=large, images=faint, layers="1"))


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    file = tmp_path / "state"
    stopped(file, 20)
    changed = random_images()
    changed[-1] = changed[0]
    others = [
        {"scoring": es.Scoring(scopes=("dataset", "image"), intervals=False, negative="keep")},
        {"layers": ["1", "2"]},
        {"memory": MEMORY},
        {"images": random_images() + 1},
        {"images": changed},  # the last image alone
        {"model": random_network(4)},
    ]
    for other in others:
        with pytest.raises(ValueError, match="or with other options, weights or data"):
            measured(checkpoint=file, resume=True, **other)
    kept = measured(checkpoint=file, resume=True, keep_checkpoint=True)
    assert kept.manifest["resumed_at"] is not None and file.exists()
    begun_anew = measured(checkpoint=file)  # without resume=True
    assert begun_anew.manifest["resumed_at"] is None and not file.exists()


def test_a_network_that_does_other_things_with_the_same_modules_is_refused(tmp_path):
    class Network(nn.Module):
        def __init__(self, act):
            super().__init__()
            torch.manual_seed(0)
            self.act, self.conv = act, nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, images):
            return self.act(self.conv(images))

    stopped(tmp_path / "state", 20, model=Network(torch.relu), layers="conv")
    given = {"checkpoint": tmp_path / "state", "resume": True, "layers": "conv"}
    with pytest.raises(ValueError, match="made with another network, or with other options, weights or data"):
        measured(model=Network(torch.tanh), **given)
    assert measured(model=Network(torch.relu), **given).manifest["resumed_at"] > 0


def test_transformations_of_ones_own_are_told_apart_by_what_they_do(tmp_path):
    turn, half, _ = es.rotations().transformations

    def measure(on_pixels, on_positions, progress=None, *, resume):
        own = es.Transformation("own", on_pixels, on_positions)
        run = es.Run(checkpoint=tmp_path / "state", checkpoint_every=0, resume=resume)
        return es.measure(random_network(), random_images(), own, layers="1", run=run, batch_size=4, progress=progress)

    with pytest.raises(Stop):
        measure(turn.on_pixels, turn.on_positions, Stopping(10), resume=False)
    for other in ((half.on_pixels, turn.on_positions), (turn.on_pixels, half.on_positions)):
        with pytest.raises(ValueError, match="or with other options, weights or data"):
            measure(*other, resume=True)
    assert measure(turn.on_pixels, turn.on_positions, resume=True).manifest["resumed_at"] > 0


class OfGrids:
    """A sampling of one's own, whose `repr` is where it lies in memory."""

    def __init__(self, sampling):
        self.sampling = sampling

    def __getattr__(self, name):
        return getattr(self.sampling, name)

    @property
    def window(self):
        return OfGrids(self.sampling.window)

    def expected(self, maps):
        return self.sampling.expected(maps)

    def found(self, maps):
        return self.sampling.found(maps)


def test_a_sampling_without_a_representation_goes_on_and_one_of_other_parameters_does_not(tmp_path):
    turn, half, _ = es.rotations().transformations

    def measure(of, progress=None, *, resume):
        own = es.Transformation("own", turn.on_pixels, lambda *size: OfGrids(of.on_positions(*size)))
        run = es.Run(checkpoint=tmp_path / "state", checkpoint_every=0, resume=resume)
        return es.measure(random_network(), random_images(), own, layers="1", run=run, batch_size=4, progress=progress)

    with pytest.raises(Stop):
        measure(turn, Stopping(10), resume=False)
    with pytest.raises(ValueError, match="or with other options, weights or data"):
        measure(half, resume=True)
    assert measure(turn, resume=True).manifest["resumed_at"] > 0


def test_images_of_a_data_set_that_have_changed_are_refused(tmp_path):
    """A Dataset is not gone over to make a fingerprint: what was measured is read again when a run goes on."""
    images = random_images(250)

    def source(images):
        return torch.utils.data.TensorDataset(images, torch.zeros(len(images)))

    stopped(tmp_path / "state", 130, images=source(images), layers="1")
    for place in (40, 120):
        changed = images.clone()
        changed[place] = 0
        with pytest.raises(ValueError, match="made with other data: an image measured before is not as it was"):
            measured(checkpoint=tmp_path / "state", resume=True, images=source(changed), layers="1")
    resumed = measured(checkpoint=tmp_path / "state", resume=True, images=source(images.clone()), layers="1")
    assert resumed.manifest["data"] == measured(images=images, layers="1").manifest["data"] | {"kind": "TensorDataset"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"nothing of ours", "cannot be read .*; remove it"),
        (b"", "cannot be read .*; remove it"),
        ([1, 2], "is no checkpoint of this version of equiscope; remove it"),
        ({"format": 1}, "is no checkpoint of this version of equiscope; remove it"),
        ({"format": 2, "version": "0.0.1"}, "was made by equiscope 0.0.1, and this is .*; remove it to start anew"),
    ],
    ids=str,
)
def test_what_is_no_checkpoint_of_ours_is_refused(tmp_path, content, words):
    file = tmp_path / "state"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(ValueError, match=words):
        measured(checkpoint=file, resume=True, layers="1")


def test_where_no_checkpoint_can_be_written_a_run_does_not_begin(tmp_path):
    with pytest.raises(OSError, match="/proc cannot be written to"):
        measured(checkpoint="/proc/state")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="folder is a folder; give a file"):
        measured(checkpoint=tmp_path / "folder")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="would lie in .*file, which is a file"):
        measured(checkpoint=tmp_path / "file" / "state")


def test_a_run_goes_on_where_its_state_cannot_be_saved(tmp_path, monkeypatch):
    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.warns(UserWarning, match="could not be saved to .*state .*the measurement goes on"):
        scores = measured(checkpoint=tmp_path / "state", checkpoint_every=0, layers="1")
    assert scores.manifest["images"] == 30


def test_a_checkpoint_of_another_number_of_processes_is_refused(tmp_path):
    (tmp_path / "state.1-of-3").touch()
    with pytest.raises(ValueError, match="that of 3 processes, and there is 1 now"):
        measured(checkpoint=tmp_path / "state", resume=True)
    (tmp_path / "state.1-of-3").rename(tmp_path / "state")
    checkpoint = Checkpoint(tmp_path / "state", "", Processes(1, 2))
    assert checkpoint.file.name == "state.1-of-2"
    with pytest.raises(ValueError, match="that of 1 process, and there are 2 now"):
        checkpoint.load()


def test_it_is_saved_when_it_is_due_and_announced_once_with_its_size(tmp_path, monkeypatch):
    now, told = [100.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    checkpoint = Checkpoint(
        tmp_path / "in" / "state", "this", Processes(), every=60, announce=told.append, _begun=100.0
    )
    for after, done, saved in ((0, 1, None), (61, 2, {"done": 2}), (30, 3, {"done": 2}), (31, 4, {"done": 4})):
        now[0] += after
        checkpoint.save_if_due(lambda done=done: {"done": done}, None)
        assert checkpoint.load() == saved
    (sentence,) = told
    assert re.fullmatch(r"The running state is kept in .*in/state \([\d.]+ KiB\), .* removed at the end\.", sentence)
    checkpoint.remove()
    assert not (tmp_path / "in" / "state").exists()


@pytest.mark.parametrize(
    ("seconds", "done", "saved"),
    [
        (200, 0.5, False),  # 400 s in all
        (200, 0.2, True),  # 1000 s
        (899, 1.0, False),
        (600, None, False),  # of images whose number is not known: as long as it has taken
        (901, None, True),
        (100, 0.01, False),  # not yet due
    ],
)
def test_where_it_was_not_asked_for_only_a_long_run_is_saved(tmp_path, monkeypatch, seconds, done, saved):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    checkpoint = Checkpoint(tmp_path / "state", "this", Processes(), longer=900, _begun=0.0)
    now[0] = seconds
    checkpoint.save_if_due(dict, done)
    assert (tmp_path / "state").exists() == saved


def test_a_short_run_leaves_no_trace_and_a_long_one_tells_where_it_is_kept(tmp_path, monkeypatch, capsys):
    measured(
        checkpoint=tmp_path / "state", checkpoint_every=0, checkpoint_if_longer=15, keep_checkpoint=True, layers="1"
    )
    assert not list(tmp_path.iterdir())
    at, place = tmp_path / "state", tmp_path
    monkeypatch.setenv("KEPT", str(place))
    run = es.Run(checkpoint="$KEPT/state", checkpoint_every=0, keep_checkpoint=True)
    es.measure(random_network(), random_images(10), es.flips(), layers="1", run=run, progress=True)
    assert at.exists()
    assert capsys.readouterr().err.count(f"The running state is kept in {at} (") == 1


def test_killed_it_goes_on_and_ends_with_the_same_scores(tmp_path, monkeypatch):
    """By SIGKILL, at any time after its state was first saved."""
    monkeypatch.chdir(tmp_path)
    network_file(tmp_path / "code").rename("net.py")
    pictures(tmp_path / "pictures", good=40)
    asked = ["measure", "net.py:small", "--images", "pictures", "--size", "32", "--layers", "0", "--batch-size", "8"]
    kept = [*asked, "--checkpoint-every", "0", "--resume", "--output", "killed", "--quiet"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "equiscope", *kept], env=environment, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed.checkpoint"
    try:
        while process.poll() is None and not checkpoint.exists():
            time.sleep(0.002)
    finally:
        process.kill()
        process.wait()
    assert checkpoint.exists() and not (tmp_path / "killed").exists()
    reached = torch.load(checkpoint, weights_only=True)["state"]["counted"]
    assert equiscope(*kept).status == equiscope(*asked, "--output", "plain", "--quiet").status == 0
    killed, plain = es.load("killed"), es.load("plain")
    assert_same(killed, plain)
    assert killed.manifest["resumed_at"] == reached < killed.manifest["images"] == 40
    assert plain.manifest["resumed_at"] is None and not checkpoint.exists()
    assert "is done" in equiscope(*kept).err
    refused = equiscope(*kept, "--no-intervals")
    assert refused.status == 2 and "other options, weights or data" in refused.err


def test_a_run_without_a_network_of_its_own_state_keeps_nothing(tmp_path):
    file = tmp_path / "state"
    es.measure(
        nn.Identity(), random_images(10), es.flips(), run=es.Run(checkpoint=file, checkpoint_every=0), layers="**"
    )
    assert not list(tmp_path.iterdir())
