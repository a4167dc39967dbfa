"""A place to measure in, and measurements and drawings that cost nothing."""

from pathlib import Path
from types import SimpleNamespace

import pytest

import equiscope as es
from equiscope.figures import kinds
from equiscope.networks.identity import Answer
from example import example_scores
from terminal import network_file, pictures

BROKEN = [f"broken{number}.png" for number in range(6)]


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder with a network, pictures and files that are none, in a path with a space in it."""
    folder = tmp_path_factory.mktemp("a place")
    network_file(folder / "my code")
    pictures(folder / "pictures", good=6, broken=BROKEN)
    pictures(folder / "good", good=3)
    return folder


@pytest.fixture
def inside(place, monkeypatch):
    monkeypatch.chdir(place)


@pytest.fixture
def measurements(monkeypatch):
    """Example scores in place of measured ones: what each measurement was asked for, in order."""
    asked = []

    def measure(model, images, transformations, **options):
        count = sum(len(batch) for batch in images)
        asked.append(options | {"model": model, "transformations": transformations, "images": count})
        scores = example_scores(images=count, scopes=options["scoring"].scopes)
        scores.manifest["data"] |= images.contents_read().fingerprints()
        scores.manifest["answer"] = Answer.of(model.model, (3, *model.preprocessing.size)).record()
        return scores

    monkeypatch.setattr(es, "measure", measure)
    return asked


@pytest.fixture
def undrawn(monkeypatch):
    """Figures and reports that are a word in their file."""

    def save(path):
        files = [Path(f"{path}{suffix}") for suffix in (".pdf", ".png")]
        for file in files:
            file.write_text("a figure")
        return files

    monkeypatch.setattr(kinds, "headline", lambda scores: SimpleNamespace(save=save))
    monkeypatch.setattr(es, "plot_comparison", lambda *given, **named: SimpleNamespace(save=save), raising=False)
    monkeypatch.setattr(es, "report", lambda scores, file: Path(file).write_text("a report"), raising=False)
