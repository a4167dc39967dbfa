"""Figure 3: does the measure find what is built into a network?

The paper (section 4.1) makes two networks of three layers by hand. (a) Isotropic Gaussian filters: invariance must be 1
under every rotation. (b) Filters that are the four rotations of one Gaussian with a corner cut out: equivariance must
be 1, with partners that go round in a 4-cycle, and invariance lower. We add (c), where it can go wrong: filters that
are exactly symmetric, at stride 2, on 225 pixels (1 everywhere) and on 224, where every stride loses some. Half a
minute on one CPU core. The seed draws the random images and the crops; the strided networks have seeds of their own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from scipy import stats
from torch import Tensor, nn

import equiscope as es
from equiscope.figures.style import AMBER, GREY, MEASURE_COLOURS, PURPLE, Plot, drawing
from equiscope.results.columns import SCOPES
from equiscope.system.progress import Progress
from equiscope_studies import networks
from equiscope_studies.results import folded, listed, machine, markdown, recipe_in_words, without_frame


@dataclass(frozen=True)
class Settings:
    """On what the networks are measured."""

    pixels: int = 32  # of the random images
    sizes: tuple[int, int] = (225, 224)  # of the photographs: one that stride 2 halves exactly five times, one not
    networks: int = 5  # strided ones, of seeds 0, 1, ...
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)


SETTINGS = Settings()
HAND_MADE: dict[str, Callable[[], nn.Sequential]] = {
    "isotropic": networks.gaussian_network,
    "cornered": networks.cornered_network,
}
SCORING = es.Scoring(scopes=SCOPES, intervals=False)
EXACT = 1e-4  # so near to 1 is 1
ROTATION = "rot180"


def numbers(*, images: int = 48, seed: int = 0, progress: bool | Progress = False) -> pd.DataFrame:
    """Every number of the figure, a row each; `attrs["recipe"]` says how they were made.

    The column `network` is "isotropic", "cornered" or "strided"; `kind` is "filter" (a value a pixel of it), "score"
    (with its chance level), "partner" (of each channel), "law" (the share that two maps in succession explain), or, for
    the strided networks together, "mean" (of their scores, with an interval).
    """
    progress = progress if isinstance(progress, Progress) else False  # a bar a network would be one of seconds
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(images, 3, SETTINGS.pixels, SETTINGS.pixels, generator=generator)
    tables: list[pd.DataFrame] = []
    for name, make in HAND_MADE.items():
        network = make()
        scores = es.measure(network, noise, es.rotations(), scoring=SCORING, progress=progress)
        tables += [_filters(name, network), _scores(name, scores), _partners(name, scores), _laws(name, scores)]
    strided = pd.concat(_strided(images, seed, progress), ignore_index=True)
    first = networks.symmetrised(networks.strided_network(seed=0))
    tables += [_filters("strided", first), strided, _means(strided)]
    table = pd.concat(tables, ignore_index=True)
    table.attrs["recipe"] = {
        "command": f"equiscope figure 3 --images {images} --seed {seed} --output OUTPUT",
        "started": scores.manifest["started"],
        "machine": machine(),
        "versions": scores.manifest["versions"],
        "images of (a) and (b)": f"{images} of normal noise, 3 x {SETTINGS.pixels} x {SETTINGS.pixels}",
        "images of (c)": f"{images} crops of the photographs that scikit-image and scikit-learn ship",
        "networks of (c)": f"{SETTINGS.networks}, random weights of seeds 0 to {SETTINGS.networks - 1}",
        "seed": seed,
    }
    return table


def _filters(name: str, network: nn.Module) -> pd.DataFrame:
    """The first layer's filters, of the first colour, of four channels."""
    (weights, *_) = (module.weight.detach() for module in network.modules() if isinstance(module, nn.Conv2d))
    shown: Float[Tensor, "channel row column"] = weights[:4, 0]
    channel, row, column = (places.ravel() for places in np.indices(shown.shape))
    return pd.DataFrame({"channel": channel, "row": row, "column": column, "value": shown.flatten()}).assign(
        network=name, kind="filter"
    )


