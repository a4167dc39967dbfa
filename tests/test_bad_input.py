"""Bad input gets one sentence that says what was given, what is needed and what to do; and nothing is written."""

import json
import os
import pickle
import shutil
import struct
import warnings
import zipfile
from pathlib import Path
from types import LambdaType

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import equiscope as es
from equiscope.functional.sampling import identity
from equiscope.networks.loading import load_network
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
    "shift of words": ([*SMALL, "--transformations", "shifts:1,two"], ["'two' is not known", "shifts with"]),
    "shift of no number": ([*SMALL, "--transformations", "shifts:"], ["''", "number of pixels", "shifts:1,2,4,8"]),
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
    "subpixel unknown": ([*SMALL, "--subpixel", "cubic"], ["--subpixel 'cubic' is not known", "linear, exact, round"]),
    "measure unknown": (
        [*SMALL, "--measures", "invariance,variance"],
        ["--measures 'variance' is not known", "invariance, equivariance, linear, strict_invariance"],
    ),
    "measure of no name": ([*SMALL, "--measure", ""], ["--measures '' is not known"]),
    "measure not of cosine": ([*SMALL, "--measure", "linear", "--similarity", "cosine"], ["linear needs --similarity"]),
    "scope unknown": ([*SMALL, "--scope", "layer"], ["--scopes 'layer' is not known", "dataset, image"]),
    "registration images few": ([*SMALL, "--registration-images", "3"], ["--registration-images 3", "at least 8"]),
    "maps negative": ([*SMALL, "--maps", "-1"], ["--maps -1"]),
    "stride malformed": ([*SMALL, "--stride", "2"], ["--stride '2'", "write --stride"]),
    "stride of words": ([*SMALL, "--stride", "2=half"], ["--stride '2=half'", "write --stride"]),
    "stride of no layer": ([*SMALL, "--stride", "feature=2"], ["--stride 'feature'", "nearest"]),
    "stride not known": (
        ["measure", "net.py:of_one_size", *SMALL[2:], "--transformations", "shifts:1", "--layers", "grid"],
        ["stride of layer grid (5 x 5 positions)", "--stride 'grid="],
    ),
    "batch size 0": ([*SMALL, "--batch-size", "0"], ["--batch-size 0", "positive number of images"]),
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
    "code that does not parse": (["measure", "syntax.py:small"], ["importing syntax.py", "SyntaxError"]),
    "code that ends the program": (["measure", "ends.py:small"], ["importing ends.py", "SystemExit"]),
    "network fails": (["measure", "broken.py:fails", *SMALL[2:]], ["fails on images of 3 x 32 x 32", "a line"]),
    "network ends the program": (["measure", "broken.py:exits", *SMALL[2:]], ["ended the program (SystemExit: 7)"]),
    "network of TorchScript": (["measure", "broken.py:scripted", *SMALL[2:]], ["TorchScript", "torch.nn.Module"]),
    "layers of TorchScript": (["layers", "broken.py:scripted"], ["TorchScript", "torch.nn.Module"]),
    "network without values": (["measure", "broken.py:on_meta", *SMALL[2:]], ["0.weight", "meta device", "load"]),
    "network without shapes": (["measure", "broken.py:lazy", *SMALL[2:]], ["0.weight", "first image", "beforehand"]),
    "network that takes arguments": (["measure", "broken.py:asks"], ["TypeError", "must run without arguments"]),
    "transformers folder of something else": (["measure", "transformers:empty"], ["configuration of 'empty'"]),
    "weights of no bytes": ([*SMALL, "--weights", "w/none.pth"], ["w/none.pth cannot be read", "damaged"]),
    "weights a folder": ([*SMALL, "--weights", "w/folder.pth"], ["folder w/folder.pth holds no weights"]),
    "weights a list": ([*SMALL, "--weights", "w/list.pth"], ["no state dict, but list", "model.state_dict()"]),
    "weights of nothing": ([*SMALL, "--weights", "w/empty.pth"], ["no state dict", "model.state_dict()"]),
    "weights named by numbers": ([*SMALL, "--weights", "w/numbers.pth"], ["names a tensor 0", "no text"]),
    "weights sparse": ([*SMALL, "--weights", "w/sparse.pth"], ["0.bias", "sparse tensor", "dense"]),
    "weights complex": ([*SMALL, "--weights", "w/complex.pth"], ["0.weight", "complex64", "real numbers"]),
    "weights a whole network": ([*SMALL, "--weights", "w/whole.pth"], ["w/whole.pth is refused", "Sequential"]),
    "weights TorchScript": ([*SMALL, "--weights", "w/script.pt"], ["w/script.pt is refused", "TorchScript"]),
    "weights that unpack": ([*SMALL, "--weights", "w/bomb.pth"], ["w/bomb.pth is refused", "unpacks to 64 MiB"]),
    "weights of a huge header": ([*SMALL, "--weights", "w/header.safetensors"], ["cannot be read", "header"]),
    "weights beyond the file": ([*SMALL, "--weights", "w/beyond.safetensors"], ["cannot be read", "damaged"]),
    "weights NaN": ([*SMALL, "--weights", "w/nan.pth"], ["Layer 0 gives NaN", "check the network's weights"]),
    "images of no such column": ([*SMALL, "--column", "image"], ["--column 'image' is not there", "no columns"]),
    "image cut off": ([*SMALL, "--images", "i/cut"], ["none of the 1 images", "photo.jpg", "truncated"]),
    "image of no bytes": ([*SMALL, "--images", "i/zero"], ["none of the 1 images", "zero.png: it is empty"]),
    "image a link to nothing": ([*SMALL, "--images", "i/link"], ["none of the 1 images", "No such file"]),
    "image a bomb": ([*SMALL, "--images", "i/bomb"], ["none of the 1 images", "decompression bomb"]),
    "data set of no bytes": ([*SMALL, "--images", "i/no bytes"], ["i/no bytes/", "cannot be read", "Parquet"]),
    "data set broken": ([*SMALL, "--images", "i/half"], ["i/half/", "cannot be read", "Parquet"]),
    "data set without images": ([*SMALL, "--images", "i/numbers"], ["no column of images", "number (Value)"]),
    "data set of empty rows": ([*SMALL, "--images", "i/nothing"], ["none of the 2 images", "no image in it"]),
    "data set not on the hub": ([*SMALL, "--images", "nobody/no-such-set"], ["'nobody/no-such-set'", "check its name"]),
    "mean NaN": ([*SMALL, "--mean", "nan,0,0"], ["mean is (nan, 0.0, 0.0)", "finite"]),
    "deviation infinite": ([*SMALL, "--std", "inf,1,1"], ["std is (inf, 1.0, 1.0)", "finite"]),
    "memory NaN": ([*SMALL, "--memory", "nan"], ["--memory nan", "greater than 0"]),
    "memory too little": ([*SMALL, "--memory", "1e-9"], ["--memory 1e-09 GiB is too little", "allow more"]),
    "checkpoints never": ([*SMALL, "--checkpoint-every", "nan"], ["--checkpoint-every nan", "seconds"]),
    "precision unknown": ([*SMALL, "--precision", "int8"], ["--precision 'int8'", "float32, bfloat16"]),
    "limit 0": ([*SMALL, "--limit", "0"], ["limit is 0", "at least 1"]),
    "seed of words": ([*SMALL, "--seed", "one"], ["--seed", "integer"]),
    "stride 0": ([*SMALL, "--stride", "0=0"], ["stride of layer '0' is 0", "a number of pixels above 0"]),
    "layout unknown": ([*SMALL, "--layout", "0=hwc"], ["Layout 'hwc' is not known", "nchw, nhwc"]),
    "device of shapes only": ([*SMALL, "--device", "meta"], ["'meta' is not there"]),
    "output in no file system": ([*SMALL, "--output", "/proc/out"], ["/proc", "cannot be written to"]),
    "logger's folder a file": ([*SMALL, "--log", "tensorboard:net.py/logs"], ["in a file", "give another path"]),
    "result absent": (["compare", "nowhere"], ["nowhere is no result of equiscope", "no such folder"]),
    "result in a folder named like an option": (
        ["compare", "runs/limit=200"],
        ["runs/limit=200 is no result", "no such folder"],
    ),
    "result of something else": (["compare", "pictures"], ["pictures is no result of equiscope", "manifest.json"]),
    "study unknown": (["study", "sizes"], ["no study 'sizes'", "data, augmentation, capacity, architecture"]),
    "study's value unknown": (["study", "data", "--set", "rate=1"], ["There is no value 'rate'", "learning_rate"]),
    "study's data absent": (["study", "data", "--data", "nowhere"], ["nowhere/mnist", "give --data DIR"]),
    "option unknown": ([*SMALL, "--layr", "2"], ["No such option: --layr", "--layer"]),
    "command unknown": (["mesure", "net.py:small"], ["No such command 'mesure'", "measure"]),
    "network not given": (["measure"], ["Missing argument 'MODEL'"]),
    "layers of none": (["layers", "net.py:large"], ["no function 'large' in net.py", "small"]),
    "logger unknown": ([*SMALL, "--log", "neptune:mine"], ["--log 'neptune:mine'", "tensorboard:DIR or wandb:PROJECT"]),
    "figure unknown": (["figure", "5"], ["no figure '5'", "2, 3"]),
}  # fmt: skip


