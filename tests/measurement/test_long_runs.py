"""Memory within bounds, several processes, and runs that are killed: the scores stay those of one plain run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import equiscope as es
from equiscope.networks.cifar_resnet import cifar_resnet
from equiscope.system.processes import launched
from terminal import pictures

FAMILIES = [es.rotations(), es.shifts([1, 3])]
KEYS = ["layer", "transformation", "measure", "scope", "alignment"]
TOLERANCE = 2e-6


class Stop(Exception):
    pass


class Stopping:
    """A progress that stops the run after more than so many images."""

    def __init__(self, after):
        self.after, self.done = after, 0

    def advance(self, images):
        self.done += images
        if self.done > self.after:
            raise Stop


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return cifar_resnet(8).eval()


@pytest.fixture(scope="module")
def images():
    noise = torch.randn(47, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.avg_pool2d(noise, 3, 1, 1)


def assert_same(found, expected, *, intervals=True):
    for table, keys in (("scores", KEYS), ("parts", ["part", *KEYS[1:]]), ("channels", None), ("layers", None)):
        one, other = getattr(found, table), getattr(expected, table)
        if keys:
            one, other = (table.sort_values(keys).reset_index(drop=True) for table in (one, other))
        assert list(one.columns) == list(other.columns) and len(one) == len(other)
        for column in one:
            if not intervals and ("low" in column or "high" in column):
                continue
            if column == "partner":  # of two within float noise, either
                continue
            if pd.api.types.is_numeric_dtype(one[column]):
                np.testing.assert_allclose(
                    one[column].to_numpy(float), other[column].to_numpy(float), atol=TOLERANCE, rtol=0, err_msg=column
                )
            else:
                assert one[column].equals(other[column]), column


@pytest.mark.filterwarnings("ignore:.*the edge of the search")
@pytest.mark.parametrize("alignment", ["array", "registered"])
def test_little_memory_takes_fewer_groups_then_several_passes_and_gives_the_same_scores(network, images, alignment):
    options = {"transformations": FAMILIES, "batch_size": 24, "alignment": alignment, "registration_images": 8}
    plain = es.measure(network, images, **options)
    sums = plain.manifest["sums"]
    assert sums["passes"] == 1 and sums["groups"] == 10
    lean = es.measure(network, images, **options, memory=0.6 * sums["bytes"] / 2**30)
    assert lean.manifest["sums"] == {"bytes": sums["bytes"] // 23 * 13, "groups": 5, "passes": 1}
    assert_same(lean, plain, intervals=False)
    leaner = es.measure(network, images, **options, memory=0.25 * sums["bytes"] / 2**30)
    assert leaner.manifest["sums"]["passes"] >= 3
    assert leaner.manifest["sums"]["bytes"] <= 0.25 * sums["bytes"]
    assert_same(leaner, lean)
    one_set = es.measure(network, images, **options, memory=0.25 * sums["bytes"] / 2**30, intervals=False)
    assert one_set.manifest["sums"] == {"bytes": sums["bytes"] // 23 * 5, "groups": 1, "passes": 1}


def test_what_memory_cannot_bound_is_told(network, images):
    with pytest.raises(ValueError, match=r"memory=1e-06 GiB is too little: the sums of one transformation alone take"):
        es.measure(network, images, transformations=FAMILIES, memory=1e-6)
    with pytest.raises(ValueError, match="images that can be gone over again in the same order"):
        es.measure(network, iter([images]), transformations=FAMILIES, memory=0.0005)
    with pytest.raises(ValueError, match="memory=-1 must be GiB"):
        es.measure(network, images, transformations=FAMILIES, memory=-1)


def test_the_blocks_of_a_large_network_within_two_gib():
    """ResNeXt-101's blocks under eight shifts would take 13 GiB."""
    import torchvision

    network = torchvision.models.resnext101_32x8d(weights=None).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    options = {"transformations": es.shifts([1, 2, 3, 4, 5, 6, 7, 8]), "layers": ["layer*.*"], "chance": False}
    budget = es.estimate(network, images, **options | {"layers": "layer1.0"}, memory=2).budget
    assert len(budget.passes) == 1
    scores = es.measure(network, images, **options, memory=2)
    assert scores.manifest["sums"]["bytes"] <= 2 * 2**30
    assert scores.manifest["sums"]["passes"] > 1
    assert len(scores.scores) == 33 * 9 * 4


