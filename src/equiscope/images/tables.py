"""Parquet and Arrow files as tables in which any row can be read at once.

Parquet cannot give one row without many others, so the column of images is written as Arrow beside the other data that
the package `datasets` prepares. It is found again by the content of the file, never by its name or its time.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from equiscope.images.formats import refuse_irregular
from equiscope.system.files import replacing

_AT_ONCE = 100  # rows that are written together


def schema_of(file: str) -> pa.Schema:
    """The columns of a file; ValueError with its path where it cannot be read."""
    with _named(file):
        refuse_irregular(file)
        if file.lower().endswith(".parquet"):
            with open(file, "rb") as stream:  # Arrow opens no path that is not text
                return pyarrow.parquet.read_schema(stream)
        with _arrow(file) as reader:
            return reader.schema


def first_value(file: str, column: str) -> Any:
    """The first value of a column that there is."""
    values = (value for some in _columns(file, column) for value in some.to_pylist())
    return next((value for value in values if value is not None), None)


def mapped(files: Sequence[str], column: str) -> Any:
    """A `datasets.Dataset` of one column of the files, which lie on the disk and not in memory.

    ValueError with the path of the file that cannot be read, or of the folder that cannot be written to.
    """
    import datasets

    kinds = datasets.Features({column: datasets.Image(decode=False)})
    cache = Path(datasets.config.HF_DATASETS_CACHE).expanduser() / "equiscope"
    tables = []
    for file in files:
        with _named(file):
            refuse_irregular(file)
            kept = cache / f"{_digest(file, column)}.arrow"
        if not kept.exists():
            _write(file, column, kinds, kept)
        tables.append(datasets.Dataset.from_file(str(kept)))
    return datasets.concatenate_datasets(tables)


def _digest(file: str, column: str) -> str:
    with open(file, "rb") as stream:
        digest = hashlib.file_digest(stream, "blake2b")
    digest.update(column.encode())
    return digest.hexdigest()[:40]


def _write(file: str, column: str, kinds: Any, kept: Path) -> None:
    """Write a column as Arrow."""
    schema = kinds.arrow_schema
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as aside, aside.open("wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for values in _columns(file, column):
                with _named(file):
                    images = kinds[column].cast_storage(values)
                writer.write_batch(pa.RecordBatch.from_arrays([images], schema=schema))
    except OSError as error:
        raise ValueError(
            f"{kept.parent} cannot be written to ({error.strerror or error}), where images are unpacked: set "
            "HF_DATASETS_CACHE to another folder"
        ) from error


def _columns(file: str, column: str) -> Iterator[pa.Array]:
    """The values of a column, some at a time; what cannot be read is told with the path of the file."""
    with _named(file):
        yield from (batch.column(0) for batch in _batches(file, column))


def _batches(file: str, column: str) -> Iterator[pa.RecordBatch]:
    """The rows of a column, some at a time."""
    if file.lower().endswith(".parquet"):
        with open(file, "rb") as stream, pyarrow.parquet.ParquetFile(stream) as opened:
            yield from opened.iter_batches(_AT_ONCE, columns=[column])
        return
    with _arrow(file) as reader:
        batches = (
            (reader.get_batch(number) for number in range(reader.num_record_batches))
            if isinstance(reader, pa.ipc.RecordBatchFileReader)
            else reader
        )
        for batch in batches:
            chosen = batch.select([column])
            yield from (chosen.slice(start, _AT_ONCE) for start in range(0, len(chosen), _AT_ONCE))


@contextmanager
def _arrow(file: str) -> Iterator[Any]:
    """A reader of either kind of Arrow file."""
    with pa.memory_map(file) as source:
        try:
            reader = pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            source.seek(0)
            reader = pa.ipc.open_file(source)
        with reader:
            yield reader


@contextmanager
def _named(file: str) -> Iterator[None]:
    """What goes wrong with a file is told with its path."""
    try:
        yield
    except (OSError, pa.ArrowException, ValueError, TypeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split()).rstrip(".")
        raise ValueError(f"{file} cannot be read ({why})") from error
