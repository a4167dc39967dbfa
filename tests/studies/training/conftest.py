"""A study and its runs, of few images, done once."""

import pytest

from equiscope_studies.training.runs import Place
from equiscope_studies.training.study import study

TOY = {
    "networks": ("convmixer-16x1",), "seeds": 1, "epochs": 1, "limit": 64, "batch": 64, "measured_images": 20,
    "measure_every": 1, "meanwhile": 20,
}  # fmt: skip


@pytest.fixture(scope="session")
def toy():
    """Changes of a preset that make a study of seconds."""
    return TOY


@pytest.fixture(scope="session")
def done(digits_folder, tmp_path_factory):
    """The folder of the study of data, with its three runs."""
    folder = tmp_path_factory.mktemp("study") / "data"
    place = Place(folder / "runs", digits_folder, threads=1)
    assert study("data", folder, changes=TOY, place=place, command="equiscope study data") == []
    return folder