PEAK = """
import resource, sys, torch, equiscope as es
from equiscope.networks.cifar_resnet import cifar_resnet
images = torch.randn(1, 3, 16, 16).expand(int(sys.argv[1]), -1, -1, -1)
es.measure(cifar_resnet(8), images, transformations=[es.rotations(), es.shifts([1, 3])], batch_size=60)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_memory_is_flat_in_the_number_of_images():
    def peak(count):
        run = subprocess.run(
            [sys.executable, "-c", PEAK, str(count)], check=True, env=environment(), capture_output=True
        )
        return int(run.stdout)

    assert peak(1800) - peak(900) < 40 * 2**20


def command(*arguments, processes=1):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    launcher += ["-m", "equiscope"]
    return (launcher if processes > 1 else [sys.executable, "-m", "equiscope"]) + ["measure", *map(str, arguments)]


def in_two_processes(program, folder):
    """Run a program, which is told the folder, in two processes."""
    script = folder / "program.py"
    script.write_text(program)
    launcher = command(processes=2)[:-3]
    run = [*launcher, str(script), str(folder)]
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def environment():
    return os.environ | {"OMP_NUM_THREADS": "1"}


ASKED = ["cifar-resnet20", "--weights", "random", "--transformations", "rotations", "--transformations", "shifts:1,3"]


def test_two_processes_give_the_scores_of_one(tmp_path):
    asked = [*ASKED, "--limit", "45", "--batch-size", "24", "--alignment", "registered", "--registration-images", "8"]
    for folder, processes in (("one", 1), ("two", 2)):
        run = command(*asked, "--output", tmp_path / folder, "--quiet", processes=processes)
        done = subprocess.run(run, env=environment(), timeout=300, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    one, two = es.load(tmp_path / "one"), es.load(tmp_path / "two")
    assert_same(two, one)
    assert two.manifest["processes"] == 2 and two.manifest["images"] == one.manifest["images"] == 37


APART = """
import sys
import torch, torch.distributed as dist
import equiscope as es
from equiscope.measurement.checkpoint import Checkpoint
from equiscope.networks.cifar_resnet import cifar_resnet

class Stop(Exception):
    pass

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
network = cifar_resnet(8).eval()
images = torch.randn(47, 3, 32, 32, generator=torch.Generator().manual_seed(1))
options = {"transformations": [es.rotations(), es.shifts([1, 3])], "batch_size": 12, "intervals": False}
options |= {"memory": 0.0003, "distributed": True}
kept = options | {"checkpoint": sys.argv[1] + "/state", "checkpoint_every": 0}
save = Checkpoint.save_if_due

def save_and_stop(self, state):  # the last state of the second process is of the first pass
    if rank == 0 or state()["pass"] == 0:
        save(self, state)
    if state()["pass"] == 1:
        raise Stop

Checkpoint.save_if_due = save_and_stop
try:
    es.measure(network, images, **kept)
    raise SystemExit("it was not stopped")
except Stop:
    pass
state = torch.load(f"{sys.argv[1]}/state.{rank}-of-2", weights_only=True)["state"]
assert state["pass"] == 1 - rank, state["pass"]
dist.barrier()
Checkpoint.save_if_due = save
resumed = es.measure(network, images, **kept, resume=True)
plain = es.measure(network, images, **options)
if rank == 0:
    assert plain.manifest["sums"]["passes"] > 1 and resumed.manifest["resumed_in_pass"] == 2
    resumed.save(sys.argv[1] + "/resumed")
    plain.save(sys.argv[1] + "/plain")
dist.barrier()
dist.destroy_process_group()
"""


GROUP = """
import sys
from pathlib import Path
from equiscope.system.processes import launched

def threads():
    return {task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")}

alone = threads()
with launched("cpu"):
    import torch
    import equiscope as es
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4)).eval()
    es.measure(network, torch.randn(8, 3, 16, 16), transformations=es.rotations(), distributed=True)
    assert any("gloo" in thread for thread in threads() - alone), threads()
assert not any("gloo" in thread for thread in threads()), threads()
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are listed on Linux only")
def test_no_thread_of_the_group_is_left_to_abort_the_process_at_its_end(tmp_path):
    in_two_processes(GROUP, tmp_path)


def test_processes_that_were_stopped_in_different_passes_go_on_together(tmp_path):
    in_two_processes(APART, tmp_path)
    assert_same(es.load(tmp_path / "resumed"), es.load(tmp_path / "plain"))


def test_a_checkpoint_of_another_number_of_processes_is_refused(network, images, tmp_path):
    (tmp_path / "state.1-of-3").touch()
    options = {"transformations": FAMILIES, "checkpoint": tmp_path / "state", "resume": True}
    with pytest.raises(ValueError, match="that of 3 processes, and there is 1 now"):
        es.measure(network, images, **options)


def test_where_no_checkpoint_can_be_written_a_run_does_not_begin(network, images):
    with pytest.raises(OSError, match="/proc cannot be written to"):
        es.measure(network, images, transformations=FAMILIES, checkpoint="/proc/state")


def test_a_run_goes_on_where_its_state_cannot_be_saved(network, images, tmp_path, monkeypatch):
    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    options = {"transformations": es.shifts([1]), "layers": "conv1", "checkpoint": tmp_path / "state"}
    options |= {"checkpoint_every": 0}
    with pytest.warns(UserWarning, match="could not be saved to .*state .*the measurement goes on"):
        scores = es.measure(network, images, **options, keep_checkpoint=True)
    assert scores.manifest["images"] == 47


