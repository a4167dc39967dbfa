"""What shapes tell: how a tensor grows with the number of images, their height and their width.

The axis that grows with the images holds them, one that grows with their height alone holds rows, one that grows with
their width alone columns, and one that grows with both tokens. What shapes leave open stays a candidate.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor, log, prod
from typing import Literal

from equiscope.networks.declared import Declared
from equiscope.networks.layout import Grid, Layout, Ratio, Shape, Strides, written

SMALL = 4  # the largest denominator of a stride that an image's pixels and positions may suggest
MOST_OTHER_TOKENS = 16  # class, distillation and register tokens, that nothing declares
ASK = "give its layout (layouts=, --layout),"

Laid = tuple[Layout, Strides | None]  # a layout and its stride; None: a vector, or not known


@dataclass(frozen=True)
class Shapes:
    """The shapes of one tensor; None where the network does not run so, or gives no such tensor then."""

    two: Shape  # of 2 images
    three: Shape | None = None  # of 3 images
    high: Shape | None = None  # of 2 images higher by `growth` pixels
    wide: Shape | None = None  # of 2 images wider by as many
    large: Shape | None = None  # of 2 images larger on both axes
    growth: int = 0

    def without(self, axis: int) -> "Shapes":
        """The same, without one axis."""

        def cut(shape: Shape | None) -> Shape | None:
            return None if shape is None else shape[:axis] + shape[axis + 1 :]

        two = self.two[:axis] + self.two[axis + 1 :]
        return Shapes(two, cut(self.three), cut(self.high), cut(self.wide), cut(self.large), self.growth)

    def of_three_axes(self) -> "Shapes":
        """The same, with all axes before the last two as one, where none of these changes with the image's size."""
        shapes = [shape for shape in (self.two, self.high, self.wide, self.large) if shape is not None]
        if len(self.two) < 4 or len({len(shape) for shape in shapes}) > 1 or len({shape[:-2] for shape in shapes}) > 1:
            return self

        def joined(shape: Shape | None) -> Shape | None:
            return None if shape is None else (prod(shape[:-2]), *shape[-2:])

        two = (prod(self.two[:-2]), *self.two[-2:])
        return Shapes(two, joined(self.three), joined(self.high), joined(self.wide), joined(self.large), self.growth)


@dataclass(frozen=True)
class Candidates:
    """The layouts that a tensor may have, the likeliest first, and how much shapes tell.

    `certain`: it is the first. Else `declared`: how many of the first ones the network declares, or shapes alone would
    suggest; `reason`: why none of them is known to be right.
    """

    laid: tuple[Laid, ...]
    certain: bool = False
    declared: int = 0
    reason: str = ""


def candidates(shapes: Shapes, image: Grid, declared: Declared, grids: Iterable[Laid] = ()) -> Candidates | str:
    """The layouts that a tensor of these shapes may have, or the reason why it has none.

    `image` is the size of the images, and `grids` are those of feature maps elsewhere in the network.
    """
    axis = image_axis(shapes)
    if isinstance(axis, str):
        return axis
    found = _of_an_image(shapes.without(axis).of_three_axes(), shapes, image, declared, grids)
    if isinstance(found, str) or axis == 0:
        return found
    return replace(found, laid=tuple((replace(its, image_axis=axis), stride) for its, stride in found.laid))


def image_axis(shapes: Shapes) -> int | str:
    """The axis that holds the images."""
    two, three = shapes.two, shapes.three
    if not two:
        return "it is a single number for all images"
    if three is None or len(three) != len(two):
        return 0 if two[0] == 2 else _no_image(0, two)
    grown = [axis for axis, (before, after) in enumerate(zip(two, three, strict=True)) if before != after]
    if not grown:
        return f"it does not grow with the number of images: shape {written(two)} for 2 and for 3"
    if len(grown) > 1 or (two[grown[0]], three[grown[0]]) != (2, 3):
        return _no_image(grown[0], two)
    return grown[0]


def _no_image(axis: int, two: Shape) -> str:
    which = ("first", "second", "third")[axis] if axis < 3 else f"{axis + 1}th"
    return f"its {which} axis is not the image: shape {written(two)} for 2 images, as in windows or heads"