def _scores(name: str, scores: es.Scores) -> pd.DataFrame:
    columns = ["layer", "transformation", "measure", "scope", "score", "chance"]
    table = scores.scores[columns].rename(columns={"score": "value"})
    return table[~table["transformation"].isin(["rotations"])].assign(network=name, kind="score")


def _partners(name: str, scores: es.Scores) -> pd.DataFrame:
    columns = ["layer", "transformation", "scope", "channel", "partner"]
    table = scores.channels[columns].rename(columns={"partner": "value"})
    return table.assign(network=name, kind="partner", value=table["value"].astype(float))


def _laws(name: str, scores: es.Scores) -> pd.DataFrame:
    table = scores.laws[["layer", "first", "second", "composed"]].rename(columns={"composed": "value"})
    return table.assign(network=name, kind="law")


def _strided(images: int, seed: int, progress: bool | Progress) -> Iterator[pd.DataFrame]:
    """The scores of every strided network on photographs of every size, under a rotation by 180."""
    rotation = next(one for one in es.rotations().transformations if one.name == ROTATION)
    scoring = replace(SCORING, measures=("invariance",))
    for pixels in SETTINGS.sizes:
        preprocessing = es.Preprocessing(size=(pixels, pixels), mean=SETTINGS.mean, std=SETTINGS.std)
        photographs = torch.cat(list(es.open_images("photographs", preprocessing, limit=images, seed=seed)))
        for drawn in range(SETTINGS.networks):
            network = networks.symmetrised(networks.strided_network(seed=drawn))
            scores = es.measure(network, photographs, rotation, scoring=scoring, progress=progress)
            strides = scores.layers.set_index("layer")["stride_y"].astype(int)
            found = _scores("strided", scores)
            yield found.assign(drawn=drawn, pixels=pixels, stride=found["layer"].map(strides))


def _means(strided: pd.DataFrame) -> pd.DataFrame:
    """Over the networks: the mean and its t-interval."""
    by = ["pixels", "layer", "stride", "measure", "scope"]
    found = strided.groupby(by, sort=False)["value"].agg(["mean", "sem", "count"]).reset_index()
    half = found["sem"] * stats.t.ppf(0.975, found["count"] - 1)
    found = found.assign(value=found["mean"], low=found["mean"] - half, high=found["mean"] + half)
    return found[[*by, "value", "low", "high"]].assign(network="strided", kind="mean", transformation=ROTATION)


def of_network(table: pd.DataFrame, network: str, kind: str, **columns: object) -> pd.DataFrame:
    """The rows of one kind for one network, or for the strided ones; `columns` narrow them further."""
    chosen = (table["network"] == network) & (table["kind"] == kind)
    for column, value in columns.items():
        chosen &= table[column] == value
    return table[chosen]


# --- the picture

WIDTH, HEIGHT = 7.2, 4.5  # inches
COLUMNS = (0.48, 2.9, 5.32)  # where each of (a), (b) and (c) begins
COLUMN = 1.8  # inches wide
FILTERS, SCORES, BELOW = 3.62, 1.72, 0.25  # where each row of panels begins, from below
MARKERS = {"rot90": ("o", 3.5), "rot180": ("s", 3.5), "rot270": ("^", 6)}


def picture(table: pd.DataFrame) -> Plot:
    """The figure, of saved numbers alone."""
    titles = {
        "isotropic": "isotropic filters",
        "cornered": "four rotations of one filter",
        "strided": "symmetric, stride 2",
    }
    with drawing():
        figure = Plot(figsize=(WIDTH, HEIGHT))
        for letter, left, (name, title) in zip("abc", COLUMNS, titles.items(), strict=True):
            figure.text(
                (left - 0.35) / WIDTH, 1 - 0.18 / HEIGHT, f"$\\bf{{{letter}}}$   {title}", fontsize=9, parse_math=True
            )
            _draw_filters(figure, left, of_network(table, name, "filter"))
            axes = _panel(figure, left, SCORES, COLUMN, 1.55)
            if name == "strided":
                _draw_strides(axes, of_network(table, name, "mean", measure="invariance", scope="dataset"))
                _draw_points(_panel(figure, left, BELOW, COLUMN, 0.75))
            else:
                _draw_layers(axes, of_network(table, name, "score", scope="dataset"))
                _draw_partners(figure, left, of_network(table, name, "partner", scope="dataset", layer="layer3"))
                if name == "isotropic":
                    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.02), title="in (a) and (b)", alignment="left")
    return figure


