"""Two processes that share a measurement give what one gives; what only several can do wrong is told."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import equiscope as es
from equiscope.images.preprocessing import Preprocessing
from equiscope.system.processes import Processes, launched
from terminal import pictures
from test_laws import EVERYTHING, LAYERS, assert_same, random_images, random_network

# What both processes do, one after the other; the first saves what comes of it.
PROGRAM = """
import sys
import warnings
from pathlib import Path

folder = Path(sys.argv[1])
sys.path.insert(0, sys.argv[2])
warnings.filterwarnings("ignore", message=".*the edge of the search")

def threads():
    return {task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")}

alone = threads()
from equiscope.system.processes import launched

with launched("cpu"):
    import torch
    import torch.distributed as dist
    import equiscope as es
    from equiscope.commands.main import main
    from equiscope.measurement.checkpoint import Checkpoint
    from test_processes import OPTIONS, STOPPED, refused, shared

    rank = dist.get_rank()

    def keep(name, scores):
        if rank == 0:
            scores.save(folder / name)

    for name in OPTIONS:
        keep(name, shared(name, folder, distributed=True))

    class Stop(Exception):
        pass

    save = Checkpoint.save_if_due

    def save_and_stop(self, state, done):  # the last state of the second process is of the first pass
        if rank == 0 or state()["pass"] == 0:
            save(self, state, done)
        if state()["pass"] == 1:
            raise Stop

    Checkpoint.save_if_due = save_and_stop
    kept = {"checkpoint": folder / "state", "checkpoint_every": 0, "distributed": True}
    try:
        shared(STOPPED, folder, **kept)
        raise SystemExit("it was not stopped")
    except Stop:
        pass
    state = torch.load(folder / f"state.{rank}-of-2", weights_only=True)["state"]
    assert state["pass"] == 1 - rank, state["pass"]
    dist.barrier()
    Checkpoint.save_if_due = save
    resumed = shared(STOPPED, folder, **kept, resume=True)
    assert resumed.manifest["resumed_in_pass"] == 2
    keep("resumed", resumed)
    dist.barrier()
    assert not list(folder.glob("state*"))
    for images, words in refused(rank):
        try:
            es.measure(torch.nn.Identity(), images, run=es.Run(distributed=True), layers="**")
        except ValueError as error:
            assert words in str(error), error
        else:
            raise SystemExit(f"{images} were shared")

    sys.argv = ["equiscope", "measure", "cifar-resnet20", "--weights", "random", "--images", str(folder / "pictures"),
                "--output", str(folder / "out"), "--quiet"]
    inside = dist.destroy_process_group, dist.init_process_group  # of the one group that there is
    dist.destroy_process_group = dist.init_process_group = lambda *given, **named: None
    assert main() == 0
    dist.destroy_process_group, dist.init_process_group = inside
    if Path("/proc/self/task").is_dir():
        assert any("gloo" in thread for thread in threads() - alone), threads()
assert not any("gloo" in thread for thread in threads()), threads()
"""

BOTH = ("dataset", "image")
OPTIONS = {
    "plain": {"scoring": es.Scoring(scopes=BOTH), "families": es.shift(1, 2)},
    "registered": {
        "scoring": es.Scoring(
            alignment="registered", registration_images=9, measures=("linear", "invariance", "alone_equivariance")
        ),
        "layers": ["1", "2"],
        "families": es.Family("turns", (es.rotation(90), es.rotation(30))),
    },
    "several passes": {"scoring": es.Scoring(scopes=BOTH, intervals=False), "memory": 5e-5},
    "hardly any images": {"scoring": es.Scoring(), "images": 1},  # of which one process has none
    "some unreadable": {  # among those registered on, and in the share of each process
        "scoring": es.Scoring(scopes=BOTH, alignment="registered", registration_images=12),
        "layers": ["1", "2"],
        "families": es.rotations().transformations[0],
        "pictures": "some broken",
    },
}
STOPPED = "several passes"
BROKEN = [f"broken{number}.png" for number in range(9)]


def shared(name, folder, **run):
    """A measurement, by one process or several."""
    options = {"families": EVERYTHING, "layers": LAYERS, "images": 33, "pictures": None} | OPTIONS[name]
    images = random_images(options["images"])
    if options["pictures"] is not None:
        preprocessing = Preprocessing(size=(8, 8), mean=(0.4, 0.5, 0.6), std=(0.3, 0.2, 0.1))
        images = es.open_images(folder / options["pictures"], preprocessing, batch=7)
    elif options["images"] == 33:  # the two processes see features of other means, and of other sizes
        places = torch.linspace(0, 1, 33)[:, None, None, None]
        images = images * (0.5 + 1.5 * places) + places
    return es.measure(
        random_network(), images, options["families"], layers=options["layers"], scoring=options["scoring"],
        batch_size=12, run=es.Run(memory=options.get("memory"), **run),
    )  # fmt: skip


class Loader:
    """A loader of someone's own, which gives each process its part, and whose length is its batches."""

    def __init__(self, rank):
        self.rank = rank

    def __len__(self):
        return 2

    def __iter__(self):
        return iter(random_images(64).split(16)[self.rank :: 2])


def refused(rank):
    """Images that processes cannot share, for each has a part of its own already, or they can be read once only."""
    images = TensorDataset(random_images(64))
    parts = DistributedSampler(images, num_replicas=2, rank=rank, shuffle=False)
    return [
        (iter([random_images()]), "distributed=True needs images that can be gone over again"),
        (Loader(rank), "distributed=True needs images whose number is known"),
        (DataLoader(images, batch_size=16, sampler=parts), "distributed=True needs images that can be gone over again"),
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes left in a folder."""
    folder = tmp_path_factory.mktemp("shared")
    pictures(folder / "pictures", 12, ["broken.png"])
    pictures(folder / "some broken", 33, BROKEN)
    (folder / "program.py").write_text(PROGRAM)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    tests = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    group = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    group |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": tests}
    run = [sys.executable, "program.py", ".", tests.partition(os.pathsep)[0]]
    both = [
        subprocess.Popen(run, cwd=folder, env=os.environ | group | {"RANK": rank, "LOCAL_RANK": rank}, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for rank in "01"
    ]  # fmt: skip
    try:
        told = [process.communicate(timeout=500)[0] for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], "\n".join(told)
    (folder / "told").write_text(told[0] + told[1])
    return folder


@pytest.mark.filterwarnings("ignore:.*the edge of the search")
@pytest.mark.parametrize("name", OPTIONS)
def test_two_processes_give_the_scores_of_one(folder, name):
    one, two = shared(name, folder), es.load(folder / name)
    assert two.manifest["processes"] == 2
    scored = {"registered": 24, "some unreadable": 21, "hardly any images": 1}.get(name, 33)
    assert two.manifest["images"] == one.manifest["images"] == scored
    for told in ("counts", "images_left_out", "remarks"):
        assert two.manifest[told] == one.manifest[told]
    assert one.manifest["data"]["fingerprint_in_order"] == two.manifest["data"]["fingerprint_in_order"]
    assert_same(two, one)


def test_images_that_cannot_be_read_are_in_every_share(folder):
    images = es.open_images(folder / "some broken", Preprocessing(size=(8, 8), mean=(0.0,), std=(1.0,)))
    list(images)
    left_out = sorted(images.outcomes.losses()[0])
    registered = images.outcomes.tried_for(12)
    second = registered + Processes(1, 2).share(42 - registered)[0]
    assert left_out[0] < registered and any(registered < place < second for place in left_out) and left_out[-1] > second
    manifest = es.load(folder / "some unreadable").manifest
    assert {one["image"] for one in manifest["images_left_out"]} == set(BROKEN)
    assert manifest["counts"] == {"given": 42, "read": 33, "left_out": 9, "registered_on": 12, "scored": 21}


def test_processes_that_were_stopped_in_different_passes_go_on_together(folder):
    assert_same(es.load(folder / "resumed"), es.load(folder / STOPPED))


def test_the_command_line_counts_what_all_processes_left_out_and_says_it_once(folder):
    manifest = es.load(folder / "out").manifest
    assert manifest["processes"] == 2 and [one["image"] for one in manifest["images_left_out"]] == ["broken.png"]
    assert manifest["counts"] == {"given": 13, "read": 12, "left_out": 1, "registered_on": 0, "scored": 12}
    assert [one for one in manifest["remarks"] if one.startswith("1 of 13 images could not be read")]


def test_one_accelerator_is_not_for_all_processes(monkeypatch):
    for name, value in {"LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="device='cuda:0' is one for all processes .* give cuda"), launched("cuda:0"):
        pass


def test_alone_there_is_nothing_to_share():
    with launched("cpu") as device:
        assert device == "cpu" and not torch.distributed.is_initialized()
    alone = Processes()
    assert alone.share(10) == (0, 10) and alone.gathered("x") == ["x"] and alone.told_by(0, "x") == "x"
    with pytest.raises(ValueError, match="needs torch.distributed.init_process_group"):
        Processes.here()


@pytest.mark.parametrize(("images", "count"), [(10, 3), (3, 4), (0, 2), (300_000, 7)])
def test_every_image_is_one_processs(images, count):
    shares = [Processes(rank, count).share(images) for rank in range(count)]
    assert [image for first, last in shares for image in range(first, last)] == list(range(images))