def _of_an_image(
    rest: Shapes, whole: Shapes, image: Grid, declared: Declared, grids: Iterable[Laid]
) -> Candidates | str:
    """The same, of the axes beside the images'; `whole` has the shapes as they are told."""
    if rest.large is None and (rest.high is None or rest.wide is None):
        found = _of_one_size(rest.two, whole.two, image, declared, grids)
        return found if isinstance(found, str) or found.certain else _growing_so(found, rest, whole)
    known = [shape for shape in (rest.high, rest.wide, rest.large) if shape is not None]
    odd = next((shape for shape in known if len(shape) != len(rest.two)), None)
    if odd is not None:
        return f"its shape changes with the size of the image: {written(rest.two)} and {written(odd)} for an image"
    if all(shape == rest.two for shape in known):
        return _certain(Layout("vector"), None)
    if rest.high is not None and rest.wide is not None:
        rows, columns = _grown(rest.two, rest.high), _grown(rest.two, rest.wide)
    else:
        assert rest.large is not None
        rows = columns = _grown(rest.two, rest.large)
    if len(rest.two) == 3:
        return _map(rest, whole, rows, columns, image)
    if len(rest.two) == 2 and len(rows) == 1 and rows == columns:
        return _tokens(rest, rows[0], whole.two, image, declared)
    return _no_grid_grows(whole)


def _grown(before: Shape, after: Shape) -> list[int]:
    return [axis for axis, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]


def _certain(its: Layout, stride: Strides | None) -> Candidates:
    return Candidates(((its, stride),), certain=True)


def _no_grid_grows(whole: Shapes) -> str:
    shapes = [shape for shape in (whole.two, whole.high, whole.wide, whole.large) if shape is not None]
    return f"no grid of positions grows with the image: shapes {' and '.join(map(written, dict.fromkeys(shapes)))}"


# --- feature maps


def _map(rest: Shapes, whole: Shapes, rows: list[int], columns: list[int], image: Grid) -> Candidates | str:
    """Of three axes beside the images'."""
    told = rest.high is not None and rest.wide is not None
    if rows == columns and len(rows) == 2 and (told or not _grows_like(rest, rows, image)):
        return (
            "two of its axes grow with the height and with the width alike, as attention weights of tokens do: shapes "
            f"{written(whole.two)} and {written(whole.high or whole.large or ())}"
        )
    if told and len(rows) == len(columns) == 1 and rows != columns:
        assert rest.high is not None and rest.wide is not None
        axes = {rows[0], columns[0]}
        down = stride_of(rest.growth, rest.high[rows[0]] - rest.two[rows[0]], image[0], rest.two[rows[0]])
        right = stride_of(rest.growth, rest.wide[columns[0]] - rest.two[columns[0]], image[1], rest.two[columns[0]])
        kind = _kind(axes)
        if kind is None:
            return f"its rows and columns have channels between them: shape {written(whole.two)}; permute its axes"
        if down is None or right is None:
            return _no_grid_grows(whole)
        grid = (rest.two[rows[0]], rest.two[columns[0]])
        return _certain(Layout(kind, grid, columns_first=rows[0] > columns[0]), (down, right))
    if told or len(rows) != 2 or (kind := _kind(set(rows))) is None:
        return _no_grid_grows(whole)
    assert rest.large is not None
    first, second = rows
    found = []
    for high, wide in ((first, second), (second, first)):
        down = stride_of(rest.growth, rest.large[high] - rest.two[high], image[0], rest.two[high])
        right = stride_of(rest.growth, rest.large[wide] - rest.two[wide], image[1], rest.two[wide])
        if down is not None and right is not None:
            grid = (rest.two[high], rest.two[wide])
            found.append((Layout(kind, grid, columns_first=high > wide), (down, right)))
    return Candidates(tuple(found), declared=1) if found else _no_grid_grows(whole)


def _kind(axes: set[int]) -> Literal["map", "nhwc"] | None:
    """The layout whose rows and columns lie on these of three axes."""
    if axes == {1, 2}:
        return "map"
    return "nhwc" if axes == {0, 1} else None


def _grows_like(rest: Shapes, axes: list[int], image: Grid) -> bool:
    """Whether axes grow as the image does; the square of a number of tokens grows faster."""
    assert rest.large is not None
    growth = max((image[0] + rest.growth) / image[0], (image[1] + rest.growth) / image[1])
    return all(rest.large[axis] - 1 < rest.two[axis] * growth**1.5 for axis in axes)  # which may be rounded


# --- strides


