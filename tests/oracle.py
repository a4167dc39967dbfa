"""The definitions of measurement.md as plain float64 loops: what the library is tested against.

Nothing here comes from the library. Speed is given up for a text that can be held beside the page. The bootstrap of
the `image` scope draws its own resamples, so its intervals agree with the library's only statistically; everything
else should agree to rounding.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np
from scipy import stats

MEASURES = ("invariance", "equivariance")
FEWEST_SAMPLES = {"dataset": 4, "image": 9}
GROUPS = 10
FEWEST_IMAGES = 20  # for a jackknife
RESAMPLES = 1000
CONSTANT = 1e-6  # of the uncentred norm
HIGHEST_CHANCE = 0.99
ROUNDING = 1e-12  # similarities this close are tied

# Where (T X)[y, x] comes from, in an array of n rows and m columns.
SOURCES: dict[str, Callable[[int, int, int, int], tuple[int, int]]] = {
    "identity": lambda y, x, n, m: (y, x),
    "rot90": lambda y, x, n, m: (x, m - 1 - y),
    "rot180": lambda y, x, n, m: (n - 1 - y, m - 1 - x),
    "rot270": lambda y, x, n, m: (n - 1 - x, y),
    "hflip": lambda y, x, n, m: (y, m - 1 - x),
    "vflip": lambda y, x, n, m: (n - 1 - y, x),
    "transpose": lambda y, x, n, m: (x, y),
    "antitranspose": lambda y, x, n, m: (m - 1 - x, n - 1 - y),
}
SWAPS_AXES = ("rot90", "rot270", "transpose", "antitranspose")


# Transformations


def on_pixels(images: np.ndarray, name: str, fill: str = "zero") -> np.ndarray:
    """The images transformed, [image, channel, height, width].

    (T X)[y, x] = X[y - dy, x - dx] for `shift(dy,dx)`, the table of sources for the others. What enters at the border
    of a shift: `zero`, `reflect` (the border pixel is not repeated) or `wrap`.

    >>> on_pixels(np.array([[[[1, 2], [3, 4]]]]), "rot90")[0, 0].tolist()
    [[2.0, 4.0], [1.0, 3.0]]
    >>> on_pixels(np.array([[[[1, 2, 3]]]]), "shift(0,1)", fill="reflect")[0, 0].tolist()
    [[2.0, 1.0, 2.0]]
    """
    moved = _moved_by(name)
    if moved is None:
        return _turned(images, name)
    dy, dx = moved
    height, width = images.shape[-2:]
    result = np.zeros(images.shape)
    for y in range(height):
        for x in range(width):
            source_y, source_x = _filled(y - dy, height, fill), _filled(x - dx, width, fill)
            if source_y is not None and source_x is not None:
                result[:, :, y, x] = images[:, :, source_y, source_x]
    return result


def on_cells(
    maps: np.ndarray, name: str, stride: tuple[int, int] | None, subcell: str = "linear"
) -> tuple[np.ndarray, np.ndarray]:
    """The maps T'_g f(X), [image, channel, h, w], and the cells where they are valid, [h, w].

    A shift of d pixels moves by d / stride cells. A cell is valid where its source lies in [0, h-1] x [0, w-1]; what
    is not valid is NaN. `exact` leaves a fractional shift out: no cell is valid.

    >>> on_cells(np.array([[[[0, 2, 4]]]]), "shift(0,1)", (2, 2))
    (array([[[[nan,  1.,  3.]]]]), array([[False,  True,  True]]))
    """
    height, width = maps.shape[-2:]
    if _moved_by(name) is None:
        return _turned(maps, name), np.ones((height, width), bool)
    expected = np.full(maps.shape, np.nan)
    valid = np.zeros((height, width), bool)
    if _is_left_out(name, stride, subcell):
        return expected, valid
    dy, dx = _moved_by_cells(name, stride)
    if subcell == "round":
        dy, dx = _nearest(dy), _nearest(dx)
    for y in range(height):
        for x in range(width):
            source_y, source_x = y - dy, x - dx
            if 0 <= source_y <= height - 1 and 0 <= source_x <= width - 1:
                valid[y, x] = True
                expected[:, :, y, x] = _bilinear(maps, source_y, source_x)
    return expected, valid


def _moved_by(name: str) -> tuple[int, int] | None:
    if name in SOURCES:
        return None
    shift = re.fullmatch(r"shift\((-?\d+)(?:, *(-?\d+))?\)", name)
    if shift is None:
        raise ValueError(f"unknown transformation {name!r}; known: {', '.join(SOURCES)}, shift(dy,dx)")
    dy, dx = shift[1], shift[2] or shift[1]  # a single number is the diagonal
    return int(dy), int(dx)


def _moved_by_cells(name: str, stride: tuple[int, int] | None) -> tuple[Fraction, Fraction]:
    if stride is None:
        raise ValueError(f"{name} needs a stride")
    dy, dx = _moved_by(name)
    return Fraction(dy) / Fraction(stride[0]), Fraction(dx) / Fraction(stride[1])


def _is_left_out(name: str, stride: tuple[int, int] | None, subcell: str) -> bool:
    if subcell not in ("linear", "exact", "round"):
        raise ValueError(f"unknown subcell {subcell!r}; known: linear, exact, round")
    if subcell != "exact" or _moved_by(name) is None:
        return False
    return any(cells.denominator != 1 for cells in _moved_by_cells(name, stride))


def _turned(array: np.ndarray, name: str) -> np.ndarray:
    height, width = array.shape[-2:]
    if name in SWAPS_AXES and height != width:
        raise ValueError(f"{name} needs a square, not {height} x {width}: crop it")
    result = np.empty(array.shape)
    for y in range(height):
        for x in range(width):
            source_y, source_x = SOURCES[name](y, x, height, width)
            result[:, :, y, x] = array[:, :, source_y, source_x]
    return result


def _filled(index: int, size: int, fill: str) -> int | None:
    if fill == "zero":
        return index if 0 <= index < size else None
    if fill == "wrap":
        return index % size
    if fill == "reflect":
        while size > 1 and not 0 <= index < size:
            index = -index if index < 0 else 2 * (size - 1) - index
        return index if size > 1 else 0
    raise ValueError(f"unknown fill {fill!r}; known: zero, reflect, wrap")


def _nearest(cells: Fraction) -> Fraction:
    """The nearest whole number, halves away from zero."""
    size = floor(abs(cells) + Fraction(1, 2))
    return Fraction(size if cells > 0 else -size)


def _bilinear(maps: np.ndarray, y: Fraction, x: Fraction) -> np.ndarray:
    top, left = floor(y), floor(x)
    result = np.zeros(maps.shape[:2])
    for row, row_weight in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, column_weight in ((left, 1 - (x - left)), (left + 1, x - left)):
            weight = float(row_weight * column_weight)
            if weight > 0:  # a neighbour of weight 0 may lie outside
                result += weight * maps[:, :, row, column]
    return result


# Similarity


def _samples(maps: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The valid cells of all the images together, [channel, sample]."""
    images, channels = maps.shape[:2]
    return np.stack(
        [np.concatenate([maps[image, channel][valid] for image in range(images)]) for channel in range(channels)]
    )


