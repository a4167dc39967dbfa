"""Hard use: hostile files, full and read-only disks, Ctrl-C at any time, and names of whatever characters."""

import io
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch

import equiscope as es
from equiscope.networks.loading import load_network
from terminal import equiscope, network_file, pictures

SMALL = ("net.py:small", "--images", "pictures", "--size", "32", "--layers", "0", "--quiet")
CANARY = Path("code of the file ran")


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """A folder with networks and pictures, to be in."""
    monkeypatch.chdir(tmp_path)
    network_file(tmp_path / "code").rename(tmp_path / "net.py")
    (tmp_path / "code").rmdir()
    pictures(tmp_path / "pictures", good=3)
    return tmp_path


def told(answer, status=2):
    """The only sentence on the error output."""
    assert answer.status == status and answer.out == "", answer
    (sentence,) = [line for line in answer.err.splitlines() if not line.startswith("Note: ")]
    assert sentence.startswith("Error: ") and "Traceback" not in sentence
    return sentence


# --- hostile files


class Hostile:
    """What makes a folder when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, (str(CANARY),))


def in_tar(file):
    """As PyTorch saved before 0.1.10."""
    with tarfile.open(file, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            member, content = tarfile.TarInfo(name), pickle.dumps(Hostile(), 2)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def beside_weights(file):
    torch.save({"state_dict": load_network("net.py:small").model.state_dict(), "optimizer": Hostile()}, file)


HOSTILE = {
    "zip.pth": lambda file: torch.save({"0.weight": Hostile()}, file),
    "legacy.pt": lambda file: torch.save({"0.weight": Hostile()}, file, _use_new_zipfile_serialization=False),
    "tar.pth": in_tar,
    "plain.bin": lambda file: file.write_bytes(pickle.dumps(Hostile(), 5)),
    "beside.pth": beside_weights,
    "renamed.safetensors": lambda file: torch.save({"0.weight": Hostile()}, file),
}


def test_the_canary_sings(inside):
    pickle.loads(pickle.dumps(Hostile()))
    assert CANARY.exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_no_code_of_weights_runs(inside, name):
    HOSTILE[name](inside / name)
    sentence = told(equiscope("measure", *SMALL, "--weights", name, "--output", "out"))
    assert name in sentence and ("refused" in sentence or "cannot be read" in sentence)
    assert not CANARY.exists() and not Path("out").exists()


def test_no_code_of_a_checkpoint_runs(inside):
    torch.save({"format": 2, "fingerprint": "", "state": Hostile()}, "out.checkpoint")
    sentence = told(equiscope("measure", *SMALL, "--output", "out", "--resume"))
    assert "out.checkpoint cannot be read" in sentence and "remove it" in sentence
    assert not CANARY.exists() and not Path("out").exists()


def hostile_table(file):
    """A table whose type is a pickle, as Arrow once restored it."""
    kind = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": pickle.dumps(Hostile())}
    parquet.write_table(
        pa.table([pa.array([1, 2])], schema=pa.schema([pa.field("image", pa.int64(), True, kind)])), file
    )


def test_no_code_of_a_data_set_or_a_result_runs(inside):
    Path("data").mkdir()
    hostile_table("data/a.parquet")
    assert "no column of images" in told(equiscope("measure", *SMALL, "--images", "data", "--output", "out"))
    Path("data/data.py").write_text(f"import os\nos.mkdir({str(CANARY)!r})\n")  # a loading script, as hubs once had
    told(equiscope("measure", *SMALL, "--images", "data", "--output", "out"))
    assert not CANARY.exists() and not Path("out").exists()
    assert equiscope("measure", *SMALL, "--output", "out").status == 0
    hostile_table("out/channels.parquet")
    with pytest.raises(ValueError, match="out is not all of a result: channels.parquet has no column"):
        es.load("out")
    assert not CANARY.exists()


def test_no_code_of_a_folder_of_transformers_runs(inside):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=32, patch_size=16
    )
    told_of = config.to_dict() | {"auto_map": {"AutoModel": "evil.Evil"}, "architectures": ["ViTModel"]}
    Path("vit").mkdir()
    Path("vit/config.json").write_text(json.dumps(told_of))
    Path("vit/evil.py").write_text(f"import os\nos.mkdir({str(CANARY)!r})\n")
    torch.save({"x": Hostile()}, "vit/pytorch_model.bin")
    sentence = told(equiscope("measure", "transformers:vit", *SMALL[1:5], "--quiet", "--output", "out"))
    assert "the weights of transformers:vit are refused, as restoring them could run code" in sentence
    assert not CANARY.exists() and not Path("out").exists()


# --- disks


@contextmanager
def disk(place, options):
    """A small disk of its own, where this may be mounted."""
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
@pytest.mark.parametrize("size", ["4k", "44k", "160k"])  # full at the first table, among them, at the figure
def test_a_full_disk_is_told_and_nothing_is_left(inside, size):
    with disk(inside / "disk", f"size={size}"):
        sentence = told(equiscope("measure", *SMALL, "--output", "disk/out"))
        assert "disk/out cannot be read or written (No space left on device)" in sentence
        assert os.listdir("disk") == []


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_disk_full_of_checkpoints_logs_and_figures_is_told(inside):
    assert equiscope("measure", *SMALL, "--output", "one").status == 0
    with disk(inside / "disk", "size=8k"):
        sentence = told(equiscope("measure", *SMALL, "--output", "disk/out", "--checkpoint-every", "0"))
        assert "disk/out cannot be read or written (No space left on device)" in sentence
        assert os.listdir("disk") == []
        sentence = told(equiscope("measure", *SMALL, "--output", "out", "--log", "tensorboard:disk/logs"))
        assert "disk/logs cannot be read or written (No space left on device)" in sentence
        assert os.listdir("disk") == [] and es.load("out").manifest["images"] == 3  # which was written before
        sentence = told(equiscope("compare", "one", "out", "--output", "disk/two"))
        assert "disk/two cannot be read or written (No space left on device)" in sentence
        assert os.listdir("disk") == []


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_read_only_folder_is_told_before_anything_is_measured(inside, monkeypatch):
    monkeypatch.setattr(es, "measure", lambda *given, **named: pytest.fail("it was measured"))
    with disk(inside / "disk", "ro"):
        sentence = told(equiscope("measure", *SMALL, "--output", "disk/out"))
        assert "disk cannot be written to (Read-only file system); give another folder" in sentence


# --- Ctrl-C


SLOW = """
import time
from pathlib import Path
import pandas
from net import small

