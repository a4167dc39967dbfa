"""The style of figures: colours for every eye, marks without colour, files that are the same at any time."""

from io import BytesIO
from itertools import combinations, product
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from drawn import drawable
from equiscope.figures.channels import plot_channels
from equiscope.figures.epochs import plot_epochs
from equiscope.figures.layers import plot_layers
from equiscope.figures.parts import plot_parts
from equiscope.figures.style import (
    MEASURE_COLOURS,
    MEASURE_LOOKS,
    PART_COLOURS,
    PART_LOOKS,
    SERIES_COLOURS,
    Plot,
    series_look,
)
from equiscope.figures.transformations import plot_transformations
from equiscope.results.columns import LADDER, MEASURES, PARTS
from equiscope.results.scores import Scores
from equiscope.results.shares import COLOURS

KIND = ("pdf", "png")


@pytest.fixture(scope="module")
def scores() -> Scores:
    return drawable()


def test_every_measure_and_every_part_has_a_look() -> None:
    assert tuple(MEASURE_LOOKS) == MEASURES and tuple(PART_LOOKS) == PARTS


def test_a_measure_and_a_part_have_one_look_everywhere(scores: Scores) -> None:
    for draw in (plot_layers, plot_parts, plot_channels):
        for axes, measure in product(draw(scores, transformation="rotations").axes, LADDER):
            line = next(line for line in axes.get_lines() if line.get_label() == measure)
            assert line.get_color() == MEASURE_COLOURS[measure]
            assert line.get_marker() == MEASURE_LOOKS[measure].marker
    parts = scores.parts[scores.parts["transformation"].isin(scores.families)].assign(epoch=1)
    for figure in (plot_transformations(scores), plot_epochs(parts)):
        for axes, (part, colour) in product(figure.axes, PART_COLOURS.items()):
            lines = [line for line in axes.get_lines() if line.get_label() == part]
            assert [(line.get_color(), line.get_marker()) for line in lines] == [(colour, PART_LOOKS[part].marker)]


PALETTE = [*dict.fromkeys(MEASURE_COLOURS.values()), *PART_COLOURS.values(), *SERIES_COLOURS, COLOURS["lost"]]
EYES = {  # Viénot, Brettel and Mollon 1999, on linear RGB
    "all cones": np.eye(3),
    "no long-wave cones": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "no middle-wave cones": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


@pytest.mark.parametrize("eye", EYES.values(), ids=EYES)
def test_every_colour_has_one_meaning_for_every_eye(eye: np.ndarray) -> None:
    def seen(colour: str) -> np.ndarray:
        """CIE L*a*b* of the colour, as this eye sees it."""
        encoded = np.array(matplotlib.colors.to_rgb(colour))
        linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
        linear = np.clip(np.asarray(eye) @ linear, 0, 1)
        to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        x, y, z = np.array(to_xyz) @ linear / [0.9505, 1, 1.089]
        f = [t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in (x, y, z)]
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    assert min(np.linalg.norm(seen(one) - seen(other)) for one, other in combinations(PALETTE, 2)) > 10


def test_without_colour_series_are_distinguished_by_their_marks() -> None:
    assert len({look.marker for look in PART_LOOKS.values()}) == len(PART_LOOKS)
    assert len({(look.marker, look.filled, look.line) for look in MEASURE_LOOKS.values()}) == len(MEASURE_LOOKS)
    assert len({(look.line, look.filled) for look in MEASURE_LOOKS.values()}) == len(MEASURE_LOOKS)  # of epochs
    assert len({(look.colour, look.marker) for look in map(series_look, range(70))}) == 70
    assert len({look.marker for look in map(series_look, range(10))}) == 10


def test_nothing_global_is_heeded_or_changed(scores: Scores) -> None:
    stream = BytesIO()
    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "black", "pdf.fonttype": 3}):
        before = list(dict.items(matplotlib.rcParams))  # as they are: a look at the backend would choose one
        figure = plot_parts(scores)
        figure.savefig(stream, format="pdf")
        assert list(dict.items(matplotlib.rcParams)) == before
    assert figure.axes[0].get_facecolor() == (1, 1, 1, 1)
    assert stream.getvalue() == plot_parts(scores).pdf()
    assert isinstance(figure, Plot) and figure._repr_png_() == figure.png()


def test_a_figure_is_saved_as_what_its_path_says_or_both(scores: Scores, tmp_path: Path) -> None:
    figure = plot_parts(scores)
    assert figure.save(tmp_path / "new" / "resnet18.a1") == [tmp_path / f"new/resnet18.a1.{kind}" for kind in KIND]
    assert figure.save(str(tmp_path / "one.PDF")) == [tmp_path / "one.PDF"]
    assert (tmp_path / "one.PDF").read_bytes() == (tmp_path / "new/resnet18.a1.pdf").read_bytes() == figure.pdf()
    assert (tmp_path / "new/resnet18.a1.png").read_bytes() == figure.png()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "one.PDF"]
    with pytest.raises(ValueError, match=r"^A figure is written as \.pdf or \.png, or both, but not as \.svg"):
        figure.save("a.svg")