def test_several_processes_name_the_image_that_cannot_be_read(tmp_path):
    folder = tmp_path / "pictures"
    pictures(folder, 12)
    (folder / "broken.png").write_bytes(b"no image")
    run = command(*ASKED, "--images", folder, "--output", tmp_path / "out", processes=2)
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode != 0 and not (tmp_path / "out").exists()
    assert "broken.png cannot be read" in done.stderr and "measure with one process" in done.stderr


def test_one_accelerator_is_not_for_all_processes(monkeypatch):
    for name, value in {"LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="device='cuda:0' is one for all processes .* give cuda"), launched("cuda:0"):
        pass


def test_features_of_any_size_are_scaled_alike_in_a_run_that_goes_on(network, images, tmp_path):
    """What the scale is found from must not be the images at which the run was stopped."""
    torch.manual_seed(0)
    large = cifar_resnet(8).eval()
    large.conv1.weight.data *= 1e12
    faint = images * torch.logspace(0, -6, len(images))[:, None, None, None]  # the later, the smaller
    options = {"transformations": es.rotations(), "layers": ["conv1"], "batch_size": 24}
    with pytest.raises(Stop):
        es.measure(large, faint, **options, checkpoint=tmp_path / "s", checkpoint_every=0, progress=Stopping(20))
    resumed = es.measure(large, faint, **options, checkpoint=tmp_path / "s", resume=True)
    assert 0 < resumed.manifest["resumed_at"] < 47
    assert_same(resumed, es.measure(large, faint, **options))


def test_distributed_needs_its_group(network, images):
    with pytest.raises(ValueError, match="init_process_group"):
        es.measure(network, images, transformations=FAMILIES, distributed=True)


def test_killed_three_times_it_ends_with_the_same_scores(tmp_path):
    asked = [*ASKED, "--limit", "110", "--batch-size", "24", "--checkpoint-every", "0", "--resume"]
    asked += ["--memory", "0.0007"]  # several passes
    folder = tmp_path / "killed"
    checkpoint = tmp_path / "killed.checkpoint"
    draw = random.Random(time.time_ns())
    taken_over = []
    for _ in range(3):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = subprocess.Popen(command(*asked, "--output", folder), env=environment(), stderr=subprocess.DEVNULL)
        while process.poll() is None and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if folder.exists():  # it was too fast for us
            break
        taken_over.append(torch.load(checkpoint, weights_only=True)["state"]["done"])
    subprocess.run(command(*asked, "--output", folder, "--quiet"), check=True, env=environment(), timeout=300)
    plain = [one for one in asked if one != "--resume"]
    subprocess.run(command(*plain, "--output", tmp_path / "plain", "--quiet"), check=True, env=environment())
    killed, whole = es.load(folder), es.load(tmp_path / "plain")
    assert_same(killed, whole)
    assert killed.manifest["images"] == whole.manifest["images"] == 110
    assert taken_over and killed.manifest["resumed_at"] == taken_over[-1]
    assert whole.manifest["resumed_at"] is None
    assert not checkpoint.exists()
    again = subprocess.run(command(*asked, "--output", folder), env=environment(), capture_output=True, text=True)
    assert again.returncode == 0 and "is done" in again.stderr
    other = [*asked, "--no-chance"]
    refused = subprocess.run(command(*other, "--output", folder), env=environment(), capture_output=True, text=True)
    assert refused.returncode == 2 and "other options, weights or data" in refused.stderr


def test_a_checkpoint_of_something_else_is_refused(network, images, tmp_path):
    file = tmp_path / "state"

    options = {"transformations": FAMILIES, "batch_size": 24, "checkpoint": file, "checkpoint_every": 0}
    with pytest.raises(Stop):
        es.measure(network, images, **options, progress=Stopping(20))
    assert file.exists()
    for changed in ({"negative": "keep"}, {"layers": "layer1.*"}):
        with pytest.raises(ValueError, match="made with other options, weights or data"):
            es.measure(network, images, **options | changed, resume=True)
    with pytest.raises(ValueError, match="other options, weights or data"):
        es.measure(network, images + 1, **options, resume=True)
    with pytest.raises(ValueError, match="other options, weights or data"):  # the last image alone
        es.measure(network, torch.cat([images[:-1], images[:1]]), **options, resume=True)
    with pytest.raises(ValueError, match="other options, weights or data"):
        es.measure(cifar_resnet(8), images, **options, resume=True)
    resumed = es.measure(network, images, **options, resume=True)
    assert resumed.manifest["resumed_at"] == 20 and not file.exists()
    assert_same(resumed, es.measure(network, images, transformations=FAMILIES, batch_size=24))
    file.write_bytes(b"nothing of ours")
    with pytest.raises(ValueError, match="cannot be read"):
        es.measure(network, images, **options, resume=True)