def _directions(samples: np.ndarray, similarity: str) -> np.ndarray:
    """The channels scaled to norm 1, [channel, sample], so that S is a sum of products; NaN where S is undefined.

    `pearson` centres them first. Undefined: a constant channel, or for `cosine` one of zeros.
    """
    result = np.full(samples.shape, np.nan)
    for channel, values in enumerate(samples):
        if similarity == "pearson":
            centred = values - values.mean()
            is_defined = np.sqrt(np.sum(centred**2)) > CONSTANT * np.sqrt(np.sum(values**2))
        elif similarity == "cosine":
            centred = values
            is_defined = np.any(values != 0)
        else:
            raise ValueError(f"unknown similarity {similarity!r}; known: pearson, cosine")
        if is_defined:
            result[channel] = centred / np.sqrt(np.sum(centred**2))
    return result


def _similarities(turned: np.ndarray, still: np.ndarray, similarity: str, fewest: int) -> np.ndarray:
    """S of every pair, [channel turned, channel still]; NaN where either is undefined, or samples too few."""
    channels, samples = turned.shape
    if samples < fewest:
        return np.full((channels, channels), np.nan)
    a, b = _directions(turned, similarity), _directions(still, similarity)
    # Sums and no matrix product: BLAS may give two equal channels unequal similarities, and so break a tie.
    return np.stack([np.sum(a[channel] * b, axis=1) for channel in range(channels)])


