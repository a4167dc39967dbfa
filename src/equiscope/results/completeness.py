"""What a result must hold: tables with their columns and keys, all rows of each, and what its manifest must say.

Each function gives the first thing that is not there as the end of a sentence, or None where all is.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from equiscope.results.columns import (
    ALIGNMENTS,
    COUNTS,
    KEYS,
    MEASURES,
    METRIC_COLUMNS,
    METRICS,
    OF_IMAGES,
    PARTS,
    SCOPES,
    TABLES,
    UNIQUE,
    VALUES,
)

WORDS = {"measure": MEASURES, "scope": SCOPES, "alignment": ALIGNMENTS, "part": PARTS}
TEXTS = ("layer", "transformation", "type", *WORDS)
NUMBERS = (*VALUES, *COUNTS, "layers", "channel", "partner", "replicate", "index", "channels", "height", "width")
LABELS = [key for key in KEYS if key != "subpixel"]
GROUP = ["layer", "transformation", "scope", "alignment"]  # of a table of channels

Kind = Callable[[Any], bool]


def _list_of(kind: Kind) -> Kind:
    return lambda value: isinstance(value, list | tuple) and all(map(kind, value))


def _names(*keys: str) -> Kind:
    return lambda value: isinstance(value, Mapping) and all(key in value for key in keys)


def _is_moment(value: Any) -> bool:
    try:
        return bool(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return False


def _is(*kinds: type) -> Kind:
    return lambda value: isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


# What a manifest says, where it says it, is of these kinds; all else is only shown.
KINDS: Mapping[str, Kind] = {
    "data": _names(),
    "weights": _names(),
    "versions": _names(),
    "options": _names(),
    "image_shape": _list_of(_is(int)),
    "images_left_out": _list_of(_names("image", "reason")),
    "layers_left_out": _list_of(_names("layer", "reason")),
    "remarks": _list_of(_is(str)),
    "started": _is_moment,
    "command": _is(str),
    "recipe": _is(str),
    "options.scopes": _list_of(_is(str)),
    "options.similarity": _is(str),
    "options.negative": _is(str),
    "options.intervals": _is(bool),
    "options.seed": _is(int),
}


def of_manifest(manifest: Mapping[str, Any]) -> str | None:
    """What a manifest lacks that tables cannot be read without."""
    missing = [name for name in ("model", "images", "options") if manifest.get(name) is None]
    options = manifest.get("options")
    if not missing and isinstance(options, Mapping):
        needed = ("transformations", "scopes", "similarity", "negative", "intervals", "seed")
        missing = [f"options.{name}" for name in needed if name not in options]
    if missing:
        return f"has no {', '.join(missing)}"
    for name, is_right in KINDS.items():
        outer, _, inner = name.partition(".")
        value = manifest.get(outer) if not inner else manifest[outer].get(inner)
        if value is not None and not is_right(value):
            return f"has {repr(value)[:60]} as its {name}"
    images, families = manifest["images"], manifest["options"]["transformations"]
    if isinstance(images, bool) or not isinstance(images, int) or images < 1:
        return f"has {images!r} as its number of images"
    if not isinstance(families, Mapping) or not families:
        return "has no families in its options.transformations"
    for name, members in families.items():
        if not isinstance(members, list | tuple) or not members or not all(isinstance(one, str) for one in members):
            return f"has no transformations of the family {name} in its options.transformations"
    return None


def of_metrics(table: pd.DataFrame) -> str | None:
    """What a table of other tools' measures lacks."""
    missing = [column for column in METRIC_COLUMNS if column not in table]
    if missing:
        return f"has no column {', '.join(missing)}"
    unknown = set(table["metric"]) - set(METRICS)
    return f"has metric {min(map(str, unknown))!r}, and it is one of {', '.join(METRICS)}" if unknown else None


def of_table(name: str, table: pd.DataFrame) -> str | None:
    """What one table lacks: a column, a key in a row, or a word that is known; or that it has a row twice."""
    missing = [column for column in TABLES[name] if column not in table]
    if missing:
        return f"has no column {', '.join(missing)}"
    if table.empty:
        return None
    for column in TABLES[name]:
        values = table[column]
        if column in UNIQUE[name] and values.isna().any():
            return f"has a row without {column}"
        if column in TEXTS and pd.api.types.infer_dtype(values, skipna=True) not in ("string", "empty"):
            return f"has values in its column {column} that are no text"
        if column in NUMBERS and not pd.api.types.is_numeric_dtype(values) and values.notna().any():
            return f"has values in its column {column} that are no numbers"
        if unknown := set(values) - set(WORDS[column]) if column in WORDS else None:
            return f"has {column} {min(map(str, unknown))!r}, and it is one of {', '.join(WORDS[column])}"
    keys = list(UNIQUE[name])
    again = table.loc[table.duplicated(keys), keys]
    return f"has two rows of {_named(again.iloc[0])}; each must be there once" if len(again) else None