def _panel(figure: Plot, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches."""
    return figure.add_axes((left / WIDTH, bottom / HEIGHT, width / WIDTH, height / HEIGHT))


def _draw_filters(figure: Plot, left: float, filters: pd.DataFrame) -> None:
    signed = bool(filters["value"].min() < 0)
    for channel, (_, rows) in enumerate(filters.groupby("channel")):
        axes = _panel(figure, left + 0.46 * channel, FILTERS, 0.42, 0.42)
        values = rows.pivot(index="row", columns="column", values="value").to_numpy()
        most = np.abs(values).max()
        axes.imshow(values, cmap="PuOr" if signed else "cividis", vmin=-most if signed else 0, vmax=most)
        without_frame(axes)
        axes.set_title(f"{channel}", fontsize=7, pad=2)


def _draw_layers(axes: Axes, scores: pd.DataFrame) -> None:
    """Both measures after each layer, under every rotation."""
    for measure in ("equivariance", "invariance"):
        for transformation, (marker, size) in MARKERS.items():
            rows = scores[(scores["measure"] == measure) & (scores["transformation"] == transformation)]
            solid = measure == "invariance" and transformation != "rot270"  # equal scores: each stays in sight
            axes.plot(
                range(1, len(rows) + 1), rows["value"], f"{marker}-", color=MEASURE_COLOURS[measure], linewidth=0.6,
                markersize=size if measure == "invariance" else size + 3, markeredgewidth=0.8,
                markerfacecolor=MEASURE_COLOURS[measure] if solid else "none", label=f"{measure}, {transformation}",
            )  # fmt: skip
    axes.set(xlim=(0.6, 3.4), ylim=(-0.03, 1.1), xlabel="layer", ylabel="score", xticks=(1, 2, 3))


def _draw_strides(axes: Axes, means: pd.DataFrame) -> None:
    whole, half = SETTINGS.sizes
    for pixels, colour in ((whole, PURPLE), (half, AMBER)):
        rows = means[means["pixels"] == pixels]
        axes.fill_between(rows["stride"], rows["low"], rows["high"], color=colour, alpha=0.25, linewidth=0)
        axes.plot(rows["stride"], rows["value"], "o-", color=colour, label=f"{pixels} pixels")
    for stride, value in zip(rows["stride"], rows["value"], strict=True):
        axes.annotate(f"{value:.2f}", (stride, value), (-2, -10), textcoords="offset points", ha="center", fontsize=6.5)
    axes.set_xscale("log", base=2)
    axes.set_xticks(rows["stride"], [f"{stride:.0f}" for stride in rows["stride"]])
    axes.set(
        xlim=(1.5, 40), ylim=(-0.03, 1.1), xlabel="stride of the layer, pixels", ylabel=f"invariance under {ROTATION}"
    )
    axes.legend(loc="lower left")


def _draw_partners(figure: Plot, left: float, partners: pd.DataFrame) -> None:
    """A square a rotation: in the row of a channel, its partner is marked."""
    for number, (transformation, rows) in enumerate(partners.groupby("transformation", sort=False)):
        axes = _panel(figure, left + 0.62 * number, BELOW + 0.1, 0.55, 0.55)
        axes.plot(rows["value"], rows["channel"], "s", color="#404040", markersize=6)
        axes.set(xlim=(-0.5, 3.5), ylim=(3.5, -0.5))
        without_frame(axes)
        axes.set_title(str(transformation), fontsize=7, pad=2)
        if number == 0:
            axes.set_xlabel("partner", fontsize=7, labelpad=2)
            axes.set_ylabel("channel", fontsize=7, labelpad=2)


def _draw_points(axes: Axes) -> None:
    """A short row of pixels, odd and even: which of them stride 2 samples, and where a rotation by 180 sends those."""
    for line, pixels, colour in ((0, 9, PURPLE), (1, 8, AMBER)):
        for pixel in range(pixels):
            square = Rectangle((pixel - 0.5, line - 0.25), 1, 0.5, facecolor="none", edgecolor="#BFBFBF", linewidth=0.6)
            axes.add_patch(square)
        sampled = np.arange(0, pixels, 2)
        axes.plot(sampled, np.full(len(sampled), line), "o", color=colour, markersize=3)
        axes.plot(pixels - 1 - sampled, np.full(len(sampled), line), "o", color=GREY, mfc="none", ms=7, mew=0.8)
    axes.set(xlim=(-0.6, 9), ylim=(1.5, -0.5), yticks=(0, 1), yticklabels=("odd", "even"), xticks=())
    axes.set_title("pixels sampled; rotated by 180: open", fontsize=7, pad=2)
    axes.tick_params(left=False)
    axes.spines[:].set_visible(False)


# --- the page


def page(table: pd.DataFrame) -> str:
    """The figure in words, every one of which follows from the numbers."""
    recipe = table.attrs["recipe"]
    return "\n\n".join(
        [
            "# Figure 3: does the measure find what is built into a network?",
            answer(table),
            "![The figure](figure.png)",
            "The first layer's filters (of (c): of its first network, the first colour); the scores, in scope dataset; "
            "and below, for (a) and (b), the partner of each channel of the last layer under each rotation.",
            "## (a) Isotropic Gaussian filters",
            _isotropic_in_words(table),
            folded("The scores", _layer_table(table, "isotropic")),
            "## (b) Four rotations of one Gaussian with a corner cut out",
            _cornered_in_words(table),
            folded("The scores", _layer_table(table, "cornered")),
            "## (c) Symmetric filters at stride 2",
            _strided_in_words(table),
            folded("The scores", _stride_table(table)),
            "## How this was made",
            recipe_in_words(recipe) + "\n\nAll numbers, with more digits, are in `data.parquet`.\n",
        ]
    )


def answer(table: pd.DataFrame) -> str:
    """Whether all that is known beforehand is found, and what a grid costs that a rotation does not map onto itself."""
    odd, even = SETTINGS.sizes
    known = {
        "the invariance of isotropic filters": of_network(table, "isotropic", "score", measure="invariance"),
        "the equivariance of four rotations of one filter": of_network(
            table, "cornered", "score", measure="equivariance"
        ),
        f"the invariance of symmetric filters at stride 2 on {odd} pixels": of_network(
            table, "strided", "score", measure="invariance", pixels=odd
        ),
    }
    least = {name: float(rows["value"].min()) for name, rows in known.items()}
    found = min(least.values()) > 1 - EXACT
    lost = of_network(table, "strided", "mean", measure="invariance", pixels=even, scope="dataset")["value"]
    told = f"{listed(least)} score at least {listed(f'{value:.3f}' for value in least.values())}"
    verdict = "It does" if found else "Not all of it"
    return (
        f"**{verdict}:** {told}, and are 1 by construction. On {even} pixels, a grid that a rotation does not map onto "
        f"itself, the same symmetric filters score {lost.iloc[0]:.2f} after one layer of stride 2 and "
        f"{lost.iloc[-1]:.2f} after {len(lost)}."
    )


def _isotropic_in_words(table: pd.DataFrame) -> str:
    scores = of_network(table, "isotropic", "score", measure="invariance")
    least = scores["value"].min()
    return (
        f"Every filter is the same however it is rotated, so every channel is invariant. Of the {len(scores)} scores "
        f"of invariance (3 layers, 3 rotations, 2 scopes) the lowest is {least:.3f}, {_as_it_must_be(least)}. "
        f"{_chance_in_words(table, 'isotropic')}"
    )


def _as_it_must_be(least: float) -> str:
    return "as it must be" if least > 1 - EXACT else "and must be 1: the measure does not find it"


def _chance_in_words(table: pd.DataFrame, name: str) -> str:
    chance = of_network(table, name, "score")["chance"].dropna()
    return f"The chance level, that of mismatched image pairs, is at most {chance.abs().max():.2f} from 0."


def _cornered_in_words(table: pd.DataFrame) -> str:
    least = of_network(table, "cornered", "score", measure="equivariance")["value"].min()
    most = of_network(table, "cornered", "score", measure="invariance")["value"].max()
    partners = of_network(table, "cornered", "partner")
    wrong = int((partners["value"] != _cycled(partners)).sum())
    cycle = (
        f"all {len(partners)} partners (3 layers, 3 rotations, 2 scopes, 4 channels) are those of this 4-cycle"
        if wrong == 0
        else f"{wrong} of {len(partners)} partners are not those of this 4-cycle"
    )
    laws = of_network(table, "cornered", "law")["value"]
    return (
        "Each filter is the one before it, rotated by 90 degrees, and so is what a layer takes from its channels: no "
        f"channel is invariant, but together they are equivariant. The lowest equivariance is {least:.3f}, "
        f"{_as_it_must_be(least)}; the highest invariance is {most:.3f}. A rotation by 90 degrees gives each channel "
        "the rotated map of the one before it, by 180 of the one two before, by 270 of the one after: "
        f"{cycle}. The group law {'holds' if laws.min() > 1 - EXACT else 'does not hold'}: the maps of two rotations "
        f"in succession explain at least {laws.min():.3f} of what their product gives, over {len(laws)} pairs and "
        "layers. "
        f"{_chance_in_words(table, 'cornered')}"
    )


def _cycled(partners: pd.DataFrame) -> pd.Series:
    """The partner that each channel must have: so many before it, modulo 4, as there are quarters of a rotation."""
    quarters = partners["transformation"].map({"rot90": 1, "rot180": 2, "rot270": 3})
    return (partners["channel"] - quarters) % 4


def _layer_table(table: pd.DataFrame, name: str) -> str:
    scores = of_network(table, name, "score")
    wide = scores.pivot(index=["layer", "transformation"], columns=["measure", "scope"], values="value")
    columns = [(measure, scope) for measure in ("invariance", "equivariance") for scope in SCOPES]
    return markdown(
        ["layer, rotation", *(", ".join(column) for column in columns)],
        (
            [", ".join(index), *(f"{wide.loc[index, column]:.3f}" for column in columns)]
            for index in sorted(wide.index, key=lambda index: (index[0], int(index[1].removeprefix("rot"))))
        ),
    )


def _strided_in_words(table: pd.DataFrame) -> str:
    odd, even = SETTINGS.sizes
    least = of_network(table, "strided", "score", measure="invariance", pixels=odd)["value"].min()
    lost = of_network(table, "strided", "mean", measure="invariance", pixels=even, scope="dataset")
    scores = listed(f"{value:.2f}" for value in lost["value"])
    strides = listed(f"{stride:.0f}" for stride in lost["stride"])
    exactly = "exactly" if least > 1 - EXACT else "not exactly, though it should be"
    less = "less" if (lost["value"].diff().dropna() < 0).all() else "not less"
    return (
        "Filters of 3 x 3 that are the mean of their eight rotations and mirror images, with padding 1, after each of "
        f"{len(lost)} layers. Of an odd number of pixels stride 2 samples points that a rotation by 180 degrees maps "
        f"onto each other: on {odd} pixels ({odd - 1} is a multiple of 32) the layers are invariant {exactly}, the "
        f"lowest score of any network and stride being {least:.3f}. Of an even number it samples pixels 0, 2, 4, ..., "
        "which the rotation sends to odd ones, so that rotating the array of positions is wrong by half a position at "
        f"stride 2 and by nearly a whole one at stride 32: on {even} pixels the same filters score {scores} at strides "
        f"{strides}, {less} at every stride. How much is lost depends on how fast images change from pixel to pixel, "
        f"and on the random weights: the intervals are over {SETTINGS.networks} networks. So a score below 1 does not "
        "prove that a network's filters are not symmetric."
    )


def _stride_table(table: pd.DataFrame) -> str:
    means = of_network(table, "strided", "mean", measure="invariance")
    columns = [(pixels, scope) for pixels in SETTINGS.sizes for scope in SCOPES]
    rows = []
    for stride, found in means.groupby("stride"):
        cells = [f"{stride:.0f}"]
        for pixels, scope in columns:
            (row,) = found[(found["pixels"] == pixels) & (found["scope"] == scope)].to_dict("records")
            cells.append(f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})")
        rows.append(cells)
    return f"Invariance under {ROTATION}, mean over the networks and its 95 % confidence interval:\n\n" + markdown(
        ["stride", *(f"{pixels} pixels, {scope}" for pixels, scope in columns)], rows
    )
