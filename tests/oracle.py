"""The definitions of measurement.md in plain float64: what the library is tested against.

Nothing here comes from the library, and nothing is made of moments: every number is taken from the samples themselves,
concatenated, centred and multiplied anew for each set of images. Speed is given up for a text that can be held beside
the page. The `image` scope's interval of invariance is a bootstrap, which agrees with another implementation's only
statistically: it is left NaN here.

Groups: place in the data set modulo 10. "Fitted on" a set of images means correlations, norms and means of exactly
those images; what is then scored on a group is centred by the means of all images.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import floor

import numpy as np
from scipy import stats

FEWEST_SAMPLES = {"dataset": 4, "image": 9}
GROUPS = 10
FEWEST_IMAGES = 20  # for an interval
CONSTANT = 1e-6  # of the uncentred norm
ROUNDING = 1e-12  # similarities this close are tied
RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, np.inf)
VALUES = ("score", "in_sample", "chance", "explained", "held_out", "ceiling", "explained_ceiling")
SPLITS = ((0, 1, 2, 3, 4), (0, 2, 4, 6, 8), (0, 1, 4, 5, 8))  # one half of the groups; the rest is the other

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
    if (map := affine_map(name)) is not None:
        return _resampled(images, map, fill)
    moved = _moved_by(name)
    if moved is None:
        return _permuted(images, name)
    dy, dx = moved
    if (dy.denominator, dx.denominator) != (1, 1):
        if fill == "wrap":
            return _by_fourier(images, dy, dx)
        return _resampled(images, np.array([[1, 0, float(dy)], [0, 1, float(dx)]]), fill)
    dy, dx = int(dy), int(dx)
    height, width = images.shape[-2:]
    result = np.zeros(images.shape)
    for y in range(height):
        for x in range(width):
            source_y, source_x = _filled(y - dy, height, fill), _filled(x - dx, width, fill)
            if source_y is not None and source_x is not None:
                result[:, :, y, x] = images[:, :, source_y, source_x]
    return result


def on_positions(
    maps: np.ndarray,
    name: str,
    stride: tuple | None,
    subpixel: str = "linear",
    offset: tuple[float, float] = (0, 0),
) -> tuple[np.ndarray, np.ndarray]:
    """The maps T'_g f(X), [image, channel, h, w], and where they are valid, [h, w]; NaN elsewhere.

    A shift of d pixels moves by d / stride positions. A position is valid where its source lies in
    [0, h-1] x [0, w-1]. `exact` leaves a fractional shift out: no position is valid. A registered `offset`, down and
    right in positions, then moves the result bilinearly, and what is not valid with it.

    >>> on_positions(np.array([[[[0, 2, 4]]]]), "shift(0,1)", (2, 2))
    (array([[[[nan,  1.,  3.]]]]), array([[False,  True,  True]]))
    >>> on_positions(np.array([[[[0, 2, 4]]]]), "hflip", None, offset=(0, -0.5))
    (array([[[[ 3.,  1., nan]]]]), array([[ True,  True, False]]))
    """
    if (map := affine_map(name)) is not None:
        return _warped(maps, _of_positions(map, stride, offset), *_window_of(name, stride))
    if _moved_by(name) is None:
        expected, valid = _permuted(maps, name), np.ones(maps.shape[-2:], bool)
    elif _is_left_out(name, stride, subpixel):
        return np.full(maps.shape, np.nan), np.zeros(maps.shape[-2:], bool)
    else:
        dy, dx = _moved_by_positions(name, stride)
        if subpixel == "round":
            dy, dx = _nearest(dy), _nearest(dx)
        expected, valid = _moved(maps, np.ones(maps.shape[-2:], bool), dy, dx)
    if tuple(offset) == (0, 0):
        return expected, valid
    return _moved(expected, valid, Fraction(offset[0]), Fraction(offset[1]))


def affine_map(name: str) -> np.ndarray | None:
    """The rows of an affine map of points down and right of the centre, with what is added; None of others.

    >>> affine_map("affine(1,0.25,0,1)").tolist()
    [[1.0, 0.25, 0.0], [0.0, 1.0, 0.0]]
    """
    if name in SOURCES:
        return None
    found = re.fullmatch(r"([a-z]+)\(?([-\d.,]+)\)?", name)
    if found is None:
        return None
    kind, numbers = found.groups()
    values = [float(number) for number in numbers.split(",")]
    if kind == "rot":
        cosine, sine = np.cos(np.radians(values[0])), np.sin(np.radians(values[0]))
        return np.array([[cosine, -sine, 0], [sine, cosine, 0]])
    if kind == "scaling":
        return np.array([[values[0], 0, 0], [0, values[0], 0]])
    if kind == "affine":
        rows = np.array(values).reshape(2, -1)
        return rows if rows.shape[1] == 3 else np.column_stack([rows, np.zeros(2)])
    return None


def _of_positions(map: np.ndarray, stride: tuple | None, offset: tuple[float, float] = (0, 0)) -> np.ndarray:
    """An affine map of pixels as one of positions, whose result is then moved."""
    down, right = (float(one) for one in stride or (1, 1))
    scaled = map * [[1, right / down, 1 / down], [down / right, 1, 1 / right]]
    return scaled + [[0, 0, float(offset[0])], [0, 0, float(offset[1])]]


def _window_of(name: str, stride: tuple | None) -> tuple[tuple | None, bool]:
    """The pixels between positions, where the disc is what is valid; whether only whole sources are."""
    disc = tuple(float(one) for one in stride or (1, 1)) if name.startswith("rot") else None
    return disc, name.startswith("scaling") and affine_map(name)[0, 0] % 1 == 0


def round_trip(
    maps: np.ndarray, name: str, stride: tuple | None, subpixel: str = "linear", offset: tuple[float, float] = (0, 0)
) -> np.ndarray:
    """T'_g^-1 T'_g f(X), [image, channel, h, w]; NaN where it is not valid."""
    expected, valid = on_positions(maps, name, stride, subpixel, offset)
    expected = np.where(valid, expected, np.nan)
    if (map := affine_map(name)) is not None:
        scaled = np.vstack([_of_positions(map, stride, offset), [0, 0, 1]])
        return _warped(expected, np.linalg.inv(scaled)[:2], *_window_of(name, stride))[0]
    down, right = (Fraction(one) for one in offset)
    if _moved_by(name) is not None:
        dy, dx = _moved_by_positions(name, stride)
        return _moved(expected, valid, -dy, -dx)[0]
    back = next(other for other in SOURCES if product(name, other) == "identity")
    return _permuted(_moved(expected, valid, -down, -right)[0], back)


def _sources_of(map: np.ndarray, y: float, x: float, height: int, width: int) -> tuple[float, float]:
    """The row and the column that an affine map about the centre takes to a row and a column."""
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    source = np.linalg.solve(map[:, :2], np.array([y, x]) - centre - map[:, 2]) + centre
    return tuple(np.round(source, 9))


def _warped(maps: np.ndarray, map: np.ndarray, disc, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear; valid where the source lies in the map, and in the largest disc about its centre (in pixels)."""
    height, width = maps.shape[-2:]
    result, at_positions = np.full(maps.shape, np.nan), np.zeros((height, width), bool)
    for y in range(height):
        for x in range(width):
            source_y, source_x = _sources_of(map, y, x, height, width)
            if not (0 <= source_y <= height - 1 and 0 <= source_x <= width - 1):
                continue
            if disc is not None:
                reach = min((height - 1) / 2 * disc[0], (width - 1) / 2 * disc[1])
                away = np.hypot((source_y - (height - 1) / 2) * disc[0], (source_x - (width - 1) / 2) * disc[1])
                if away > reach + 1e-9:
                    continue
            result[:, :, y, x] = _bilinear(maps, source_y, source_x)
            at_positions[y, x] = source_y % 1 == source_x % 1 == 0
    if whole and at_positions.any():
        result[:, :, ~at_positions] = np.nan
    return result, ~np.isnan(result).any((0, 1))


