"""Data sets as the package `datasets` loads them: Parquet or Arrow files in a folder, or a name on the hub."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

from equiscope.images.pictures import Found, Picture, fingerprint, reason, shuffled
from equiscope.system.hub import within_reach

SUFFIXES = frozenset((".arrow", ".parquet"))
_SPLITS = ("test", "validation", "train")


class _Rows:
    """Rows of a data set, read one by one and not decoded, so that a broken one harms no other."""

    def __init__(self, table: Any, column: str, order: Sequence[int]) -> None:
        self._table = table
        self._column = column
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, place: int) -> Picture:
        row = self._order[place]
        image = self._table[row][self._column] or {"bytes": None, "path": None}
        return Picture(f"row {row}", image["path"] if image["bytes"] is None else image["bytes"])


def data_set_images(name: str, place: str, split: str | None, limit: int | None, seed: int) -> Found:
    """The images of the data set `name`: its first column of images. `place` is how the user calls it."""
    import datasets  # here, because it takes a second, which other sources need not wait
    import pyarrow.compute

    splits = _loaded(name, place)
    split = _split(list(splits), place, split)
    table = splits[split]
    column = next((name for name, kind in table.features.items() if isinstance(kind, datasets.Image)), None)
    if column is None:
        columns = ", ".join(f"{name} ({type(kind).__name__})" for name, kind in table.features.items())
        raise ValueError(f"the data set {place!r} has no column of images, but one is needed: it has {columns}")
    if not len(table):
        raise ValueError(f"the split {split!r} of {place!r} is empty, but images are needed: try {', '.join(splits)}")
    table = table.select_columns(column).cast_column(column, datasets.Image(decode=False))
    lengths = pyarrow.compute.binary_length(pyarrow.compute.struct_field(table.data.column(column), "bytes"))
    digits = fingerprint((f"row {row}", length) for row, length in enumerate(lengths.to_pylist()))
    about = {"kind": "data set", "split": split, "column": column, "found": len(table), "fingerprint": digits}
    return Found(_Rows(table, column, shuffled(len(table), limit, seed)), about)


def _loaded(name: str, place: str) -> Any:
    """The splits of a data set, by name."""
    import datasets

    hindrance = None
    try:
        with silent_datasets(), nullcontext() if os.path.isdir(name) else within_reach() as hindrance:
            return datasets.load_dataset(name)
    except Exception as error:
        advice = (
            "check its files, and that its path holds none of [ ] * ?"
            if os.path.isdir(name)
            else "check its name and the network, or give a folder"
        )
        raise ValueError(
            f"the data set {place!r} could not be loaded "
            f"({hindrance or f'{type(error).__name__}: {reason(error)}'}): {advice}"
        ) from error


def _split(splits: list[str], place: str, wanted: str | None) -> str:
    """The split that is wanted, or else the first of test, validation and train, or the only one."""
    if wanted is None:
        wanted = next((split for split in _SPLITS if split in splits), splits[0] if len(splits) == 1 else None)
    if wanted not in splits:
        what = (
            f"which split of {place!r} to read is not clear" if wanted is None else f"{place!r} has no split {wanted!r}"
        )
        raise ValueError(f"{what}: write {' or '.join(f'{place}:{split}' for split in splits)}")
    return wanted


@contextmanager
def silent_datasets() -> Iterator[None]:
    """The log of `datasets`, its progress bars and those of the hub's downloads off, unless the user set them.

    They are as they were after; what goes wrong is raised as well as logged.
    """
    import datasets
    import huggingface_hub

    bars = (
        (datasets, datasets.config.HF_DATASETS_DISABLE_PROGRESS_BARS),
        (huggingface_hub.utils, huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS),
    )
    with ExitStack() as after:
        for library, wish in bars:
            if wish is None and not library.are_progress_bars_disabled():
                library.disable_progress_bars()
                after.callback(library.enable_progress_bars)
        log = logging.getLogger("datasets")
        after.callback(log.setLevel, log.level)
        log.setLevel(logging.CRITICAL)
        yield