# Measures


@dataclass(frozen=True)
class _Measured:
    """The measures of each channel on each unit, [unit, channel]; a unit is one image, or many taken together."""

    invariance: np.ndarray
    equivariance: np.ndarray
    partner: np.ndarray  # -1 where equivariance is undefined


@dataclass(frozen=True)
class _Sides:
    """The two sides of S, image by image; `left_out` where `exact` leaves the transformation out."""

    turned: np.ndarray  # f(T_g X), [image, channel, h, w]
    still: np.ndarray  # f(X)
    expected: np.ndarray  # T'_g f(X)
    valid: np.ndarray  # [h, w]
    left_out: bool

    def mismatched(self) -> "_Sides":
        """Image i transformed (2..N) against image i - 1 not transformed (1..N-1)."""
        return _Sides(self.turned[1:], self.still[:-1], self.expected[:-1], self.valid, self.left_out)


@dataclass(frozen=True)
class _Options:
    similarity: str
    strict: bool
    negative: str


def _measured(sides: _Sides, units: list[np.ndarray], fewest: int, options: _Options) -> _Measured:
    channels = sides.turned.shape[1]
    invariance = np.full((len(units), channels), np.nan)
    equivariance = np.full((len(units), channels), np.nan)
    partner = np.full((len(units), channels), -1)
    for unit, images in enumerate(units):
        if sides.left_out or len(images) == 0:
            continue
        invariance[unit], equivariance[unit], partner[unit] = _unit_measured(sides, images, fewest, options)
    return _Measured(invariance, equivariance, partner)