def ratios(growth: int, positions: int) -> list[Fraction]:
    """The strides of smallest denominator at which images larger by `growth` have so many positions more.

    Or one less or more, as strides round.

    >>> [str(one) for one in ratios(1920, 1440)], [str(one) for one in ratios(128, 12)]
    (['4/3'], ['10', '11'])
    """
    if positions <= 0:
        return []
    low = Fraction(growth, positions + 1)
    high = Fraction(growth, positions - 1) if positions > 1 else None
    for denominator in range(1, growth + 1):
        first = floor(low * denominator) + 1
        last = ceil(high * denominator) - 1 if high is not None else max(first, growth * denominator)
        if first <= last:
            return [Fraction(number, denominator) for number in range(first, last + 1)]
    return [Fraction(growth, positions)]


def stride_of(growth: int, more: int, pixels: int, positions: int) -> Ratio | None:
    """Pixels from position to position, of an axis that has `more` positions of images larger by `growth`.

    Of several ratios, that at which the growth is exact, then that of the image's `pixels` to its `positions`, then the
    nearest. None where the axis shrinks.

    >>> stride_of(128, 96, 32, 24), stride_of(128, 256, 32, 64), stride_of(128, 12, 20, 2)
    (Fraction(4, 3), Fraction(1, 2), 10)
    """
    found = ratios(growth, more)
    if not found:
        return None
    exact, whole = Fraction(growth, more), Fraction(pixels, positions)
    for preferred in (exact, whole):
        if preferred in found:
            return plain(preferred)
    # Rounded before it is upsampled by 2, a growth may be 2 positions off.
    if whole.denominator <= SMALL < found[0].denominator and (more - 2) * whole < growth < (more + 2) * whole:
        return plain(whole)
    return plain(min(found, key=lambda one: abs(one - exact)))


def settled(two: Shape, large: Shape | None, growth: int, image: Grid) -> bool:
    """Whether a growth of the image on both axes leaves no second stride open, on any axis of a map."""
    if large is None or len(large) != len(two) or len(two) != 4:
        return True
    for before, after in zip(two, large, strict=True):
        if after > before > 0:
            exact = Fraction(growth, after - before)
            if ratios(growth, after - before) != [exact] and exact not in (Fraction(side, before) for side in image):
                return False
    return True


def plain(ratio: Fraction) -> Ratio:
    """A whole ratio as an int."""
    return ratio.numerator if ratio.denominator == 1 else ratio


# --- tokens


def _tokens(rest: Shapes, axis: int, two: Shape, image: Grid, declared: Declared) -> Candidates | str:
    """Tokens along one axis: the grids whose positions, with other tokens, add up at every size."""
    counts = [shape[axis] if shape is not None else None for shape in (rest.two, rest.high, rest.wide, rest.large)]
    grids = list(_grids(counts, rest.growth, image, declared))
    if not grids:
        return no_grid(two)
    of_declared = [one for one in grids if one[1] != (1, 1) and one[1] in declared.reductions]
    grids = of_declared + [one for one in grids if one not in of_declared]
    return _placed(grids, rest.two[axis], axis == 1, declared, no_grid(two))


def _grids(
    counts: Sequence[int | None], growth: int, image: Grid, declared: Declared
) -> Iterator[tuple[Grid, Strides]]:
    """Grids of positions and their strides, the likeliest first."""
    count, high, wide, large = counts
    assert count is not None
    if high is not None and wide is not None and large is not None:
        yield from _grids_of_four(count, high, wide, large, growth, image)
    elif large is not None:
        yield from _square_grids(count, large, growth, image, declared)


