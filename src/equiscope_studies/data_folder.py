"""The folder of data: data sets and weights, which the user names once."""

import os
from pathlib import Path

from equiscope.system.files import path_of


def folder_of_data(data: Path | None) -> Path | None:
    """The folder given, or the one that EQUISCOPE_DATA names."""
    given = data or os.environ.get("EQUISCOPE_DATA")
    return path_of(given) if given else None
