"""A folder of data that looks like the hub's MNIST: ten kinds of blobs, few of them, so that training takes seconds."""

from pathlib import Path

import datasets
import numpy as np
from PIL import Image

TRAIN, TEST = 640, 160


def digits(folder: Path) -> Path:
    """`folder/mnist` with its two splits, and the folder."""
    random = np.random.default_rng(0)
    patterns = random.integers(0, 256, (10, 7, 7), dtype=np.uint8)
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=[str(digit) for digit in range(10)])}
    )
    (folder / "mnist").mkdir(parents=True)
    for split, count in (("train", TRAIN), ("test", TEST)):
        labels = random.integers(0, 10, count)
        noisy = np.clip(patterns[labels] + random.normal(0, 40, (count, 7, 7)), 0, 255).astype(np.uint8)
        images = [Image.fromarray(image).resize((28, 28), Image.Resampling.BILINEAR) for image in noisy]
        table = datasets.Dataset.from_dict({"image": images, "label": labels.tolist()}, features=features)
        table.to_parquet(folder / "mnist" / f"{split}-00000-of-00001.parquet")
    return folder
