"""Bad input gets one sentence that says what was given, what is needed and what to do; and nothing is written."""

import os
import pickle
from pathlib import Path

import pytest
import torch

import equiscope as es
from equiscope.models.loading import load_network
from terminal import equiscope, network_file, pictures

SMALL = ("measure", "net.py:small", "--images", "pictures", "--size", "32", "--output", "out")

# What is given, and words of the answer.
CASES = {
    "network unknown": (["measure", "efficientnet-lite9"], ["'efficientnet-lite9'", "nearest", "efficientnet-lite0"]),
    "network of timm unknown": (["measure", "timm:resnet19"], ["timm", "'resnet19'", "nearest", "resnet18"]),
    "network named as in timm": (["measure", "resnet18"], ["'resnet18'", "write timm:resnet18"]),
    "network named by its weights": (["measure", "weights.pth"], ["'weights.pth'", "FILE.py:FUNCTION"]),
    "code absent": (["measure", "nowhere.py:small"], ["no file nowhere.py"]),
    "code without function": (["measure", "net.py"], ["net.py:FUNCTION", "small"]),
    "function absent": (["measure", "net.py:large"], ["no function 'large' in net.py", "small"]),
    "function is none": (["measure", "net.py:not_a_function"], ["no function 'not_a_function'", "small"]),
    "function returns no module": (["measure", "net.py:of_text"], ["net.py:of_text", "type str", "torch.nn.Module"]),
    "package absent": (["measure", "no_package:small"], ["'no_package'", "ModuleNotFoundError"]),
    "network of other channels": (
        ["measure", "net.py:of_grey", "--images", "pictures", "--size", "32"],
        ["fails on images of 3 x 32 x 32", "RuntimeError", "channels"],
    ),
    "network of another size": (
        ["measure", "net.py:of_one_size", "--images", "pictures", "--size", "40"],
        ["fails on images of 3 x 40 x 40", "RuntimeError", "size"],
    ),
    "network returns NaN": (
        ["measure", "net.py:of_nan", *SMALL[2:]],
        ["Layer 2", "NaN", "image 0", "check the network's weights"],
    ),
    "weights absent": ([*SMALL, "--weights", "none.pth"], ["no weights file none.pth", ".safetensors"]),
    "weights named otherwise": ([*SMALL, "--weights", "net.py"], ["net.py is not a file of weights", ".safetensors"]),
    "weights corrupt": ([*SMALL, "--weights", "corrupt.pth"], ["corrupt.pth cannot be read", "damaged"]),
    "weights corrupt, safe": ([*SMALL, "--weights", "corrupt.safetensors"], ["corrupt.safetensors cannot be read"]),
    "weights hostile": (
        [*SMALL, "--weights", "hostile.pth"],
        ["hostile.pth is refused", "mkdir", "could run code", "save the state dict"],
    ),
    "weights hostile, otherwise": ([*SMALL, "--weights", "hostile.bin"], ["hostile.bin cannot be read"]),
    "weights of other shapes": (
        [*SMALL, "--weights", "wide.pth"],
        ["wide.pth", "net.py:small", "another shape", "0.weight", "[4, 3, 5, 5]", "[4, 3, 3, 3]"],
    ),
    "weights of another network": ([*SMALL, "--weights", "other.pth"], ["other.pth", "missing", "unexpected"]),
    "no weights": (["measure", "cifar-resnet20"], ["cifar-resnet20 comes without weights", "--weights FILE"]),
    "images absent": ([*SMALL, "--images", "nowhere"], ["no folder 'nowhere'"]),
    "images are a file": ([*SMALL, "--images", "net.py"], ["'net.py' is a file", "folder"]),
    "images none": ([*SMALL, "--images", "empty"], ["no images in 'empty'", ".png"]),
    "images all broken": ([*SMALL, "--images", "broken"], ["none of the 2 images in broken", "broken0.png"]),
    "images of no such split": ([*SMALL, "--images", "pictures:test"], ["'pictures'", "no split 'test'"]),
    "layer unknown": ([*SMALL, "--layers", "feature"], ["No layer matches 'feature'", "nearest"]),
    "layer glob": (["measure", "net.py:named", *SMALL[2:], "--layers", "blok.*"], ["'blok.*'", "nearest", "block."]),
    "transformation unknown": (
        [*SMALL, "--transformations", "rotation"],
        ["--transformations 'rotation' is not known", "rotations, flips, d4, identity", "shifts:1,2,4,8"],
    ),
    "transformation twice": ([*SMALL, *["--transformations", "flips"] * 2], ["flips is given 2 times"]),
    "shift fractional": ([*SMALL, "--transformations", "shifts:1,2.5"], ["'2.5'", "whole number", "shifts:1,2,4,8"]),
    "shift of no number": ([*SMALL, "--transformations", "shifts:"], ["''", "whole number", "shifts:1,2,4,8"]),
    "shift of three": ([*SMALL, "--transformations", "shifts:1:2:3"], ["'1:2:3'", "DOWN:RIGHT"]),
    "shift twice": ([*SMALL, "--transformations", "shifts:1,2,1"], ["shift(1,1) is given 2 times"]),
    "shift too large": (
        [*SMALL, "--transformations", "shifts:4,0:-32"],
        ["shift(0,-32)", "32 x 32 pixels", "smaller than the image"],
    ),
    "similarity unknown": ([*SMALL, "--similarity", "dot"], ["--similarity 'dot' is not known", "pearson, cosine"]),
    "negative unknown": ([*SMALL, "--negative", "cut"], ["--negative 'cut' is not known", "clip, keep, abs"]),
    "fill unknown": ([*SMALL, "--fill", "black"], ["--fill 'black' is not known", "zero, reflect, wrap"]),
    "alignment": ([*SMALL, "--alignment", "centre"], ["--alignment 'centre'", "array, registered"]),
    "few to register on": ([*SMALL, "--alignment", "registered"], ["at least 16 images"]),
    "layout": ([*SMALL, "--layout", "nhwc"], ["--layout 'nhwc'", "--layout 'blocks.*=tokens:14x14+1'"]),
    "subcell unknown": ([*SMALL, "--subcell", "cubic"], ["--subcell 'cubic' is not known", "linear, exact, round"]),
    "stride malformed": ([*SMALL, "--stride", "2"], ["--stride '2'", "write --stride"]),
    "stride fractional": ([*SMALL, "--stride", "2=1.5"], ["--stride '2=1.5'", "write --stride"]),
    "stride of no layer": ([*SMALL, "--stride", "feature=2"], ["--stride 'feature'", "nearest"]),
    "stride not known": (
        ["measure", "net.py:of_one_size", *SMALL[2:], "--transformations", "shifts:1", "--layers", "grid"],
        ["stride of layer grid (5 x 5 cells)", "--stride 'grid=N'"],
    ),
    "batch size 0": ([*SMALL, "--batch-size", "0"], ["--batch-size 0", "positive whole number"]),
    "limit negative": ([*SMALL, "--limit", "-3"], ["limit is -3", "at least 1"]),
    "limit fractional": ([*SMALL, "--limit", "1.5"], ["--limit", "integer"]),
    "workers negative": ([*SMALL, "--workers", "-1"], ["workers is -1", "at least 0"]),
    "seed negative": ([*SMALL, "--seed", "-1"], ["seed is -1", "between 0 and 4294967295"]),
    "size 0": ([*SMALL, "--size", "0"], ["size is (0, 0)", "at least one pixel"]),
    "mean of two": ([*SMALL, "--mean", ".5,.5"], ["mean has 2 values and std 3", "one value a channel"]),
    "mean of words": ([*SMALL, "--mean", "a,b,c"], ["--mean 'a,b,c'", "write --mean 0.485,0.456,0.406"]),
    "deviation 0": ([*SMALL, "--std", "1,1,0"], ["std is (1.0, 1.0, 0.0)", "positive"]),
    "device absent": ([*SMALL, "--device", "cuda:7"], ["'cuda:7' is not there", "cpu"]),
    "device unknown": ([*SMALL, "--device", "abacus"], ["'abacus' is not there", "cpu"]),
    "output taken": ([*SMALL, "--output", "pictures"], ["pictures exists and is not empty", "--force"]),
    "output a file": ([*SMALL, "--output", "net.py"], ["net.py is a file", "give another path"]),
    "output in a file": ([*SMALL, "--output", "net.py/a/b", "--force"], ["net.py is a file", "give another path"]),
    "option unknown": ([*SMALL, "--layer", "2"], ["No such option: --layer", "--layers"]),
    "command unknown": (["mesure", "net.py:small"], ["No such command 'mesure'", "measure"]),
    "network not given": (["measure"], ["Missing argument 'MODEL'"]),
    "layers of none": (["layers", "net.py:large"], ["no function 'large' in net.py", "small"]),
    "logger unknown": ([*SMALL, "--log", "neptune:mine"], ["--log 'neptune:mine'", "tensorboard:DIR or wandb:PROJECT"]),
    "figure unknown": (["figure", "5"], ["no figure '5'", "2, 3"]),
}  # fmt: skip


