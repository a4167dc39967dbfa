"""What several tests of the studies share: data that looks like the hub's, and figures and studies made once."""

import pandas as pd
import pytest

from digits import digits
from equiscope_studies import known_answers
from equiscope_studies.figures import figure3

FILES = ["data.parquet", "figure.pdf", "figure.png", "page.md"]


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory):
    """A folder of data with digits alone."""
    return digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def read():
    """The numbers and the words of a figure's folder, after checking that it holds what it should and no more."""

    def contents(folder):
        assert sorted(path.name for path in folder.iterdir()) == FILES
        assert all(0 < path.stat().st_size < 400_000 for path in folder.iterdir())
        assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / "figure.pdf").read_bytes().startswith(b"%PDF")
        return pd.read_parquet(folder / "data.parquet"), (folder / "page.md").read_text()

    return contents


@pytest.fixture(scope="session")
def of_figure3(tmp_path_factory, read):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_answers, "SETTINGS", known_answers.Settings(networks=2))
        return read(figure3(tmp_path_factory.mktemp("figures") / "figure3", images=4))