def _resampled(images: np.ndarray, map: np.ndarray, fill: str) -> np.ndarray:
    """Bicubic; where the map makes content smaller, the mean of as many values within a pixel as that needs."""
    height, width = images.shape[-2:]
    finer = max(1, int(np.ceil(np.linalg.svd(np.linalg.inv(map[:, :2]))[1].max() - 1e-6)))
    steps = [(step + 0.5) / finer - 0.5 for step in range(finer)]
    result = np.zeros(images.shape)
    for y in range(height):
        for x in range(width):
            for dy in steps:
                for dx in steps:
                    result[:, :, y, x] += _bicubic(images, *_sources_of(map, y + dy, x + dx, height, width), fill)
    return result / finer**2


def _bicubic(images: np.ndarray, y: float, x: float, fill: str) -> np.ndarray:
    height, width = images.shape[-2:]
    result = np.zeros(images.shape[:2])
    for row in range(floor(y) - 1, floor(y) + 3):
        for column in range(floor(x) - 1, floor(x) + 3):
            at = _filled(row, height, fill), _filled(column, width, fill)
            if None not in at:
                result += _keys(y - row) * _keys(x - column) * images[:, :, at[0], at[1]]
    return result


def _keys(distance: float, a: float = -0.75) -> float:
    """Keys' kernel."""
    t = abs(distance)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def _by_fourier(images: np.ndarray, dy: Fraction, dx: Fraction) -> np.ndarray:
    """Every wave of a periodic image moved; the highest has no phase of its own."""
    for axis, by in ((-2, float(dy)), (-1, float(dx))):
        size = images.shape[axis]
        moved = np.zeros((size, size))
        for target in range(size):
            for source in range(size):
                waves = [np.cos(2 * np.pi * k * (target - source - by) / size) for k in range(1, (size + 1) // 2)]
                highest = np.cos(np.pi * (target - source)) * np.cos(np.pi * by) if size % 2 == 0 else 0
                moved[target, source] = (1 + 2 * sum(waves) + highest) / size
        images = np.moveaxis(np.moveaxis(images, axis, -1) @ moved.T, -1, axis)
    return images


def _moved(maps: np.ndarray, valid: np.ndarray, dy: Fraction, dx: Fraction) -> tuple[np.ndarray, np.ndarray]:
    height, width = maps.shape[-2:]
    result = np.full(maps.shape, np.nan)
    for y in range(height):
        for x in range(width):
            source_y, source_x = y - dy, x - dx
            if 0 <= source_y <= height - 1 and 0 <= source_x <= width - 1:
                result[:, :, y, x] = _bilinear(np.where(valid, maps, np.nan), source_y, source_x)
    return result, ~np.isnan(result).any((0, 1))


def _moved_by(name: str) -> tuple[Fraction, Fraction] | None:
    if name in SOURCES or affine_map(name) is not None:
        return None
    shift = re.fullmatch(r"shift\((-?[\d.]+)(?:, *(-?[\d.]+))?\)", name)
    if shift is None:
        raise ValueError(f"unknown transformation {name!r}; known: {', '.join(SOURCES)}, shift(dy,dx)")
    dy, dx = shift[1], shift[2] or shift[1]  # a single number is the diagonal
    return Fraction(dy), Fraction(dx)


def _moved_by_positions(name: str, stride: tuple[int, int] | None) -> tuple[Fraction, Fraction]:
    if stride is None:
        raise ValueError(f"{name} needs a stride")
    dy, dx = _moved_by(name)
    return Fraction(dy) / Fraction(stride[0]), Fraction(dx) / Fraction(stride[1])


def _is_left_out(name: str, stride: tuple[int, int] | None, subpixel: str) -> bool:
    if subpixel not in ("linear", "exact", "round"):
        raise ValueError(f"unknown subpixel {subpixel!r}; known: linear, exact, round")
    if subpixel != "exact" or _moved_by(name) is None:
        return False
    return any(positions.denominator != 1 for positions in _moved_by_positions(name, stride))


def _permuted(array: np.ndarray, name: str) -> np.ndarray:
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


def _nearest(positions: Fraction) -> Fraction:
    """The nearest whole number, halves away from zero."""
    size = floor(abs(positions) + Fraction(1, 2))
    return Fraction(size if positions > 0 else -size)


def _bilinear(maps: np.ndarray, y: Fraction, x: Fraction) -> np.ndarray:
    top, left = floor(y), floor(x)
    result = np.zeros(maps.shape[:2])
    for row, row_weight in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, column_weight in ((left, 1 - (x - left)), (left + 1, x - left)):
            weight = float(row_weight * column_weight)
            if weight > 0:  # a neighbour of weight 0 may lie outside
                result += weight * maps[:, :, row, column]
    return result


# Samples


@dataclass(frozen=True)
class _Options:
    similarity: str
    negative: str
    intervals: bool


@dataclass(frozen=True)
class _Pair:
    """E and T at the valid positions, [image, channel, position]."""

    expected: np.ndarray
    found: np.ndarray

    def samples(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """E and T of these images together, [channel, sample]."""
        return tuple(np.concatenate(list(maps[places]), axis=1) for maps in (self.expected, self.found))

    def less_means_over(self, places: np.ndarray, similarity: str) -> "_Pair":
        """E and T of all images less each channel's mean over these; cosine takes nothing off."""
        if similarity == "cosine":
            return self
        means = (_means(samples)[:, None] for samples in self.samples(places))
        return _Pair(*(maps - mean for maps, mean in zip((self.expected, self.found), means, strict=True)))


def _centred(samples: np.ndarray, similarity: str) -> np.ndarray:
    return samples - _means(samples)[:, None] if similarity == "pearson" else samples


def _means(samples: np.ndarray) -> np.ndarray:
    return samples.sum(1) / max(samples.shape[1], 1)


def _norms(samples: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum(samples**2, axis=1))


def _is_constant(samples: np.ndarray, similarity: str, fewest: int = FEWEST_SAMPLES["dataset"]) -> np.ndarray:
    """Whether nothing can be correlated with a channel: too few samples, constant, or for cosine zero."""
    if samples.shape[1] < fewest:
        return np.ones(len(samples), bool)
    if similarity == "cosine":
        return _norms(samples) == 0
    return _norms(_centred(samples, similarity)) <= CONSTANT * _norms(samples)


def _directions(samples: np.ndarray, similarity: str) -> np.ndarray:
    """The channels centred and scaled to norm 1; zero where constant."""
    centred = _centred(samples, similarity)
    constant = _is_constant(samples, similarity)
    return np.where(constant[:, None], 0, centred / np.where(constant, 1, _norms(centred))[:, None])


def _correlations(expected: np.ndarray, found: np.ndarray, similarity: str) -> np.ndarray:
    """r(p, c), NaN where E_p or T_c is constant."""
    r = _directions(expected, similarity) @ _directions(found, similarity).T
    r[_is_constant(expected, similarity)] = np.nan
    r[:, _is_constant(found, similarity)] = np.nan
    return r


def _defined(pair: _Pair, places: np.ndarray, similarity: str) -> np.ndarray:
    expected, found = pair.samples(places)
    return ~_is_constant(expected, similarity) & ~_is_constant(found, similarity)


def _groups(places: np.ndarray) -> list[int]:
    return sorted(set(places % GROUPS))


def _without(places: np.ndarray, *groups: int) -> np.ndarray:
    return places[~np.isin(places % GROUPS, groups)]


def _partners(similarities: np.ndarray, candidates: np.ndarray, negative: str) -> np.ndarray:
    """For each channel the most similar candidate, the lowest of tied ones; itself where there is none."""
    worth = np.abs(similarities) if negative == "abs" else similarities
    partners = np.arange(worth.shape[1])
    for channel in partners:
        eligible = np.flatnonzero(candidates & ~np.isnan(worth[:, channel]))
        if len(eligible) > 0:
            best = worth[eligible, channel].max()
            partners[channel] = eligible[worth[eligible, channel] >= best - ROUNDING][0]
    return partners


def _clamped(values: np.ndarray, negative: str) -> np.ndarray:
    return np.clip(values, -1 if negative == "keep" else 0, 1)


def _sign(similarity: float, negative: str) -> int:
    """What a group's term is multiplied by: under `abs` the sign of the fitted similarity."""
    return -1 if negative == "abs" and similarity < 0 else 1


# Invariance and equivariance


@dataclass(frozen=True)
class _Matched:
    """Invariance and equivariance over some images, a value for each channel."""

    own: np.ndarray  # r(c, c), its absolute value under abs
    cross_fitted: np.ndarray
    explained_invariance: np.ndarray
    explained_equivariance: np.ndarray
    negative: str

    @property
    def invariance(self) -> np.ndarray:
        return _clamped(self.own, self.negative)

    @property
    def equivariance(self) -> np.ndarray:
        return _clamped(np.maximum(self.own, self.cross_fitted), self.negative)  # NaN where either is


def _matched(pair: _Pair, places: np.ndarray, defined: np.ndarray, options: _Options, *, partners=True) -> _Matched:
    own = np.where(defined, np.diagonal(_correlations(*pair.samples(places), options.similarity)), np.nan)
    if options.negative == "abs":
        own = np.abs(own)
    explained_invariance = np.maximum(own, 0) ** 2
    nothing = np.full(len(own), np.nan)
    cross_fitted, explained = _cross_fitted(pair, places, defined, options) if partners else (nothing, nothing)
    return _Matched(
        own, cross_fitted, explained_invariance, np.maximum(explained_invariance, explained), options.negative
    )


def _cross_fitted(
    pair: _Pair, places: np.ndarray, defined: np.ndarray, options: _Options
) -> tuple[np.ndarray, np.ndarray]:
    """CF(c), and the share of T_c's variance that the partners' slopes explain; NaN for fewer than two groups."""
    similarity, everything = np.full((2, len(defined)), np.nan)
    if len(_groups(places)) < 2:
        return similarity, everything
    centred = pair.less_means_over(places, options.similarity)
    norms_expected, norms_found = (_norms(samples) for samples in centred.samples(places))
    similarity[defined] = everything[defined] = 0
    for group in _groups(places):
        here, others = places[places % GROUPS == group], _without(places, group)
        fitted = _correlations(*pair.samples(others), options.similarity)
        partners = _partners(fitted, defined, options.negative)
        slopes = _slopes(pair, others, fitted, partners, options)
        expected, found = centred.samples(here)
        for c in np.flatnonzero(defined):
            p, beta = partners[c], slopes[c]
            num, var = expected[p] @ found[c], expected[p] @ expected[p]
            similarity[c] += _sign(fitted[p, c], options.negative) * num / (norms_expected[p] * norms_found[c])
            everything[c] += (2 * beta * num - beta**2 * var) / norms_found[c] ** 2
    return similarity, everything


def _slopes(pair: _Pair, places: np.ndarray, fitted: np.ndarray, partners: np.ndarray, options: _Options) -> np.ndarray:
    """The slope of T_c on its partner over these images; 0 where either is constant."""
    expected, found = (_centred(samples, options.similarity) for samples in pair.samples(places))
    slopes = np.zeros(len(partners))
    for c, p in enumerate(partners):
        if not np.isnan(fitted[p, c]):
            slopes[c] = expected[p] @ found[c] / (expected[p] @ expected[p])
    return slopes if options.negative == "abs" else np.maximum(slopes, 0)


def _chance(pair: _Pair, partners: np.ndarray, defined: np.ndarray, similarity: str) -> np.ndarray:
    """The correlation of T_i with E_j of each channel's partner, over all ordered pairs of images i != j."""
    images = len(pair.found)
    chance = np.full(len(partners), np.nan)
    if images < 2:
        return chance
    centred = pair.less_means_over(np.arange(images), similarity)
    for c in np.flatnonzero(defined):
        found, expected = centred.found[:, c], centred.expected[:, partners[c]]
        products = found @ expected.T  # [image i, image j]
        mismatched = (products.sum() - np.trace(products)) / (images - 1)
        chance[c] = mismatched / np.sqrt(np.sum(found**2) * np.sum(expected**2))
    return chance


# Linear


@dataclass(frozen=True)
class _Linear:
    """The ridge maps of a transformation, and how they do on the groups they were not fitted on."""

    pair: _Pair
    defined: np.ndarray
    maps: dict[int, np.ndarray]  # fitted without the group, in real units: T = W' E
    ninths: tuple[np.ndarray, np.ndarray]  # num and var, [1, group, channel]
    halves: tuple[np.ndarray, np.ndarray] | None  # num and var, [split, group, channel]; None under ten groups
    extrapolates: bool


def _ridge_maps(pair: _Pair, places: np.ndarray, defined: np.ndarray, options: _Options) -> list[np.ndarray]:
    """W = B + (R + a I)^-1 (Y - R B) for every a, fitted on these images, in real units."""
    expected, found = pair.samples(places)
    rows = np.flatnonzero(defined & ~_is_constant(expected, "pearson"))
    columns = np.flatnonzero(defined & ~_is_constant(found, "pearson"))
    similarities = _correlations(expected, found, "pearson")
    partners = _partners(similarities, defined, options.negative)
    best = np.zeros(similarities.shape)
    for c in columns:
        r = similarities[partners[c], c]
        best[partners[c], c] = r if options.negative == "abs" else np.fmax(r, 0)  # NaN: no candidate
    R, Y, B = (
        _correlations(expected, expected, "pearson")[np.ix_(rows, rows)],
        *(matrix[np.ix_(rows, columns)] for matrix in (similarities, best)),
    )
    norms_expected, norms_found = _norms(_centred(expected, "pearson")), _norms(_centred(found, "pearson"))
    maps = []
    for a in RIDGES:
        W = B if np.isinf(a) else B + np.linalg.solve(R + a * np.eye(len(rows)), Y - R @ B)
        maps.append(np.zeros(similarities.shape))
        maps[-1][np.ix_(rows, columns)] = W * norms_found[columns] / norms_expected[rows, None]
    return maps


def _outcome(W: np.ndarray, centred: _Pair, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The moments num = w' (E T_c) and var = w' (E E') w of these images, for each channel."""
    expected, found = centred.samples(places)
    predicted = W.T @ expected
    return np.sum(predicted * found, axis=1), np.sum(predicted**2, axis=1)


def _linear(pair: _Pair, places: np.ndarray, defined: np.ndarray, options: _Options) -> _Linear | None:
    groups = _groups(places)
    if len(groups) < 2:
        return None
    centred = pair.less_means_over(places, "pearson")
    square = np.sum(centred.samples(places)[1] ** 2, axis=1)

    def explained(num: np.ndarray, var: np.ndarray) -> float:  # by any number of groups, over the layer
        return float(np.sum(((2 * num - var).reshape(-1, len(square)) / np.where(defined, square, 1))[:, defined]))

    def outcomes(maps: list[np.ndarray], groups: Iterable[int]) -> np.ndarray:  # [a, num or var, group, channel]
        each = [[_outcome(W, centred, places[places % GROUPS == group]) for group in groups] for W in maps]
        return np.swapaxes(np.array(each), 1, 2)

    maps = [_ridge_maps(pair, _without(places, group), defined, options) for group in groups]
    by_fold = np.concatenate([outcomes(maps[k], [group]) for k, group in enumerate(groups)], axis=2)
    chosen = []
    for k in range(len(groups)):
        others = np.delete(by_fold, k, axis=2)
        chosen.append(_first_largest([explained(*others[a]) for a in range(len(RIDGES))]))
    ninths = np.stack([by_fold[a, :, k] for k, a in enumerate(chosen)], axis=1)

    halves, extrapolates = None, False
    if len(groups) == GROUPS:
        splits = []
        for half in SPLITS:
            rest = [group for group in groups if group not in half]
            both_ways = np.empty((len(RIDGES), 2, GROUPS, len(square)))
            for fitted, scored in ((half, rest), (rest, list(half))):
                fitted_maps = _ridge_maps(pair, places[np.isin(places % GROUPS, fitted)], defined, options)
                both_ways[:, :, scored] = outcomes(fitted_maps, scored)
            splits.append(both_ways)
        splits = np.stack(splits, axis=2)  # [a, num or var, split, group, channel]
        halves = tuple(splits[_first_largest([explained(*splits[a]) for a in range(len(RIDGES))])])
        of_halves = _predicted(halves, list(range(GROUPS)), np.where(defined, square, np.nan))
        extrapolates = bool(_mean(of_halves[1]) >= 0)  # worse than the mean: nothing can be extrapolated from there
    return _Linear(
        pair, defined, {group: maps[k][a] for k, (group, a) in enumerate(zip(groups, chosen, strict=True))},
        tuple(ninths[:, None]), halves, extrapolates,
    )  # fmt: skip


def _first_largest(values: list[float]) -> int:
    return int(np.flatnonzero(np.array(values) >= max(values) - ROUNDING)[0])


def _predicted(
    outcomes: tuple[np.ndarray, np.ndarray], kept: list[int], square: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The correlation and the share explained, num and var summed over kept groups and averaged over splits."""
    num, var = (each[:, kept].sum(1).mean(0) for each in outcomes)
    scale = np.sqrt(var * square)
    return np.where(scale > 0, num / np.where(scale > 0, scale, 1), 0), (2 * num - var) / square


def _extrapolated(
    linear: _Linear, places: np.ndarray, without: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """raw(c), raw_e(c) and e_9(c), maps kept as they are, a group left out of all sums; NaN where undefined."""
    groups = _groups(places)
    places = places if without is None else _without(places, without)
    kept = [k for k, group in enumerate(groups) if group != without]
    defined = linear.defined & _defined(linear.pair, places, "pearson")
    square = np.sum(_centred(linear.pair.samples(places)[1], "pearson") ** 2, axis=1)
    square[~defined] = np.nan
    r_9, e_9 = (np.where(defined, values, np.nan) for values in _predicted(linear.ninths, kept, square))
    if not linear.extrapolates:
        return r_9, e_9, e_9
    r_5, e_5 = _predicted(linear.halves, kept, square)
    return (0.9 * r_9 - 0.5 * r_5) / 0.4, (0.9 * e_9 - 0.5 * e_5) / 0.4, e_9


def _reach(linear: _Linear, places: np.ndarray, values: list[float], floors: list[float]) -> np.ndarray:
    """[score or share, below or above]: how far the lack of maps leads that falls as n^-1.5 or n^-.5, and not 1 / n."""
    reach = np.zeros((2, 2))
    if linear.halves is None:
        return reach
    square = np.sum(_centred(linear.pair.samples(places)[1], "pearson") ** 2, axis=1)
    square[~linear.defined] = np.nan
    kept = list(range(GROUPS))
    pairs = zip(*(_predicted(one, kept, square) for one in (linear.ninths, linear.halves)), strict=True)
    for row, of_maps in enumerate(pairs):
        nine, five = (float(_mean(np.where(linear.defined, each, np.nan))) for each in of_maps)
        for side, power in enumerate((1.5, 0.5)):
            ratio = (0.5 / 0.9) ** power  # of the lacks
            end = nine + max(0.0, nine - five) * ratio / (1 - ratio)
            end = min(1.0, max(floors[row], end))
            reach[row, side] = max(0.0, (end - values[row]) * (1 if side else -1))
    return reach


# Estimates of a transformation


@dataclass(frozen=True)
class _Estimate:
    """A measure of one transformation in one scope."""

    score: float
    in_sample: float
    chance: float
    explained: float
    held_out: float
    undefined: int
    has_defined: np.ndarray  # [image]: a channel is defined
    score_replicates: np.ndarray
    explained_replicates: np.ndarray
    ceiling: float = np.nan
    explained_ceiling: float = np.nan
    reach: np.ndarray = field(default_factory=lambda: np.zeros((2, 2)))  # see `_reach`


@dataclass(frozen=True)
class _Transformed:
    """All that is measured of one transformation in one scope."""

    estimates: dict[str, _Estimate]
    channels: dict[str, np.ndarray]
    linear: _Linear | None = None


def _dataset_scope(moved: _Pair, unmoved: _Pair, measures: tuple[str, ...], options: _Options) -> _Transformed:
    images = len(moved.found)
    places = np.arange(images)
    jackknifed = _groups(places) if options.intervals and images >= FEWEST_IMAGES else []
    missing = np.full(len(_groups(places)), np.nan)

    def estimate(score, in_sample, chance, explained, held_out, defined, replicates) -> _Estimate:
        thetas = np.array(replicates).T if len(replicates) > 0 else (missing, missing)
        scalars = (float(_mean(np.asarray(each))) for each in (score, in_sample, chance, explained, held_out))
        return _Estimate(*scalars, int(np.sum(~defined)), np.full(images, defined.any()), *thetas)

    defined = _defined(moved, places, options.similarity)
    whole = _matched(moved, places, defined, options)
    parts = {k: _matched_without(moved, places, k, defined, options) for k in jackknifed}
    r = _correlations(*moved.samples(places), options.similarity)
    partner = np.where(defined, _partners(r, defined, options.negative), -1)
    best = np.where(defined, r[partner, np.arange(len(r))], np.nan)
    best = _clamped(np.abs(best) if options.negative == "abs" else best, options.negative)
    stays = whole.own >= whole.cross_fitted - ROUNDING
    chance = _chance(moved, np.arange(len(r)), defined, options.similarity)
    chance_partner = _chance(moved, np.where(stays, np.arange(len(r)), partner), defined, options.similarity)
    nothing = np.full(len(r), np.nan)
    estimates, channels = {}, {}
    if "invariance" in measures:
        score, explained = whole.invariance, whole.explained_invariance
        thetas = [(_mean(part.invariance), _mean(part.explained_invariance)) for part in parts.values()]
        estimates["invariance"] = estimate(score, score, chance, explained, explained, defined, thetas)
        channels |= {"invariance": score, "explained_invariance": explained, "chance_invariance": chance}
    if "equivariance" in measures:
        score, explained = whole.equivariance, whole.explained_equivariance
        thetas = [(_mean(part.equivariance), _mean(part.explained_equivariance)) for part in parts.values()]
        estimates["equivariance"] = estimate(score, best, chance_partner, explained, explained, defined, thetas)
        channels |= {"equivariance": score, "explained_equivariance": explained}
        channels |= {"chance_equivariance": chance_partner, "partner": partner}
    linear = None
    if "linear" in measures:
        linear = _linear(moved, places, defined, options)
        raw, raw_explained, held_out = (nothing,) * 3 if linear is None else _extrapolated(linear, places)
        thetas = []
        for group, part in parts.items():
            raws = _extrapolated(linear, places, without=group)[:2]
            thetas.append(
                [_nested(*of) for of in zip(raws, (part.equivariance, part.explained_equivariance), strict=True)]
            )
        score = _nested(raw, whole.equivariance)
        explained = _nested(raw_explained, whole.explained_equivariance)
        estimates["linear"] = estimate(score, np.nan, np.nan, explained, held_out, defined, thetas)
        if linear is not None:
            floors = [float(_mean(whole.equivariance)), float(_mean(whole.explained_equivariance))]
            estimates["linear"] = replace(estimates["linear"], reach=_reach(linear, places, [score, explained], floors))
        channels["linear"] = np.minimum(1, np.maximum(raw, whole.equivariance))
        channels["explained_linear"] = np.minimum(1, np.maximum(raw_explained, whole.explained_equivariance))
    if "strict_invariance" in measures:
        own = _defined(unmoved, places, options.similarity)
        strict = _matched(unmoved, places, own, options, partners=False)
        lefts = [_matched_without(unmoved, places, k, own, options, partners=False) for k in jackknifed]
        score, explained = strict.invariance, strict.explained_invariance
        chance = _chance(unmoved, np.arange(len(r)), own, options.similarity)
        thetas = [(_mean(left.invariance), _mean(left.explained_invariance)) for left in lefts]
        estimates["strict_invariance"] = estimate(score, score, chance, explained, explained, own, thetas)
        channels["strict_invariance"] = score
    return _Transformed(estimates, _all_columns(channels, defined.astype(int)), linear)


def _matched_without(
    pair: _Pair, places: np.ndarray, group: int, defined: np.ndarray, options: _Options, *, partners=True
) -> _Matched:
    """The whole estimate without a group; a channel that is undefined over all stays out."""
    kept = _without(places, group)
    return _matched(pair, kept, defined & _defined(pair, kept, options.similarity), options, partners=partners)


def _nested(raw: np.ndarray, equivariance: np.ndarray) -> float:
    """A layer's linear score: not below its equivariance, nor above 1."""
    return float(np.minimum(1, np.maximum(_mean(raw), _mean(equivariance))))


def _all_columns(channels: dict[str, np.ndarray], defined: np.ndarray) -> dict[str, np.ndarray]:
    """The columns, those of measures that were not asked for NaN (the partner -1)."""
    names = [f"{kind}{measure}" for kind in ("", "explained_", "chance_") for measure in ("invariance", "equivariance")]
    columns = {name: np.full(len(defined), np.nan) for name in [*names, "linear", "explained_linear"]}
    return columns | {"partner": np.full(len(defined), -1)} | channels | {"defined": defined}


# The image scope


@dataclass(frozen=True)
class _Within:
    """The correlations within each image, [image, p, c]; a channel that is undefined in an image is NaN there."""

    similarities: np.ndarray
    defined: np.ndarray  # [image, channel]
    expected: np.ndarray  # directions, [image, channel, position]
    found: np.ndarray


def _within(pair: _Pair, similarity: str) -> _Within:
    constant = [
        [_is_constant(samples, similarity, FEWEST_SAMPLES["image"]) for samples in side]
        for side in (pair.expected, pair.found)
    ]
    defined = ~np.any(constant, axis=0)
    expected, found = (
        np.where(defined[:, :, None], [_directions(samples, similarity) for samples in side], np.nan)
        for side in (pair.expected, pair.found)
    )
    similarities = np.stack([one @ other.T for one, other in zip(expected, found, strict=True)])
    both = defined[:, :, None] & defined[:, None, :]
    return _Within(np.where(both, similarities, np.nan), defined, expected, found)


def _image_scope(moved: _Pair, unmoved: _Pair, measures: tuple[str, ...], options: _Options) -> _Transformed:
    within = _within(moved, options.similarity)
    places = np.arange(len(moved.found))
    channel = np.arange(moved.found.shape[1])
    estimates, channels = {}, {}
    if "invariance" in measures:
        own, chance = _own_within(within, options), _chance_within(within, channel)
        estimates["invariance"] = _estimate_of_own(within, own, chance)
        channels |= {"invariance": _mean(own), "chance_invariance": chance}
    if "equivariance" in measures:
        score, stays = _equivariance_within(within, places, options)
        means = _mean(within.similarities)
        partner = np.where(within.defined.any(0), _partners(means, ~np.isnan(means).all(1), options.negative), -1)
        chance = _chance_within(within, np.where(stays, channel, partner))
        magnitudes = np.abs(within.similarities) if options.negative == "abs" else within.similarities
        best = _clamped(np.where(np.isnan(magnitudes), -np.inf, magnitudes).max(1), options.negative)
        best[~within.defined] = np.nan
        thetas = np.full(len(_groups(places)), np.nan)
        if options.intervals and len(places) >= FEWEST_IMAGES:
            without = [_without(places, group) for group in _groups(places)]
            thetas = np.array([_mean(_equivariance_within(within, kept, options)[0]) for kept in without])
        invariance = float(_mean(_mean(_own_within(within, options), axis=1)))
        estimates["equivariance"] = _Estimate(
            max(invariance, float(_mean(score))), float(_mean(_mean(best, axis=1))), float(_mean(chance)),
            np.nan, np.nan,
            int(np.sum(~within.defined)), within.defined.any(1), thetas, np.full(len(thetas), np.nan),
        )  # fmt: skip
        channels |= {"equivariance": score, "chance_equivariance": chance, "partner": partner}
    if "strict_invariance" in measures:
        strict = _within(unmoved, options.similarity)
        own = _own_within(strict, options)
        estimates["strict_invariance"] = _estimate_of_own(strict, own, _chance_within(strict, channel))
        channels["strict_invariance"] = _mean(own)
    return _Transformed(estimates, _all_columns(channels, within.defined.sum(0)))


def _own_within(within: _Within, options: _Options) -> np.ndarray:
    """Each image's R_i(c, c), clamped, [image, channel]."""
    own = np.diagonal(within.similarities, axis1=1, axis2=2)
    return _clamped(np.abs(own) if options.negative == "abs" else own, options.negative)


def _estimate_of_own(within: _Within, own: np.ndarray, chance: np.ndarray) -> _Estimate:
    by_image = _mean(own, axis=1)
    score = float(_mean(by_image))
    return _Estimate(
        score, score, float(_mean(chance)), np.nan, np.nan, int(np.sum(~within.defined)), within.defined.any(1),
        by_image, np.full(len(own), np.nan),
    )  # fmt: skip


def _equivariance_within(within: _Within, places: np.ndarray, options: _Options) -> tuple[np.ndarray, np.ndarray]:
    """Each channel's cross-fitted mean over these images, not below its own mean, and whether its own is as large."""
    own = _mean(_own_within(within, options)[places])
    if len(_groups(places)) < 2:
        return np.full(len(own), np.nan), np.ones(len(own), bool)
    values = np.full((len(within.similarities), len(own)), np.nan)
    for group in _groups(places):
        means = _mean(within.similarities[_without(places, group)])
        partners = _partners(means, ~np.isnan(means).all(1), options.negative)
        for c, p in enumerate(partners):
            here = places[places % GROUPS == group]
            values[here, c] = _sign(means[p, c], options.negative) * within.similarities[here, p, c]
    cross_fitted = _mean(values)
    stays = ~(cross_fitted > own + ROUNDING)
    return np.fmax(own, _clamped(cross_fitted, options.negative)), stays


def _chance_within(within: _Within, partners: np.ndarray) -> np.ndarray:
    """The mean over images i != j of the correlation of T_i(c) with E_j of the partner, both centred within."""
    chance = np.full(len(partners), np.nan)
    for c, p in enumerate(partners):
        products = within.found[:, c] @ within.expected[:, p].T
        np.fill_diagonal(products, np.nan)
        if within.defined[:, c].any():
            chance[c] = _mean(products.ravel())
    return chance


# The scores of a layer


@dataclass(frozen=True)
class LayerScores:
    """A layer's scores under each transformation and each family.

    Attributes:
        rows: (transformation or family, measure, scope, subpixel) -> score, low, high, in_sample, chance, explained,
            explained_low, explained_high, held_out, images, undefined, transformations. A family has a second row,
            over its whole shifts alone, where some of its members are interpolated and some are not.
        channels: (transformation, scope) -> invariance, equivariance, linear, strict_invariance (if measured),
            partner (-1 where undefined), explained_invariance, explained_equivariance, explained_linear,
            chance_invariance, chance_equivariance, defined (in how many units: 1, or images): an array each.
        replicates: the key of a row -> score and explained: without each group, or of each image (invariance in
            the image scope). NaN where there is no jackknife.
        laws: (first, second) -> product, composed, direct.
        reach: the key of a row -> how far extrapolation by other powers leads, see `_reach`.
        dimension: the effective dimension of f(X)'s channels; NaN where `linear` is not measured.
    """

    rows: dict[tuple[str, str, str, bool], dict[str, float]]
    channels: dict[tuple[str, str], dict[str, np.ndarray]]
    replicates: dict[tuple[str, str, str, bool], dict[str, np.ndarray]]
    laws: dict[tuple[str, str], dict[str, str | float]]
    dimension: float
    reach: dict[tuple[str, str, str, bool], np.ndarray]


def layer_scores(
    original: np.ndarray,
    transformed: dict[str, np.ndarray],
    stride: tuple | None,
    *,
    families: dict[str, list[str]] | None = None,
    vector: bool = False,
    similarity: str = "pearson",
    negative: str = "clip",
    subpixel: str = "linear",
    measures: tuple[str, ...] | None = None,
    scopes: tuple[str, ...] = ("dataset",),
    intervals: bool = True,
    offsets: dict[str, tuple[float, float]] | None = None,
    interpolated: dict[str, bool] | None = None,
) -> LayerScores:
    """The scores of f(X), `original`, against each f(T_g X), `transformed`, all [image, channel, h, w].

    `offsets`: the registered offset of each transformation, down and right in positions; registration images are not
    among the images given. `interpolated`: which transformations are, where not the layer's stride alone says so. By
    default `linear` is measured of what only permutes positions, unregistered, by pearson.

    >>> maps = np.arange(60.0).reshape(5, 1, 3, 4) ** 2
    >>> scores = layer_scores(maps, {"identity": maps}, None)
    >>> [round(scores.rows["identity", measure, "dataset", False]["score"], 6) for measure in ("invariance", "linear")]
    [1.0, 1.0]
    """
    if negative not in ("clip", "keep", "abs") or similarity not in ("pearson", "cosine"):
        raise ValueError(f"unknown negative {negative!r} or similarity {similarity!r}")
    if similarity == "cosine" and "linear" in (measures or ()):
        raise ValueError("linear is measured by pearson only")
    options = _Options(similarity, negative, intervals)
    rows, channels, replicates, linear, reach = {}, {}, {}, {}, {}
    for scope, scored in {"dataset": _dataset_scope, "image": _image_scope}.items():
        if scope not in scopes:
            continue
        by_name = {}
        for name in transformed:
            offset = (0, 0) if offsets is None else offsets[name]
            moved, unmoved = _pairs(
                original, transformed[name], name, stride, vector=vector, subpixel=subpixel, offset=offset
            )
            asked = measures or _default_measures(name, similarity, registered=offsets is not None)
            by_name[name] = scored(moved, unmoved, tuple(asked), options)
            if scope == "dataset":
                limit = _ceiling(original, name, None if vector else (stride, subpixel, offset), similarity)
                by_name[name] = _below(by_name[name], limit)
            channels[name, scope] = by_name[name].channels
            linear[name] = linear.get(name) or by_name[name].linear
        size = original.shape[-2:]
        if interpolated is None:
            interpolated = {name: not vector and is_interpolated(name, stride, subpixel, size) for name in transformed}
        for row, members in ({name: [name] for name in transformed} | (families or {})).items():
            for measure, is_subpixel, kept in _row_members(members, by_name, interpolated):
                estimates = [by_name[name].estimates[measure] for name in kept]
                key = row, measure, scope, is_subpixel
                there = [each.reach for each in estimates if not np.isnan(each.score)]
                reach[key] = np.mean(there or [np.zeros((2, 2))], axis=0)
                rows[key], replicates[key] = _row(estimates, measure, scope, negative, reach[key])
    is_linear = any(each is not None for each in linear.values())
    dimension = _dimension(original) if is_linear else np.nan
    laws = _laws(original, linear) if offsets is None else {}
    return LayerScores(rows, channels, replicates, laws, dimension, reach)


def _ceiling(original: np.ndarray, name: str, acting: tuple | None, similarity: str) -> np.ndarray:
    """Each channel's correlation of T'_g^-1 T'_g f(X) with f(X), where both are; 1 where nothing is interpolated.

    `acting`: stride, subpixel and offset; None: on a vector.
    """
    limit = np.ones(original.shape[1])
    if acting is None:
        return limit
    stride, subpixel, offset = acting
    between = any(Fraction(one) % 1 for one in offset)
    if not between and not is_interpolated(name, stride, subpixel, original.shape[-2:]):
        return limit
    returned = round_trip(original.astype(float), name, stride, subpixel, offset)
    valid = ~np.isnan(returned).any((0, 1))
    pair = _Pair(returned[:, :, valid], original[:, :, valid].astype(float))
    own = np.diagonal(_correlations(*pair.samples(np.arange(len(original))), similarity))
    return np.clip(own, 0, 1)


def _below(its: _Transformed, limit: np.ndarray) -> _Transformed:
    """The same with its ceiling."""
    limit = np.where(its.channels["defined"] > 0, limit, np.nan)
    found = {}
    for measure, one in its.estimates.items():
        there = measure != "strict_invariance" and not (np.isnan(one.score) and np.isnan(one.in_sample))
        ceilings = (float(_mean(limit)), float(_mean(limit**2))) if there else (np.nan, np.nan)
        found[measure] = replace(one, ceiling=ceilings[0], explained_ceiling=ceilings[1])
    return replace(its, estimates=found, channels=its.channels | {"ceiling": limit})


def part_rows(
    layers: list[LayerScores], *, negative: str = "clip"
) -> tuple[dict[tuple[str, str, str, bool], dict[str, float]], dict[tuple[str, str, str, bool], dict[str, np.ndarray]]]:
    """A part's rows and replicates, under the keys of `rows`: means over its layers.

    The row over all takes each layer's row over all; where that is interpolated on some layer, a second row takes the
    rows without interpolation, of the layers that have one.
    """
    rows, replicates = {}, {}
    for subject in dict.fromkeys(key[:3] for layer in layers for key in layer.rows):
        over_all = [(*subject, (*subject, True) in layer.rows) for layer in layers if _has(layer, subject)]
        having = [layer for layer in layers if _has(layer, subject)]
        chosen = {any(key[3] for key in over_all): list(zip(having, over_all, strict=True))}
        if True in chosen:
            whole = [(layer, (*subject, False)) for layer in having if (*subject, False) in layer.rows]
            chosen |= {False: whole} if whole else {}
        for is_subpixel, members in chosen.items():
            key = *subject, is_subpixel
            of_layers = [layer.rows[of] for layer, of in members]
            columns = VALUES
            row = {column: float(_mean(np.array([row[column] for row in of_layers]))) for column in columns}
            replicates[key] = {
                column: _mean(np.stack([layer.replicates[of][column] for layer, of in members]))
                for column in ("score", "explained")
            }
            there = [layer.reach[of] for layer, of in members if not np.isnan(layer.rows[of]["score"])]
            reach = np.mean(there or [np.zeros((2, 2))], axis=0)
            row |= _intervals(row, replicates[key], reach, subject[1], subject[2], negative)
            row |= {column: max(row[column] for row in of_layers) for column in ("images", "transformations")}
            rows[key] = row | {"undefined": sum(row["undefined"] for row in of_layers)}
    return rows, replicates


def _has(layer: LayerScores, subject: tuple[str, str, str]) -> bool:
    return (*subject, True) in layer.rows or (*subject, False) in layer.rows


def is_interpolated(name: str, stride: tuple | None, subpixel: str, size: tuple[int, int] = (1, 1)) -> bool:
    """Whether a transformation falls between the positions of a layer of a size, and is interpolated there.

    >>> is_interpolated("shift(0,1)", (2, 2), "linear"), is_interpolated("shift(0,4)", (2, 2), "linear")
    (True, False)
    """
    if (map := affine_map(name)) is not None:
        valid = on_positions(np.zeros((1, 1, *size)), name, stride)[1]
        scaled = _of_positions(map, stride)
        return any(value % 1 for y, x in np.argwhere(valid) for value in _sources_of(scaled, y, x, *size))
    if subpixel != "linear" or _moved_by(name) is None:
        return False
    return any(positions.denominator != 1 for positions in _moved_by_positions(name, stride))


def _default_measures(name: str, similarity: str, *, registered: bool) -> tuple[str, ...]:
    permutes = name in SOURCES and not registered and similarity == "pearson"
    return ("invariance", "equivariance", "linear") if permutes else ("invariance", "equivariance")


def _pairs(
    original: np.ndarray,
    transformed: np.ndarray,
    name: str,
    stride: tuple | None,
    *,
    vector: bool,
    subpixel: str,
    offset,
) -> tuple[_Pair, _Pair]:
    """E and T where valid, and f(X) and f(T_g X) everywhere for `strict_invariance`."""
    everywhere = np.ones(original.shape[-2:], bool)
    expected, valid, all_positions = original, everywhere, everywhere
    if not vector:
        expected, valid = on_positions(original, name, stride, subpixel, offset)
        all_positions = everywhere & (not _is_left_out(name, stride, subpixel))
    return (
        _Pair(expected[:, :, valid].astype(float), transformed[:, :, valid].astype(float)),
        _Pair(original[:, :, all_positions].astype(float), transformed[:, :, all_positions].astype(float)),
    )


def _row_members(
    members: list[str], by_name: dict[str, _Transformed], interpolated: dict[str, bool]
) -> Iterable[tuple[str, bool, list[str]]]:
    """Every row of a family: its measure, whether any member is interpolated, and its members."""
    for measure in dict.fromkeys(measure for name in members for measure in by_name[name].estimates):
        having = [name for name in members if measure in by_name[name].estimates]
        whole = [name for name in having if not interpolated[name]]
        if len(having) < len(members):  # a mean of others than those of the measures that it contains
            continue
        yield measure, len(whole) < len(having), having
        if 0 < len(whole) < len(having):
            yield measure, False, whole


def _row(
    estimates: list[_Estimate], measure: str, scope: str, negative: str, reach: np.ndarray
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Means over the members; the replicates are those of the mean."""

    def mean(column: str) -> np.ndarray:
        return _mean(np.stack([getattr(estimate, column) for estimate in estimates]))

    row = {column: float(mean(column)) for column in VALUES}
    replicates = {"score": mean("score_replicates"), "explained": mean("explained_replicates")}
    row |= _intervals(row, replicates, reach, measure, scope, negative)
    row |= {
        "images": int(np.any([estimate.has_defined for estimate in estimates], axis=0).sum()),
        "undefined": sum(estimate.undefined for estimate in estimates),
        "transformations": sum(not np.isnan(estimate.score) for estimate in estimates),
    }
    return row, replicates


def _intervals(
    row: dict[str, float],
    replicates: dict[str, np.ndarray],
    reach: np.ndarray,
    measure: str,
    scope: str,
    negative: str,
) -> dict[str, float]:
    if scope == "image" and measure != "equivariance":  # a bootstrap
        return dict.fromkeys(("low", "high", "explained_low", "explained_high"), np.nan)
    of_score, of_share = reach
    low, high = _jackknife_interval(row["score"], replicates["score"], of_score, -1 if negative == "keep" else 0)
    explained_low, explained_high = _jackknife_interval(row["explained"], replicates["explained"], of_share, 0)
    return {"low": low, "high": high, "explained_low": explained_low, "explained_high": explained_high}


def _jackknife_interval(estimate: float, thetas: np.ndarray, reach: np.ndarray, lowest: int) -> tuple[float, float]:
    groups = len(thetas)
    if groups < 2:
        return np.nan, np.nan
    variance = (groups - 1) / groups * np.sum((thetas - thetas.mean()) ** 2)
    half_width = stats.t.ppf(0.975, groups - 1) * np.sqrt(variance)
    low, high = np.clip([estimate - half_width - reach[0], estimate + half_width + reach[1]], lowest, 1)
    return float(low), float(high)


def _mean(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """The mean of the defined values along an axis; NaN where there are none."""
    if np.ndim(values) == 0:
        return values
    is_defined = ~np.isnan(values)
    count = is_defined.sum(axis)
    return np.where(count > 0, np.where(is_defined, values, 0).sum(axis) / np.maximum(count, 1), np.nan)


# The group law and the dimension


_QUARTERS = {"rot90": 90.0, "rot180": 180.0, "rot270": 270.0}


def _angle(name: str) -> float | None:
    return float(name.removeprefix("rot")) if re.fullmatch(r"rot[\d.]+", name) else None


def product(first: str, second: str) -> str | None:
    """The name of T_second T_first, of symmetries of the square and of rotations; None of others.

    >>> product("rot90", "rot90"), product("rot90", "rot270"), product("hflip", "rot90")
    ('rot180', 'identity', 'transpose')
    """
    angles = [{"identity": 0.0, **_QUARTERS}.get(name, _angle(name)) for name in (first, second)]
    if None not in angles and not {first, second} <= set(SOURCES):
        return f"rot{sum(angles) % 360:g}" if sum(angles) % 360 else "identity"
    if not {first, second} <= set(SOURCES):
        return None
    numbered = np.arange(9.0).reshape(1, 1, 3, 3)
    both = _permuted(_permuted(numbered, first), second)
    return next(name for name in SOURCES if np.array_equal(_permuted(numbered, name), both))


def _laws(original: np.ndarray, linear: dict[str, _Linear | None]) -> dict[tuple[str, str], dict[str, str | float]]:
    """How well W_g W_h explains f(T_h T_g X), beside the product's own maps; of symmetries and rotations."""
    places = np.arange(len(original))
    maps = {name: each for name, each in linear.items() if each is not None}
    laws = {}
    for first, one in maps.items():
        for second, other in maps.items():
            name = product(first, second)
            if name is None or (name != "identity" and name not in maps):
                continue
            pair = _Pair(*(one.pair.expected,) * 2) if name == "identity" else maps[name].pair
            centred = pair.less_means_over(places, "pearson")
            outcomes = [
                _outcome(one.maps[k] @ other.maps[k], centred, places[places % GROUPS == k]) for k in _groups(places)
            ]
            num, var = np.sum(outcomes, axis=0)
            defined = _defined(pair, places, "pearson")
            square = np.sum(centred.samples(places)[1] ** 2, axis=1)
            composed = float(_mean((2 * num - var)[defined] / square[defined]))
            direct = 1.0 if name == "identity" else float(_mean(_extrapolated(maps[name], places)[2]))
            laws[first, second] = {"product": name, "composed": composed, "direct": direct}
    return laws


def _dimension(original: np.ndarray) -> float:
    """(sum l)^2 / sum l^2 of the eigenvalues l of the correlation matrix of f(X)'s channels that are not constant."""
    samples = np.concatenate(list(original.reshape(*original.shape[:2], -1).astype(float)), axis=1)
    samples = samples[~_is_constant(samples, "pearson")]
    if len(samples) == 0:
        return np.nan
    eigenvalues = np.linalg.eigvalsh(_correlations(samples, samples, "pearson"))
    return float(eigenvalues.sum() ** 2 / np.sum(eigenvalues**2))