BROKEN = """
import sys
import warnings
import torch
from torch import nn
from net import small

class Broken(nn.Module):
    def __init__(self, ends):
        super().__init__()
        self.conv, self.ends = nn.Conv2d(3, 4, 3), ends

    def forward(self, images):
        if self.ends:
            sys.exit(7)
        raise RuntimeError("a line\\nand another")

def fails(): return Broken(ends=False)
def exits(): return Broken(ends=True)
def scripted():
    with warnings.catch_warnings(action="ignore"):
        return torch.jit.trace(small(), torch.zeros(2, 3, 32, 32))

def on_meta(): return nn.Sequential(nn.Conv2d(3, 4, 3, device="meta"), nn.ReLU())
def lazy(): return nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU())
def asks(size): return small()
"""


class Hostile:
    """What makes a folder when it is unpickled."""

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
    (folder / "broken.py").write_text(BROKEN)
    (folder / "syntax.py").write_text("def small(:\n")
    (folder / "ends.py").write_text("import sys\nsys.exit(5)\n")
    bad_weights(folder / "w", load_network(f"{folder}/net.py:small").model)
    bad_images(folder / "i")
    return folder


def bad_weights(folder, model):
    folder.mkdir()
    own = model.state_dict()
    for name, content in {
        "list": [1, 2], "empty": {}, "numbers": dict(enumerate(own.values())), "whole": model,
        "sparse": own | {"0.bias": own["0.bias"].to_sparse()}, "nan": own | {"0.weight": own["0.weight"] * torch.nan},
        "complex": {name: tensor.to(torch.complex64) for name, tensor in own.items()},
    }.items():  # fmt: skip
        torch.save(content, folder / f"{name}.pth")
    with warnings.catch_warnings(action="ignore"):  # TorchScript is of yesterday
        torch.jit.save(torch.jit.trace(model, torch.zeros(2, 3, 32, 32)), folder / "script.pt")
    (folder / "none.pth").touch()
    (folder / "folder.pth").mkdir()
    with zipfile.ZipFile(folder / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**26))
    header = json.dumps({"0.weight": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}).encode()
    (folder / "beyond.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    (folder / "header.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")


def bad_images(folder):
    for name in ("cut", "zero", "link", "bomb", "no bytes", "half", "numbers", "nothing"):
        (folder / name).mkdir(parents=True)
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    photo.save(folder / "cut" / "photo.jpg")
    whole = (folder / "cut" / "photo.jpg").read_bytes()
    (folder / "cut" / "photo.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "zero" / "zero.png").touch()
    (folder / "link" / "link.png").symlink_to("nowhere.png")
    Image.new("1", (20_000, 20_000)).save(folder / "bomb" / "bomb.png")
    (folder / "no bytes" / "a.parquet").touch()
    (folder / "half" / "a.parquet").write_bytes(b"PAR1 half PAR1")
    datasets.Dataset.from_dict({"number": [1, 2]}).to_parquet(folder / "numbers" / "a.parquet")
    kind = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict({"image": [None, None]}, features=kind).to_parquet(folder / "nothing" / "a.parquet")


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


X = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
TURN = es.rotations().transformations[0]


def own(name="own", pixels=lambda images: images, positions=lambda height, width, stride: identity(height, width)):
    """A transformation of the user's own."""
    return es.Transformation(name, pixels, positions)


def crop(**options):
    """What fails when the shifts are made, and what fails when they are measured."""
    return {"transformations": lambda: es.shifts([1], **options)}


class Items(torch.utils.data.Dataset):
    """A Dataset of whatever a function gives."""

    def __init__(self, item):
        self.item = item

    def __len__(self):
        return 3

    def __getitem__(self, place):
        return self.item(place)


class Changing(nn.Module):
    """What gives maps of another size for some images."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images):
        maps = self.conv(images)
        return maps[..., :-1] if float(images.sum()) else maps


# What is given to `measure` in place of a network, six images and rotations, and words of the answer.
LIBRARY = {
    "network a function": ({"model": torch.relu}, ["torch.nn.Module", "type builtin_function_or_method"]),
    "network a class": ({"model": nn.ReLU}, ["torch.nn.Module", "the class ReLU"]),
    "network its weights": ({"model": {}}, ["torch.nn.Module", "type dict"]),
    "network of two inputs": ({"model": nn.Bilinear(3, 3, 3)}, ["forward needs input2 besides the images"]),
    "network of changing size": ({"model": nn.Sequential(Changing())}, ["Layer 0 gave", "14 x 13 positions"]),
    "images none": ({"images": None}, ["Images are a tensor", "type NoneType"]),
    "images a text": ({"images": "photographs"}, ["Images are a tensor", "type str"]),
    "images an array": ({"images": X.numpy()}, ["Images are a tensor", "type ndarray"]),
    "images empty": ({"images": X[:0]}, ["There are no images"]),
    "images without pixels": ({"images": X[..., :0]}, ["16 x 0 pixels"]),
    "images without channels": ({"images": X[:, :0]}, ["0 channels"]),
    "images of three axes": ({"images": X[0]}, ["[image, channel, height, width]", "[3, 16, 16]"]),
    "images of whole numbers": ({"images": X.to(torch.uint8)}, ["floating-point", "torch.uint8"]),
    "images complex": ({"images": X.to(torch.complex64)}, ["floating-point", "torch.complex64"]),
    "images infinite": ({"images": X.masked_fill(X > 3, torch.inf)}, ["NaN, infinity", "for image"]),
    "images of two sizes": ({"images": [X, X[..., :12, :12]]}, ["one size", "image 6", "[3, 12, 12]"]),
    "images of two depths": ({"images": [X, X[:, :1]]}, ["one size", "image 6", "[1, 16, 16]"]),
    "batches of no tensor": ({"images": [["a", "b"]]}, ["A batch of images", "no tensor"]),
    "data set of two sizes": ({"images": Items(lambda place: X[0, :, place:])}, ["Batch 0", "equal size"]),
    "data set fails": ({"images": Items(lambda place: 1 / 0)}, ["Batch 0", "ZeroDivisionError", "mend"]),
    "data set of pairs of images": ({"images": Items(lambda place: (X[0], X[1]))}, ["A batch of images"]),
    "no transformation": ({"transformations": []}, ["No transformation was given", "equiscope.rotations()"]),
    "transformation none": ({"transformations": [None]}, ["None is no transformation"]),
    "transformation a name": ({"transformations": "rotation"}, ["transformations='rotation' is not known", "rot90"]),
    "transformation a number": ({"transformations": [90]}, ["90 is no transformation"]),
    "family empty": ({"transformations": es.Family("none", ())}, ["is no transformation"]),
    "family twice": ({"transformations": [es.flips(), es.flips()]}, ["family flips is given 2 times"]),
    "family holds one twice": ({"transformations": es.Family("f", (TURN, TURN))}, ["The family f holds rot90 2 times"]),
    "family without name": ({"transformations": es.Family("", (TURN,))}, ["named by a text"]),
    "two of one name": ({"transformations": [own("a"), es.Family("f", (own("a"),))]}, ["named 'a'"]),
    "transformation fails": ({"transformations": own(pixels=lambda x: 1 / 0)}, ["own cannot be applied", "division"]),
    "transformation of size": ({"transformations": own(pixels=lambda x: x[..., ::2])}, ["3, 16, 8]", "keep"]),
    "transformation to none": ({"transformations": own(pixels=lambda x: None)}, ["type NoneType", "keep"]),
    "positions fail": ({"transformations": own(positions=lambda *size: 1 / 0)}, ["cannot be measured", "division"]),
    "positions a map": ({"transformations": own(positions=lambda *size: X)}, ["equiscope.Sampling", "got Tensor"]),
    "positions of another map": (
        {"transformations": own(positions=lambda *size: identity(2, 2))},
        ["Under own, layer", "the sampling given is of 2 x 2"],
    ),
    "layers none": ({"layers": []}, ["layers=[] names no layers", "None for its own"]),
    "layers a number": ({"layers": 3}, ["layers=3 names no layers"]),
    "layers numbers": ({"layers": [3]}, ["layers=[3] names no layers"]),
    "strides a list": ({"layers": lambda: es.Layers(strides=[2])}, ["strides=[2] must be a dict"]),
    "strides of three": ({"layers": lambda: es.Layers(strides={"0": (1, 2, 3)})}, ["'0' is (1, 2, 3)", "pair"]),
    "strides negative": ({"layers": lambda: es.Layers(strides={"0": -1.5})}, ["'0' is -1.5", "above 0"]),
    "layouts a list": ({"layers": lambda: es.Layers(layouts=["nchw"])}, ["layouts=['nchw'] must be a dict"]),
    "layouts a number": ({"layers": lambda: es.Layers(layouts={"0": 3})}, ["layout of layer '0' is 3", "text"]),
    "layout of other tokens": ({"layers": es.Layers(layouts={"0": "tokens:3x3"})}, ["9 tokens"]),
    "size alone": (crop(size=8), ["size=8 is the window of fill=crop"]),
    "size 0": (crop(size=0, fill="crop"), ["size=0", "whole number of pixels"]),
    "size a text": (crop(size="8", fill="crop"), ["size='8'", "whole number of pixels"]),
    "size too large": (crop(size=80, fill="crop"), ["window of 80 x 80", "16 x 16"]),
    "crop without size": (crop(fill="crop"), ["needs size="]),
    "measure unknown": ({"scoring": lambda: es.Scoring(measures=["cka"])}, ["measures='cka'", "invariance"]),
    "no measure": ({"scoring": lambda: es.Scoring(measures=[])}, ["measures=[] is empty"]),
    "linear of cosine": (
        {"scoring": lambda: es.Scoring(measures="linear", similarity="cosine")},
        ["needs similarity=pearson"],
    ),
    "scope unknown": ({"scoring": lambda: es.Scoring(scopes="world")}, ["scopes='world'", "dataset, image"]),
    "memory a text": ({"run": lambda: es.Run(memory="2")}, ["memory='2' must be a number"]),
    "memory too little": ({"run": es.Run(memory=1e-9)}, ["memory=1e-09 GiB is too little", "layer"]),
    "batch size True": ({"batch_size": True}, ["batch_size=True"]),
    "seed a text": ({"scoring": lambda: es.Scoring(seed="1")}, ["seed='1'"]),
    "registration images a text": (
        {"scoring": lambda: es.Scoring(registration_images="9")},
        ["registration_images='9'", "at least 8"],
    ),
    "registered shifts": (
        {"transformations": es.shifts([1]), "scoring": es.Scoring(alignment="registered")},
        ["alignment=registered is for rotations and flips"],
    ),
    "registered few": ({"scoring": es.Scoring(alignment="registered")}, ["at least 16 images"]),
    "device a number": ({"device": 99}, ["'99' is not there"]),
    "progress a number": ({"progress": 3}, ["progress=3", "advance(images)"]),
    "pool unknown": ({"layers": es.Layers(pool="head")}, ["pool='head'"]),
    "resume of nothing": ({"run": lambda: es.Run(resume=True)}, ["resume=True needs the checkpoint"]),
    "checkpoint a folder": ({"run": es.Run(checkpoint="empty")}, ["empty is a folder; give a file"]),
    "checkpoint in a file": ({"run": es.Run(checkpoint="net.py/state")}, ["net.py, which is a file"]),
    "checkpoint of something else": (
        {"run": es.Run(checkpoint="w/list.pth", resume=True)},
        ["no checkpoint of this version"],
    ),
    "checkpoint of no bytes": ({"run": es.Run(checkpoint="w/none.pth", resume=True)}, ["cannot be read", "remove it"]),
    "checkpoint of a stream": (
        {"run": es.Run(checkpoint="state"), "images": iter([X])},
        ["can be gone over again"],
    ),
    "processes alone": ({"run": es.Run(distributed=True)}, ["init_process_group"]),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("given", "words"), LIBRARY.values(), ids=LIBRARY)
def test_bad_input_in_python_is_told_in_one_sentence_and_changes_nothing(place, given, words):
    model = load_network("net.py:small").model.train()
    before, state, images = files(place), {k: v.clone() for k, v in model.state_dict().items()}, X.clone()
    with pytest.raises(ValueError) as refusal:
        made = {name: value() if isinstance(value, LambdaType) else value for name, value in given.items()}
        es.measure(**{"model": model, "images": X, "transformations": es.rotations()} | made)
    sentence = str(refusal.value)
    assert "\n" not in sentence and all(word in sentence for word in words), sentence
    assert model.training and all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.equal(X, images) and files(place) == before


def test_there_are_more_than_fifty_kinds():
    assert len(CASES) > 100 and len(LIBRARY) > 50


def test_what_is_odd_but_not_bad_is_measured(place):
    """Pictures of any mode, networks that return no tensor, a batch that the network changes in place."""
    folder = place / "odd"
    folder.mkdir()
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40).save(folder / "deep.png")
    photo.save(folder / "moving.gif", save_all=True, append_images=[photo.rotate(90)])
    for mode in ("1", "L", "LA", "P", "RGBA"):
        photo.convert(mode).save(folder / f"{mode}.png")
    try:
        assert equiscope(*SMALL, "--images", "odd", "--layers", "0", "--quiet", "--output", "odd/out").status == 0
        assert es.load("odd/out").manifest["images"] == 8
    finally:
        shutil.rmtree(folder)

    class Odd(nn.Module):
        def __init__(self, then):
            super().__init__()
            self.conv, self.then = nn.Conv2d(3, 4, 3), then

        def forward(self, images):
            return self.then(self.conv(images.mul_(2)))

    images = X.clone()
    for then in (lambda maps: None, lambda maps: {"maps": maps}, lambda maps: (maps, "text")):
        scores = es.measure(Odd(then), X, transformations=es.rotations(), layers="conv").scores
        assert scores["score"].notna().any() and torch.equal(X, images)


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
        answer = equiscope(*SMALL, "--layers", "0", "--quiet", "--no-intervals")
    assert answer == (
        2,
        "",
        f"Error: out/something cannot be read or written ({error.strerror}); give another path, or mend this one.\n",
    )
    assert files(place) == before
