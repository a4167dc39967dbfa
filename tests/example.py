"""A `Scores` of the contract, made of seeded random numbers: fast, without a network, and consistent in itself.

Per channel, layer, part and family: invariance <= equivariance <= linear, in `score` and in `explained`. A layer's
score is the mean over its channels, a family's over its transformations, a part's over its layers; intervals are made
of the replicates. The last channel of the first layer is constant, so undefined. Partners under rotations form cycles
of four.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from equiscope.results import columns
from equiscope.results.scores import Scores

ROTATIONS = ("rot90", "rot180", "rot270")
GROUPS = 10
NAN = float("nan")
OF_NORMAL, OF_STUDENT = 1.96, float(stats.t.ppf(0.975, GROUPS - 1))  # standard errors of an interval
Row = dict[str, Any]
_MADE: dict[str, Scores] = {}  # by what was asked for


def example_scores(
    layers: int | Sequence[str] = 4,
    channels: int = 6,
    families: Mapping[str, Sequence[str]] | None = None,
    shifts: Sequence[int] = (1, 2),
    *,
    scopes: Sequence[str] = ("dataset",),
    alignments: Sequence[str] = ("array",),
    measures: Sequence[str] | None = None,
    images: int = 24,
    intervals: bool = True,
    model: str = "example",
    seed: int = 0,
) -> Scores:
    """Scores of so many layers of feature maps (or of layers of these names), then `pool` and `final`.

    `families` are transformations by family, the rotations by default, and `shifts` are pixels along the diagonal.
    `measures=None` are those that are measured by default: linear under no shift, nor within images.
    """
    asked = repr((layers, channels, families, shifts, scopes, alignments, measures, images, intervals, model, seed))
    if asked not in _MADE:
        names = [f"layer{number + 1}" for number in range(layers)] if isinstance(layers, int) else list(layers)
        members = {name: list(of) for name, of in ({"rotations": ROTATIONS} if families is None else families).items()}
        if shifts:
            members["shifts"] = [f"shift({step},{step})" for step in shifts]
        manifest = _manifest(model, members, scopes, alignments, measures, images, intervals, seed)
        _MADE[asked] = _Example(_layers(names, channels), members, manifest, np.random.default_rng(seed)).scores()
    made = _MADE[asked]
    tables = {name: table.copy() for name, table in made.to_pandas().items()}
    return replace(made, manifest=deepcopy(made.manifest), **tables)


class _Example:
    """Collects rows, layer by layer."""

    def __init__(
        self, layers: pd.DataFrame, members: Mapping[str, Sequence[str]], manifest: Row, random: np.random.Generator
    ) -> None:
        self.layers, self.members, self.manifest, self.random = layers, members, manifest, random
        self.options, self.images = manifest["options"], manifest["images"]
        self.measures = self.options["measures"]
        self.channels: list[pd.DataFrame] = []
        self.rows: list[Row] = []  # of single transformations and families, with `replicates`
        self.parts: list[Row] = []

    def scores(self) -> Scores:
        for layer in self.layers.to_dict("records"):
            for scope, alignment in product(self.options["scopes"], self.manifest["alignments"]):
                self._add_layer(layer, scope, alignment)
        self._add_parts()
        replicates = [
            {name: row[name] for name in ("layer", *columns.KEYS)}
            | {"replicate": place, "score": score, "explained": explained}
            for row in self.rows
            for place, (score, explained) in enumerate(row["replicates"])
        ]
        manifest = {name: value for name, value in self.manifest.items() if name != "alignments"}
        return Scores(
            scores=pd.DataFrame(self.rows, columns=list(columns.SCORE_COLUMNS)),
            parts=pd.DataFrame(self.parts, columns=list(columns.PART_COLUMNS)),
            channels=pd.concat(self.channels, ignore_index=True).astype({"partner": "Int64"}),
            layers=self.layers,
            laws=self._laws(),
            replicates=_typed(pd.DataFrame(replicates, columns=list(columns.REPLICATE_COLUMNS))),
            manifest=manifest,
        )

    def _add_layer(self, layer: Row, scope: str, alignment: str) -> None:
        for family, members in self.members.items():
            if alignment == "registered" and family == "shifts":
                continue
            of_family: dict[str, list[Row]] = {}
            for name in members:
                table = self._channel_table(layer, name, scope, alignment)
                self.channels.append(table)
                for measure in self._measured(name, scope):
                    row = self._row(layer, name, measure, scope, alignment, table)
                    of_family.setdefault(measure, []).append(row)
                    self.rows.append(row)
            if [family] == members:
                continue
            for rows in of_family.values():
                self.rows.append(self._mean(rows) | {"transformation": family})
                whole = [row for row in rows if not row["subpixel"]]
                if 0 < len(whole) < len(rows):
                    self.rows.append(self._mean(whole) | {"transformation": family})

    def _measured(self, name: str, scope: str) -> list[str]:
        if self.measures is None:
            return list(columns.LADDER[: 2 if scope == "image" or name.startswith("shift") else 3])
        return [measure for measure in self.measures if scope == "dataset" or measure != "linear"]

    def _channel_table(self, layer: Row, name: str, scope: str, alignment: str) -> pd.DataFrame:
        count = layer["channels"]
        ladder = np.sort(self.random.uniform(0.05, 0.95, (count, 3)), axis=1)
        explained = np.sort(np.square(ladder) * self.random.uniform(0.7, 1, (count, 3)), axis=1)
        partner = np.array([_partner(name, channel, count) for channel in range(count)], dtype=float)
        vector = layer["height"] == 1
        undefined = np.full(count, scope == "image" and vector)
        if layer["dead"]:
            undefined[-1] = True
        ladder[undefined], explained[undefined], partner[undefined] = NAN, NAN, NAN
        if scope == "image":
            explained[:] = NAN
        measured = self._measured(name, scope)
        table: Row = {"layer": layer["layer"], "transformation": name, "scope": scope, "alignment": alignment,
                      "channel": np.arange(count), "partner": partner}  # fmt: skip
        for place, measure in enumerate(columns.LADDER):
            there = measure in measured
            table[measure] = ladder[:, place] if there else np.full(count, NAN)
            table[f"explained_{measure}"] = explained[:, place] if there else np.full(count, NAN)
        for measure in columns.LADDER[:2]:
            table[f"chance_{measure}"] = np.where(undefined, NAN, 0.0 if vector else self.random.uniform(-0.02, 0.1))
        limit = 0.92 if _interpolated(name, layer["stride_y"]) else 1.0
        table["ceiling"] = np.where(undefined, NAN, NAN if scope == "image" else limit)
        table["defined"] = np.where(undefined, 0, self.images if scope == "image" else 1)
        more = ["strict_invariance"] * ("strict_invariance" in measured)
        if more:
            table["strict_invariance"] = ladder[:, 0] * 0.8
        return pd.DataFrame(table, columns=[*columns.CHANNEL_COLUMNS, *more])

    def _row(self, layer: Row, name: str, measure: str, scope: str, alignment: str, table: pd.DataFrame) -> Row:
        score = float(table[measure].mean())
        strict = measure == "strict_invariance"
        chance_of = {"linear": "", "strict_invariance": "invariance"}.get(measure, measure)
        explained = score**2 if strict and scope == "dataset" else NAN
        explained = explained if strict else float(table[f"explained_{measure}"].mean())
        by_image = scope == "image" and measure == "invariance"
        noise = self.random.normal(0, 0.1 if by_image else 0.004, (self.images if by_image else GROUPS, 2))
        noise -= noise.mean(0)
        enough = self.options["intervals"] and self.images >= 20 and not np.isnan(score)
        row = {
            "layer": layer["layer"], "part": layer["part"], "transformation": name, "measure": measure, "scope": scope,
            "alignment": alignment, "subpixel": _interpolated(name, layer["stride_y"]), "score": score,
            "in_sample": {"linear": NAN, "equivariance": min(score * 1.05, 1.0)}.get(measure, score),
            "chance": float(table[f"chance_{chance_of}"].mean()) if chance_of else NAN,
            "ceiling": NAN if strict else float(table["ceiling"].mean()),
            "explained_ceiling": NAN if strict else float(table["ceiling"].mean()) ** 2,
            "explained": explained, "held_out": explained * 0.97 if measure == "linear" else explained,
            "images": 0 if np.isnan(score) else self.images,
            "undefined": int(table[measure].isna().sum()) * (self.images if scope == "image" else 1),
            "transformations": int(not np.isnan(score)),
            "offset_y": 0.25 if alignment == "registered" else NAN,
            "offset_x": -0.5 if alignment == "registered" else NAN,
            "replicates": noise + (score, explained) if enough else np.empty((0, 2)),
        }  # fmt: skip
        return row | _interval(row)

    def _mean(self, rows: Sequence[Row]) -> Row:
        """The mean of rows that are alike but for their transformation or layer; of those that are defined."""
        values = ("score", "in_sample", "chance", "explained", "held_out", "ceiling", "explained_ceiling")
        defined = [row["replicates"] for row in rows if len(row["replicates"])]
        mean = {name: float(pd.Series([row[name] for row in rows]).mean()) for name in values}
        row = rows[0] | mean | {
            "subpixel": any(row["subpixel"] for row in rows),
            "images": max(row["images"] for row in rows),
            "undefined": sum(row["undefined"] for row in rows),
            "transformations": sum(row["transformations"] for row in rows),
            "offset_y": NAN,
            "offset_x": NAN,
            "replicates": np.mean(defined, axis=0) if defined else np.empty((0, 2)),
        }  # fmt: skip
        return row | _interval(row)

    def _add_parts(self) -> None:
        alike = ("transformation", "measure", "scope", "alignment")
        for part in dict.fromkeys(self.layers["part"]):
            groups: dict[tuple[str, ...], dict[str, Row]] = {}
            for row in self.rows:
                if row["part"] == part:
                    of_layer = groups.setdefault(tuple(row[name] for name in alike), {})
                    if row["layer"] not in of_layer or row["subpixel"]:
                        of_layer[row["layer"]] = row
            for of_layer in groups.values():
                rows = list(of_layer.values())
                whole = [row for row in rows if not row["subpixel"]]
                for some in (rows, whole) if 0 < len(whole) < len(rows) else (rows,):
                    layers = sum(not np.isnan(row["score"]) for row in some)
                    more = {"layers": layers, "transformations": max(row["transformations"] for row in some)}
                    self.parts.append(self._mean(some) | more)

    def _laws(self) -> pd.DataFrame:
        rows = []
        turns = [name for of in self.members.values() for name in of if name in ROTATIONS]
        if "linear" in (self.measures or columns.LADDER):
            for layer, (first, second) in product(self.layers["layer"], product(turns, repeat=2)):
                angle = (int(first[3:]) + int(second[3:])) % 360
                if not angle or f"rot{angle}" in turns:
                    direct = float(self.random.uniform(0.5, 0.9)) if angle else 1.0
                    rows.append((layer, first, second, f"rot{angle}" if angle else "identity", direct * 0.9, direct))
        return pd.DataFrame(rows, columns=list(columns.LAW_COLUMNS)).astype({"composed": float, "direct": float})


def _layers(names: Sequence[str], channels: int) -> pd.DataFrame:
    count = len(names)
    maps = [part for place, part in enumerate(columns.PARTS[:3]) for _ in range((count - place + 2) // 3)]
    stride = [2 ** min(place, 5) for place in range(count)]
    size = [max(32 // step, 3) for step in stride] + [1, 1]
    table = pd.DataFrame(
        {
            "layer": [*names, "pool", "final"],
            "part": [*maps, "pool", "final"],
            "type": ["Conv2d"] * count + ["AdaptiveAvgPool2d", "Linear"],
            "index": range(count + 2),
            "channels": channels,
            "height": size,
            "width": size,
            "stride_y": [*stride, None, None],
            "stride_x": [*stride, None, None],
            "dead": [1, *[0] * (count + 1)],
            "dimension": np.linspace(channels, 1.5, count + 2),
        }
    )
    return table.astype({"stride_y": "Int64", "stride_x": "Int64"})[list(columns.LAYER_COLUMNS)]


def _manifest(
    model: str, members: Mapping[str, Sequence[str]], scopes: Sequence[str], alignments: Sequence[str],
    measures: Sequence[str] | None, images: int, intervals: bool, seed: int,
) -> Row:  # fmt: skip
    options = {
        "transformations": {family: list(of) for family, of in members.items()},
        "measures": None if measures is None else list(measures),
        "scopes": list(scopes), "similarity": "pearson", "negative": "clip", "alignment": alignments[-1],
        "registration_images": 64, "intervals": intervals, "seed": seed, "layers": None, "strides": None,
        "layouts": None, "precision": "float32", "memory": None, "batch_size": 8, "device": "cpu",
        "distributed": False,
    }  # fmt: skip
    if "shifts" in members:
        options |= {"fill": "zero", "size": None, "subpixel": "linear"}
    return {
        "model": model,
        "network": "Example",
        "weights": {"source": "the model's own", "sha256": "0" * 64},
        "data": {"kind": "example", "fingerprint": f"abc{seed}", "fingerprint_in_order": f"abc{seed}"},
        "preprocessing": "as the images were given",
        "images_left_out": [],
        "images": images,
        "statistics_estimated_on": 0,
        "image_shape": [3, 32, 32],
        "options": options,
        "layers_left_out": [],
        "versions": {"equiscope": "0.2.0"},
        "alignments": alignments,
    }


def _partner(name: str, channel: int, count: int) -> int:
    """Under rotations, channels 0 to 3 form a cycle and the others are their own; else the next channel."""
    if name in ROTATIONS:
        return (channel + int(name[3:]) // 90) % 4 if count >= 4 and channel < 4 else channel
    return (channel + 1) % count


def _interpolated(name: str, stride: Any) -> bool:
    return name.startswith("shift(") and not pd.isna(stride) and int(name[6:].split(",")[0]) % stride != 0


def _interval(row: Row) -> Row:
    """The ends of both intervals: the score and the explained share, and what the replicates say of each."""
    ends = {}
    for place, (value, low, high) in enumerate(
        (("score", "low", "high"), ("explained", "explained_low", "explained_high"))
    ):
        units = row["replicates"][:, place]
        half = NAN
        if len(units) == GROUPS:
            spread = np.square(units - units.mean()).sum()
            half = float(OF_STUDENT * np.sqrt((GROUPS - 1) / GROUPS * spread))
        elif len(units):
            half = float(OF_NORMAL * units.std() / np.sqrt(len(units)))
        ends[low] = NAN if np.isnan(half) else max(row[value] - half, 0.0)
        ends[high] = NAN if np.isnan(half) else min(row[value] + half, 1.0)
    return ends


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """With the types of its columns, where it has no rows as well."""
    return table.astype({"subpixel": bool, "replicate": "int64", "score": float, "explained": float})


def shuffled(scores: Scores, seed: int = 0) -> Scores:
    """The same tables with their rows in another order."""
    tables: Iterable[tuple[str, pd.DataFrame]] = scores.to_pandas().items()
    mixed = {name: table.sample(frac=1, random_state=seed).reset_index(drop=True) for name, table in tables}
    return Scores(**mixed, manifest=scores.manifest, maps=scores.maps)


def assert_contract(scores: Scores) -> None:
    """What holds for every result: columns, unique keys, and each measure contains the one before."""
    for name, table in scores.to_pandas().items():
        assert [column for column in columns.TABLES[name] if column not in table] == [], name
        assert not table.duplicated(list(columns.UNIQUE[name])).any(), name
    keys = ["layer", *columns.KEYS]
    assert len(scores.replicates[keys].drop_duplicates().merge(scores.scores, on=keys)) == len(
        scores.replicates[keys].drop_duplicates()
    )
    for by, table in (("layer", scores.scores), ("part", scores.parts)):
        labels = [by, *(key for key in columns.KEYS if key != "measure")]
        for value in ("score", "explained"):
            wide = table.pivot(index=labels, columns="measure", values=value)
            _assert_ladder(wide)
        known = table["low"].notna()
        assert (table.loc[known, "low"] <= table.loc[known, "score"]).all()
        assert (table.loc[known, "score"] <= table.loc[known, "high"]).all()
    _assert_ladder(scores.channels)
    _assert_ladder(scores.channels.filter(like="explained_").rename(columns=lambda name: name[len("explained_") :]))


def _assert_ladder(wide: pd.DataFrame, tolerance: float = 1e-6) -> None:
    for one, other in zip(columns.LADDER, columns.LADDER[1:], strict=False):
        if one in wide and other in wide:
            both = wide[[one, other]].dropna()
            assert (both[one] <= both[other] + tolerance).all(), (one, other)
