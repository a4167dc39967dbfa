"""The measures: how each looks in figures and pages, and what it is in words. A new one is a row of this table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

BLUE, VERMILION, BROWN, NAVY = "#0072B2", "#D55E00", "#6B3E12", "#08306B"

FOUND = "<var>f</var>(<var>T<sub>g</sub> X</var>)<sub><var>c</var></sub>"
EXPECTED = "<var>T′<sub>g</sub> f</var>(<var>X</var>)"
_FOUND_ALONE = "<var>f<sub>l</sub></var>(<var>T′<sub>g</sub> h</var>)<sub><var>c</var></sub>"
_EXPECTED_ALONE = "<var>T′<sub>g</sub> f<sub>l</sub></var>(<var>h</var>)"


@dataclass(frozen=True)
class Measure:
    """What is known of a measure where it is shown."""

    colour: str
    marker: str  # as Matplotlib names it
    dashes: tuple[float, ...]  # lengths of dashes and gaps in widths of the line; none: it is solid
    filled: bool
    formula: str  # as HTML
    meaning: str  # as HTML
    title: str = ""  # what it is called in full; by default by its name
    in_sample: bool = True  # it has a literal value, on the images that its partners were chosen on
    of_images: bool = False  # in the scope image it is a mean over images, whose interval is a bootstrap


_LADDER = {
    "invariance": Measure(
        BLUE, "o", (1.0, 1.2), False,
        f"<var>S</var>( {FOUND} , {EXPECTED}<sub><var>c</var></sub> )",
        "The channel stays itself, and only moves as the image moves.",
        of_images=True,
    ),
    "equivariance": Measure(
        VERMILION, "s", (), True,
        f"<var>S</var>( {FOUND} , {EXPECTED}<sub><var>p</var>(<var>c</var>)</sub> )",
        "Another channel of the layer, the partner <var>p</var>(<var>c</var>), moved as the image moves, gives what "
        "channel <var>c</var> gives of the transformed image. The score is cross-fitted: the images are divided into "
        "ten groups, and on each group the partner is the best channel of the other nine, so that the choice among "
        "many channels does not raise the score. It is never below invariance.",
    ),
    "linear": Measure(
        BROWN, "^", (4.0, 1.2, 1.0, 1.2), True,
        f"<var>S</var>( {FOUND} , ∑<sub><var>p</var></sub> <var>W<sub>pc</sub></var> "
        f"{EXPECTED}<sub><var>p</var></sub> )",
        "The measure <em>linear</em>. One linear map <var>W</var> of the layer’s channels, the same at every "
        "position, gives what channel <var>c</var> gives of the transformed image. It is fitted by ridge regression, "
        "towards the partner, on other images than it is scored on. A map predicts worse the fewer images it is "
        "fitted on; the score is extrapolated from maps fitted on nine tenths and on one half of the images. "
        "<em>Held out</em> is the share explained before that, a lower bound; where it is far below, more images are "
        "needed. By default not measured under shifts.",
        title="Linear equivariance",
        in_sample=False,
    ),
}  # fmt: skip


def _alone(measure: str, marker: str, dashes: tuple[float, ...], filled: bool, meaning: str) -> Measure:
    """A measure of the layer by itself: in the measure's colour, and with its formula."""
    of = _LADDER[measure]
    formula = of.formula.replace(FOUND, _FOUND_ALONE).replace(EXPECTED, _EXPECTED_ALONE)
    return replace(of, marker=marker, dashes=dashes, filled=filled, formula=formula, meaning=meaning, title="")


TABLE: Mapping[str, Measure] = _LADDER | {
    "strict_invariance": Measure(
        NAVY, "D", (1.0, 3.0), False,
        f"<var>S</var>( {FOUND} , <var>f</var>(<var>X</var>)<sub><var>c</var></sub> )",
        "The feature maps of the transformed image and of the image, compared where they are, at all positions.",
    ),
    "alone_invariance": _alone(
        "invariance", "d", (4.0, 2.0), False,
        "Invariance of the layer by itself: its module <var>f<sub>l</sub></var> is called again, on its own input "
        "<var>h</var> transformed. <var>T′<sub>g</sub></var> moves the positions of the input, and takes for each "
        "channel the one that matches it, its partner there. What earlier layers have lost is not counted.",
    ),
    "alone_equivariance": _alone(
        "equivariance", "D", (4.0, 2.0), True, "Equivariance of the layer by itself, likewise."
    ),
    "alone_linear": _alone(
        "linear", "v", (4.0, 1.2, 1.0, 1.2), False, "The measure linear of the layer by itself, likewise."
    ),
}  # fmt: skip
