"""What several tests share: where the real data is, and how to hand images to a network by hand."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data: `EQUISCOPE_DATA`, or `shared/data` beside the project."""
    folder = Path(os.environ.get("EQUISCOPE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set EQUISCOPE_DATA")
    return folder
