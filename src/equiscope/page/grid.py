"""Where the centres of a network's grids of positions lie, in words."""

from html import escape
from math import lcm

import numpy as np

from equiscope.functional.transformation_names import SINGLE
from equiscope.results.columns import FILLED
from equiscope.results.scores import Scores

MOST_PIXELS = 1024  # that sizes repeat after, and that are told


def grid_centre(scores: Scores) -> str:
    """What the strides and the offsets found tell of the grids' centres; empty where nothing acts about a centre."""
    members = [one for of in scores.manifest["options"]["transformations"].values() for one in of]
    turning = [one for one in members if one != "identity" and not one.startswith("shift(")]
    known = [one for one in turning if FILLED.match(one) or one in SINGLE]
    height, width = (scores.manifest.get("image_shape") or [0, 0, 0])[-2:]
    sizes = _sizes(scores, int(width)) if height == width else ""
    found = " ".join(filter(None, [sizes, _offsets(scores)])) if known else ""
    return f"<p>{found}</p>" if found else ""


def _sizes(scores: Scores, size: int) -> str:
    """At which sizes grids of such strides are symmetric, where this is none of them."""
    strides = scores.layers["stride_x"].dropna().astype(float)
    whole = [int(one) for one in strides if one >= 1 and one == int(one)]
    period = lcm(1, *whole)
    if period == 1 or period > MOST_PIXELS or size % period == 1:
        return ""
    near = [place for more in (-1, 0, 1) if (place := period * (size // period + more) + 1) > 0]
    return (
        f"The images have {size} pixels a side. Grids whose strided windows have an odd size, as most convolutions’, "
        f"lie symmetrically at {period} <var>k</var> + 1 pixels, such as {', '.join(map(str, near))}; at "
        "other sizes a rotated or mirrored map is moved by up to a position. Filters that were trained at one size may "
        "have another centre. <code>equiscope layers --sizes</code> tries any network."
    )


def _offsets(scores: Scores) -> str:
    """How far the layers' own centres were found to lie off."""
    rows = scores.scores.dropna(subset=["offset_y", "offset_x"])
    if rows.empty:
        return ""
    moves = np.hypot(*rows[["offset_y", "offset_x"]].to_numpy(dtype=float).T)
    largest = rows.iloc[int(moves.argmax())]
    return (
        f"Registered on the images, rotated and mirrored maps had to be moved by {np.median(moves):.2f} positions "
        f"(median), by {moves.max():.2f} at most (<code>{escape(str(largest['layer']))}</code> under "
        f"{escape(str(largest['transformation']))})."
    )
