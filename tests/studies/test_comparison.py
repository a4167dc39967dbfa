"""Results compared, as a folder."""

from dataclasses import replace

import torch
from torch import nn

import equiscope as es
from equiscope_studies.comparison import compared

DATA = {"fingerprint": "abc", "split": None, "column": None, "seed": 0, "left_out": 0}


def result(channels):
    torch.manual_seed(channels)
    model = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    scores = es.measure(model, torch.randn(30, 3, 12, 12), transformations=es.rotations())
    return replace(scores, manifest=scores.manifest | {"model": f"of {channels}", "data": DATA})


def test_the_folder_of_a_comparison(tmp_path):
    folders = [tmp_path / str(channels) for channels in (4, 8)]
    for folder in folders:
        result(int(folder.name)).save(folder)
    table = compared(folders, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "data.parquet", "figure.pdf", "figure.png", "page.md"
    ]  # fmt: skip
    assert set(table["result"]) == {"of 4", "of 8"}
    assert "of 8 less of 4" in (tmp_path / "out" / "page.md").read_text()