def writing():
    write = pandas.DataFrame.to_parquet
    def slow(*given, **named):
        write(*given, **named)
        Path("marker").touch()
        time.sleep(60)
    pandas.DataFrame.to_parquet = slow
    return small()
"""

INTERRUPTED = """
from torch import nn
from net import small

class Interrupted(nn.Sequential):
    passes = 0  # over whole batches: within the third comes Ctrl-C

    def forward(self, images):
        if len(images) == 4 and not images.is_meta and float(images.abs().sum()):
            self.passes += 1
            if self.passes == 3:
                raise KeyboardInterrupt
        return super().forward(images)

def measuring():
    return Interrupted(small())
"""


def test_ctrl_c_while_a_result_is_written_leaves_no_half(inside):
    Path("slow.py").write_text(SLOW)
    before = {path.name for path in inside.iterdir()}
    command = [sys.executable, "-m", "equiscope", "measure", "slow.py:writing", *SMALL[1:], "--output", "out"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # jobs in the background start without Ctrl-C
    )  # fmt: skip
    try:
        until = time.monotonic() + 300
        while not Path("marker").exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out, err) == (130, "", "Error: interrupted, and nothing was written.\n")
    left = {path.name for path in inside.iterdir()} - before
    assert left <= {"marker", "__pycache__"}


def test_ctrl_c_while_images_are_measured_names_the_checkpoint_if_there_is_one(inside):
    Path("interrupted.py").write_text(INTERRUPTED)
    command = ("measure", "interrupted.py:measuring", *SMALL[1:], "--batch-size", "4", "--output", "out")
    early = equiscope(*command)
    assert (early.status, early.err) == (130, "Error: interrupted, and nothing was written.\n")
    assert not list(inside.glob("out*"))
    later = equiscope(*command, "--checkpoint-every", "0")
    assert later.err == (
        "Error: interrupted, and no result was written; the same command with --resume goes on from "
        f"{inside / 'out.checkpoint'}.\n"
    )
    assert [path.name for path in inside.glob("out*")] == ["out.checkpoint"]


# --- names


ODD = "<img src=x onerror=alert(1)> & \"it's\" 'so'"


def test_names_of_any_characters_arrive_and_are_text_in_the_report(inside):
    code = Path(os.fsdecode(b'my code \xff <b> & "it\'s".py'))
    code.write_text(
        f"from torch import nn\nODD = {ODD!r}.replace('.', '')\n"
        "def build():\n    network = nn.Sequential()\n"
        "    network.add_module(ODD, type('<script>alert(2)</script>', (nn.Conv2d,), {})(3, 4, 3))\n"
        "    network.add_module('größe 日本 🦊 \\u202e', nn.ReLU())\n    return network\n"
    )
    folder = Path("pictures ünï 🦊 'q' \"d\" <i>")
    pictures(folder, good=2, broken=["\u202egnp.exe.png", f"{ODD}.png".replace("/", ""), "line\nbreak.png"])
    (folder / os.fsdecode(b"not text \xff.png")).write_text("no picture")
    output = Path("out <u> 日本 🦊") / os.fsdecode(b"\xfe")
    command = ["measure", f"{code}:build", "--images", folder, "--size", "32", "--output", output]
    answer = equiscope(*command)
    assert answer.status == 0, answer.err
    assert all(text in answer.err for text in (r"line\nbreak.png", r"\u202egnp.exe.png", r"not text \xff.png"))
    same = shutil.copytree(output, output.parent / "same")
    compared = equiscope("compare", output, same, "--output", os.fsdecode(b"both \xff"))
    assert compared.status == 0, compared.err
    scores = es.load(output)
    assert list(scores.layers["layer"]) == [ODD.replace(".", ""), "größe 日本 🦊 \u202e"]
    assert len(scores.manifest["images_left_out"]) == 4
    assert equiscope(*command, "--force", "--quiet").status == 0
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "<img src=x" not in page
    page = re.sub(r"<script\b[^>]*>.*?</script>", "", page, flags=re.DOTALL)  # ours, which hold no markup of names
    for name in ("<script", "code <b>", '"d" <i>', "out <u>"):
        assert name not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert scores.layers["type"][0] == "<script>alert(2)</script>"
