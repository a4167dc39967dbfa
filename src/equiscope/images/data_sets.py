"""Data sets as the package `datasets` knows them: files in a folder, saved by it, or a name on the hub."""

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from equiscope.images.choices import Choices, Wanted
from equiscope.images.folders import Listing, remarks
from equiscope.images.formats import HEAD, format_of
from equiscope.images.pictures import Found, Picture, reason, shuffled
from equiscope.images.tables import first_value, mapped, schema_of
from equiscope.system.errors import cause_of
from equiscope.system.hub import refusal, wanted_offline, within_reach

# In folders that `save_to_disk` wrote.
SAVED, SAVED_INFO, SAVED_SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
CARDS = ("README.md", ".huggingface.yaml", "dataset_infos.json")  # which name configurations, splits and columns


class Rows:
    """Rows of a data set, read one by one and not decoded, so that a broken one harms no other."""

    def __init__(self, table: Any, column: str, order: Sequence[int]) -> None:
        self._table = table
        self._column = column
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, place: int) -> Picture:
        row = self._order[place]
        return picture_of(row, self._table[row][self._column])


def picture_of(row: int, image: Mapping[str, Any] | None) -> Picture:
    """The image of a row, as it is where it is not decoded: bytes, or the path of a file."""
    image = image or {"bytes": None, "path": None}
    return Picture(f"row {row}", image["path"] if image["bytes"] is None else image["bytes"])


def is_saved(folder: str) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    held = [os.path.isfile(os.path.join(folder, file)) for file in (SAVED_SPLITS, SAVED, SAVED_INFO)]
    return held[0] or all(held[1:])


def tables_of_images(folder: str, tables: Sequence[str]) -> list[str]:
    """Those of a folder's files that have a column of images, or cannot be read; all of them where a card names some.

    Others lie beside a data set: labels, features, what a comparison of results wrote.
    """
    import datasets  # here, because it takes a second, which other sources need not wait

    found, known = [], []  # schemas of which one file has been seen to hold images
    for name in tables:
        file = os.path.join(folder, *name.split("/"))
        try:
            schema = schema_of(file)
            if schema not in known:
                features = datasets.Features.from_arrow_schema(schema)
                if not _image_columns(features, partial(first_value, file)):
                    continue
                known.append(schema)
        except ValueError:
            pass
        found.append(name)
    return list(tables) if found and has_card(folder) else found


def data_set_in_folder(folder: str, listed: Listing, wanted: Wanted) -> Found:
    """The images of a data set of Parquet or Arrow files in a folder.

    Only the files of the split are read, and of these only the column of images.
    """
    import datasets

    with silent_datasets(), _outline(folder, listed.tables) as outline:
        builder = _builder(outline, wanted, cache_dir=os.path.join(outline, ".cache"))
        start = f"{os.path.realpath(outline)}/"
        by_split = {
            str(split): [os.path.join(folder, *file.removeprefix(start).split("/")) for file in found]
            for split, found in (builder.config.data_files or {}).items()
        }
    splits = list(by_split)
    split = wanted.chosen_split(splits)
    its = by_split[split]
    told = (*_parts_missing(its, split), *remarks(listed, beside_tables=True))
    features = builder.info.features or datasets.Features.from_arrow_schema(schema_of(its[0]))
    columns = _image_columns(features, partial(first_value, its[0]))
    column = wanted.chosen_column(columns, features)
    choices = Choices(*_configurations(builder, wanted), split, splits, column, columns)
    found = _found(mapped(its, column), choices, wanted)
    passed_over = {"passed_over": listed.passed_over(beside_tables=True)}
    return Found(found.pictures, found.description | passed_over, (*found.remarks, *told))


def _parts_missing(files: Sequence[str], split: str) -> list[str]:
    """A sentence where the files of a split are parts of more, by their names: `train-00000-of-00002.parquet`."""
    parts = [part for file in files if (part := re.search(r"(.*)-\d{5}-of-(\d{5})\.\w+$", file))]
    whole = sum(int(count) for _, count in {part.groups() for part in parts})
    there = f"{len(parts)} {'is' if len(parts) == 1 else 'are'} there"
    return [f"Of the {whole} files of the split {split}, {there}."] if len(parts) < whole else []


