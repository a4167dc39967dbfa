"""Figure 2 in words, every one of which follows from the numbers."""

import math
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from equiscope_studies.mean_activation.numbers import (
    MEASURES,
    NORMAL,
    PAPER,
    PAPERS_BLOCKS,
    READINGS,
    RESAMPLES,
    SETTINGS,
    SIMILARITIES,
    interval,
    of_blocks,
    relation,
)
from equiscope_studies.results import folded, listed, markdown, recipe_in_words


def page(table: pd.DataFrame) -> str:
    """The figure in words, every one of which follows from the numbers."""
    recipe = table.attrs["recipe"]
    blocks = of_blocks(table, "activation")
    return "\n\n".join(
        [
            "# Figure 2: does a similarity follow the mean activation?",
            answer(table),
            "![The figure](figure.png)",
            "## (a) Two random maps",
            _maps_in_words(table),
            f"## (b) {recipe['network']}, a rotation by 90 degrees after each of {len(blocks)} residual blocks",
            _blocks_in_words(table),
            folded("Every score", _block_table(table)),
            "## (c) Beside the paper",
            _relation_table(table),
            *_comparison(table),
            "## How this was made",
            recipe_in_words(recipe) + "\n\nAll numbers, with more digits, are in `data.parquet`.\n",
        ]
    )


def answer(table: pd.DataFrame) -> str:
    """How closely the scores of either similarity go with the mean activation, over the blocks."""
    found = {
        word: [float(relation(table, "score", *reading, similarity)["value"]) for reading in READINGS]
        for similarity, word in SIMILARITIES.items()
    }
    higher = sum(cosine > pearson for cosine, pearson in zip(*found.values(), strict=True))
    told = listed(f"{_span(values)} under {word}" for word, values in found.items())
    verdict = "does, and more than correlation" if higher == len(READINGS) else "does not always, beside correlation"
    return (
        f"**Cosine {verdict}:** over the blocks of a trained network the scores' r with the mean activation is {told}, "
        f"by the reading of a score; in {higher} of {len(READINGS)} readings it is higher under cosine."
    )


def _maps_in_words(table: pd.DataFrame) -> str:
    means = table[table["panel"] == "means"]
    side = SETTINGS.side
    sentences, moved = [], {}
    for similarity, word in SIMILARITIES.items():
        rows = means[means["similarity"] == similarity]
        at = rows.set_index("mean")["value"]
        moved[similarity] = float((rows["value"] - at[0.0]).abs().max())
        before, after = f"{at[0.0]:.2f}", f"{at[SETTINGS.moved]:.2f}"
        sentences.append(
            f"their {word} stays at {after}" if before == after else f"their {word} goes from {before} to {after}"
        )
    same = "never moves" if moved["pearson"] < 1e-4 else f"moves by up to {moved['pearson']:.2g}"
    return (
        f"Two unrelated maps of {side} x {side} positions, uniform, of mean 0. As the mean of both rises by "
        f"{SETTINGS.moved:g}, {' and '.join(sentences)}. Over all means from {SETTINGS.means[0]:g} to "
        f"{SETTINGS.means[-1]:g} the correlation {same}, and cosine moves by up to {moved['cosine']:.2f}."
    )


def _blocks_in_words(table: pd.DataFrame) -> str:
    recipe, means = table.attrs["recipe"], of_blocks(table, "activation")
    highest, lowest = (means.loc[means["value"].agg(end)] for end in ("idxmax", "idxmin"))
    return (
        f"Scores on {recipe['images']}, under {recipe['transformation']}, in both scopes: over all images together "
        "(dataset), and within each image, then the mean (image). Invariance compares each map with the rotated map of "
        "the original image; strict invariance, to the letter of the paper's Eq. 4, with that map not rotated; "
        "equivariance with the rotated map of the best of all channels, which is chosen on other images; in-sample "
        "equivariance, to the letter of Eq. 7, with the best on the same images, or on the same image. The activation "
        "is what a block puts out, after its last ReLU: never negative, so that its mean is its mean magnitude too; "
        "the mean is over images, channels and positions. It is highest, "
        f"{highest['value']:.2f}, in {highest['layer']} and lowest, {lowest['value']:.2f}, in {lowest['layer']}."
    )