def _grids_of_four(
    count: int, high: int, wide: int, large: int, growth: int, image: Grid
) -> Iterator[tuple[Grid, Strides]]:
    """Where the image grows on each axis and on both: rows times columns follows, and so the number of other tokens."""
    both = large - high - wide + count  # new rows times new columns
    below, beside = high - count, wide - count  # new rows times columns, rows times new columns
    if min(both, below, beside) <= 0:
        return
    found = []
    for rows in range(1, both + 1):
        columns = both // rows
        if rows * columns != both or below % rows or beside % columns:
            continue
        grid = (beside // columns, below // rows)
        down, right = stride_of(growth, rows, image[0], grid[0]), stride_of(growth, columns, image[1], grid[1])
        if grid[0] * grid[1] > count or down is None or right is None:
            continue
        off = abs(log(down * grid[0] / image[0])) + abs(log(right * grid[1] / image[1]))
        if off < log(1.6):
            found.append((abs(log(down / right)), off, grid, (down, right)))
    for _, _, grid, strides in sorted(found, key=lambda one: one[:2])[:8]:
        yield grid, strides


def _square_grids(
    count: int, large: int, growth: int, image: Grid, declared: Declared
) -> Iterator[tuple[Grid, Strides]]:
    """Where the image grows on both axes at once: strides alike on both, whose positions and other tokens add up."""
    found: dict[tuple[Grid, Strides], tuple[int, float]] = {}
    for stride in range(1, min(image) + 1):
        for grid in {
            (floor(image[0] / stride), floor(image[1] / stride)),
            (ceil(image[0] / stride), ceil(image[1] / stride)),
        }:
            more, others = round(growth / stride), count - grid[0] * grid[1]
            fits = 0 <= others <= max(MOST_OTHER_TOKENS, declared.before)
            if fits and (grid[0] + more) * (grid[1] + more) + others == large:
                off = abs(image[0] / stride - grid[0]) + abs(growth / stride - more)
                found[grid, (stride, stride)] = (int(others not in (0, declared.before)), off)
    yield from sorted(found, key=lambda one: found[one])


def _placed(
    grids: Sequence[tuple[Grid, Strides]], count: int, channels_first: bool, declared: Declared, reason: str
) -> Candidates | str:
    """Layouts on these grids, with the tokens that stand for no position at each place where they may stand."""
    found: list[Laid] = []
    likely: dict[int, Laid] = {}  # of the grids with as many other tokens the first, with these where they are declared
    for grid, strides in grids:
        others = count - grid[0] * grid[1]
        for before, middle, after in _places(others, declared.before):
            its = Layout("tokens", grid, before, after, middle, channels_first=channels_first)
            if (before, middle, after) in ((0, 0, 0), (declared.before, 0, 0)) and others not in likely:
                likely[others] = (its, strides)
            else:
                found.append((its, strides))
    laid = (*likely.values(), *found)
    return Candidates(laid, declared=len(likely), reason=reason) if laid else reason


def _places(others: int, declared: int) -> list[tuple[int, int, int]]:
    """Where other tokens may stand: how many before the positions, in their middle, and after them."""
    found = [(others, 0, 0), (0, 0, others), (0, others, 0)]
    if 0 < declared < others:
        found.append((declared, 0, others - declared))
    if others > 1:  # a class token, and registers on the other side
        found += [(1, 0, others - 1), (others - 1, 0, 1)]
    return list(dict.fromkeys(found))


def no_grid(two: Shape, hint: str = "ROWSxCOLUMNS+BEFORE") -> str:
    """Why tokens of this shape, for two images, have no layout."""
    return f"tokens on no declared grid: shape {written(two)}; {ASK} tokens:{hint}"


# --- networks of one input size, or of one height or width


def _growing_so(found: Candidates, rest: Shapes, whole: Shapes) -> Candidates | str:
    """Those of the layouts that agree with how a tensor grows with the height alone, or with the width alone."""
    tall = rest.high is not None
    grown = rest.high if tall else rest.wide
    if grown is None:
        return found
    laid = [one for one in found.laid if _grows_as(one, rest.two, grown, rest.growth, tall)]
    declared = sum(one in laid for one in found.laid[: found.declared])
    return replace(found, laid=tuple(laid), declared=declared) if laid else _no_grid_grows(whole)


def _grows_as(one: Laid, two: Shape, grown: Shape, growth: int, tall: bool) -> bool:
    """Whether a layout's tensor has this shape of an image that is so many pixels higher, or else wider."""
    its, strides = one
    axes = _grown(two, grown) if len(two) == len(grown) else []
    if len(axes) != 1:
        return False
    more = Fraction(grown[axes[0]] - two[axes[0]])
    if its.kind == "tokens":
        if axes[0] != int(its.channels_first):
            return False
        more /= its.grid[1] if tall else its.grid[0]  # columns of each row that is new, or rows of each column
    else:
        first = 1 if its.kind == "map" else 0
        if axes[0] != first + (tall == its.columns_first):
            return False
    if strides is None:
        return more > 0
    stride = strides[0] if tall else strides[1]
    return more.denominator == 1 and (more - 1) * stride < growth < (more + 1) * stride


def _of_one_size(rest: Shape, two: Shape, image: Grid, declared: Declared, grids: Iterable[Laid]) -> Candidates | str:
    """Without growth: vectors by their shape, maps by axes that divide the image evenly, tokens by what is declared."""
    if len(rest) <= 1 or all(size == 1 for size in rest[1:]) or all(size == 1 for size in rest[:-1]):
        return _certain(Layout("vector"), None)
    if len(rest) == 3:
        return _map_of_one_size(rest, two, image, declared)
    if len(rest) == 2:
        return _tokens_of_one_size(rest, two, image, declared, grids)
    return f"no grid of positions is known in a network of one input size: shape {written(two)}"


def _map_of_one_size(rest: Shape, two: Shape, image: Grid, declared: Declared) -> Candidates | str:
    found: list[Laid] = []
    for kind, sizes in (("map", rest[1:]), ("nhwc", rest[:2])):
        if _is_grid(sizes, image):
            strides = _strides_of_one_size((sizes[0], sizes[1]), image, declared)
            its = Layout(kind, (sizes[0], sizes[1]))  # type: ignore[arg-type]  # one of the two
            found.append((its, strides))
            if image[0] == image[1]:
                found.append((replace(its, columns_first=True), strides))
    if not found:
        return f"no grid of positions that divides {written(image)} pixels: shape {written(two)}"
    kinds = {its.kind for its, _ in found}
    if len(kinds) == 2:
        reason = f"its channels may come first or last: shape {written(two)}; {ASK} nchw or nhwc"
        return Candidates(tuple(found), reason=reason)
    return Candidates(tuple(found), declared=1)


def _strides_of_one_size(grid: Grid, image: Grid, declared: Declared) -> Strides | None:
    """The declared reduction that gives this grid, else pixels over positions where both are whole."""
    for lost in (0, 1):  # a position, to a kernel that is wider than its stride and not padded
        for down, right in declared.reductions:
            if (image[0] // down - lost, image[1] // right - lost) == grid:
                return down, right
    return whole_ratio(grid, image)


def whole_ratio(grid: Grid, image: Grid) -> Strides | None:
    """Pixels over positions, where these are whole, or positions over pixels are."""
    down, right = (Fraction(pixels, positions) for pixels, positions in zip(image, grid, strict=True))
    if all(1 in (one.numerator, one.denominator) for one in (down, right)):
        return plain(down), plain(right)
    return None


def _is_grid(sizes: Shape, image: Grid) -> bool:
    """Whether these may be a grid on the image: of its proportions, and no finer than its pixels, or whole times so."""
    in_proportion = sizes[0] * image[1] == sizes[1] * image[0] and sizes[0] > 1
    return in_proportion and (sizes[0] <= image[0] or sizes[0] % image[0] == 0)


def _tokens_of_one_size(
    rest: Shape, two: Shape, image: Grid, declared: Declared, grids: Iterable[Laid]
) -> Candidates | str:
    """On the grids that are declared, that feature maps have, and that have the proportions of the image."""
    known: dict[tuple[Grid, Strides], None] = {}
    for down, right in declared.reductions:
        for grid in {(image[0] // down, image[1] // right), (-(-image[0] // down), -(-image[1] // right))}:
            known[grid, (down, right)] = None
    declared_grids = len(known)
    known |= dict.fromkeys((its.grid, stride) for its, stride in grids if stride is not None)
    known |= dict.fromkeys(_proportional(image))
    found: list[Laid] = []
    supported = 0
    for axis, count in ((0, rest[0]), (1, rest[1])):
        for place, (grid, strides) in enumerate(known):
            others = count - grid[0] * grid[1]
            most = max(min(MOST_OTHER_TOKENS, grid[0] * grid[1]), declared.before)
            if grid[0] * grid[1] < 2 or not 0 <= others <= most:
                continue
            for before, middle, after in _places(others, declared.before):
                its = Layout("tokens", grid, before, after, middle, channels_first=axis == 1)
                at_front = (before, middle, after) in ((0, 0, 0), (declared.before, 0, 0))
                if place < declared_grids and at_front and axis == 0:
                    found.insert(supported, (its, strides))
                    supported += 1
                else:
                    found.append((its, strides))
    side = round((rest[0] - declared.before) ** 0.5) if rest[0] > declared.before else 0
    hint = f"{side}x{side}+{declared.before}" if side**2 + declared.before == rest[0] else "ROWSxCOLUMNS+BEFORE"
    reason = no_grid(two, hint)
    return Candidates(tuple(found), declared=supported, reason=reason) if found else reason


def _proportional(image: Grid) -> Iterator[tuple[Grid, Strides]]:
    """Grids of the image's proportions, at strides that are whole and divide it."""
    for stride in range(1, min(image) + 1):
        if image[0] % stride == 0 and image[1] % stride == 0:
            yield (image[0] // stride, image[1] // stride), (stride, stride)
