"""The command line as the tests use it, and something small to measure."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from PIL import Image

from equiscope.commands.main import main

NETWORKS = """
import torch
from torch import nn

def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5),
    )

def talkative():
    print("a word from the network")
    return small()

def of_nan():
    network = small()
    nn.init.constant_(network[2].weight, float("nan"))
    return network

class Rows(nn.Module):
    def forward(self, maps):
        return maps.unflatten(2, (2, -1)).transpose(1, 2).flatten(0, 1)

class Joined(nn.Module):
    def forward(self, rows):
        return rows.unflatten(0, (-1, 2)).transpose(1, 2).flatten(2, 3)

def of_windows():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), Rows(), Joined())

class OneSize(nn.Module):
    def __init__(self):
        super().__init__()
        self.grid, self.linear = nn.AdaptiveAvgPool2d(5), nn.Linear(3 * 32 * 32, 5)

    def forward(self, images):
        return self.linear(images.flatten(1)) + self.grid(images).sum()

def of_one_size():
    return OneSize()

def of_grey():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())

def of_text():
    return "a network"

class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = small()

    def forward(self, images):
        return self.block(images)

def named():
    return Named()

not_a_function = 3
"""


class Answer(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


def equiscope(*arguments: str | Path) -> Answer:
    """The answer to `equiscope ARGUMENTS`, in this process and with no terminal."""
    typed = patch.object(sys, "argv", ["equiscope", *map(str, arguments)])
    with typed, redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        status = main()
    return Answer(status, out.getvalue(), err.getvalue())


def network_file(folder: Path) -> Path:
    """A file of networks, in a folder made for it."""
    folder.mkdir(parents=True)
    file = folder / "net.py"
    file.write_text(NETWORKS)
    return file


def pictures(folder: Path, good: int, broken: Sequence[str] = ()) -> Path:
    """A folder of pictures of 40 x 32 pixels, and files that only look like pictures."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(good):
        coarse = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        coarse.resize((40, 32), Image.Resampling.BICUBIC).save(folder / f"good{number}.png")
    for name in broken:
        (folder / name).write_text("no picture")
    return folder