class Hostile:
    """What writes a file when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("hostile code ran",))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with networks, weights and images, good and bad."""
    folder = tmp_path_factory.mktemp("place")
    network_file(folder / "code").rename(folder / "net.py")
    (folder / "code").rmdir()
    pictures(folder / "pictures", good=3)
    pictures(folder / "broken", good=0, broken=["broken0.png", "broken1.jpg"])
    (folder / "empty").mkdir()
    own = load_network(f"{folder}/net.py:small").model.state_dict()
    torch.save(own, folder / "weights.pth")
    torch.save(own | {"0.weight": torch.zeros(4, 3, 5, 5)}, folder / "wide.pth")
    torch.save({"conv.weight": torch.zeros(4, 3, 3, 3)}, folder / "other.pth")
    (folder / "corrupt.pth").write_bytes(b"PK\x03\x04 no archive")
    (folder / "corrupt.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00nothing")
    (folder / "hostile.pth").write_bytes(pickle.dumps({"0.weight": Hostile()}, protocol=2))  # as torch writes
    (folder / "hostile.bin").write_bytes(pickle.dumps({"0.weight": Hostile()}, protocol=5))
    return folder


@pytest.fixture(autouse=True)
def inside(place, monkeypatch):
    monkeypatch.chdir(place)


def files(folder):
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize(("arguments", "words"), CASES.values(), ids=CASES)
def test_bad_input_is_told_in_one_sentence(place, arguments, words):
    before = files(place)
    answer = equiscope(*arguments)
    assert (answer.status, answer.out) == (2, "")
    sentences = [line for line in answer.err.splitlines() if not line.startswith("Note: ")]
    assert len(sentences) == 1 and sentences[0].startswith("Error: "), answer.err
    for word in words:
        assert word in sentences[0]
    assert "Traceback" not in answer.err
    assert files(place) == before


def test_not_square_images_under_a_quarter_turn():
    with pytest.raises(ValueError, match=r"^rot90 needs square images, and these are 16 x 24; crop them to 16 x 16\.$"):
        es.measure(torch.nn.ReLU(), torch.rand(2, 3, 16, 24), transformations=es.rotations())


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied"),
        OSError(28, "No space left on device"),
        OSError(30, "Read-only file system"),
    ],
    ids=lambda error: error.strerror,
)
@pytest.mark.parametrize("step", ["mkdir", "write_bytes"])
def test_disk_that_refuses(place, monkeypatch, error, step):
    before = files(place)
    error.filename = "out/something"

    def refuse(path, *given, **named):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Path, step, refuse)
        answer = equiscope(*SMALL, "--layers", "0", "--quiet", "--no-intervals", "--no-chance")
    assert answer == (
        2,
        "",
        f"Error: out/something cannot be read or written ({error.strerror}); give another path, or mend this one.\n",
    )
    assert files(place) == before