def _unit_measured(
    sides: _Sides, images: np.ndarray, fewest: int, options: _Options
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Invariance (Eq. 4, with T'_g unless strict), equivariance (Eq. 7) and partner of each channel."""
    turned = _samples(sides.turned[images], sides.valid)
    expected = _samples(sides.expected[images], sides.valid)
    pairs = _similarities(turned, expected, options.similarity, fewest)
    own = np.diagonal(pairs)
    if options.strict:
        everywhere = np.ones_like(sides.valid)
        turned, still = _samples(sides.turned[images], everywhere), _samples(sides.still[images], everywhere)
        own = np.diagonal(_similarities(turned, still, options.similarity, fewest))

    if options.negative == "abs":
        pairs, own = np.abs(pairs), np.abs(own)

    channels = len(pairs)
    best = np.full(channels, np.nan)
    partner = np.full(channels, -1)
    for channel in range(channels):
        candidates = np.flatnonzero(~np.isnan(pairs[channel]))
        if len(candidates) > 0:
            best[channel] = np.max(pairs[channel, candidates])
            is_best = pairs[channel, candidates] >= best[channel] - ROUNDING
            partner[channel] = candidates[is_best][0]

    if options.negative == "clip":
        own, best = np.maximum(own, 0), np.maximum(best, 0)  # NaN stays NaN
    return own, best, partner


# Scores


@dataclass(frozen=True)
class LayerScores:
    """A layer's scores under each transformation and their family.

    Attributes:
        rows: (transformation or family, measure, scope) -> score, low, high, chance, corrected, corrected_low,
            corrected_high, images, undefined, transformations.
        channels: (transformation, scope) -> invariance, equivariance, partner, chance_invariance,
            chance_equivariance, defined: an array over channels each.
        replicates: (transformation or family, measure, scope) -> the score of each image, or the score without each
            group (all NaN where there is no jackknife).
    """

    rows: dict[tuple[str, str, str], dict[str, float]]
    channels: dict[tuple[str, str], dict[str, np.ndarray]]
    replicates: dict[tuple[str, str, str], np.ndarray]


@dataclass(frozen=True)
class _Scoped:
    """All that is measured of one transformation in one scope."""

    measured: _Measured  # the scope's units: every image alone, or one unit of all images
    chance: _Measured  # the same, of mismatched images
    without_group: _Measured  # ten units of all images but a tenth


def layer_scores(
    still: np.ndarray,
    turned: dict[str, np.ndarray],
    stride: tuple[int, int] | None,
    *,
    family: str,
    vector: bool = False,
    similarity: str = "pearson",
    strict: bool = False,
    negative: str = "clip",
    subcell: str = "linear",
    chance: bool = True,
    intervals: bool = True,
    seed: int = 0,
) -> LayerScores:
    """The scores of f(X), `still`, against each f(T_g X), `turned`, all [image, channel, h, w], in both scopes.

    The `image` scope's low and high are a bootstrap with this function's own resamples: they agree with another
    implementation's only statistically. NaN: a score with no defined channel, chance and corrected without `chance`
    or where chance is above .99, a dataset interval of fewer than 20 images.

    >>> maps = np.arange(60.0).reshape(5, 1, 3, 4) ** 2
    >>> scores = layer_scores(maps, {"identity": maps}, None, family="all")
    >>> round(scores.rows["identity", "invariance", "dataset"]["score"], 6)
    1.0
    """
    if negative not in ("clip", "keep", "abs"):
        raise ValueError(f"unknown negative {negative!r}; known: clip, keep, abs")
    options = _Options(similarity, strict, negative)
    names = list(turned)
    channels, rows, replicates = {}, {}, {}
    for scope, fewest in FEWEST_SAMPLES.items():
        scoped = {}
        for name in names:
            sides = _sides(still, turned[name], name, stride, vector=vector, subcell=subcell)
            scoped[name] = _scoped(sides, scope, fewest, options, chance=chance, intervals=intervals)
            channels[name, scope] = _channel_arrays(scoped[name])
        for row, members in [(name, [name]) for name in names] + [(family, names)]:
            for measure in MEASURES:
                key = row, measure, scope
                rows[key], replicates[key] = _row([scoped[member] for member in members], measure, scope, len(still))
                if intervals:
                    low, high = _interval(rows[key]["score"], replicates[key], scope, negative, seed)
                    rows[key] |= {"low": low, "high": high}
                for end, corrected in (("low", "corrected_low"), ("high", "corrected_high")):
                    rows[key][corrected] = _corrected(rows[key][end], rows[key]["chance"])
    return LayerScores(rows, channels, replicates)


def part_rows(layers: list[LayerScores]) -> dict[tuple[str, str, str], dict[str, float]]:
    """A part's score, chance and corrected under the keys of `rows`: means over the layers that have one."""
    result = {}
    for key in dict.fromkeys(key for layer in layers for key in layer.rows):
        rows = [layer.rows[key] for layer in layers if key in layer.rows]
        score = float(_mean(np.array([row["score"] for row in rows])))
        chance = float(_mean(np.array([row["chance"] for row in rows])))
        result[key] = {"score": score, "chance": chance, "corrected": _corrected(score, chance)}
    return result


def _sides(
    still: np.ndarray, turned: np.ndarray, name: str, stride: tuple[int, int] | None, *, vector: bool, subcell: str
) -> _Sides:
    if vector:
        return _Sides(turned, still, still, np.ones(still.shape[-2:], bool), False)
    expected, valid = on_cells(still, name, stride, subcell)
    return _Sides(turned, still, expected, valid, _is_left_out(name, stride, subcell))


def _units(images: int, scope: str) -> list[np.ndarray]:
    return [np.arange(images)] if scope == "dataset" else [np.array([image]) for image in range(images)]


def _scoped(sides: _Sides, scope: str, fewest: int, options: _Options, *, chance: bool, intervals: bool) -> _Scoped:
    images = len(sides.turned)
    mismatched = sides.mismatched()
    nothing = [np.array([], int)]  # a unit of no images is undefined
    has_jackknife = intervals and scope == "dataset" and images >= FEWEST_IMAGES
    places = np.arange(images)
    without_group = [places[places % GROUPS != group] for group in range(GROUPS)]
    return _Scoped(
        measured=_measured(sides, _units(images, scope), fewest, options),
        chance=_measured(mismatched, _units(images - 1, scope) if chance else nothing, fewest, options),
        without_group=_measured(sides, without_group if has_jackknife else nothing * GROUPS, fewest, options),
    )


def _channel_arrays(scoped: _Scoped) -> dict[str, np.ndarray]:
    measured, chance = scoped.measured, scoped.chance
    return {
        "invariance": _mean(measured.invariance),
        "equivariance": _mean(measured.equivariance),
        "partner": np.array([_most_frequent(partners) for partners in measured.partner.T]),
        "chance_invariance": _mean(chance.invariance),
        "chance_equivariance": _mean(chance.equivariance),
        "defined": np.sum(~np.isnan(measured.equivariance), axis=0),
    }


def _most_frequent(partners: np.ndarray) -> int:
    partners = partners[partners >= 0]
    return int(np.argmax(np.bincount(partners))) if len(partners) > 0 else -1


def _row(members: list[_Scoped], measure: str, scope: str, images: int) -> tuple[dict[str, float], np.ndarray]:
    """The row, with NaN for an interval, and its replicates: means over channels, then members, then units."""
    by_channel = np.stack([getattr(member.measured, measure) for member in members])  # [member, unit, channel]
    by_unit = _mean(by_channel, axis=2)
    score = _mean(_mean(by_unit, axis=0))
    chance = _mean(_score_of_unit(members, "chance", measure))
    is_defined = ~np.isnan(_mean(by_unit, axis=0))
    row = {
        "score": float(score),
        "low": np.nan,
        "high": np.nan,
        "chance": float(chance),
        "corrected": _corrected(float(score), float(chance)),
        "images": int(is_defined.sum()) if scope == "image" else images * int(is_defined[0]),
        "undefined": int(np.isnan(by_channel).sum()),
        "transformations": int(np.any(~np.isnan(by_unit), axis=1).sum()),
    }
    return row, _score_of_unit(members, "measured" if scope == "image" else "without_group", measure)


def _score_of_unit(members: list[_Scoped], which: str, measure: str) -> np.ndarray:
    """The mean over members of the mean over channels, [unit]."""
    return _mean(np.stack([_mean(getattr(getattr(member, which), measure), axis=1) for member in members]))


def _corrected(score: float, chance: float) -> float:
    if np.isnan(chance) or chance > HIGHEST_CHANCE:
        return np.nan
    return (score - chance) / (1 - chance)


def _interval(score: float, replicates: np.ndarray, scope: str, negative: str, seed: int) -> tuple[float, float]:
    if scope == "image":
        return _bootstrap_interval(replicates, seed)
    half_width = stats.t.ppf(0.975, GROUPS - 1) * np.sqrt(
        (GROUPS - 1) / GROUPS * np.sum((replicates - replicates.mean()) ** 2)
    )
    low, high = score - half_width, score + half_width
    if negative != "keep":
        low, high = np.clip([low, high], 0, 1)
    return float(low), float(high)


def _bootstrap_interval(replicates: np.ndarray, seed: int) -> tuple[float, float]:
    images = len(replicates)
    resamples = np.random.default_rng(seed).integers(images, size=(RESAMPLES, images))
    means = _mean(replicates[resamples], axis=1)
    means = means[~np.isnan(means)]
    if len(means) == 0:
        return np.nan, np.nan
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _mean(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """The mean of the defined values along an axis; NaN where there are none."""
    is_defined = ~np.isnan(values)
    count = is_defined.sum(axis)
    return np.where(count > 0, np.where(is_defined, values, 0).sum(axis) / np.maximum(count, 1), np.nan)
