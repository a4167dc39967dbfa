"""`Scores`: what a measurement found, as tables, and how it was found, as a manifest."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from equiscope.results.columns import PARTS, SCOPES, TABLES
from equiscope.results.losses import losses_of
from equiscope.results.maps import Maps
from equiscope.results.orbits import orbits_of
from equiscope.results.rows import in_order, measures_in, overall
from equiscope.results.summary import summary_html, summary_text
from equiscope.system.errors import OptionError, known
from equiscope.system.files import path_of

if TYPE_CHECKING:
    import xarray

BY = ("layer", "part")
SIDE_BY_SIDE = ("score", "low", "high", "in_sample", "chance", "ceiling", "explained")  # of each measure, in `table`


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """Every score of a measurement, with its interval, its chance level and the share of variance it explains.

    The tables are those of the output folder: `scores` (a row per layer, transformation or family, measure, scope and
    alignment), `parts` (the same per part of the network), `channels`, `layers`, `laws` (the group law), and
    `replicates` (what the intervals are made of). Undefined scores are NaN. `manifest` says how they were made. `maps`
    are feature maps of a few images, where they were kept (`measure(..., maps=2)`). `baseline` holds the scores of the
    same network, randomly initialised, where it was measured too (`measure(..., baseline=...)`). `metrics` is the table
    of other tools' measures (`equiscope.metrics`), where it was made.
    """

    scores: pd.DataFrame
    parts: pd.DataFrame
    channels: pd.DataFrame
    layers: pd.DataFrame
    laws: pd.DataFrame
    replicates: pd.DataFrame
    manifest: dict[str, Any]
    maps: Maps | None = None
    baseline: "Scores | None" = None
    metrics: pd.DataFrame | None = None

    @property
    def families(self) -> list[str]:
        """The families measured, and single transformations outside any."""
        return list(self.manifest["options"]["transformations"])

    @property
    def orbits(self) -> pd.DataFrame:
        """Channels that map onto each other under 90, 180 and 270 degrees in turn, a row a channel.

        Columns: `layer`, `alignment`, `orbit`, `turn`, `channel`, `equivariance` (under 90 degrees). No row where not
        all three rotations were measured.
        """
        return orbits_of(self.channels)

    def table(
        self,
        by: str = "layer",
        *,
        transformation: str | None = None,
        scope: str = "dataset",
        alignment: str = "array",
    ) -> pd.DataFrame:
        """A row per layer (or `by="part"`) and family, with the measures side by side.

        Columns: `layer`, `part`, `transformation` (`part`, `layers`, `transformation`), then for each measure its score
        under the measure's own name, and `_low`, `_high`, `_in_sample`, `_chance`, `_ceiling`, `_explained` behind it.
        `transformation` selects one, or one family. `OptionError` for what is unknown or was not measured.
        """
        known("by", by, BY)
        known("scope", scope, SCOPES)
        _measured("alignment", alignment, self.scores["alignment"])
        if transformation is not None:
            _measured("transformation", transformation, self.scores["transformation"])
        wanted = self.families if transformation is None else [transformation]
        source = self.scores if by == "layer" else self.parts
        chosen = (source["scope"] == scope) & (source["alignment"] == alignment)
        rows = overall(source[chosen & source["transformation"].isin(wanted)])
        keys = [by, "transformation"]
        wide = rows[keys].drop_duplicates()
        places = {by: self._places(by), "transformation": _numbered(wanted)}
        wide = wide.sort_values(keys, key=lambda names: names.map(places[str(names.name)]))
        if by == "layer":
            wide.insert(1, "part", wide["layer"].map(self.layers.set_index("layer")["part"]))
        else:
            wide = wide.join(rows.groupby(keys)["layers"].max(), on=keys)[["part", "layers", "transformation"]]
        for measure in measures_in(rows):
            values = rows[rows["measure"] == measure].set_index(keys)[list(SIDE_BY_SIDE)]
            values.columns = [measure if name == "score" else f"{measure}_{name}" for name in SIDE_BY_SIDE]
            wide = wide.join(values, on=keys)
        return wide.reset_index(drop=True)

    def losses(
        self, transformation: str | None = None, *, measure: str | None = None, alignment: str = "array"
    ) -> pd.DataFrame:
        """Which layer loses it: a row per family and layer that was measured alone, the one that loses most first.

        Columns: `transformation`, `measure`, `layer`, `part`; `explained`, the share of variance explained from the
        image on; `alone`, that of the layer by itself; `loses`, one less `alone`, with its 95 % confidence interval
        `loses_low` to `loses_high`. `transformation` selects one, or one family; `measure` is invariance, equivariance
        or linear, by default the last of these that was measured of layers alone. `OptionError` where none was.
        """
        return losses_of(self, transformation, measure, alignment)

    def _places(self, by: str) -> dict[str, int]:
        """The place of each layer in order of execution, or of each part."""
        return _numbered(in_order(self.layers)["layer"] if by == "layer" else PARTS)

    def to_pandas(self) -> dict[str, pd.DataFrame]:
        """The tables by name, as they are and as the output folder holds them."""
        return {table: getattr(self, table) for table in TABLES}

    def to_xarray(self) -> "xarray.Dataset":
        """The table of scores as an `xarray.Dataset` over layer, transformation, measure, scope and alignment.

        Its variables are the other columns of the table, a family's over all of its members; NaN where the table has no
        such row. What `layers` holds, such as `part`, is a coordinate of the layers, and the manifest an attribute, as
        JSON. Needs `pip install "equiscope[xarray]"`.
        """
        from equiscope.results.labelled_array import labelled_array  # which measuring does not need

        return labelled_array(self)

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write the output folder: tables and manifest, and maps, orbits, baseline and metrics where there are any.

        FileExistsError where it exists and is not empty, unless `force`: also where another run has written it
        meanwhile. The result is complete or absent, whenever the writing is interrupted.
        """
        from equiscope.results.folder import write  # parquet, which measuring does not need

        write(self, path_of(folder), force=force)

    def __repr__(self) -> str:
        model, images = self.manifest["model"], self.manifest["images"]
        return f"<Scores of {model}: {images} images, {len(self.layers)} layers, {', '.join(self.families)}>"

    def __str__(self) -> str:
        return summary_text(self)

    def _repr_html_(self) -> str:
        return summary_html(self)


def _numbered(names: Any) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _measured(option: str, value: str, there: "pd.Series[Any]") -> None:
    """`OptionError` unless the value is in the column of what was measured."""
    names = list(dict.fromkeys(there))
    if value not in names:
        sentence = "{" + option + "}{given!r} was not measured; there is {names}."
        raise OptionError(sentence, given=value, names=", ".join(names))
