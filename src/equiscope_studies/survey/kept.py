"""What the measurement of a network leaves in its folder: the scores of parts, and the manifest; some tens of KiB."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import equiscope as es
from equiscope.results.folder import FORMAT, MANIFEST, manifest_text
from equiscope.system.files import in_utf8
from equiscope.system.output_folder import written

PARTS_FILE = "parts.parquet"


@dataclass(frozen=True)
class Kept:
    """A measurement, as `Scores` has it: `parts` and `manifest`."""

    parts: pd.DataFrame
    manifest: Mapping[str, Any]

    @property
    def families(self) -> list[str]:
        """The families that were measured."""
        return list(self.manifest["options"]["transformations"])


def keep(scores: es.Scores, folder: Path) -> None:
    """Write the measurement, in place of what half of one is there."""
    with written(folder, force=True, last=MANIFEST) as aside:
        scores.parts.to_parquet(aside / PARTS_FILE)
        (aside / MANIFEST).write_bytes(in_utf8(manifest_text(scores)))


def kept(folder: Path) -> Kept:
    """The measurement of a folder that holds one; ValueError where an equiscope of other definitions wrote it."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest.get("format") != FORMAT:
        raise ValueError(f"{folder} was written by an older equiscope (it scored otherwise); measure again.")
    return Kept(pd.read_parquet(folder / PARTS_FILE), manifest)