def saved_data_set(folder: str, wanted: Wanted) -> Found:
    """The images of a folder that `save_to_disk` of a `Dataset` or a `DatasetDict` wrote."""
    import datasets

    place, splits, split = folder, [], "all"
    if os.path.isfile(os.path.join(folder, SAVED_SPLITS)):
        splits = sorted(name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name, SAVED)))
        split = wanted.chosen_split(splits)
        place = os.path.join(folder, split)
    elif wanted.split is not None:
        raise ValueError(f"{wanted.place!r} is a single split, as it was saved: write it without :{wanted.split}")
    try:
        with silent_datasets():
            table = datasets.Dataset.load_from_disk(place)
    except Exception as error:  # of whatever kind
        why = f"{place}: {cause_of(error).removeprefix(f'{place}: ')}"
        raise ValueError(f"the data set {wanted.place!r} could not be loaded ({why})") from error
    columns = image_columns(table)
    column = wanted.chosen_column(columns, table.features)
    return _found(table, Choices(None, (), split, splits, column, columns), wanted)


def data_set_on_hub(name: str, wanted: Wanted) -> Found:
    """The images of a data set on the Hugging Face hub, of which only the split's files are fetched."""
    import datasets

    with silent_datasets(), within_reach() as hindrance:
        builder = _builder(name, wanted, hindrance=hindrance)
        files = builder.config.data_files  # None where only the cache knows the data set
        splits = [str(split) for split in files or builder.info.splits or ()]
        split = wanted.chosen_split(splits)
        given: dict[str, Any] = {}
        if files and not os.path.isdir(builder.cache_dir):  # else all of it was fetched before
            given = {"data_files": {split: list(files[split])}, "verification_mode": "no_checks"}
        try:
            table = datasets.load_dataset(name, wanted.configuration, split=split, **given)
        except Exception as error:  # of whatever kind
            raise _not_loaded(wanted, error, hindrance) from error
    columns = image_columns(table)
    column = wanted.chosen_column(columns, table.features)
    return _found(table, Choices(*_configurations(builder, wanted), split, splits, column, columns), wanted)


def _builder(path: str, wanted: Wanted, *, hindrance: str | None = None, **options: Any) -> Any:
    """What knows a data set's configurations, splits and files, and has read none of them."""
    import datasets

    try:
        return datasets.load_dataset_builder(path, wanted.configuration, **options)
    except ValueError as error:
        given, names = wanted.configuration, _configuration_names(path)
        if not names or given in names:
            raise _not_loaded(wanted, error, hindrance) from error
        what = (
            f"which configuration of {wanted.place!r} to read is not clear"
            if given is None
            else f"{wanted.place!r} has no configuration {given!r}"
        )
        raise ValueError(f"{what}: write {' or '.join(f'{wanted.place}/{name}' for name in names)}") from error
    except Exception as error:  # of whatever kind
        raise _not_loaded(wanted, error, hindrance) from error


def _configuration_names(path: str) -> list[str]:
    import datasets

    try:
        return list(datasets.get_dataset_config_names(path))
    except Exception:  # noqa: BLE001  (then it is not the configuration that is wrong)
        return []


def _configurations(builder: Any, wanted: Wanted) -> tuple[str | None, list[str]]:
    """The configuration that was chosen, and those that there are; None where a data set has but one."""
    names = list(builder.builder_configs)
    return (builder.config.name if len(names) > 1 else wanted.configuration), names


def has_card(folder: str) -> bool:
    """Whether a folder has a card, as data sets have that name their configurations: with facts before its text."""
    for card in (os.path.join(folder, name) for name in CARDS):
        if os.path.isfile(card):  # and no pipe
            with open(card, "rb") as stream:
                if not card.endswith("README.md") or stream.read(3) == b"---":
                    return True
    return False


def configurations_in(folder: str, listed: Listing) -> list[str]:
    """The configurations that the card of a data set in a folder names."""
    with silent_datasets(), _outline(folder, listed.tables) as outline:
        return _configuration_names(outline)