def _block_table(table: pd.DataFrame) -> str:
    means = of_blocks(table, "activation")
    columns = []
    for reading in READINGS:
        both = (of_blocks(table, *reading, similarity)["value"] for similarity in SIMILARITIES)
        columns.append([f"{cosine:.2f}, {pearson:.2f}" for cosine, pearson in zip(*both, strict=True)])
    rows = zip(means["layer"], (f"{value:.2f}" for value in means["value"]), *columns, strict=True)
    header = ["block", "mean activation", *(", ".join(reading) for reading in READINGS)]
    return f"Under {', '.join(SIMILARITIES.values())}:\n\n" + markdown(header, rows)


def _ends(row: pd.Series) -> str:
    return f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def _relation_table(table: pd.DataFrame) -> str:
    def papers(similarity: str) -> str:
        low, high = interval(PAPER[similarity], PAPERS_BLOCKS)
        return f"{PAPER[similarity]:.2f} ({low:.2f} to {high:.2f})"

    rows = [["the paper", papers("cosine"), papers("pearson"), "", ""]]
    for reading in READINGS:
        found = [relation(table, "score", *reading, similarity) for similarity in SIMILARITIES]
        within = [relation(table, "within stages", *reading, similarity)["value"] for similarity in SIMILARITIES]
        difference = relation(table, "difference", *reading)
        rows.append(
            [", ".join(reading), *map(_ends, found), _ends(difference), " and ".join(f"{r:.2f}" for r in within)]
        )
    return (
        "Pearson's r, over the blocks, of a block's score with its mean activation, and its 95 % confidence interval: "
        f"by Fisher's z, as if the blocks were independent (for the paper's two values, over {PAPERS_BLOCKS}); of the "
        f"difference, the percentiles of {RESAMPLES:,} draws of blocks with replacement.\n\n"
        + markdown(["score", "cosine", "correlation", "difference", "within stages: cosine and correlation"], rows)
    )


def _comparison(table: pd.DataFrame) -> Iterator[str]:
    """What the paper says and what these numbers say, and what may lie between."""
    yield _direction(table)
    yield _size(table)
    yield _depth(table)
    yield _chance(table)
    yield _unknown(table)


def _direction(table: pd.DataFrame) -> str:
    differences = [relation(table, "difference", *reading) for reading in READINGS]
    higher = sum(row["value"] > 0 for row in differences)
    clearly = sum(row["low"] > 0 for row in differences)
    holds = {len(READINGS): "So here too", 0: "So, unlike in the paper, it is not the case that"}
    verdict = holds.get(higher, "So for some readings and not for others")
    return (
        f"**The direction.** Under cosine the score goes with the mean activation more closely than under correlation "
        f"in {higher} of {len(READINGS)} readings; in {clearly} the interval of the difference lies above 0. "
        f"{verdict} cosine follows the activation more than correlation does."
    )


def _size(table: pd.DataFrame) -> str:
    said = []
    for similarity, word in SIMILARITIES.items():
        found = {reading: relation(table, "score", *reading, similarity) for reading in READINGS}
        beyond = [f"{m} ({s})" for (m, s), row in found.items() if _apart(row["value"], PAPER[similarity], table)]
        r = {reading: f"{row['value']:.2f}" for reading, row in found.items()}
        values = listed(f"{r[measure, 'dataset']} and {r[measure, 'image']} for {measure}" for measure in MEASURES)
        chance = (
            f"Further from it than two samples of blocks may be by chance (95 %) are {listed(beyond)}."
            if beyond
            else "None of them is further from it than two samples of blocks may be by chance (95 %)."
        )
        said.append(
            f"For {word} the paper finds {PAPER[similarity]:.2f}; here r is, in scopes dataset and image, {values}. "
            f"{chance}"
        )

    def distance(reading: tuple[str, str], similarities: Iterable[str]) -> float:
        rows = {similarity: relation(table, "score", *reading, similarity)["value"] for similarity in similarities}
        return math.hypot(*(math.atanh(r) - math.atanh(PAPER[similarity]) for similarity, r in rows.items()))

    def closest(*similarities: str) -> str:
        measure, scope = min(READINGS, key=lambda reading: distance(reading, similarities))
        return f"{measure} ({scope})"

    nearest = [f"for {word} {closest(similarity)}" for similarity, word in SIMILARITIES.items()]
    nearest.append(f"for both {closest(*SIMILARITIES)}")
    return (
        f"**The size.** {' '.join(said)} The nearest to the paper is {listed(nearest)}; but each is the best of "
        f"{len(READINGS)}, chosen afterwards."
    )