def of_tables(tables: Mapping[str, pd.DataFrame], families: Mapping[str, Any]) -> str | None:
    """What one table lacks by what another, or the manifest, has."""
    return next(_missing(tables, families), None)


def _missing(tables: Mapping[str, pd.DataFrame], families: Mapping[str, Any]) -> Iterator[str]:
    layers = list(tables["layers"]["layer"])
    for name in ("scores", "channels", "laws", "replicates"):
        there = set(tables[name]["layer"])
        for layer in sorted(there - set(layers)):
            yield f"layers.parquet has no row of layer {layer}, and {name}.parquet has"
        for layer in (one for one in layers if one not in there and name in ("scores", "channels")):
            yield f"{name}.parquet has no row of layer {layer}"
    measured = set(tables["scores"]["transformation"])
    for name in [*families, *(member for members in families.values() for member in members)]:
        if name not in measured:
            yield f"scores.parquet has no row of transformation {name}"
    yield from _missing_channels(tables, {member for members in families.values() for member in members})
    yield from _missing_of_parts(tables["scores"], tables["parts"])
    yield from _missing_replicates(tables["scores"], tables["replicates"])


def _missing_channels(tables: Mapping[str, pd.DataFrame], members: set[str]) -> Iterator[str]:
    """Every layer has each of its channels under each transformation that it has a score of."""
    scores = tables["scores"]
    groups = tables["channels"].groupby(GROUP, sort=False)["channel"].agg(["size", "min", "max"]).reset_index()
    found = groups.merge(tables["layers"][["layer", "channels"]], on="layer")
    wrong = (found["size"] != found["channels"]) | (found["min"] != 0) | (found["max"] != found["channels"] - 1)
    for row in _records(found[wrong]):
        yield f"channels.parquet has {row['size']} of the {row['channels']} channels of {_named(row, GROUP)}"
    asked = scores.loc[scores["transformation"].isin(members), GROUP].drop_duplicates()
    for row in _without(asked, groups, GROUP):
        yield f"channels.parquet has no row of {_named(row, GROUP)}"


def _missing_of_parts(scores: pd.DataFrame, parts: pd.DataFrame) -> Iterator[str]:
    """A part has a row for whatever its layers have one of, of as many layers as there are."""
    keys = ["part", *LABELS]
    for row in _without(scores[keys].drop_duplicates(), parts, keys):
        yield f"parts.parquet has no row of {_named(row, keys)}"
    counted = scores[scores["transformations"] > 0].groupby(keys)["layer"].nunique().rename("there").reset_index()
    both = parts.merge(counted, on=keys, how="left").fillna({"there": 0})
    for row in _records(both[both["there"] < both["layers"]]):
        there = f"{int(row['there'])} of the {int(row['layers'])} layers"
        yield f"scores.parquet has rows of {there} of {_named(row, keys)}"


def _missing_replicates(scores: pd.DataFrame, replicates: pd.DataFrame) -> Iterator[str]:
    """A score with an interval has what that is made of: as many groups as others, or each of its images."""
    keys = ["layer", *KEYS]
    ended = scores.loc[scores["low"].notna(), [*keys, "images"]]
    for row in _without(ended, replicates, keys):
        yield f"replicates.parquet has no row of {_named(row, keys)}"
    for row in _without(replicates[keys].drop_duplicates(), scores, keys):
        yield f"scores.parquet has no row of {_named(row, keys)}, and replicates.parquet has"
    counts = replicates.assign(defined=replicates["score"].notna()).groupby(keys)["defined"].agg(["size", "sum"])
    both = ended.merge(counts.reset_index(), on=keys)
    by_image = (both["scope"] == "image") & both["measure"].isin(OF_IMAGES)
    groups = both[both["scope"] == "dataset"]
    for row in _records(groups[groups["size"] < groups["size"].max()]):
        yield f"replicates.parquet has {row['size']} of the {groups['size'].max()} rows of {_named(row, keys)}"
    images = both[by_image]
    for row in _records(images[images["sum"] < images["images"]]):
        yield f"replicates.parquet has {row['sum']} of the {row['images']} images of {_named(row, keys)}"


def _without(table: pd.DataFrame, other: pd.DataFrame, keys: list[str]) -> list[dict[str, Any]]:
    """The rows of a table that another has none of the same keys for."""
    if table.empty:
        return []
    if other.empty:
        return _records(table)
    both = table.merge(other[keys].drop_duplicates(), on=keys, how="left", indicator=True)
    return _records(both[both["_merge"] == "left_only"])


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _named(row: Any, keys: list[str] | None = None) -> str:
    """The keys of a row in words."""
    return ", ".join(f"{key} {row[key]}" for key in (row.index if keys is None else keys))