@contextmanager
def _outline(folder: str, files: Sequence[str]) -> Iterator[str]:
    """A folder of empty files of the same names, with the cards of the data set: enough to tell splits.

    `datasets` takes a folder's path for a pattern, and all that lies in it for its own.
    """
    with TemporaryDirectory() as outline:
        for file in files:
            place = Path(outline, *file.split("/"))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        for card in CARDS:
            if os.path.isfile(os.path.join(folder, card)):
                shutil.copyfile(os.path.join(folder, card), os.path.join(outline, card))
        yield outline


def data_set_handed_over(table: Any, column: str | None, limit: int | None, seed: int | None) -> Found:
    """The images of a `datasets.Dataset`, which no split or configuration has to be chosen of."""
    wanted = Wanted(type(table).__name__, None, None, column, limit, seed)
    columns = image_columns(table)
    column = wanted.chosen_column(columns, table.features)
    found = _found(table, Choices(None, (), str(table.split or "all"), (), column, columns), wanted)
    return found._replace(description=found.description | {"source": wanted.place})


def image_columns(table: Any) -> list[str]:
    """The columns of a `datasets.Dataset` that hold images."""
    plain, few = table.with_format(None), range(min(len(table), 8))

    def first(column: str) -> Any:
        return next((one for one in plain.select_columns(column).select(few)[column] if one is not None), None)

    return _image_columns(plain.features, first)


def _image_columns(features: Mapping[str, Any], first: Callable[[str], Any]) -> list[str]:
    """The columns that are declared as images, or else those whose first value is the bytes of one."""
    import datasets

    declared = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    return declared or [name for name, kind in features.items() if _may_be_bytes(kind) and _is_image(first(name))]


def _may_be_bytes(kind: Any) -> bool:
    return "bytes" in kind if isinstance(kind, dict) else getattr(kind, "dtype", "") in ("binary", "large_binary")


def _is_image(value: Any) -> bool:
    content = value.get("bytes") if isinstance(value, dict) else value
    return isinstance(content, bytes) and format_of(content[:HEAD]) is not None


def _found(table: Any, choices: Choices, wanted: Wanted) -> Found:
    """The images of a column."""
    if not len(table):
        others = ", ".join(choices.splits) or "another data set"
        raise ValueError(
            f"the split {choices.split!r} of {wanted.written!r} is empty, but images are needed: try {others}"
        )
    table = undecoded(table, choices.column)
    about: dict[str, object] = {
        "kind": "data set",
        "configuration": choices.configuration,
        "split": choices.split,
        "column": choices.column,
        "found": len(table),
    }
    in_order = range(len(table))[: wanted.limit]
    order = in_order if wanted.seed is None else shuffled(len(table), wanted.limit, wanted.seed)
    return Found(Rows(table, choices.column, order), about, choices.told(wanted))


def undecoded(table: Any, column: str) -> Any:
    """One column of a `datasets.Dataset` or `datasets.IterableDataset`, its images as bytes or paths."""
    import datasets

    return table.with_format(None).select_columns(column).cast_column(column, datasets.Image(decode=False))


def _not_loaded(wanted: Wanted, error: Exception, hindrance: str | None) -> ValueError:
    """What to say of a data set that cannot be loaded: the cause, and what helps where that is known."""
    why, advice = hindrance or cause_of(error), ""
    if isinstance(error, ConnectionError) and hindrance is None and wanted_offline():
        why = "HF_HUB_OFFLINE is set, and it was not fetched before"
    elif hindrance is None and (refused := refusal(error)):
        why = refused
    elif hindrance or isinstance(error, ConnectionError):
        advice = ": check its name and the network, or give a folder"
    elif "NotFound" in type(error).__name__:
        why = f"{type(error).__name__}: {reason(error)}"
        advice = ": check its name; where it is private or gated, log in (hf auth login) or set HF_TOKEN"
    return ValueError(f"the data set {wanted.written!r} could not be loaded ({why}){advice}")


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