def _apart(r: float, papers: float, table: pd.DataFrame) -> bool:
    """Whether two correlations of independent samples differ by more than chance, by Fisher's z."""
    spread = math.sqrt(1 / (len(of_blocks(table, "activation")) - 3) + 1 / (PAPERS_BLOCKS - 3))
    return abs(math.atanh(r) - math.atanh(papers)) > NORMAL * spread


def _depth(table: pd.DataFrame) -> str:
    def over_readings(of: str, similarity: str) -> list[float]:
        return [float(relation(table, of, *reading, similarity)["value"]) for reading in READINGS]

    activation = float(relation(table, "place", "activation")["value"])
    places = [r for similarity in SIMILARITIES for r in over_readings("place", similarity)]
    way = "falls" if activation < 0 else "rises"
    alike = sum(r * activation > 0 for r in places)
    left = "; ".join(
        f"under {word} {_span(over_readings('score', similarity))} over all blocks, and "
        f"{_span(over_readings('within stages', similarity))} within stages"
        for similarity, word in SIMILARITIES.items()
    )
    verdict = (
        "within a stage a block's correlation score does not rise with its activation, and what the two have in common "
        "is the way from stage to stage"
        if max(over_readings("within stages", "pearson")) <= 0
        else "not all that correlation's scores have in common with the activation is the way from stage to stage"
    )
    return (
        "**Why a correlation score goes with the activation at all.** Both change with depth. The mean activation "
        f"{way} with the block's place (r = {activation:.2f}), and so do {alike} of {len(places)} scores "
        f"(r {_span(places)}). Where both sides are taken less the mean of their stage (16, 32 or 64 channels), their "
        f"r is, {left}. So {verdict}."
    )


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def _chance(table: pd.DataFrame) -> str:
    related, levels = {}, {}
    with_chance = [reading for reading in READINGS if not reading[0].startswith("in-sample")]
    for similarity in SIMILARITIES:
        related[similarity] = [relation(table, "chance", *reading, similarity)["value"] for reading in with_chance]
        found = pd.concat(of_blocks(table, *reading, similarity)["chance"] for reading in with_chance)
        levels[similarity] = found.tolist()
    owes = min(related["cosine"]) > max(related["pearson"])
    return (
        "**What cosine owes to the mean.** The chance level is the same score of mismatched image pairs: nothing but "
        "the means and shapes of maps can raise it. It is shown beside a score and not divided out. It lies at "
        f"{_span(levels['cosine'])} under cosine and at {_span(levels['pearson'])} under correlation, and its r with "
        f"the activation is {_span(related['cosine'])} under cosine and {_span(related['pearson'])} under correlation"
        f"{': this is the bias that the paper warns of' if owes else ''}."
    )


def _unknown(table: pd.DataFrame) -> str:
    cosine, pearson = (
        [float(relation(table, "magnitude", *reading, similarity)["value"]) for reading in READINGS]
        for similarity in SIMILARITIES
    )
    return (
        "**What is not known.** The paper does not say which scope it uses, and calls the same scores invariance and "
        'equivariance, and the same activation its "mean" and its "magnitude": with the root mean square of a block\'s '
        f"output in place of its mean, r is {_span(cosine)} under cosine and {_span(pearson)} under correlation. Its "
        "network and this one are two trainings by different people, one each: how much r varies from training to "
        "training is not measured here. And neighbouring blocks share most of what they put out, so they are no "
        "independent sample: every interval above is narrower than it should be."
    )
